"""Who tells of symptoms."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.alert import AlertListing, OwnAlert
from app.domain.usage import Reading


class AlertSource(Protocol):
    """Alertmanager's API."""

    async def listing(self) -> AlertListing:
        """Pull all alerts. :raises SourceUnavailable: no Alertmanager answered"""
        ...


class AlertSink(Protocol):
    """Where Relevo posts alerts of its own."""

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        """Post alerts to every Alertmanager. :raises SourceUnavailable: none took them"""
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

    async def firing(self) -> tuple[Mapping[str, str], ...]:
        """
        List the labels of every alert that its rules have firing now (``alertname`` among them).

        Silences and routes are Alertmanager's: nothing is known of them here.

        :raises SourceUnavailable:
        """
        ...


class UsageSource(Protocol):
    """Who remembers what containers used."""

    async def usage(
        self, *, engine: str, container: str, since: datetime, until: datetime, step: timedelta
    ) -> tuple[Reading, ...]:
        """
        Tell what a container used in a span, oldest first; empty where it was not measured.

        :raises SourceUnavailable:
        """
        ...
