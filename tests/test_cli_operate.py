"""The relevo command where it asks for stories and orders things: what it says, and its exit."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from app.api.deps import Scope
from app.cli.asking import clean
from app.cli.report import fidelity
from app.cli.why import tell
from app.cli.words import REASONS, STATES
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.control import Brake, Halt, OrderKind
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import LogEntry, State, Trigger
from tests.builders import START, TARGET, at, attempt, container, remediation
from tests.controller.test_scaling import clone
from tests.fakes import REFUSED, web
from tests.test_cli import Served, answering, bare_environment, bound, failed, quiet, relevo

__all__ = ["bare_environment", "quiet"]

WHY = ("--reason", "stuck", "--author", "ana")


@pytest.fixture
def served() -> Iterator[Served]:
    with Served({}) as one:
        one.engine.run(web())
        yield one


def said(served: Served, *words: str) -> str:
    """What a command that went well printed."""
    result = relevo(*words, RELEVO_URL=served.url)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(served: Served, *words: str) -> str:
    """What a command that did not said on standard error."""
    return failed(relevo(*words, RELEVO_URL=served.url))


# ---------------------------------------------------------------- orders


@pytest.mark.parametrize(
    ("command", "kind"),
    [("restart", OrderKind.RESTART), ("scale-out", OrderKind.SCALE_OUT)],
)
def test_an_order_is_placed_with_its_author(served: Served, command: str, kind: OrderKind) -> None:
    out = said(served, command, "web", *WHY)

    order = served.run(served.store.orders.pending(TARGET))
    assert (order.kind, order.reason, order.author) == (kind, "stuck", "ana")
    assert order.id in out
    assert "relevo why web" in out


def test_an_order_in_json_is_what_the_api_says(served: Served) -> None:
    answer = json.loads(said(served, "restart", "host1:web", *WHY, "--output", "json"))

    assert set(answer) == {"remediation", "attempt"}


def test_without_an_author_it_is_user_at_host(served: Served) -> None:
    said(served, "restart", "web", "--reason", "stuck")

    author = served.run(served.store.orders.pending(TARGET)).author
    user, _, host = author.partition("@")
    assert user
    assert host


def test_hold_and_release(served: Served) -> None:
    assert said(served, "hold", "web", *WHY, "--for", "2h").startswith(
        "host1:web is held until 2026-11-22T12:00:"
    )
    assert "(on hold)" in said(served, "targets")
    assert "held: host1:web by ana since" in said(served, "status")
    assert said(served, "release", "web", *WHY) == "host1:web is released.\n"
    assert "(on hold)" not in said(served, "targets")


def test_pause_and_resume(served: Served) -> None:
    assert said(served, "pause", *WHY) == "Relevo is paused until a person ends it.\n"
    assert "  paused by ana since 2026-11-22T10:00:" in said(served, "status")
    assert said(served, "resume", *WHY) == "Relevo goes on.\n"
    assert "paused" not in said(served, "status")


def test_reset_and_cancel(served: Served) -> None:
    served.write(remediation())

    assert "forgotten" in said(served, "reset", "web", *WHY)
    assert "has an order already: reset by ana" in refused(served, "cancel", "web-1", *WHY)


def test_cancel(served: Served) -> None:
    served.write(remediation())

    assert said(served, "cancel", "web-1", *WHY) == "Remediation web-1 is called off.\n"


def test_a_dry_run_of_a_restart(served: Served) -> None:
    assert said(served, "restart", "web", *WHY, "--dry-run").startswith("Nothing is in the way")
    assert served.run(served.store.orders.pending(TARGET)) is None


def test_a_dry_run_of_a_scale_out_is_the_fidelity_report(served: Served) -> None:
    assert said(served, "scale-out", "web", *WHY, "--dry-run").startswith(
        "A clone of web can be made; traffic reaches it by alias: "
    )


def test_a_dry_run_of_a_scale_out_that_cannot_be_is_a_finding(served: Served) -> None:
    served.engine.report = REFUSED

    result = relevo("scale-out", "web", *WHY, "--dry-run", RELEVO_URL=served.url)

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "No faithful clone of web can be made:",
        "  FATE     FIELD   DETAIL",
        "  refused  Mounts  writes to volume data",
        "In the way now: writes to volume data",
    ]


REPORT = {
    "refused": False,
    "traffic": "none",
    "items": [
        {"field": "Config.Cmd", "fate": "same", "detail": "unchanged", "reason": None},
        {
            "field": "Networks.shop",
            "fate": "same",
            "detail": "with the aliases web",
            "reason": None,
        },
        {"field": "Config.Env", "fate": "same", "detail": "unchanged", "reason": None},
        {
            "field": "MacAddress",
            "fate": "dropped",
            "detail": "it \x1b[2Jis its own",
            "reason": None,
        },
        {"field": "Name", "fate": "changed", "detail": "word " * 40, "reason": None},
        {"field": "New", "fate": "bent", "detail": "a newer server", "reason": None},
    ],
}


def test_a_report_is_read_from_what_matters_most() -> None:
    lines = fidelity("web", {"report": REPORT, "in_the_way": None})

    assert lines[0] == (
        "A clone of web can be made; traffic reaches it by none: only what it fetches itself, such "
        "as jobs from a queue, is shared."
    )
    assert [line.split()[0] for line in lines[1:] if line[2] != " "] == [
        "FATE", "changed", "dropped", "same", "bent", "same",
    ]  # fmt: skip
    assert lines[-1] == "  same     Config.Cmd, Config.Env: unchanged"
    assert max(len(line) for line in lines[1:]) <= 100
    assert "\x1b" not in "".join(lines)


def test_an_engine_that_cannot_say_what_a_clone_would_be() -> None:
    lines = fidelity("web", {"report": None, "in_the_way": "it is held"})

    assert lines == [
        "What a clone of web would be, the engine cannot say now.",
        "In the way now: it is held",
    ]


def test_scale_in(served: Served) -> None:
    served.helped_by(clone())

    assert said(served, "scale-in", "web", *WHY, "--dry-run") == (
        "Nothing is in the way: web_new1 would leave.\n"
    )
    assert not served.run(served.store.scaling.under_way())
    out = said(served, "scale-in", "web", *WHY)
    (begun,) = served.run(served.store.scaling.under_way())
    assert (begun.container, begun.ordered) == ("web_new1", "ana: stuck")
    assert out.splitlines() == [
        f"A scale-in of web has begun: activity {begun.id}.",
        "relevo activities tells how it goes.",
    ]
    assert "leaving already" in refused(served, "scale-in", "web", *WHY)


def test_a_scale_in_without_a_clone_says_what_to_do(served: Served) -> None:
    told = refused(served, "scale-in", "web", *WHY)

    assert "refused: no_clone; you can: stop containers of your own by hand" in told


def test_an_order_for_a_clone_is_not_one_for_its_target(served: Served) -> None:
    served.helped_by(clone())

    assert "that is a clone of host1:web" in refused(served, "restart", "web_new1", *WHY)


# ---------------------------------------------------------------- what goes wrong


def test_an_unknown_target_is_said_to_be_so(served: Served) -> None:
    for command in ("restart", "hold", "release", "reset"):
        assert "relevo targets lists the targets" in refused(served, command, "nobody", *WHY)
    assert "answered 404" in refused(served, "why", "nobody")
    assert "answered 404" in refused(served, "show", "nothing")
    assert "answered 404" in refused(served, "cancel", "..", *WHY)
    assert "answered 404" in refused(served, "restart", "..", *WHY)
    assert "answered 404" in refused(served, "restart", "a/../web", *WHY)


def test_what_is_in_the_way_is_said(served: Served) -> None:
    said(served, "hold", "web", "--reason", "moving", "--author", "ben")

    told = refused(served, "restart", "web", *WHY)

    assert "answered 409: host1:web is held by ben: moving" in told
    assert "relevo why TARGET" in told


def test_a_refusal_says_why_and_what_to_do(served: Served) -> None:
    served.engine.report = REFUSED

    told = refused(served, "scale-out", "web", *WHY)

    assert "answered 422: writes to volume data" in told
    assert "refused: shared_volume; you can: mount it read-only" in told


def test_a_reason_that_the_api_refuses(served: Served) -> None:
    assert "answered 422: reason: " in refused(served, "pause", "--reason", "  ")


@pytest.mark.parametrize(
    "words",
    [
        ("restart", "web"),
        ("restart", "--reason", "x"),
        ("pause", "--reason", "x", "--for", "soon"),
        ("hold", "web", "--reason", "x", "--for", "2"),
        ("remediations", "--limit", "0"),
        ("remediations", "--state", "sad"),
        ("targets", "--output", "yaml"),
        ("resume", "--reason", "x", "now"),
    ],
)
def test_wrong_usage_exits_two(words: tuple[str, ...]) -> None:
    result = relevo(*words)

    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("targets",),
        ("remediations",),
        ("show", "x"),
        ("activities",),
        ("why", "web"),
        ("restart", "web", *WHY),
        ("pause", *WHY),
    ],
)
def test_nobody_answers(words: tuple[str, ...]) -> None:
    with bound() as port:
        told = failed(relevo(*words, RELEVO_URL=f"http://127.0.0.1:{port}"))

    assert "does not answer" in told
    assert "RELEVO_URL" in told


@pytest.mark.parametrize("words", [("targets",), ("why", "web"), ("show", "x"), ("activities",)])
def test_somebody_else_answers(words: tuple[str, ...]) -> None:
    with answering(200, b'{"status": "success"}') as url:
        assert failed(relevo(*words, RELEVO_URL=url)).endswith("it is not Relevo")


def test_tokens_are_asked_for() -> None:
    with Served({Scope.READ: ["r"], Scope.OPERATE: ["op"]}) as served:
        served.engine.run(web())
        without = refused(served, "pause", *WHY)
        reading = failed(relevo("pause", *WHY, RELEVO_URL=served.url, RELEVO_TOKEN="r"))
        operating = relevo("pause", *WHY, RELEVO_URL=served.url, RELEVO_TOKEN="op")

    assert "answered 401" in without
    assert "RELEVO_TOKEN_FILE" in without
    assert "answered 403" in reading
    assert "RELEVO_TOKEN_OPERATE" in reading
    assert operating.exit_code == 0


@contextmanager
def losing(connections: int) -> Iterator[tuple[str, list[str]]]:
    """A Relevo that takes orders, and whose first answers are lost."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Idempotency-Key"])
            if len(keys) <= connections:
                self.close_connection = True
                return
            body = b'{"pause": null}'
            self.send_response(202)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    with losing(1) as (url, keys):
        result = relevo("resume", *WHY, RELEVO_URL=url)
        again = relevo("resume", *WHY, RELEVO_URL=url)

    assert (result.exit_code, again.exit_code) == (0, 0)
    first, second, other = keys
    assert first == second != other
    assert len(first) == 36


