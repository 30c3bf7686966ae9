"""Prometheus' HTTP API, asked what one container used in a span of time."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
from pydantic import BaseModel, ValidationError

from app.adapters.json_get import WHOLE_CALL, get_json
from app.domain.usage import Reading
from app.errors import SourceUnavailable

# By engine: two hosts may run a container of the same name. The sum over CPUs is what cAdvisor
# needs, which counts each by itself; our collector has one series.
_CPU = 'sum by (engine) (rate(container_cpu_usage_seconds_total{{name="{name}"}}[{window}s]))'
_MEMORY = 'max by (engine) (container_memory_working_set_bytes{{name="{name}"}})'
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
#: As the shipped rules rate CPU; a finer question than four steps would have holes.
_WINDOW_S = 60


class _Series(BaseModel, defer_build=True):
    metric: Mapping[str, str]
    values: tuple[tuple[float, str], ...]


class _Matrix(BaseModel, defer_build=True):
    resultType: Literal["matrix"]
    result: tuple[_Series, ...]


class _Answer(BaseModel, defer_build=True):
    status: Literal["success"]
    data: _Matrix


class PrometheusUsage:
    """
    `ports.UsageSource` over ``GET /api/v1/query_range``.

    :param url: base URL, a path prefix included
    :param client: shared; whoever made it closes it
    :param limit: time for one call; there are two of them
    """

    def __init__(
        self, url: str, client: httpx.AsyncClient, *, limit: timedelta = WHOLE_CALL
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query_range"
        self._client = client
        self._limit = limit

    async def usage(
        self, *, engine: str, container: str, since: datetime, until: datetime, step: timedelta
    ) -> tuple[Reading, ...]:
        """
        Tell what a container used in a span, oldest first.

        Series of this engine count, and where there are none, series that name no engine.

        :raises SourceUnavailable: no answer, or not in a form that we know
        """
        name = container.translate(_ESCAPES)
        window = max(_WINDOW_S, round(4 * step.total_seconds()))
        span = {
            "start": f"{since.timestamp():.3f}",
            "end": f"{until.timestamp():.3f}",
            "step": f"{step.total_seconds():g}",
        }
        cpu = await self._ask(_CPU.format(name=name, window=window), span, engine)
        memory = await self._ask(_MEMORY.format(name=name), span, engine)
        return tuple(
            Reading(
                at=datetime.fromtimestamp(at, UTC),
                cpu_cores=cpu.get(at),
                memory_bytes=memory.get(at),
            )
            for at in sorted({*cpu, *memory})
        )

    async def _ask(self, query: str, span: Mapping[str, str], engine: str) -> dict[float, float]:
        body = await get_json(
            self._client,
            self._url,
            who="Prometheus",
            params={"query": query, **span},
            limit=self._limit,
        )
        try:
            found = _Answer.model_validate(body).data.result
            named = {one.metric.get("engine", ""): one for one in found}
            series = named.get(engine) or named.get("")
            values = [(at, float(text)) for at, text in series.values] if series else []
        except (ValidationError, ValueError) as exc:
            raise SourceUnavailable("Prometheus answered in a form that is not known") from exc
        return {at: value for at, value in values if math.isfinite(value)}
