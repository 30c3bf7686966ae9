"""Instances that leave: written down before anything is done to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.activity import Activity
from app.domain.audit import AuditEntry
from app.ports.records import Limits, Reply


class Scaling(Protocol):
    """
    Scale-ins, from their intent to their end; of each group one at a time.

    The activity is the record: `container_id` leaves, whatever becomes of us. So are sources that
    are isolated, stopped and brought back: they stay, and are off duty in between.
    """

    async def begin(
        self,
        activity: Activity,
        limits: Limits,
        *,
        now: datetime,
        told: AuditEntry,
        reply: Reply | None = None,
    ) -> Activity | Reply:
        """
        Write down that an instance leaves, and charge it; harmless when repeated.

        :param activity: in progress
        :param told: its line in the audit: the intent
        :param reply: what the request under an Idempotency-Key is answered from now on
        :return: the activity; another one where the group has one under way already, or what
            this Idempotency-Key was answered before: then nothing was written
        :raises OutOfBudget: too much was done lately; nothing was written
        :raises StoreUnavailable:
        """
        ...

    async def under_way(self) -> Sequence[Activity]:
        """List those that have begun and not ended. :raises StoreUnavailable:"""
        ...

    async def replaced(self) -> Sequence[Activity]:
        """
        List those by which a source was isolated or stopped that has not been brought back since.

        The oldest first; for as long as their records are kept.

        :raises StoreUnavailable:
        """
        ...

    async def end(self, activity: Activity, *, now: datetime, told: AuditEntry) -> None:
        """
        Write down how it ended, and free its slot; harmless when repeated.

        One that was successful because it was not needed any more (`Reason.QUIET`, or ordered)
        is told as `Dossier.left_at` from then on. A source that was isolated or stopped is among
        `replaced` from then on, one that was brought back no more.

        :param activity: with its final status
        :raises StoreUnavailable:
        :raises LeaseLost: another controller leads
        """
        ...
