"""What becomes of an operator's order, asked at the step that carries it out."""

from typing import Any

import pytest

from app.domain.container import RunState
from app.domain.control import Brake, Halt, Order, OrderKind
from app.domain.decision import (
    Action,
    CallOff,
    Close,
    Decision,
    Forget,
    Hold,
    Outcome,
    Reason,
    Refuse,
    Restart,
    ScaleOut,
    Verdict,
    Watch,
)
from app.domain.observation import EngineView, GuardView, Observation, Sickness, Symptom
from app.domain.remediation import Remediation, State, Trigger
from app.policies import attempts, orders, story
from app.policies.ladder import next_step
from app.policies.spec import Guards, Patience, Policy
from tests.builders import START, at, attempt, container, group, remediation, seen

POLICY = Policy()
ACTIONS = {OrderKind.RESTART: Restart(Reason.MANUAL), OrderKind.SCALE_OUT: ScaleOut(Reason.MANUAL)}


def order(kind: OrderKind = OrderKind.RESTART, **more: Any) -> Order:
    values: dict[str, Any] = {
        "id": "web-1.1m",
        "kind": kind,
        "remediation": "web-1",
        "reason": "looks stuck",
        "author": "jane",
        "at": START,
    }
    return Order(**(values | more))


def ordered(kind: OrderKind = OrderKind.RESTART, **more: Any) -> Observation:
    symptom = more.pop("symptom", Symptom.ACTIVE)
    return seen(symptom, **({"order": order(kind)} | more))


def decide(look: Observation, now: float = 0) -> Decision:
    return next_step(look, POLICY, Patience(), now=at(now), rules=Guards())


IN_FLIGHT = remediation(state=State.ACTING, attempts=(attempt(acted_at=None),))
VERIFYING = remediation(state=State.VERIFYING, attempts=(attempt(),))
FAILED = remediation(attempts=(attempt(verdict=Verdict.SYMPTOM_PERSISTS),))
REHEARSING = remediation(attempts=(attempt(trigger=Trigger.REHEARSAL),))
QUARANTINED = remediation(state=State.QUARANTINED, quarantined_at=START)
CALLED_OFF = remediation(state=State.HELD, called_off="jane: enough")


# ---------------------------------------------------------------- open, or answered


@pytest.mark.parametrize(
    ("record", "is_open"),
    [
        pytest.param(None, True, id="nothing-is-open"),
        pytest.param(remediation(), True, id="nothing-was-tried"),
        pytest.param(FAILED, True, id="what-was-tried-is-not-it"),
        pytest.param(remediation(attempts=(attempt(id="web-1.1m"),)), False, id="it-is-being-done"),
        pytest.param(
            remediation(attempts=(attempt(id="web-1.1m"), attempt(id="web-1.2"))),
            False,
            id="it-was-done-before-another",
        ),
    ],
)
def test_an_order_is_carried_out_once(record: Remediation | None, is_open: bool) -> None:
    assert orders.is_open(ordered(remediation=record)) == is_open


def test_without_an_order_there_is_none_open() -> None:
    assert not orders.is_open(seen())


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (OrderKind.RESTART, Action.RESTART),
        (OrderKind.SCALE_OUT, Action.SCALE_OUT),
        (OrderKind.RELEASE, None),
        (OrderKind.RESET, None),
        (OrderKind.CANCEL, None),
    ],
)
def test_only_two_of_them_touch_a_container(kind: OrderKind, action: Action | None) -> None:
    assert orders.action_of(kind) is action


