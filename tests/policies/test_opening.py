"""A target without an open remediation: does a story begin, and is it the last one again?"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.decision import (
    Action,
    Hold,
    Idle,
    Outcome,
    Reason,
    Relapse,
    Verdict,
    Wait,
)
from app.domain.observation import EngineView, Observation, Sickness, Symptom
from app.domain.remediation import Attempt, Remediation, State, Trigger
from app.policies import story
from app.policies.ladder import next_step
from app.policies.opening import begin, is_new_incarnation
from app.policies.spec import Guards, Patience, Policy, RestartRules, Strategy, VerifyRules
from tests.builders import START, at, attempt, container, remediation, seen

POLICY = Policy()
HOUR = 3600

HELPED = attempt(verdict=Verdict.RECOVERED, finished_at=START)


def closed(*attempts: Attempt, outcome: Outcome = Outcome.RECOVERED, **more: Any) -> Remediation:
    values: dict[str, Any] = {
        "id": "web-0",
        "state": State.CLOSED,
        "outcome": outcome,
        "closed_at": START,
        "attempts": attempts or (HELPED,),
    }
    return remediation(**(values | more))


def ill(previous: Remediation | None = None, since: float = 0, **more: Any) -> Observation:
    sick = Sickness(symptom=Symptom.ACTIVE, alerts=("ContainerHighCPU",), since=at(since))
    return seen(**({"remediation": None, "sickness": sick, "previous": previous} | more))


def begun(look: Observation, now: float, policy: Policy = POLICY) -> Any:
    return begin(look, policy, Guards(), now=at(now))


# ---------------------------------------------------------------- relapses


@pytest.mark.parametrize(
    ("after", "relapses"),
    [
        pytest.param(0, True, id="at-once"),
        pytest.param(HOUR - 1, True, id="within-the-hour"),
        pytest.param(HOUR, True, id="after-exactly-an-hour"),
        pytest.param(HOUR + 0.001, False, id="a-moment-later-is-another-trouble"),
    ],
)
def test_what_recovered_and_is_ill_again_within_the_hour_has_relapsed(
    after: float, relapses: bool
) -> None:
    step = begun(ill(closed(), since=after), after)

    wait = Wait(at(after + 60), Reason.FIRST_NEED, Action.RESTART)
    assert step == (Relapse(Reason.RELAPSED) if relapses else wait)


def test_the_window_is_the_policys() -> None:
    never = Policy(verify=VerifyRules(relapse_window=timedelta(0)))

    assert isinstance(begun(ill(closed()), 1, never), Wait)
    assert isinstance(begun(ill(closed()), 0, never), Relapse)


def test_the_hour_is_counted_from_its_verdict_not_from_its_end() -> None:
    """The step that closes a story comes a moment after its verdict."""
    late = closed(closed_at=at(100))

    assert isinstance(begun(ill(late), HOUR + 1), Wait)


@pytest.mark.parametrize(
    ("previous", "relapses"),
    [
        pytest.param(None, False, id="there-was-none"),
        pytest.param(closed(), True, id="our-own-restart"),
        pytest.param(closed(replace(HELPED, trigger=Trigger.MANUAL)), True, id="a-persons-order"),
        pytest.param(closed(replace(HELPED, trigger=Trigger.FOREIGN)), True, id="somebody-elses"),
        pytest.param(
            closed(attempt(verdict=Verdict.SYMPTOM_PERSISTS), HELPED), True, id="the-second-restart"
        ),
        pytest.param(
            closed(replace(HELPED, verdict=Verdict.RELAPSED)), False, id="it-has-turned-already"
        ),
        pytest.param(
            closed(attempt(verdict=Verdict.WOULD_HAVE, trigger=Trigger.REHEARSAL)),
            False,
            id="nothing-was-done",
        ),
        pytest.param(closed(outcome=Outcome.CANCELLED), False, id="it-was-called-off"),
        pytest.param(closed(outcome=Outcome.SUPERSEDED), False, id="it-was-superseded"),
        pytest.param(
            closed(
                attempt(action=Action.SCALE_OUT, verdict=Verdict.RELIEVED, finished_at=START),
                outcome=Outcome.RELIEVED,
            ),
            False,
            id="a-clone-relieved-it",
        ),
        pytest.param(
            replace(closed(), attempts=()), False, id="it-ended-before-anything-was-tried"
        ),
        pytest.param(
            closed(replace(HELPED, finished_at=None)), False, id="nobody-knows-when-it-was"
        ),
        pytest.param(closed(incarnation="sha256:0"), False, id="another-incarnation"),
    ],
)
def test_what_can_relapse(previous: Remediation | None, relapses: bool) -> None:
    assert isinstance(begun(ill(previous), 60), Relapse) == relapses


@pytest.mark.parametrize(
    ("trigger", "counts"),
    [(Trigger.AUTOMATIC, True), (Trigger.MANUAL, False), (Trigger.FOREIGN, False)],
)
def test_whoever_restarted_it_the_verdict_turns_and_only_ours_counts(
    trigger: Trigger, counts: bool
) -> None:
    previous = closed(replace(HELPED, trigger=trigger))
    look = ill(previous)
    successor = story.opened(look, begun(look, 60), policy="default", now=at(60))

    (turned,) = story.flipped(previous, successor, now=at(60)).attempts

    assert turned.verdict is Verdict.RELAPSED
    assert turned.is_failed_restart == counts


@pytest.mark.parametrize(
    ("sick", "expected"),
    [
        pytest.param(Sickness(symptom=Symptom.ABSENT), Idle(Reason.RESOLVED), id="well"),
        pytest.param(
            Sickness(symptom=Symptom.SUPPRESSED), Hold(at(75), Reason.SILENCED), id="silenced"
        ),
        pytest.param(
            Sickness(symptom=Symptom.UNKNOWN, noticed=True),
            Hold(at(75), Reason.NO_FRESH_DATA),
            id="who-knows",
        ),
    ],
)
def test_only_what_is_ill_relapses(sick: Sickness, expected: Any) -> None:
    assert begun(ill(closed(), sickness=sick), 60) == expected


@pytest.mark.parametrize("first", [Symptom.SUPPRESSED, Symptom.UNKNOWN])
def test_a_relapse_that_nobody_could_tell_at_first_is_one(first: Symptom) -> None:
    look = ill(closed(), sickness=Sickness(symptom=first, noticed=True))
    held = begun(look, 60)
    opened = story.opened(look, held, policy="default", now=at(60))
    record = story.advanced(opened, look, held, now=at(60))

    step = next_step(ill(closed(), remediation=record), POLICY, Patience(), now=at(120))

    assert step == Relapse(Reason.RELAPSED)


# ---------------------------------------------------------------- incarnations


@pytest.mark.parametrize(
    ("previous", "is_new"),
    [
        pytest.param(None, False, id="the-first-story-of-all"),
        pytest.param(closed(), False, id="the-same-image-and-config"),
        pytest.param(closed(incarnation="sha256:0"), True, id="made-anew"),
    ],
)
def test_a_new_image_is_a_new_history(previous: Remediation | None, is_new: bool) -> None:
    assert is_new_incarnation(ill(previous)) == is_new


@pytest.mark.parametrize("failures", [1, 2, 3, 9])
def test_failures_of_an_older_image_say_nothing(failures: int) -> None:
    older = closed(incarnation="sha256:0")

    step = begun(ill(older, failures=failures), 0)

    assert step == Wait(at(60), Reason.FIRST_NEED, Action.RESTART)


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 60), (1, 300), (2, 600)],
)
def test_failures_of_the_same_image_lengthen_the_wait(failures: int, wait: float) -> None:
    past = closed(outcome=Outcome.CANCELLED)

    assert begun(ill(past, failures=failures), 0).until == at(wait)


@pytest.mark.parametrize("failures", [3, 4])
def test_a_full_window_goes_straight_to_another_instance(failures: int) -> None:
    assert begun(ill(failures=failures), 5) == Wait(at(5), Reason.WINDOW_FULL, Action.SCALE_OUT)


# ---------------------------------------------------------------- the rest


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        pytest.param(
            ill(view=EngineView.GONE, container=None), Idle(Reason.NO_SUCH_TARGET), id="gone"
        ),
        pytest.param(ill(opted_in=False), Idle(Reason.NOT_OPTED_IN), id="not-opted-in"),
        pytest.param(
            ill(closed(), opted_in=False),
            Idle(Reason.NOT_OPTED_IN),
            id="opted-out-since-it-recovered",
        ),
    ],
)
def test_where_no_story_begins(look: Observation, expected: Any) -> None:
    assert begun(look, 0) == expected


def test_ill_clones_never_restart_their_source() -> None:
    sick = Sickness(symptom=Symptom.ACTIVE, on_source=False)

    assert begun(ill(sickness=sick), 0) == Wait(START, Reason.CLONE_SICK, Action.SCALE_OUT)


def test_scale_first_does_not_wait() -> None:
    step = begun(ill(), 0, Policy(strategy=Strategy.SCALE_FIRST))

    assert step == Wait(START, Reason.FIRST_NEED, Action.SCALE_OUT)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        pytest.param(0, 60, id="received-now"),
        pytest.param(59, 60, id="the-rest-is-waited"),
        pytest.param(60, 60, id="exactly-over"),
        pytest.param(7200, 7200, id="over-while-we-were-away"),
    ],
)
def test_the_wait_counts_from_the_first_notice(now: float, until: float) -> None:
    assert begun(ill(), now).until == at(until)


def test_no_wait_is_no_wait() -> None:
    at_once = Policy(restart=RestartRules(delays=(timedelta(0),)))

    assert begun(ill(), 5, at_once) == Wait(at(5), Reason.FIRST_NEED, Action.RESTART)


def test_what_begins_keeps_the_container_as_it_was() -> None:
    """Somebody's restart during the wait must be seen."""
    look = ill()

    record = story.opened(look, begun(look, 0), policy="default", now=START)

    assert record.planned_started_at == container().started_at