def test_an_answer_that_is_lost_twice_is_said_to_be() -> None:
    with losing(9) as (url, keys):
        told = failed(relevo("resume", *WHY, RELEVO_URL=url))

    assert "does not answer" in told
    assert len(keys) == 2


# ---------------------------------------------------------------- lists


def test_targets_say_whether_they_could_be_scaled_out(served: Served) -> None:
    served.engine.run(container("db", 2))
    lines = said(served, "targets").splitlines()

    assert lines[0].split() == [
        "TARGET", "STATE", "REASON", "NEXT", "FAILURES", "INSTANCES", "MODE", "SCALE-OUT",
    ]  # fmt: skip
    assert lines[2].split()[:2] == ["host1:web", "ok"]
    assert lines[2].endswith("enforce  by alias")


STORY = remediation(
    state=State.WAITING,
    reason=Reason.BACKOFF,
    next_at=at(600),
    next_action=Action.RESTART,
    attempts=(
        attempt(
            verdict=Verdict.SYMPTOM_PERSISTS,
            evidence="the alert is still active 3m after the action",
            finished_at=at(180),
        ),
        attempt(
            id="web-1.2m",
            trigger=Trigger.MANUAL,
            ordered="ana: stuck",
            verdict=Verdict.EXITED,
            evidence="exit code 3\x1b[2J",
            finished_at=at(200),
        ),
    ),
    log=(
        LogEntry(at=START, decision="wait", reason=Reason.FIRST_NEED, until=at(60)),
        LogEntry(at=at(60), decision="restart", reason=Reason.FIRST_NEED),
        LogEntry(at=at(180), decision="wait", reason=Reason.BACKOFF, until=at(600), detail="d"),
    ),
)


