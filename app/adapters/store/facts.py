"""Small facts about the chain that must outlive a restart."""

from app.adapters.store.client import Line
from app.adapters.store.codec import text


class RedisFacts:
    """See `app.ports.Facts`. As many as there are names in our code, kept for ever."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys

    async def get(self, name: str) -> str | None:
        """See `app.ports.Facts`."""
        async with self._line.answering():
            value = await self._redis.hget(self._keys.facts, name)
        return None if value is None else text(value, key=self._keys.facts)

    async def put(self, name: str, value: str) -> None:
        """See `app.ports.Facts`."""
        async with self._line.answering():
            await self._redis.hset(self._keys.facts, name, value)
