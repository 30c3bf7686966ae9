"""Clones that come to nothing at the real engine: gone in time, and the source untouched."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.engine.connection import Bounds
from app.adapters.engine.docker import DockerEngine
from app.errors import EngineRefused, EngineSilent
from app.policies.spec import ScaleOutRules, Sharing
from app.ports import CloneResult, ContainerEngine
from tests.adapters.engine.cutting_proxy import CuttingProxy, cutting_proxy
from tests.engine_lab import ATTEMPT, SOCKET, EngineLab

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
Networks = tuple[str, str, str]
#: How long each step may take, and how long a clone that came to nothing may be there: as long
#: as its last step, and its removal.
STEP = timedelta(seconds=3)
GONE_WITHIN = 2 * STEP
#: The requests that make a clone, as they begin.
STEPS = {"create": b"POST /v1.41/containers/create", "connect": b"POST /v1.41/networks/"}


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    """What lies between us and the real engine."""
    async with cutting_proxy(SOCKET) as between:
        yield between


@pytest.fixture
async def behind(proxy: CuttingProxy) -> AsyncIterator[DockerEngine]:
    """Our side of the real engine, with a proxy between."""
    async with DockerEngine(proxy.url, bounds=Bounds(step=STEP)) as opened:
        yield opened


async def clone(engine: ContainerEngine, source_id: str, **rules: Any) -> CloneResult:
    return await engine.clone(
        source_id, attempt_id=ATTEMPT, rules=replace(ScaleOutRules(), **rules), at=AT
    )


def on_two_networks(lab: EngineLab, networks: Networks, *options: str) -> str:
    source_id = lab.run("--network", networks[0], "--network-alias", "web", *options, name="web")
    lab.connect(networks[1], source_id)
    return source_id


def untouched(lab: EngineLab, source_id: str) -> Mapping[str, Any]:
    """Return all that a failed clone must leave as it was."""
    seen = lab.inspect(source_id)
    parts = ("State", "NetworkSettings", "HostConfig", "Config", "Mounts", "RestartCount")
    return {part: seen[part] for part in parts}


def members(lab: EngineLab, network: str) -> set[str]:
    """Return the ids of the containers on a network."""
    told = lab.do("network", "inspect", "-f", "{{range $id, $_ := .Containers}}{{$id}} {{end}}",
                  network)  # fmt: skip
    return set(told.split())


async def test_a_device_that_is_gone(
    engine: ContainerEngine, lab: EngineLab, networks: Networks, tmp_path: Path
) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except OSError:
        pytest.skip("no device can be made here")
    source_id = on_two_networks(lab, networks, "--device", f"{device}:/dev/x", "--mount",
                                f"type=volume,dst=/data,volume-label=made-for={lab.mark}",
                                "-l", "relevo.stateless=true")  # fmt: skip
    # A clone's volume is made with the labels of its source's. (Others use this engine as well.)
    of_these = ("volume", "ls", "-q", "-f", f"label=made-for={lab.mark}")
    assert len((volumes := lab.do(*of_these)).split()) == 1
    before = untouched(lab, source_id)
    device.unlink()

    with pytest.raises(EngineRefused, match="no such file"):
        async with asyncio.timeout(GONE_WITHIN.total_seconds()):
            await clone(engine, source_id, shared_devices=Sharing.ALLOW)

    assert lab.ids() == {source_id}
    assert untouched(lab, source_id) == before
    assert lab.do(*of_these) == volumes
    assert source_id in members(lab, networks[0])


@pytest.mark.parametrize("silently", [False, True], ids=["hung-up", "silent"])
@pytest.mark.parametrize("step", ["create", "connect", "start"])
async def test_an_answer_that_got_lost(
    behind: DockerEngine,
    proxy: CuttingProxy,
    lab: EngineLab,
    networks: Networks,
    step: str,
    silently: bool,
) -> None:
    source_id = on_two_networks(lab, networks)
    before = untouched(lab, source_id)
    proxy.silently = silently
    proxy.lose_answer_to = STEPS.get(step)
    if step == "start":
        # Its path begins with the id, which nobody knows yet: it is the next request about one.
        proxy.lose_answer_to = b"POST /v1.41/containers/"
        proxy.but_not = b"POST /v1.41/containers/create"

    with pytest.raises(EngineSilent):
        async with asyncio.timeout(GONE_WITHIN.total_seconds()):
            await clone(behind, source_id)

    assert proxy.lose_answer_to is None, "the request was never made"
    assert lab.ids() == {source_id}
    assert untouched(lab, source_id) == before
    assert members(lab, networks[0]) & lab.ids() == {source_id}


async def test_what_a_dead_connection_left_behind_is_finished_by_the_same_attempt(
    behind: DockerEngine,
    proxy: CuttingProxy,
    engine: ContainerEngine,
    lab: EngineLab,
    networks: Networks,
) -> None:
    source_id = on_two_networks(lab, networks)
    before = untouched(lab, source_id)
    proxy.lose_answer_to, proxy.for_good = STEPS["create"], True

    with pytest.raises(EngineSilent):
        await clone(behind, source_id)
    (left,) = lab.ids() - {source_id}
    result = await clone(engine, source_id)

    assert result.clone is not None
    assert result.clone.id == left
    assert result.clone.is_running
    assert set(result.clone.networks) == {networks[0], networks[1]}
    assert lab.ids() == {source_id, left}
    assert untouched(lab, source_id) == before


async def test_what_a_dead_connection_left_behind_can_be_taken_away(
    behind: DockerEngine,
    proxy: CuttingProxy,
    engine: ContainerEngine,
    lab: EngineLab,
    networks: Networks,
) -> None:
    source_id = on_two_networks(lab, networks)
    proxy.lose_answer_to, proxy.for_good = STEPS["connect"], True

    with pytest.raises(EngineSilent):
        await clone(behind, source_id)
    (left,) = lab.ids() - {source_id}
    await engine.remove_clone(left, attempt_id=ATTEMPT)

    assert lab.ids() == {source_id}
