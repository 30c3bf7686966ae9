"""Following the events of the real engine, through a proxy that cuts."""

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial

import pytest
from aiodocker import Docker

from app.adapters.engine.connection import Bounds
from app.adapters.engine.docker import DockerEngine
from app.domain.container import EngineEvent
from app.errors import EngineUnavailable
from tests.adapters.engine.cutting_proxy import CuttingProxy, cutting_proxy
from tests.adapters.engine.test_docker_real import OBEDIENT, restart
from tests.engine_lab import SOCKET, EngineLab, until

pytestmark = pytest.mark.docker

#: What one restart of an obedient container tells on 20.10.
RESTART = ["kill", "die", "stop", "start", "restart"]


class Follower:
    """Follows the events of one lab, and begins anew after every cut."""

    def __init__(self, engine: DockerEngine, lab: EngineLab) -> None:
        self.found: list[EngineEvent] = []
        self.cuts = 0
        self._engine = engine
        self._mark = lab.mark
        self._last_ns = 0

    async def run(self) -> None:
        while True:
            async with aclosing(self._engine.events(since_ns=self._last_ns)) as events:
                try:
                    async for event in events:
                        self._last_ns = event.at_ns
                        # Others may be at work on the same engine.
                        if event.attributes.get("relevo-lab") == self._mark:
                            self.found.append(event)
                except EngineUnavailable:
                    self.cuts += 1
            await asyncio.sleep(0.05)

    def actions(self, container_id: str) -> list[str]:
        """What happened to a container, in order."""
        return [one.action for one in self.found if one.container_id == container_id]

    async def heard(self, container_id: str, action: str, count: int = 1) -> None:
        """Wait until it has been told."""

        async def it_has() -> bool:
            return self.actions(container_id).count(action) >= count

        await until(it_has, within=20)


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(SOCKET) as opened:
        yield opened


@pytest.fixture
async def follower(proxy: CuttingProxy, lab: EngineLab) -> AsyncIterator[Follower]:
    bounds = Bounds(silence=timedelta(seconds=1))
    async with DockerEngine(proxy.url, bounds=bounds) as engine:
        follower = Follower(engine, lab)
        task = asyncio.create_task(follower.run())
        await _listens(follower, lab)
        yield follower
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def _listens(follower: Follower, lab: EngineLab) -> None:
    """Wait until what happens is told: "from now on" begins once the engine's clock was asked."""
    canary = lab.create(name="canary")

    async def it_sings() -> bool:
        lab.do("rename", canary, lab.name(f"canary{secrets.token_hex(4)}"))
        return bool(follower.actions(canary))

    await until(it_sings)
    lab.do("rm", canary)
    await follower.heard(canary, "destroy")
    follower.found.clear()


async def test_tells_what_a_restart_does(
    engine: DockerEngine, lab: EngineLab, follower: Follower
) -> None:
    container_id = lab.run("-l", "tier=web", command=OBEDIENT, name="web")

    await restart(engine, container_id, grace=timedelta(seconds=10))

    await follower.heard(container_id, "restart")
    assert follower.actions(container_id) == ["create", "start", *RESTART]
    die = next(one for one in follower.found if one.action == "die")
    assert die.name == lab.name("web")
    assert die.attributes["exitCode"] == "0"
    assert die.attributes["image"] == lab.image
    assert die.attributes["tier"] == "web"
    kill = next(one for one in follower.found if one.action == "kill")
    assert kill.attributes["signal"] == "15"


async def test_tells_of_health_and_not_of_what_is_executed(
    lab: EngineLab, follower: Follower
) -> None:
    check = ("--health-cmd", "test -e /tmp/well", "--health-interval", "200ms")
    container_id = lab.run(*check, "--health-retries", "1")
    await follower.heard(container_id, "health_status")
    lab.execute(container_id, "touch", "/tmp/well")
    await follower.heard(container_id, "health_status", 2)

    told = [one for one in follower.found if one.action == "health_status"]
    assert [one.attributes["health_status"] for one in told[:2]] == ["unhealthy", "healthy"]
    assert set(follower.actions(container_id)) == {"create", "start", "health_status"}


