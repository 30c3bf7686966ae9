"""
Accepted alerts: kept durably before anybody is told so.

Group commit: while one script call is under way, what arrives gathers and leaves together
with the next one. With ``appendfsync always`` that is one fsync for all of them, and the
caller still hears nothing before its own alerts are kept.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.adapters.store.arguments import Piece
from app.adapters.store.client import Line
from app.adapters.store.codec import ALERT, dump_aside, span_ms, to_ms, to_ms_up
from app.adapters.store.keys import KEEP, KEEP_TOMBS, MOST
from app.adapters.store.scripts import Script
from app.domain.alert import AlertStatus
from app.errors import NotAccepting, StoreUnavailable
from app.ports import Aside, Notice, Taken

#: Notices per script call: 500 keep Redis busy for about 3 ms, and nobody else waits longer.
_CHUNK: Final = 500
#: Notices that may wait for their turn; more are sent again by Alertmanager.
_MOST_WAITING: Final = 50_000
#: As ``lua/accept.lua`` answers.
_ANSWERS: Final = {
    1: Taken.ACCEPTED,
    2: Taken.DUPLICATE,
    3: Taken.RESOLVED,
    4: Taken.STALE,
    5: Taken.FULL,
}


@dataclass(frozen=True, slots=True)
class _Batch:
    """A part of one call of `accept`, encoded, and who waits for it."""

    now_ms: int
    keys: list[str]
    notices: list[Piece]
    asides: list[Piece]
    answer: asyncio.Future[tuple[Taken, ...]]

    def __len__(self) -> int:
        return len(self.keys) // 2

    @property
    def weight(self) -> int:
        """What it asks of Redis: an aside costs about as much as a notice."""
        return len(self) + len(self.asides) // 2


class RedisInbox:
    """See `app.ports.Inbox`."""

    def __init__(self, line: Line, *, most_waiting: int = _MOST_WAITING) -> None:
        self._line = line
        self._accept = Script(line, "accept")
        self._keys = line.keys
        self._most_waiting = most_waiting
        self._waiting: deque[_Batch] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def accept(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        """
        See `app.ports.Inbox`.

        :raises NotAccepting: too many are waiting already
        :raises ValueError: an alert holds text that is no Unicode
        """
        if not notices and not asides:
            return ()
        asides = asides[-MOST:]  # no more are kept, whatever their number
        waiting = sum(batch.weight for batch in self._waiting)
        if waiting and waiting + len(notices) + len(asides) > self._most_waiting:
            raise NotAccepting("too many alerts are waiting for Redis already")
        answering: list[asyncio.Future[tuple[Taken, ...]]] = []
        for batch in self._batches(notices, asides, now):
            if answering:
                # Encoding a large one takes a while; what is encoded leaves meanwhile.
                await asyncio.sleep(0)
            answering.append(batch.answer)
            self._waiting.append(batch)
            if self._sender is None or self._sender.done():
                self._sender = asyncio.create_task(self._send_waiting(), name="inbox")
        if len(answering) == 1:
            return await answering[0]
        answers = await asyncio.gather(*answering)
        return tuple(taken for answer in answers for taken in answer)

    async def aclose(self) -> None:
        """Wait until everything that was taken on has its answer."""
        if self._sender is not None:
            await asyncio.wait({self._sender})

    def _batches(
        self, notices: Sequence[Notice], asides: Sequence[Aside], now: datetime
    ) -> Iterator[_Batch]:
        loop = asyncio.get_running_loop()
        kept_aside: list[Piece] = []
        for place, aside in enumerate(asides):
            # The place keeps the order, and twins apart; a repeated call changes nothing.
            kept_aside += to_ms(aside.at), b"%06d|%b" % (place, dump_aside(aside))
        for start in range(0, max(1, len(notices)), _CHUNK):
            chunk = notices[start : start + _CHUNK]
            yield _Batch(
                now_ms=to_ms(now),
                keys=[key for notice in chunk for key in self._keys_of(notice)],
                notices=[piece for notice in chunk for piece in _pieces(notice)],
                asides=kept_aside if start == 0 else [],
                answer=loop.create_future(),
            )

    def _keys_of(self, notice: Notice) -> tuple[str, str]:
        return self._keys.alerts(notice.target), self._keys.tombs(notice.target)

    async def _send_waiting(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft()]
            size = group[0].weight
            while self._waiting and size + self._waiting[0].weight <= _CHUNK:
                group.append(self._waiting.popleft())
                size += group[-1].weight
            try:
                answers = iter(await self._send(group))
            except Exception as exc:  # noqa: BLE001 - handed to those who wait for it
                _fail(group, exc)
                continue
            except asyncio.CancelledError:
                _fail((*group, *self._waiting), NotAccepting("shutting down"))
                self._waiting.clear()
                raise
            for batch in group:
                taken = tuple(_ANSWERS[next(answers)] for _ in range(len(batch)))
                if not batch.answer.done():
                    batch.answer.set_result(taken)

    async def _send(self, group: Sequence[_Batch]) -> list[int]:
        keys = [self._keys.due, self._keys.running, self._keys.asides]
        args: list[Piece] = [
            max(batch.now_ms for batch in group),
            span_ms(KEEP),
            span_ms(KEEP_TOMBS),
            MOST,
            sum(map(len, group)),
            MOST,
        ]
        for batch in group:
            keys += batch.keys
            args += batch.notices
        for batch in group:
            args += batch.asides
        async with self._line.answering():
            answers: list[int] = await self._accept(keys=keys, args=args)
        return answers


def _pieces(notice: Notice) -> tuple[Piece, ...]:
    alert = notice.alert
    return (
        notice.target,
        alert.fingerprint,
        int(alert.status is AlertStatus.FIRING),
        to_ms(alert.starts_at),
        int(notice.listed),
        "" if notice.due is None else to_ms_up(notice.due),
        ALERT.dump(alert),
    )


def _fail(batches: Iterable[_Batch], exc: Exception) -> None:
    for batch in batches:
        if not batch.answer.done():
            # Each its own: an exception that several raise would gather all their tracebacks.
            again = type(exc)(*exc.args) if isinstance(exc, StoreUnavailable) else exc
            batch.answer.set_exception(again)
