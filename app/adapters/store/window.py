"""Failed restarts in a sliding window: Redis counts."""

from datetime import datetime, timedelta

from app.adapters.store.client import Line
from app.adapters.store.codec import span_ms, to_ms


class RedisFailureWindow:
    """See `app.ports.FailureWindow`; ``lua/note.lua`` writes it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        return await self._count(self._keys.failures(target), now, window)

    async def failing_targets(self, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        return await self._count(self._keys.failing, now, window)

    async def _count(self, key: str, now: datetime, window: timedelta) -> int:
        now_ms = to_ms(now)
        async with self._line.answering():
            return int(await self._redis.zcount(key, f"({now_ms - span_ms(window)}", now_ms))
