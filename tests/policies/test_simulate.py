"""The timeline of a policy: what the ladder itself decides about a made-up container."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.decision import Reason
from app.domain.duration import format_duration, parse_duration
from app.policies.reachability import reachability
from app.policies.simulate import AND_SO_ON, Scenario, Step, simulate, timeline
from app.policies.simulate_world import Doings
from app.policies.spec import (
    Guards,
    Mode,
    Policy,
    RestartRules,
    ScaleOutRules,
    Strategy,
    VerifyRules,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
#: More than any ladder here spends.
RICH = Guards(burst=10_000, per_hour=10_000)


def told(steps: tuple[Step, ...]) -> list[str]:
    """The steps without what is said of them: ``9m restart backoff``."""
    return [f"{format_duration(step.at)} {step.what} {step.reason}" for step in steps]


def words(steps: tuple[Step, ...]) -> list[str]:
    return [step.what for step in steps]


RESTARTS = [
    "1m restart first_need",
    "4m symptom_persists deadline",
    "9m restart backoff",
    "12m symptom_persists deadline",
    "22m restart backoff",
    "25m symptom_persists deadline",
    "25m scale_out window_full",
    "26m confirm warm_up",
]


def test_a_trouble_that_persists_climbs_the_whole_ladder() -> None:
    steps = simulate(Policy(), Scenario.PERSISTS)

    assert told(steps[:8]) == RESTARTS
    assert words(steps)[-1] == "escalate"
    assert steps[-1].reason is Reason.AT_MAX
    assert words(steps).count("scale_out") == 2  # three instances at most


def test_a_trouble_that_the_second_restart_ends_is_left_alone_then() -> None:
    assert told(simulate(Policy(), Scenario.SECOND_RESTART)) == [
        *RESTARTS[:3],
        # seen absent at the first look, 15 s after the restart, and for 4 min from then on
        "13m15s recovered settled",
        "13m15s close settled",
    ]


def test_load_is_relieved_by_the_first_clone() -> None:
    assert told(simulate(Policy(), Scenario.LOAD)) == [
        *RESTARTS,
        "29m15s relieved settled",
        "29m15s close settled",
    ]


def test_a_recovery_that_does_not_last_counts_as_a_failed_restart() -> None:
    steps = simulate(Policy(), Scenario.FLAPS)

    first_round = ["restart", "recovered", "close", "relapse"]
    assert words(steps)[:13] == [*first_round * 3, "scale_out"]
    assert steps[3].at - steps[2].at == 5 * MINUTE
    # The waits grow as they do between failed restarts of one story.
    begun = [step.at for step in steps if step.what == "restart"]
    relapsed = [step.at for step in steps if step.what == "relapse"]
    assert [begun[0], begun[1] - relapsed[0], begun[2] - relapsed[1]] == [
        1 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
    ]


def test_scale_first_restarts_nothing_before_it() -> None:
    policy = Policy(strategy=Strategy.SCALE_FIRST)

    steps = simulate(policy, Scenario.LOAD)

    assert told(steps)[:2] == ["0s scale_out first_need", "1m confirm warm_up"]
    assert words(steps)[-2:] == ["relieved", "close"]


def test_where_scale_out_is_off_the_ladder_ends_with_a_person() -> None:
    policy = Policy(scale_out=ScaleOutRules(enabled=False))

    steps = simulate(policy, Scenario.LOAD)

    assert told(steps) == [*RESTARTS[:6], "25m escalate scale_out_disabled"]


def test_the_maximum_of_a_policy_ends_it_earlier() -> None:
    policy = Policy(scale_out=ScaleOutRules(max_instances=1))

    assert told(simulate(policy, Scenario.PERSISTS))[-1] == "25m escalate at_max"


def test_observe_mode_acts_on_nothing() -> None:
    steps = simulate(Policy(mode=Mode.OBSERVE), Scenario.SECOND_RESTART)

    assert told(steps)[:2] == ["1m rehearse first_need", "4m would_have deadline"]
    assert {"restart", "scale_out"}.isdisjoint(words(steps))


def test_a_start_grace_is_waited_for_once_it_is_longer() -> None:
    policy = Policy(restart=RestartRules(start_grace=12 * MINUTE))

    steps = simulate(policy, Scenario.PERSISTS)

    assert told(steps)[2:5] == [
        "9m hold start_grace",
        "13m restart backoff",
        "16m symptom_persists deadline",
    ]


def test_actions_beyond_the_budget_are_held() -> None:
    steps = simulate(Policy(), Scenario.PERSISTS, guards=Guards(burst=1, per_hour=1))

    assert told(steps)[:4] == [
        "1m restart first_need",
        "4m symptom_persists deadline",
        "9m hold budget",
        "1h1m restart backoff",
    ]


def test_a_story_without_end_is_cut_short() -> None:
    policy = Policy(restart=RestartRules(delays=(MINUTE, 20 * MINUTE, 40 * MINUTE)))

    steps = simulate(policy, Scenario.PERSISTS)

    assert len(steps) == 40
    assert set(words(steps)) == {"restart", "symptom_persists"}
    assert steps[-1].detail.endswith(AND_SO_ON)
    assert [step for step in steps if step.detail.endswith(AND_SO_ON)] == [steps[-1]]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(Policy(verify=VerifyRules(poll=timedelta(milliseconds=1))), id="looks-often"),
        pytest.param(
            Policy(restart=RestartRules(delays=(timedelta(0),), window=timedelta(seconds=1))),
            id="forgets-at-once",
        ),
        pytest.param(
            Policy(restart=RestartRules(delays=(timedelta(days=366),), window=timedelta(days=366))),
            id="waits-for-years",
        ),
        pytest.param(Policy(restart=RestartRules(max_failed=100)), id="never-has-enough"),
        pytest.param(
            Policy(
                scale_out=ScaleOutRules(
                    max_instances=1000, cooldown=timedelta(0), warm_up=timedelta(0)
                )
            ),
            id="fills-the-engine",
        ),
        pytest.param(
            Policy(
                verify=VerifyRules(
                    deadline=timedelta(days=366), poll=SECOND, settle=timedelta(days=366)
                )
            ),
            id="looks-for-a-year",
        ),
    ],
)
def test_every_policy_has_a_timeline_in_the_end(policy: Policy, scenario: Scenario) -> None:
    steps = simulate(policy, scenario)

    moments = [step.at for step in steps]
    assert moments == sorted(moments)
    assert len(steps) <= 400


def test_the_same_question_has_the_same_answer() -> None:
    policy = Policy(restart=RestartRules(jitter=0.25))

    for scenario in Scenario:
        assert simulate(policy, scenario) == simulate(policy, scenario)


# ---------------------------------------------------------------- with the arithmetic


def reaches(steps: tuple[Step, ...]) -> bool:
    """Whether the failures came together."""
    return any(step.reason is Reason.WINDOW_FULL for step in steps)


def blinking(policy: Policy) -> tuple[Step, ...]:
    """The story of the trouble that takes longest to be told from a recovery."""
    deadline = max(policy.verify.deadline, policy.verify.poll)
    gone_for = policy.verify.settle

    def trouble(doings: Doings, now: datetime) -> bool:
        """Gone exactly as long as it may be, from the last moment on."""
        if doings.acted_at is None or doings.scale_outs:
            return True
        gone = doings.acted_at + deadline
        return not gone <= now < gone + gone_for

    return timeline(policy, trouble, guards=RICH)


#: Whole seconds: the boundary itself is met now and then.
def durations(least: int, most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(least, most).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies whose waits do not shrink; about half of them are reachable."""
    first, *later = draw(st.lists(durations(0, 1500), min_size=1, max_size=5))
    verify = VerifyRules(
        deadline=draw(durations(1, 400)),
        settle=draw(durations(1, 400)),
        poll=draw(durations(5, 120)),
    )
    rules = RestartRules(
        delays=(first, *sorted(later)),
        max_failed=draw(st.integers(1, 6)),
        window=draw(durations(60, 5000)),
    )
    policy = Policy(restart=rules, verify=verify)
    if draw(st.booleans()):
        return policy
    found = reachability(policy)
    assert found is not None
    nudge = draw(st.sampled_from([-1, 0, 1])) * SECOND
    return replace(policy, restart=replace(rules, window=max(SECOND, found.span + nudge)))


