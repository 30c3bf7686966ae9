"""What a restart would destroy, kept from before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProbe:
    """One run of a container's health check."""

    #: As the engine writes it.
    started_at: str
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """The evidence from before one action. What could not be had is named in `missing`."""

    container_id: str
    container: str
    taken_at: datetime
    #: Docker's ``State.Status``, ``StartedAt``, exit code, OOM flag, restart count.
    state: str
    started_at: str
    exit_code: int
    oom_killed: bool
    restart_count: int
    #: Last log lines, oldest first, at most 200.
    logs: tuple[str, ...] = ()
    #: Column titles of `processes`, as ``ps`` names them.
    process_titles: tuple[str, ...] = ()
    processes: tuple[tuple[str, ...], ...] = ()
    #: One sample: ``memory_bytes``, ``memory_limit_bytes``, ``cpu_seconds``, ``pids``, …
    stats: Mapping[str, float]
    #: Oldest first.
    health_log: tuple[HealthProbe, ...] = ()
    #: What could not be had, and why, a sentence each.
    missing: tuple[str, ...] = ()
    #: Something was cut off to keep it small.
    is_cut: bool = False
