"""
A container out of service and back: isolated or stopped, connected and started.

Each step may be repeated: what a run before has done already is fine.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiodocker.networks import DockerNetwork

from app.adapters.engine import translate
from app.adapters.engine.connection import (
    EngineConnection,
    checked_id,
    checked_network_id,
    in_time,
    still_ours,
)
from app.adapters.engine.removal import disconnect
from app.adapters.engine.translate import Json
from app.domain.container import Container, RunState
from app.errors import EngineRefused, StartedMeanwhile
from app.policies import clone_replaces
from app.ports import Deadline

_RUNS: Final = (RunState.RUNNING, RunState.RESTARTING)
#: A static address, of an endpoint.
_ADDRESS: Final = "IPAMConfig"


async def set_aside(
    connection: EngineConnection,
    container_id: str,
    *,
    networks: str | None,
    expected_started_at: str,
    not_after: Deadline,
) -> None:
    """Isolate or stop a container (see `ContainerEngine.set_aside`)."""
    inspected, one = await _look(connection, container_id)
    if one.started_at != expected_started_at:
        raise StartedMeanwhile(
            f"{one.name} was started at {one.started_at}, not at {expected_started_at}"
        )
    if networks is None:
        in_time(not_after)
        await _stop(connection, one)
        return

    known = _read(networks)
    with translate.readable():
        present = clone_replaces.endpoints(inspected)
    changed = [
        name
        for name, endpoint in present.items()
        if not clone_replaces.is_same(known.get(name), endpoint)
    ]
    if changed:
        # Nobody could say later how it was.
        raise EngineRefused(
            409, f"{one.name} has changed on {', '.join(changed)} since its clone was made"
        )
    in_time(not_after)
    for name in present:
        still_ours(not_after, "it is on some of its networks still")
        await disconnect(connection, container_id, checked_network_id(name))
    _, one = await _look(connection, container_id)
    if set(one.networks) & set(known):
        raise EngineRefused(409, f"{one.name} is still on {', '.join(one.networks)}")


async def bring_back(
    connection: EngineConnection,
    container_id: str,
    *,
    networks: str,
    ends: str | None,
    starts: bool,
    not_after: Deadline,
) -> tuple[str, ...]:
    """Have a container serve again (see `ContainerEngine.bring_back`)."""
    inspected, one = await _look(connection, container_id)
    in_time(not_after)
    with translate.readable():
        present = clone_replaces.endpoints(inspected)
    missing = {name: link for name, link in _read(networks).items() if name not in present}
    if one.state in _RUNS and one.started_at == ends:
        # Off its networks nobody misses it; on them it would answer, ill as it may be.
        await _stop(connection, one)
    said = []
    failed = []
    for name, endpoint in missing.items():
        still_ours(not_after, "it is back on some of its networks only")
        try:
            said += await _connect(connection, container_id, name, endpoint)
        except EngineRefused as exc:
            failed.append(f"not back on {name}: {exc}")
    if missing and not present and len(failed) == len(missing):
        raise EngineRefused(409, "; ".join(failed))
    if starts:
        still_ours(not_after, "it is back on its networks and does not run")
        async with connection.about(
            container_id, within=connection.bounds.step, acting=True
        ) as client:
            await client.containers.container(container_id).start()
    return (*said, *failed)


async def _look(connection: EngineConnection, container_id: str) -> tuple[Json, Container]:
    checked_id(container_id)
    async with connection.about(container_id) as client:
        inspected = await client.containers.container(container_id).show()
        one = translate.container(inspected)
    if one.state is RunState.PAUSED:
        raise EngineRefused(409, f"{one.name} is paused")
    return inspected, one


def _read(networks: str) -> dict[str, dict[str, Any]]:
    try:
        return clone_replaces.read(networks)
    except ValueError as exc:
        raise EngineRefused(400, f"its networks are not known: {exc}") from exc


async def _stop(connection: EngineConnection, one: Container) -> None:
    async with connection.about(
        one.id, within=one.stop_grace + connection.bounds.slack, acting=True
    ) as client:
        await client.containers.container(one.id).stop(t=translate.whole_seconds(one.stop_grace))


async def _connect(
    connection: EngineConnection, container_id: str, name: str, endpoint: Mapping[str, Any]
) -> list[str]:
    """
    Connect a container as it was; where its address is taken, at another one.

    Asked before: of one that does not run the engine takes anything, and does not start it then.
    """
    async with connection.about(container_id, within=connection.bounds.step, acting=True) as client:
        network = DockerNetwork(client, checked_network_id(name))  # type: ignore[no-untyped-call]
        wish, said = dict(endpoint), []
        taken = _addresses((await network.show()).get("Containers") or {})
        lost = taken.intersection((endpoint.get(_ADDRESS) or {}).values())
        if lost:
            del wish[_ADDRESS]
            said = [f"at another address on {name}: {', '.join(sorted(lost))} is taken"]
        await network.connect({"Container": container_id, "EndpointConfig": wish})
        return said


def _addresses(members: Json) -> set[str]:
    return {
        str(one.get(key) or "").partition("/")[0]
        for one in members.values()
        for key in ("IPv4Address", "IPv6Address")
    } - {""}
