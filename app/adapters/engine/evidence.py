"""Gathering what a restart would destroy: all parts at once, each may be missing."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from app.adapters.engine import stats
from app.adapters.engine.connection import EngineConnection, checked_id
from app.adapters.engine.log_tail import LINES, LogTail
from app.adapters.engine.translate import Json, text, whole
from app.domain.casefile import CaseFile, HealthProbe
from app.errors import ContainerGone, EngineRefused, EngineUnavailable, RelevoError

#: Docker keeps five probes itself.
_PROBES = 5
#: Characters of one probe's output.
_OUTPUT_LENGTH = 1000
#: A container that forks without end has tens of thousands.
_PROCESSES = 200
#: Characters of one column; a command line may have megabytes.
_COLUMN_LENGTH = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    name: str
    status: str
    started_at: str
    exit_code: int
    oom_killed: bool
    restart_count: int
    health_log: tuple[HealthProbe, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Processes:
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_cut: bool


async def gather(connection: EngineConnection, container_id: str, *, at: datetime) -> CaseFile:
    """Gather the evidence on one container (see `DockerEngine.evidence`)."""
    checked_id(container_id)
    loop = asyncio.get_running_loop()
    until = loop.time() + connection.bounds.evidence.total_seconds()
    tail = LogTail()
    # None of them raises: `_tried` gives back what went wrong.
    async with asyncio.TaskGroup() as parts:
        looking = parts.create_task(_tried(_state(connection, container_id), until=until))
        reading = parts.create_task(_tried(_logs(connection, container_id, tail), until=until))
        listing = parts.create_task(_tried(_processes(connection, container_id), until=until))
        sampling = parts.create_task(_tried(_sample(connection, container_id), until=until))
    state, read = looking.result(), reading.result()
    processes, sample = listing.result(), sampling.result()

    if isinstance(state, ContainerGone):
        raise state
    lines = tail.lines()
    troubles = {
        "The state and the health log": state,
        # What came until then is kept.
        "The log's newest lines" if lines else "The log": read,
        "The processes": processes,
        "The stats": sample,
    }
    if not lines and all(isinstance(found, EngineUnavailable) for found in troubles.values()):
        raise EngineUnavailable(f"no evidence on {container_id[:12]}: {state}")
    seen = state if isinstance(state, _State) else _unknown(container_id)
    running = processes if isinstance(processes, _Processes) else None
    return CaseFile(
        container_id=container_id,
        container=seen.name,
        taken_at=at,
        state=seen.status,
        started_at=seen.started_at,
        exit_code=seen.exit_code,
        oom_killed=seen.oom_killed,
        restart_count=seen.restart_count,
        logs=lines,
        process_titles=running.titles if running else (),
        processes=running.rows if running else (),
        stats=sample if isinstance(sample, dict) else {},
        health_log=seen.health_log,
        missing=tuple(
            f"{part} could not be read: {found}."
            for part, found in troubles.items()
            if isinstance(found, RelevoError)
        ),
        is_cut=tail.is_cut or seen.is_cut or (running is not None and running.is_cut),
    )


async def _tried(asking: Awaitable[T], *, until: float) -> T | RelevoError:
    try:
        async with asyncio.timeout_at(until):
            return await asking
    except TimeoutError:
        return EngineUnavailable("no answer in time")
    except RelevoError as exc:
        return exc
    except Exception as exc:  # noqa: BLE001 -- an answer nobody foresaw must not hold up the action
        return EngineUnavailable(f"no answer that can be read: {type(exc).__name__}: {exc}")


async def _state(connection: EngineConnection, container_id: str) -> _State:
    async with connection.about(container_id) as client:
        inspected = await client._query_json(f"containers/{container_id}/json")
        state: Json = inspected["State"]
        probes = ((state.get("Health") or {}).get("Log") or [])[-_PROBES:]
        return _State(
            name=text(inspected["Name"]).removeprefix("/"),
            status=text(state["Status"]),
            started_at=text(state["StartedAt"]),
            exit_code=whole(state.get("ExitCode")),
            oom_killed=bool(state.get("OOMKilled")),
            restart_count=whole(inspected.get("RestartCount")),
            health_log=tuple(map(_probe, probes)),
            is_cut=any(len(probe.get("Output") or "") > _OUTPUT_LENGTH for probe in probes),
        )


def _probe(told: Json) -> HealthProbe:
    return HealthProbe(
        started_at=text(told.get("Start")),
        exit_code=whole(told.get("ExitCode")),
        output=text(told.get("Output"))[:_OUTPUT_LENGTH],
    )


def _unknown(container_id: str) -> _State:
    return _State(
        name=container_id[:12],
        status="",
        started_at="",
        exit_code=0,
        oom_killed=False,
        restart_count=0,
        health_log=(),
        is_cut=False,
    )


async def _logs(connection: EngineConnection, container_id: str, tail: LogTail) -> None:
    params = {"stdout": "1", "stderr": "1", "tail": str(LINES)}
    async with connection.about(container_id) as client:
        # Not aiodocker's `log`: it has to be told of a TTY, which is a question of its own, and
        # gives up at the first byte that is no UTF-8.
        query = client._query(f"containers/{container_id}/logs", params=params)
        async with query as answer, answer:
            while chunk := await answer.content.readany():
                tail.feed(chunk)


async def _processes(connection: EngineConnection, container_id: str) -> _Processes:
    async with connection.about(container_id) as client:
        told = await client._query_json(f"containers/{container_id}/top")
        rows: Sequence[Sequence[Any]] = told.get("Processes") or ()
        return _Processes(
            titles=tuple(text(str(title)) for title in told.get("Titles") or ()),
            rows=tuple(
                tuple(text(str(column))[:_COLUMN_LENGTH] for column in row)
                for row in rows[:_PROCESSES]
            ),
            is_cut=len(rows) > _PROCESSES
            or any(len(str(column)) > _COLUMN_LENGTH for row in rows for column in row),
        )


async def _sample(connection: EngineConnection, container_id: str) -> dict[str, float]:
    measured = await stats.measure(connection, container_id)
    figures = None if measured is None else stats.figures(measured)
    if figures is None:
        raise EngineRefused(409, f"{container_id[:12]}: it does not run")
    return figures
