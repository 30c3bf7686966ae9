"""Commands that look again and again, completion, and settings from a file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from app.cli import doctor
from app.cli.connect_files import shipped_rules
from app.cli.finding import Level
from app.controller.courier import Deliveries
from app.domain.decision import Outcome
from app.domain.remediation import State
from tests.builders import at, container, remediation
from tests.fakes import web
from tests.test_cli import CLEAN, Served, bare_environment, bound, failed, quiet, relevo, served

__all__ = ["bare_environment", "quiet", "served"]

ROOT = Path(__file__).resolve().parents[1]


class Following:
    """A command that goes on, read line by line."""

    def __init__(self, *words: str, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", *words],
            env=CLEAN | {"RELEVO_URL": url, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As in a terminal, also where the tests themselves run in the background of a shell:
            # there Ctrl-C is ignored, and that is inherited.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def lines(self) -> Iterator[str]:
        out: IO[str] | None = self.process.stdout
        assert out is not None
        return iter(out.readline, "")

    def until(self, word: str) -> str:
        """Read on to a line with this word."""
        return next(line for line in self.lines if word in line)


def test_a_status_is_watched_until_somebody_has_seen_enough(served: Served) -> None:
    with Following("status", "--watch", "--every", "0.2", url=served.url) as watching:
        watching.until("No container has opted in")
        served.engine.run(web())
        watching.until("host1:web")
        watching.process.send_signal(signal.SIGINT)

        assert watching.process.wait(20) == 0


def test_a_watched_status_in_json_is_a_document_a_line(served: Served) -> None:
    words = ("status", "--watch", "--every", "0.2", "--output", "json")
    with Following(*words, url=served.url) as watching:
        looks = [json.loads(next(watching.lines)) for _ in range(2)]

    assert [look["status"]["engine"] for look in looks] == ["host1", "host1"]


def test_who_watches_sees_that_nobody_answers_and_goes_on() -> None:
    with (
        bound() as port,
        Following(
            "status", "--watch", "--every", "0.2", url=f"http://127.0.0.1:{port}"
        ) as watching,
    ):
        for _ in range(2):
            watching.until("does not answer")
        assert watching.process.poll() is None


def test_a_story_is_followed_to_its_end(served: Served) -> None:
    served.engine.run(web())
    story = remediation(target="host1:web", next_at=at(60))
    served.write(story)
    with Following("show", story.id, "--follow", "--every", "0.2", url=served.url) as following:
        following.until("decisions")
        closed = replace(
            story, state=State.CLOSED, closed_at=at(90), outcome=Outcome.RECOVERED, next_at=None
        )
        served.write(closed)
        following.until("closed: recovered")

        assert following.process.wait(20) == 0


def test_a_story_that_is_over_is_shown_once(served: Served) -> None:
    served.engine.run(web())
    story = remediation(
        target="host1:web", state=State.CLOSED, closed_at=at(90), outcome=Outcome.RECOVERED
    )
    served.write(story)

    followed = relevo("show", story.id, "--follow", RELEVO_URL=served.url)

    assert followed.exit_code == 0
    assert followed.stdout == relevo("show", story.id, RELEVO_URL=served.url).stdout


def test_following_a_story_that_is_not_there_ends_at_once(served: Served) -> None:
    served.engine.run(web())

    assert "answered 404" in failed(relevo("show", "nope", "--follow", RELEVO_URL=served.url))


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("shell", "sign"),
    [
        ("bash", "complete -o nosort -F _relevo_completion relevo"),
        ("zsh", "#compdef relevo"),
        ("fish", "complete --no-files --command relevo"),
    ],
)
def test_a_shell_is_told_how_to_complete(shell: str, sign: str) -> None:
    told = relevo("completion", shell)

    assert told.exit_code == 0, told.output
    assert sign in told.stdout
    assert "_RELEVO_COMPLETE" in told.stdout


def test_the_script_completes_in_a_real_shell(tmp_path: Path) -> None:
    called = tmp_path / "relevo"
    called.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app "$@"\n', encoding="utf-8")
    called.chmod(0o755)
    script = (
        'eval "$(relevo completion bash)"; COMP_WORDS=(relevo res); COMP_CWORD=1; '
        '_relevo_completion relevo res relevo; echo "${COMPREPLY[@]}"'
    )
    # click asks by what name it was called: as the script in a virtual environment is.
    program = (
        "import sys; from app.cli.command import main; sys.argv[0] = 'relevo'; sys.exit(main())"
    )
    called.write_text(f'#!/bin/sh\nexec \'{sys.executable}\' -c "{program}" "$@"\n', "utf-8")

    answer = subprocess.run(
        ["bash", "-c", script],
        env=CLEAN | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert set(answer.stdout.split()) == {"reset", "restart", "resume"}, answer.stderr


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert relevo("completion", "tcsh").exit_code == 2


# ---------------------------------------------------------------- settings from a file


def test_settings_come_from_a_file_and_the_environment_wins(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "relevo.env"
    file.write_text(f"# where it is\n\nRELEVO_URL='{served.url}'\n", encoding="utf-8")
    with bound() as port:
        other = f"http://127.0.0.1:{port}"
        from_file = subprocess.run(
            [sys.executable, "-m", "app", "--env-file", str(file), "status"],
            env=CLEAN,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        given = subprocess.run(
            [sys.executable, "-m", "app", "--env-file", str(file), "status"],
            env=CLEAN | {"RELEVO_URL": other},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (from_file.returncode, from_file.stderr) == (0, "")
    assert given.stderr.startswith(f"relevo: {other} does not answer")


@pytest.mark.parametrize(
    ("text", "said"),
    [("RELEVO_URL\n", "relevo.env:1: is no NAME=VALUE"), (None, "--env-file: cannot read")],
)
def test_a_file_of_settings_that_is_none_is_said_to_be_so(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "relevo.env"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    assert said in failed(relevo("--env-file", str(file), "check"))


def test_a_check_in_json() -> None:
    told = json.loads(relevo("check", "--output", "json").stdout)

    assert [one["name"] for one in told["policies"]] == ["default"]
    assert told["warnings"] == []


# ---------------------------------------------------------------- doctor and connect


def test_a_label_that_has_no_effect_is_told(served: Served) -> None:
    served.engine.run(container("web", labels={"relevo.enabled": "true"}))

    status = relevo("status", RELEVO_URL=served.url)
    told = relevo("doctor", "--output", "json", RELEVO_URL=served.url)

    assert (
        "  label: web: the label 'relevo.enabled' has no effect, relevo.enable is" in status.stdout
    )
    assert told.exit_code == 1
    checks = json.loads(told.stdout)["checks"]
    assert [one["link"] for one in checks if one["level"] == "finding"] == ["labels", "targets"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            Deliveries(pending=1, trouble="Grafana answered 401"),
            ["  Grafana is not told what is done (1 annotation behind): Grafana answered 401"],
        ),
        (Deliveries(trouble="the store"), ["  Grafana is not told what is done: the store"]),
        (Deliveries(pending=2), []),
        (None, []),
    ],
)
def test_what_grafana_does_not_take_is_told(
    served: Served, told: Deliveries | None, said: list[str]
) -> None:
    assert served.house is not None
    served.house.overview._deliveries = lambda: told

    lines = relevo("status", RELEVO_URL=served.url).stdout.splitlines()

    assert [line for line in lines if "Grafana" in line] == said


def test_the_rules_that_connect_writes_are_those_that_are_shipped() -> None:
    shipped = (ROOT / "deploy/prometheus/alert_rules.yml").read_text(encoding="utf-8")
    copied = (ROOT / "app/cli/shipped/alert_rules.yml").read_text(encoding="utf-8")

    assert copied == shipped, "cp deploy/prometheus/alert_rules.yml app/cli/shipped/"
    assert shipped_rules(None).replace("    interval: 15s\n", "") == shipped
    assert shipped_rules(None).count("interval: 15s") == shipped.count("\n    rules:\n")
    assert 'up{job="relevo-containers"}' not in shipped_rules("cadvisor")
    assert 'absent(up{job="cadvisor"})' in shipped_rules("cadvisor")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        pytest.param("web", "host1:web is not observed but healed", id="one-that-is-healed"),
        pytest.param("other", "other has not opted in, or is no container here", id="one-unknown"),
    ],
)
def test_no_test_alert_is_sent_where_it_would_do_harm_or_nothing(
    served: Served, target: str, said: str
) -> None:
    served.engine.run(web())
    with bound() as port:
        gone = f"http://127.0.0.1:{port}"
        told = relevo(
            "connect", "--test", target, "--alertmanager-url", gone, RELEVO_URL=served.url
        )

    assert said in failed(told)


def test_connecting_says_who_does_not_answer() -> None:
    with bound() as port:
        gone = f"http://127.0.0.1:{port}"
        told = relevo("connect", "--prometheus-url", gone, "--alertmanager-url", gone)

    assert f"Alertmanager at {gone}" in failed(told)


@pytest.mark.parametrize(
    "words",
    [
        ("--relevo", "relevo"),
        ("--relevo", "relevo:http"),
        ("--collector", "a'b:1"),
        ("--receiver", "a: b"),
        ("--match", "severity"),
        ("--match", 'a=~"("'),
        ("--prometheus-config", "/nowhere/prometheus.yml"),
    ],
    ids="=".join,
)
def test_what_cannot_be_written_into_their_files_is_wrong_usage(words: tuple[str, str]) -> None:
    assert relevo("connect", *words).exit_code == 2


def test_a_doctor_says_who_does_not_answer(served: Served) -> None:
    served.engine.run(web())
    with bound() as port:
        gone = f"http://127.0.0.1:{port}"
        told = relevo(
            "doctor",
            RELEVO_URL=served.url,
            RELEVO_PROMETHEUS_URL=gone,
            RELEVO_ALERTMANAGER_URL=gone,
        )

    assert told.exit_code == 1
    lines = told.stdout.splitlines()
    assert any(line.split()[:2] == ["finding", "prometheus"] for line in lines)
    assert any(line.split()[:2] == ["finding", "alertmanager"] for line in lines)
    assert lines[-1] == "2 findings."


def test_a_doctor_without_findings_exits_zero(served: Served) -> None:
    served.engine.run(web())

    told = relevo("doctor", RELEVO_URL=served.url)

    assert told.exit_code == 0, told.stdout
    assert told.stdout.splitlines()[-1] == "The chain holds."
    assert "RELEVO_PROMETHEUS_URL is not set here" in told.stdout


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [
        (0, Level.OK, "agree"),
        (4, Level.OK, "agree"),
        (-90, Level.FINDING, "the clock of Prometheus is 90 s behind of the one here"),
        (7, Level.FINDING, "the clock of Prometheus is 7 s ahead of the one here"),
    ],
)
def test_clocks_that_differ_are_told(seconds: float, level: Level, said: str) -> None:
    (check,) = doctor.clock_checks({"Prometheus": at(seconds) - at(0)})

    assert (check.level, check.said) == (level, said)
    assert ("NTP" in check.fix) is (level is Level.FINDING)
