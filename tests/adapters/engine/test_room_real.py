"""What containers use and what is free, at the real engine."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.engine import headroom
from app.adapters.engine.docker import DockerEngine
from app.ports import ContainerEngine
from tests.engine_lab import SOCKET, EngineLab, until

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
MB = 1 << 20
BURN = ("sh", "-c", "while :; do :; done")


async def test_tells_what_was_used_since_the_start(engine: ContainerEngine, lab: EngineLab) -> None:
    busy_id, idle_id = lab.run("--cpus", "0.5", command=BURN), lab.run()
    stopped_id, shared_id = lab.create(), lab.run("--network", "host")

    async def has_burnt() -> bool:
        found = await engine.used(busy_id, at=AT)
        return found is not None and found.cpu_seconds > 0.3

    await until(has_burnt)
    busy, idle, stopped, shared = await asyncio.gather(
        *(engine.used(one, at=AT) for one in (busy_id, idle_id, stopped_id, shared_id))
    )

    assert busy is not None
    assert idle is not None
    assert shared is not None
    assert busy.at == AT
    assert busy.started_at == lab.inspect(busy_id)["State"]["StartedAt"]
    assert idle.cpu_seconds < busy.cpu_seconds
    assert idle.network_bytes is not None
    assert (stopped, shared.network_bytes) == (None, None)


async def test_bytes_of_all_networks_count(
    engine: ContainerEngine, lab: EngineLab, networks: tuple[str, str, str]
) -> None:
    container_id, asked_id = lab.run("--network", networks[0]), lab.run("--network", networks[1])
    lab.connect(networks[1], container_id)
    address = lab.inspect(asked_id)["NetworkSettings"]["Networks"][networks[1]]["IPAddress"]

    async def moved() -> int:
        found = await engine.used(container_id, at=AT)
        assert found is not None
        assert found.network_bytes is not None
        return found.network_bytes

    before = await moved()
    # Nobody answers there; it is the question that counts.
    lab.do("exec", "-d", container_id, "nslookup", "shop.test", address)

    async def has_sent() -> bool:
        return await moved() >= before + 50

    await until(has_sent)


async def test_another_one_needs_the_limit_or_the_present_use(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    limited_id = lab.run("--memory", "64m", "--cpus", "0.25", command=BURN)
    open_id = lab.run("--cpu-shares", "2", command=BURN)

    limited, unlimited = await asyncio.gather(engine.room(limited_id), engine.room(open_id))

    assert (limited.needs_memory, limited.needs_cpus) == (64 * MB, 0.25)
    assert 0 < unlimited.needs_memory < 64 * MB
    assert 0.01 < unlimited.needs_cpus <= limited.cpus


async def test_no_more_is_free_than_the_kernel_says(
    engine: ContainerEngine, lab: EngineLab, tmp_path: Path
) -> None:
    container_id = lab.run("--cpus", "0.5", command=BURN)
    by_kernel = headroom.memory_of(Path("/proc/meminfo").read_text())
    assert by_kernel is not None

    # The same engine, from where its kernel cannot be asked.
    async with DockerEngine(SOCKET, proc=tmp_path) as afar:
        here, there = await asyncio.gather(engine.room(container_id), afar.room(container_id))

    assert here.memory == there.memory == by_kernel[0]
    # Others of this machine use some of it, and no container of theirs is counted.
    slack = 512 * MB
    assert here.free_memory <= by_kernel[1] + slack
    assert here.free_memory <= there.free_memory + slack
    assert there.free_memory < there.memory
    # Half a core burns; less where others take the machine's time.
    assert there.free_cpus < there.cpus - 0.02
    assert 0 <= here.free_cpus <= here.cpus
