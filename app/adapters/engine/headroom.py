"""What a host has free, and what one more instance would need. Pure arithmetic."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.adapters.engine import translate
from app.adapters.engine.stats import allowance, usage
from app.adapters.engine.translate import Json
from app.domain.usage import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What one container uses at present; 0 for what the engine does not say."""

    #: Cores.
    cpus: float = 0.0
    #: Its working set, in bytes.
    memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the kernel itself says of the host."""

    #: Bytes that can be had without swapping.
    available_memory: int


def present(stats: Json) -> Present | None:
    """
    Read ``GET /containers/{id}/stats?stream=0``, which holds the reading of a second before.

    None where the container does not run.
    """
    used = usage(stats)
    if used is None:
        return None
    # As it would be read if the earlier one were the answer.
    before = usage({"read": stats.get("preread"), "cpu_stats": stats.get("precpu_stats") or {}})
    took_s = _seconds(stats.get("preread"), stats.get("read"))
    cpus = 0.0
    if before is not None and took_s > 0:
        # A counter that falls began anew in between.
        spent = (used.cpu_seconds or 0.0) - (before.cpu_seconds or 0.0)
        cpus = max(spent, 0.0) / took_s
    return Present(cpus=cpus, memory=used.working_set_bytes or 0)


def room(
    *,
    memory: int,
    cpus: float,
    source: Json,
    source_uses: Present,
    used: Iterable[Present],
    host: Host | None,
) -> Room:
    """
    Set what is free against what the source's twin would need.

    :param memory: of the host, in bytes; `cpus`: its cores
    :param source: ``GET /containers/{id}/json`` of the container that another one is wanted of
    :param source_uses: where it has no limit, another one is taken to use as much
    :param used: by everything that runs, the source included
    :param host: where the kernel could be asked: nothing is free that it says is not
    """
    every = tuple(used)
    free_memory = max(memory - sum(one.memory for one in every), 0)
    free_cpus = max(cpus - sum(one.cpus for one in every), 0.0)
    if host is not None:
        free_memory = min(free_memory, host.available_memory)
    limits = allowance(source)
    return Room(
        memory=memory,
        cpus=cpus,
        free_memory=free_memory,
        free_cpus=free_cpus,
        needs_memory=limits.memory_bytes or source_uses.memory,
        needs_cpus=(
            source_uses.cpus
            if limits.cpu_quota_us is None
            else limits.cpu_quota_us / limits.cpu_period_us
        ),
    )


def is_limited(source: Json) -> bool:
    """Whether a container has a limit for both memory and CPU."""
    limits = allowance(source)
    return limits.memory_bytes > 0 and limits.cpu_quota_us is not None


def memory_of(meminfo: str) -> tuple[int, int] | None:
    """Read ``/proc/meminfo``: total and available bytes; None where it tells no such thing."""
    found: dict[str, int] = {}
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if number.isdecimal() and unit == "kB":
            found[name] = int(number) * 1024
    if "MemTotal" not in found or "MemAvailable" not in found:
        return None
    return found["MemTotal"], found["MemAvailable"]


def _seconds(since: object, until: object) -> float:
    first, last = translate.moment(since), translate.moment(until)
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return 0.0
    return (last - first).total_seconds()
