"""What a loop waits at: it goes on when it is rung, or when its time has come."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.controller.bell import Bell
from tests.sim.loop import VirtualLoop

LONG = timedelta(seconds=60)


def took(
    bell: Bell,
    *,
    rung_after: float | None = None,
    waits: int = 1,
    within: timedelta = LONG,
    exactly: bool = False,
) -> list[float]:
    """Seconds, virtual ones, that each of so many waits for a minute takes."""
    loop = VirtualLoop()

    async def run() -> list[float]:
        if rung_after is not None:
            loop.call_later(rung_after, bell.ring)
        found = []
        for _ in range(waits):
            began = loop.time()
            await bell.wait(within, exactly=exactly)
            bell.hush()
            found.append(loop.time() - began)
        return found

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def test_nobody_rings_and_its_time_comes() -> None:
    assert took(Bell()) == [60]


@pytest.mark.parametrize("microseconds", [0, 1, 300, 1_000, 1_100, 60_000_000])
def test_its_time_comes_exactly(microseconds: int) -> None:
    """Looking often during the last millisecond ends neither sooner nor later."""
    within = timedelta(microseconds=microseconds)

    found = took(Bell(), within=within, waits=2, exactly=True)

    assert found == [pytest.approx(within.total_seconds(), abs=1e-9)] * 2


@pytest.mark.parametrize("rate", [0.8, 1.000001, 1.2])
def test_a_clock_that_runs_too_fast_or_too_slow_comes_to_the_end(rate: float) -> None:
    """Such a clock may stand a rounding error before the time that a timer was set to."""

    class Odd(VirtualLoop):
        def time(self) -> float:
            return self.now * rate + 1e6 / 3

        def call_at(  # type: ignore[override]
            self, when: float, callback: Any, *args: Any, **more: Any
        ) -> Any:
            return super().call_later((when - self.time()) / rate, callback, *args, **more)

    loop, bell = Odd(), Bell()

    async def run() -> None:
        for number in range(200):
            await bell.wait(timedelta(seconds=0.1, microseconds=number), exactly=True)
            bell.hush()

    try:
        loop.run_until_complete(run())
        assert loop.now == pytest.approx(20.02 / rate, rel=1e-3)
    finally:
        loop.close()


@pytest.mark.parametrize("seconds", [7, 59.9995])
def test_one_that_would_end_exactly_is_rung_before(seconds: float) -> None:
    # What looks during the last millisecond of the first wait does not end the second.
    found = took(Bell(), rung_after=seconds, waits=2, exactly=True)

    assert found == [pytest.approx(seconds), pytest.approx(60)]


def test_it_is_rung_meanwhile() -> None:
    assert took(Bell(), rung_after=7) == [7]


def test_it_was_rung_before() -> None:
    bell = Bell()
    bell.ring()
    assert took(bell) == [0]


def test_it_is_rung_for_one_wait_and_an_old_time_rings_no_later_one() -> None:
    # The time of the first wait would come 7 s before that of the second.
    assert took(Bell(), rung_after=7, waits=2) == [7, 60]


def test_rung_in_the_moment_in_which_its_time_comes_it_is_rung_once() -> None:
    assert took(Bell(), rung_after=60, waits=2) == [60, 60]


def test_it_is_waited_for_without_an_end() -> None:
    bell, loop = Bell(), VirtualLoop()
    loop.call_later(3600, bell.ring)
    try:
        loop.run_until_complete(bell.rung())
        assert loop.time() == 3600
    finally:
        loop.close()


def test_whoever_waits_can_be_cancelled_and_waits_again() -> None:
    bell, loop = Bell(), VirtualLoop()

    async def run() -> float:
        task = asyncio.ensure_future(bell.wait(LONG))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        bell.ring()  # nobody is there: that is for the next one
        await bell.wait(LONG)
        return loop.time()

    try:
        assert loop.run_until_complete(run()) == 0
    finally:
        loop.close()
