"""Alertmanager's API, one or several of them: every alert that is not resolved, in one look."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import httpx
import structlog
from pydantic import AfterValidator, AwareDatetime, BaseModel, TypeAdapter, ValidationError

from app.adapters.json_get import WHOLE_CALL, get_json
from app.domain.alert import AlertListing, ListedAlert, ListedState
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


class _Receiver(BaseModel):
    name: str


class _Status(BaseModel):
    state: str
    silencedBy: tuple[str, ...] | None = None
    inhibitedBy: tuple[str, ...] | None = None
    #: Since 0.28.
    mutedBy: tuple[str, ...] | None = None

    @property
    def listed(self) -> ListedState:
        """Suppressed by whatever means; ``unprocessed`` is active: nobody holds it back."""
        muted = self.silencedBy or self.inhibitedBy or self.mutedBy
        return ListedState.SUPPRESSED if muted or self.state == "suppressed" else ListedState.ACTIVE


class _AlertIn(BaseModel):
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    receivers: tuple[_Receiver, ...]
    status: _Status
    startsAt: _Moment


class _StatusIn(BaseModel):
    #: Despite its name the time at which the process started.
    uptime: _Moment


_ALERTS = TypeAdapter(list[object])


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one Alertmanager said."""

    listing: AlertListing
    #: Alerts that could not be read.
    unreadable: int


class Alertmanagers:
    """
    `ports.AlertSource` over the API v2 of one Alertmanager, or of a highly available group.

    Members of a group share silences and notifications but not alerts: Prometheus sends those to
    each. So all are asked, and an alert counts as active as soon as one of them says so.

    :param urls: base URLs, path prefixes included, such as ``http://alertmanager:9093``
    :param receiver: only alerts that are routed to this receiver are ours
    :param client: shared; whoever made it closes it
    :param limit: time for each call; a listing makes two to each Alertmanager
    """

    def __init__(
        self,
        urls: Sequence[str],
        receiver: str,
        client: httpx.AsyncClient,
        *,
        limit: timedelta = WHOLE_CALL,
    ) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._receiver = receiver
        self._client = client
        self._limit = limit
        self._said: dict[str, str] = {}

    async def listing(self) -> AlertListing:
        """
        Pull all alerts of all Alertmanagers; one answer is enough.

        An alert that cannot be read is left out and logged, its neighbours are not affected.
        Resolved alerts are not listed: Alertmanager leaves them out itself.

        :raises SourceUnavailable: none answered; says what each of them did
        """
        answers = await asyncio.gather(*(self._try(url) for url in self._urls))
        heard = [answer for answer in answers if isinstance(answer, AlertListing)]
        if not heard:
            failures = [str(answer) for answer in answers] or ["none is configured"]
            raise SourceUnavailable("; ".join(failures))
        # One and the same member must have the watchdog and have been up: an old one that is cut
        # off from Prometheus and one that has just started prove nothing together.
        told = [listing for listing in heard if listing.watchdog] or heard
        return AlertListing(
            alerts=_merged(alert for listing in heard for alert in listing.alerts),
            watchdog=told[0].watchdog,
            up_since=min(listing.up_since for listing in told),
        )

    async def _try(self, url: str) -> AlertListing | SourceUnavailable:
        try:
            answer = await self._ask(url)
        except SourceUnavailable as exc:
            self._say(url, str(exc))
            return exc
        self._say(
            url, f"{answer.unreadable} alerts cannot be read: left out" if answer.unreadable else ""
        )
        return answer.listing

    async def _ask(self, url: str) -> _Answer:
        # In this order: one that restarts in between has forgotten its alerts, and must not pass
        # for one that has been up for long and knows of none.
        alerts = await self._get(f"{url}/api/v2/alerts")
        status = await self._get(f"{url}/api/v2/status")
        try:
            up_since = _StatusIn.model_validate(status).uptime
            items = _ALERTS.validate_python(alerts, strict=True)
        except ValidationError as exc:
            raise SourceUnavailable(
                f"Alertmanager answered in a form that is not known: {_first(exc)}"
            ) from exc
        read = [alert for alert in map(_read, items) if alert is not None]
        listing = AlertListing(
            alerts=tuple(
                ListedAlert(
                    fingerprint=alert.fingerprint,
                    labels=alert.labels,
                    alert_annotations=alert.annotations,
                    state=alert.status.listed,
                    starts_at=alert.startsAt,
                )
                for alert in read
                if any(receiver.name == self._receiver for receiver in alert.receivers)
            ),
            watchdog=any(alert.labels.get("alertname") == WATCHDOG for alert in read),
            up_since=up_since,
        )
        return _Answer(listing, unreadable=len(items) - len(read))

    async def _get(self, url: str) -> object:
        return await get_json(self._client, url, who="Alertmanager", limit=self._limit)

    def _say(self, url: str, trouble: str) -> None:
        """Log the first trouble of each Alertmanager, then only changes of it, and its end."""
        before = self._said.get(url, "")
        if trouble != before:
            self._said[url] = trouble
            if trouble:
                _log.warning("alertmanager", trouble=trouble)
            else:
                _log.info("alertmanager", recovered_from=before)


def _read(item: object) -> _AlertIn | None:
    try:
        return _AlertIn.model_validate(item)
    except ValidationError as exc:
        _log.debug("alertmanager.unreadable_alert", error=_first(exc))
        return None


def _merged(alerts: Iterable[ListedAlert]) -> tuple[ListedAlert, ...]:
    """One alert per fingerprint; where two tell of it differently, the active one."""
    by_fingerprint: dict[str, ListedAlert] = {}
    for alert in alerts:
        known = by_fingerprint.get(alert.fingerprint)
        if known is None or (
            known.state is ListedState.SUPPRESSED and alert.state is ListedState.ACTIVE
        ):
            by_fingerprint[alert.fingerprint] = alert
    return tuple(by_fingerprint.values())


def _first(exc: ValidationError) -> str:
    first = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
