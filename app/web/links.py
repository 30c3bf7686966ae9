"""Ways out: to the tools around Relevo, where they are configured."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from app.domain.remediation import Remediation

#: Shown around a story, so that its beginning and end can be seen.
_AROUND = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Link:
    """One way out."""

    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the tools are; None: not configured. Only http(s) is ever linked."""

    prometheus: str | None = None
    alertmanager: str | None = None
    grafana: str | None = None
    #: Of our labels on containers, for what a person is told to do.
    label_prefix: str = "relevo"

    def __post_init__(self) -> None:
        for name in ("prometheus", "alertmanager", "grafana"):
            object.__setattr__(self, name, _shown(getattr(self, name)))

    def of_container(self, engine: str, container: str, *, now: datetime) -> tuple[Link, ...]:
        """Lead to one container, as it is now."""
        return tuple(self._all(engine, container, now - timedelta(hours=1), now))

    def of_story(self, record: Remediation, *, now: datetime) -> tuple[Link, ...]:
        """Lead to the time of one story."""
        end = min(now, (record.closed_at or now) + _AROUND)
        engine = record.target.partition(":")[0]
        return tuple(self._all(engine, record.container, record.opened_at - _AROUND, end))

    def _all(self, engine: str, container: str, since: datetime, until: datetime) -> Iterator[Link]:
        if self.grafana is not None:
            asked = {
                "var-engine": engine,
                "var-container": container,
                "from": round(since.timestamp() * 1000),
                "to": round(until.timestamp() * 1000),
            }
            yield Link(
                "Grafana", f"{self.grafana}/d/relevo-container?{urlencode(asked, quote_via=quote)}"
            )
        if self.prometheus is not None:
            name = json.dumps(container, ensure_ascii=False)
            span = max(60, round((until - since).total_seconds()))
            asked = {
                "g0.expr": f"rate(container_cpu_usage_seconds_total{{name={name}}}[1m])",
                "g0.tab": "0",
                "g0.range_input": f"{span}s",
                "g0.end_input": f"{until:%Y-%m-%d %H:%M:%S}",
                "g1.expr": f"container_memory_working_set_bytes{{name={name}}}",
                "g1.tab": "0",
                "g1.range_input": f"{span}s",
                "g1.end_input": f"{until:%Y-%m-%d %H:%M:%S}",
            }
            yield Link("Prometheus", f"{self.prometheus}/graph?{urlencode(asked, quote_via=quote)}")
        if self.alertmanager is not None:
            chosen = quote(f"{{name={json.dumps(container, ensure_ascii=False)}}}", safe="")
            yield Link("Alertmanager", f"{self.alertmanager}/#/alerts?filter={chosen}")


def _shown(url: str | None) -> str | None:
    """Leave out user and password; None for what is no http(s)."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
