"""The ladder, row by row; each boundary on both sides."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.container import RunState
from app.domain.decision import (
    Action,
    Close,
    Decision,
    Escalate,
    Follow,
    Hold,
    Idle,
    Outcome,
    Reason,
    Rehearse,
    Restart,
    ScaleOut,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Refusal, Sickness, Symptom
from app.domain.remediation import State
from app.policies.backoff import delay_before
from app.policies.ladder import next_step
from app.policies.spec import Patience, Policy, ScaleOutRules, Strategy
from tests.builders import at, attempt, container, group, remediation, seen

POLICY = Policy()
PATIENCE = Patience()


def decide(observation: Observation, waited: float, policy: Policy = POLICY) -> Decision:
    return next_step(observation, policy, PATIENCE, now=at(waited))


@pytest.mark.parametrize(
    ("failures", "waited", "expected"),
    [
        pytest.param(
            0, 59, Wait(at(60), Reason.FIRST_NEED, Action.RESTART), id="one-second-before-the-first"
        ),
        pytest.param(0, 60, Restart(Reason.FIRST_NEED), id="first-exactly-due"),
        pytest.param(
            1, 299, Wait(at(300), Reason.BACKOFF, Action.RESTART), id="second-waits-five-minutes"
        ),
        pytest.param(1, 300, Restart(Reason.BACKOFF), id="second-due"),
        pytest.param(
            2, 599, Wait(at(600), Reason.BACKOFF, Action.RESTART), id="third-waits-ten-minutes"
        ),
        pytest.param(2, 600, Restart(Reason.BACKOFF), id="third-due"),
        pytest.param(3, 0, ScaleOut(Reason.WINDOW_FULL), id="three-failures-in-the-window"),
        pytest.param(7, 0, ScaleOut(Reason.WINDOW_FULL), id="more-than-three"),
    ],
)
def test_climbs_the_ladder(failures: int, waited: float, expected: Decision) -> None:
    assert decide(seen(failures=failures), waited) == expected


@given(failures=st.integers(min_value=0, max_value=10_000))
def test_never_restarts_with_a_full_window(failures: int) -> None:
    step = decide(seen(failures=failures), 10**6)

    assert isinstance(step, ScaleOut) == (failures >= POLICY.restart.max_failed)


@pytest.mark.parametrize(("failures", "minutes"), [(0, 1), (1, 5), (2, 10), (3, 10), (99, 10)])
def test_the_last_delay_repeats(failures: int, minutes: int) -> None:
    assert delay_before(failures, POLICY) == timedelta(minutes=minutes)


def opening(**more: Any) -> Observation:
    return seen(remediation=None, **more)


@pytest.mark.parametrize(
    ("observation", "waited", "expected"),
    [
        pytest.param(
            opening(),
            0.2,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="the-delay-counts-from-receipt-of-the-notice",
        ),
        pytest.param(
            opening(),
            3600,
            Wait(at(3600), Reason.FIRST_NEED, Action.RESTART),
            id="a-delay-that-passed-while-we-were-away-is-over",
        ),
        pytest.param(
            opening(failures=3),
            0,
            Wait(at(0), Reason.WINDOW_FULL, Action.SCALE_OUT),
            id="a-full-window-waits-for-nothing",
        ),
        pytest.param(
            opening(sickness=Sickness(symptom=Symptom.ABSENT)), 0, Idle(Reason.RESOLVED), id="well"
        ),
        pytest.param(
            opening(sickness=Sickness(symptom=Symptom.SUPPRESSED)),
            0,
            Hold(at(15), Reason.SILENCED),
            id="silenced",
        ),
        pytest.param(
            opening(sickness=Sickness(symptom=Symptom.UNKNOWN, noticed=True)),
            0,
            Hold(at(15), Reason.NO_FRESH_DATA),
            id="nobody-can-tell",
        ),
        pytest.param(
            opening(sickness=Sickness(symptom=Symptom.UNKNOWN)),
            0,
            Idle(Reason.NO_FRESH_DATA),
            id="nobody-can-tell-and-nothing-was-ever-wrong",
        ),
        pytest.param(
            opening(may_open=False, sickness=Sickness(symptom=Symptom.ACTIVE)),
            0,
            Idle(Reason.SILENCED),
            id="listed-and-perhaps-muted",
        ),
        pytest.param(
            opening(may_open=False, sickness=Sickness(symptom=Symptom.ACTIVE, noticed=True)),
            0,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="notified-and-perhaps-muted-since",
        ),
        pytest.param(
            opening(view=EngineView.GONE, container=None), 0, Idle(Reason.NO_SUCH_TARGET), id="gone"
        ),
        pytest.param(
            opening(view=EngineView.DOWN, container=None),
            0,
            Hold(at(15), Reason.ENGINE_DOWN),
            id="engine-down",
        ),
    ],
)
def test_opens_a_remediation(observation: Observation, waited: float, expected: Decision) -> None:
    assert decide(observation, waited) == expected


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        pytest.param(
            seen(container=container(state=RunState.PAUSED)),
            Hold(at(75), Reason.PAUSED_CONTAINER),
            id="a-paused-container-is-not-restarted",
        ),
        pytest.param(
            seen(container=container(state=RunState.EXITED)),
            Hold(at(75), Reason.NOT_RUNNING),
            id="a-stopped-one-would-be-started-by-a-restart",
        ),
        pytest.param(
            seen(container=container(state=RunState.RESTARTING)),
            Hold(at(75), Reason.NOT_RUNNING),
            id="between-two-restarts-of-the-engine",
        ),
        pytest.param(
            seen(container=container(started_at="later")),
            Follow(Reason.RESTARTED_MEANWHILE),
            id="somebody-restarted-it-during-the-wait",
        ),
        pytest.param(
            seen(sickness=Sickness(symptom=Symptom.SUPPRESSED)),
            Hold(at(75), Reason.SILENCED),
            id="silenced-during-the-wait",
        ),
        pytest.param(
            seen(sickness=Sickness(symptom=Symptom.UNKNOWN)),
            Hold(at(75), Reason.NO_FRESH_DATA),
            id="no-fresh-data",
        ),
        pytest.param(
            seen(observe_only=True),
            Rehearse(Action.RESTART, Reason.FIRST_NEED),
            id="observe-mode",
        ),
        pytest.param(
            seen(view=EngineView.AMBIGUOUS, container=None),
            Hold(at(75), Reason.AMBIGUOUS_TARGET),
            id="two-containers-in-one-slot",
        ),
        pytest.param(
            seen(view=EngineView.DOWN, container=None),
            Hold(at(75), Reason.ENGINE_DOWN),
            id="engine-down",
        ),
        pytest.param(
            seen(view=EngineView.GONE, container=None),
            Close(Outcome.VANISHED, Reason.NO_SUCH_TARGET),
            id="container-gone",
        ),
        pytest.param(
            seen(incarnation="sha256:2"),
            Close(Outcome.SUPERSEDED, Reason.NEW_INCARNATION),
            id="a-new-image-is-a-new-history",
        ),
        pytest.param(
            seen(sickness=Sickness(symptom=Symptom.ABSENT, resolved=True)),
            Close(Outcome.CANCELLED, Reason.RESOLVED),
            id="resolved-during-the-wait",
        ),
    ],
)
def test_looks_again_before_it_acts(observation: Observation, expected: Decision) -> None:
    assert decide(observation, 60) == expected


@pytest.mark.parametrize(
    ("absent", "looks", "expected"),
    [
        (0, 9, Hold(at(60 + 15), Reason.RESOLVED)),
        (80, 9, Hold(at(60 + 10), Reason.RESOLVED)),
        (89, 9, Hold(at(60 + 1), Reason.RESOLVED)),
        (90, 2, Close(Outcome.VANISHED, Reason.RESOLVED)),
        # The third look in a row is needed as well: one may fall into a blink.
        (90, 1, Hold(at(60 + 15), Reason.RESOLVED)),
        (900, 0, Hold(at(60 + 15), Reason.RESOLVED)),
    ],
)
def test_an_alert_that_nobody_resolved_vanishes_after_ninety_seconds(
    absent: float, looks: int, expected: Decision
) -> None:
    quiet = remediation(absent_since=at(60 - absent), absent_looks=looks)

    step = decide(seen(remediation=quiet, sickness=Sickness(symptom=Symptom.ABSENT)), 60)

    assert step == expected


FULL = 3


@pytest.mark.parametrize(
    ("observation", "policy", "expected"),
    [
        pytest.param(
            seen(failures=FULL, group=group(instances=3)),
            POLICY,
            Escalate(Reason.AT_MAX, "3 of 3 instances exist already"),
            id="at-max",
        ),
        pytest.param(
            seen(failures=FULL, group=group(instances=2)),
            POLICY,
            ScaleOut(Reason.WINDOW_FULL),
            id="one-below-max",
        ),
        pytest.param(
            seen(failures=FULL, group=group(cooling_until=at(601))),
            POLICY,
            Hold(at(601), Reason.COOLDOWN),
            id="inside-the-cooldown",
        ),
        pytest.param(
            seen(failures=FULL, group=group(cooling_until=at(600))),
            POLICY,
            ScaleOut(Reason.WINDOW_FULL),
            id="cooldown-over-to-the-second",
        ),
        pytest.param(
            seen(
                failures=FULL,
                group=group(
                    refusal=Refusal(reason=Reason.SHARED_VOLUME, detail="writes to volume data")
                ),
            ),
            POLICY,
            Escalate(Reason.SHARED_VOLUME, "writes to volume data"),
            id="no-faithful-clone",
        ),
        pytest.param(
            seen(failures=FULL),
            Policy(scale_out=ScaleOutRules(enabled=False)),
            Escalate(Reason.SCALE_OUT_DISABLED, "its policy does not allow a scale-out"),
            id="disabled",
        ),
        pytest.param(
            seen(failures=FULL, observe_only=True),
            POLICY,
            Rehearse(Action.SCALE_OUT, Reason.WINDOW_FULL),
            id="observe",
        ),
        pytest.param(
            seen(failures=0),
            Policy(strategy=Strategy.SCALE_FIRST),
            ScaleOut(Reason.FIRST_NEED),
            id="scale-first-does-not-wait",
        ),
        pytest.param(
            seen(sickness=Sickness(symptom=Symptom.ACTIVE, on_source=False)),
            POLICY,
            ScaleOut(Reason.CLONE_SICK),
            id="a-sick-clone-never-restarts-its-source",
        ),
        pytest.param(
            seen(
                remediation=remediation(
                    attempts=(attempt(action=Action.SCALE_OUT, verdict=Verdict.SYMPTOM_PERSISTS),),
                    scaled_out_at=at(0),
                )
            ),
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="still-needed-after-a-scale-out-whose-clone-is-gone",
        ),
        pytest.param(
            seen(
                remediation=remediation(
                    attempts=(attempt(action=Action.SCALE_OUT, verdict=Verdict.EXITED),)
                ),
                failures=FULL,
            ),
            POLICY,
            Escalate(Reason.SCALE_OUT_FAILED, "the clone did not come up: exited"),
            id="a-clone-that-did-not-come-up-ends-the-ladder",
        ),
    ],
)
def test_scales_out_or_ends_the_ladder(
    observation: Observation, policy: Policy, expected: Decision
) -> None:
    assert decide(observation, 600, policy) == expected


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [(Verdict.RECOVERED, Outcome.RECOVERED), (Verdict.RELIEVED, Outcome.RELIEVED)],
)
def test_a_good_verdict_closes_the_remediation(verdict: Verdict, outcome: Outcome) -> None:
    done = remediation(attempts=(attempt(verdict=verdict),), absent_since=at(0))

    step = decide(seen(remediation=done, sickness=Sickness(symptom=Symptom.ABSENT)), 240)

    assert step == Close(outcome, Reason.SETTLED)


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (899, Hold(at(915), Reason.NO_FRESH_DATA)),
        (900, Escalate(Reason.UNKNOWN_TOO_LONG, "nobody can tell whether it is still ill: quiet")),
    ],
)
def test_what_cannot_be_told_for_fifteen_minutes_is_a_persons_business(
    unknown: float, expected: Decision
) -> None:
    record = remediation(unknown_since=at(900 - unknown))
    sick = Sickness(symptom=Symptom.UNKNOWN, doubt="quiet")

    assert decide(seen(remediation=record, sickness=sick), 900) == expected


@pytest.mark.parametrize(
    ("symptom", "absent_since", "expected"),
    [
        (Symptom.ACTIVE, None, Watch(at(1015), Reason.QUARANTINE)),
        (Symptom.ABSENT, at(761), Watch(at(1015), Reason.QUARANTINE)),
        (Symptom.ABSENT, at(760), Close(Outcome.ESCALATED, Reason.RESOLVED)),
    ],
)
def test_a_quarantine_ends_when_the_alerts_are_gone_and_settled(
    symptom: Symptom, absent_since: Any, expected: Decision
) -> None:
    record = replace(remediation(), state=State.QUARANTINED, absent_since=absent_since)

    assert decide(seen(symptom, remediation=record), 1000) == expected
