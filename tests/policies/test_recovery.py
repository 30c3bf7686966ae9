"""What became of an action whose end nobody saw."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.container import RunState
from app.domain.control import Brake, Halt
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
from app.domain.observation import EngineView, GuardView, Observation, Refusal, Sickness, Symptom
from app.domain.remediation import Attempt, Trigger
from app.policies.recovery import BEGINS_WITHIN, CLONE_TAKES, ENGINE_SLACK, settle
from app.policies.spec import Guards, Policy, RestartRules
from tests.builders import START, at, attempt, container, group, seen

Answer = Adopt | StartStopped | Watch | Resume | Conclude

#: An engine that was asked at START may be at it until then (stop grace 10 s, slack 30 s).
OVER = 60
POLL = 15
#: The same for a clone.
MADE = 110
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
    return settle(look, one, policy or Policy(), Guards(), now=at(after))


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
        pytest.param(
            OVER - 10, Watch(at(OVER), Reason.INTERRUPTED), id="no-look-beyond-what-it-may-take"
        ),
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
        pytest.param(timedelta(seconds=240), None, 290, id="the-containers-own"),
        pytest.param(timedelta(seconds=240), timedelta(seconds=5), 55, id="the-policys-wins"),
        pytest.param(timedelta(seconds=10), timedelta(0), 50, id="a-grace-of-nothing-is-a-grace"),
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
    assert at(OVER) == START + BEGINS_WITHIN + container().stop_grace + ENGINE_SLACK
    assert at(MADE) == START + BEGINS_WITHIN + CLONE_TAKES


# ---------------------------------------------------------------- before acting, always


HALT = Halt(reason="hands off", author="joe", since=START)
#: What may have come up while we were away.
SINCE: dict[Reason, dict[str, Any]] = {
    Reason.PROTECTED: {"protected": "Relevo itself runs in it"},
    Reason.HOLD: {"hold": HALT},
    Reason.PAUSE: {"pause": HALT},
    Reason.BRAKE: {"brake": Brake(engaged_at=START, failing=9)},
    Reason.DEPLOY: {"deploy_until": at(600)},
    Reason.START_GRACE: {"start_grace_until": at(600)},
    Reason.MIN_HEALTHY: {"others": 1},
}


@pytest.mark.parametrize("reason", SINCE, ids=str)
def test_what_was_interrupted_is_asked_for_anew(reason: Reason) -> None:
    """Recovery is no way round a guard."""
    look = ill(guards=GuardView(**SINCE[reason]))
    answer = settled(look, intent(), OVER)

    assert concluded(answer) == (Verdict.CANCELLED, reason)
    assert isinstance(answer, Conclude)
    assert answer.evidence.endswith("; nothing was done")
    assert not answer.verdict.counts


#: These are about taking an instance out, which a scale-out does not.
OF_RESTARTS = (Reason.MIN_HEALTHY, Reason.START_GRACE)


@pytest.mark.parametrize("reason", [one for one in SINCE if one not in OF_RESTARTS], ids=str)
def test_a_clone_that_was_interrupted_is_asked_for_anew(reason: Reason) -> None:
    look = ill(guards=GuardView(**SINCE[reason]))

    assert concluded(settled(look, scale_out(), MADE)) == (Verdict.CANCELLED, reason)


@pytest.mark.parametrize("reason", OF_RESTARTS, ids=str)
def test_a_clone_takes_none_out(reason: Reason) -> None:
    look = ill(guards=GuardView(**SINCE[reason]))

    assert settled(look, scale_out(), MADE) == Resume(Reason.INTERRUPTED)


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        pytest.param(GuardView(), Reason.NOT_RUNNING, id="it-stopped-by-itself"),
        pytest.param(GuardView(human="somebody stopped it"), Reason.HUMAN, id="by-a-person"),
    ],
)
def test_a_source_that_was_stopped_since_is_not_cloned(guards: GuardView, expected: Reason) -> None:
    look = ill(container=container(state=RunState.EXITED), guards=guards)

    assert concluded(settled(look, scale_out(), MADE)) == (Verdict.CANCELLED, expected)


@pytest.mark.parametrize("after", [OVER - 1, OVER])
def test_an_ended_pause_is_none(after: float) -> None:
    look = ill(guards=GuardView(pause=replace(HALT, until=at(after))))

    assert isinstance(settled(look, intent(), OVER), Resume)


def test_no_guard_keeps_what_happened_from_being_seen() -> None:
    look = ill(container=container(started_at="after"), guards=GuardView(pause=HALT, hold=HALT))

    assert settled(look, intent(), OVER) == Adopt(Reason.INTERRUPTED)


@pytest.mark.parametrize("guard", [Reason.PAUSE, Reason.HOLD, Reason.BRAKE], ids=str)
def test_what_we_stopped_is_started_in_spite_of_everything(guard: Reason) -> None:
    """Never abort between stop and start (semantics, section 5)."""
    look = ill(container=container(state=RunState.EXITED), guards=GuardView(**SINCE[guard]))

    assert settled(look, intent(), 0) == StartStopped(Reason.FOUND_STOPPED)
    assert settled(look, intent(started_again=True), OVER) == Resume(Reason.FOUND_STOPPED)


# ---------------------------------------------------------------- what a person ordered

IN_SPITE_OF = [Reason.PAUSE, Reason.BRAKE, Reason.DEPLOY, Reason.START_GRACE]


@pytest.mark.parametrize("reason", IN_SPITE_OF, ids=str)
@pytest.mark.parametrize("symptom", list(Symptom))
def test_an_order_goes_on_in_spite_of(reason: Reason, symptom: Symptom) -> None:
    look = ill(symptom, guards=GuardView(**SINCE[reason]))

    assert settled(look, intent(trigger=Trigger.MANUAL), OVER) == Resume(Reason.INTERRUPTED)
    assert settled(look, scale_out(trigger=Trigger.MANUAL), MADE) == Resume(Reason.INTERRUPTED)


@pytest.mark.parametrize(
    ("look", "one", "reason"),
    [
        pytest.param(
            ill(guards=GuardView(protected="ours")), intent, Reason.PROTECTED, id="protected-since"
        ),
        pytest.param(ill(opted_in=False), intent, Reason.NOT_OPTED_IN, id="opted-out-since"),
        pytest.param(ill(observe_only=True), intent, Reason.OBSERVE, id="observe-mode-since-then"),
        pytest.param(
            ill(container=container(state=RunState.PAUSED)),
            intent,
            Reason.PAUSED_CONTAINER,
            id="paused-since",
        ),
        pytest.param(
            ill(guards=GuardView(others=1)), intent, Reason.MIN_HEALTHY, id="the-last-one-by-now"
        ),
        pytest.param(ill(group=group(instances=3)), scale_out, Reason.AT_MAX, id="full-by-now"),
        pytest.param(
            ill(guards=GuardView(clones=10)), scale_out, Reason.MAX_CLONES, id="ten-clones-by-now"
        ),
        pytest.param(
            ill(group=group(refusal=Refusal(reason=Reason.AUTO_REMOVE, detail="--rm"))),
            scale_out,
            Reason.AUTO_REMOVE,
            id="no-faithful-clone",
        ),
    ],
)
def test_an_order_does_not_go_on_where_the_containers_are_at_stake(
    look: Observation, one: Any, reason: Reason
) -> None:
    answer = settled(look, one(trigger=Trigger.MANUAL), MADE)

    assert concluded(answer) == (Verdict.CANCELLED, reason)
    assert isinstance(answer, Conclude)
    assert answer.evidence.endswith("; nothing was done")


def test_an_order_does_not_go_on_against_a_hold() -> None:
    look = ill(guards=GuardView(hold=HALT))

    assert concluded(settled(look, intent(trigger=Trigger.MANUAL), OVER)) == (
        Verdict.CANCELLED,
        Reason.HOLD,
    )


def test_a_half_made_clone_does_not_stand_in_its_own_way() -> None:
    half_made = container("web_new", 9, state=RunState.CREATED)
    look = ill(group=group(instances=3, fresh_clone=half_made))

    assert settled(look, scale_out(trigger=Trigger.MANUAL), MADE) == Resume(Reason.INTERRUPTED)