# ---------------------------------------------------------------- restarts and scale-outs


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize(
    "look",
    [
        pytest.param({}, id="while-it-waits"),
        pytest.param({"remediation": None}, id="where-nothing-is-open"),
        pytest.param({"symptom": Symptom.ABSENT, "remediation": None}, id="without-an-alert"),
        pytest.param({"symptom": Symptom.SUPPRESSED}, id="in-spite-of-a-silence"),
        pytest.param({"symptom": Symptom.UNKNOWN}, id="where-nobody-can-tell"),
        pytest.param({"failures": 9}, id="in-spite-of-a-full-window"),
        pytest.param({"remediation": FAILED}, id="after-a-verdict"),
        pytest.param({"remediation": CALLED_OFF}, id="although-it-was-called-off"),
        pytest.param({"remediation": QUARANTINED}, id="in-quarantine"),
        pytest.param({"incarnation": "sha256:2"}, id="of-a-new-image"),
        pytest.param(
            {"guards": GuardView(pause=Halt(reason="r", author="a", since=START))}, id="in-a-pause"
        ),
        pytest.param({"guards": GuardView(brake=Brake(engaged_at=START))}, id="behind-the-brake"),
        pytest.param({"guards": GuardView(deploy_until=at(60))}, id="in-a-deploy"),
    ],
)
def test_a_person_is_obeyed(kind: OrderKind, look: dict[str, Any]) -> None:
    assert decide(ordered(kind, **look)) == ACTIONS[kind]


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize(
    ("look", "reason"),
    [
        pytest.param(
            {"view": EngineView.GONE, "container": None}, Reason.NO_SUCH_TARGET, id="gone"
        ),
        pytest.param({"remediation": IN_FLIGHT}, Reason.BUSY, id="acting"),
        pytest.param({"remediation": VERIFYING}, Reason.BUSY, id="verifying"),
        pytest.param({"remediation": REHEARSING}, Reason.BUSY, id="rehearsing"),
        pytest.param({"opted_in": False}, Reason.NOT_OPTED_IN, id="opted-out"),
        pytest.param({"guards": GuardView(protected="ours")}, Reason.PROTECTED, id="protected"),
        pytest.param(
            {"container": container(state=RunState.PAUSED)}, Reason.PAUSED_CONTAINER, id="paused"
        ),
        pytest.param(
            {"container": container(state=RunState.EXITED)}, Reason.NOT_RUNNING, id="stopped"
        ),
    ],
)
def test_a_person_is_told_why_not(kind: OrderKind, look: dict[str, Any], reason: Reason) -> None:
    step = decide(ordered(kind, **look))

    assert isinstance(step, Refuse)
    assert step.reason is reason
    assert step.detail


@pytest.mark.parametrize(
    ("kind", "look", "reason"),
    [
        pytest.param(
            OrderKind.RESTART,
            {"guards": GuardView(others=1)},
            Reason.MIN_HEALTHY,
            id="the-last-one",
        ),
        pytest.param(
            OrderKind.SCALE_OUT, {"group": group(instances=3)}, Reason.AT_MAX, id="a-full-group"
        ),
        pytest.param(
            OrderKind.SCALE_OUT,
            {"guards": GuardView(clones=10)},
            Reason.MAX_CLONES,
            id="ten-clones",
        ),
    ],
)
def test_what_protects_the_containers_binds_people(
    kind: OrderKind, look: dict[str, Any], reason: Reason
) -> None:
    step = decide(ordered(kind, **look))

    assert isinstance(step, Refuse)
    assert step.reason is reason


def test_an_order_does_not_wait_for_a_cooldown() -> None:
    """The store asks for it, atomically, as the intent is written."""
    look = ordered(OrderKind.SCALE_OUT, group=group(cooling_until=at(600)))

    assert decide(look) == ScaleOut(Reason.MANUAL)


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (EngineView.DOWN, Reason.ENGINE_DOWN),
        (EngineView.AMBIGUOUS, Reason.AMBIGUOUS_TARGET),
    ],
)
@pytest.mark.parametrize("kind", OrderKind)
def test_what_cannot_be_looked_at_keeps_its_order(
    kind: OrderKind, view: EngineView, reason: Reason
) -> None:
    assert decide(ordered(kind, view=view, container=None)) == Hold(at(15), reason)


def test_an_order_that_is_carried_out_is_verified_like_any_attempt() -> None:
    record = remediation(attempts=(attempt(id="web-1.1m", trigger=Trigger.MANUAL),))

    assert decide(ordered(remediation=record), 60) == Watch(at(75), Reason.DEADLINE)


def test_its_attempt_has_its_name_and_who_wanted_it() -> None:
    begun = attempts.begun(remediation(), ordered(), Restart(Reason.MANUAL), now=START)

    (one,) = begun.attempts
    assert (one.id, one.trigger, one.ordered) == ("web-1.1m", Trigger.MANUAL, "jane: looks stuck")


