"""One Alertmanager or several: every alert that is not resolved in one look, and our own posted."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

import httpx
import structlog

from app.adapters.alertmanager_api import read_alerts, read_status, written
from app.adapters.alertmanager_mutes import may_mute
from app.adapters.json_get import WHOLE_CALL, get_json, post_json
from app.domain.alert import AlertListing, ListedAlert, ListedState, OwnAlert
from app.errors import SourceUnavailable

_log = structlog.get_logger(__name__)


class Alertmanagers:
    """
    `ports.AlertSource` and `ports.AlertSink` over the API v2 of one Alertmanager or a group.

    Members of a highly available group share silences and notifications but not alerts:
    Prometheus sends those to each. So all are asked, and an alert counts as active as soon as one
    of them says so; and ours are posted to each.

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
        self._said: dict[tuple[str, str], str] = {}
        #: By URL: the configuration that was looked at last, and what was found.
        self._mutes: dict[str, tuple[object, bool]] = {}

    async def listing(self) -> AlertListing:
        """
        Pull all alerts of all Alertmanagers; one answer is enough.

        An alert that cannot be read is left out and logged, its neighbours are not affected.
        Resolved alerts are not listed: Alertmanager leaves them out itself.

        :raises SourceUnavailable: none answered; says what each of them did
        """
        answers = await asyncio.gather(*(self._try_listing(url) for url in self._urls))
        heard = [answer for answer in answers if isinstance(answer, AlertListing)]
        if not heard:
            raise _none_did(answers)
        # One and the same member must have the watchdog and have been up: an old one that is cut
        # off from Prometheus and one that has just started prove nothing together.
        told = [listing for listing in heard if listing.watchdog] or heard
        return AlertListing(
            alerts=_merged(alert for listing in heard for alert in listing.alerts),
            watchdog=told[0].watchdog,
            up_since=min(listing.up_since for listing in told),
            may_open=all(listing.may_open for listing in heard),
        )

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        """
        Post alerts to every Alertmanager; one that takes them is enough.

        :raises SourceUnavailable: none took them; says what each of them did. Posting them again
            is harmless
        """
        if not alerts:
            return
        document = written(alerts)
        answers = await asyncio.gather(*(self._try_post(url, document) for url in self._urls))
        if all(isinstance(answer, SourceUnavailable) for answer in answers):
            raise _none_did(answers)

    async def _try_listing(self, url: str) -> AlertListing | SourceUnavailable:
        try:
            listing, unreadable = await self._ask(url)
        except SourceUnavailable as exc:
            self._say("list", url, str(exc))
            return exc
        self._say(
            "list", url, f"{unreadable} alerts cannot be read: left out" if unreadable else ""
        )
        return listing

    async def _try_post(self, url: str, document: object) -> SourceUnavailable | None:
        try:
            await post_json(
                self._client,
                f"{url}/api/v2/alerts",
                document,
                who="Alertmanager",
                limit=self._limit,
            )
        except SourceUnavailable as exc:
            self._say("post", url, str(exc))
            return exc
        self._say("post", url, "")
        return None

    async def _ask(self, url: str) -> tuple[AlertListing, int]:
        # In this order: one that restarts in between has forgotten its alerts, and must not pass
        # for one that has been up for long and knows of none.
        alerts = await self._get(f"{url}/api/v2/alerts")
        status = await self._get(f"{url}/api/v2/status")
        up_since, configuration = read_status(status)
        # In a thread: ten thousand alerts take half a second.
        listed = await asyncio.to_thread(read_alerts, alerts, self._receiver)
        listing = AlertListing(
            alerts=listed.ours,
            watchdog=listed.watchdog,
            up_since=up_since,
            may_open=not await self._may_mute(url, configuration),
        )
        return listing, listed.unreadable

    async def _may_mute(self, url: str, configuration: object) -> bool:
        known = self._mutes.get(url)
        if known is not None and known[0] == configuration:
            return known[1]
        # In a thread: a large configuration takes seconds.
        found = await asyncio.to_thread(may_mute, configuration, self._receiver)
        self._mutes[url] = (configuration, found)
        return found

    async def _get(self, url: str) -> object:
        return await get_json(self._client, url, who="Alertmanager", limit=self._limit)

    def _say(self, what: str, url: str, trouble: str) -> None:
        """Log the first trouble of each Alertmanager, then only changes of it, and its end."""
        before = self._said.get((what, url), "")
        if trouble != before:
            self._said[what, url] = trouble
            if trouble:
                _log.warning("alertmanager", call=what, trouble=trouble)
            else:
                _log.info("alertmanager", call=what, recovered_from=before)


def _none_did(answers: Iterable[object]) -> SourceUnavailable:
    return SourceUnavailable("; ".join(map(str, answers)) or "none is configured")


def _merged(alerts: Iterable[ListedAlert]) -> tuple[ListedAlert, ...]:
    """One alert per fingerprint; where two tell of it differently, the active, the newer one."""
    by_fingerprint: dict[str, ListedAlert] = {}
    for alert in alerts:
        known = by_fingerprint.setdefault(alert.fingerprint, alert)
        if _weight(alert) > _weight(known):
            by_fingerprint[alert.fingerprint] = alert
    return tuple(by_fingerprint.values())


def _weight(alert: ListedAlert) -> tuple[bool, timedelta]:
    return alert.state is ListedState.ACTIVE, -alert.behind
