"""The first and the last word about a story."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.control import Halt
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.remediation import Remediation, State
from app.policies import announce_words as words
from app.policies.announce import announcements
from app.policies.announce_facts import Announcement, NewsView, Subject
from app.policies.spec import Policy
from tests.builders import START, TARGET, at, attempt, remediation

WEB = Subject(container="web", group="web", policy=Policy())
FAILED = attempt(verdict=Verdict.SYMPTOM_PERSISTS, finished_at=at(180))
CLONE = attempt(action=Action.SCALE_OUT, clone="web_new", verdict=Verdict.RELIEVED)


def told(
    *records: Remediation,
    closed: tuple[Remediation, ...] = (),
    now: datetime = START,
    subject: Subject = WEB,
    **more: Any,
) -> dict[str, Announcement]:
    view = NewsView(
        engine="host1", remediations=records, closed=closed, subjects={TARGET: subject}, **more
    )
    return {one.labels["alertname"]: one for one in announcements(view, now=now)}


def waiting(**more: Any) -> Remediation:
    values = {"next_at": at(60), "next_action": Action.RESTART, "needed_since": START}
    return remediation(**(values | more))


def ended(outcome: Outcome = Outcome.RECOVERED, **more: Any) -> Remediation:
    values = {"state": State.CLOSED, "closed_at": at(600), "outcome": outcome}
    return remediation(**(values | more))


# ---------------------------------------------------------------- at work


def test_it_stands_beside_the_symptom_and_leads_to_the_story() -> None:
    one = told(waiting(), external_url="http://relevo:5000")["RelevoAtWork"]

    assert one.labels == {
        "alertname": "RelevoAtWork",
        "engine": "host1",
        "group": "web",
        "name": "web",
        "target": TARGET,
        "severity": "info",
    }
    assert one.starts_at == START
    assert one.annotations["relevo_url"] == "http://relevo:5000/remediations/web-1"
    assert "relevo_did" not in one.annotations


PAUSE = Halt(reason="sale", author="alice", since=START, until=at(3600))


@pytest.mark.parametrize(
    ("record", "more", "said"),
    [
        pytest.param(
            waiting(),
            {},
            "restarts web at 10:01 UTC, 1 minute after the first notice, "
            "unless its alerts end before",
            id="first",
        ),
        pytest.param(
            waiting(attempts=(FAILED,), needed_since=at(180), next_at=at(480)),
            {},
            "restarts web at 10:08 UTC, 5 minutes after the last try, unless its alerts end before",
            id="next",
        ),
        pytest.param(
            waiting(next_action=Action.SCALE_OUT, next_at=START),
            {},
            "starts one more instance of web at 10:00 UTC, 0 seconds after the first notice, "
            "unless its alerts end before",
            id="scale-first",
        ),
        pytest.param(
            waiting(),
            {"subject": replace(WEB, observed=True)},
            "nothing, it only observes; else: restarts web at 10:01 UTC, 1 minute after the first "
            "notice",
            id="observed",
        ),
        pytest.param(
            waiting(),
            {"pause": PAUSE},
            "nothing: Relevo is paused by alice, until 11:00 UTC (sale)",
            id="paused",
        ),
        pytest.param(
            waiting(called_off="bob: mine"),
            {},
            "nothing: it was called off by a person (bob: mine)",
            id="called-off",
        ),
        pytest.param(
            waiting(state=State.HELD, reason=Reason.BUDGET),
            {},
            "nothing for now (budget): its page says what it waits for",
            id="held",
        ),
        pytest.param(
            waiting(state=State.VERIFYING, attempts=(attempt(),), next_action=None),
            {},
            "watches whether its alerts end and stay away; after 3 minutes at most the try has "
            "failed, and the next step comes",
            id="verifying",
        ),
        pytest.param(
            waiting(next_action=None), {}, "decides again at 10:01 UTC", id="no-action-planned"
        ),
    ],
)
def test_it_says_what_comes_next_and_when(
    record: Remediation, more: dict[str, Any], said: str
) -> None:
    assert told(record, **more)["RelevoAtWork"].annotations["relevo_next"] == said


@pytest.mark.parametrize("state", [one for one in State if one is not State.OK])
@pytest.mark.parametrize("scaled_out_at", [None, at(240)])
def test_of_an_open_story_exactly_one_thing_is_told(
    state: State, scaled_out_at: datetime | None
) -> None:
    record = remediation(state=state, scaled_out_at=scaled_out_at, closed_at=None)

    assert len(told(record)) == (0 if state is State.CLOSED else 1)


# ---------------------------------------------------------------- over


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_end_is_told_in_words(outcome: Outcome) -> None:
    one = told(closed=(ended(outcome, attempts=(FAILED,)),), now=at(601))["RelevoOver"]

    said = one.annotations
    assert said["summary"].startswith("web ")
    assert "from 10:00 UTC on, for 10 minutes (ContainerHighCPU)." in said["description"]
    assert said["relevo_did"] == "1 restart at 10:00 UTC, failed: the alert went on"
    assert said["relevo_next"]
    assert one.starts_at == at(600)
    assert one.labels["severity"] == "info"


@pytest.mark.parametrize(
    ("record", "summary", "next_"),
    [
        pytest.param(
            ended(Outcome.CANCELLED),
            "web is well again, by itself",
            "nothing. Should it fall ill again, Relevo begins again",
            id="by-itself",
        ),
        pytest.param(
            ended(Outcome.CANCELLED, called_off="bob: mine"),
            "web is left alone: its alerts ended",
            "nothing. Should it fall ill again, Relevo begins again",
            id="called-off",
        ),
        pytest.param(
            ended(Outcome.RECOVERED, attempts=(FAILED, FAILED)),
            "web is well again: a restart has helped",
            "nothing. Should it fall ill again, 2 failed restarts still count, each for 1h",
            id="after-failures",
        ),
        pytest.param(
            ended(Outcome.RELIEVED, attempts=(FAILED, CLONE), scaled_out_at=at(240)),
            "web is relieved: one more instance has helped",
            "what was added leaves when no alert of the group has come for 30 minutes",
            id="relieved",
        ),
    ],
)
def test_an_end_says_what_comes_afterwards(record: Remediation, summary: str, next_: str) -> None:
    said = told(closed=(record,), now=at(601))["RelevoOver"].annotations

    assert (said["summary"], said["relevo_next"]) == (summary, next_)


@pytest.mark.parametrize(
    ("closed", "open_", "now"),
    [
        pytest.param((ended(),), (), at(600 + 600), id="long-ago"),
        pytest.param((ended(),), (), at(599), id="not-yet"),
        pytest.param((ended(),), (waiting(id="web-2"),), at(601), id="ill-again"),
        pytest.param(
            (ended(Outcome.ESCALATED, scaled_out_at=at(240), quarantined_at=at(300)),),
            (),
            at(601),
            id="three-messages-were-sent",
        ),
        pytest.param((replace(ended(), target="host1:gone"),), (), at(601), id="nobody-knows-it"),
    ],
)
def test_ends_that_are_not_told(
    closed: tuple[Remediation, ...], open_: tuple[Remediation, ...], now: datetime
) -> None:
    assert "RelevoOver" not in told(*open_, closed=closed, now=now)


def test_of_two_ends_the_later_is_told() -> None:
    first, second = ended(), ended(Outcome.RELIEVED, id="web-2", closed_at=at(700))

    one = told(closed=(second, first), now=at(701))["RelevoOver"]

    assert one.starts_at == at(700)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("seconds", "exactly", "about"),
    [
        (0, "0 seconds", "0 seconds"),
        (1, "1 second", "1 second"),
        (60, "1 minute", "60 seconds"),
        (90, "90 seconds", "90 seconds"),
        (150, "150 seconds", "2 minutes"),
        (600, "10 minutes", "10 minutes"),
        (2_225, "2225 seconds", "37 minutes"),
        (3_600, "1 hour", "1 hour"),
        (86_400, "1 day", "1 day"),
    ],
)
def test_durations_in_words(seconds: int, exactly: str, about: str) -> None:
    duration = timedelta(seconds=seconds)

    assert (words.span(duration), words.about(duration)) == (exactly, about)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_words(verdict: Verdict) -> None:
    assert "_" not in words.did([attempt(verdict=verdict)])


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1 restart at 10:00 UTC: in progress"),
        (2, "2 restarts at 10:00 and 10:01 UTC: in progress"),
        (6, "6 restarts, the last at 10:05 UTC: in progress"),
    ],
)
def test_says_at_what_times(number: int, said: str) -> None:
    attempts = [attempt(acted_at=at(60 * n)) for n in range(number)]

    assert words.did(attempts, now=START) == said