def test_remediations_are_listed_and_shown(served: Served) -> None:
    served.write(STORY)
    evidence = served.run(served.engine.evidence(web().id, at=START))
    served.run(served.store.casefiles.keep("web-1.1", evidence))

    listed = said(served, "remediations", "--target", "web", "--state", "waiting", "--limit", "5")
    shown = said(served, "show", "web-1")

    assert listed.splitlines()[1].split()[:3] == ["web-1", "host1:web", "waiting"]
    assert listed.rstrip().endswith("2: symptom_persists, exited")
    assert "No remediation" in said(served, "remediations", "--state", "closed")
    assert "attempt web-1.2m: restart, manual (first_need)" in shown
    assert "  ordered by ana: stuck" in shown
    assert "    | web says its last words" in shown
    assert "\x1b" not in shown
    whole = json.loads(said(served, "show", "web-1", "--output", "json"))
    assert whole["attempts"][1]["evidence"] == "exit code 3\x1b[2J"
    assert list(whole["case_files"]) == ["web-1.1"]


def test_activities_are_listed(served: Served) -> None:
    assert said(served, "activities") == "No scaling activity yet.\n"

    served.write(
        STORY,
        activity=Activity(
            id="a1",
            group=TARGET,
            kind=ActivityKind.SCALE_OUT,
            cause="host1:web needed relief: window_full",
            status=ActivityStatus.SUCCESSFUL,
            container="web_new",
            started_at=START,
            finished_at=at(1),
            reason=Reason.WINDOW_FULL,
            ordered="ana: sale",
        ),
    )

    _, line = said(served, "activities", "--limit", "3").splitlines()
    assert line.split()[1:6] == ["scale_out", "successful", TARGET, "web_new", "window_full"]
    assert line.endswith("host1:web needed relief: window_full (ana: sale)")
    assert said(served, "activities", "--group", "web") != "No scaling activity yet.\n"
    assert said(served, "activities", "--group", "api") == "No scaling activity yet.\n"


