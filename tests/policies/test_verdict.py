"""Verdicts, row by row of the table; each boundary on both sides."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.container import Container, Health, HealthCheck, RunState
from app.domain.decision import Action, Conclude, Confirm, Hold, Reason, Rehearse, Verdict, Watch
from app.domain.observation import (
    EngineView,
    GroupView,
    GuardView,
    Observation,
    Refusal,
    Sickness,
    Symptom,
)
from app.domain.remediation import Trigger
from app.policies.ladder import next_step
from app.policies.spec import Patience, Policy, ScaleOutRules
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
        pytest.param(
            {"oom_killed": True, "state": RunState.EXITED, "exit_code": 137},
            Verdict.EXITED,
            id="out-of-memory",
        ),
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
    failed = {
        "relapsed",
        "symptom_persists",
        "unhealthy",
        "exited",
        "crash_loop",
        "engine_error",
        "timed_out",
    }

    assert verdict.counts == (verdict.value in failed)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("action", [Action.RESTART, Action.SCALE_OUT])
def test_only_a_restart_of_our_own_accord_is_a_failed_one(
    verdict: Verdict, trigger: Trigger, action: Action
) -> None:
    one = attempt(verdict=verdict, trigger=trigger, action=action)

    ours = trigger is Trigger.AUTOMATIC and action is Action.RESTART
    assert one.is_failed_restart == (verdict.counts and ours)


# ---------------------------------------------------------------- stopped by a person

JANE = GuardView(human="somebody stopped it at 10:00:05 UTC")


@pytest.mark.parametrize("symptom", list(Symptom))
@pytest.mark.parametrize("exit_code", [0, 1, 137, 143])
def test_what_a_person_stopped_is_held_and_does_not_count(symptom: Symptom, exit_code: int) -> None:
    stopped = container(state=RunState.EXITED, exit_code=exit_code)

    step = look(symptom, 5, container=stopped, guards=JANE)

    assert step == Conclude(Verdict.HELD, Reason.HUMAN, JANE.human or "")
    assert not step.verdict.counts


@pytest.mark.parametrize(
    ("now_is", "verdict"),
    [
        pytest.param({"state": RunState.RESTARTING}, Verdict.CRASH_LOOP, id="the-engine-is-at-it"),
        pytest.param({"restart_count": 1}, Verdict.CRASH_LOOP, id="the-engine-was-at-it"),
        pytest.param({"health": Health.UNHEALTHY}, Verdict.UNHEALTHY, id="it-runs-and-is-ill"),
        pytest.param({"started_at": "later"}, Verdict.CANCELLED, id="it-was-started-again"),
    ],
)
def test_nothing_else_is_blamed_on_a_person(now_is: dict[str, Any], verdict: Verdict) -> None:
    assert look(Symptom.ACTIVE, 5, container=container(**now_is), guards=JANE).verdict is verdict


def test_what_a_person_stopped_stays_stopped() -> None:
    """Neither climbed on from, nor escalated: held for as long as it is down."""
    held = attempt(verdict=Verdict.HELD, finished_at=at(60))
    stopped = container(state=RunState.EXITED, exit_code=137)
    observation = seen(
        container=stopped, remediation=remediation(attempts=(held,)), guards=JANE, failures=3
    )

    for later in (600, 86_400):
        step = next_step(observation, POLICY, Patience(), now=at(later))
        assert step == Hold(at(later + 15), Reason.HUMAN, JANE.human)


@pytest.mark.parametrize("symptom", list(Symptom))
def test_paused_by_a_person_it_is_neither_failed_nor_well(symptom: Symptom) -> None:
    verdict = look(symptom, 5, container=container(state=RunState.PAUSED))

    assert (verdict.verdict, verdict.reason) == (Verdict.HELD, Reason.PAUSED_CONTAINER)


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


# ---------------------------------------------------------------- observe mode

SETTLE = POLICY.verify.settle


def rehearsed(
    symptom: Symptom, after: float, *, absent_since: datetime | None = None, **more: Any
) -> Any:
    """Look at a restart that observe mode wrote down at `START`, and nobody made."""
    one = attempt(trigger=Trigger.REHEARSAL, started_before=container().started_at)
    record = remediation(attempts=(one,), absent_since=absent_since)
    observation = seen(symptom, remediation=record, observe_only=True, **more)
    return next_step(observation, POLICY, Patience(), now=at(after))


@pytest.mark.parametrize(
    ("symptom", "after", "absent_since", "expected"),
    [
        pytest.param(
            Symptom.ACTIVE,
            170,
            None,
            Watch(at(180), Reason.DEADLINE),
            id="no-look-past-the-deadline",
        ),
        pytest.param(
            Symptom.ACTIVE, 179, None, Watch(at(180), Reason.DEADLINE), id="one-second-before-it"
        ),
        pytest.param(Symptom.ACTIVE, 180, None, False, id="active-at-the-deadline"),
        pytest.param(Symptom.ACTIVE, 60, at(30), False, id="it-went-and-came-back"),
        pytest.param(
            Symptom.ABSENT, 60, None, Watch(at(75), Reason.SETTLING), id="absent-from-now-on"
        ),
        pytest.param(
            Symptom.ABSENT, 269, at(30), Watch(at(270), Reason.SETTLING), id="almost-settled"
        ),
        pytest.param(Symptom.ABSENT, 270, at(30), True, id="settled-to-the-second"),
        pytest.param(
            Symptom.UNKNOWN, 60, None, Watch(at(75), Reason.NO_FRESH_DATA), id="nobody-can-tell"
        ),
        pytest.param(Symptom.SUPPRESSED, 60, None, None, id="silenced-meanwhile"),
    ],
)
def test_the_trouble_is_watched_without_the_action(
    symptom: Symptom, after: float, absent_since: datetime | None, expected: Any
) -> None:
    step = rehearsed(symptom, after, absent_since=absent_since)

    if isinstance(expected, Watch):
        assert step == expected
        return
    assert isinstance(step, Conclude)
    assert (step.verdict, step.passed) == (Verdict.WOULD_HAVE, expected)
    assert step.evidence.startswith("observe mode: ")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param(
            {"view": EngineView.GONE, "container": None}, Reason.NO_SUCH_TARGET, id="it-is-gone"
        ),
        pytest.param({"container": container(number=2)}, Reason.NO_SUCH_TARGET, id="replaced"),
        pytest.param(
            {"container": container(started_at="later")},
            Reason.RESTARTED_MEANWHILE,
            id="somebody-did-what-we-would-have-done",
        ),
    ],
)
@pytest.mark.parametrize("symptom", list(Symptom))
def test_a_rehearsal_that_was_disturbed_tells_nothing(
    more: dict[str, Any], reason: Reason, symptom: Symptom
) -> None:
    step = rehearsed(symptom, 5, **more)

    assert (step.verdict, step.reason, step.passed) == (Verdict.WOULD_HAVE, reason, None)


def test_a_health_start_period_moves_the_deadline_of_a_rehearsal() -> None:
    slow = container(health=Health.STARTING, health_check=CHECK)

    assert isinstance(rehearsed(Symptom.ACTIVE, 389, container=slow), Watch)
    assert rehearsed(Symptom.ACTIVE, 390, container=slow).passed is False


def test_a_rehearsal_never_counts_and_yet_lengthens_the_next_wait() -> None:
    """Else observe mode would report far more actions than there would be."""
    would_have = attempt(
        trigger=Trigger.REHEARSAL, verdict=Verdict.WOULD_HAVE, passed=False, finished_at=at(180)
    )
    record = remediation(attempts=(would_have,), needed_since=at(180))
    observation = seen(remediation=record, observe_only=True)

    early = next_step(observation, POLICY, Patience(), now=at(180 + 299))
    due = next_step(observation, POLICY, Patience(), now=at(180 + 300))

    assert not would_have.is_failed_restart
    assert not isinstance(early, Rehearse)
    assert due == Rehearse(Action.RESTART, Reason.BACKOFF)


OBSERVED = Hold(at(615), Reason.OBSERVE, "would escalate: ")


@pytest.mark.parametrize(
    ("policy", "its_group", "expected"),
    [
        pytest.param(
            POLICY, group(), Rehearse(Action.SCALE_OUT, Reason.WINDOW_FULL), id="it-would-have-been"
        ),
        pytest.param(
            Policy(scale_out=ScaleOutRules(enabled=False)), group(), OBSERVED, id="disabled"
        ),
        pytest.param(POLICY, group(instances=3), OBSERVED, id="at-max"),
        pytest.param(
            POLICY,
            group(refusal=Refusal(reason=Reason.SHARED_VOLUME, detail="writes to volume data")),
            OBSERVED,
            id="no-faithful-clone",
        ),
        pytest.param(
            POLICY,
            group(cooling_until=at(9999)),
            Hold(at(9999), Reason.COOLDOWN),
            id="inside-the-cooldown",
        ),
    ],
)
def test_only_what_would_have_been_done_is_rehearsed(
    policy: Policy, its_group: GroupView, expected: Any
) -> None:
    observation = seen(failures=3, group=its_group, observe_only=True)

    step = next_step(observation, policy, Patience(), now=at(600))

    if isinstance(step, Hold) and step.detail is not None:
        step = replace(step, detail="would escalate: ")
    assert step == expected


@pytest.mark.parametrize("symptom", [Symptom.ABSENT, Symptom.ACTIVE])
def test_what_ran_out_of_memory_in_an_earlier_life_says_nothing_of_this_one(
    symptom: Symptom,
) -> None:
    """Engine 20.10 keeps the flag after a start."""
    assert isinstance(look(symptom, 5, container=container(oom_killed=True)), Watch)
