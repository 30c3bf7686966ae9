"""What containers use, as far as decisions ask."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one container has used since it was started."""

    #: When it was measured.
    at: datetime
    #: ``StartedAt`` then: after another start it counts from 0 again.
    started_at: str
    #: CPU time, in seconds of one core.
    cpu_seconds: float
    #: Bytes that went over its networks, both ways; None in the host's or another one's network.
    network_bytes: int | None
    #: What it held then, without file pages that the kernel gives back first; None: not counted.
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one container used at a moment; None: nobody measured that."""

    at: datetime
    #: Cores in use, on average since the reading before.
    cpu_cores: float | None
    memory_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """A source and its clone, measured at the same moment; None: could not be measured."""

    source: Used | None
    clone: Used | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What another instance of a container would need, and what its host has free."""

    #: Of the host, in bytes and cores.
    memory: int
    cpus: float
    free_memory: int
    free_cpus: float
    #: The container's limit; where it has none, what it uses at present.
    needs_memory: int
    needs_cpus: float
