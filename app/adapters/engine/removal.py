"""
Taking a clone away: off its networks, stopped, removed.

Each step may be repeated: what a run before has done already is fine.
"""

from collections.abc import Iterator

import structlog
from aiodocker.networks import DockerNetwork

from app.adapters.engine import translate
from app.adapters.engine.connection import (
    EngineConnection,
    checked_id,
    checked_network_id,
    in_time,
    still_ours,
)
from app.adapters.engine.translate import Json
from app.errors import ContainerGone, EngineRefused
from app.ports import Deadline

#: Networks that are no connection of its own: the engine refuses to cut them.
_NOT_ITS_OWN = frozenset({"host", "none"})

log = structlog.get_logger(__name__)


async def remove(
    connection: EngineConnection, container_id: str, *, label_prefix: str, not_after: Deadline
) -> None:
    """Disconnect, stop and remove a clone of ours (see `ContainerEngine.remove_clone`)."""
    checked_id(container_id)
    try:
        async with connection.about(container_id) as client:
            inspected = await client.containers.container(container_id).show()
            clone = translate.container(inspected)
        if f"{label_prefix}.clone-of" not in clone.labels:
            raise EngineRefused(403, f"{clone.name} is no clone of ours")
        in_time(not_after)
        for network_id in _networks(inspected):
            still_ours(not_after, "the clone is on some of its networks still")
            await disconnect(connection, container_id, network_id)
        async with connection.about(
            container_id, within=clone.stop_grace + connection.bounds.slack, acting=True
        ) as client:
            still_ours(not_after, "the clone is off its networks and runs")
            await client.containers.container(container_id).stop(
                t=translate.whole_seconds(clone.stop_grace)
            )
        still_ours(not_after, "the clone is stopped and not removed")
        await delete(connection, container_id)
    except ContainerGone:
        return


async def delete(connection: EngineConnection, container_id: str) -> None:
    """Kill and remove a container with its anonymous volumes; one that is going is fine."""
    try:
        async with connection.about(
            container_id, within=connection.bounds.step, acting=True
        ) as client:
            # v: with its anonymous volumes; the engine keeps those that others use.
            await client.containers.container(container_id).delete(force=True, v=True)
    except EngineRefused as exc:
        if exc.status != 409 or "already in progress" not in str(exc):
            raise


def _networks(inspected: Json) -> Iterator[str]:
    networks: Json = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    for name, endpoint in networks.items():
        if name not in _NOT_ITS_OWN:
            yield checked_network_id(str((endpoint or {}).get("NetworkID") or name))


async def disconnect(connection: EngineConnection, container_id: str, network_id: str) -> None:
    """Take a container off a network; one that is off it already is fine."""
    try:
        async with connection.about(
            container_id, within=connection.bounds.step, acting=True
        ) as client:
            network = DockerNetwork(client, network_id)  # type: ignore[no-untyped-call]
            await network.disconnect({"Container": container_id})
    except EngineRefused as exc:
        # Off it already, or there is no such network any more (the engine answers 404, or 500).
        # Whatever it is: stopping takes it off all of them, a moment later.
        log.info("not disconnected", container=container_id[:12], error=str(exc))
