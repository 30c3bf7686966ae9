"""What is still to be told to people's tools."""

from typing import Final, cast

from app.adapters.store.client import Line
from app.adapters.store.codec import MESSAGE, text, whole
from app.adapters.store.scripts import Script
from app.domain.message import Message
from app.errors import StoreUnavailable
from app.ports import Pending, Waiting

_DROPPED: Final = "dropped:"


class RedisOutbox:
    """See `app.ports.Outbox`; ``lua/note.lua`` writes it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._delivered = Script(line, "delivered")

    async def waiting(self, *, limit: int) -> Waiting:
        """See `app.ports.Outbox`."""
        keys = self._keys
        if limit < 1:
            raise ValueError("to look at no message is no look")
        async with self._line.answering(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrange(keys.outbox, 0, limit - 1, withscores=True)
            pipe.zcard(keys.outbox)
            pipe.hgetall(keys.outbox_counts)
            found, number, counts = await pipe.execute()
        members = cast("list[tuple[bytes, float]]", found)
        return Waiting(
            messages=tuple(
                Pending(place=whole(place, key=keys.outbox), message=_load(raw, key=keys.outbox))
                for raw, place in members
            ),
            number=number,
            dropped=_dropped(cast("dict[bytes, bytes]", counts), key=keys.outbox_counts),
        )

    async def done(self, place: int) -> None:
        """See `app.ports.Outbox`."""
        async with self._line.answering():
            await self._delivered(keys=[self._keys.outbox], args=[place])


def _load(raw: bytes, *, key: str) -> Message | None:
    """Read ``place|kind|json``; one that cannot be read must not keep the others waiting."""
    try:
        return MESSAGE.load(raw.split(b"|", 2)[-1], key=key)
    except StoreUnavailable:
        return None


def _dropped(counts: dict[bytes, bytes], *, key: str) -> dict[str, int]:
    names = {text(name, key=key): raw for name, raw in counts.items()}
    return {
        name.removeprefix(_DROPPED): whole(raw, key=key)
        for name, raw in names.items()
        if name.startswith(_DROPPED)
    }
