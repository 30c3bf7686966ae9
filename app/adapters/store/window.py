"""What counts for a while, in sliding windows: Redis counts."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from app.adapters.store.client import Line
from app.adapters.store.codec import moment, span_ms, text, to_ms


class RedisFailureWindow:
    """See `app.ports.FailureWindow`; ``lua/intend.lua`` and ``lua/note.lua`` write it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        edge = to_ms(now) - span_ms(window)
        return await self._count(self._keys.failures(target), edge, now)

    async def failing_targets(
        self, *, now: datetime, window: timedelta, after: datetime | None = None
    ) -> int:
        """See `app.ports.FailureWindow`."""
        edge = to_ms(now) - span_ms(window)
        if after is not None:
            edge = max(edge, to_ms(after))
        return await self._count(self._keys.failing, edge, now)

    async def recoveries(self, *, since: datetime) -> Mapping[str, tuple[datetime, ...]]:
        """See `app.ports.FailureWindow`."""
        found: defaultdict[str, list[datetime]] = defaultdict(list)
        for member, at in await self._later(self._keys.recoveries, since):
            _attempt, _, target = text(member, key=self._keys.recoveries).partition("|")
            found[target].append(at)
        return {target: tuple(times) for target, times in found.items()}

    async def charged(self, *, since: datetime) -> tuple[datetime, ...]:
        """See `app.ports.FailureWindow`."""
        return tuple(at for _, at in await self._later(self._keys.charges, since))

    async def _count(self, key: str, edge_ms: int, now: datetime) -> int:
        async with self._line.answering():
            return int(await self._redis.zcount(key, f"({edge_ms}", to_ms(now)))

    async def _later(self, key: str, since: datetime) -> list[tuple[bytes, datetime]]:
        """Read the members of a sorted set with their times, oldest first."""
        async with self._line.answering():
            found = cast(
                "list[tuple[bytes, float]]",
                await self._redis.zrangebyscore(key, f"({to_ms(since)}", "+inf", withscores=True),
            )
        return [(member, moment(at_ms, key=key)) for member, at_ms in found]