async def test_cuts_in_the_middle_of_restarts_lose_nothing_and_double_nothing(
    engine: DockerEngine, lab: EngineLab, proxy: CuttingProxy, follower: Follower
) -> None:
    ids = [lab.run(command=OBEDIENT, name=f"web{number}") for number in range(3)]

    async def restarts(container_id: str) -> int:
        for count in itertools.count():
            if count >= 3 and follower.cuts >= 4:
                return count
            # Short: one that is stopped before its trap was set does not hear SIGTERM, and each
            # such restart lasts as long as its grace.
            await restart(engine, container_id, grace=timedelta(seconds=1))
        raise AssertionError

    async def in_the_middle(told: int) -> bool:
        """Told of the end of a container, and not yet of its start; and on a stream that told."""
        ends = any(follower.actions(one)[-1:] in (["die"], ["stop"]) for one in ids)
        return ends and len(follower.found) > told

    restarting = asyncio.gather(*map(restarts, ids))
    # Not every cut is noticed: a request that was just being made is made anew.
    while follower.cuts < 4:
        await until(partial(in_the_middle, len(follower.found)), within=20)
        proxy.cut()
    # In the middle of a line.
    proxy.cut_after = 500

    for container_id, count in zip(ids, await restarting, strict=True):
        await follower.heard(container_id, "restart", count)
        told = follower.actions(container_id)
        # Without its trap: a second kill, by SIGKILL.
        told = [one for one, before in zip(told, ["", *told], strict=False) if one != before]
        assert told == ["create", "start", *RESTART * count]
    assert not _doubled(follower)


async def test_cuts_in_a_burst_lose_nothing_and_double_nothing(
    lab: EngineLab, proxy: CuttingProxy, follower: Follower
) -> None:
    """Eight at once: the engine publishes some of them in another order than they happened."""
    ids = [lab.create(name=f"burst{number}") for number in range(8)]
    rounds = 100
    async with Docker(url=SOCKET) as client:

        async def rename(container_id: str) -> None:
            for turn in range(rounds):
                name = lab.name(f"{container_id[:12]}-{turn}")
                path = f"containers/{container_id}/rename"
                async with client._query(path, "POST", params={"name": name}) as answer:
                    answer.release()
                # The engine remembers 256 events: leave the follower the time to come back.
                await until(partial(is_near, container_id, turn))

        async def is_near(container_id: str, turn: int) -> bool:
            return turn - follower.actions(container_id).count("rename") < 20

        async def went_on(before: int) -> bool:
            return renaming.done() or len(follower.found) > before + 20

        renaming = asyncio.gather(*map(rename, ids))
        while not renaming.done():
            await until(partial(went_on, len(follower.found)), within=20)
            proxy.cut()
        await renaming

    for container_id in ids:
        await follower.heard(container_id, "rename", rounds)
    assert [len(follower.actions(one)) for one in ids] == [rounds + 1] * 8
    assert follower.cuts >= 5
    assert not _doubled(follower)


async def test_a_connection_that_is_only_half_open_is_noticed(
    lab: EngineLab, proxy: CuttingProxy, follower: Follower
) -> None:
    first = lab.run(name="before")
    await follower.heard(first, "start")

    proxy.fall_silent()
    second = lab.run(name="in-between")
    await follower.heard(second, "start")

    assert follower.actions(second) == ["create", "start"]
    assert follower.cuts == 0
    assert not _doubled(follower)


async def test_a_quiet_engine_is_no_trouble(
    lab: EngineLab, proxy: CuttingProxy, follower: Follower
) -> None:
    async def it_was_looked_into() -> bool:
        return proxy.count >= 4

    await until(it_was_looked_into)
    late = lab.run(name="late")

    await follower.heard(late, "start")

    assert follower.cuts == 0
    assert proxy.open <= 2


def _doubled(follower: Follower) -> list[tuple[str, str, int]]:
    counts = Counter((one.container_id, one.action, one.at_ns) for one in follower.found)
    return [event for event, count in counts.items() if count > 1]
