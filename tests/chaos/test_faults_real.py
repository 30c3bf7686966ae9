"""Single faults on real processes, one promise each: shutdown, engine, weak store, full disk."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import OpenHouse
from tests.chaos.engine_proxy import Mode, Phase
from tests.chaos.house import WAIT_S
from tests.chaos.starts import Starts
from tests.chaos.visits import AFTER_HOLD, LONG_DUE, Visit
from tests.stack.wait import eventually, side_by_side

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]


async def test_what_is_under_way_is_ended_before_the_seat_is_left(
    open_house: OpenHouse, starts: Starts
) -> None:
    house = await open_house(controllers=2, patients=2, stubborn=1)
    visit = Visit(house, starts)
    stubborn, other = house.patients
    leader = await house.leader()
    assert leader is not None
    under_way = asyncio.Event()

    def trap() -> bool:
        under_way.set()
        return True

    leader.proxy.trap(Phase.FORWARDED, trap)
    first = house.pager.fire(house.labels(stubborn))
    async with asyncio.timeout(4 * WAIT_S):
        await under_way.wait()
    second = house.pager.fire(house.labels(other))
    # Its restart takes two seconds; the successor takes the other one on meanwhile, or after it.
    await leader.program.stop()

    assert visit.starts(stubborn) == 1
    await visit.restarted(other, within=2 * WAIT_S)
    for alert in (first, second):
        house.pager.resolve(alert)
    assert (await visit.ends(stubborn))["outcome"] == "recovered"
    assert (visit.starts(stubborn), visit.starts(other)) == (1, 1)


async def test_a_weak_store_is_not_acted_on(open_house: OpenHouse, starts: Starts) -> None:
    await side_by_side(
        weak(open_house, starts, ("--appendonly", "no"), "append-only"),
        weak(open_house, starts, ("--maxmemory-policy", "allkeys-lru"), "noeviction"),
    )


async def weak(open_house: OpenHouse, starts: Starts, options: tuple[str, ...], word: str) -> None:
    house = await open_house(patients=1, stubborn=0, redis_options=options, await_ready=False)
    visit, (patient,) = Visit(house, starts), house.patients

    async def says_so() -> bool:
        status, text = await visit.ready()
        return status == 503 and word in text

    await eventually(says_so, within=20, what=f"/-/ready speaks of {word}")
    await visit.accepts(visit.alert(patient))
    await visit.is_left_alone(patient, 0, during=LONG_DUE)


async def test_an_engine_that_is_silent_is_not_asked_twice(
    open_house: OpenHouse, starts: Starts
) -> None:
    await side_by_side(
        engine_hangs(open_house, starts),
        engine_never_answers(open_house, starts),
    )


async def engine_hangs(open_house: OpenHouse, starts: Starts) -> None:
    """The request never arrived: known only after the time that it could have taken."""
    house = await open_house(patients=2, stubborn=0)
    visit, (patient, other) = Visit(house, starts), house.patients
    proxy = house.controllers[0].proxy
    hung = asyncio.Event()

    def trap() -> bool:
        proxy.mode = Mode.HANG
        hung.set()
        return True

    proxy.trap(Phase.BEFORE, trap)
    alert = house.pager.fire(house.labels(patient))
    async with asyncio.timeout(4 * WAIT_S):
        await hung.wait()

    # Alerts are taken on within their time, by what was listed last.
    taken = await asyncio.wait_for(visit.post(visit.alert(other)), 5)
    assert taken.status_code in (202, 503)

    async def unready() -> bool:
        return (await visit.ready())[0] == 503

    await eventually(unready, within=15, what="/-/ready says so")
    await proxy.switch(Mode.PASS)
    await visit.restarted(patient, within=60)
    house.pager.resolve(alert)
    ended = await visit.ends(patient)
    # What never arrived is a failed attempt; the next one is a need of its own.
    assert [one["verdict"] for one in ended["attempts"]][-1] == "recovered"
    assert visit.starts(patient) == 1


async def engine_never_answers(open_house: OpenHouse, starts: Starts) -> None:
    """The engine has done it, and nobody was told: it is found out, and adopted."""
    house = await open_house(patients=1, stubborn=1)
    visit, (patient,) = Visit(house, starts), house.patients
    proxy = house.controllers[0].proxy

    def trap() -> bool:
        proxy.mode = Mode.MUTE
        return True

    proxy.trap(Phase.FORWARDED, trap)
    alert = house.pager.fire(house.labels(patient))
    await visit.restarted(patient)
    await proxy.switch(Mode.PASS)
    house.pager.resolve(alert)
    ended = await visit.ends(patient, within=60)
    assert [one["verdict"] for one in ended["attempts"]] == ["recovered"]
    assert visit.starts(patient) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    mount = ("mount", "-t", "tmpfs", "-o", "size=8m", "relevo-test", str(tmp_path))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield tmp_path
    subprocess.run(("umount", "--lazy", str(tmp_path)), check=True)


def fill(ballast: Path) -> None:
    """Leave nothing of a disk."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


async def test_a_full_disk_is_no_memory(
    open_house: OpenHouse, starts: Starts, small_disk: Path
) -> None:
    """With `appendfsync always` Redis ends where it cannot write: nothing was taken on."""
    house = await open_house(
        patients=2,
        stubborn=0,
        redis_options=("--auto-aof-rewrite-percentage", "0"),
        redis_home=small_disk / "redis",
    )
    visit, (waiting, other) = Visit(house, starts), house.patients
    await visit.accepts(visit.alert(waiting))
    await visit.waits(waiting)
    ballast = small_disk / "ballast"
    fill(ballast)

    alert = visit.alert(other)
    assert (await visit.refuses(alert)).status_code == 503
    await visit.is_left_alone(waiting, 0, during=LONG_DUE)

    ballast.unlink()
    await house.redis.kill()
    await house.redis.start()
    await visit.accepts(alert)
    await visit.restarted(waiting, within=AFTER_HOLD)
    await visit.restarted(other, within=AFTER_HOLD)
