"""Alertmanager's API v2 in our words: what it lists, what it says of itself, what we post."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from pydantic import AfterValidator, AwareDatetime, BaseModel, TypeAdapter, ValidationError

from app.domain.alert import ListedAlert, ListedState, OwnAlert
from app.errors import SourceUnavailable

#: The always-firing alert of our shipped rules: proof that Prometheus still talks to Alertmanager.
WATCHDOG = "RelevoWatchdog"

_log = structlog.get_logger(__name__)


def _in_utc(moment: datetime) -> datetime:
    # Go's zero time: an alert that never started was not written by Alertmanager.
    if not 1 < moment.year < 9999:
        raise ValueError("is no time at which anything happened")
    return moment.astimezone(UTC)


_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Receiver(BaseModel, defer_build=True):
    name: str


class _Status(BaseModel, defer_build=True):
    state: str
    silencedBy: tuple[str, ...] | None = None
    inhibitedBy: tuple[str, ...] | None = None
    #: Since 0.28, and empty in this list all the same (see `alertmanager_mutes`).
    mutedBy: tuple[str, ...] | None = None

    @property
    def listed(self) -> ListedState:
        """Suppressed by whatever means; ``unprocessed`` is active: nobody holds it back."""
        muted = self.silencedBy or self.inhibitedBy or self.mutedBy
        return ListedState.SUPPRESSED if muted or self.state == "suppressed" else ListedState.ACTIVE


class _AlertIn(BaseModel, defer_build=True):
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    receivers: tuple[_Receiver, ...]
    status: _Status
    startsAt: _Moment
    updatedAt: _Moment | None = None
    #: Prometheus' link to the rule; empty for what somebody has posted by hand, once.
    generatorURL: str = ""

    def to_domain(self, watchdog: "_AlertIn | None") -> ListedAlert:
        behind = timedelta(0)
        if watchdog is not None and watchdog.updatedAt and self.updatedAt and self.generatorURL:
            behind = max(behind, watchdog.updatedAt - self.updatedAt)
        return ListedAlert(
            fingerprint=self.fingerprint,
            labels=self.labels,
            alert_annotations=self.annotations,
            state=self.status.listed,
            starts_at=self.startsAt,
            behind=behind,
        )


class _StatusIn(BaseModel, defer_build=True):
    #: Despite its name the time at which the process started.
    uptime: _Moment
    #: Whatever it is: one that we cannot read is no reason to believe no alert.
    config: object = None


_ALERTS = TypeAdapter(list[object])


@dataclass(frozen=True, slots=True)
class Listed:
    """What one Alertmanager lists."""

    #: Those that are routed to our receiver.
    ours: tuple[ListedAlert, ...]
    watchdog: bool
    #: Alerts that could not be read.
    unreadable: int


def read_alerts(body: object, receiver: str) -> Listed:
    """
    Read ``GET /api/v2/alerts``; an alert that cannot be read does not harm its neighbours.

    :raises SourceUnavailable: it is no list
    """
    try:
        items = _ALERTS.validate_python(body, strict=True)
    except ValidationError as exc:
        raise _not_known(exc) from exc
    read = [alert for alert in map(_read, items) if alert is not None]
    watchdog = next((a for a in read if a.labels.get("alertname") == WATCHDOG), None)
    return Listed(
        ours=tuple(
            alert.to_domain(watchdog)
            for alert in read
            if any(each.name == receiver for each in alert.receivers)
        ),
        watchdog=watchdog is not None,
        unreadable=len(items) - len(read),
    )


def read_status(body: object) -> tuple[datetime, object]:
    """
    Read ``GET /api/v2/status``: when the process started, and the text of its configuration.

    :raises SourceUnavailable: it does not say when it started
    """
    try:
        status = _StatusIn.model_validate(body)
    except ValidationError as exc:
        raise _not_known(exc) from exc
    config = status.config
    return status.uptime, config.get("original") if isinstance(config, dict) else None


def written(alerts: Sequence[OwnAlert]) -> list[dict[str, object]]:
    """Write alerts for ``POST /api/v2/alerts``."""
    return [
        {
            "labels": dict(alert.labels),
            "annotations": dict(alert.alert_annotations),
            "startsAt": alert.starts_at.isoformat(),
            "endsAt": alert.ends_at.isoformat(),
        }
        for alert in alerts
    ]


def _read(item: object) -> _AlertIn | None:
    try:
        return _AlertIn.model_validate(item)
    except ValidationError as exc:
        _log.debug("alertmanager.unreadable_alert", error=_first(exc))
        return None


def _not_known(exc: ValidationError) -> SourceUnavailable:
    return SourceUnavailable(f"Alertmanager answered in a form that is not known: {_first(exc)}")


def _first(exc: ValidationError) -> str:
    first = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
