"""What the engine says of a container."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class RunState(StrEnum):
    """Docker's ``State.Status``."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    """Docker's ``State.Health.Status``; ``none`` where the container has no health check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How the engine probes a container."""

    #: Time between two probes.
    interval: timedelta
    #: How long one probe may take.
    timeout: timedelta
    #: Failed probes in a row that make it unhealthy.
    retries: int
    #: Time after a start in which failed probes do not count.
    start_period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A line of the engine's listing: enough to know who a container is."""

    #: 64 hexadecimal digits, from the engine's own listing: the only form that acts.
    id: str
    #: Without the leading slash.
    name: str
    #: As the container was created with: a tag, or an id.
    image: str
    #: Content address of the image, ``sha256:…``.
    image_id: str
    labels: Mapping[str, str]
    state: RunState
    health: Health = Health.NONE
    #: When it was created, by the engine's clock; None where the engine does not say.
    created_at: datetime | None = None
    #: Id of the Swarm service that is driven in its place: `id` is then that of the place, the
    #: same for all containers that come to fill it; None: it is what it says.
    service: str | None = None
    #: Names of the containers that filled the place before.
    former: tuple[str, ...] = ()
    #: Containers of that service are being replaced just now, by whomever, or somebody's deploy of
    #: it has stopped half-way.
    is_replacing: bool = False
    #: It runs, could be on networks of its own, and is on none: nobody is sent to it.
    is_cut_off: bool = False

    @property
    def is_running(self) -> bool:
        """Running and not paused, not between two restarts of the engine's own."""
        return self.state is RunState.RUNNING

    @property
    def is_serving(self) -> bool:
        """Running, to be reached, and well by its health check (where it has one)."""
        is_well = self.health in (Health.NONE, Health.HEALTHY)
        return self.is_running and is_well and not self.is_cut_off


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Listed):
    """One container, inspected."""

    #: Docker's ``State.StartedAt``, to the nanosecond as the engine writes it:
    #: compared for change, never with a clock.
    started_at: str
    #: How often the engine itself restarted it by its own policy (ours do not count).
    restart_count: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    health_check: HealthCheck | None = None
    #: Time between SIGTERM and SIGKILL when it is stopped.
    stop_grace: timedelta = timedelta(seconds=10)
    #: Names of the networks that it is connected to.
    networks: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineIdentity:
    """What an engine says of itself."""

    #: The daemon's host name.
    name: str
    #: Of the Docker API that was agreed on, such as (1, 41).
    api_version: tuple[int, int]
    version: str
    cpus: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something that happened to a container, as the engine tells it."""

    #: The engine's clock, nanoseconds since the epoch: where to go on after a cut.
    at_ns: int
    container_id: str
    #: Its name at that time.
    name: str
    #: Docker's word, without what follows a colon: ``die``, ``kill``, ``stop``, ``health_status``.
    action: str
    #: Its labels, and what the engine adds: ``image``, ``signal``, ``exitCode``.
    attributes: Mapping[str, str]
