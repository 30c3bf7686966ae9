"""What became of an action whose end nobody saw."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.container import RunState
from app.domain.decision import (
    Action,
    Adopt,
    Conclude,
    Reason,
    Resume,
    StartStopped,
    Verdict,
    Watch,
)
from app.domain.observation import EngineView, Observation, Sickness, Symptom
from app.domain.remediation import Attempt
from app.policies.recovery import CLONE_TAKES, ENGINE_SLACK, settle
from app.policies.spec import Policy, RestartRules
from tests.builders import START, at, attempt, container, group, seen

#: An engine has had its time to make a clone: seconds after `START`.
MADE = CLONE_TAKES.total_seconds() - 1

Answer = Adopt | StartStopped | Watch | Resume | Conclude

#: An engine that was asked at START may be at it until then (stop grace 10 s, slack 30 s).
OVER = 40
POLL = 15
#: The same for a clone.
MADE = 90
#: Its StartedAt says that nothing has happened to it.
BEFORE = container().started_at


def intent(**more: object) -> Attempt:
    """A restart whose intent was written at `START`, and of which no more is known."""
    unseen = {"intent_at": START, "acted_at": None, "started_after": None, "started_before": BEFORE}
    return attempt(**(unseen | more))


def scale_out(**more: object) -> Attempt:
    return intent(action=Action.SCALE_OUT, **more)


def ill(symptom: Symptom = Symptom.ACTIVE, **more: object) -> Observation:
    return replace(seen(sickness=Sickness(symptom=symptom)), **more)  # type: ignore[arg-type]


def settled(look: Observation, one: Attempt, after: float, policy: Policy | None = None) -> Answer:
    return settle(look, one, policy or Policy(), now=at(after))


def concluded(answer: Answer) -> tuple[Verdict, Reason]:
    assert isinstance(answer, Conclude)
    assert answer.evidence
    return answer.verdict, answer.reason


# ---------------------------------------------------------------- restarts


@pytest.mark.parametrize("symptom", list(Symptom))
def test_a_restart_that_happened_is_adopted_whatever_is_seen(symptom: Symptom) -> None:
    look = ill(symptom, container=container(started_at="after"))

    assert settled(look, intent(error="no answer"), 1) == Adopt(Reason.INTERRUPTED)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(0, Watch(at(POLL), Reason.INTERRUPTED), id="just-asked"),
        pytest.param(20, Watch(at(20 + POLL), Reason.INTERRUPTED), id="the-engine-may-be-at-it"),
        pytest.param(30, Watch(at(OVER), Reason.INTERRUPTED), id="no-look-beyond-what-it-may-take"),
        pytest.param(OVER - 1, Watch(at(OVER), Reason.INTERRUPTED), id="one-second-before"),
        pytest.param(OVER, Resume(Reason.INTERRUPTED), id="exactly-over"),
        pytest.param(OVER + 9999, Resume(Reason.INTERRUPTED), id="long-over"),
    ],
)
def test_an_engine_gets_its_grace_before_it_is_asked_again(after: float, expected: Answer) -> None:
    assert settled(ill(), intent(), after) == expected


@pytest.mark.parametrize(
    ("own", "policys", "over"),
    [
        pytest.param(timedelta(seconds=240), None, 270, id="the-containers-own"),
        pytest.param(timedelta(seconds=240), timedelta(seconds=5), 35, id="the-policys-wins"),
        pytest.param(timedelta(seconds=10), timedelta(0), 30, id="a-grace-of-nothing-is-a-grace"),
    ],
)
def test_the_stop_grace_is_waited_for(
    own: timedelta, policys: timedelta | None, over: float
) -> None:
    policy = Policy(restart=RestartRules(stop_grace=policys))
    look = ill(container=container(stop_grace=own))

    assert isinstance(settled(look, intent(), over - 1, policy), Watch)
    assert isinstance(settled(look, intent(), over, policy), Resume)


@pytest.mark.parametrize(
    ("symptom", "expected"),
    [
        pytest.param(Symptom.ACTIVE, Resume(Reason.INTERRUPTED), id="still-needed"),
        pytest.param(
            Symptom.UNKNOWN, Watch(at(OVER + POLL), Reason.NO_FRESH_DATA), id="nobody-can-tell"
        ),
    ],
)
def test_what_never_happened_is_done_only_where_it_is_needed(
    symptom: Symptom, expected: Answer
) -> None:
    assert settled(ill(symptom), intent(), OVER) == expected


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        pytest.param(ill(Symptom.ABSENT), Reason.RESOLVED, id="the-trouble-has-passed"),
        pytest.param(ill(Symptom.SUPPRESSED), Reason.SILENCED, id="a-person-silenced-it"),
        pytest.param(ill(observe_only=True), Reason.OBSERVE, id="observe-mode-since"),
        pytest.param(
            ill(container=container(state=RunState.PAUSED)),
            Reason.PAUSED_CONTAINER,
            id="a-person-paused-it",
        ),
    ],
)
def test_what_never_happened_and_may_not_go_on_is_cancelled(
    look: Observation, expected: Reason
) -> None:
    verdict, reason = concluded(settled(look, intent(), OVER))

    assert (verdict, reason) == (Verdict.CANCELLED, expected)
    assert not verdict.counts


@pytest.mark.parametrize("state", [RunState.EXITED, RunState.CREATED, RunState.DEAD])
@pytest.mark.parametrize("symptom", list(Symptom))
@pytest.mark.parametrize("after", [0, OVER])
def test_what_we_left_stopped_is_started(state: RunState, symptom: Symptom, after: float) -> None:
    look = ill(symptom, container=container(state=state))

    assert settled(look, intent(), after) == StartStopped(Reason.FOUND_STOPPED)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.RESTARTING, RunState.PAUSED])
def test_what_is_not_stopped_is_not_started(state: RunState) -> None:
    look = ill(container=container(state=state))

    assert isinstance(settled(look, intent(), 0), Watch)


@pytest.mark.parametrize("symptom", list(Symptom))
def test_dying_before_the_start_leaves_nothing_stopped(symptom: Symptom) -> None:
    """The intent to start was written, the start never happened: quiet because it is down."""
    look = ill(symptom, container=container(state=RunState.EXITED))
    one = intent(started_again=True)

    assert isinstance(settled(look, one, OVER - 1), Watch)
    assert settled(look, one, OVER) == Resume(Reason.FOUND_STOPPED)


def test_a_start_that_got_no_answer_is_not_tried_for_ever() -> None:
    look = ill(container=container(state=RunState.EXITED))
    one = intent(started_again=True, error="no answer")

    assert concluded(settled(look, one, OVER)) == (Verdict.TIMED_OUT, Reason.INTERRUPTED)


@pytest.mark.parametrize(
    ("after", "is_over"),
    [pytest.param(OVER - 1, False, id="not-yet"), pytest.param(OVER, True, id="exactly")],
)
def test_silence_is_unknown_until_the_engine_must_be_done(after: float, is_over: bool) -> None:
    answer = settled(ill(), intent(error="no answer"), after)

    assert isinstance(answer, Conclude) is is_over
    if is_over:
        verdict, _ = concluded(answer)
        assert verdict is Verdict.TIMED_OUT
        assert verdict.counts


@pytest.mark.parametrize("one", [intent, scale_out])
def test_a_refusal_is_a_failure_at_once(one: object) -> None:
    refused = one(error="no space", error_status=500)  # type: ignore[operator]
    answer = settled(ill(), refused, 0)

    assert concluded(answer) == (Verdict.ENGINE_ERROR, Reason.INTERRUPTED)
    assert isinstance(answer, Conclude)
    assert "no space" in answer.evidence


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        pytest.param(
            ill(view=EngineView.GONE, container=None), Reason.NO_SUCH_TARGET, id="it-is-gone"
        ),
        pytest.param(
            ill(container=container(number=2)), Reason.NEW_INCARNATION, id="it-was-replaced"
        ),
    ],
)
def test_another_container_is_another_story(look: Observation, reason: Reason) -> None:
    assert concluded(settled(look, intent(), 0)) == (Verdict.VANISHED, reason)


# ---------------------------------------------------------------- scale-outs


def with_clone(state: RunState, symptom: Symptom = Symptom.ACTIVE) -> Observation:
    return ill(symptom, group=group(fresh_clone=container("web_new", 9, state=state)))


@pytest.mark.parametrize("symptom", list(Symptom))
def test_a_clone_that_runs_is_adopted(symptom: Symptom) -> None:
    answer = settled(with_clone(RunState.RUNNING, symptom), scale_out(error="no answer"), 0)

    assert answer == Adopt(Reason.INTERRUPTED)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(ill(), id="no-clone-yet"),
        pytest.param(with_clone(RunState.CREATED), id="half-made"),
        pytest.param(with_clone(RunState.EXITED), id="stopped"),
    ],
)
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(0, Watch(at(POLL), Reason.INTERRUPTED), id="just-asked"),
        pytest.param(MADE - 1, Watch(at(MADE), Reason.INTERRUPTED), id="one-second-before"),
        pytest.param(MADE, Resume(Reason.INTERRUPTED), id="exactly-over"),
    ],
)
def test_a_scale_out_goes_on_under_its_own_id_once_the_engine_must_be_done(
    look: Observation, after: float, expected: Answer
) -> None:
    assert settled(look, scale_out(), after) == expected


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        pytest.param(ill(Symptom.ABSENT), Reason.RESOLVED, id="the-trouble-has-passed"),
        pytest.param(ill(Symptom.SUPPRESSED), Reason.SILENCED, id="a-person-silenced-it"),
        pytest.param(ill(container=None), Reason.NO_SUCH_TARGET, id="the-source-is-gone"),
        pytest.param(ill(observe_only=True), Reason.OBSERVE, id="observe-mode-since"),
    ],
)
def test_a_scale_out_that_may_not_go_on_is_cancelled(look: Observation, expected: Reason) -> None:
    assert concluded(settled(look, scale_out(), MADE)) == (Verdict.CANCELLED, expected)


def test_a_scale_out_is_not_made_where_nobody_can_tell() -> None:
    assert settled(ill(Symptom.UNKNOWN), scale_out(), MADE) == Watch(
        at(MADE + POLL), Reason.NO_FRESH_DATA
    )


@pytest.mark.parametrize(
    ("after", "is_over"),
    [pytest.param(MADE - 1, False, id="not-yet"), pytest.param(MADE, True, id="exactly")],
)
def test_a_scale_out_without_an_answer_has_failed_once_it_must_be_done(
    after: float, is_over: bool
) -> None:
    answer = settled(ill(), scale_out(error="no answer"), after)

    assert isinstance(answer, Conclude) is is_over
    if is_over:
        assert concluded(answer) == (Verdict.TIMED_OUT, Reason.INTERRUPTED)


def test_the_slack_is_what_the_table_was_made_with() -> None:
    assert at(OVER) == START + container().stop_grace + ENGINE_SLACK
    assert at(MADE) == START + CLONE_TAKES
