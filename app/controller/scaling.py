"""
The loop that lets clones leave again: by whoever leads, and one of a group at a time.

It takes sources off duty in whose place a clone serves, too, and has them back before that leaves.

What is under way is written down, and gone on with by whoever leads then; what nobody needs any
more is asked about at every poll, and whenever a story has ended. Groups leave side by side. Who
does not lead looks as well: he can say why nobody leaves, and knows since when a clone is down.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Final

import structlog

from app.controller.bell import Bell
from app.controller.departure import Departure
from app.controller.lookout import Lookout, Sight, old_clones
from app.controller.rules import Rules
from app.controller.telemetry import Telemetry
from app.domain.activity import Activity
from app.domain.decision import Reason
from app.domain.target import GroupId
from app.errors import LeaseLost, OutOfBudget, Transient
from app.policies import departures, replacing, scale_in
from app.policies.roster import Roster
from app.policies.scale_in import Leave, Stay
from app.ports import Clock, Scaling

log: Final = structlog.get_logger("relevo.scaling")


class Departures:
    """See the module."""

    def __init__(
        self,
        scaling: Scaling,
        lookout: Lookout,
        departure: Departure,
        clock: Clock,
        telemetry: Telemetry,
        *,
        rules: Rules,
        may_act: Callable[[], bool],
        tell: Callable[[], None],
    ) -> None:
        """
        Begin.

        :param may_act: whether it is us who act, and now
        :param tell: something has happened that people may be told of
        """
        self._scaling = scaling
        self._lookout = lookout
        self._departure = departure
        self._clock = clock
        self._telemetry = telemetry
        self._rules = rules
        self._may_act = may_act
        self._tell = tell
        self._wakeup = Bell()
        #: Of each group whose clone leaves.
        self._running: dict[str, asyncio.Task[None]] = {}
        #: Why nobody leaves, by group.
        self._stays: dict[str, Stay] = {}
        #: What failed last, by group: only a changed failure is news.
        self._failures: dict[str, str] = {}
        #: Clones that were told of as old.
        self._old: frozenset[str] = frozenset()
        #: How many there were at the last look; None before the first.
        self._old_counted: int | None = None

    @property
    def is_busy(self) -> bool:
        """Whether clones are leaving by our hand."""
        return bool(self._running)

    @property
    def stays(self) -> Mapping[str, Stay]:
        """Why nobody leaves, of each group (``engine:group``) with clones, at the last look."""
        return dict(self._stays)

    def wake(self) -> None:
        """Look now: a story may have ended, or a person has ordered something."""
        self._wakeup.ring()

    async def run(self) -> None:
        """Run until cancelled; what is under way then is gone on with by whoever comes next."""
        try:
            while True:
                self._wakeup.hush()
                await self._guarded("the round", self._round())
                await self._wakeup.wait(self._rules.book.defaults.verify.poll)
        finally:
            running = tuple(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _round(self) -> None:
        """Go on with what is under way, and ask about every other group with clones."""
        under_way = await self._scaling.under_way() if self._may_act() else ()
        for activity in under_way:
            self._start(activity)
        roster = await self._lookout.roster()
        self._mind_old_ones(roster)
        groups = {one.group for one in roster.members if one.clone_of is not None}
        # One whose clone is gone has nobody in its place.
        off = {one.container_id for one in await self._scaling.replaced()}
        groups |= {one.group for one in roster.members if one.listed.id in off}
        names = {str(group) for group in groups}
        self._stays = {name: stay for name, stay in self._stays.items() if name in names}
        for group in sorted(groups):
            if str(group) not in self._running:
                await self._guarded(str(group), self._ask(group))

    async def _ask(self, group: GroupId) -> None:
        """Let a clone of a group leave, or say why none does."""
        now = self._clock.now()
        sight = await self._lookout.look(group, now=now)
        brake, policy = sight.book.guards.brake, sight.policy
        decision = replacing.next_duty(
            sight.crowd, policy, brake, now=now
        ) or scale_in.next_departure(sight.crowd, policy, brake, now=now)
        if isinstance(decision, Stay):
            self._say(sight.crowd.id, decision)
        elif not self._may_act():
            self._stays.pop(sight.crowd.id, None)
        elif isinstance(decision, Leave):
            await self._begin(departures.begun(sight.crowd, decision, now=now), sight, now=now)
        else:
            await self._begin(replacing.begun(sight.crowd, decision, now=now), sight, now=now)

    async def _begin(self, activity: Activity, sight: Sight, *, now: datetime) -> None:
        try:
            begun = await self._departure.begin(activity, sight, now=now)
        except OutOfBudget as exc:
            self._say(activity.group, Stay(reason=Reason.BUDGET, until=exc.until))
            return
        assert isinstance(begun, Activity)
        self._stays.pop(activity.group, None)
        reason = str(activity.reason)
        self._telemetry.decisions.labels(decision=str(activity.kind), reason=reason).inc()
        self._start(begun)

    def _say(self, group: str, stay: Stay) -> None:
        """Keep why nobody leaves, and say it: whoever does not lead knows it, and is silent."""
        if not self._may_act():
            self._stays[group] = stay
            return
        self._telemetry.decisions.labels(decision="stay", reason=stay.reason).inc()
        before = self._stays.get(group)
        self._stays[group] = stay
        if before is not None and before.reason is stay.reason:
            return  # a poll that changes nothing is no news
        facts: dict[str, object] = {"reason": str(stay.reason), "group": group}
        if stay.until is not None:
            facts["until"] = stay.until.isoformat(timespec="seconds")
        if stay.detail:
            facts["detail"] = stay.detail
        log.info("decision", decision="stay", **facts)

    def _start(self, activity: Activity) -> None:
        """Have a clone leave beside those of all others, unless one of its group is leaving."""
        group = activity.group
        if group in self._running:
            return
        task = asyncio.create_task(self._carry_out(activity), name=f"departure of {group}")
        self._running[group] = task
        task.add_done_callback(lambda _: self._ended(group))

    async def _carry_out(self, activity: Activity) -> None:
        await self._guarded(activity.group, self._leave(activity))

    async def _leave(self, activity: Activity) -> None:
        await self._departure.carry_out(activity)
        self._tell()

    def _ended(self, group: str) -> None:
        self._running.pop(group, None)

    async def _guarded(self, what: str, work: Coroutine[None, None, None]) -> None:
        """Do something; what cannot be done now is gone on with at the next poll."""
        try:
            await work
        except LeaseLost as exc:
            log.info("not done", what=what, why=str(exc))
        except Transient as exc:
            self._failed(what, exc)
        except Exception as exc:  # noqa: BLE001 - the boundary: logged, repeated
            self._failed(what, exc, unexpected=True)
        else:
            self._failures.pop(what, None)

    def _failed(self, what: str, exc: Exception, *, unexpected: bool = False) -> None:
        error = f"{type(exc).__name__}: {exc}"
        self._telemetry.step_errors.labels(error=type(exc).__name__).inc()
        if self._failures.get(what) == error:
            log.debug("scale-in failed again", what=what, error=error)
            return
        self._failures[what] = error
        if unexpected:
            log.error("scale-in failed unexpectedly, will be repeated", what=what, exc_info=exc)
        else:
            log.warning("scale-in failed, will be repeated", what=what, error=error)

    def _mind_old_ones(self, roster: Roster) -> None:
        """Tell of clones that have helped for so long that a person should look, once each."""
        old = {one.id: one.name for one in old_clones(roster, now=self._clock.now())}
        if self._may_act():
            for container_id in old.keys() - self._old:
                log.warning("a clone is older than a day", clone=old[container_id])
            self._old = frozenset(old)
        if len(old) != self._old_counted:
            self._old_counted = len(old)
            self._telemetry.old_clones.labels(engine=roster.engine).set(len(old))
