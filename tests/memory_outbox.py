"""Outbox and audit in memory: as ``lua/tell.lua`` keeps them."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha1

from app.adapters.store.codec import AUDIT_ENTRY, MESSAGE, to_ms
from app.adapters.store.keys import MOST_LINES, MOST_MESSAGES
from app.domain.audit import AuditEntry, AuditKind, AuditLine, AuditMark, AuditText
from app.domain.message import Message
from app.ports import AuditCheck, Pending, Waiting


class MemoryOutbox:
    """See `app.ports.Outbox`."""

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._last = 0
        self._dropped: Counter[str] = Counter()

    def put(self, messages: Iterable[Message]) -> None:
        """Put messages at the end; the oldest give way."""
        for message in messages:
            self._last += 1
            self._messages[self._last] = MESSAGE.load(MESSAGE.dump(message), key="outbox")
            if len(self._messages) > MOST_MESSAGES:
                gone = self._messages.pop(min(self._messages))
                self._dropped[gone.kind] += 1

    async def waiting(self, *, limit: int) -> Waiting:
        """See `app.ports.Outbox`."""
        oldest = sorted(self._messages.items())[:limit]
        return Waiting(
            messages=tuple(Pending(place=place, message=message) for place, message in oldest),
            number=len(self._messages),
            dropped=dict(self._dropped),
        )

    async def done(self, place: int) -> None:
        """See `app.ports.Outbox`."""
        self._messages.pop(place, None)


class MemoryAudit:
    """See `app.ports.Audit`."""

    def __init__(self) -> None:
        self._lines: list[AuditText] = []
        #: The newest line that gave way.
        self._anchor = AuditMark()

    def write(self, entries: Iterable[AuditEntry], *, now: datetime) -> None:
        """Write lines."""
        for entry in entries:
            before = self._lines[-1].mark if self._lines else AuditMark()
            at = max(int(before.id.partition("-")[0]), to_ms(now))
            line_id, text = f"{at}-{before.number + 1}", AUDIT_ENTRY.dump(entry).decode()
            chain = sha1(f"{before.chain}\n{line_id}\n{text}".encode()).hexdigest()
            self._lines.append(AuditText(id=line_id, chain=chain, text=text))
            for gone in self._lines[:-MOST_LINES]:
                self._anchor = gone.mark
            del self._lines[:-MOST_LINES]

    async def tell(self, entry: AuditEntry) -> None:
        """See `app.ports.Audit`."""
        self.write([entry], now=entry.at)

    async def entries(
        self, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[AuditLine, ...]:
        """See `app.ports.Audit`."""
        return tuple(
            AuditLine(
                number=one.number, chain=one.chain, entry=AUDIT_ENTRY.load(one.text, key="audit")
            )
            for one in await self.texts(since=since, limit=limit)
        )

    async def texts(
        self, *, since: datetime | None = None, after: str | None = None, limit: int = 1000
    ) -> tuple[AuditText, ...]:
        """See `app.ports.Audit`."""
        start = (0, 0)
        if after is not None:
            start = _place(after)
        elif since is not None:
            start = (to_ms(since) - 1, 2**63)
        found = [one for one in self._lines if _place(one.id) > start]
        return tuple(found[: max(limit, 0)])

    async def verify(self) -> AuditCheck:
        """See `app.ports.Audit`."""
        first = self._lines[0].number if self._lines else 0
        before, losses = self._anchor, []
        for lines, one in enumerate(self._lines, start=1):
            if not one.follows(before):
                return AuditCheck(lines=lines, first=first, broken_at=one.number)
            before = one.mark
            if AUDIT_ENTRY.load(one.text, key="audit").kind is AuditKind.LOST:
                losses.append(one.number)
        return AuditCheck(
            lines=len(self._lines),
            first=first,
            broken_at=None,
            head=await self.head(),
            losses=tuple(losses),
        )

    async def head(self) -> AuditMark | None:
        """See `app.ports.Audit`."""
        return self._lines[-1].mark if self._lines else None

    async def holds(self, mark: AuditMark) -> bool:
        """See `app.ports.Audit`."""
        first = self._lines[0].number if self._lines else 1
        place = mark.number - first
        if 0 <= place < len(self._lines) and self._lines[place].id == mark.id:
            return self._lines[place].mark == mark
        return mark.number <= self._anchor.number


def _place(line_id: str) -> tuple[int, int]:
    ms, _, number = line_id.partition("-")
    return int(ms), int(number)
