"""Additions to other people's configuration: what is added, and that nothing else changes."""

import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.adapters import join_files, join_proof
from app.adapters.alertmanager_routes import UnreadableRoutes, ways
from app.adapters.join_files import NOBODY, Join, join_alertmanager, join_prometheus
from app.adapters.join_proof import difference
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


@pytest.mark.parametrize(
    ("pattern", "takes"),
    [
        ("*.yml", True),
        ("./relevo_*.yml", True),
        ("/etc/prometheus/*.yml", True),
        ("../prometheus/*rules.yml", True),
        ("/etc/*/relevo_rules.yml", True),
        ("/etc/*.yml", False),
        ("rules/*.yml", False),
        ("*.rules", False),
    ],
)
def test_a_rule_file_that_a_pattern_takes_is_not_named_twice(pattern: str, takes: bool) -> None:
    text, source = f"rule_files: ['{pattern}']\n", "/etc/prometheus/prometheus.yml"
    joined = join_prometheus(text, source, JOIN, alertmanager=None)

    assert parsed(joined.text)["rule_files"] == [pattern, *([] if takes else ["relevo_rules.yml"])]


@pytest.mark.parametrize(
    "text",
    [
        "# one\r\nrule_files:\r\n  - a.yml\r\nscrape_configs:\r\n  - job_name: a\r\n\r\n# end",
        "rule_files: []\r\nscrape_configs:\n  - job_name: a\r\n",
        "# one\nscrape_configs:\n- job_name: a\n\n\n",
    ],
    ids=["windows", "both", "blank lines"],
)
def test_the_ends_of_their_lines_stay_as_well(text: str) -> None:
    joined = join_prometheus(text, "p.yml", JOIN, alertmanager="http://am:9093").text

    rest = iter(joined.split("\n"))
    for line in text.replace("rule_files: []", "rule_files:").removesuffix("\n").split("\n"):
        assert any(line in (one, one.removesuffix("\r")) for one in rest), (line, joined)
    if "\n" not in text.replace("\r\n", ""):
        assert "\n" not in joined.replace("\r\n", "")


def test_alerts_are_sent_somewhere_where_they_were_not() -> None:
    joined = join_prometheus("scrape_configs: []\n", "p.yml", JOIN, alertmanager="http://am:9093")

    (one,) = parsed(joined.text)["alerting"]["alertmanagers"]
    assert one == {"static_configs": [{"targets": ["am:9093"]}]}


def test_alerts_are_sent_by_the_way_that_was_given() -> None:
    url = "https://am.example/alerts/"
    joined = join_prometheus("scrape_configs: []\n", "p.yml", JOIN, alertmanager=url)

    (one,) = parsed(joined.text)["alerting"]["alertmanagers"]
    assert one == {
        "static_configs": [{"targets": ["am.example"]}],
        "scheme": "https",
        "path_prefix": "/alerts",
    }


def test_no_password_is_written_into_their_file() -> None:
    url = "http://me:secret@am:9093"
    with pytest.raises(BadConfiguration, match="by hand") as refused:
        join_prometheus("scrape_configs: []\n", "p.yml", JOIN, alertmanager=url)
    assert "secret" not in str(refused.value)


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