def test_status_says_what_stops_relevo(served: Served) -> None:
    served.run(served.store.controls.set_brake(Brake(engaged_at=START, failing=5)))

    out = said(served, "status")

    assert "  brake: automatic action is frozen since 2026-11-22T10:00:00.000Z, 5 targets" in out
    assert "relevo resume" in out


# ---------------------------------------------------------------- why


def test_why_is_the_story_in_one_screen(served: Served) -> None:
    served.write(STORY)
    served.run(served.store.controls.set_pause(Halt(reason="moving", author="ben", since=START)))

    out = said(served, "why", "web")

    assert out.startswith("host1:web: waiting, at 10:0")
    assert "\x1b" not in out
    text = " ".join(out.split())
    for words in (
        "now an action is planned (backoff: a restart has been tried; the next one waits longer)",
        "next restart in ",
        "(at 10:10:00), if it is still needed then",
        "failures 0 failed restarts in the window",
        "instances 1 of at most 3; another can be made, traffic reaches it by alias",
        "in the way paused by ben since",
        "story web-1, from 10:00:00 for ContainerHighCPU",
        "09:59:59 restart: symptom_persists, the alert is still active 3m after the action",
        "09:59:59 restart, manual: exited, exit code 3",
        "decisions 10:00:00 wait first_need",
        "10:03:00 wait backoff (d)",
        "you can relevo restart host1:web --reason …",
        "relevo cancel web-1 --reason …",
        "relevo show web-1",
    ):
        assert words in text


def test_why_tells_of_clones_and_of_what_has_left(served: Served) -> None:
    served.helped_by(clone(1))
    served.helped_by(clone(2), reason=Reason.COVER)
    said(served, "scale-in", "web", *WHY)

    out = said(served, "why", "web")

    text = " ".join(out.split())
    for words in (
        "instances 3 of at most 3, soon 2; no other can be made: at_max",
        "clones web_new2 since 10:00:00, is leaving (cover: an instance",
        "web_new1 since 10:00:00 (window_full: enough restarts",
        "scale_in web_new2: in_progress, a person has ordered it",
        "you can relevo restart host1:web --reason … relevo scale-in host1:web --reason …",
    ):
        assert words in text


def test_why_says_why_a_clone_stays(served: Served) -> None:
    served.helped_by(clone())
    target = json.loads(said(served, "targets", "--output", "json"))["targets"][0]
    target |= {
        "clones_stay": {"reason": "needed", "until": "2026-11-22T10:30:00.000Z", "detail": None},
        "cooling_until": "2026-11-22T10:40:00.000Z",
    }
    status = json.loads(said(served, "status", "--output", "json"))["status"]
    answer = {"status": status, "target": target, "remediation": None, "activities": []}

    text = " ".join(" ".join(tell(answer, asked="host1:web")).split())

    assert "none leaves: needed, its group has an alert, or had one lately, until 10:30:00" in text
    assert "instances 2 of at most 3; cooldown until 10:40:00; another can be made" in text


