"""Measuring use and room at a fake engine: whoever is silent, late or gone."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.engine.connection import Bounds
from app.adapters.engine.docker import DockerEngine
from app.domain.usage import Used
from app.errors import ContainerGone, EngineUnavailable
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    inspected,
    line,
)

AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
MB = 1 << 20
LOOK = f"GET /containers/{CONTAINER_ID}/json"
GONE = Reply(status=404, body={"message": "No such container"})
OTHERS = tuple(f"{number:064x}" for number in range(1, 20))


def stats(*, cores: float = 0.5, memory: int = 70 * MB, **more: Any) -> dict[str, Any]:
    """Return two readings, a second apart."""
    return {
        "preread": "2026-11-22T03:00:00Z",
        "read": "2026-11-22T03:00:01Z",
        "precpu_stats": {"cpu_usage": {"total_usage": 4_000_000_000}},
        "cpu_stats": {"cpu_usage": {"total_usage": 4_000_000_000 + int(cores * 1e9)}},
        "memory_stats": {"usage": memory, "stats": {}},
        "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1}},
        **more,
    }


def reads(daemon: FakeDaemon, container_id: str, reply: Reply) -> None:
    daemon.answer(f"GET /containers/{container_id}/stats", reply)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A kernel that tells of another host, until a test writes something else."""
    (tmp_path / "meminfo").write_text("MemTotal: 5 kB\nMemAvailable: 1 kB\n")
    (tmp_path / "stat").write_text("")
    return tmp_path


@pytest.fixture
async def engine(daemon: FakeDaemon, proc: Path) -> AsyncIterator[DockerEngine]:
    """Our side of a daemon that has a container and measures it."""
    daemon.knows(inspected())
    daemon.answer("GET /info", Reply(body={"MemTotal": 1000 * MB, "NCPU": 4}))
    daemon.answer("GET /containers/json", Reply(body=[line()]))
    reads(daemon, CONTAINER_ID, Reply(body=stats()))
    # One that is silent is given up long before the whole would be.
    bounds = Bounds(reading=timedelta(milliseconds=300))
    async with DockerEngine(daemon.url, bounds=bounds, proc=proc) as opened:
        yield opened


# ---------------------------------------------------------------- used


async def test_says_what_was_used_since_the_start(engine: DockerEngine) -> None:
    assert await engine.used(CONTAINER_ID, at=AT) == Used(
        at=AT,
        started_at=STARTED_AT,
        cpu_seconds=4.5,
        network_bytes=13,
        memory_bytes=70 * MB,
    )


async def test_takes_one_reading(engine: DockerEngine, daemon: FakeDaemon) -> None:
    await engine.used(CONTAINER_ID, at=AT)

    (asked,) = [one for one in daemon.requests if "/stats" in one]
    assert "one-shot=1" in asked


async def test_without_networks_of_its_own_no_bytes_are_counted(
    engine: DockerEngine, daemon: FakeDaemon
) -> None:
    reads(daemon, CONTAINER_ID, Reply(body=stats(networks={})))

    found = await engine.used(CONTAINER_ID, at=AT)

    assert found is not None
    assert found.network_bytes is None


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(
            lambda daemon: daemon.knows(inspected(State={"Status": "exited"})), id="stopped"
        ),
        pytest.param(
            lambda daemon: daemon.answer(
                LOOK,
                Reply(body=inspected()),
                Reply(body=inspected(State={"StartedAt": "2026-11-22T03:00:09Z"})),
            ),
            id="started-anew-in-between",
        ),
        pytest.param(
            lambda daemon: reads(
                daemon, CONTAINER_ID, Reply(body=stats(read="0001-01-01T00:00:00Z"))
            ),
            id="stops-in-between",
        ),
        pytest.param(
            lambda daemon: reads(daemon, CONTAINER_ID, Reply(body=stats(cpu_stats={}))),
            id="no-cpu-time-is-counted",
        ),
    ],
)
async def test_who_does_not_run_uses_nothing_that_could_be_said(
    engine: DockerEngine, daemon: FakeDaemon, prepare: Callable[[FakeDaemon], object]
) -> None:
    prepare(daemon)

    assert await engine.used(CONTAINER_ID, at=AT) is None


