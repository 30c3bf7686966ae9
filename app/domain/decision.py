"""What one step concluded, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why something was done or not done: the same word in API, log, metric and page."""

    # why a step is taken
    FIRST_NEED = "first_need"
    BACKOFF = "backoff"
    WINDOW_FULL = "window_full"
    STILL_NEEDED = "still_needed"
    CLONE_SICK = "clone_sick"
    INTERRUPTED = "interrupted"
    FOUND_STOPPED = "found_stopped"

    # what a verification is waiting for, or has seen
    DEADLINE = "deadline"
    SETTLING = "settling"
    SETTLED = "settled"
    RELIEF = "relief"
    WARM_UP = "warm_up"

    # why nothing is done
    RESOLVED = "resolved"
    SILENCED = "silenced"
    COOLDOWN = "cooldown"
    RESTARTED_MEANWHILE = "restarted_meanwhile"
    NOT_RUNNING = "not_running"
    PAUSED_CONTAINER = "paused_container"
    OBSERVE = "observe"
    NO_FRESH_DATA = "no_fresh_data"
    ENGINE_DOWN = "engine_down"
    STORE_DOWN = "store_down"
    NEW_INCARNATION = "new_incarnation"
    QUARANTINE = "quarantine"

    # why an alert is skipped
    OWN_ALERT = "own_alert"
    OTHER_ENGINE = "other_engine"
    AMBIGUOUS_ENGINE = "ambiguous_engine"
    NO_SUCH_TARGET = "no_such_target"
    AMBIGUOUS_TARGET = "ambiguous_target"
    NOT_OPTED_IN = "not_opted_in"
    SWARM_TASK = "swarm_task"
    STALE = "stale"

    # why a ladder ends, or a scale-out is refused
    SCALE_OUT_DISABLED = "scale_out_disabled"
    SCALE_OUT_FAILED = "scale_out_failed"
    AT_MAX = "at_max"
    ALREADY_SCALED = "already_scaled"
    UNKNOWN_TOO_LONG = "unknown_too_long"

    # why no faithful clone can be made (the words of the fidelity report)
    FIXED_HOST_PORT = "fixed_host_port"
    NETWORK_MODE = "network_mode"
    HOST_NETWORK = "host_network"
    SHARED_VOLUME = "shared_volume"
    DATA_IN_ANONYMOUS_VOLUME = "data_in_anonymous_volume"
    DATA_IN_LAYER = "data_in_layer"
    COMPOSE_CONFIGS = "compose_configs"
    SHARED_DEVICE = "shared_device"
    IMPLICIT_ROUTER = "implicit_router"
    AUTO_REMOVE = "auto_remove"
    IS_CLONE = "is_clone"


class Verdict(StrEnum):
    """What an attempt turned out to be, by evidence."""

    RECOVERED = "recovered"
    RELIEVED = "relieved"
    SYMPTOM_PERSISTS = "symptom_persists"
    UNHEALTHY = "unhealthy"
    EXITED = "exited"
    CRASH_LOOP = "crash_loop"
    ENGINE_ERROR = "engine_error"
    TIMED_OUT = "timed_out"
    INFRASTRUCTURE = "infrastructure"
    VANISHED = "vanished"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    HELD = "held"
    WOULD_HAVE = "would_have"
    NO_EFFECT = "no_effect"

    @property
    def counts(self) -> bool:
        """Whether a restart with this verdict is a failed restart."""
        return self in _COUNTED


_COUNTED = frozenset(
    {
        Verdict.SYMPTOM_PERSISTS,
        Verdict.UNHEALTHY,
        Verdict.EXITED,
        Verdict.CRASH_LOOP,
        Verdict.ENGINE_ERROR,
        Verdict.TIMED_OUT,
    }
)


class Action(StrEnum):
    """What Relevo does to containers."""

    RESTART = "restart"
    START = "start"
    SCALE_OUT = "scale_out"
    SCALE_IN = "scale_in"


class Outcome(StrEnum):
    """How a remediation ended."""

    RECOVERED = "recovered"
    RELIEVED = "relieved"
    CANCELLED = "cancelled"
    VANISHED = "vanished"
    SUPERSEDED = "superseded"
    ESCALATED = "escalated"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is open and nothing is needed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait before the next action; opens a remediation where none is open."""

    until: datetime
    reason: Reason
    #: What is due then, if it is still needed.
    then: Action


@dataclass(frozen=True, slots=True)
class Hold:
    """An action is due or a verdict is, and something forbids it: look again later."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the container."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Let another instance take over."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Resume:
    """Carry out the interrupted attempt, under its own id."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Adopt:
    """The interrupted attempt did reach the engine: go on to its verification."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class StartStopped:
    """Our own restart left the container stopped: start it, once."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Watch:
    """Keep looking at the open attempt, or at a quarantined target."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Confirm:
    """The clone is up and warm: the scale-out itself has succeeded; relief is watched for."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Conclude:
    """The open attempt has its verdict."""

    verdict: Verdict
    reason: Reason
    #: One sentence of evidence for people.
    evidence: str


@dataclass(frozen=True, slots=True)
class Close:
    """The remediation is over."""

    outcome: Outcome
    reason: Reason


@dataclass(frozen=True, slots=True)
class Escalate:
    """The ladder has ended: a person is needed, the target is quarantined."""

    reason: Reason
    #: One sentence for the person: why it stopped.
    detail: str


Decision = (
    Idle
    | Wait
    | Hold
    | Restart
    | ScaleOut
    | Resume
    | Adopt
    | StartStopped
    | Watch
    | Confirm
    | Conclude
    | Close
    | Escalate
)