@settings(max_examples=150, deadline=None)
@given(policies())
@example(Policy())
@example(Policy(restart=RestartRules(window=29 * MINUTE)))
@example(Policy(restart=RestartRules(window=29 * MINUTE + SECOND)))
def test_the_slowest_trouble_reaches_its_scale_out_exactly_where_the_sum_says_so(
    policy: Policy,
) -> None:
    found = reachability(policy)

    assert found is not None
    assert reaches(blinking(policy)) is found.fits


@settings(max_examples=150, deadline=None)
@given(policies(), durations(0, 300), st.sampled_from([0.0, 0.1, 0.25]))
@example(Policy(), timedelta(0), 0.25)
def test_a_policy_that_is_read_scales_out_for_a_trouble_that_persists(
    policy: Policy, start_grace: timedelta, jitter: float
) -> None:
    rules = replace(policy.restart, start_grace=start_grace, jitter=jitter)
    policy = replace(policy, restart=rules)
    found = reachability(policy)
    assert found is not None

    steps = simulate(policy, Scenario.PERSISTS, guards=RICH)

    if found.fits:
        assert "scale_out" in words(steps)
    if found.least >= rules.window:
        assert "scale_out" not in words(steps)


@settings(max_examples=50, deadline=None)
@given(policies())
def test_a_trouble_that_persists_needs_the_deadline_alone(policy: Policy) -> None:
    """The same sum without settling, exactly: what `may never` leaves open."""
    within = replace(policy, verify=replace(policy.verify, settle=timedelta(0)))
    found = reachability(within)
    assert found is not None

    assert reaches(simulate(policy, Scenario.PERSISTS, guards=RICH)) is found.fits


def test_the_refused_example_never_scales_out() -> None:
    delays = tuple(parse_duration(one) for one in ("1m", "20m", "40m"))
    policy = Policy(restart=RestartRules(delays=delays))

    assert not reaches(blinking(policy))
    assert not reaches(simulate(policy, Scenario.PERSISTS))
    assert reaches(
        simulate(
            replace(policy, restart=replace(policy.restart, window=2 * HOUR)), Scenario.PERSISTS
        )
    )
