"""A loop that hangs, in real time: where it hangs is told while it does, and acting has ended."""

import asyncio
import faulthandler
import re
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final, TextIO

import pytest

from app.controller import pulse as pulses
from app.controller import seat as seats
from app.controller.pulse import Pulse
from app.controller.telemetry import Telemetry
from app.errors import LeaseLost
from tests.controller.house import VirtualClock, build
from tests.engine_lab import until
from tests.fakes import FakeEngine
from tests.memory_store import make_store

pytestmark = pytest.mark.timeout(60)

#: The thread says it after three seconds at most; a busy machine gets more.
PATIENCE_S: Final = 20.0
#: In place of the ten seconds that a leader acts after a renewal.
ACTS: Final = timedelta(seconds=1)


@pytest.fixture
def dumps(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released with every stack that the watching thread has written."""
    written = threading.Semaphore(0)
    write = faulthandler.dump_traceback

    def dump(file: TextIO, *, all_threads: bool) -> None:
        write(file, all_threads)
        written.release()

    monkeypatch.setattr(faulthandler, "dump_traceback", dump)
    return written


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    """Of a pulse that beats."""
    telemetry = Telemetry()
    task = asyncio.create_task(Pulse(telemetry).run())
    await until(lambda: has_beaten(telemetry, 1))
    yield telemetry
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def has_beaten(telemetry: Telemetry, times: int) -> bool:
    return lags(telemetry)[0] >= times


def lags(telemetry: Telemetry) -> tuple[float, float]:
    """How often the lag was measured, and all lags together."""
    found = telemetry.registry.get_sample_value
    name = "relevo_event_loop_lag_seconds"
    return found(f"{name}_count") or 0.0, found(f"{name}_sum") or 0.0


def hang_until(over: threading.Semaphore) -> bool:
    """Block whoever calls; its name is what a person has to find."""
    return over.acquire(timeout=PATIENCE_S)


async def test_where_it_hangs_is_told_while_it_does(
    telemetry: Telemetry, dumps: threading.Semaphore, capfd: pytest.CaptureFixture[str]
) -> None:
    beats, before = lags(telemetry)

    assert hang_until(dumps), "nothing was told while the loop hung"

    said = capfd.readouterr()
    assert "the event loop hangs" in said.out + said.err
    assert re.search(r'test_pulse\.py", line \d+ in hang_until', said.err)
    await until(lambda: has_beaten(telemetry, round(beats) + 1))
    # Whoever looks later sees it in the metric.
    assert lags(telemetry)[1] - before > 1


async def test_each_hang_is_told_once(
    telemetry: Telemetry, dumps: threading.Semaphore, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hang_until(dumps)
    # As long again: a hang of an hour is one stack, not a thousand.
    assert not dumps.acquire(timeout=pulses._EVERY_S + 2 * pulses._HANGS_S)
    beats, _ = lags(telemetry)
    await until(lambda: has_beaten(telemetry, round(beats) + 2))

    assert hang_until(dumps), "the second hang was not told"

    assert capfd.readouterr().err.count("in hang_until") == 2


async def test_what_may_be_done_has_ended_before_it_wakes(
    telemetry: Telemetry, dumps: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first code that runs after a hang may be the one that was about to act."""
    monkeypatch.setattr(seats, "ACTS", ACTS)
    clock = VirtualClock()
    house = build(make_store(), clock, FakeEngine(clock))
    await house.tenure.beat()
    assert house.tenure.not_after() <= asyncio.get_running_loop().time() + ACTS.total_seconds()

    # Longer than it may act, and nothing of the loop has run since.
    assert hang_until(dumps)

    assert not house.tenure.may_claim
    with pytest.raises(LeaseLost, match="could not be renewed"):
        house.tenure.not_after()
