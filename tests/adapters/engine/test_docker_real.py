"""The adapter at the real engine."""

import asyncio
import itertools
import time
from datetime import timedelta

import pytest

from app.domain.container import Health, HealthCheck, RunState
from app.errors import ContainerGone, EngineRefused, StartedMeanwhile
from app.ports import ContainerEngine
from tests.engine_lab import ATTEMPT, EngineLab, until

pytestmark = pytest.mark.docker

#: Ends at once on SIGTERM; `sleep` as PID 1 ignores it and has to be killed.
OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 600 & wait $!; done")

_numbers = itertools.count(1)


async def restart(engine: ContainerEngine, container_id: str, *, grace: timedelta) -> None:
    """Restart it in an attempt of its own: behind a gate none is done twice."""
    seen = await engine.inspect(container_id)
    await engine.restart(
        container_id,
        attempt_id=f"{ATTEMPT}.{next(_numbers)}",
        expected_started_at=seen.started_at,
        stop_grace=grace,
    )


async def test_tells_who_the_engine_is(engine: ContainerEngine) -> None:
    who = await engine.identity()

    assert who.api_version >= (1, 41)
    assert who.cpus >= 1
    assert who.memory_bytes > 2**28
    assert who.version


async def test_lists_running_and_stopped_containers(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    running = lab.run("-l", "relevo.enable=true", name="web")
    created = lab.create(name="idle")

    found = {one.id: one for one in await engine.containers()}

    assert found[running].name == lab.name("web")
    assert found[running].labels["relevo.enable"] == "true"
    assert found[running].image == lab.image
    assert found[running].image_id.startswith("sha256:")
    assert (found[running].state, found[created].state) == (RunState.RUNNING, RunState.CREATED)


async def test_the_listing_agrees_with_a_look(engine: ContainerEngine, lab: EngineLab) -> None:
    check = ("--health-interval", "200ms", "--health-retries", "1")
    ids = {
        Health.HEALTHY: lab.run("--health-cmd", "true", *check),
        Health.UNHEALTHY: lab.run("--health-cmd", "false", *check),
        Health.STARTING: lab.run("--health-cmd", "true"),
        Health.NONE: lab.run(),
    }

    async def as_expected() -> bool:
        found = {one.id: one.health for one in await engine.containers()}
        return all(found[id] is health for health, id in ids.items())

    await until(as_expected)

    listed = {one.id: one for one in await engine.containers()}
    for id in ids.values():
        looked_at = await engine.inspect(id)
        assert looked_at.health is listed[id].health
        created, listed_created = looked_at.created_at, listed[id].created_at
        assert created is not None
        assert listed_created == created.replace(microsecond=0)


async def test_a_linked_container_keeps_its_own_name(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    linked = lab.run(name="zz-db")
    lab.run("--link", f"{lab.name('zz-db')}:backend", name="aa-web")

    found = {one.id: one for one in await engine.containers()}

    assert found[linked].name == lab.name("zz-db")


async def test_inspects_a_container(
    engine: ContainerEngine, lab: EngineLab, networks: tuple[str, str, str]
) -> None:
    network = networks[0]
    container_id = lab.run(
        *("--network", network, "--stop-timeout", "7"),
        *("--health-cmd", "true", "--health-interval", "500ms", "--health-start-period", "2s"),
    )

    seen = await engine.inspect(container_id)

    assert seen.state is RunState.RUNNING
    assert seen.is_running
    assert seen.started_at == lab.inspect(container_id)["State"]["StartedAt"]
    assert seen.stop_grace == timedelta(seconds=7)
    assert seen.health in (Health.STARTING, Health.HEALTHY)
    assert seen.health_check == HealthCheck(
        interval=timedelta(milliseconds=500),
        timeout=timedelta(seconds=30),
        retries=3,
        start_period=timedelta(seconds=2),
    )
    assert seen.networks == (network,)


async def test_tells_how_a_container_ended(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run(command=("sh", "-c", "exit 3"))
    lab.do("wait", container_id)

    seen = await engine.inspect(container_id)

    assert (seen.state, seen.exit_code) == (RunState.EXITED, 3)


async def test_restarts(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run(command=OBEDIENT)
    before = await engine.inspect(container_id)

    await restart(engine, container_id, grace=timedelta(seconds=10))

    after = await engine.inspect(container_id)
    assert after.is_running
    assert after.started_at > before.started_at
    # The engine's own counter is of its own restarts.
    assert after.restart_count == 0


async def test_kills_when_the_stop_grace_is_over(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run(command=("sleep", "600"))
    before = time.monotonic()

    await restart(engine, container_id, grace=timedelta(seconds=2))

    assert 2 <= time.monotonic() - before < 8
    assert (await engine.inspect(container_id)).is_running


async def test_a_restart_goes_on_although_nobody_waits_for_it(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    stubborn = "trap 'touch /tmp/told' TERM; while :; do sleep 600 & wait $!; done"
    container_id = lab.run(command=("sh", "-c", stubborn))
    before = await engine.inspect(container_id)
    restarting = asyncio.create_task(restart(engine, container_id, grace=timedelta(seconds=1)))

    async def told_to_stop() -> bool:
        return "/tmp/told" in await asyncio.to_thread(lab.do, "diff", container_id)

    async def started_again() -> bool:
        return (await engine.inspect(container_id)).started_at != before.started_at

    await until(told_to_stop)
    restarting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restarting

    await until(started_again)


async def test_leaves_alone_what_somebody_else_restarted(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    container_id = lab.run(command=OBEDIENT)
    seen = await engine.inspect(container_id)
    lab.do("restart", container_id)
    now = await engine.inspect(container_id)

    with pytest.raises(StartedMeanwhile):
        await engine.restart(
            container_id,
            attempt_id=ATTEMPT,
            expected_started_at=seen.started_at,
            stop_grace=timedelta(seconds=1),
        )

    assert (await engine.inspect(container_id)).started_at == now.started_at


async def test_leaves_a_paused_container_paused(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run()
    lab.do("pause", container_id)

    with pytest.raises(EngineRefused) as caught:
        await restart(engine, container_id, grace=timedelta(seconds=1))

    assert caught.value.status == 409
    assert (await engine.inspect(container_id)).state is RunState.PAUSED


async def test_a_container_that_is_gone_is_gone(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run()
    seen = await engine.inspect(container_id)
    lab.do("rm", "-f", container_id)

    with pytest.raises(ContainerGone):
        await engine.inspect(container_id)
    with pytest.raises(ContainerGone):
        await engine.start(container_id, attempt_id=ATTEMPT)
    with pytest.raises(ContainerGone):
        await engine.restart(
            container_id,
            attempt_id=ATTEMPT,
            expected_started_at=seen.started_at,
            stop_grace=timedelta(0),
        )


async def test_starts_what_is_stopped_and_leaves_what_runs(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    container_id = lab.create()

    await engine.start(container_id, attempt_id=ATTEMPT)
    first = await engine.inspect(container_id)
    await engine.start(container_id, attempt_id=ATTEMPT)

    assert first.is_running
    assert (await engine.inspect(container_id)).started_at == first.started_at


async def test_a_network_that_is_gone_is_not_the_container(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    network = lab.network("short-lived")
    container_id = lab.create("--network", network)
    lab.do("network", "rm", network)

    with pytest.raises(EngineRefused) as caught:
        await engine.start(container_id, attempt_id=ATTEMPT)

    assert caught.value.status == 404
