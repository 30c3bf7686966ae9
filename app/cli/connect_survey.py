"""What an existing Prometheus and Alertmanager have that Relevo can use: asked, never changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from app.adapters.alertmanager_routes import UnreadableRoutes, read_configuration, ways
from app.adapters.join_files import RULE_FILE, Join
from app.adapters.monitoring import AboutAlertmanager, AboutPrometheus, Rule
from app.adapters.processes import Neighbour, find_listening
from app.cli.connect_env import shown
from app.errors import SourceUnavailable
from app.policies.rule_reading import (
    container_selectors,
    is_about_containers,
    names_a_container,
)
from app.policies.spec import Rulebook

#: Labels that may name a container, the first one decides: Relevo's own default.
NAMES: Final = Rulebook().target_labels
OUR_JOB: Final = "relevo-containers"
#: Rules that are looked at; each costs a query or two.
_MOST_RULES: Final = 100
#: As many are asked for at once; a slow Prometheus has others to serve.
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSeen:
    """An alert rule of theirs about containers."""

    name: str
    labels: Mapping[str, str]
    #: The label by which its alerts name their container; None: none does.
    names_by: str | None
    #: The first of its selectors that finds no series: such a rule never fires.
    blind: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found."""

    prometheus_url: str
    alertmanager_url: str
    prometheus: Neighbour | None
    alertmanager: Neighbour | None
    #: Whether alerts are sent to anybody.
    sends_alerts: bool
    #: The job that has series of containers by name, other than ours; None: none has.
    container_job: str | None
    #: Series of containers that carry no name: cAdvisor that cannot ask the engine.
    nameless: bool
    rules: Sequence[RuleSeen]
    receivers: Sequence[str]
    is_joined: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that name a container in any alert that is to reach Relevo."""
        used = {rule.names_by for rule in self.rules if rule.blind is None}
        return tuple(one for one in NAMES if one == NAMES[0] or one in used)

    def as_json(self) -> dict[str, Any]:
        """Write it for scripts."""
        return {
            "prometheus": {
                "url": shown(self.prometheus_url),
                "config_file": _path(self.prometheus),
                "sends_alerts": self.sends_alerts,
                "container_job": self.container_job,
                "nameless_container_series": self.nameless,
                "rules": [asdict(rule) for rule in self.rules],
            },
            "alertmanager": {
                "url": shown(self.alertmanager_url),
                "config_file": _path(self.alertmanager),
                "receivers": list(self.receivers),
                "has_relevo": self.is_joined,
            },
        }


async def survey(prometheus_url: str, alertmanager_url: str, receiver: str) -> Survey:
    """
    Ask both.

    :raises SourceUnavailable: one of them does not answer, or is something else
    """
    async with httpx.AsyncClient() as client:
        prometheus = AboutPrometheus(prometheus_url, client)
        alertmanager = AboutAlertmanager(alertmanager_url, client)
        try:
            configuration = read_configuration(await alertmanager.configuration())
        except UnreadableRoutes as exc:
            raise SourceUnavailable(f"Alertmanager at {alertmanager_url}: {exc}") from exc
        receivers = [str(one.get("name")) for one in configuration.get("receivers") or ()]
        named = await prometheus.query('group by (job) (container_last_seen{name!=""})')
        jobs = sorted(one.metric.get("job", "") for one in named)
        anything = await prometheus.query("count(container_last_seen)")
        return Survey(
            prometheus_url=prometheus.url,
            alertmanager_url=alertmanager.url,
            prometheus=_neighbour("prometheus", prometheus.url),
            alertmanager=_neighbour("alertmanager", alertmanager.url),
            sends_alerts=bool(await prometheus.alertmanagers()),
            container_job=next((job for job in jobs if job != OUR_JOB), None),
            nameless=bool(anything) and not named,
            rules=await rules_seen(prometheus, but=RULE_FILE),
            receivers=receivers,
            is_joined=receiver in receivers,
        )


async def rules_seen(prometheus: AboutPrometheus, *, but: str | None = None) -> list[RuleSeen]:
    """
    Look at every alert rule about containers.

    :param but: a file whose rules are left out, by its name
    :raises SourceUnavailable:
    """
    found = [
        rule
        for group in await prometheus.rule_groups()
        if but is None or group.file.rpartition("/")[2] != but
        for rule in group.rules
        if rule.is_alert and is_about_containers(rule.query)
    ]
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def look(rule: Rule) -> RuleSeen:
        async with at_once:
            return await _rule(rule, prometheus)

    return await asyncio.gather(*(look(rule) for rule in found[:_MOST_RULES]))


async def _rule(rule: Rule, prometheus: AboutPrometheus) -> RuleSeen:
    series: set[str] = set()
    blind = None
    for selector in container_selectors(rule.query):
        example = await prometheus.query(f"topk(1, {selector})")
        if example:
            series |= set(example[0].metric)
        elif blind is None:
            blind = selector
    # Nothing is known of the labels of series that are not there: those of cAdvisor, probably.
    names_by = names_a_container(rule.query, series or {*NAMES}, rule.labels, NAMES)
    for alert in rule.alerts:  # what it has is better than what it seems to have
        names_by = next((name for name in NAMES if alert.labels.get(name)), None)
    return RuleSeen(name=rule.name, labels=rule.labels, names_by=names_by, blind=blind)


def reaches(rule: RuleSeen, join: Join) -> bool:
    """Tell whether the route of a join takes what a rule fires."""
    labels = {"alertname": rule.name, **rule.labels}
    if rule.names_by is None:
        return False
    labels[rule.names_by] = "x"
    routes = [
        {"receiver": "yes", "matchers": [*join.matchers, f'{name}=~".+"']} for name in join.names
    ]
    try:
        found = ways({"receiver": "no", "routes": routes}, labels)
    except UnreadableRoutes:
        return False
    return any(one.receiver == "yes" for one in found)


def _neighbour(program: str, url: str) -> Neighbour | None:
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    return find_listening(program, parts.port or 80)


def _path(one: Neighbour | None) -> str | None:
    return str(one.config_file) if one is not None and one.config_file is not None else None
