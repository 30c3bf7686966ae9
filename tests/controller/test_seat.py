"""The leader stops before a follower may begin, by clocks that go a fifth too slow or too fast."""

from dataclasses import replace
from itertools import product
from typing import Final

import pytest

from app.controller.seat import ACTS, LOOK, TTL, Seat
from app.domain.gate import Fence
from app.ports import Standing

#: Seconds on a clock, of a second that is right.
RATES: Final = (0.8, 0.9, 1.0, 1.1, 1.2)
#: The longest that the store takes to answer, seconds.
ANSWER: Final = 1.5

RENEWED: Final = Standing(
    epoch="h1",
    fence=1,
    instance="anna",
    life="anna-1",
    term=1,
    beat=7,
    told_at=None,
    engine="host1",
    run_id="r",
)
BEFORE: Final = replace(RENEWED, beat=6)


def seat(life: str) -> Seat:
    return Seat(life=life, engine=lambda: "host1")


@pytest.mark.parametrize(("slow", "fast"), list(product(RATES, RATES)))
@pytest.mark.parametrize("early", [0.0, 0.7, ANSWER])
def test_the_leader_stops_before_another_may_begin(slow: float, fast: float, early: float) -> None:
    """The follower's look was under way for as long as can be when the renewal came in."""
    renewed_at = 1000.0  # in right seconds
    anna, bert = seat("anna-1"), seat("bert-1")
    bert.found(BEFORE, (renewed_at - 5) * fast)
    anna.see(RENEWED, renewed_at * slow, (renewed_at + ANSWER) * slow)
    bert.see(RENEWED, (renewed_at - early) * fast, renewed_at * fast)

    acts_until = anna.ours_until
    assert acts_until is not None
    # Not a moment before the last one at which the leader may begin something.
    last = acts_until / slow
    assert bert.deserted((last - 0.001) * fast) is None


def test_a_seat_that_stands_still_is_deserted_at_exactly_the_ttl() -> None:
    bert = seat("bert-1")
    bert.found(RENEWED, 100.0)
    ends = 100.0 + TTL.total_seconds()
    for second in range(1, 15):
        assert not bert.see(RENEWED, 100.0 + second, 100.0 + second)

    assert bert.deserted(ends - 0.001) is None
    assert bert.deserted(ends) == RENEWED


def test_what_is_ours_is_never_deserted_and_what_was_left_not_sought() -> None:
    anna, bert = seat("anna-1"), seat("bert-1")
    for one in (anna, bert):
        one.found(RENEWED, 0.0)
    bert.leave()

    assert anna.deserted(1e9) is None
    assert bert.deserted(1e9) is None


def test_one_that_was_only_found_may_not_be_acted_on() -> None:
    """It is ours by name: nobody has confirmed it in this life of the loop."""
    anna = seat("anna-1")
    anna.found(RENEWED, 0.0)

    assert anna.is_ours
    assert anna.ours_until is None
    anna.see(RENEWED, 3.0, 4.0)
    assert anna.ours_until == 3.0 + ACTS.total_seconds()
    anna.leave()
    assert anna.ours_until is None


def test_a_seat_that_passed_on_is_not_ours() -> None:
    anna = seat("anna-1")
    anna.see(RENEWED, 0.0, 0.0)
    anna.see(replace(RENEWED, instance="bert", life="bert-1", term=2, beat=8), 1.0, 1.0)

    assert not anna.is_ours
    assert anna.ours_until is None


@pytest.mark.parametrize(
    ("gap", "beat", "is_fresh"),
    [(1.0, 7, True), (2.0, 7, True), (2.1, 7, False), (1.0, 6, False)],
)
def test_a_time_is_fresh_where_it_was_told_between_two_looks(
    gap: float, beat: int, is_fresh: bool
) -> None:
    assert LOOK.total_seconds() == 1
    bert = seat("bert-1")
    bert.found(BEFORE, 99.0)
    bert.see(BEFORE, 100.0, 100.0)

    assert bert.see(replace(RENEWED, beat=beat), 100.0 + gap, 100.0 + gap) is is_fresh


# ---------------------------------------------------------------- the fence


def test_a_tenure_has_one_fence_and_the_next_a_higher_one() -> None:
    """What is sent in one tenure may arrive in any order; nothing of the one before after it."""
    anna = seat("anna-1")
    assert anna.fence() == Fence()

    anna.see(replace(RENEWED, fence=10), 0.0, 0.1)
    anna.see(replace(RENEWED, fence=15, beat=8), 5.0, 5.1)
    assert anna.fence() == Fence(epoch="h1", number=10)

    anna.see(replace(RENEWED, life="bert-1", term=2, fence=20), 20.0, 20.1)
    assert anna.fence() == Fence(epoch="h1", number=10)
    anna.see(replace(RENEWED, term=3, fence=30), 40.0, 40.1)
    assert anna.fence() == Fence(epoch="h1", number=30)

    anna.see(replace(RENEWED, epoch="h2", term=3, fence=31), 50.0, 50.1)
    assert anna.fence() == Fence(epoch="h2", number=31)
