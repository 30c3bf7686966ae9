"""What stops everything, or one target: few fields of one hash, kept for ever."""

from collections.abc import Mapping, Sequence
from typing import Final, cast
from uuid import uuid4

from app.adapters.store.arguments import Piece, of_lines
from app.adapters.store.client import Line
from app.adapters.store.codec import BRAKE, HALT, load_after_mark, span_ms, text, to_ms, to_ms_up
from app.adapters.store.keys import KEEP_HOLDS, MOST_LINES
from app.adapters.store.scripts import Script
from app.domain.audit import AuditEntry
from app.domain.control import Brake, Halt

_HOLD: Final = "hold:"


def hold_field(target: str) -> str:
    """Name the field of a target's hold."""
    return f"{_HOLD}{target}"


def hold_value(halt: Halt) -> bytes:
    """Write a hold as it is kept: ``until|json``."""
    until = b"" if halt.until is None else b"%d" % to_ms_up(halt.until)
    return b"%b|%b" % (until, HALT.dump(halt))


class RedisControls:
    """See `app.ports.Controls`. A hold is forgotten a day after its end, when another is set."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._control = Script(line, "control")
        self._key = line.keys.control

    async def pause(self) -> Halt | None:
        """See `app.ports.Controls`."""
        raw = await self._get("pause")
        return None if raw is None else HALT.load(raw, key=self._key)

    async def set_pause(self, halt: Halt | None, *, told: AuditEntry | None = None) -> None:
        """See `app.ports.Controls`."""
        await self._set({"pause": b"" if halt is None else HALT.dump(halt)}, told)

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

    async def set_hold(
        self, target: str, halt: Halt | None, *, told: AuditEntry | None = None
    ) -> None:
        """See `app.ports.Controls`."""
        if halt is None:
            await self._set({hold_field(target): b""}, told)
            return
        oldest = to_ms(halt.since) - span_ms(KEEP_HOLDS)
        await self._set({hold_field(target): hold_value(halt)}, told, forget=oldest)

    async def brake(self) -> Brake:
        """See `app.ports.Controls`."""
        raw = await self._get("brake")
        return Brake() if raw is None else BRAKE.load(raw, key=self._key)

    async def set_brake(self, brake: Brake) -> None:
        """See `app.ports.Controls`."""
        raw = BRAKE.dump(brake)
        # Beside the JSON: lua/read.lua counts by it.
        cleared = "" if brake.cleared_at is None else to_ms(brake.cleared_at)
        await self._set({"brake": raw, "cleared": cleared})

    async def _set(
        self, fields: Mapping[str, Piece], told: AuditEntry | None = None, *, forget: Piece = ""
    ) -> None:
        pairs = [piece for pair in fields.items() for piece in pair]
        # One name per call: its repetition after a lost answer is told once.
        line: Sequence[Piece] = ("", "", "", "")
        if told is not None:
            line = (uuid4().hex, to_ms(told.at), MOST_LINES, *of_lines([told]))
        keys = self._line.keys
        async with self._line.answering():
            await self._control(
                keys=[self._key, keys.audit, keys.anchor], args=[forget, *line, *pairs]
            )

    async def _get(self, field: str) -> bytes | None:
        async with self._line.answering():
            return cast("bytes | None", await self._redis.hget(self._key, field))
