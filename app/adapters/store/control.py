"""What stops everything, or one target: few fields of one hash, kept for ever."""

from collections.abc import Mapping
from typing import Final, cast

from app.adapters.store.client import Line
from app.adapters.store.codec import BRAKE, HALT, load_after_mark, span_ms, text, to_ms, to_ms_up
from app.adapters.store.keys import KEEP_HOLDS
from app.adapters.store.scripts import load_script
from app.domain.control import Brake, Halt

_HOLD: Final = "hold:"


def hold_field(target: str) -> str:
    """Name the field of a target's hold."""
    return f"{_HOLD}{target}"


class RedisControls:
    """See `app.ports.Controls`. A hold is forgotten a day after its end, when another is set."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._hold = load_script(line.redis, "hold")
        self._key = line.keys.control

    async def pause(self) -> Halt | None:
        """See `app.ports.Controls`."""
        raw = await self._get("pause")
        return None if raw is None else HALT.load(raw, key=self._key)

    async def set_pause(self, halt: Halt | None) -> None:
        """See `app.ports.Controls`."""
        raw = None if halt is None else HALT.dump(halt)
        async with self._line.answering():
            if raw is None:
                await self._redis.hdel(self._key, "pause")
            else:
                await self._redis.hset(self._key, "pause", raw)

    async def holds(self) -> Mapping[str, Halt]:
        """See `app.ports.Controls`."""
        async with self._line.answering():
            fields = cast("dict[bytes, bytes]", await self._redis.hgetall(self._key))
        names = ((text(name, key=self._key), raw) for name, raw in fields.items())
        return {
            name.removeprefix(_HOLD): load_after_mark(HALT, raw, key=self._key)
            for name, raw in names
            if name.startswith(_HOLD)
        }

    async def set_hold(self, target: str, halt: Halt | None) -> None:
        """See `app.ports.Controls`."""
        if halt is None:
            async with self._line.answering():
                await self._redis.hdel(self._key, hold_field(target))
            return
        until = b"" if halt.until is None else b"%d" % to_ms_up(halt.until)
        stored = b"%b|%b" % (until, HALT.dump(halt))
        async with self._line.answering():
            await self._hold(
                keys=[self._key],
                args=[hold_field(target), stored, to_ms(halt.since) - span_ms(KEEP_HOLDS)],
            )

    async def brake(self) -> Brake:
        """See `app.ports.Controls`."""
        raw = await self._get("brake")
        return Brake() if raw is None else BRAKE.load(raw, key=self._key)

    async def set_brake(self, brake: Brake) -> None:
        """See `app.ports.Controls`."""
        raw = BRAKE.dump(brake)
        # Beside the JSON: lua/read.lua counts by it.
        cleared = "" if brake.cleared_at is None else to_ms(brake.cleared_at)
        async with self._line.answering():
            await self._redis.hset(self._key, mapping={"brake": raw, "cleared": cleared})

    async def _get(self, field: str) -> bytes | None:
        async with self._line.answering():
            return cast("bytes | None", await self._redis.hget(self._key, field))
