"""What has come in between a decision and its action: asked right before the engine is told."""

from app.controller.observe import Seen
from app.controller.picture import Census
from app.controller.witness import Witness
from app.domain.container import RunState
from app.domain.decision import Conclude, Reason, Verdict
from app.domain.remediation import Attempt, Remediation, Trigger
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineUnavailable,
    NoRoom,
    StoreUnavailable,
)
from app.policies import capacity
from app.ports import Clock, ContainerEngine, Controls, Scaling


class LastLook:
    """Looks once more; says nothing where nothing has changed."""

    def __init__(
        self,
        engine: ContainerEngine,
        census: Census,
        controls: Controls,
        scaling: Scaling,
        witness: Witness,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._census = census
        self._controls = controls
        self._scaling = scaling
        self._witness = witness
        self._clock = clock

    async def room(self, seen: Seen) -> None:
        """
        Count again, since others may have scaled out meanwhile; and ask what the host has free.

        :raises NoRoom:
        :raises EngineUnavailable:
        """
        group, rules = seen.observation.group, seen.book.guards
        roster = await self._census.roster(fresh=True)
        instances = sum(str(member.group) == group.id for member in roster.members)
        if instances >= group.max_instances:
            raise NoRoom(
                Reason.AT_MAX, f"{instances} of {group.max_instances} instances exist already"
            )
        if roster.clones >= rules.max_clones:
            raise NoRoom(
                Reason.MAX_CLONES, f"{roster.clones} of {rules.max_clones} clones exist already"
            )
        container = seen.observation.container
        assert container is not None
        try:
            room = await self._engine.room(container.id)
        except ContainerGone:
            return  # which the clone's own answer will say
        except EngineRefused as exc:
            raise EngineUnavailable(f"what the host has free: {exc}") from exc
        short = capacity.shortage(room, rules.reserve)
        if short is not None:
            raise NoRoom(short.reason, short.detail)

    async def changes(self, record: Remediation, attempt: Attempt, seen: Seen) -> Conclude | None:
        """Tell what has come in between since the decision: the evidence takes seconds."""
        reason: Reason | None = None
        observed = seen.observation.container
        assert observed is not None
        try:
            pause = await self._controls.pause()
            hold = (await self._controls.holds()).get(record.target)
            container = await self._engine.inspect(attempt.container_id)
            under_way = await self._scaling.under_way()
        except (StoreUnavailable, EngineUnavailable, EngineRefused, ContainerGone) as exc:
            return Conclude(
                Verdict.CANCELLED, Reason.INTERRUPTED, f"no last look: {exc}; nothing was done"
            )
        now = self._clock.now()
        if hold is not None and not hold.is_over(now):
            reason = Reason.HOLD
        elif attempt.trigger is Trigger.AUTOMATIC and pause is not None and not pause.is_over(now):
            reason = Reason.PAUSE
        elif any(one.container_id == attempt.container_id for one in under_way):
            reason = Reason.BUSY  # it is being isolated or stopped, or comes back
        elif observed.is_running and container.state is RunState.PAUSED:
            reason = Reason.PAUSED_CONTAINER
        elif observed.is_running and not container.is_running:
            human = self._witness.human(container.id)
            reason = Reason.HUMAN if human is not None else Reason.NOT_RUNNING
        if reason is None:
            return None
        return Conclude(Verdict.CANCELLED, reason, "a moment before; nothing was done")