@pytest.mark.parametrize("text", ALERTMANAGER.values(), ids=ALERTMANAGER)
def test_with_lines_as_windows_ends_them_it_is_the_same(text: str) -> None:
    whole = (text + HEAD).replace("\n", "\r\n")

    joined = join_alertmanager(whole, "a.yml", JOIN).text

    assert joined == join_alertmanager(text + HEAD, "a.yml", JOIN).text.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "name",
    [
        "'team #ops'",
        "'a: b'",
        '"a\\"b"',
        "'0x1A'",
        "0x1A",
        "1.0",
        "yes",
        "'null'",
        "'été ☃'",
        "- a",
    ],
)
def test_the_receiver_of_the_top_route_stays_who_it_is(name: str, tmp_path: Path) -> None:
    """By Alertmanager's own program: one that is called `team` is not told what `team #ops` is."""
    text = (
        f"route:\n  receiver: {name}\n  routes:\n  - match: {{service: db}}\n    receiver: team\n"
        f"receivers:\n- name: team\n- name: {name}\n"
    )
    if name == "- a":  # no text at all
        with pytest.raises(BadConfiguration):
            join_alertmanager(text, "a.yml", JOIN)
        return
    said = []
    for number, one in enumerate((text, join_alertmanager(text, "a.yml", JOIN).text)):
        file = tmp_path / f"{number}.yml"
        file.write_text(one, encoding="utf-8")
        told_by = subprocess.run(
            [require("amtool"), "config", "routes", "test", f"--config.file={file}", "a=b"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        said.append(told_by.stdout)
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["null", "Yes", "a: b", "relevo #2"])
def test_relevos_own_receiver_may_have_any_name(name: str, tmp_path: Path) -> None:
    join = Join(relevo="relevo:5000", collector=None, receiver=name)
    joined = join_alertmanager(ALERTMANAGER["children"] + HEAD, "a.yml", join).text
    file = tmp_path / "a.yml"
    file.write_text(joined, encoding="utf-8")

    said = subprocess.run(
        [require("amtool"), "config", "routes", "test", f"--config.file={file}"]
        + [f"{label}={value}" for label, value in CRITICAL.items()],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert said.stdout.strip() == f"{name},team"


def test_what_would_tell_other_people_is_refused() -> None:
    """The promise is tried, not only made: here a joined file from which somebody is missing."""
    before = ALERTMANAGER["children"] + HEAD
    after = join_alertmanager(before, "a.yml", JOIN).text
    find = partial(difference, receiver="relevo", matchers=JOIN.matchers)
    assert find(before, after, firing=()) is None

    without_last = re.sub(r" *# Added[^\n]*nobody else[^\n]*\n *- receiver: team\n", "", after)
    assert without_last != after
    found = find(before, without_last, firing=())
    assert found is not None
    assert "is for 'team' and would be for 'relevo'" in found

    elsewhere = after.replace("receiver: db", "receiver: team")
    assert "is for 'db'" in str(find(before, elsewhere, firing=()))
    # What no example thinks of, one that fires may show.
    odd = "route:\n  receiver: team\n  routes:\n  - match_re: {x: '[a-c]{3}'}\n    receiver: db\n"
    other = odd.replace("[a-c]", "[a-b]")
    fires = [{"alertname": "A", "x": "abc"}]
    assert find(odd + HEAD, other + HEAD, firing=()) is None
    assert find(odd + HEAD, other + HEAD, firing=fires) is not None


def test_routes_that_cannot_be_read_are_not_joined() -> None:
    text = (
        "route:\n  receiver: team\n  routes:\n  - matchers: ['a=~\"(\"']\n    receiver: db\n" + HEAD
    )
    with pytest.raises(BadConfiguration, match="by hand"):
        join_alertmanager(text, "a.yml", JOIN)


@pytest.mark.parametrize(
    ("text", "labels", "anew"),
    [
        pytest.param("children", {"service": "db"}, 0, id="theirs stay where they are"),
        pytest.param("children", {"service": "web"}, 1, id="the top's get a child"),
        pytest.param("a child that continues", {"service": "dx"}, 1, id="all move"),
        pytest.param("a last child that takes all", {"service": "web"}, 0, id="it had one"),
    ],
)
def test_how_many_are_notified_anew_is_known(text: str, labels: dict[str, str], anew: int) -> None:
    """A group's key is made of the routes on the way to it."""
    firing = [{"alertname": "A", **labels}]
    loud = HEAD.replace(
        "\n- name: db", "\n  webhook_configs: []\n- name: db\n  webhook_configs: []"
    )
    assert join_alertmanager(ALERTMANAGER[text] + loud, "a", JOIN, firing=firing).anew == anew
    # A receiver that is nothing but a name tells nobody.
    assert join_alertmanager(ALERTMANAGER[text] + HEAD, "a", JOIN, firing=firing).anew == 0


def test_alerts_that_no_route_tells_apart_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each is counted: as many are notified anew as there are."""
    text = ALERTMANAGER["children"] + HEAD.replace("- name: team", "- name: team\n  x: []")
    followed = []

    def ways_of(route: Any, labels: Any) -> Any:
        followed.append(labels)
        return ways(route, labels)

    monkeypatch.setattr(join_proof, "ways", ways_of)
    one = join_alertmanager(text, "a", JOIN, firing=[{"alertname": "A", "pod": "0"}])
    assert one.anew == 1
    for_one = len(followed)
    firing = [{"alertname": "A", "pod": str(n), "service": "web"} for n in range(500)]

    assert join_alertmanager(text, "a", JOIN, firing=firing).anew == 500
    assert len(followed) == 2 * for_one


@pytest.mark.parametrize("sign", ["=~", "!~"])
def test_a_pattern_that_takes_for_ever_is_given_up(
    monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    """What alerts carry is written by strangers."""
    monkeypatch.setattr(join_files, "_TRIED_WITHIN_S", 0.3)
    text = (
        f"route:\n  receiver: team\n  routes:\n  - matchers: ['a{sign}\"(x+x+)+y\"']\n"
        "    receiver: db\n" + HEAD
    )
    assert join_alertmanager(text, "a.yml", JOIN).added
    firing = [{"alertname": "A", "a": "x" * 60}]

    with pytest.raises(BadConfiguration, match=r"within 0\.3 s.* so it was left as it is"):
        join_alertmanager(text, "a.yml", JOIN, firing=firing)


@pytest.mark.parametrize("matcher", [r'a=~"\pL+"', 'a=~"x(?i)y"', "foo.bar=x"])
def test_what_only_alertmanager_can_read_is_left_to_a_person(matcher: str) -> None:
    """docs/connect.md names them."""
    text = f"route:\n  receiver: team\n  routes:\n  - matchers: ['{matcher}']\n    receiver: db\n"
    with pytest.raises(BadConfiguration, match=r"cannot be read.* add the snippet by hand"):
        join_alertmanager(text + HEAD, "a.yml", JOIN)


@pytest.mark.parametrize(
    "text",
    [
        "route:\n  receiver: team\nreceivers: [{name: team}]\n",
        "route:\n  receiver: team\n  routes: [{receiver: team}]\nreceivers:\n- name: team\n",
    ],
    ids=["receivers", "routes"],
)
def test_lists_in_one_line_are_left_to_a_person(text: str) -> None:
    with pytest.raises(BadConfiguration, match="add the snippet by hand"):
        join_alertmanager(text, "a.yml", JOIN)


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
