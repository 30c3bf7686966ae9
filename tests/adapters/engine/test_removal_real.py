"""Taking clones away from the real engine."""

import asyncio
import secrets
from datetime import UTC, datetime

import pytest

from app.domain.container import Container, RunState
from app.errors import EngineRefused
from app.policies.spec import ScaleOutRules
from app.ports import ContainerEngine
from tests.engine_lab import ATTEMPT, EngineLab, until

pytestmark = pytest.mark.docker

Networks = tuple[str, str, str]
#: Takes a second to end.
SLOW = ("sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 600 & wait $!; done")


async def cloned(engine: ContainerEngine, source_id: str) -> Container:
    result = await engine.clone(
        source_id,
        # Another one each time: behind the gate an attempt makes one clone.
        attempt_id=f"{ATTEMPT}.{secrets.token_hex(4)}",
        rules=ScaleOutRules(),
        at=datetime(2026, 11, 22, 3, tzinfo=UTC),
    )
    assert result.clone is not None
    return result.clone


async def remove(engine: ContainerEngine, container_id: str) -> None:
    await engine.remove_clone(container_id, attempt_id=ATTEMPT)


async def test_nobody_is_sent_to_it_while_it_stops(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    front, back, _ = networks
    source_id = lab.run("--network", front, "--network-alias", "web", command=SLOW)
    lab.connect(back, source_id, "--alias", "web")
    asking = lab.run("--network", front)
    clone = await cloned(engine, source_id)
    its = lab.inspect(clone.id)["NetworkSettings"]["Networks"][front]["IPAddress"]
    theirs = lab.inspect(source_id)["NetworkSettings"]["Networks"][front]["IPAddress"]
    answer = await asyncio.to_thread(lab.execute, asking, "nslookup", "web", "127.0.0.11")
    assert {its, theirs} <= set(answer.split())

    leaving = asyncio.create_task(remove(engine, clone.id))

    async def is_off() -> bool:
        return not (await engine.inspect(clone.id)).networks

    await until(is_off)
    seen = await engine.inspect(clone.id)
    assert seen.state is RunState.RUNNING
    answer = await asyncio.to_thread(lab.execute, asking, "nslookup", "web", "127.0.0.11")
    assert theirs in answer.split()
    assert its not in answer.split()
    await leaving
    assert clone.id not in lab.ids()
    assert (await engine.inspect(source_id)).is_running


async def test_goes_on_wherever_another_one_ended(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    source_id = lab.run("--network", networks[0], "--stop-timeout", "0")
    lab.connect(networks[1], source_id)
    steps = (
        ("network", "disconnect", networks[0]),
        ("network", "disconnect", networks[1]),
        ("stop", "-t", "0"),
        ("rm", "-v"),
    )

    for done in range(len(steps) + 1):
        clone = await cloned(engine, source_id)
        for step in steps[:done]:
            lab.do(*step, clone.id)

        await remove(engine, clone.id)

        assert lab.ids() == {source_id}


async def test_leaves_the_default_network_too(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id = lab.run("--stop-timeout", "0")
    clone = await cloned(engine, source_id)
    assert clone.networks == ("bridge",)

    await remove(engine, clone.id)

    assert lab.ids() == {source_id}


@pytest.mark.parametrize("how", [("pause",), ("kill",)], ids=["paused", "dead"])
async def test_one_that_does_not_run_goes_as_well(
    engine: ContainerEngine, lab: EngineLab, networks: Networks, how: tuple[str, ...]
) -> None:
    source_id = lab.run("--network", networks[0], "--stop-timeout", "0")
    clone = await cloned(engine, source_id)
    lab.do(*how, clone.id)

    await remove(engine, clone.id)

    assert lab.ids() == {source_id}


async def test_takes_nothing_away_but_clones(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id = lab.run("--stop-timeout", "0")

    with pytest.raises(EngineRefused, match="no clone of ours"):
        await remove(engine, source_id)

    seen = await engine.inspect(source_id)
    assert seen.state is RunState.RUNNING
    assert seen.networks == ("bridge",)
