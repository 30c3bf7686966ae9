"""When each target is looked at next, and who looks."""

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from app.adapters.store.client import Line
from app.adapters.store.codec import moment, span_ms, to_ms, to_ms_up, unreadable, whole
from app.adapters.store.scripts import Script
from app.ports import NEXT_SUSPECT, Claim, Claimed

#: A claim call whose answer was lost is remembered this much longer than its leases last.
_MARGIN: Final = timedelta(minutes=1)
#: Targets per command: nobody else waits longer than a millisecond.
_CHUNK: Final = 500


class RedisSchedule:
    """See `app.ports.Schedule`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._claim = Script(line, "claim", leads=True)
        self._renew = Script(line, "renew", leads=True)
        self._requeue = Script(line, "requeue", leads=True)
        self._overdue = Script(line, "overdue", writes=False)
        self._keys = line.keys
        self._worker = uuid4().hex
        self._call = 0
        # Two calls at once under one name would be given the same targets.
        self._one_at_a_time = asyncio.Lock()

    async def claim(
        self,
        *,
        now: datetime,
        lease: timedelta,
        limit: int,
        has_suspect: bool = False,
        here: Collection[str] = (),
    ) -> Claimed:
        """See `app.ports.Schedule`."""
        keys = self._keys
        async with self._one_at_a_time:
            async with self._line.answering():
                next_ms, lost_json, *given = await self._claim(
                    keys=[
                        keys.due,
                        keys.running,
                        keys.leases,
                        keys.fence,
                        keys.handed(self._worker),
                        keys.lost,
                    ],
                    args=[
                        to_ms(now),
                        to_ms_up(now + lease),
                        limit,
                        self._call,
                        span_ms(lease + _MARGIN),
                        int(has_suspect),
                        to_ms(now) + span_ms(NEXT_SUSPECT),
                        *here,
                    ],
                )
            # Only now: until an answer arrives, the next call asks for the same one.
            self._call += 1
        lost = _read(lost_json, key=keys.lost) if lost_json else {}
        return Claimed(
            claims=tuple(
                Claim(target, fence, lost.get(target, 0))
                for fence, targets in _lists(given, key=keys.due)
                for target in targets
            ),
            next_due=None if next_ms < 0 else moment(next_ms, key=keys.due),
        )

    async def renew(
        self, claims: Sequence[Claim], *, now: datetime, lease: timedelta
    ) -> tuple[Claim, ...]:
        """See `app.ports.Schedule`."""
        keys, until = self._keys, to_ms_up(now + lease)
        gone: list[Claim] = []
        for start in range(0, len(claims), _CHUNK):
            chunk = claims[start : start + _CHUNK]
            async with self._line.answering():
                places = await self._renew(
                    keys=[keys.leases, keys.running], args=[until, *_pairs(chunk)]
                )
            gone += [chunk[place] for place in places]
        return tuple(gone)

    async def requeue(self, claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        """See `app.ports.Schedule`."""
        await self._give_back([claim], due=due, forget_lost=forget_lost)

    async def release(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool = False
    ) -> None:
        """See `app.ports.Schedule`."""
        for start in range(0, len(claims), _CHUNK):
            chunk = claims[start : start + _CHUNK]
            await self._give_back(chunk, due=due, forget_lost=forget_lost)

    async def _give_back(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool
    ) -> None:
        keys = self._keys
        async with self._line.answering():
            await self._requeue(
                keys=[keys.due, keys.running, keys.leases, keys.lost],
                args=[to_ms_up(due), int(forget_lost), *_pairs(claims)],
            )

    async def overdue(self, *, now: datetime) -> timedelta:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        async with self._line.answering():
            since_ms: int = await self._overdue(
                keys=[self._keys.due, self._keys.running], args=[now_ms]
            )
        return timedelta(milliseconds=0 if since_ms < 0 else now_ms - since_ms)

    async def nudge(self, targets: Sequence[str], *, now: datetime) -> None:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        for start in range(0, len(targets), _CHUNK):
            chunk = dict.fromkeys(targets[start : start + _CHUNK], now_ms)
            async with self._line.answering():
                await self._redis.zadd(self._keys.due, chunk, lt=True)


def _pairs(claims: Iterable[Claim]) -> Iterator[str | int]:
    """Target and fence of each."""
    for claim in claims:
        yield claim.target
        yield claim.fence


def _lists(given: Sequence[Any], *, key: str) -> Iterator[tuple[int, Any]]:
    """Fence and targets, of each call whose leases an answer tells."""
    for fence, targets in zip(given[::2], given[1::2], strict=True):
        yield whole(fence, key=key), _read(targets, key=key)


def _read(raw: bytes | str, *, key: str) -> Any:
    """
    Read what a script has written as JSON.

    :raises Unreadable: a name in it is no UTF-8
    """
    try:
        return json.loads(raw)
    except ValueError as exc:
        raise unreadable(key, exc) from exc
