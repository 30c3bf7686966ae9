"""The closing check: each promise of the demo, asked of the real thing that would know."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.demo.host import Failed, inspect
from deploy.demo.stage import Stage

#: The rule's own threshold (deploy/prometheus/alert_rules.yml).
RULE = 0.8
#: The last ten seconds, three rate windows: longer than a passing gust, shorter than the relief.
_RECENT = "10s"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the closing table."""

    holds: bool
    #: What should be so.
    what: str
    #: Who was asked.
    source: str
    #: What it said.
    seen: str


def networks(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The networks that a container is on, by name."""
    return dict(container["NetworkSettings"]["Networks"])


def instance(container: dict[str, Any]) -> str:
    """What a container of the service calls itself in its answers."""
    return str(container["Config"]["Hostname"])


def name(container: dict[str, Any]) -> str:
    """A container's name, as people write it."""
    return str(container["Name"]).lstrip("/")


class Closing:
    """Asks everybody once; asked again it asks again."""

    def __init__(self, stage: Stage, *, began: datetime) -> None:
        self._stage = stage
        self._began = began

    def findings(self) -> list[Finding]:
        """Check everything. What cannot be asked does not hold."""
        try:
            source = inspect(self._stage.web)
            clones = self._stage.clones()
        except Failed as exc:
            return [Finding(False, "the containers can be looked at", "docker inspect", str(exc))]
        checks: Iterable[tuple[str, str, Callable[[], tuple[bool, str]]]] = (
            ("three restarts of the original", "docker events", self._restarts),
            ("one running clone", "docker inspect", lambda: _one_runs(clones)),
            ("same networks, same aliases", "docker inspect", lambda: _same(source, clones)),
            ("it answers under the same name", "name lookup", lambda: self._answers(clones)),
            ("it serves requests", "the clone", lambda: self._served(clones)),
            ("it takes its share of them", "customers", lambda: self._share(source, clones)),
            ("CPU of both below the rule", "Prometheus", lambda: self._cpu(source, clones)),
            ("the alert is resolved", "Alertmanager", lambda: self._quiet(source, clones)),
        )
        return [self._ask(what, who, check) for what, who, check in checks]

    def _ask(self, what: str, who: str, check: Callable[[], tuple[bool, str]]) -> Finding:
        try:
            holds, seen = check()
        except Failed as exc:
            holds, seen = False, str(exc)
        except (OSError, ValueError, KeyError) as exc:
            holds, seen = False, f"{type(exc).__name__}: {exc}"
        return Finding(holds, what, who, seen)

    def _restarts(self) -> tuple[bool, str]:
        moments = self._stage.events.restarts(self._stage.web)
        after = ", ".join(f"{(at - self._began).total_seconds():.0f}" for at in moments)
        return len(moments) == 3, f"{len(moments)}, at {after} s" if moments else "none"

    def _answers(self, clones: list[dict[str, Any]]) -> tuple[bool, str]:
        answers = self._stage.probe()
        addresses = " and ".join(answers) or "nothing"
        return len(answers) == 2 and self._of(clones) is not None, f"at {addresses}"

    def _served(self, clones: list[dict[str, Any]]) -> tuple[bool, str]:
        answer = self._of(clones) or {"served": 0}
        return answer["served"] > 0, f"{answer['served']} so far"

    def _of(self, clones: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The clone's own answer, asked at the addresses that the name has for the customers."""
        clone = _only(clones)
        own = {network["IPAddress"] for network in networks(clone).values()}
        for address, answer in self._stage.probe().items():
            if address in own and answer.get("instance") == instance(clone):
                return answer
        return None

    def _share(self, source: dict[str, Any], clones: list[dict[str, Any]]) -> tuple[bool, str]:
        clone = _only(clones)
        reports = self._stage.last_seconds(5)
        total = {
            who: sum(report["answered"].get(who, 0) for report in reports)
            for who in (instance(source), instance(clone))
        }
        lost = sum(report["failed"] + report["shed"] for report in reports)
        everything = sum(total.values())
        share = total[instance(clone)] / everything if everything else 0.0
        said = f"{share:.0%} of {everything} in 5 s, {lost} lost"
        # A random half: 150 of 300 give or take 9, so a quarter is never an accident.
        return share > 0.25 and everything > 0, said

    def _cpu(self, source: dict[str, Any], clones: list[dict[str, Any]]) -> tuple[bool, str]:
        clone = _only(clones)
        used = {}
        for container in (source, clone):
            series = self._stage.query(
                "avg_over_time(relevo:container_cpu_utilisation:ratio_rate1m"
                f'{{name="{name(container)}"}}[{_RECENT}])'
            )
            used[name(container)] = float(series[0]["value"][1]) if series else math.nan
        said = " and ".join(f"{value:.0%}" for value in used.values())
        # (NaN is below nothing.)
        return all(value < RULE for value in used.values()), f"{said} (rule: {RULE:.0%})"

    def _quiet(self, source: dict[str, Any], clones: list[dict[str, Any]]) -> tuple[bool, str]:
        found = [
            f"{alert['labels']['alertname']} on {name(container)}"
            for container in (source, *clones)
            for alert in self._stage.alerts(name(container))
        ]
        return not found, ", ".join(found) or "none active"


def _only(clones: list[dict[str, Any]]) -> dict[str, Any]:
    if len(clones) != 1:
        raise Failed("there is no clone" if not clones else f"there are {len(clones)} clones")
    return clones[0]


def _one_runs(clones: list[dict[str, Any]]) -> tuple[bool, str]:
    said = ", ".join(f"{name(clone)} {clone['State']['Status']}" for clone in clones)
    return len(clones) == 1 and clones[0]["State"]["Running"], said or "there is none"


def _same(source: dict[str, Any], clones: list[dict[str, Any]]) -> tuple[bool, str]:
    clone = _only(clones)
    ours, theirs = networks(source), networks(clone)
    missing = [
        f"{alias} on {network}"
        for network, settings in ours.items()
        # The short id is an alias too, and everybody's own.
        for alias in set(settings["Aliases"] or ()) - {source["Id"][:12]}
        if alias not in (theirs.get(network, {}).get("Aliases") or ())
    ]
    if ours.keys() != theirs.keys() or missing:
        return False, f"{', '.join(theirs) or 'none'}; missing: {', '.join(missing) or 'networks'}"
    aliases = {alias for each in ours.values() for alias in each["Aliases"]} - {source["Id"][:12]}
    return True, f"{', '.join(ours)} as {', '.join(sorted(aliases))}"