@pytest.mark.parametrize("verdict", [Verdict.SYMPTOM_PERSISTS, Verdict.RELAPSED, Verdict.TIMED_OUT])
def test_a_manual_restart_never_counts(verdict: Verdict) -> None:
    assert not attempt(trigger=Trigger.MANUAL, verdict=verdict).is_failed_restart
    assert attempt(verdict=verdict).is_failed_restart


# ---------------------------------------------------------------- those that change the record


def test_a_reset_forgets_at_any_time() -> None:
    for record in (None, remediation(), IN_FLIGHT, VERIFYING, QUARANTINED):
        assert decide(ordered(OrderKind.RESET, remediation=record)) == Forget(Reason.OPERATOR)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(QUARANTINED, Close(Outcome.RELEASED, Reason.OPERATOR), id="a-quarantine"),
        pytest.param(CALLED_OFF, Close(Outcome.RELEASED, Reason.OPERATOR), id="one-called-off"),
        pytest.param(
            remediation(),
            Refuse(Reason.OPERATOR, "there is nothing to release"),
            id="one-that-only-waits",
        ),
        pytest.param(
            None, Refuse(Reason.OPERATOR, "there is nothing to release"), id="nothing-is-open"
        ),
    ],
)
def test_a_release_ends_what_a_person_must_end(
    record: Remediation | None, expected: Decision
) -> None:
    assert decide(ordered(OrderKind.RELEASE, remediation=record)) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(remediation(), CallOff(Reason.OPERATOR), id="while-it-waits"),
        pytest.param(VERIFYING, CallOff(Reason.OPERATOR), id="while-it-verifies"),
        pytest.param(REHEARSING, CallOff(Reason.OPERATOR), id="while-it-rehearses"),
        pytest.param(
            IN_FLIGHT,
            Refuse(Reason.BUSY, "web-1.1 is being carried out"),
            id="never-between-stop-and-start",
        ),
        pytest.param(
            None, Refuse(Reason.OPERATOR, "remediation web-1 is not open"), id="it-has-ended"
        ),
        pytest.param(
            remediation(id="web-2"),
            Refuse(Reason.OPERATOR, "remediation web-1 is not open"),
            id="another-has-begun",
        ),
    ],
)
def test_a_cancel_is_about_one_story(record: Remediation | None, expected: Decision) -> None:
    assert decide(ordered(OrderKind.CANCEL, remediation=record)) == expected


@pytest.mark.parametrize("symptom", [Symptom.ACTIVE, Symptom.SUPPRESSED, Symptom.UNKNOWN])
def test_what_was_called_off_is_left_alone(symptom: Symptom) -> None:
    assert decide(seen(symptom, remediation=CALLED_OFF), 9999) == Hold(at(10_014), Reason.OPERATOR)


def test_what_was_called_off_ends_with_its_alerts() -> None:
    quiet = Sickness(symptom=Symptom.ABSENT, resolved=True)

    step = decide(seen(remediation=CALLED_OFF, sickness=quiet))

    assert step == Close(Outcome.CANCELLED, Reason.OPERATOR)


# ---------------------------------------------------------------- not so yet


def test_one_blink_of_the_chain_does_not_undo_a_persons_cancel() -> None:
    assert isinstance(decide(seen(Symptom.ABSENT, remediation=CALLED_OFF)), Hold)


def test_a_hold_stops_people_too() -> None:
    held = GuardView(hold=Halt(reason="hands off", author="joe", since=START))

    assert isinstance(decide(ordered(guards=held)), Refuse)


def test_a_manual_restart_that_failed_leaves_the_quarantine_as_it_was() -> None:
    look = ordered(remediation=QUARANTINED)
    begun = attempts.begun(QUARANTINED, look, Restart(Reason.MANUAL), now=START)
    acting = attempts.acted(begun, now=START, container=container(started_at="after"))
    failed = seen(remediation=acting, container=container(started_at="after"))
    verdict = decide(failed, 180)
    after = story.advanced(acting, failed, verdict, now=at(180))

    assert decide(seen(remediation=after, container=failed.container), 9999) == Watch(
        at(10_014), Reason.QUARANTINE
    )
