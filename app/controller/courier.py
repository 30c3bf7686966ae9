"""
Delivers what steps have left in the outbox, at least once, one message at a time.

* Never on the way of an action: a step only writes its messages down; what is slow or broken
  here disturbs nobody but the newest message in a full outbox.
* In order. A message that fails is tried again after a wait that grows to a minute; the breaker
  is open meanwhile, and the far side is left alone.
* Before waiting one other message is tried, another one each time: where that passes, the far
  side works and the first message is what it stumbles over. After a few such times that message
  is given up. So is one that is refused for good, and one that nobody can read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from app.controller.bell import Bell
from app.controller.telemetry import Telemetry
from app.domain.message import Message
from app.errors import MessageRefused, SourceUnavailable, Transient
from app.ports import MessageSink, Outbox, Pending, Waiting

log: Final = structlog.get_logger("relevo.courier")

#: What another controller has left behind is found this late at most.
_LOOK_EVERY: Final = timedelta(seconds=15)
_FIRST_WAIT: Final = timedelta(seconds=1)
_LONGEST_WAIT: Final = timedelta(minutes=1)
#: One message, whatever the sink asks for it.
_WHOLE_DELIVERY: Final = timedelta(seconds=20)
_AT_ONCE: Final = 50
#: So often others must have passed after a message failed: of those that a far side fails with
#: half the time, fewer than one in 250 are given up.
_STUMBLES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """How the telling goes, as far as this controller does it."""

    #: Messages that nobody has taken yet.
    pending: int = 0
    #: Why the last round failed, a sentence; None: it did not.
    trouble: str | None = None


def _always() -> bool:
    return True


class Courier:
    """
    See the module.

    :param may_deliver: whether it is this controller's turn; of several only one delivers
    :param first_wait: after a failure; it doubles up to a minute
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: MessageSink,
        telemetry: Telemetry,
        *,
        may_deliver: Callable[[], bool] = _always,
        first_wait: timedelta = _FIRST_WAIT,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._telemetry = telemetry
        self._may_deliver = may_deliver
        self._first_wait = first_wait
        self._wakeup = Bell()
        #: Rounds in a row that ended with a failure.
        self._failures = 0
        #: Message -> how often others passed after it had failed.
        self._stumbles: Counter[str] = Counter()
        #: Kind -> how many the store had dropped when it was last looked at; None: never.
        self._dropped: Counter[str] | None = None
        self._trouble: str | None = None
        self._pending = 0

    def view(self) -> Deliveries:
        """Tell how it goes; nothing is asked for it."""
        return Deliveries(pending=self._pending, trouble=self._trouble)

    def wake(self) -> None:
        """Look soon: something was written."""
        self._wakeup.ring()

    async def run(self) -> None:
        """Run until cancelled. What is not delivered then stays in the outbox."""
        while True:
            self._wakeup.hush()
            if self._may_deliver():
                await self._turn()
            else:
                # Whoever delivers counts.
                self._failures, self._trouble = 0, None
                self._waiting(0)
            if self._failures:
                # News does not shorten it: a storm of steps is no storm of tries.
                wait = self._first_wait * 2 ** min(self._failures - 1, 10)
                await asyncio.sleep(min(wait, _LONGEST_WAIT).total_seconds())
                continue
            await self._wakeup.wait(_LOOK_EVERY)

    async def _turn(self) -> None:
        try:
            trouble = await self.round()
        except Transient as exc:  # the store
            trouble = str(exc)
        except Exception as exc:
            trouble = f"{type(exc).__name__}: {exc}"
            if trouble != self._trouble:
                log.error("messages not delivered, will be repeated", exc_info=exc)
        self._failures = 0 if trouble is None else self._failures + 1
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble is None:
                log.info("messages are delivered again")
            else:
                log.warning("messages not delivered, will be repeated", error=trouble)

    async def round(self) -> str | None:
        """
        Deliver what waits; tell what went wrong, None where nothing did.

        :raises StoreUnavailable: what was delivered may come again
        """
        while True:
            waiting = await self._outbox.waiting(limit=_AT_ONCE)
            self._count(waiting)
            if not waiting.messages:
                return None
            left = list(waiting.messages)
            while left:
                failed = await self._one(left[0])
                if failed is not None:
                    await self._try_another(left)
                    return failed
                del left[0]

    async def _try_another(self, left: Sequence[Pending]) -> None:
        """Find out whether the far side fails, or only with the first of these messages."""
        stuck = left[0].message
        assert stuck is not None
        seen, others = {stuck.id}, []
        for one in left[1:]:
            # Only the first of each story: they are told in order.
            if one.message is not None and one.message.id not in seen:
                seen.add(one.message.id)
                others.append(one)
        if not others:
            return
        if await self._one(others[self._failures % len(others)]) is not None:
            return
        self._stumbles[stuck.id] += 1
        if self._stumbles[stuck.id] >= _STUMBLES:
            del self._stumbles[stuck.id]
            await self._give_up(left[0], "stumbles", "the far side fails with it, and only with it")

    async def _one(self, pending: Pending) -> str | None:
        """Deliver one message, or give it up; tell why it has to be tried again."""
        message = pending.message
        if message is None:
            await self._give_up(pending, "unreadable", "what is kept there cannot be read")
            return None
        try:
            await self._deliver(message)
        except MessageRefused as exc:
            await self._give_up(pending, "refused", str(exc))
            return None
        except Transient as exc:
            return str(exc)
        except Exception as exc:
            log.error("message not delivered, will be repeated", message=message.id, exc_info=exc)
            return f"{type(exc).__name__}: {exc}"
        await self._outbox.done(pending.place)
        self._stumbles.pop(message.id, None)
        self._telemetry.outbox_delivered.labels(kind=message.kind).inc()
        return None

    async def _deliver(self, message: Message) -> None:
        seconds = _WHOLE_DELIVERY.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await self._sink.deliver(message)
        except TimeoutError as exc:
            raise SourceUnavailable(f"no answer within {seconds:g} s") from exc

    async def _give_up(self, pending: Pending, reason: str, why: str) -> None:
        await self._outbox.done(pending.place)
        message = pending.message
        kind = "" if message is None else str(message.kind)
        self._telemetry.outbox_dropped.labels(kind=kind, reason=reason).inc()
        log.error(
            "message given up",
            reason=reason,
            message=None if message is None else message.id,
            error=why,
        )

    def _waiting(self, number: int) -> None:
        self._pending = number
        self._telemetry.outbox_pending.set(number)

    def _count(self, waiting: Waiting) -> None:
        self._waiting(waiting.number)
        dropped = Counter(waiting.dropped)
        # What earlier processes have seen dropped was counted by them.
        new = Counter() if self._dropped is None else dropped - self._dropped
        self._dropped = dropped
        for kind, number in new.items():
            self._telemetry.outbox_dropped.labels(kind=kind, reason="full").inc(number)
        if new:
            log.error("outbox full: the oldest messages were dropped", dropped=dict(new))
