"""What stands in the way of an order: asked before it is taken."""

from datetime import datetime, timedelta

from app.controller.observe import Observer, Seen
from app.controller.rules import Rules
from app.domain.control import Halt, OrderKind
from app.domain.decision import Reason, Refuse
from app.domain.observation import EngineView
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, OrderConflict, OrderRefused
from app.policies import guards, orders
from app.ports import Clock, Store


class Way:
    """Looks, and raises what `Operator` raises."""

    def __init__(self, observer: Observer, store: Store, clock: Clock, *, rules: Rules) -> None:
        self._observer = observer
        self._store = store
        self._clock = clock
        self._rules = rules

    async def may_act(self, target: str, kind: OrderKind, now: datetime) -> Remediation | None:
        """Ask everything that may be in the way; answer the remediation that is open."""
        action = orders.action_of(kind)
        assert action is not None
        seen = await self.look(target, wants_clone=kind is OrderKind.SCALE_OUT)
        await self.not_held(target, now)
        record = seen.observation.remediation
        if record is not None and record.open_attempt is not None:
            busy = record.open_attempt
            raise OrderConflict(
                f"{target} is {record.state}: attempt {busy.id} ({busy.action}) has no verdict yet"
            )
        refused = guards.refusal(seen.observation, action, self._rules.book.guards, now=now)
        refused = refused or await self.no_budget(now)
        if refused is not None:
            raise OrderRefused(refused.reason, refused.detail)
        return record

    async def look(self, target: str, *, wants_clone: bool = False) -> Seen:
        """Observe a target that is there. :raises EngineUnavailable: :raises OrderRefused:"""
        seen = await self._observer.observe(target, now=self._clock.now(), wants_clone=wants_clone)
        match seen.observation.view:
            case EngineView.DOWN:
                raise EngineUnavailable("it does not tell about the container")
            case EngineView.GONE:
                raise OrderRefused(Reason.NO_SUCH_TARGET, "the container is gone")
            case EngineView.AMBIGUOUS:
                raise OrderRefused(
                    Reason.AMBIGUOUS_TARGET, "two containers claim the slot: a deploy, perhaps"
                )
            case EngineView.SEEN:
                return seen

    async def not_held(self, target: str, now: datetime) -> None:
        """Let a target through that nobody holds. :raises OrderConflict: who does, and why"""
        hold = await self.hold_of(target, now)
        if hold is not None:
            raise OrderConflict(f"{target} is held by {hold.author}: {hold.reason}")

    async def hold_of(self, target: str, now: datetime) -> Halt | None:
        """Tell which hold is in force; None: none is."""
        hold = (await self._store.controls.holds()).get(target)
        return None if hold is None or hold.is_over(now) else hold

    async def no_budget(self, now: datetime) -> Refuse | None:
        """Say that too much was done lately; None: there is room for one more action."""
        rules = self._rules.book.guards
        charged = await self._store.failures.charged(since=now - timedelta(hours=1))
        burst, hour = guards.budget_left(charged, rules, now=now)
        if burst > 0 and hour > 0:
            return None
        return Refuse(
            Reason.BUDGET,
            f"the budget is spent: {rules.burst} actions in a row, {rules.per_hour} an hour",
        )
