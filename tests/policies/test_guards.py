"""What forbids an action: each guard alone at its boundary, and which one is named first."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.container import Container, Health, HealthCheck, RunState
from app.domain.control import Brake, Halt
from app.domain.decision import Action, Hold, Reason, Refuse, Restart, Verdict
from app.domain.observation import EngineView, GuardView, Observation, Refusal, Sickness, Symptom
from app.policies import guards
from app.policies.ladder import next_step
from app.policies.spec import BrakeRules, Guards, Patience, Policy, RestartRules
from tests.builders import START, at, attempt, container, group, remediation, seen

POLICY = Policy()
RULES = Guards()
POLL = 15
STOPPED = container(state=RunState.EXITED)


def halt(until: float | None = None) -> Halt:
    ends = None if until is None else at(until)
    return Halt(reason="deploying", author="jane", since=at(-60), until=ends)


def guarded(action: Action = Action.RESTART, rules: Guards = RULES, **more: Any) -> Hold | None:
    """Ask at `START`; what is no fact of the container's is a guard's."""
    facts = {name: more.pop(name) for name in ("container", "group") if name in more}
    look = seen(guards=GuardView(**more), **facts)
    return guards.hold(look, action, POLICY, rules, now=START)


def refused(action: Action = Action.RESTART, rules: Guards = RULES, **more: Any) -> Refuse | None:
    names = ("container", "group", "view", "opted_in", "sickness", "observe_only")
    facts = {name: more.pop(name) for name in names if name in more}
    return guards.refusal(seen(guards=GuardView(**more), **facts), action, rules, now=START)


def test_nothing_forbids_anything_where_nothing_is_the_matter() -> None:
    for action in Action:
        assert guarded(action) is None
        assert refused(action) is None


# ---------------------------------------------------------------- which one is named

#: In the order in which they are named: what stands higher is told where both hold.
EVERYTHING: dict[Reason, dict[str, Any]] = {
    Reason.PROTECTED: {"protected": "Relevo itself runs in it"},
    Reason.NOT_RUNNING: {"container": STOPPED},
    Reason.START_GRACE: {"start_grace_until": at(100)},
    Reason.HOLD: {"hold": halt()},
    Reason.PAUSE: {"pause": halt()},
    Reason.BRAKE: {"failing": 4},
    Reason.DEPLOY: {"deploy_until": at(100)},
    Reason.MIN_HEALTHY: {"others": 1, "serving_others": 0},
}


@pytest.mark.parametrize("index", range(len(EVERYTHING)), ids=[str(one) for one in EVERYTHING])
def test_the_first_that_holds_is_the_reason(index: int) -> None:
    facts: dict[str, Any] = {}
    for more in list(EVERYTHING.values())[index:]:
        facts |= more

    held = guarded(**facts)

    assert held is not None
    assert held.reason is list(EVERYTHING)[index]
    assert held.until > START


@pytest.mark.parametrize("reason", EVERYTHING, ids=str)
def test_each_alone_forbids_a_restart(reason: Reason) -> None:
    held = guarded(**EVERYTHING[reason])

    assert held is not None
    assert held.reason is reason


@given(facts=st.sets(st.sampled_from(list(EVERYTHING))))
def test_something_forbids_as_soon_as_one_does(facts: set[Reason]) -> None:
    held = guarded(**{k: v for one in facts for k, v in EVERYTHING[one].items()})

    assert (held is None) == (not facts)


# ---------------------------------------------------------------- hold and pause


@pytest.mark.parametrize(("guard", "reason"), [("hold", Reason.HOLD), ("pause", Reason.PAUSE)])
@pytest.mark.parametrize(
    ("until", "looked_at_again"),
    [
        pytest.param(None, POLL, id="without-an-end"),
        pytest.param(3600, POLL, id="for-long"),
        pytest.param(5, 5, id="no-longer-than-it-lasts"),
        pytest.param(0.001, 0.001, id="a-moment-before-its-end"),
        pytest.param(0, None, id="over-exactly-now"),
        pytest.param(-1, None, id="long-over"),
    ],
)
def test_a_hold_and_a_pause_end_by_themselves(
    guard: str, reason: Reason, until: float | None, looked_at_again: float | None
) -> None:
    facts: dict[str, Any] = {guard: halt(until)}

    held = guarded(**facts)

    expected = looked_at_again and Hold(at(looked_at_again), reason, "jane: deploying")
    assert held == expected


# ---------------------------------------------------------------- as it is left

UNFIT = [
    pytest.param(RunState.PAUSED, None, Reason.PAUSED_CONTAINER, id="paused"),
    pytest.param(RunState.PAUSED, "jane stopped it", Reason.PAUSED_CONTAINER, id="paused-by-jane"),
    pytest.param(RunState.EXITED, None, Reason.NOT_RUNNING, id="exited"),
    pytest.param(RunState.EXITED, "jane stopped it", Reason.HUMAN, id="stopped-by-a-person"),
    pytest.param(RunState.CREATED, None, Reason.NOT_RUNNING, id="never-started"),
    pytest.param(RunState.RESTARTING, None, Reason.NOT_RUNNING, id="between-two-restarts"),
    pytest.param(RunState.REMOVING, None, Reason.NOT_RUNNING, id="being-removed"),
    pytest.param(RunState.DEAD, None, Reason.NOT_RUNNING, id="dead"),
]


@pytest.mark.parametrize(("state", "human", "reason"), UNFIT)
@pytest.mark.parametrize("action", [Action.RESTART, Action.SCALE_OUT])
def test_what_does_not_run_is_left_as_it_is(
    state: RunState, human: str | None, reason: Reason, action: Action
) -> None:
    held = guarded(action, container=container(state=state), human=human)

    assert held == Hold(at(POLL), reason, human if reason is Reason.HUMAN else None)


def test_what_a_person_did_to_one_that_runs_again_is_over() -> None:
    assert guarded(human="jane stopped it") is None


def test_one_that_is_not_seen_is_not_unfit() -> None:
    assert guards.not_fit(seen(container=None)) is None


# ---------------------------------------------------------------- start grace


CHECK = HealthCheck(
    interval=timedelta(seconds=30),
    timeout=timedelta(seconds=5),
    retries=3,
    start_period=timedelta(seconds=90),
)


def started(seconds: float, **more: Any) -> Container:
    text = at(seconds).isoformat(timespec="microseconds").replace("+00:00", "123Z")
    return container(started_at=text, **more)


@pytest.mark.parametrize(
    ("one", "grace", "until"),
    [
        pytest.param(started(-1), 0, None, id="none-by-default"),
        pytest.param(started(-59.999), 60, 0.001, id="just-before-its-end"),
        pytest.param(started(-60), 60, None, id="exactly-over"),
        pytest.param(started(0), 60, 60, id="started-now"),
        pytest.param(started(50), 60, 60, id="by-a-clock-a-little-ahead-of-ours-it-is-now"),
        pytest.param(started(7200), 60, None, id="by-a-clock-that-is-wrong-there-is-none"),
        pytest.param(
            started(-10, health=Health.STARTING, health_check=CHECK), 0, 80, id="its-start-period"
        ),
        pytest.param(
            started(-90, health=Health.STARTING, health_check=CHECK),
            0,
            None,
            id="no-longer-than-that",
        ),
        pytest.param(
            started(-10, health=Health.HEALTHY, health_check=CHECK), 0, None, id="healthy-ends-it"
        ),
        pytest.param(
            started(-10, health=Health.UNHEALTHY, health_check=CHECK),
            60,
            50,
            id="the-policys-alone",
        ),
        pytest.param(
            started(-10, health=Health.STARTING, health_check=CHECK),
            300,
            290,
            id="the-longer-of-both",
        ),
        pytest.param(started(-10, health=Health.STARTING), 0, None, id="starting-without-a-check"),
        pytest.param(container(started_at="0001-01-01T00:00:00Z"), 60, None, id="never-started"),
        pytest.param(container(started_at=""), 60, None, id="the-engine-does-not-say"),
        pytest.param(container(started_at="yesterday"), 60, None, id="no-time-at-all"),
        pytest.param(container(started_at="2026-11-22T10:00:00Z"), 60, 60, id="without-a-fraction"),
        pytest.param(
            container(started_at="2026-11-22T09:59:50.5Z"), 60, 50.5, id="with-one-digit-of-it"
        ),
    ],
)
def test_a_start_has_its_grace(one: Container, grace: float, until: float | None) -> None:
    policy = Policy(restart=RestartRules(start_grace=timedelta(seconds=grace)))

    found = guards.start_grace_until(one, policy, now=START)

    assert found == (None if until is None else at(until))


@pytest.mark.parametrize(("until", "is_held"), [(0.001, True), (0, False), (-1, False)])
def test_start_grace_is_waited_for_to_its_end(until: float, is_held: bool) -> None:
    held = guarded(start_grace_until=at(until))

    assert held == (Hold(at(until), Reason.START_GRACE) if is_held else None)
    assert guarded(Action.SCALE_OUT, start_grace_until=at(until)) is None


# ---------------------------------------------------------------- the brake


@pytest.mark.parametrize(
    ("failing", "targets", "is_on"),
    [
        pytest.param(3, 1, False, id="three-are-believable"),
        pytest.param(4, 1, True, id="four-are-not"),
        pytest.param(4, 12, True, id="a-quarter-of-twelve-is-three"),
        pytest.param(4, 13, True, id="more-than-a-quarter-of-thirteen"),
        pytest.param(4, 16, False, id="exactly-a-quarter-of-sixteen"),
        pytest.param(5, 16, True, id="more-than-a-quarter-of-sixteen"),
        pytest.param(25, 100, False, id="exactly-a-quarter-of-a-hundred"),
        pytest.param(26, 100, True, id="more-than-a-quarter-of-a-hundred"),
        pytest.param(0, 0, False, id="nobody-is-there"),
    ],
)
def test_too_many_failing_at_once_freeze_everything(
    failing: int, targets: int, is_on: bool
) -> None:
    held = guarded(failing=failing, targets=targets)
    engaged = guards.next_brake(
        Brake(), failing=failing, targets=targets, rules=RULES.brake, now=START
    )

    detail = f"{failing} targets had a failed restart"
    assert held == (Hold(at(POLL), Reason.BRAKE, detail) if is_on else None)
    assert engaged == (Brake(engaged_at=START, failing=failing) if is_on else Brake())


@pytest.mark.parametrize(
    ("failing", "after", "is_thawed"),
    [
        pytest.param(1, 599, False, id="one-second-too-early"),
        pytest.param(1, 600, True, id="after-exactly-ten-minutes"),
        pytest.param(0, 600, True, id="nobody-fails-any-more"),
        pytest.param(2, 600, False, id="two-still-fail"),
        pytest.param(2, 86_400, False, id="however-long"),
    ],
)
def test_the_brake_thaws_when_at_most_one_fails_and_not_too_soon(
    failing: int, after: float, is_thawed: bool
) -> None:
    brake = Brake(engaged_at=START, failing=9, cleared_at=at(-999))

    later = guards.next_brake(brake, failing=failing, targets=50, rules=RULES.brake, now=at(after))

    assert later == (Brake(cleared_at=at(-999)) if is_thawed else brake)


def test_the_brake_remembers_how_it_engaged() -> None:
    brake = Brake(engaged_at=START, failing=9)

    later = guards.next_brake(brake, failing=20, targets=1, rules=RULES.brake, now=at(60))

    assert later is brake


def test_an_engaged_brake_freezes_although_fewer_fail_now() -> None:
    held = guarded(brake=Brake(engaged_at=at(-60), failing=9), failing=2)

    assert held is not None
    assert held.reason is Reason.BRAKE


def test_a_brake_that_only_tells_never_freezes() -> None:
    rules = Guards(brake=BrakeRules(freeze=False))

    assert guarded(rules=rules, failing=50, brake=Brake(engaged_at=at(-60), failing=9)) is None


@given(failing=st.integers(0, 200), targets=st.integers(0, 200), after=st.integers(0, 3600))
def test_no_brake_is_thawed_by_what_would_engage_it(failing: int, targets: int, after: int) -> None:
    braked = Brake(engaged_at=START, failing=9)
    later = guards.next_brake(
        braked, failing=failing, targets=targets, rules=RULES.brake, now=at(after)
    )

    again = guards.next_brake(
        later, failing=failing, targets=targets, rules=RULES.brake, now=at(after)
    )

    assert again == later


# ---------------------------------------------------------------- a deploy


@pytest.mark.parametrize(
    ("until", "looked_at_again"),
    [
        pytest.param(100, POLL, id="it-may-end-sooner-than-thought"),
        pytest.param(5, 5, id="no-longer-than-it-lasts"),
        pytest.param(0, None, id="over-exactly-now"),
        pytest.param(-1, None, id="long-over"),
    ],
)
def test_a_deploy_is_stood_back_from(until: float, looked_at_again: float | None) -> None:
    held = guarded(deploy_until=at(until))

    assert held == (looked_at_again and Hold(at(looked_at_again), Reason.DEPLOY))


# ---------------------------------------------------------------- somebody must serve

SICK = container(health=Health.UNHEALTHY)


@pytest.mark.parametrize(
    ("one", "others", "serving", "is_held"),
    [
        pytest.param(container(), 0, 0, False, id="alone-in-its-group"),
        pytest.param(container(), 1, 1, False, id="the-other-one-serves"),
        pytest.param(container(), 1, 0, True, id="the-other-one-is-ill"),
        pytest.param(container(), 2, 0, True, id="both-others-are-ill"),
        pytest.param(container(), 2, 1, False, id="one-of-two-others-serves"),
        pytest.param(SICK, 1, 0, False, id="it-does-not-serve-either"),
        pytest.param(container(health=Health.STARTING), 1, 0, False, id="it-does-not-serve-yet"),
        pytest.param(container(health=Health.HEALTHY), 1, 0, True, id="it-is-the-last-healthy-one"),
    ],
)
def test_one_other_serves_while_it_restarts(
    one: Container, others: int, serving: int, is_held: bool
) -> None:
    facts: dict[str, Any] = {"container": one, "others": others, "serving_others": serving}

    held, no = guarded(**facts), refused(**facts)

    why = "no other instance of its group serves"
    assert held == (Hold(at(POLL), Reason.MIN_HEALTHY, why) if is_held else None)
    assert no == (Refuse(Reason.MIN_HEALTHY, why) if is_held else None)


def test_a_scale_out_takes_none_out() -> None:
    assert guarded(Action.SCALE_OUT, others=1, serving_others=0) is None
    assert refused(Action.SCALE_OUT, others=1, serving_others=0) is None


@pytest.mark.parametrize(
    ("instances", "out"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 2), (8, 2), (9, 3), (30, 10)]
)
def test_a_third_of_a_group_may_be_out(instances: int, out: int) -> None:
    assert guards.out_of_group(instances) == out


# ---------------------------------------------------------------- the budget


def test_three_actions_may_follow_each_other_within_six_minutes() -> None:
    assert guards.burst_span(RULES) == timedelta(minutes=6)


@pytest.mark.parametrize(
    ("rules", "minutes"),
    [(Guards(burst=1, per_hour=60), 1), (Guards(burst=10, per_hour=10), 60)],
)
def test_a_burst_lasts_as_long_as_the_hour_gives_it(rules: Guards, minutes: int) -> None:
    assert guards.burst_span(rules) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("ago", "left"),
    [
        pytest.param([], (3, 30), id="nothing-done"),
        pytest.param([0, 0], (1, 28), id="two-just-now"),
        pytest.param([1, 2, 3], (0, 27), id="a-whole-burst"),
        pytest.param([359, 10, 10], (0, 27), id="one-second-within-the-six-minutes"),
        pytest.param([360, 10, 10], (1, 27), id="exactly-six-minutes-ago"),
        pytest.param([3599], (3, 29), id="one-second-within-the-hour"),
        pytest.param([3600], (3, 30), id="exactly-an-hour-ago"),
        pytest.param([600 + n for n in range(30)], (3, 0), id="a-whole-hour"),
        pytest.param([5] * 50, (0, 0), id="more-than-there-was"),
    ],
)
def test_counts_what_is_left(ago: list[float], left: tuple[int, int]) -> None:
    charged = tuple(at(-seconds) for seconds in ago)

    assert guards.budget_left(charged, RULES, now=START) == left


@given(wanted=st.lists(st.integers(0, 3 * 3600), max_size=300))
def test_no_hour_has_more_than_its_budget(wanted: list[int]) -> None:
    """Whenever actions are wanted: who asks for what is left first never does too much."""
    charged: tuple[datetime, ...] = ()
    for second in sorted(wanted):
        if 0 not in guards.budget_left(charged, RULES, now=at(second)):
            charged = (*charged, at(second))

    for begin in charged:
        within = [one for one in charged if begin <= one < begin + timedelta(hours=1)]
        lately = [one for one in charged if begin <= one < begin + timedelta(minutes=6)]
        assert len(within) <= 30
        assert len(lately) <= 3


# ---------------------------------------------------------------- what a person orders


NOT_FOR_PEOPLE: dict[str, dict[str, Any]] = {
    "a-pause": {"pause": halt()},
    "the-brake": {"failing": 9, "brake": Brake(engaged_at=at(-60), failing=9)},
    "a-deploy": {"deploy_until": at(100)},
    "start-grace": {"start_grace_until": at(100)},
    "no-alert": {"sickness": Sickness(symptom=Symptom.ABSENT)},
    "a-silence": {"sickness": Sickness(symptom=Symptom.SUPPRESSED)},
    "no-fresh-data": {"sickness": Sickness(symptom=Symptom.UNKNOWN)},
    "somebody-elses-clones-below-the-maximum": {"clones": 9},
}


@pytest.mark.parametrize("facts", NOT_FOR_PEOPLE.values(), ids=NOT_FOR_PEOPLE)
@pytest.mark.parametrize("action", [Action.RESTART, Action.SCALE_OUT])
def test_does_not_stop_a_person(facts: dict[str, Any], action: Action) -> None:
    assert refused(action, **facts) is None


TOO_MANY = group(instances=3, max_instances=3)
NO_CLONE = group(refusal=Refusal(reason=Reason.SHARED_VOLUME, detail="writes to volume data"))


@pytest.mark.parametrize(
    ("facts", "reason", "of_restarts", "of_scale_outs"),
    [
        pytest.param({"protected": "ours"}, Reason.PROTECTED, True, True, id="protected"),
        pytest.param({"opted_in": False}, Reason.NOT_OPTED_IN, True, True, id="not-opted-in"),
        pytest.param({"observe_only": True}, Reason.OBSERVE, True, True, id="observe-mode"),
        pytest.param({"container": None}, Reason.NO_SUCH_TARGET, True, True, id="no-container"),
        pytest.param({"view": EngineView.GONE}, Reason.NO_SUCH_TARGET, True, True, id="gone"),
        pytest.param({"container": STOPPED}, Reason.NOT_RUNNING, True, True, id="stopped"),
        pytest.param(
            {"container": STOPPED, "human": "jane"}, Reason.HUMAN, True, True, id="by-a-person"
        ),
        pytest.param(
            {"container": container(state=RunState.PAUSED)},
            Reason.PAUSED_CONTAINER,
            True,
            True,
            id="paused",
        ),
        pytest.param({"others": 1}, Reason.MIN_HEALTHY, True, False, id="nobody-else-serves"),
        pytest.param({"group": TOO_MANY}, Reason.AT_MAX, False, True, id="the-group-is-full"),
        pytest.param({"clones": 10}, Reason.MAX_CLONES, False, True, id="ten-clones-on-the-engine"),
        pytest.param(
            {"group": NO_CLONE}, Reason.SHARED_VOLUME, False, True, id="no-faithful-clone"
        ),
    ],
)
def test_stops_a_person_too(
    facts: dict[str, Any], reason: Reason, of_restarts: bool, of_scale_outs: bool
) -> None:
    for action, expected in ((Action.RESTART, of_restarts), (Action.SCALE_OUT, of_scale_outs)):
        no = refused(action, **facts)

        assert (no is not None) == expected
        if no is not None:
            assert no.reason is reason
            assert no.detail


@pytest.mark.parametrize(("clones", "is_refused"), [(9, False), (10, True), (11, True)])
def test_ten_clones_are_enough(clones: int, is_refused: bool) -> None:
    assert (refused(Action.SCALE_OUT, clones=clones) is not None) == is_refused


def test_a_protected_container_is_not_talked_about_any_further() -> None:
    no = refused(protected="Relevo itself runs in it", opted_in=False, container=STOPPED)

    assert no == Refuse(Reason.PROTECTED, "Relevo itself runs in it")


# ---------------------------------------------------------------- after a crash of its own

CRASHED = container(state=RunState.EXITED, exit_code=3)
DOWN = attempt(verdict=Verdict.EXITED, finished_at=at(-600))


def after_a_crash(**more: Any) -> Observation:
    """Our restart was followed by a crash: quiet, because it is down."""
    return seen(
        Symptom.ABSENT,
        container=CRASHED,
        remediation=remediation(attempts=(DOWN,)),
        guards=GuardView(**more),
    )


def next_of(look: Observation) -> Any:
    return next_step(look, POLICY, Patience(), now=at(3600), rules=RULES)


def test_what_our_restart_left_down_is_restarted() -> None:
    assert next_of(after_a_crash()) == Restart(Reason.BACKOFF)


@pytest.mark.parametrize(
    "reason",
    [Reason.HOLD, Reason.PAUSE, Reason.BRAKE, Reason.DEPLOY],
    ids=str,
)
def test_not_while_something_else_forbids_it(reason: Reason) -> None:
    later = {"deploy_until": at(3700)} if reason is Reason.DEPLOY else EVERYTHING[reason]

    step = next_of(after_a_crash(**later))

    assert isinstance(step, Hold)
    assert step.reason is reason


def test_protected_since_then_it_stays_down() -> None:
    assert next_of(after_a_crash(protected="ours")).reason is Reason.PROTECTED
