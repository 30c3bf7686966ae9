"""What an existing Prometheus and Alertmanager say of themselves: for connecting and doctoring."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.adapters.exposition import samples
from app.adapters.json_get import WHOLE_CALL, OtherStatus, get_json, post_json
from app.errors import SourceUnavailable

T = TypeVar("T")


class ActiveAlert(BaseModel, defer_build=True):
    """An alert of a rule that is pending or firing."""

    labels: Mapping[str, str]
    state: str = ""


class Rule(BaseModel, defer_build=True):
    """A rule of Prometheus; `alert` is no name of a recording rule."""

    name: str
    type: str
    query: str
    labels: Mapping[str, str] = {}
    health: str = "unknown"
    lastError: str = ""
    alerts: Sequence[ActiveAlert] = ()

    @property
    def is_alert(self) -> bool:
        """Whether it makes alerts."""
        return self.type == "alerting"


class RuleGroup(BaseModel, defer_build=True):
    """A group of rules."""

    name: str
    file: str = ""
    #: Seconds.
    interval: float = 0
    rules: Sequence[Rule]


class Target(BaseModel, defer_build=True):
    """What Prometheus scrapes."""

    labels: Mapping[str, str]
    scrapeUrl: str
    health: str
    lastError: str = ""
    scrapeInterval: str = ""


class Sample(BaseModel, defer_build=True):
    """One series of an answer."""

    metric: Mapping[str, str]
    value: tuple[float, str]


class Silence(BaseModel, defer_build=True):
    """A silence, as far as it is shown."""

    class Matcher(BaseModel, defer_build=True):
        """One of its conditions."""

        name: str
        value: str
        isRegex: bool = False
        isEqual: bool = True

    class Status(BaseModel, defer_build=True):
        """Whether it is in force."""

        state: str

    id: str
    matchers: Sequence[Matcher]
    status: Status
    createdBy: str = ""
    endsAt: str = ""


_GROUPS: Final = TypeAdapter(list[RuleGroup])
_TARGETS: Final = TypeAdapter(list[Target])
_SAMPLES: Final = TypeAdapter(list[Sample])
_SILENCES: Final = TypeAdapter(list[Silence])
_FIRING: Final = TypeAdapter(list[ActiveAlert])


class AboutPrometheus:
    """
    Asks a Prometheus about itself. Every method raises SourceUnavailable.

    :param url: base URL, a path prefix included
    :param client: shared; whoever made it closes it
    """

    who = "Prometheus"

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self._client = client

    async def configuration(self) -> str:
        """Give the configuration that is loaded, as YAML, without its secrets."""
        return str((await self._data("/api/v1/status/config")).get("yaml", ""))

    async def flags(self) -> Mapping[str, str]:
        """Give the flags it was started with, defaults included."""
        return {
            name: str(value) for name, value in (await self._data("/api/v1/status/flags")).items()
        }

    async def rule_groups(self) -> list[RuleGroup]:
        """List all rules."""
        return _read(_GROUPS, (await self._data("/api/v1/rules")).get("groups"), self.who)

    async def targets(self) -> list[Target]:
        """List what is scraped now."""
        found = (await self._data("/api/v1/targets", state="active")).get("activeTargets")
        return _read(_TARGETS, found, self.who)

    async def alertmanagers(self) -> list[str]:
        """List the addresses that alerts are sent to."""
        found = (await self._data("/api/v1/alertmanagers")).get("activeAlertmanagers") or ()
        return [str(one.get("url", "")) for one in found]

    async def query(self, expression: str) -> list[Sample]:
        """Ask for the present value of an expression that gives a vector."""
        return _read(
            _SAMPLES, (await self._data("/api/v1/query", query=expression)).get("result"), self.who
        )

    async def clock(self) -> datetime:
        """Tell the time by its clock."""
        return await date_of(self._client, f"{self.url}/-/healthy", self.who)

    async def version(self) -> str:
        """Tell its version; empty: it is too old to say."""
        try:
            return str((await self._data("/api/v1/status/buildinfo")).get("version", ""))
        except OtherStatus:
            return ""

    async def loaded_at(self) -> float | None:
        """Tell when it has loaded a configuration last, in seconds since 1970."""
        return await _loaded_at(self._client, self.url, self.who)

    async def reload(self) -> bool:
        """Have it load its configuration; False: it does not let others ask for that."""
        return await _reload(self._client, self.url, self.who)

    async def _data(self, path: str, **params: str) -> dict[str, Any]:
        body = await get_json(self._client, f"{self.url}{path}", who=self.who, params=params)
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise SourceUnavailable(f"{self.url} answers, but it is not Prometheus")
        return data


class AboutAlertmanager:
    """Asks an Alertmanager about itself; as `AboutPrometheus`."""

    who = "Alertmanager"

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self._client = client

    async def configuration(self) -> str:
        """Give the configuration that is loaded, as YAML, without its secrets."""
        found = (await self._status()).get("config")
        if not isinstance(found, dict) or not isinstance(found.get("original"), str):
            raise SourceUnavailable(f"{self.url} answers, but it is not Alertmanager")
        return str(found["original"])

    async def version(self) -> str:
        """Tell its version; empty: it does not say."""
        found = (await self._status()).get("versionInfo")
        return str(found.get("version", "")) if isinstance(found, dict) else ""

    async def firing(self) -> list[Mapping[str, str]]:
        """List the labels of all alerts that people are notified of now."""
        params = {"active": "true", "silenced": "false", "inhibited": "false"}
        found = await get_json(
            self._client, f"{self.url}/api/v2/alerts", who=self.who, params=params
        )
        return [alert.labels for alert in _read(_FIRING, found, self.who)]

    async def alerts(self, *, name: str) -> list[Mapping[str, Any]]:
        """List the alerts of one name, suppressed ones included."""
        params = {"filter": f'alertname="{name}"'}
        found = await get_json(
            self._client, f"{self.url}/api/v2/alerts", who=self.who, params=params
        )
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def silences(self) -> list[Silence]:
        """List the silences that are in force."""
        body = await get_json(self._client, f"{self.url}/api/v2/silences", who=self.who)
        return [one for one in _read(_SILENCES, body, self.who) if one.status.state == "active"]

    async def post(
        self,
        labels: Mapping[str, str],
        notes: Mapping[str, str],
        *,
        begins: datetime,
        ends: datetime,
    ) -> None:
        """Post one alert."""
        document = [
            {
                "labels": dict(labels),
                "annotations": dict(notes),
                "startsAt": begins.isoformat(),
                "endsAt": ends.isoformat(),
            }
        ]
        await post_json(self._client, f"{self.url}/api/v2/alerts", document, who=self.who)

    async def failed_webhooks(self) -> tuple[float, float]:
        """Tell how many webhook notifications were sent since its start, and how many failed."""
        text = await _metrics(self._client, self.url, self.who)
        sent, failed = (
            sum(samples(text, f"alertmanager_notifications_{which}total", 'integration="webhook"'))
            for which in ("", "failed_")
        )
        return sent, failed

    async def clock(self) -> datetime:
        """Tell the time by its clock."""
        return await date_of(self._client, f"{self.url}/-/healthy", self.who)

    async def loaded_at(self) -> float | None:
        """Tell when it has loaded a configuration last, in seconds since 1970."""
        return await _loaded_at(self._client, self.url, self.who)

    async def reload(self) -> bool:
        """Have it load its configuration; False: it does not let others ask for that."""
        return await _reload(self._client, self.url, self.who)

    async def _status(self) -> dict[str, Any]:
        body = await get_json(self._client, f"{self.url}/api/v2/status", who=self.who)
        return body if isinstance(body, dict) else {}


async def _metrics(client: httpx.AsyncClient, url: str, who: str) -> str:
    return (await _asked(client, "GET", f"{url}/metrics", who)).text


async def _loaded_at(client: httpx.AsyncClient, url: str, who: str) -> float | None:
    name = f"{who.lower()}_config_last_reload_success_timestamp_seconds"
    found = samples(await _metrics(client, url, who), name)
    return found[0] if found else None


async def date_of(client: httpx.AsyncClient, url: str, who: str) -> datetime:
    """Tell the time by the clock of whoever answers, to the second. :raises SourceUnavailable:"""
    answer = await _asked(client, "GET", url, who)
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError) as exc:
        raise SourceUnavailable(f"{who} at {url} does not say what time it is") from exc


async def _reload(client: httpx.AsyncClient, url: str, who: str) -> bool:
    answer = await _asked(client, "POST", f"{url}/-/reload", who, limit=timedelta(seconds=30))
    if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
        return False
    if not answer.is_success:
        said = " ".join(answer.text.split())[:500]
        raise SourceUnavailable(f"{who} does not take its new configuration: {said}")
    return True


async def _asked(
    client: httpx.AsyncClient, method: str, url: str, who: str, *, limit: timedelta = WHOLE_CALL
) -> httpx.Response:
    try:
        return await client.request(method, url, timeout=limit.total_seconds())
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SourceUnavailable(f"{who} at {url} cannot be asked: {exc or type(exc)}") from exc


def _read(form: TypeAdapter[T], body: object, who: str) -> T:
    try:
        return form.validate_python(body)
    except ValidationError as exc:
        raise SourceUnavailable(f"{who} answered in a form that is not known") from exc
