"""What containers used in the last hour: as somebody remembers, else as we have measured."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.controller import samples as module
from app.controller.samples import EVERY, SPAN, Samples
from app.domain.container import Container, RunState
from app.domain.usage import Reading, Used
from app.errors import SourceUnavailable
from tests.builders import START, container
from tests.controller.house import House, VirtualClock, build, pass_time
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime


@pytest.fixture
async def house() -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    return build(make_store(), clock, engine)


def busy(house: House, cores: float, memory: int | None = 1000) -> Callable[[Container], Used]:
    """Use so many cores from the start on."""

    def measure(one: Container) -> Used:
        lived = (house.clock.now() - START).total_seconds()
        return Used(
            at=house.clock.now(),
            started_at=one.started_at,
            cpu_seconds=cores * lived,
            network_bytes=None,
            memory_bytes=memory,
        )

    return measure


async def measured(house: House, **span: float) -> Samples:
    samples = house.controller.samples
    task = asyncio.create_task(samples.run())
    await pass_time(**span)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return samples


async def test_cores_are_the_difference_of_two_readings(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)

    curve = await (await measured(house, minutes=2, seconds=5)).of("host1:web")

    assert curve.source == "own"
    assert curve.missing is None
    assert [one.cpu_cores for one in curve.readings] == [None, *[pytest.approx(0.5)] * 4]
    assert {one.memory_bytes for one in curve.readings} == {1000}
    assert [b.at - a.at for a, b in zip(curve.readings, curve.readings[1:], strict=False)] == [
        EVERY
    ] * 4


async def test_an_hour_is_kept_and_no_more(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)

    curve = await (await measured(house, hours=3)).of("host1:web")

    assert len(curve.readings) <= SPAN // EVERY + 1
    assert house.clock.now() - curve.readings[0].at <= SPAN
    assert house.clock.now() - curve.readings[-1].at <= EVERY


async def test_a_new_life_begins_anew(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)
    samples = await measured(house, seconds=35)
    house.engine.started(web().id)

    await samples.measure()

    assert (await samples.of("host1:web")).readings[-1].cpu_cores is None


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.EXITED])
async def test_one_that_does_not_run_is_not_measured(house: House, state: RunState) -> None:
    house.engine.uses["web"] = busy(house, 0.5)
    house.engine.run(replace(web(), state=state))

    curve = await (await measured(house, minutes=2)).of("host1:web")

    assert curve.readings == ()
    assert curve.missing is not None


async def test_one_that_is_gone_is_forgotten(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)
    samples = await measured(house, minutes=2)
    house.engine.inside.clear()
    house.engine.run(container("other", 2))

    await pass_time(seconds=2)
    await samples.measure()

    assert (await samples.of("host1:web")).readings == ()


async def test_an_engine_that_is_away_ends_nothing(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)
    house.engine.down = True
    samples = await measured(house, minutes=2)
    assert (await samples.of("host1:web")).readings == ()

    house.engine.down = False
    await measured(house, minutes=2)

    assert (await samples.of("host1:web")).readings


async def test_so_many_are_measured_a_few_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    for number in range(2, 20):
        house.engine.run(container(f"c{number}", number))
    at_once, most, asked = 0, 0, set()

    async def used(container_id: str, *, at: datetime) -> Used | None:
        nonlocal at_once, most
        at_once, most = at_once + 1, max(most, at_once + 1)
        asked.add(container_id)
        await pass_time(seconds=1)
        at_once -= 1
        return None

    house.engine.used = used  # type: ignore[method-assign]
    await house.controller.samples.measure()

    assert len(asked) == 5
    assert most == 2


class Remembers:
    """A Prometheus that remembers, or does not answer."""

    def __init__(self, readings: tuple[Reading, ...] | None) -> None:
        self.readings = readings
        self.asked: list[tuple[str, str, timedelta]] = []

    async def usage(
        self, *, engine: str, container: str, since: datetime, until: datetime, step: timedelta
    ) -> tuple[Reading, ...]:
        self.asked.append((engine, container, until - since))
        if self.readings is None:
            raise SourceUnavailable("Prometheus does not answer")
        return self.readings


def asking(house: House, usage: Remembers) -> Samples:
    controller = house.controller
    return Samples(house.engine, controller.resync._pictures._census, house.clock, usage)


async def test_what_prometheus_remembers_is_told(house: House) -> None:
    await house.desk.targets()
    reading = Reading(at=START, cpu_cores=0.5, memory_bytes=1000.0)
    usage = Remembers((reading,))

    curve = await asking(house, usage).of("host1:web")

    assert curve.readings == (reading,)
    assert (curve.source, curve.missing) == ("prometheus", None)
    assert usage.asked == [("host1", "web", SPAN)]


@pytest.mark.parametrize(
    ("readings", "target", "said"),
    [
        (None, "host1:web", "does not answer"),
        ((), "host1:web", "scrape the collector"),
        ((), "host1:gone", "no such container"),
    ],
)
async def test_why_there_is_nothing_is_told(
    house: House, readings: tuple[Reading, ...] | None, target: str, said: str
) -> None:
    await house.desk.targets()

    curve = await asking(house, Remembers(readings)).of(target)

    assert curve.readings == ()
    assert said in (curve.missing or "")


async def test_where_prometheus_remembers_nothing_is_measured(house: House) -> None:
    house.engine.uses["web"] = busy(house, 0.5)
    samples = asking(house, Remembers(()))
    task = asyncio.create_task(samples.run())
    await pass_time(minutes=2)
    task.cancel()

    assert samples._kept == {}
