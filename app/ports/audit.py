"""The audit: who did what to which container, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.audit import AuditEntry, AuditLine, AuditMark, AuditText


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheck:
    """Whether the audit is what was written, as far back as it is kept."""

    #: Lines that were looked at.
    lines: int
    #: Number of the oldest line that is kept; 0: there is none.
    first: int
    #: Number of the first line that was changed, or that follows a missing one; None: none.
    broken_at: int | None
    #: The newest line that was looked at; None: there is none.
    head: AuditMark | None = None
    #: Numbers of the lines that tell of lost ones.
    losses: tuple[int, ...] = ()


class Audit(Protocol):
    """
    Lines that were written together with what they tell of; the newest 100,000.

    An intent is written by `Records.intend`, what came of it by `Records.note` (`Entry.audit`). Of
    those that gave way to younger ones the newest is remembered: the oldest line is chained to it.
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

    async def texts(
        self, *, since: datetime | None = None, after: str | None = None, limit: int = 1000
    ) -> tuple[AuditText, ...]:
        """
        Read lines as they are kept, the oldest first, readable or not.

        :param since: none that was written earlier
        :param after: id of a line: only what comes after it; wins over `since`
        :raises StoreUnavailable:
        """
        ...

    async def verify(self) -> AuditCheck:
        """
        Work the chain out again.

        :raises StoreUnavailable:
        """
        ...

    async def head(self) -> AuditMark | None:
        """Tell where it stands; None: it has no line. :raises StoreUnavailable:"""
        ...

    async def holds(self, mark: AuditMark) -> bool:
        """
        Tell whether that line is there as it was; one that has given way to younger ones is.

        :raises StoreUnavailable:
        """
        ...

    async def tell(self, entry: AuditEntry) -> None:
        """
        Write one line that tells of nothing else that is written.

        :raises StoreUnavailable: it may have been written nevertheless
        """
        ...
