"""What the collector reads of an engine: who runs there, what it uses, what it may use."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.adapters.engine import translate
from app.adapters.engine.connection import Bounds, EngineConnection, checked_id
from app.adapters.engine.translate import Json
from app.domain.container import EngineIdentity, Listed

# From this API on the engine can leave out the second of its two readings. 20.10 then answers
# after one second instead of two; the newest within 20 ms.
_ONE_SHOT_SINCE = (1, 41)
#: Docker's CPU period where a container names none, in microseconds.
_DEFAULT_PERIOD_US = 100_000
# Go's zero time: the engine has taken no reading, the container does not run.
_NEVER = "0001-01-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a container uses; None where the engine does not say."""

    #: CPU time since it was started, in seconds of one core.
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    #: Memory without the file pages that the kernel gives back first.
    working_set_bytes: int | None = None
    #: Interface -> bytes since it was started. Empty in the host's or another one's network.
    received_bytes: Mapping[str, int] = field(default_factory=dict)
    sent_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a container may use, and since when it runs."""

    #: 0: unlimited.
    memory_bytes: int
    #: CPU time per period, in microseconds; None: unlimited.
    cpu_quota_us: float | None
    cpu_period_us: int
    #: Unix time of its last start.
    started_at: float | None


class ContainerReader(Protocol):
    """
    What the collector asks of an engine; nothing of it changes anything.

    Every method may raise EngineUnavailable; `close` in the loop that used it.
    """

    async def close(self) -> None:
        """Close the connection. Harmless when it was never opened, or twice."""
        ...

    async def host(self) -> EngineIdentity:
        """Ask the engine who it is."""
        ...

    async def running(self) -> tuple[Listed, ...]:
        """List the containers that run, paused ones included."""
        ...

    async def usage(self, container_id: str) -> Usage | None:
        """Measure one container; None where it does not run. :raises ContainerGone:"""
        ...

    async def allowance(self, container_id: str) -> Allowance:
        """Look up what one container may use. :raises ContainerGone:"""
        ...


class EngineReader:
    """
    `ContainerReader` over the engine's own socket.

    :param url: as in DOCKER_HOST; ValueError for a scheme that is not known
    :param bounds: how long the engine may take; a reading counts as a look
    """

    def __init__(self, url: str, *, bounds: Bounds | None = None) -> None:
        self._connection = EngineConnection(url, bounds or Bounds())

    async def close(self) -> None:
        """Close the connection. Harmless when it was never opened, or twice."""
        await self._connection.close()

    async def host(self) -> EngineIdentity:
        """Ask the engine who it is."""
        self._connection.renegotiate()
        async with self._connection.reading() as client:
            info = await client.system.info()
            return translate.identity(info, api_version=self._connection.api_version)

    async def running(self) -> tuple[Listed, ...]:
        """List the containers that run, paused ones included."""
        async with self._connection.reading() as client:
            # Not `containers.list`: it wraps each line in an object that nobody needs here.
            return tuple(map(translate.listed, await client._query_json("containers/json")))

    async def usage(self, container_id: str) -> Usage | None:
        """
        Measure one container; None where it does not run.

        :raises ContainerGone:
        :raises EngineRefused:
        """
        stats = await measure(self._connection, container_id)
        return None if stats is None else usage(stats)

    async def allowance(self, container_id: str) -> Allowance:
        """
        Look up what one container may use.

        :raises ContainerGone:
        :raises EngineRefused:
        """
        path = f"containers/{checked_id(container_id)}/json"
        async with self._connection.about(container_id) as client:
            return allowance(translate.mapping(await client._query_json(path)))


async def measure(connection: EngineConnection, container_id: str) -> Json | None:
    """Take one reading; None where the container was removed in the meantime. As `usage`."""
    path = f"containers/{checked_id(container_id)}/stats"
    async with connection.about(container_id) as client:
        params = {"stream": "0"}
        if connection.api_version >= _ONE_SHOT_SINCE:
            params["one-shot"] = "1"
        # aiodocker's own `stats` cannot say one-shot (aiodocker PR #1054).
        stats = await client._query_json(path, params=params)
        # Removed while the engine was measuring: 200 with nothing in it (20.10).
        return None if stats is None else translate.mapping(stats)


def figures(stats: Json) -> dict[str, float] | None:
    """
    Read ``GET /containers/{id}/stats`` for people: flat, in seconds and bytes.

    None where the container does not run; what the engine does not say is left out.
    """
    used = usage(stats)
    if used is None:
        return None
    memory, pids = _part(stats, "memory_stats"), _part(stats, "pids_stats")
    throttled_ns = _count(_part(_part(stats, "cpu_stats"), "throttling_data"), "throttled_time")
    found = {
        "cpu_seconds": used.cpu_seconds,
        "cpu_throttled_seconds": None if throttled_ns is None else throttled_ns / 1e9,
        "memory_bytes": used.memory_bytes,
        "memory_working_set_bytes": used.working_set_bytes,
        # That of the host where the container has none.
        "memory_limit_bytes": _count(memory, "limit"),
        "pids": _count(pids, "current"),
        "network_received_bytes": _sum(used.received_bytes),
        "network_sent_bytes": _sum(used.sent_bytes),
        **_moved_bytes(stats),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def usage(stats: Json) -> Usage | None:
    """
    Read ``GET /containers/{id}/stats``.

    A container that has stopped answers 200 with zeros, read at year 1: None.
    """
    read = stats.get("read")
    if not isinstance(read, str) or read.startswith(_NEVER):
        return None
    cpu_ns = _count(_part(_part(stats, "cpu_stats"), "cpu_usage"), "total_usage")
    memory = _part(stats, "memory_stats")
    used = _count(memory, "usage")
    networks = _part(stats, "networks")
    return Usage(
        cpu_seconds=None if cpu_ns is None else cpu_ns / 1e9,
        memory_bytes=used,
        working_set_bytes=None if used is None else max(used - _reclaimable(memory), 0),
        received_bytes=_per_interface(networks, "rx_bytes"),
        sent_bytes=_per_interface(networks, "tx_bytes"),
    )


def allowance(inspected: Json) -> Allowance:
    """Read ``GET /containers/{id}/json``."""
    limits = _part(inspected, "HostConfig")
    period_us = _count(limits, "CpuPeriod") or _DEFAULT_PERIOD_US
    quota_us: float | None = _count(limits, "CpuQuota")
    nano_cpus = _count(limits, "NanoCpus")
    # `--cpus` and `--cpu-quota` exclude each other, the engine sees to that.
    if nano_cpus is not None and nano_cpus > 0:
        period_us, quota_us = _DEFAULT_PERIOD_US, nano_cpus / 1e9 * _DEFAULT_PERIOD_US
    return Allowance(
        memory_bytes=max(_count(limits, "Memory") or 0, 0),
        cpu_quota_us=quota_us if quota_us is not None and quota_us > 0 else None,
        cpu_period_us=period_us,
        started_at=_unix_time(_part(inspected, "State").get("StartedAt")),
    )


def declared_cpus(label: str) -> float:
    """
    Read the label ``relevo.cpus``: how many cores a container without a quota should get by with.

    :raises ValueError: not a positive finite number
    """
    cores = float(label)
    if not math.isfinite(cores) or cores <= 0:
        raise ValueError("not a positive finite number")
    return cores


def _reclaimable(memory: Json) -> int:
    # cgroup v1 counts a container's own pages and, as total_*, those of its children; v2 has one
    # number, for both. The v1 name is looked for first: v1 has the other one, too.
    pages = _part(memory, "stats")
    inactive = _count(pages, "total_inactive_file")
    return inactive if inactive is not None else _count(pages, "inactive_file") or 0


def _per_interface(networks: Json, counter: str) -> dict[str, int]:
    counts = {translate.text(name): _count(_part(networks, name), counter) for name in networks}
    return {name: count for name, count in counts.items() if count is not None}


def _sum(per_interface: Mapping[str, int]) -> int | None:
    return sum(per_interface.values()) if per_interface else None


def _moved_bytes(stats: Json) -> dict[str, int]:
    """Add up what was read from and written to all disks."""
    per_disk = _part(stats, "blkio_stats").get("io_service_bytes_recursive")
    moved: dict[str, int] = {}
    # cgroup v1 writes "Read", v2 "read"; v1 has other sums besides.
    for one in per_disk if isinstance(per_disk, list) else ():
        if not isinstance(one, Mapping):
            continue
        name = {"read": "disk_read_bytes", "write": "disk_written_bytes"}.get(
            str(one.get("op")).lower()
        )
        count = _count(one, "value")
        if name is not None and count is not None:
            moved[name] = moved.get(name, 0) + count
    return moved


def _part(whole: Json, key: str) -> Json:
    part = whole.get(key)
    return part if isinstance(part, Mapping) else {}


def _count(part: Json, key: str) -> int | None:
    try:
        return None if part.get(key) is None else translate.whole(part[key])
    except (TypeError, ValueError):
        return None


def _unix_time(written: object) -> float | None:
    found = translate.moment(written)
    return None if found is None else found.timestamp()
