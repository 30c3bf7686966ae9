"""The one clock: it goes with the loop, can be set, and knows when its host slept."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.clock import LoopClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_it_begins_with_the_time_of_the_system() -> None:
    before = datetime.now(UTC)  # noqa: TID251 - what it is compared with

    now = LoopClock().now()

    assert abs(now - before) < timedelta(seconds=5)
    assert now.tzinfo is UTC


@pytest.mark.looptime
async def test_it_goes_with_the_loop() -> None:
    clock = LoopClock(NOON)
    for seconds in (1, 59, 3600):
        before = clock.now()
        await asyncio.sleep(timedelta(seconds=seconds).total_seconds())
        assert clock.now() - before == timedelta(seconds=seconds)


@pytest.mark.looptime
@pytest.mark.parametrize("hours", [-5, 0, 5])
async def test_it_can_be_set_and_goes_on_from_there(hours: int) -> None:
    clock = LoopClock(NOON)
    clock.set_to(NOON + timedelta(hours=hours))
    assert clock.now() == NOON + timedelta(hours=hours)

    await asyncio.sleep(timedelta(minutes=1).total_seconds())

    assert clock.now() == NOON + timedelta(hours=hours, minutes=1)


@pytest.mark.looptime
async def test_setting_it_moves_no_wait() -> None:
    clock, loop = LoopClock(NOON), asyncio.get_running_loop()
    begun = loop.time()
    waiting = asyncio.create_task(asyncio.sleep(timedelta(seconds=30).total_seconds()))
    await asyncio.sleep(timedelta(seconds=10).total_seconds())

    clock.set_to(NOON + timedelta(days=1))
    await waiting

    assert loop.time() - begun == 30


async def test_a_host_that_is_awake_has_not_slept() -> None:
    clock = LoopClock()

    # The two clocks of the kernel are read one after the other.
    assert clock.slept() < timedelta(milliseconds=100)
    assert clock.slept() < timedelta(milliseconds=100)


async def test_a_suspension_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's clocks are the outside here: nothing else can suspend a host in a test."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        pytest.skip("only Linux tells")
    clock = LoopClock(NOON)
    real = time.clock_gettime
    suspended = 0.0

    def kernels(which: int) -> float:
        return real(which) + (suspended if which == boot else 0.0)

    monkeypatch.setattr(time, "clock_gettime", kernels)
    suspended = 3600.0

    assert abs(clock.slept() - timedelta(hours=1)) < timedelta(milliseconds=100)
    assert clock.slept() < timedelta(milliseconds=100)
    suspended += 60.0
    assert abs(clock.slept() - timedelta(minutes=1)) < timedelta(milliseconds=100)
