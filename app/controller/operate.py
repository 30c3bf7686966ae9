"""What operators do: asked about first, then kept until the target's next step carries it out."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.dismiss import Dismissal
from app.controller.observe import Observer, Seen
from app.controller.rules import Rules
from app.controller.wish import Placed as Placed  # what people say, and hear
from app.controller.wish import Wish as Wish
from app.controller.wish import answered_again, digest_of, planned, told_of
from app.domain.control import Brake, Halt, Order, OrderKind
from app.domain.decision import Reason, Refuse
from app.domain.fidelity import FidelityReport
from app.domain.observation import EngineView
from app.domain.remediation import Remediation, State
from app.errors import EngineUnavailable, OrderConflict, OrderRefused
from app.policies import guards, orders, story, trail
from app.ports import Clock, Reply, Store

log: Final = structlog.get_logger("relevo.operator")


class Operator:
    """
    Takes orders of people.

    Raises OrderConflict where something is in the way now, OrderRefused where a guard forbids
    it, EngineUnavailable and StoreUnavailable where it cannot be told.
    """

    def __init__(
        self,
        observer: Observer,
        store: Store,
        clock: Clock,
        *,
        rules: Rules,
        wake: Callable[[], None],
        resume: Callable[[], None],
        dismissal: Dismissal,
    ) -> None:
        """
        Begin.

        :param resume: end a hold that Relevo has begun because something is in doubt
        """
        self._resume = resume
        self._dismissal = dismissal
        self._observer = observer
        self._store = store
        self._clock = clock
        self._rules = rules
        self._wake = wake

    async def act(self, target: str, kind: OrderKind, wish: Wish) -> Placed:
        """
        Restart a target, or scale its group out.

        While a remediation waits it becomes its next attempt; else it begins one.
        """
        before = await self._replied(wish, target, kind)
        if before is not None:
            return before
        now = self._clock.now()
        try:
            record = await self._may_act(target, kind, now)
        except (OrderConflict, OrderRefused):
            # What is in the way may be this very request, sent twice: it is answered the same.
            before = await self._replied(wish, target, kind)
            if before is None:
                raise
            return before
        placed = planned(target, record, now, dry_run=wish.dry_run)
        return placed if wish.dry_run else await self._place(target, kind, wish, placed, now)

    async def scale_in(self, target: str, wish: Wish) -> Placed:
        """
        Let the newest clone of a target's group leave, quiet or not; `attempt` names its activity.

        The last instance that is healthy stays.
        """
        kind = OrderKind.SCALE_IN
        before = await self._replied(wish, target, kind)
        if before is not None:
            return before
        now = self._clock.now()
        try:
            await self._not_held(target, now)
            refused = await self._no_budget(now)
            if refused is not None:
                raise OrderRefused(refused.reason, refused.detail)
            placed = await self._dismissal.order(target, wish, now=now)
        except (OrderConflict, OrderRefused):
            before = await self._replied(wish, target, kind)
            if before is None:
                raise
            return before
        if not wish.dry_run:
            self._tell(kind, target, wish)
            self._wake()
        return placed

    async def _may_act(self, target: str, kind: OrderKind, now: datetime) -> Remediation | None:
        """Ask everything that may be in the way; answer the remediation that is open."""
        action = orders.action_of(kind)
        assert action is not None
        seen = await self._look(target, wants_clone=kind is OrderKind.SCALE_OUT)
        await self._not_held(target, now)
        record = seen.observation.remediation
        if record is not None and record.open_attempt is not None:
            busy = record.open_attempt
            raise OrderConflict(
                f"{target} is {record.state}: attempt {busy.id} ({busy.action}) has no verdict yet"
            )
        refused = guards.refusal(seen.observation, action, self._rules.book.guards, now=now)
        refused = refused or await self._no_budget(now)
        if refused is not None:
            raise OrderRefused(refused.reason, refused.detail)
        return record

    async def fidelity(self, target: str) -> FidelityReport | None:
        """Tell what a clone of a target would share with it; None where nobody can say now."""
        seen = await self._look(target)
        container = seen.observation.container
        assert container is not None
        return await self._observer.fidelity(container.id, seen.policy, now=self._clock.now())

    async def release(self, target: str, wish: Wish) -> Placed | None:
        """
        End a hold and a quarantine; None where there only was a hold.

        :raises OrderConflict: there was neither
        """
        now = self._clock.now()
        before = await self._replied(wish, target, OrderKind.RELEASE)
        was_held = await self._hold_of(target, now) is not None
        record = await self._store.records.remediation_of(target)
        can_end = record is not None and (
            record.state is State.QUARANTINED or record.called_off is not None
        )
        if not was_held and not can_end and before is None:
            raise OrderConflict(f"{target} is neither held nor quarantined")
        # The order first: where it cannot be placed, the hold is still there.
        placed = before
        if placed is None and can_end:
            placed = await self._order(target, OrderKind.RELEASE, wish, record)
        if was_held and not wish.dry_run:
            told = trail.said("release", author=wish.author, why=wish.reason, at=now, target=target)
            await self._store.controls.set_hold(target, None, told=told)
            await self._store.schedule.nudge([target], now=now)
            self._tell("release", target, wish)
            self._wake()
        return placed

    async def reset(self, target: str, wish: Wish) -> Placed:
        """Have the failures of a target forgotten."""
        record = await self._store.records.remediation_of(target)
        return await self._order(target, OrderKind.RESET, wish, record)

    async def cancel(self, record: Remediation, wish: Wish) -> Placed:
        """
        Call a remediation off: nothing more is done until its alerts are gone.

        :raises OrderConflict: it is closed, or acting at this moment
        """
        before = await self._replied(wish, record.target, OrderKind.CANCEL)
        if before is not None:
            return before
        if record.is_closed:
            raise OrderConflict(f"remediation {record.id} is closed: {record.outcome}")
        attempt = record.open_attempt
        if attempt is not None and attempt.acted_at is None:
            raise OrderConflict(f"attempt {attempt.id} is being carried out and is not cut off")
        return await self._order(record.target, OrderKind.CANCEL, wish, record)

    async def hold(self, target: str, wish: Wish, *, lasts: timedelta | None) -> Halt:
        """Let nothing be done to a target, until released or for a time."""
        halt = self._halt(wish, lasts)
        if not wish.dry_run:
            told = told_of("hold", wish, halt.since, target)
            await self._store.controls.set_hold(target, halt, told=told)
            await self._store.schedule.nudge([target], now=halt.since)
            self._tell("hold", target, wish)
            self._wake()
        return halt

    async def pause(self, wish: Wish, *, lasts: timedelta | None) -> Halt:
        """Let nothing be done of Relevo's own accord, until resumed or for a time."""
        halt = self._halt(wish, lasts)
        if not wish.dry_run:
            await self._store.controls.set_pause(halt, told=told_of("pause", wish, halt.since))
            self._tell("pause", None, wish)
        return halt

    async def resume(self, wish: Wish) -> None:
        """
        End the pause and any hold for a doubt, and release the brake.

        Older failures no longer count for the brake.
        """
        if wish.dry_run:
            return
        now = self._clock.now()
        await self._store.controls.set_pause(None, told=told_of("resume", wish, now))
        await self._store.controls.set_brake(Brake(cleared_at=now))
        self._resume()
        self._tell("resume", None, wish)
        self._wake()

    async def _order(
        self, target: str, kind: OrderKind, wish: Wish, record: Remediation | None
    ) -> Placed:
        before = await self._replied(wish, target, kind)
        if before is not None:
            return before
        now = self._clock.now()
        remediation = record.id if record is not None else story.new_id(target, now=now)
        placed = Placed(remediation=remediation, attempt=None, dry_run=wish.dry_run)
        return placed if wish.dry_run else await self._place(target, kind, wish, placed, now)

    async def _place(
        self, target: str, kind: OrderKind, wish: Wish, placed: Placed, now: datetime
    ) -> Placed:
        order = Order(
            id=placed.attempt or f"{placed.remediation}.{kind}.{round(now.timestamp() * 1000)}",
            kind=kind,
            remediation=placed.remediation,
            reason=wish.reason,
            author=wish.author,
            at=now,
        )
        reply = None
        if wish.key is not None:
            answer = json.dumps({"remediation": placed.remediation, "attempt": placed.attempt})
            reply = Reply(key=wish.key, digest=digest_of(wish, target, kind), answer=answer)
        found = await self._store.orders.place(target, order, now=now, reply=reply)
        if isinstance(found, Reply):
            return answered_again(found, digest_of(wish, target, kind))
        if found is not None:
            raise OrderConflict(f"{target} has an order already: {found.kind} by {found.author}")
        self._tell(kind, target, wish)
        self._wake()
        return placed

    async def _replied(self, wish: Wish, target: str, kind: OrderKind) -> Placed | None:
        if wish.key is None or wish.dry_run:
            return None
        reply = await self._store.orders.replied(wish.key)
        return None if reply is None else answered_again(reply, digest_of(wish, target, kind))

    async def _look(self, target: str, *, wants_clone: bool = False) -> Seen:
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

    async def _not_held(self, target: str, now: datetime) -> None:
        hold = await self._hold_of(target, now)
        if hold is not None:
            raise OrderConflict(f"{target} is held by {hold.author}: {hold.reason}")

    async def _hold_of(self, target: str, now: datetime) -> Halt | None:
        hold = (await self._store.controls.holds()).get(target)
        return None if hold is None or hold.is_over(now) else hold

    async def _no_budget(self, now: datetime) -> Refuse | None:
        rules = self._rules.book.guards
        charged = await self._store.failures.charged(since=now - timedelta(hours=1))
        burst, hour = guards.budget_left(charged, rules, now=now)
        if burst > 0 and hour > 0:
            return None
        return Refuse(
            Reason.BUDGET,
            f"the budget is spent: {rules.burst} actions in a row, {rules.per_hour} an hour",
        )

    def _halt(self, wish: Wish, lasts: timedelta | None) -> Halt:
        now = self._clock.now()
        until = None if lasts is None else now + lasts
        return Halt(reason=wish.reason, author=wish.author, since=now, until=until)

    def _tell(self, what: str, target: str | None, wish: Wish) -> None:
        log.info("order", order=str(what), target=target, author=wish.author, why=wish.reason)
