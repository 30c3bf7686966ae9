"""Containers out of service and back, on the real engine."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.container import Container, RunState
from app.errors import ContainerGone, EngineRefused, StartedMeanwhile
from app.policies.spec import ScaleOutRules, SourceAfterwards
from app.ports import ContainerEngine
from tests.engine_lab import ATTEMPT, EngineLab

pytestmark = pytest.mark.docker

ISOLATE = ScaleOutRules(source=SourceAfterwards.ISOLATE)
ADDRESS, MAC = "10.213.7.77", "02:42:0a:d5:07:99"
LIVES = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 600 & wait $!; done"]


def body(network: str, **more: Any) -> dict[str, Any]:
    """A container with all that an endpoint can be given."""
    endpoint = {"Aliases": ["web", "shop"], "IPAMConfig": {"IPv4Address": ADDRESS}}
    return {
        "Cmd": LIVES,
        "MacAddress": MAC,
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": network, "PortBindings": {"80/tcp": [{"HostPort": ""}]}},
        "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
        **more,
    }


async def sourced(engine: ContainerEngine, lab: EngineLab) -> tuple[str, str, str]:
    """A source on two networks; answers its id, and their names."""
    front = lab.network("front", "--subnet", "10.213.7.0/24")
    back = lab.network("back")
    source_id = await lab.make("web", body(front))
    lab.connect(back, source_id, "--alias", "behind")
    lab.do("start", source_id)
    return source_id, front, back


async def cloned(
    engine: ContainerEngine, source_id: str, rules: ScaleOutRules = ISOLATE, attempt: str = ATTEMPT
) -> Container:
    made = await engine.clone(
        source_id, attempt_id=attempt, rules=rules, at=datetime(2026, 11, 23, 3, tzinfo=UTC)
    )
    assert made.clone is not None
    return made.clone


def label(clone: Container) -> str:
    return clone.labels["relevo.source-networks"]


def fresh() -> str:
    """Name an attempt: behind the gate what one has done is not done once more."""
    return secrets.token_hex(8)


async def isolate(engine: ContainerEngine, one_id: str, networks: str) -> None:
    seen = await engine.inspect(one_id)
    await engine.set_aside(
        one_id, attempt_id=fresh(), networks=networks, expected_started_at=seen.started_at
    )


async def bring_back(
    engine: ContainerEngine, one_id: str, networks: str, **how: Any
) -> tuple[str, ...]:
    values = {"ends": (await engine.inspect(one_id)).started_at, "starts": True, **how}
    return await engine.bring_back(one_id, attempt_id=fresh(), networks=networks, **values)


def endpoint(lab: EngineLab, one_id: str, network: str) -> dict[str, Any]:
    found = lab.inspect(one_id)["NetworkSettings"]["Networks"][network]
    aliases = sorted(set(found["Aliases"]) - {one_id[:12]})
    return {
        "aliases": aliases,
        "static": found["IPAMConfig"] or {},
        "is_there": bool(found["EndpointID"]),
    }


async def test_comes_back_with_its_aliases_address_mac_and_ports(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id, front, back = await sourced(engine, lab)
    before = {name: endpoint(lab, source_id, name) for name in (front, back)}
    assert before[front]["is_there"]
    clone = await cloned(engine, source_id)

    await isolate(engine, source_id, label(clone))

    seen = await engine.inspect(source_id)
    assert seen.is_running
    assert seen.is_cut_off
    assert not seen.is_serving
    (in_list,) = [one for one in await engine.containers() if one.id == source_id]
    assert in_list.is_cut_off
    asked = await asyncio.to_thread(lab.execute, clone.id, "nslookup", "shop", "127.0.0.11")
    assert ADDRESS not in asked

    said = await bring_back(engine, source_id, label(clone))

    assert said == ()
    after = await engine.inspect(source_id)
    assert after.is_serving
    assert after.started_at != seen.started_at
    assert {name: endpoint(lab, source_id, name) for name in (front, back)} == before
    told = lab.inspect(source_id)["NetworkSettings"]
    assert told["Networks"][front]["IPAddress"] == ADDRESS
    assert told["Networks"][front]["MacAddress"] == MAC
    assert told["Ports"]["80/tcp"]
    asked = await asyncio.to_thread(lab.execute, clone.id, "nslookup", "shop", "127.0.0.11")
    assert ADDRESS in asked


async def test_goes_on_wherever_another_try_ended(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id, front, back = await sourced(engine, lab)
    networks = label(await cloned(engine, source_id))
    steps_aside: tuple[tuple[str, ...], ...] = (
        ("network", "disconnect", front),
        ("network", "disconnect", back),
    )
    steps_back: tuple[tuple[str, ...], ...] = (
        ("stop", "-t", "0"),
        ("network", "connect", "--ip", ADDRESS, "--alias", "web", "--alias", "shop", front),
        ("network", "connect", "--alias", "behind", back),
        ("start",),
    )
    before = {name: endpoint(lab, source_id, name) for name in (front, back)}

    for done in range(len(steps_aside) + 1):
        for step in steps_aside[:done]:
            lab.do(*step, source_id)
        await isolate(engine, source_id, networks)
        assert (await engine.inspect(source_id)).networks == ()
        await bring_back(engine, source_id, networks)

    for done in range(len(steps_back) + 1):
        await isolate(engine, source_id, networks)
        life = (await engine.inspect(source_id)).started_at
        for step in steps_back[:done]:
            lab.do(*step, source_id)
        await bring_back(engine, source_id, networks, ends=life)
        assert {name: endpoint(lab, source_id, name) for name in (front, back)} == before
        assert (await engine.inspect(source_id)).is_serving


async def test_half_isolated_is_connected_again_without_a_new_start(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id, front, _ = await sourced(engine, lab)
    networks = label(await cloned(engine, source_id))
    before = await engine.inspect(source_id)
    lab.do("network", "disconnect", front, source_id)

    await bring_back(engine, source_id, networks, ends=None, starts=False)

    after = await engine.inspect(source_id)
    assert after.started_at == before.started_at
    assert set(after.networks) == set(before.networks)


async def test_an_address_that_is_taken_is_told(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id, front, _ = await sourced(engine, lab)
    networks = label(await cloned(engine, source_id))
    await isolate(engine, source_id, networks)
    lab.run("--network", front, "--ip", ADDRESS)

    said = await bring_back(engine, source_id, networks)

    after = await engine.inspect(source_id)
    assert after.is_serving
    found = endpoint(lab, source_id, front)
    assert found["aliases"] == ["shop", "web"]
    assert found["static"].get("IPv4Address") != ADDRESS
    assert len(said) == 1
    assert front in said[0]


async def test_a_network_that_is_gone_keeps_it_off_that_one_only(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id, front, back = await sourced(engine, lab)
    clone = await cloned(engine, source_id)
    await isolate(engine, source_id, label(clone))
    lab.do("network", "disconnect", back, clone.id)
    lab.do("network", "rm", back)

    said = await bring_back(engine, source_id, label(clone))

    assert (await engine.inspect(source_id)).networks == (front,)
    assert len(said) == 1
    assert back in said[0]


async def test_refuses_to_isolate_what_has_changed(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id, front, back = await sourced(engine, lab)
    networks = label(await cloned(engine, source_id))
    lab.do("network", "disconnect", back, source_id)
    lab.connect(back, source_id, "--alias", "another")

    with pytest.raises(EngineRefused, match="has changed"):
        await isolate(engine, source_id, networks)

    assert set((await engine.inspect(source_id)).networks) == {front, back}


async def test_stops_and_starts(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id, front, back = await sourced(engine, lab)
    await cloned(engine, source_id, ScaleOutRules())  # the gate lets nobody stop the last one
    before = await engine.inspect(source_id)
    for _ in range(2):
        await engine.set_aside(
            source_id, attempt_id="a", networks=None, expected_started_at=before.started_at
        )
        seen = await engine.inspect(source_id)
        assert seen.state is RunState.EXITED

    said = await bring_back(engine, source_id, "", ends=None)

    assert said == ()
    after = await engine.inspect(source_id)
    assert after.is_serving
    assert set(after.networks) == {front, back}
    assert lab.inspect(source_id)["NetworkSettings"]["Networks"][front]["IPAddress"] == ADDRESS


async def test_touches_nothing_that_was_started_meanwhile_is_paused_or_gone(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id, _, _ = await sourced(engine, lab)
    networks = label(await cloned(engine, source_id))
    before = (await engine.inspect(source_id)).started_at
    lab.do("restart", "-t", "0", source_id)
    with pytest.raises(StartedMeanwhile):
        await engine.set_aside(
            source_id, attempt_id="a", networks=networks, expected_started_at=before
        )
    lab.do("pause", source_id)
    with pytest.raises(EngineRefused, match="paused"):
        await isolate(engine, source_id, networks)
    with pytest.raises(EngineRefused, match="paused"):
        await bring_back(engine, source_id, networks)
    lab.do("unpause", source_id)
    with pytest.raises(EngineRefused, match="not known"):
        await isolate(engine, source_id, "[1]")
    lab.do("rm", "-f", source_id)
    with pytest.raises(ContainerGone):
        await engine.bring_back(
            source_id, attempt_id="b", networks=networks, ends=None, starts=True
        )


async def test_another_clone_of_an_isolated_source_is_on_its_networks(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id, front, back = await sourced(engine, lab)
    first = await cloned(engine, source_id)
    await isolate(engine, source_id, label(first))

    second = await cloned(engine, source_id, attempt="02J")

    assert second.id != first.id
    assert set(second.networks) == {front, back}
    assert endpoint(lab, second.id, front)["aliases"] == ["shop", "web"]
    assert label(second) == label(first)


async def test_without_the_policy_nothing_is_noted(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id, _, _ = await sourced(engine, lab)

    clone = await cloned(engine, source_id, ScaleOutRules())

    assert not [name for name in clone.labels if name.startswith("relevo.source")]
