"""When each target is looked at next, and who looks."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from app.adapters.store.client import Line
from app.adapters.store.codec import moment, span_ms, text, to_ms, to_ms_up
from app.adapters.store.scripts import Script
from app.errors import LeaseLost
from app.ports import Claim, Claimed

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

    async def claim(self, *, now: datetime, lease: timedelta, limit: int) -> Claimed:
        """See `app.ports.Schedule`."""
        keys = self._keys
        async with self._one_at_a_time:
            async with self._line.answering():
                next_ms, *given = await self._claim(
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
                    ],
                )
            # Only now: until an answer arrives, the next call asks for the same one.
            self._call += 1
        claims = zip(given[::3], given[1::3], given[2::3], strict=True)
        return Claimed(
            claims=tuple(
                Claim(target=text(target, key=keys.due), fence=fence, lost=lost)
                for target, fence, lost in claims
            ),
            next_due=None if next_ms < 0 else moment(next_ms, key=keys.due),
        )

    async def renew(self, claim: Claim, *, now: datetime, lease: timedelta) -> None:
        """See `app.ports.Schedule`."""
        async with self._line.answering():
            held = await self._renew(
                keys=[self._keys.leases, self._keys.running],
                args=[claim.target, claim.fence, to_ms_up(now + lease)],
            )
        if not held:
            raise LeaseLost(f"another worker has {claim.target} now")

    async def requeue(self, claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        """See `app.ports.Schedule`."""
        keys = self._keys
        async with self._line.answering():
            await self._requeue(
                keys=[keys.due, keys.running, keys.leases, keys.lost],
                args=[claim.target, claim.fence, to_ms_up(due), int(forget_lost)],
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
