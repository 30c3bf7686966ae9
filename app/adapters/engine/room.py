"""Measuring what containers use, and what their host has free."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from app.adapters.engine import headroom, queries, stats, translate
from app.adapters.engine.connection import EngineConnection, checked_id
from app.adapters.engine.headroom import Host, Present
from app.adapters.engine.together import together
from app.adapters.engine.translate import Json
from app.domain.container import RunState
from app.domain.usage import Room, Used
from app.errors import ContainerGone, EngineUnavailable, RelevoError

# The connections of one client are a hundred, and others need some of them meanwhile.
_AT_ONCE = 50
#: So many may fail to answer until what is free cannot be told from the others.
_MOST_SILENT = 0.1
#: In these it has processes.
_RUNS = frozenset({RunState.RUNNING, RunState.PAUSED})


async def used(connection: EngineConnection, container_id: str, *, at: datetime) -> Used | None:
    """Measure what one container has used since its start (see `ContainerEngine.used`)."""
    before = await queries.container(connection, container_id)
    if before.state not in _RUNS:
        return None
    answer = await stats.measure(connection, container_id)
    found = None if answer is None else stats.usage(answer)
    after = await queries.container(connection, container_id)
    # Started anew in between: nobody can tell which of the two lives was measured.
    if found is None or found.cpu_seconds is None or after.started_at != before.started_at:
        return None
    moved = (*found.received_bytes.values(), *found.sent_bytes.values())
    return Used(
        at=at,
        started_at=before.started_at,
        cpu_seconds=found.cpu_seconds,
        network_bytes=sum(moved) if moved else None,
        memory_bytes=found.working_set_bytes,
    )


async def room(connection: EngineConnection, container_id: str, *, proc: Path) -> Room:
    """
    Measure what one more of a container would need, and what is free (see `ContainerEngine.room`).

    What runs beside containers is seen only where the engine is on this host. An engine whose
    kernel counts no memory per container (it says so at its start) leaves that to the host.

    :param proc: where this host's kernel tells of itself
    :raises EngineUnavailable: too few containers could be measured
    """
    checked_id(container_id)
    source, told, running = await together(
        _look(connection, container_id), _info(connection), _running(connection)
    )
    who = translate.identity(told, api_version=connection.api_version)
    if who.memory_bytes <= 0 or who.cpus <= 0:
        raise EngineUnavailable("the engine does not say what its host has")
    found = await _measured(connection, running)
    host = _host(who.memory_bytes, proc) if connection.is_local else None

    silent = [id for id in running if id not in found]
    if host is None and len(silent) > max(len(running) * _MOST_SILENT, 1):
        raise EngineUnavailable(f"{len(silent)} of {len(running)} containers gave no reading")
    if container_id in silent and not headroom.is_limited(source):
        raise EngineUnavailable(f"no reading of {container_id[:12]}, which has no limit")
    return headroom.room(
        memory=who.memory_bytes,
        cpus=float(who.cpus),
        source=source,
        source_uses=found.get(container_id) or Present(),
        used=[one for one in found.values() if one is not None],
        host=host,
    )


async def _look(connection: EngineConnection, container_id: str) -> Json:
    async with connection.about(container_id) as client:
        return translate.mapping(await client._query_json(f"containers/{container_id}/json"))


async def _info(connection: EngineConnection) -> Json:
    async with connection.reading() as client:
        told = translate.mapping(await client.system.info())
        # (`identity` is made of it, with the version of the API that is known by then.)
        translate.identity(told, api_version=(0, 0))
        return told


async def _running(connection: EngineConnection) -> list[str]:
    async with connection.reading() as client:
        return [checked_id(one["Id"]) for one in await client._query_json("containers/json")]


async def _measured(connection: EngineConnection, ids: Iterable[str]) -> dict[str, Present | None]:
    """Measure containers side by side; who gives no answer in time is left out."""
    found: dict[str, Present | None] = {}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def measure(id: str) -> None:
        async with slots:
            try:
                async with asyncio.timeout(connection.bounds.reading.total_seconds()):
                    found[id] = await _present(connection, id)
            except ContainerGone:
                found[id] = None  # it went since it was listed, and uses nothing
            except (TimeoutError, RelevoError):
                pass

    tasks = [asyncio.create_task(measure(id)) for id in ids]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=connection.bounds.room.total_seconds())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _present(connection: EngineConnection, container_id: str) -> Present | None:
    async with connection.about(container_id) as client:
        # Not `one-shot`: the engine takes two readings a second apart, and gives both.
        answer: Json | None = await client._query_json(
            f"containers/{container_id}/stats", params={"stream": "0"}
        )
        return None if answer is None else headroom.present(answer)


def _host(memory: int, proc: Path) -> Host | None:
    """Ask this host's kernel; None where the engine's host is another one (a machine in it)."""
    found = headroom.memory_of(_read(proc / "meminfo"))
    if found is None or found[0] != memory:
        return None
    # Its processor is not asked: how idle that is in one second says nothing of the next minute.
    return Host(available_memory=found[1])


def _read(path: Path) -> str:
    # The kernel answers from memory: nothing to wait for.
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
