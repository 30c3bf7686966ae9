"""Prometheus, asked by its own API: does it see the containers, and can its rules fire?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.adapters.monitoring import AboutPrometheus, Target
from app.adapters.yaml_insert import load
from app.cli.connect_survey import OUR_JOB, RuleSeen, rules_seen
from app.cli.finding import Check, finding, ok, warning
from app.errors import BadConfiguration, SourceUnavailable

WATCHDOG: Final = "RelevoWatchdog"
_CONNECT: Final = "relevo connect --apply adds it"
_NAMED: Final = 'group by (name, engine, job) (container_last_seen{name!=""})'
_NO_SERIES_YET: Final = "mend the series above; after two scrapes it can"
_KUBERNETES: Final = (
    'select by labels that the series have, such as {name!=""} on plain Docker (container, pod '
    "and namespace are Kubernetes')"
)
_MOST: Final = 20
#: A longer pause between two samples, and a rate over a minute has nothing to go by.
_SLOWEST: Final = ("15s", "10s", "5s", "30s", "20s")


@dataclass(slots=True)
class Evidence:
    """What the looks at other links need to know of this one."""

    rules: Sequence[RuleSeen] = ()
    #: Labels that it adds to every alert.
    external: Mapping[str, str] = field(default_factory=dict)
    has_watchdog: bool = False
    #: Of the series of containers; empty: they name no engine.
    engine: str = ""


async def look(
    prometheus: AboutPrometheus, containers: Collection[str], engine: str | None
) -> tuple[list[Check], Evidence]:
    """
    Look at all of it.

    :param containers: names of those that have opted in
    :param engine: whose they are, where that is known
    """
    evidence = Evidence()
    try:
        evidence.external = _external(await prometheus.configuration())
        checks = [ok("prometheus", f"{prometheus.url} answers")]
        targets = await prometheus.targets()
        checks += _scrape_of_relevo(targets)
        checks += await series_checks(prometheus, targets, containers, evidence, engine)
        checks += await _rules(prometheus, evidence)
        if not await prometheus.alertmanagers():
            none = "Prometheus sends its alerts to nobody"
            checks.append(finding("alerting", none, "set alerting.alertmanagers; " + _CONNECT))
        return checks, evidence
    except SourceUnavailable as exc:
        start = "start it, or set RELEVO_PROMETHEUS_URL to where it is"
        return [finding("prometheus", str(exc), start)], evidence


def _external(configuration: str) -> Mapping[str, str]:
    try:
        labels = (load(configuration, "prometheus").get("global") or {}).get("external_labels")
    except BadConfiguration:
        return {}
    return {str(name): str(value) for name, value in (labels or {}).items()}


def _scrape_of_relevo(targets: Sequence[Target]) -> list[Check]:
    ours = [one for one in targets if one.labels.get("job") == "relevo"]
    if not ours:
        gone = "Prometheus does not scrape Relevo (job relevo)"
        return [warning("scrape", gone, f"{_CONNECT}; without it RelevoDown fires for ever")]
    down = [one for one in ours if one.health == "down"]
    return [finding("scrape", *_scrape_fault(one)) for one in down] or [
        ok("scrape", f"of Relevo: {ours[0].health}")
    ]


def _scrape_fault(one: Target) -> tuple[str, str]:
    said = f"{one.scrapeUrl}: {one.lastError}"
    if "401" in one.lastError or "403" in one.lastError:
        fix = (
            "its credentials_file must hold a token of RELEVO_TOKEN_READ, as Relevo has it "
            "(a new one: then restart Relevo)"
        )
    elif "credentials" in one.lastError or "no such file" in one.lastError:
        fix = "Prometheus cannot read its credentials_file: let its user read it, or mount it"
    else:
        fix = "start what listens there, or correct the address in its job"
    return said, fix


async def series_checks(
    prometheus: AboutPrometheus,
    targets: Sequence[Target],
    containers: Collection[str],
    evidence: Evidence,
    engine: str | None,
) -> list[Check]:
    """Look at the series of containers; which engine they name is written into the evidence."""
    everybodys = await prometheus.query(_NAMED)
    # One of that name on another engine is another container; cAdvisor names no engine.
    found = [one for one in everybodys if one.metric.get("engine", "") in ("", engine or "")]
    found = found if engine is not None else everybodys
    names = {one.metric["name"] for one in found}
    jobs = {one.metric.get("job", "") for one in found}
    evidence.engine = next((one.metric.get("engine", "") for one in found), "")
    collectors = [one for one in targets if one.labels.get("job") in {OUR_JOB, *jobs}]
    checks = [
        finding("collector", *_scrape_fault(one)) for one in collectors if one.health == "down"
    ]
    if not found and everybodys:
        others = ", ".join(sorted({one.metric.get("engine", "") for one in everybodys}))
        checks.append(
            finding(
                "series",
                f"there are series of containers of {others}, and none of {engine}",
                "run relevo collect on that host; RELEVO_ENGINE_NAME must be the same for both",
            )
        )
    elif not found and not checks:
        checks.append(await _no_series(prometheus, collectors))
    checks += [
        warning(
            "collector",
            f"{one.labels.get('job')} is scraped every {one.scrapeInterval}",
            "scrape_interval: 15s for that job: the rules look at one minute",
        )
        for one in collectors
        if one.scrapeInterval and one.scrapeInterval not in _SLOWEST
    ]
    if found:
        lacking = sorted(set(containers) - names)
        checks += [
            finding(
                "series",
                f"{name} has opted in and has no series: no alert on it can fire",
                "is it running? Is its engine the one that the collector asks (DOCKER_HOST)?",
            )
            for name in lacking[:_MOST]
        ] or [ok("series", f"containers: {len(names)}, by job {', '.join(sorted(jobs))}")]
        if len(lacking) > _MOST:
            more = f"and {len(lacking) - _MOST} more without series"
            checks.append(finding("series", more, "mend those above first"))
    if len(jobs) > 1:
        both = f"containers have series by {' and '.join(sorted(jobs))}: two alerts for each"
        checks.append(warning("series", both, "leave one of these jobs out"))
    return checks


async def _no_series(prometheus: AboutPrometheus, collectors: Sequence[Target]) -> Check:
    if await prometheus.query("count(container_last_seen)"):
        return finding(
            "series",
            "the series of containers carry no label `name`",
            "cAdvisor cannot ask Docker (see its log): use relevo collect in its place",
        )
    if collectors:
        return finding(
            "series",
            "the collector answers, and has no series of a container",
            "it cannot ask the engine: its log says why; DOCKER_HOST, or the socket's permission",
        )
    return finding(
        "collector", "there are no series of containers", "run relevo collect; " + _CONNECT
    )


async def _rules(prometheus: AboutPrometheus, evidence: Evidence) -> list[Check]:
    groups = await prometheus.rule_groups()
    rules = [rule for group in groups for rule in group.rules]
    checks = [
        finding("rules", f"{rule.name}: {rule.lastError}", "promtool check rules FILE says where")
        for rule in rules
        if rule.health == "err"
    ]
    evidence.rules = await rules_seen(prometheus)
    evidence.has_watchdog = any(rule.name == WATCHDOG for rule in rules)
    if not evidence.has_watchdog:
        gone = f"the rule {WATCHDOG} is not loaded: Relevo then takes no quiet for a recovery"
        checks.append(finding("rules", gone, f"load relevo_rules.yml; {_CONNECT}"))
    good = [rule for rule in evidence.rules if rule.blind is None and rule.names_by is not None]
    if not evidence.rules:
        none = "no rule is about containers, so nothing is ever wrong with one"
        checks.append(finding("rules", none, f"load relevo_rules.yml; {_CONNECT}"))
    # Of several rules one that works is enough: the others are their owner's concern.
    say = warning if good else finding
    for rule in evidence.rules:
        if rule.blind is not None:
            # What Relevo records has series as soon as there are those of containers.
            fix = _NO_SERIES_YET if rule.blind.startswith("relevo:") else _KUBERNETES
            said = f"{rule.name} never fires: {rule.blind} finds no series"
            checks.append(say("rules", said, fix))
        elif rule.names_by is None:
            checks.append(
                say(
                    "rules",
                    f"{rule.name}: its alerts name no container",
                    "keep the label name: sum by (name) (…)",
                )
            )
    if good:
        checks.append(ok("rules", f"{len(good)} about containers can fire"))
    return checks
