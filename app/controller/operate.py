"""What operators do: asked about first, then kept until the target's next step carries it out."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.answerable import answerable
from app.controller.dismiss import Dismissal
from app.controller.in_the_way import Way
from app.controller.observe import Observer
from app.controller.rules import Rules
from app.controller.wish import Placed as Placed  # what people say, and hear
from app.controller.wish import Wish as Wish
from app.controller.wish import answered_again, digest_of, halt_of, planned, told_of
from app.domain.control import Brake, Halt, Order, OrderKind
from app.domain.fidelity import FidelityReport
from app.domain.remediation import Remediation, State
from app.errors import OrderConflict, OrderRefused
from app.policies import story
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
        self._way = Way(observer, store, clock, rules=rules)
        self._store = store
        self._clock = clock
        self._wake = wake

    async def act(self, target: str, kind: OrderKind, wish: Wish) -> Placed:
        """
        Restart a target, or scale its group out.

        While a remediation waits it becomes its next attempt; else it begins one.
        """
        async with answerable(self._store.audit, self._clock, kind, wish, target):
            return await self._act(target, kind, wish)

    async def _act(self, target: str, kind: OrderKind, wish: Wish) -> Placed:
        before = await self._replied(wish, target, kind)
        if before is not None:
            return before
        now = self._clock.now()
        try:
            record = await self._way.may_act(target, kind, now)
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
        async with answerable(self._store.audit, self._clock, OrderKind.SCALE_IN, wish, target):
            return await self._scale_in(target, wish)

    async def _scale_in(self, target: str, wish: Wish) -> Placed:
        kind = OrderKind.SCALE_IN
        before = await self._replied(wish, target, kind)
        if before is not None:
            return before
        now = self._clock.now()
        try:
            await self._way.not_held(target, now)
            refused = await self._way.no_budget(now)
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

    async def fidelity(self, target: str) -> FidelityReport | None:
        """Tell what a clone of a target would share with it; None where nobody can say now."""
        seen = await self._way.look(target)
        container = seen.observation.container
        assert container is not None
        return await self._observer.fidelity(container.id, seen.policy, now=self._clock.now())

    async def release(self, target: str, wish: Wish) -> Placed | None:
        """
        End a hold and a quarantine; None where there only was a hold.

        :raises OrderConflict: there was neither
        """
        async with answerable(self._store.audit, self._clock, OrderKind.RELEASE, wish, target):
            return await self._release(target, wish)

    async def _release(self, target: str, wish: Wish) -> Placed | None:
        now = self._clock.now()
        before = await self._replied(wish, target, OrderKind.RELEASE)
        was_held = await self._way.hold_of(target, now) is not None
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
            told = told_of("release", wish, now, target)
            await self._store.controls.set_hold(target, None, told=told)
            await self._store.schedule.nudge([target], now=now)
            self._tell("release", target, wish)
            self._wake()
        return placed

    async def reset(self, target: str, wish: Wish) -> Placed:
        """Have the failures of a target forgotten."""
        async with answerable(self._store.audit, self._clock, OrderKind.RESET, wish, target):
            record = await self._store.records.remediation_of(target)
            return await self._order(target, OrderKind.RESET, wish, record)

    async def cancel(self, record: Remediation, wish: Wish) -> Placed:
        """
        Call a remediation off: nothing more is done until its alerts are gone.

        :raises OrderConflict: it is closed, or acting at this moment
        """
        async with answerable(
            self._store.audit, self._clock, OrderKind.CANCEL, wish, record.target
        ):
            return await self._cancel(record, wish)

    async def _cancel(self, record: Remediation, wish: Wish) -> Placed:
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
        halt = halt_of(wish, self._clock.now(), lasts)
        if not wish.dry_run:
            told = told_of("hold", wish, halt.since, target)
            await self._store.controls.set_hold(target, halt, told=told)
            await self._store.schedule.nudge([target], now=halt.since)
            self._tell("hold", target, wish)
            self._wake()
        return halt

    async def pause(self, wish: Wish, *, lasts: timedelta | None) -> Halt:
        """Let nothing be done of Relevo's own accord, until resumed or for a time."""
        halt = halt_of(wish, self._clock.now(), lasts)
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
            scope=wish.scope,
            address=wish.address,
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

    def _tell(self, what: str, target: str | None, wish: Wish) -> None:
        log.info("order", order=str(what), target=target, author=wish.author, why=wish.reason)
