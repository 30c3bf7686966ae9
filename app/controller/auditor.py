"""The audit for people: its lines, whether they are whole, and what has no better place."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from app.controller.memory import Memory
from app.domain.audit import AuditEntry, AuditKind, AuditMark, AuditText
from app.errors import StoreUnavailable
from app.ports import Audit, AuditCheck, Clock

log: Final = structlog.get_logger("relevo.auditor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """Whether the audit is what was written, and what is remembered of it elsewhere."""

    check: AuditCheck
    #: Where it stood when this controller looked last, kept outside of the store.
    known: AuditMark | None
    #: That line is still there, as it was; None: none is known.
    holds_known: bool | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing or changed, as far as anybody here can tell."""
        return (
            self.check.broken_at is None and not self.check.losses and self.holds_known is not False
        )


class Auditor:
    """Reads the audit; `StoreUnavailable` where it cannot be read."""

    def __init__(self, audit: Audit, memory: Memory, clock: Clock) -> None:
        self._audit = audit
        self._memory = memory
        self._clock = clock

    async def texts(
        self, *, since: datetime | None, after: str | None, limit: int
    ) -> tuple[AuditText, ...]:
        """Read lines as they are kept; see `app.ports.Audit`."""
        return await self._audit.texts(since=since, after=after, limit=limit)

    async def verify(self) -> Audited:
        """Work the chain out again, and look for the line that is remembered."""
        # Before the lines are read: whatever is written meanwhile, that one must be there.
        known = self._memory.audit
        check = await self._audit.verify()
        holds = None if known is None else await self._audit.holds(known)
        return Audited(check=check, known=known, holds_known=holds)

    async def tell_of_reload(
        self,
        *,
        refused: str | None,
        author: str = "api",
        scope: str | None = None,
        address: str | None = None,
    ) -> None:
        """
        Say that a person has had the files read again; he does not wait for a lost store.

        :param author: ``api``, or the signal that was sent
        """
        line = AuditEntry(
            at=self._clock.now(),
            kind=AuditKind.ORDER if refused is None else AuditKind.REFUSED,
            order="reload",
            author=author,
            scope=scope,
            address=address,
            detail=refused,
        )
        try:
            await self._audit.tell(line)
        except StoreUnavailable as exc:
            log.warning("reload not told in the audit", error=str(exc))
