"""What Swarm says of a service and of its tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class ServiceMode(StrEnum):
    """How many tasks a service has."""

    REPLICATED = "replicated"
    #: One on every node.
    GLOBAL = "global"
    #: Runs to its end (API 1.41): to update it is to run it again.
    JOB = "job"


class TaskState(StrEnum):
    """How far a task has come, in Swarm's order; as wanted, and as it is."""

    NEW = "new"
    ALLOCATED = "allocated"
    PENDING = "pending"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    STARTING = "starting"
    #: Its container runs, and its health check, where it has one, has passed.
    RUNNING = "running"
    #: Ended by itself with exit code 0.
    COMPLETE = "complete"
    #: Ended because Swarm wanted it to.
    SHUTDOWN = "shutdown"
    FAILED = "failed"
    REJECTED = "rejected"
    REMOVE = "remove"
    #: Its node has been away for too long.
    ORPHANED = "orphaned"


#: It has no process any more, or never gets one.
OVER = frozenset(
    {
        TaskState.COMPLETE,
        TaskState.SHUTDOWN,
        TaskState.FAILED,
        TaskState.REJECTED,
        TaskState.REMOVE,
        TaskState.ORPHANED,
    }
)


class UpdateState(StrEnum):
    """How far Swarm has come with replacing the tasks of a service."""

    UPDATING = "updating"
    #: Stopped half-way, after tasks that failed.
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTask:
    """One task: one container, at most, of one place in a service."""

    id: str
    #: The number of its place; None where the service has one on every node.
    slot: int | None
    #: Id of the node that it is given to; None before.
    node: str | None
    state: TaskState
    desired: TaskState
    #: 64 hexadecimal digits; None before there is one.
    container_id: str | None
    #: Of its container, as Swarm resolved it: ``shop:1@sha256:…``.
    image: str
    #: `Service.forced` of the service when it was made.
    forced: int
    created_at: datetime
    #: Since when it is in `state`.
    since: datetime
    exit_code: int | None = None
    #: Swarm's own words for what is wrong with it.
    error: str | None = None

    @property
    def place(self) -> str:
        """What its successor has in common with it: the slot's number, or the node's id."""
        return str(self.slot) if self.slot is not None else self.node or ""

    @property
    def is_wanted(self) -> bool:
        """Whether Swarm wants it to run, now or as soon as its predecessor is down."""
        return self.desired in (TaskState.READY, TaskState.RUNNING) and self.state not in OVER

    @property
    def is_running(self) -> bool:
        """Whether it runs and is wanted to."""
        return self.desired is TaskState.RUNNING and self.state is TaskState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUpdate:
    """The last replacement of a service's tasks."""

    state: UpdateState
    #: Swarm's own words.
    message: str = ""
    #: When Swarm began with it, or with putting it back; None where it does not say.
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the swarm, and its tasks, as a manager has them."""

    #: 25 letters and digits, from the engine's own listing: the only form that acts.
    id: str
    name: str
    #: Counts every change of it, also Swarm's own: a write names the one that it has read.
    version: int
    mode: ServiceMode
    #: Tasks that it is to have; None unless it is replicated.
    replicas: int | None
    #: Tasks that its owner wants: `replicas`, less those that we added and nobody else touched.
    declared: int | None
    #: How often it was made to replace its tasks though nothing in them had changed.
    forced: int
    #: Stands for all that a task is made from, `forced` included: another one is another update.
    template: str
    #: Of the service, not of its containers.
    labels: Mapping[str, str]
    #: Of its containers (``--container-label``), Swarm's own not included.
    container_labels: Mapping[str, str] = field(default_factory=dict)
    #: Between SIGTERM and SIGKILL of a task.
    stop_grace: timedelta = timedelta(seconds=10)
    #: By its own rules an update takes so many tasks at once (0: all), watches them for a while,
    #: and makes a pause before the next.
    update_parallelism: int = 1
    update_monitor: timedelta = timedelta(seconds=5)
    update_delay: timedelta = timedelta(0)
    #: Whether the last write has changed what its tasks are made from, and not only how many there
    #: are or how often they were forced: a deploy, or somebody's way back from one.
    is_remade: bool = False
    #: The attempt of ours that changed it last.
    attempt_id: str | None = None
    #: None where none was made, or where it has been forgotten over another change.
    update: ServiceUpdate | None = None
    #: Those of the past included, as far as Swarm remembers (the last five of each place).
    tasks: tuple[ServiceTask, ...] = field(default=())

    @property
    def added(self) -> int:
        """How many of its tasks are there because of us."""
        return (self.replicas or 0) - (self.declared or 0)
