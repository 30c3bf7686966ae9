"""Additions to other people's configuration: what is added, and that nothing else changes."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.adapters.alertmanager_routes import UnreadableRoutes, ways
from app.adapters.join_files import NOBODY, Join, join_alertmanager, join_prometheus
from app.adapters.yaml_insert import add
from app.errors import BadConfiguration
from tests.parts import require

JOIN = Join(relevo="relevo:5000", collector="relevo:5001")
CRITICAL = {"alertname": "Busy", "severity": "critical", "name": "web"}


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def told(text: str, **labels: str) -> list[str]:
    return [way.receiver for way in ways(parsed(text)["route"], labels)]


# ---------------------------------------------------------------- prometheus.yml

PROMETHEUS = {
    "nothing": "global: {scrape_interval: 1m}\n",
    "lists at the margin": "scrape_configs:\n- job_name: a\n  b:\n  - targets: [a:1]\n",
    "lists indented": "scrape_configs:\n    - job_name: a # why\n      x: |\n        b\n\n# end\n",
    "a list that is empty": "rule_files: []\nscrape_configs:\n  - job_name: a\n",
    "a list of nothing": "rule_files:\n# - a.yml\nscrape_configs:\n  - job_name: a\n",
    "rule files in a line": "rule_files: ['a.yml', b.yml]\nscrape_configs: []\n",
    "no newline at the end": "scrape_configs:\n- job_name: a",
    "windows": "rule_files:\r\n  - a.yml\r\nscrape_configs:\r\n  - job_name: a\r\n",
}


@pytest.mark.parametrize("text", PROMETHEUS.values(), ids=PROMETHEUS)
def test_jobs_and_rules_are_added_and_nothing_else_changes(text: str) -> None:
    joined = join_prometheus(text, "p.yml", JOIN, alertmanager=None)

    before, after = parsed(text), parsed(joined.text)
    jobs = after.pop("scrape_configs")
    old = before.pop("scrape_configs", None) or []
    assert jobs[: len(old)] == old
    assert [one["job_name"] for one in jobs[len(old) :]] == ["relevo", "relevo-containers"]
    assert after.pop("rule_files") == [*(before.pop("rule_files", None) or []), "relevo_rules.yml"]
    assert after == before
    # Comments stay where they were.
    assert re.findall(r"#.*", text) == [
        one for one in re.findall(r"#.*", joined.text) if "relevo connect" not in one
    ]
    assert join_prometheus(joined.text, "p.yml", JOIN, alertmanager=None).added == ()


def test_a_rule_file_that_a_pattern_takes_is_not_named_twice() -> None:
    joined = join_prometheus("rule_files: ['*.yml']\n", "p.yml", JOIN, alertmanager=None)

    assert parsed(joined.text)["rule_files"] == ["*.yml"]


def test_alerts_are_sent_somewhere_where_they_were_not() -> None:
    joined = join_prometheus("scrape_configs: []\n", "p.yml", JOIN, alertmanager="am:9093")

    (one,) = parsed(joined.text)["alerting"]["alertmanagers"]
    assert one == {"static_configs": [{"targets": ["am:9093"]}]}


def test_with_cadvisor_no_second_source_is_added() -> None:
    join = Join(relevo="relevo:5000", collector=None)

    jobs = parsed(join_prometheus("a: 1\n", "p.yml", join, alertmanager=None).text)[
        "scrape_configs"
    ]

    assert [one["job_name"] for one in jobs] == ["relevo"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("- a\n", id="a list"),
        pytest.param("a: [\n", id="no YAML"),
        pytest.param("a: 1\na: 2\n", id="a key twice"),
        pytest.param("rule_files: text\n", id="text for a list"),
        pytest.param("x: &x [a.yml]\nrule_files: *x\n", id="an alias"),
        pytest.param("{scrape_configs: [{job_name: a}]}\n", id="all in one line"),
    ],
)
def test_what_cannot_be_added_to_surely_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match=r"^p\.yml: "):
        join_prometheus(text, "p.yml", JOIN, alertmanager=None)


# ---------------------------------------------------------------- alertmanager.yml

HEAD = "receivers:\n- name: team\n- name: db\n"
ALERTMANAGER = {
    "one receiver": "route: \n  receiver: team\n",
    "children": (
        "route:\n  receiver: team\n  routes:\n  # the databases\n"
        "  - match: {service: db}\n    receiver: db\n"
    ),
    "a child that continues": (
        "route:\n  receiver: team\n  routes:\n"
        "    - matchers: [severity=critical]\n      receiver: db\n      continue: true\n"
        "    - match_re: {service: 'd.'}\n      receiver: db\n\n# the end\n"
    ),
    "a last child that takes all": (
        "route:\n  receiver: team\n  routes:\n  - match: {service: db}\n    receiver: db\n"
        "  - receiver: db\n"
    ),
}
SENT = (
    {"alertname": "HostDown", "severity": "critical"},
    CRITICAL,
    {**CRITICAL, "service": "db"},
    {"alertname": "Slow", "severity": "warning", "service": "dc"},
    {"alertname": "RelevoEscalated", "severity": "critical", "name": "web"},
)


@pytest.mark.parametrize("text", ALERTMANAGER.values(), ids=ALERTMANAGER)
@pytest.mark.parametrize("labels", SENT, ids=lambda labels: "-".join(labels.values()))
def test_whoever_is_told_today_is_told_tomorrow(text: str, labels: dict[str, str]) -> None:
    text += HEAD
    joined = join_alertmanager(text, "a.yml", JOIN).text

    before, after = told(text, **labels), told(joined, **labels)
    is_ours = labels["severity"] == "critical" and "name" in labels
    is_ours = is_ours and not labels["alertname"].startswith("Relevo")
    assert after == (["relevo", *before] if is_ours else before)
    for quiet in ("RelevoWatchdog", "RelevoAtWork", "RelevoOver"):
        assert told(joined, alertname=quiet, severity="info", name="web") == [NOBODY]
    assert join_alertmanager(joined, "a.yml", JOIN).added == ()


@pytest.mark.parametrize("text", ALERTMANAGER.values(), ids=ALERTMANAGER)
def test_alertmanagers_own_program_follows_the_same_way(text: str, tmp_path: Path) -> None:
    """What Alertmanager makes of it, by amtool: for theirs, and for theirs with ours."""
    amtool = require("amtool")
    for number, one in enumerate((text + HEAD, join_alertmanager(text + HEAD, "a", JOIN).text)):
        file = tmp_path / f"{number}.yml"
        file.write_text(one, encoding="utf-8")
        for labels in SENT:
            words = [f"{name}={value}" for name, value in labels.items()]
            said = subprocess.run(
                [amtool, "config", "routes", "test", f"--config.file={file}", *words],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert said.stdout.strip().split(",") == told(one, **labels)


def test_matchers_are_written_as_they_were_given() -> None:
    given = ("severity='page'", 'team="a b"')
    join = Join(relevo="relevo:5000", collector=None, matchers=given)

    joined = parsed(join_alertmanager(ALERTMANAGER["children"] + HEAD, "a.yml", join).text)

    assert tuple(joined["route"]["routes"][1]["matchers"][:2]) == given


def test_a_second_relevo_gets_a_route_of_its_own() -> None:
    once = join_alertmanager(ALERTMANAGER["children"] + HEAD, "a.yml", JOIN).text
    other = Join(relevo="other:5000", collector=None, receiver="relevo2")

    twice = join_alertmanager(once, "a.yml", other).text

    assert told(twice, **CRITICAL) == ["relevo2", "relevo", "team"]
    names = [one["name"] for one in parsed(twice)["receivers"]]
    assert sorted(names) == sorted({*names})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("receivers: []\n", "it has no route", id="no route"),
        pytest.param(
            "route: {receiver: a}\nreceivers:\n- name: relevo\n", "leads elsewhere", id="theirs"
        ),
        pytest.param("route: {receiver: a}\nreceivers:\n- name: a\n", "by hand", id="in a line"),
    ],
)
def test_what_is_no_place_for_our_routes_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        join_alertmanager(text, "a.yml", JOIN)


# ---------------------------------------------------------------- routes


@pytest.mark.parametrize(
    ("matchers", "matches"),
    [
        (['severity="critical"'], True),
        (["severity=critical"], True),
        (["severity = critical"], True),
        (['{severity="critical",name="web"}'], True),
        (['severity="critical", name="db"'], False),
        (['severity!="critical"'], False),
        (['name=~"we.|db"'], True),
        (['name=~"e"'], False),
        (['name!~"d.*"'], True),
        (['absent=""'], True),
        (['absent!=""'], False),
        ([r'name="a\"b"'], False),
    ],
)
def test_matchers_match_as_alertmanagers_do(matchers: list[str], matches: bool) -> None:
    route = {"receiver": "no", "routes": [{"receiver": "yes", "matchers": matchers}]}

    assert [way.receiver for way in ways(route, CRITICAL)] == ["yes" if matches else "no"]


@pytest.mark.parametrize("matcher", ["severity", '=~"a"', 'a=~"("', 'a="b" c="d"'])
def test_a_matcher_that_is_none_is_said_to_be_so(matcher: str) -> None:
    with pytest.raises(UnreadableRoutes):
        ways({"receiver": "a", "routes": [{"matchers": [matcher]}]}, {})


def test_the_debian_samples_are_joined(tmp_path: Path) -> None:
    """What many begin with; skipped where it is not installed."""
    sample = Path("/etc/prometheus/alertmanager.yml")
    if not sample.exists():
        pytest.skip("no sample here")
    text = sample.read_text(encoding="utf-8")

    joined = join_alertmanager(text, str(sample), JOIN).text

    rest = iter(joined.splitlines())
    assert all(line in rest for line in text.splitlines())
    assert told(joined, **CRITICAL) == ["relevo", "team-X-mails"]


def test_a_note_is_put_before_what_is_added() -> None:
    assert add("a:\n- b\n", "x", ["a"], "- c", note="why") == "a:\n- b\n# why\n- c\n"
