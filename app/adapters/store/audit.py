"""The audit: lines in a stream, each chained to the one before; see ``lua/tell.lua``."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final, cast
from uuid import uuid4

from app.adapters.store.arguments import of_lines
from app.adapters.store.client import Line
from app.adapters.store.codec import AUDIT_ENTRY, span_ms, text, to_ms
from app.adapters.store.keys import KEEP_CALLS, MOST_LINES
from app.adapters.store.scripts import Script
from app.domain.audit import AuditEntry, AuditKind, AuditLine, AuditMark, AuditText
from app.ports import AuditCheck

#: Lines read at once.
_PAGE: Final = 1000
#: As it stands in the JSON of a line; in what people have written the marks are escaped.
_TELLS_OF_LOSS: Final = f'"kind":"{AuditKind.LOST}"'

_Fields = dict[bytes, bytes]
_Raw = tuple[bytes, _Fields]


class RedisAudit:
    """See `app.ports.Audit`; ``lua/intend.lua`` and others write it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._key = line.keys.audit
        self._tell = Script(line, "line")

    async def entries(
        self, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[AuditLine, ...]:
        """See `app.ports.Audit`."""
        return tuple(
            AuditLine(
                number=one.number,
                chain=one.chain,
                entry=AUDIT_ENTRY.load(one.text, key=self._key),
            )
            for one in await self.texts(since=since, limit=limit)
        )

    async def texts(
        self, *, since: datetime | None = None, after: str | None = None, limit: int = 1000
    ) -> tuple[AuditText, ...]:
        """See `app.ports.Audit`."""
        start = "-" if since is None else str(max(0, to_ms(since)))
        found: list[AuditText] = []
        if limit < 1:
            return ()
        async for one in self._lines(start if after is None else f"({after}"):
            found.append(one)
            if len(found) >= limit:
                break
        return tuple(found)

    async def verify(self) -> AuditCheck:
        """See `app.ports.Audit`."""
        anchor, page = await self._beginning()
        before, lines, first = anchor, 0, 0
        losses: list[int] = []
        while page:
            for one in page:
                lines += 1
                first = first or one.number
                if not one.follows(before):
                    return AuditCheck(lines=lines, first=first, broken_at=one.number)
                before = one.mark
                if _TELLS_OF_LOSS in one.text:
                    losses.append(one.number)
            page = await self._page(f"({before.id}") if len(page) == _PAGE else []
        # Lines give way where there are too many, and only then: fewer, and somebody has cut them
        # off, whatever he has written down to have come before.
        broken = anchor.number + 1 if anchor.number and lines < MOST_LINES else None
        head = before if lines else None
        return AuditCheck(
            lines=lines, first=first, broken_at=broken, head=head, losses=tuple(losses)
        )

    async def head(self) -> AuditMark | None:
        """See `app.ports.Audit`."""
        async with self._line.answering():
            newest = cast("list[_Raw]", await self._redis.xrevrange(self._key, count=1))
        return self._load(*newest[0]).mark if newest else None

    async def holds(self, mark: AuditMark) -> bool:
        """See `app.ports.Audit`."""
        async with self._line.answering():
            found = cast(
                "list[_Raw]", await self._redis.xrange(self._key, min=mark.id, max=mark.id)
            )
            if found:
                return self._load(*found[0]).mark == mark
            anchor = self._anchor(await self._redis.hgetall(self._keys.anchor))
        return mark.number <= anchor.number

    async def tell(self, entry: AuditEntry) -> None:
        """See `app.ports.Audit`."""
        keys = self._keys
        # One name per call: its repetition after a lost answer is told once.
        called = keys.told(uuid4().hex)
        async with self._line.answering():
            await self._tell(
                keys=[called, keys.audit, keys.anchor],
                args=[span_ms(KEEP_CALLS), to_ms(entry.at), MOST_LINES, *of_lines([entry])],
            )

    async def _beginning(self) -> tuple[AuditMark, list[AuditText]]:
        """Read what gave way last and the oldest lines, of one moment."""
        async with self._line.answering():
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(self._keys.anchor)
            pipe.xrange(self._key, count=_PAGE)
            anchor, page = cast("tuple[_Fields, list[_Raw]]", await pipe.execute())
        return self._anchor(anchor), [self._load(*raw) for raw in page]

    async def _lines(self, start: str) -> AsyncIterator[AuditText]:
        while True:
            page = await self._page(start)
            for one in page:
                yield one
            if len(page) < _PAGE:
                return
            start = f"({page[-1].id}"

    async def _page(self, start: str) -> list[AuditText]:
        async with self._line.answering():
            page = cast("list[_Raw]", await self._redis.xrange(self._key, min=start, count=_PAGE))
        return [self._load(*raw) for raw in page]

    def _load(self, name: bytes, fields: _Fields) -> AuditText:
        return AuditText(
            id=text(name, key=self._key),
            chain=fields.get(b"chain", b"").decode(errors="backslashreplace"),
            text=fields.get(b"entry", b"").decode(errors="backslashreplace"),
        )

    def _anchor(self, fields: dict[Any, Any]) -> AuditMark:
        """Read what gave way; what is no id there is a place before all lines, as none is."""
        line_id = fields.get(b"id", b"").decode(errors="replace")
        chain = fields.get(b"chain", b"").decode(errors="replace")
        ms, _, number = line_id.partition("-")
        if not (ms.isdecimal() and number.isdecimal() and line_id.isascii()):
            return AuditMark()
        return AuditMark(id=line_id, chain=chain)
