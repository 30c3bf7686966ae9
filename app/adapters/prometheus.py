"""Prometheus' HTTP API, asked two things: a container's newest sample, and what is firing."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
from pydantic import BaseModel, ValidationError

from app.adapters.json_get import WHOLE_CALL, get_json
from app.errors import SourceUnavailable

# The value of `container_last_seen` is the unix time at which the collector (or cAdvisor) saw the
# container, so it also tells of a collector that serves yesterday's numbers, where the time of
# the scrape would not. One range query answers both "when" and "ever", in one series per engine.
_QUERY = 'max by (engine) (max_over_time(container_last_seen{{name="{name}"}}[1d]))'
# PromQL's double-quoted strings know Go's escapes; these are all that a raw text needs.
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
# What Prometheus' own rules have firing; a series ends with its alert, at the same evaluation.
_FIRING = 'ALERTS{alertstate="firing"}'
_OF_THE_SERIES = frozenset({"__name__", "alertstate"})


class _Series(BaseModel, defer_build=True):
    metric: Mapping[str, str]
    #: Time of the evaluation and the value, the latter as text (``NaN`` and ``+Inf`` are values).
    value: tuple[float, str]


class _Vector(BaseModel, defer_build=True):
    resultType: Literal["vector"]
    result: tuple[_Series, ...]


class _Answer(BaseModel, defer_build=True):
    status: Literal["success"]
    data: _Vector


class PrometheusSamples:
    """
    `ports.SampleSource` over ``GET /api/v1/query``.

    :param url: base URL, a path prefix included, such as ``http://prometheus:9090``
    :param client: shared; whoever made it closes it
    :param limit: time for one call
    """

    def __init__(
        self, url: str, client: httpx.AsyncClient, *, limit: timedelta = WHOLE_CALL
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._client = client
        self._limit = limit

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        """
        Tell when the newest sample of a container was taken, by the clock of its collector.

        Series of this engine count, and series that name no engine (a cAdvisor without our target
        file). None where there was none in the last day.

        :param now: not sent. The day counts back from Prometheus' own now, so that a difference
            between two machines' clocks cannot hide the newest samples
        :raises SourceUnavailable: no answer, or one that is not a number of seconds
        """
        moments = [
            _moment(series.value[1])
            for series in await self._ask(_QUERY.format(name=container.translate(_ESCAPES)))
            if series.metric.get("engine", "") in ("", engine)
        ]
        return max(moments, default=None)

    async def firing(self) -> tuple[Mapping[str, str], ...]:
        """
        List the labels of every alert that fires, ``alertname`` among them.

        They are those of the rule: what Prometheus adds on the way to Alertmanager
        (``external_labels``, ``alert_relabel_configs``) is not there.

        :raises SourceUnavailable: no answer, or not in a form that we know
        """
        return tuple(
            {name: text for name, text in series.metric.items() if name not in _OF_THE_SERIES}
            for series in await self._ask(_FIRING)
        )

    async def _ask(self, query: str) -> tuple[_Series, ...]:
        body = await get_json(
            self._client, self._url, who="Prometheus", params={"query": query}, limit=self._limit
        )
        try:
            return _Answer.model_validate(body).data.result
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SourceUnavailable(
                f"Prometheus answered in a form that is not known: {where}: {first['msg']}"
            ) from exc


def _moment(value: str) -> datetime:
    try:
        seconds = float(value)
        if not math.isfinite(seconds):
            raise ValueError("not finite")
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise SourceUnavailable(
            f"Prometheus answered {value[:40]!r} where the time of a sample was expected"
        ) from exc
