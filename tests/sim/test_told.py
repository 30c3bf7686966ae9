"""What the checker takes for known, and what becomes of a process that dies in its sleep."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from app.domain.alert import Alert, AlertStatus
from tests.builders import ENGINE, alert, at
from tests.sim.daemon import Daemon
from tests.sim.loop import VirtualLoop
from tests.sim.process import Process
from tests.sim.told import Told
from tests.sim.trace import Trace
from tests.sim.ward import population

EXPIRY_S = 8 * 3600.0
ENDED = AlertStatus.RESOLVED


class Ear:
    """Hears notices at moments of its own."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        daemon = Daemon(self.loop, Random(1), Trace(self.loop, tell=None))
        for one in population():
            daemon.put(one)
        self.told = Told(self.loop, daemon, expiry_s=EXPIRY_S)

    def hear(self, now: float, one: Alert, *, status: int = 202) -> None:
        self.loop.now = now

        async def post(_alerts: list[Alert], _truncated: int) -> int:
            return status

        self.loop.run_until_complete(self.told.around(post)([one], 0))

    def over_at(self, now: float) -> float | None:
        self.loop.now = now
        return self.told.over_since("web")

    def ill_at(self, now: float) -> float | None:
        self.loop.now = now
        return self.told.ill_since("web")


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.loop.close()


def test_an_end_whose_answer_was_lost_may_have_been_kept(ear: Ear) -> None:
    one = alert(starts_at=at(0))
    ear.hear(10.0, one)
    ear.hear(20.0, replace(one, status=ENDED), status=503)
    assert ear.over_at(25.0) is None
    assert ear.told.perhaps_over_since("web") is None
    ear.hear(30.0, replace(one, status=ENDED))

    assert ear.over_at(40.0) == 30.0
    assert ear.told.perhaps_over_since("web") == 20.0


def test_what_nobody_told_is_over(ear: Ear) -> None:
    over = ear.over_at(10.0)

    assert over is not None
    assert over < 0


def test_an_end_binds_from_the_moment_that_it_was_told(ear: Ear) -> None:
    ear.hear(10.0, alert())
    assert (ear.over_at(20.0), ear.ill_at(20.0)) == (None, 10.0)

    ear.hear(30.0, alert(status=ENDED))

    assert (ear.over_at(40.0), ear.ill_at(40.0)) == (30.0, None)


def test_an_end_that_was_not_taken_binds_nobody(ear: Ear) -> None:
    ear.hear(10.0, alert())
    ear.hear(30.0, alert(status=ENDED), status=503)

    assert ear.over_at(40.0) is None


def test_a_notice_without_an_answer_may_be_believed_and_need_not(ear: Ear) -> None:
    ear.hear(10.0, alert(), status=0)

    assert (ear.over_at(20.0), ear.ill_at(20.0)) == (None, None)


def test_without_an_end_it_is_over_when_the_last_notice_expires(ear: Ear) -> None:
    ear.hear(10.0, alert())
    ear.hear(100.0, alert())

    assert ear.over_at(99.0 + EXPIRY_S) is None
    assert ear.over_at(101.0 + EXPIRY_S) == 100.0 + EXPIRY_S == ear.told.believed_until()


def test_a_firing_notice_that_comes_after_its_end_is_not_believed(ear: Ear) -> None:
    ear.hear(10.0, alert())
    ear.hear(30.0, alert(status=ENDED))
    ear.hear(40.0, alert())
    assert ear.over_at(50.0) == 30.0

    ear.hear(60.0, alert(starts_at=at(55)))

    assert ear.over_at(70.0) is None


def test_what_is_about_another_engine_says_nothing(ear: Ear) -> None:
    labels = {**alert().labels, "engine": f"not-{ENGINE}"}
    ear.hear(10.0, alert(labels=labels))

    assert ear.over_at(20.0) is not None


def test_who_is_killed_in_its_sleep_leaves_no_task_behind() -> None:
    """A task that nobody ends is closed with the garbage, in the name of whoever runs then."""
    loop = VirtualLoop()
    process = Process("c1", 1, loop, Trace(loop, tell=None))
    ended: list[str] = []

    async def wait(queue: "asyncio.Queue[None]") -> None:
        try:
            await queue.get()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    queue: asyncio.Queue[None] = asyncio.Queue()

    def fall_asleep() -> None:
        process.freeze(60.0)
        queue.put_nowait(None)  # it is about to be woken, and sleeps

    process.spawn(wait(queue), "wait")
    loop.later(1.0, fall_asleep)
    loop.later(2.0, process.kill, "its clock was set")
    loop.later(3.0, loop.stop)
    loop.run_forever()
    loop.close()

    assert ended == ["cancelled"]
