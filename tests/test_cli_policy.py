"""``relevo check`` and ``relevo simulate``: what they print where, and what they exit with."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.command import cli

SHIPPED = (
    "  default  scale-out after three failed restarts, which span at most 15m + 14m = 29m of the "
    "window of 60m"
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own settings."""
    for name in os.environ:
        if name.upper().startswith(("RELEVO_", "DOCKER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy file to write."""
    return tmp_path / "p.yaml"


def relevo(*words: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], env=environment)


def failed(result: Result) -> str:
    """What was said of a finding, on standard error only, in lines for people."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("relevo: ")
    return result.stderr.removeprefix("relevo: ").rstrip("\n")


# ---------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("", "0 policies", id="empty"),
        pytest.param("policies: [{name: a, match: {alerts: [x]}}]", "1 policy", id="one"),
        pytest.param("policies: [{name: b, match: {alerts: [x]}}, {name: a}]", "2 pol", id="two"),
    ],
)
def test_check_says_what_a_good_file_holds(file: Path, text: str, count: str) -> None:
    file.write_text(text, encoding="utf-8")

    by_argument = relevo("check", file)
    by_setting = relevo("check", RELEVO_POLICIES=str(file))

    assert by_argument.exit_code == by_setting.exit_code == 0
    assert by_argument.stdout == by_setting.stdout
    assert by_argument.stdout.startswith(f"{file}: ok, defaults and {count}")
    assert by_argument.stderr == ""


def test_check_without_a_file_checks_the_shipped_policies() -> None:
    result = relevo("check")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "the shipped policies: ok, defaults and 0 policies",
        SHIPPED,
    ]


def test_check_says_of_each_policy_when_it_scales_out(file: Path) -> None:
    file.write_text(
        "policies:\n"
        "- {name: web, match: {alerts: [a]}, strategy: scale_first}\n"
        "- {name: database, match: {alerts: [b]}, scale_out: {enabled: false}}\n"
        "- {name: ask, match: {alerts: [c]}, strategy: scale_first, scale_out: {enabled: false}}\n",
        encoding="utf-8",
    )

    assert relevo("check", file).stdout.splitlines()[1:] == [
        SHIPPED.replace("default ", "default  "),
        "  web       scale-out at the first need, without a restart",
        "  database  escalation after three failed restarts, which span at most 15m + 14m = 29m of "
        "the window of 60m",
        "  ask       escalation at the first need, without a restart",
    ]


def test_check_warns_of_what_is_probably_not_meant(file: Path) -> None:
    file.write_text(
        "policies:\n"
        "- {name: all, restart: {delays: [1m, 20m, 25m]}}\n"
        "- {name: web, match: {labels: {tier: web}}}\n",
        encoding="utf-8",
    )

    result = relevo("check", file)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}: ok, ")
    settle, hidden = result.stderr.splitlines()
    assert settle.startswith(
        f"relevo: warning: {file}: all: with an alert's relevo_settle of 6m, its scale-out may "
        "never fire: three failed restarts span up to 45m + 18m = 63m, and the window is 60m"
    )
    assert hidden.startswith(
        f"relevo: warning: {file}: web: it never matches, since 'all' before it covers"
    )


def test_the_settle_of_the_rules_is_as_much_faster_as_the_chain(file: Path) -> None:
    file.write_text(
        "defaults: {restart: {delays: [3s, 15s, 30s], window: 2m},"
        " verify: {deadline: 9s, settle: 12s, poll: 750ms}}\n",
        encoding="utf-8",
    )

    assert "relevo_settle" in relevo("check", file).stderr
    assert relevo("check", file, RELEVO_TIME_FACTOR="20").stderr == ""


def test_check_refuses_a_policy_that_can_never_scale_out(file: Path) -> None:
    file.write_text("policies:\n- name: a\n  restart: {delays: [1m, 20m, 40m]}\n", encoding="utf-8")

    assert failed(relevo("check", file)) == (
        f"{file}:3:13: policies.0.restart.delays: its scale-out can never fire: three failed "
        "restarts span up to 60m + 14m = 74m, and the window is 60m: lengthen window to more than "
        "74m, or shorten delays"
    )


def test_check_names_every_fault_with_its_place(file: Path) -> None:
    file.write_text("pull: 30\nnope: 1\n", encoding="utf-8")

    first, second = failed(relevo("check", file)).splitlines()

    assert first.startswith(f"{file}:1:1: pull: 30 is not a duration")
    assert second == f"{file}:2:1: nope: there is no such key"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RELEVO_POLICIES": "/nowhere/p.yaml"}, "/nowhere/p.yaml: cannot be read"),
        ({"RELEVO_MODE": "dry"}, "RELEVO_MODE: "),
        ({"RELEVO_LISTEN": "0.0.0.0:5000"}, "RELEVO_LISTEN=0.0.0.0:5000 can be reached"),
        ({"RELEVO_TOKEN_READ_FILE": "/nowhere/token"}, "RELEVO_TOKEN_READ_FILE: cannot read"),
    ],
)
def test_check_looks_at_the_settings_too(environment: dict[str, str], said: str) -> None:
    assert failed(relevo("check", **environment)).startswith(said)


# ---------------------------------------------------------------- simulate


def test_simulate_prints_the_timeline_of_the_shipped_policy() -> None:
    result = relevo("simulate", "--scenario", "second_restart")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "default, second_restart: the second restart helps",
        "  AT      WHAT              REASON      DETAIL",
        "  1m      restart           first_need  1m after the alert; failed restarts in the "
        "window: 0 of 3",
        "  4m      symptom_persists  deadline    the alert is still active 3m after the action",
        "  9m      restart           backoff     5m after the last verdict; failed restarts in the "
        "window: 1 of 3",
        "  13m15s  recovered         settled     the alert has stayed away for 4m",
        "  13m15s  close             settled     outcome: recovered",
    ]


def test_simulate_tells_every_policy_in_every_scenario(file: Path) -> None:
    file.write_text("policies: [{name: web, strategy: scale_first}]\n", encoding="utf-8")

    by_argument = relevo("simulate", file)
    by_setting = relevo("simulate", RELEVO_POLICIES=str(file))

    titles = [block.partition(":")[0] for block in by_argument.stdout.split("\n\n")]
    assert titles == [
        f"{name}, {scenario}"
        for name in ("default", "web")
        for scenario in ("persists", "second_restart", "flaps", "load")
    ]
    assert by_argument.stdout == by_setting.stdout


def test_simulate_in_json(file: Path) -> None:
    file.write_text("policies: [{name: web, strategy: scale_first}]\n", encoding="utf-8")

    result = relevo("simulate", file, "--policy", "web", "--scenario", "load", "--output", "json")

    (told,) = json.loads(result.stdout)["simulations"]
    assert (told["policy"], told["scenario"]) == ("web", "load")
    assert told["steps"][1] == {
        "at_seconds": 60.0,
        "what": "confirm",
        "reason": "warm_up",
        "detail": "the clone is up and counts; cooldown 10m",
    }


def test_a_file_to_simulate_needs_no_settings(file: Path) -> None:
    file.write_text("", encoding="utf-8")

    assert relevo("simulate", file, "--scenario", "load", RELEVO_MODE="dry").exit_code == 0
    assert failed(relevo("simulate", RELEVO_MODE="dry")).startswith("RELEVO_MODE: ")


def test_a_file_that_cannot_be_used_is_not_simulated(file: Path) -> None:
    file.write_text("pull: 30\n", encoding="utf-8")

    assert failed(relevo("simulate", file)).startswith(f"{file}:1:1: pull: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "gone"), "there is no 'gone'; there is default"),
        (("--scenario", "gone"), "'gone' is not one of 'persists'"),
        (("--output", "yaml"), "'yaml' is not one of 'table', 'json'"),
        (("a", "b"), "unexpected extra argument"),
    ],
)
def test_simulate_is_used_wrongly(words: tuple[str, ...], said: str) -> None:
    result = relevo("simulate", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
