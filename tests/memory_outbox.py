"""Outbox and audit in memory: as ``lua/tell.lua`` keeps them."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha1

from app.adapters.store.codec import AUDIT_ENTRY, MESSAGE, to_ms
from app.adapters.store.keys import MOST_LINES, MOST_MESSAGES
from app.domain.audit import AuditEntry, AuditLine
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
        #: Name of the line, chain, JSON.
        self._lines: list[tuple[int, int, str, bytes]] = []

    def write(self, entries: Iterable[AuditEntry], *, now: datetime) -> None:
        """Write lines."""
        for entry in entries:
            at, number, chain, _ = self._lines[-1] if self._lines else (0, 0, "", b"")
            at, number, json = max(at, to_ms(now)), number + 1, AUDIT_ENTRY.dump(entry)
            self._lines.append((at, number, _link(chain, at, number, json), json))
            del self._lines[:-MOST_LINES]

    async def entries(
        self, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[AuditLine, ...]:
        """See `app.ports.Audit`."""
        found = [
            AuditLine(number=number, chain=chain, entry=AUDIT_ENTRY.load(json, key="audit"))
            for at, number, chain, json in self._lines
            if since is None or at >= to_ms(since)
        ]
        return tuple(found[: max(limit, 0)])

    async def verify(self) -> AuditCheck:
        """See `app.ports.Audit`."""
        first = self._lines[0][1] if self._lines else 0
        for place, (at, number, chain, json) in enumerate(self._lines):
            if place or number == 1:
                last, link = (self._lines[place - 1][1:3]) if place else (0, "")
                if number != last + 1 or _link(link, at, number, json) != chain:
                    return AuditCheck(lines=place + 1, first=first, broken_at=number)
        return AuditCheck(lines=len(self._lines), first=first, broken_at=None)


def _link(before: str, at: int, number: int, json: bytes) -> str:
    return sha1(f"{before}\n{at}-{number}\n".encode() + json).hexdigest()