def test_why_of_a_clone_is_the_story_of_its_target(served: Served) -> None:
    served.helped_by(clone())

    first, second, *_ = said(served, "why", "web_new1").splitlines()

    assert first == "web_new1 is a clone of this one:"
    assert second.startswith("host1:web: ok, at ")


def test_targets_say_how_many_there_are(served: Served) -> None:
    served.helped_by(clone())

    assert "2 of 3" in said(served, "targets")
    assert "2 of 3" in said(served, "status")


def test_why_of_a_well_target(served: Served) -> None:
    out = said(served, "why", "web")

    assert "nothing is wrong with it" in out
    assert "next       nothing, until an alert fires" in out
    assert "story" not in out


def test_why_in_json_is_all_that_was_asked(served: Served) -> None:
    served.write(STORY)

    answer = json.loads(said(served, "why", "web", "--output", "json"))

    assert set(answer) == {"status", "target", "remediation", "activities"}
    assert answer["remediation"]["id"] == "web-1"


def test_why_of_a_closed_story_still_tells_it(served: Served) -> None:
    served.write(
        replace(
            STORY,
            state=State.CLOSED,
            next_at=None,
            next_action=None,
            closed_at=at(900),
            outcome="recovered",  # type: ignore[arg-type]
        )
    )

    out = said(served, "why", "web")

    assert out.startswith("host1:web: ok, at 10:0")
    assert "story      web-1, from 10:00:00 for ContainerHighCPU, over at 10:15:00:" in out


def test_the_longest_story_fits_a_screen(served: Served) -> None:
    long = "word " * 200
    served.write(
        replace(
            STORY,
            id="web-1",
            state=State.QUARANTINED,
            reason=Reason.DATA_IN_ANONYMOUS_VOLUME,
            alerts=tuple(f"SomeVeryLongAlertNameNumber{n}" for n in range(40)),
            called_off=long,
            relapse_of="web-0",
            attempts=tuple(
                attempt(id=f"web-1.{n}", evidence=long, verdict=Verdict.EXITED, finished_at=at(n))
                for n in range(30)
            ),
            log=tuple(
                LogEntry(at=at(n), decision="hold", reason=Reason.HUMAN, detail=long)
                for n in range(200)
            ),
        )
    )
    halt = Halt(reason=long.strip(), author="x" * 100, since=START, until=at(9e5))
    served.run(served.store.controls.set_pause(halt))
    served.run(served.store.controls.set_hold(TARGET, halt))
    served.run(served.store.controls.set_brake(Brake(engaged_at=START, failing=5)))
    served.engine.report = REFUSED
    for number in range(1, 6):
        served.helped_by(clone(number), cause=long, ordered=long)

    lines = said(served, "why", "web_new3").splitlines()

    assert max(len(line) for line in lines) <= 80
    assert len(lines) <= 40
    assert lines[0] == "web_new3 is a clone of this one:"
    assert any("relevo release host1:web" in line for line in lines)
    assert any("… 3 older ones" in line for line in lines)
    assert any("decisions" in line for line in lines)


def test_every_reason_and_state_has_words() -> None:
    skipped = {Reason.OWN_ALERT, Reason.OTHER_ENGINE, Reason.AMBIGUOUS_ENGINE, Reason.STALE}
    assert {reason for reason in Reason if reason not in REASONS} == skipped
    assert set(STATES) == set(State)


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert clean("a\x1b[31mb\x07\x9b\u202e") == "a�[31mb���"
    assert clean("plain – text …") == "plain – text …"


def test_unknown_words_are_shown_as_they_are() -> None:
    """A newer server may say what this command does not know."""
    status = {
        "now": "2026-11-22T10:00:00.000Z",
        "mode": "enforce",
        "pause": None,
        "brake": {"engaged_at": None, "failing": 0},
        "budget_left": {"burst": 1, "hour": 1},
    }
    target: dict[str, Any] = {
        "target": TARGET,
        "state": "floating",
        "reason": "tide",
        "mode": "enforce",
        "next_action": None,
        "next_action_at": None,
        "failures_in_window": 0,
        "container": "web",
        "instances": 1,
        "desired_instances": 1,
        "max_instances": 3,
        "clones": [],
        "clones_stay": None,
        "cooling_until": None,
        "remediation": None,
        "hold": None,
        "readiness": None,
    }

    answer: dict[str, Any] = {
        "status": status,
        "target": target,
        "remediation": None,
        "activities": [],
    }
    lines = tell(answer, asked="web")

    assert lines[0].startswith("host1:web: floating")
    assert "now        floating (tide: tide)" in lines