async def test_a_paused_one_can_be_measured(engine: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.knows(inspected(State={"Status": "paused"}))

    assert await engine.used(CONTAINER_ID, at=AT) is not None


async def test_who_is_gone_is_gone(engine: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.answer(LOOK, GONE)

    with pytest.raises(ContainerGone):
        await engine.used(CONTAINER_ID, at=AT)
    with pytest.raises(ContainerGone):
        await engine.room(CONTAINER_ID)


# ---------------------------------------------------------------- room


def beside(daemon: FakeDaemon, *replies: Reply) -> None:
    """Let others run beside the container."""
    ids = OTHERS[: len(replies)]
    lines = [line(), *(line(Id=id, Names=[f"/{id[-2:]}"]) for id in ids)]
    daemon.answer("GET /containers/json", Reply(body=lines))
    for id, reply in zip(ids, replies, strict=True):
        reads(daemon, id, reply)


async def test_what_is_free_is_what_all_that_runs_leaves(
    engine: DockerEngine, daemon: FakeDaemon
) -> None:
    beside(daemon, Reply(body=stats(cores=1.5, memory=130 * MB)))

    found = await engine.room(CONTAINER_ID)

    assert (found.memory, found.cpus) == (1000 * MB, 4.0)
    assert (found.free_memory, found.free_cpus) == (800 * MB, 2.0)
    assert (found.needs_memory, found.needs_cpus) == (70 * MB, 0.5)


async def test_a_limit_is_what_another_one_needs(engine: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.knows(inspected(HostConfig={"Memory": 256 * MB, "NanoCpus": 750_000_000}))

    found = await engine.room(CONTAINER_ID)

    assert (found.needs_memory, found.needs_cpus) == (256 * MB, 0.75)


async def test_one_that_does_not_run_needs_what_it_uses(
    engine: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer("GET /containers/json", Reply(body=[]))

    found = await engine.room(CONTAINER_ID)

    assert (found.needs_memory, found.needs_cpus) == (0, 0.0)
    assert found.free_memory == 1000 * MB


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(hangs=True), id="silent"),
        pytest.param(Reply(breaks=True), id="hangs-up"),
        pytest.param(Reply(status=500, body={"message": "cgroup"}), id="an-error"),
        pytest.param(Reply(body=[]), id="nonsense"),
        pytest.param(GONE, id="gone-meanwhile"),
        pytest.param(Reply(body=None), id="removed-while-measured"),
        pytest.param(Reply(body=stats(read="0001-01-01T00:00:00Z")), id="stopped-meanwhile"),
    ],
)
async def test_one_that_gives_no_reading_does_not_spoil_it(
    engine: DockerEngine, daemon: FakeDaemon, reply: Reply
) -> None:
    beside(daemon, reply, Reply(body=stats(memory=130 * MB)))

    found = await engine.room(CONTAINER_ID)

    assert found.free_memory == 800 * MB


@pytest.mark.parametrize(("silent", "enough"), [(1, True), (2, False)])
async def test_where_too_many_are_silent_nothing_is_said(
    engine: DockerEngine, daemon: FakeDaemon, silent: int, enough: bool
) -> None:
    hang, answer = Reply(hangs=True), Reply(body=stats())
    beside(daemon, *[hang] * silent, *[answer] * (9 - silent))

    if enough:
        await engine.room(CONTAINER_ID)
    else:
        with pytest.raises(EngineUnavailable, match="2 of 10 containers"):
            await engine.room(CONTAINER_ID)


async def test_a_silent_source_must_have_limits(engine: DockerEngine, daemon: FakeDaemon) -> None:
    reads(daemon, CONTAINER_ID, Reply(hangs=True))

    with pytest.raises(EngineUnavailable, match="no limit"):
        await engine.room(CONTAINER_ID)
    daemon.knows(inspected(HostConfig={"Memory": MB, "NanoCpus": 1_000_000_000}))
    found = await engine.room(CONTAINER_ID)

    assert (found.needs_memory, found.needs_cpus) == (MB, 1.0)


@pytest.mark.parametrize("info", [{}, {"MemTotal": 5}, {"NCPU": 2}])
async def test_an_engine_that_does_not_say_what_its_host_has(
    engine: DockerEngine, daemon: FakeDaemon, info: dict[str, int]
) -> None:
    daemon.answer("GET /info", Reply(body=info))

    with pytest.raises(EngineUnavailable, match="does not say"):
        await engine.room(CONTAINER_ID)


@pytest.mark.parametrize(
    ("total_kb", "free"),
    [
        pytest.param(1000 << 10, 200, id="this-host"),
        pytest.param(999 << 10, 930, id="another-host"),
    ],
)
async def test_where_the_engine_is_on_this_host_the_kernel_is_asked(
    engine: DockerEngine, proc: Path, total_kb: int, free: int
) -> None:
    (proc / "meminfo").write_text(f"MemTotal: {total_kb} kB\nMemAvailable: {200 << 10} kB\n")

    found = await engine.room(CONTAINER_ID)

    assert found.free_memory == free * MB


async def test_where_the_kernel_can_be_asked_silent_containers_do_not_matter(
    engine: DockerEngine, daemon: FakeDaemon, proc: Path
) -> None:
    (proc / "meminfo").write_text(f"MemTotal: {1000 << 10} kB\nMemAvailable: {200 << 10} kB\n")
    beside(daemon, *[Reply(status=500, body={"message": "cgroup"})] * 5)

    assert (await engine.room(CONTAINER_ID)).free_memory == 200 * MB
