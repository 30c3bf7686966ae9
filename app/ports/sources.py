"""Who tells of symptoms."""

from datetime import datetime
from typing import Protocol

from app.domain.alert import AlertListing


class AlertSource(Protocol):
    """Alertmanager's API."""

    async def listing(self) -> AlertListing:
        """Pull all alerts. :raises SourceUnavailable: no Alertmanager answered"""
        ...


class SampleSource(Protocol):
    """Prometheus' API."""

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        """
        Tell when the newest sample of a container was taken.

        None where no sample of it was ever seen (in the last day): it is not measured there.

        :raises SourceUnavailable:
        """
        ...
