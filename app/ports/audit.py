"""The audit: who did what to which container, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.audit import AuditLine


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheck:
    """Whether the audit is what was written, as far back as it is kept."""

    #: Lines that were looked at.
    lines: int
    #: Number of the oldest line that is kept; 0: there is none. Lines before it were dropped.
    first: int
    #: Number of the first line that was changed, or that follows a missing one; None: none.
    broken_at: int | None


class Audit(Protocol):
    """
    Lines that were written together with what they tell of; the newest 100,000.

    An intent is written by `Records.intend`, what came of it by `Records.note` (`Entry.audit`).
    """

    async def entries(
        self, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[AuditLine, ...]:
        """
        Read lines, the oldest first.

        :param since: none that was written earlier
        :raises StoreUnavailable: no answer, or a line that cannot be read
        """
        ...

    async def verify(self) -> AuditCheck:
        """
        Work the chain out again.

        :raises StoreUnavailable:
        """
        ...
