"""The audit: lines in a stream, each chained to the one before; see ``lua/tell.lua``."""

from collections.abc import AsyncIterator
from datetime import datetime
from hashlib import sha1
from typing import Final, cast

from app.adapters.store.client import Line
from app.adapters.store.codec import AUDIT_ENTRY, text, to_ms, unreadable
from app.domain.audit import AuditLine
from app.ports import AuditCheck

#: Lines read at once.
_PAGE: Final = 1000

_Raw = tuple[bytes, dict[bytes, bytes]]


class RedisAudit:
    """See `app.ports.Audit`; ``lua/intend.lua`` and others write it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._key = line.keys.audit

    async def entries(
        self, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[AuditLine, ...]:
        """See `app.ports.Audit`."""
        found: list[AuditLine] = []
        if limit < 1:
            return ()
        async for name, fields in self._raw("-" if since is None else str(to_ms(since))):
            found.append(self._load(name, fields))
            if len(found) >= limit:
                break
        return tuple(found)

    async def verify(self) -> AuditCheck:
        """See `app.ports.Audit`."""
        lines = first = 0
        before: tuple[int, bytes] | None = None
        async for name, fields in self._raw("-"):
            number = self._number(name)
            chain = fields.get(b"chain", b"")
            lines += 1
            first = first or number
            # What the oldest line that is kept is chained to is gone, unless it is the first.
            if before is not None or number == 1:
                last, link = before or (0, b"")
                whole = b"\n".join((link, name, fields.get(b"entry", b"")))
                # Redis' Lua has no other digest.
                if number != last + 1 or sha1(whole).hexdigest().encode() != chain:  # noqa: S324
                    return AuditCheck(lines=lines, first=first, broken_at=number)
            before = number, chain
        return AuditCheck(lines=lines, first=first, broken_at=None)

    async def _raw(self, start: str) -> AsyncIterator[_Raw]:
        while True:
            async with self._line.answering():
                page = cast(
                    "list[_Raw]",
                    await self._redis.xrange(self._key, min=start, max="+", count=_PAGE),
                )
            for one in page:
                yield one
            if len(page) < _PAGE:
                return
            start = "(" + text(page[-1][0], key=self._key)

    def _load(self, name: bytes, fields: dict[bytes, bytes]) -> AuditLine:
        return AuditLine(
            number=self._number(name),
            chain=text(fields.get(b"chain", b""), key=self._key),
            entry=AUDIT_ENTRY.load(fields.get(b"entry", b""), key=self._key),
        )

    def _number(self, name: bytes) -> int:
        try:
            return int(name.partition(b"-")[2])
        except ValueError as exc:
            raise unreadable(self._key, exc) from exc
