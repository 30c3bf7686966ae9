"""Alerts as Alertmanager sends them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: What the names of Relevo's own alerts begin with: an outcome must never look like a symptom.
OWN_ALERTS = "Relevo"


class AlertStatus(StrEnum):
    """An alert's own status, never its group's."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One firing or resolved alert of a notification."""

    #: Alertmanager's hash of the labels; the same when firing and resolved.
    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    alert_annotations: Mapping[str, str]
    starts_at: datetime
    #: None while it is open.
    ends_at: datetime | None = None

    @property
    def name(self) -> str:
        """Its ``alertname``; empty where a sender gave none."""
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAlert:
    """An alert as it is kept with its target."""

    alert: Alert
    #: When its first notice (of this ``starts_at``) was received.
    received_at: datetime
    #: When its last notice was received.
    notified_at: datetime
    #: Alertmanager's API has listed it once: from then on the API is asked, not the notices.
    listed: bool = False


class ListedState(StrEnum):
    """What Alertmanager's API says of an alert."""

    ACTIVE = "active"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAlert:
    """An alert as Alertmanager's API lists it."""

    fingerprint: str
    labels: Mapping[str, str]
    alert_annotations: Mapping[str, str]
    state: ListedState
    starts_at: datetime
    #: How much longer ago it was sent last than RelevoWatchdog, by the rules that evaluate both;
    #: zero where that cannot be told. Whoever still thinks that it fires sends it as often.
    behind: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertListing:
    """One pull of every configured Alertmanager."""

    #: Alerts that are routed to our receiver, silenced and inhibited ones included.
    alerts: tuple[ListedAlert, ...]
    #: The always-firing RelevoWatchdog is among all alerts listed.
    watchdog: bool
    #: When the Alertmanager that has been up longest started, of those that list the watchdog.
    up_since: datetime
    #: False: its routes to our receiver have mute or active time intervals. A muted alert is listed
    #: as active although nobody is notified, so what is listed confirms and resolves, and opens
    #: nothing.
    may_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAlert:
    """An alert that Relevo itself posts to Alertmanager."""

    labels: Mapping[str, str]
    alert_annotations: Mapping[str, str]
    starts_at: datetime
    #: Re-posted before then while it lasts; in the past: it is over.
    ends_at: datetime
