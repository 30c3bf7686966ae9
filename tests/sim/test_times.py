"""What was written when, where a clock says something else."""

from datetime import timedelta

import pytest

from tests.builders import START
from tests.sim.times import Span, Times, is_after

_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("span", "then", "after"),
    [
        ((10.0, 11.0), (5.0, 6.0), True),
        ((5.0, 6.0), (10.0, 11.0), False),
        ((5.0, 8.0), (7.0, 11.0), None),
    ],
)
def test_the_true_order_counts_and_not_what_a_clock_said(
    span: Span, then: Span, after: bool | None
) -> None:
    assert is_after(START, span, START + _HOUR, then) is after
    assert is_after(START + _HOUR, span, START, then) is after


@pytest.mark.parametrize(("by", "after"), [(60, True), (-60, False), (3, None), (-3, None)])
def test_what_nobody_has_seen_is_in_the_order_of_the_clocks(by: int, after: bool | None) -> None:
    assert is_after(START + timedelta(seconds=by), None, START, (1.0, 2.0)) is after


def test_the_furthest_clock_since_then_is_what_the_store_forgets_by() -> None:
    now = 0.0
    times = Times(lambda: now)
    for at, clock in ((10.0, 0), (20.0, 7200), (30.0, 60), (40.0, 120)):
        now = at
        times.said(START + timedelta(seconds=clock))

    assert times.furthest(5.0) == START + timedelta(seconds=7200)
    assert times.furthest(25.0) == START + timedelta(seconds=120)
    assert times.furthest(45.0) is None
