"""How long to wait: exactly, or with a little of chance in it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policies.backoff import delay_before, due_at
from app.policies.spec import Policy, RestartRules
from tests.builders import START, TARGET, at

MINUTE = timedelta(minutes=1)


def policy(*minutes: float, jitter: float = 0.0) -> Policy:
    delays = tuple(one * MINUTE for one in minutes)
    return Policy(restart=RestartRules(delays=delays, jitter=jitter))


SHIPPED = Policy()
HOSTS = [f"host1:web-{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("given_policy", "failures", "expected"),
    [
        pytest.param(SHIPPED, 0, 1 * MINUTE, id="one-minute-before-the-first"),
        pytest.param(SHIPPED, 1, 5 * MINUTE, id="five-before-the-second"),
        pytest.param(SHIPPED, 2, 10 * MINUTE, id="ten-before-the-third"),
        pytest.param(SHIPPED, 3, 10 * MINUTE, id="the-last-one-repeats"),
        pytest.param(SHIPPED, 10_000, 10 * MINUTE, id="for-ever"),
        pytest.param(policy(0, 1, 5, 10), 0, 0 * MINUTE, id="the-other-reading-of-the-brief"),
        pytest.param(policy(7), 5, 7 * MINUTE, id="one-for-all"),
        pytest.param(policy(), 5, 0 * MINUTE, id="none-at-all"),
    ],
)
def test_waits_before_each_restart(
    given_policy: Policy, failures: int, expected: timedelta
) -> None:
    assert delay_before(failures, given_policy) == expected
    assert due_at(TARGET, START, failures, given_policy) == START + expected


@given(
    target=st.sampled_from(HOSTS),
    failures=st.integers(0, 5),
    jitter=st.floats(0, 0.25),
    since=st.integers(0, 10**6),
)
def test_jitter_only_lengthens_and_no_more_than_its_share(
    target: str, failures: int, jitter: float, since: int
) -> None:
    exact = delay_before(failures, SHIPPED)

    due = due_at(target, at(since), failures, policy(1, 5, 10, jitter=jitter))

    assert at(since) + exact <= due <= at(since) + exact + jitter * exact


@given(since=st.integers(0, 10**6), failures=st.integers(0, 5))
def test_without_jitter_it_is_exact(since: int, failures: int) -> None:
    assert due_at(TARGET, at(since), failures, SHIPPED) == at(since) + delay_before(
        failures, SHIPPED
    )


def test_every_look_at_a_wait_finds_the_same_end() -> None:
    rules = policy(1, 5, 10, jitter=0.25)

    assert len({due_at(TARGET, START, 1, rules) for _ in range(100)}) == 1


def test_the_store_keeps_milliseconds_and_that_changes_nothing() -> None:
    """What is read back is cut off to the millisecond that it was in."""
    rules = policy(1, jitter=0.25)
    exact = START + timedelta(microseconds=1_999)

    kept = START + timedelta(milliseconds=1)

    assert due_at(TARGET, exact, 0, rules) - exact == due_at(TARGET, kept, 0, rules) - kept


def test_targets_that_fall_ill_together_do_not_move_in_step() -> None:
    rules = policy(1, jitter=0.25)

    waits = sorted((due_at(host, START, 0, rules) - START).total_seconds() for host in HOSTS)

    assert len(set(waits)) == len(HOSTS)
    # Spread over the whole quarter of a minute, not in a corner of it.
    assert waits[0] < 61
    assert waits[-1] > 74
    assert 65 < waits[len(waits) // 2] < 70


def test_each_wait_of_a_target_is_drawn_anew() -> None:
    rules = policy(1, jitter=0.25)

    waits = {due_at(TARGET, at(second), 0, rules) - at(second) for second in range(100)}

    assert len(waits) == 100


def test_no_wait_has_no_jitter() -> None:
    assert due_at(TARGET, START, 0, policy(0, jitter=0.25)) == START
