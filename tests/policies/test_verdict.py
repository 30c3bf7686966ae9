"""Verdicts, row by row of the table; each boundary on both sides."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.container import Container, Health, HealthCheck, RunState
from app.domain.decision import Action, Conclude, Confirm, Reason, Verdict, Watch
from app.domain.observation import EngineView, Observation, Sickness, Symptom
from app.policies.ladder import next_step
from app.policies.spec import Patience, Policy
from tests.builders import at, attempt, container, group, hex_id, remediation, seen

POLICY = Policy()
CHECK = HealthCheck(
    interval=timedelta(seconds=30),
    timeout=timedelta(seconds=5),
    retries=3,
    start_period=timedelta(minutes=5),
)


def look(
    symptom: Symptom,
    after: float,
    *,
    absent_since: datetime | None = None,
    unknown_since: datetime | None = None,
    settle: timedelta | None = None,
    **more: Any,
) -> Any:
    """Look at a restart that was carried out at `START`, so many seconds after it."""
    record = remediation(
        attempts=(attempt(),), absent_since=absent_since, unknown_since=unknown_since
    )
    sick = Sickness(symptom=symptom, settle=settle, doubt="no samples")
    observation: Observation = seen(remediation=record, sickness=sick, **more)
    return next_step(observation, POLICY, Patience(), now=at(after))


@pytest.mark.parametrize(
    ("after", "verdict"),
    [(15, None), (179, None), (180, Verdict.SYMPTOM_PERSISTS), (500, Verdict.SYMPTOM_PERSISTS)],
)
def test_active_at_the_deadline_persists(after: float, verdict: Verdict | None) -> None:
    step = look(Symptom.ACTIVE, after)

    assert getattr(step, "verdict", None) == verdict


def test_looks_exactly_at_the_deadline() -> None:
    assert look(Symptom.ACTIVE, 170) == Watch(at(180), Reason.DEADLINE)


def test_a_health_start_period_moves_the_deadline() -> None:
    slow = container(health=Health.STARTING, health_check=CHECK)

    assert isinstance(look(Symptom.ACTIVE, 389, container=slow), Watch)
    assert look(Symptom.ACTIVE, 390, container=slow).verdict is Verdict.SYMPTOM_PERSISTS


@pytest.mark.parametrize(("absent", "verdict"), [(0, None), (239, None), (240, Verdict.RECOVERED)])
def test_absent_for_the_settle_time_has_recovered(absent: float, verdict: Verdict | None) -> None:
    step = look(Symptom.ABSENT, 300, absent_since=at(300 - absent))

    assert getattr(step, "verdict", None) == verdict


def test_the_rules_own_settle_time_wins() -> None:
    settle = timedelta(minutes=6)

    early = look(Symptom.ABSENT, 400, absent_since=at(41), settle=settle)
    late = look(Symptom.ABSENT, 400, absent_since=at(40), settle=settle)

    assert early == Watch(at(401), Reason.SETTLING)
    assert late.verdict is Verdict.RECOVERED


def test_one_quiet_moment_then_ill_again_persists() -> None:
    step = look(Symptom.ACTIVE, 60, absent_since=at(30))

    assert step.verdict is Verdict.SYMPTOM_PERSISTS


def test_a_container_still_starting_has_not_recovered() -> None:
    starting = container(health=Health.STARTING, health_check=CHECK)

    step = look(Symptom.ABSENT, 300, absent_since=at(0), container=starting)

    assert step == Watch(at(315), Reason.SETTLING)


@pytest.mark.parametrize(
    ("now_is", "verdict"),
    [
        pytest.param({"state": RunState.EXITED, "exit_code": 3}, Verdict.EXITED, id="exited"),
        pytest.param({"oom_killed": True}, Verdict.EXITED, id="out-of-memory"),
        pytest.param({"state": RunState.RESTARTING}, Verdict.CRASH_LOOP, id="restarting"),
        pytest.param({"restart_count": 1, "started_at": "x"}, Verdict.CRASH_LOOP, id="crash-loop"),
        pytest.param({"health": Health.UNHEALTHY}, Verdict.UNHEALTHY, id="unhealthy"),
        pytest.param({"started_at": "later"}, Verdict.CANCELLED, id="somebody-else-restarted-it"),
        pytest.param({"id": hex_id(2)}, Verdict.VANISHED, id="replaced"),
    ],
)
@pytest.mark.parametrize("symptom", [Symptom.ABSENT, Symptom.ACTIVE, Symptom.UNKNOWN])
def test_the_container_itself_is_looked_at_first(
    now_is: dict[str, Any], verdict: Verdict, symptom: Symptom
) -> None:
    step = look(symptom, 5, container=container(**now_is))

    assert isinstance(step, Conclude)
    assert step.verdict is verdict


def test_a_health_check_that_never_passes_is_unhealthy() -> None:
    starting = container(health=Health.STARTING, health_check=CHECK)
    # start period 300 + 3 × (30 + 5) + 5 of margin
    assert isinstance(look(Symptom.UNKNOWN, 410, container=starting), Watch)
    assert look(Symptom.UNKNOWN, 410.1, container=starting).verdict is Verdict.UNHEALTHY


def test_gone_has_vanished() -> None:
    step = look(Symptom.ABSENT, 60, view=EngineView.GONE, container=None)

    assert step.verdict is Verdict.VANISHED


def test_silenced_is_no_verdict() -> None:
    step = look(Symptom.SUPPRESSED, 60)

    assert (step.verdict, step.reason) == (Verdict.CANCELLED, Reason.SILENCED)


@pytest.mark.parametrize(("unknown", "verdict"), [(899, None), (900, Verdict.UNKNOWN)])
def test_without_fresh_data_nobody_recovers(unknown: float, verdict: Verdict | None) -> None:
    step = look(Symptom.UNKNOWN, 1000, unknown_since=at(1000 - unknown))

    assert getattr(step, "verdict", None) == verdict


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_counts_as_a_failed_restart(verdict: Verdict) -> None:
    failed = {"symptom_persists", "unhealthy", "exited", "crash_loop", "engine_error", "timed_out"}

    assert verdict.counts == (verdict.value in failed)


def scaled(
    symptom: Symptom, after: float, clone: Container | None, *, up_at: float | None = None
) -> Any:
    out = attempt(action=Action.SCALE_OUT, clone="web_new", clone_id=hex_id(9))
    record = remediation(
        attempts=(out,),
        scaled_out_at=None if up_at is None else at(up_at),
        absent_since=at(100) if symptom is Symptom.ABSENT else None,
    )
    observation = seen(symptom, remediation=record, group=group(fresh_clone=clone, instances=2))
    return next_step(observation, POLICY, Patience(), now=at(after))


CLONE = container("web_new", 9)


@pytest.mark.parametrize(
    ("after", "clone", "expected"),
    [
        pytest.param(59, CLONE, Watch(at(60), Reason.WARM_UP), id="warming-up"),
        pytest.param(60, CLONE, Confirm(Reason.WARM_UP), id="warm"),
        pytest.param(
            60,
            container("web_new", 9, health=Health.STARTING),
            Watch(at(61), Reason.WARM_UP),
            id="warm-but-not-healthy-yet",
        ),
    ],
)
def test_a_clone_must_come_up(after: float, clone: Container, expected: Any) -> None:
    assert scaled(Symptom.ACTIVE, after, clone) == expected


@pytest.mark.parametrize(
    ("clone", "verdict"),
    [
        pytest.param(None, Verdict.VANISHED, id="gone"),
        pytest.param(container("n", 9, state=RunState.EXITED), Verdict.EXITED, id="exited"),
        pytest.param(container("n", 9, health=Health.UNHEALTHY), Verdict.UNHEALTHY, id="unhealthy"),
        pytest.param(container("n", 9, restart_count=2), Verdict.CRASH_LOOP, id="crash-loop"),
    ],
)
def test_a_clone_that_does_not_come_up_has_failed(
    clone: Container | None, verdict: Verdict
) -> None:
    assert scaled(Symptom.ACTIVE, 30, clone).verdict is verdict


@pytest.mark.parametrize(
    ("symptom", "after", "verdict"),
    [
        (Symptom.ACTIVE, 659, None),
        (Symptom.ACTIVE, 660, Verdict.SYMPTOM_PERSISTS),
        (Symptom.ABSENT, 339, None),
        (Symptom.ABSENT, 340, Verdict.RELIEVED),
    ],
)
def test_relief_is_told_by_the_alert(
    symptom: Symptom, after: float, verdict: Verdict | None
) -> None:
    step = scaled(symptom, after, CLONE, up_at=60)

    assert getattr(step, "verdict", None) == verdict
