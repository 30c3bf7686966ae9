"""What one step concluded, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.reason import Reason as Reason  # part of every decision


class Verdict(StrEnum):
    """What an attempt turned out to be, by evidence."""

    RECOVERED = "recovered"
    RELAPSED = "relapsed"
    RELIEVED = "relieved"
    NO_TRAFFIC = "no_traffic"
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
        Verdict.RELAPSED,
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
    #: What exactly, where the reason alone does not say it.
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the container."""

    reason: Reason
    #: What else is to be known of it.
    detail: str | None = None


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
class Follow:
    """Somebody else restarted the container: an attempt that is not ours, verified, uncounted."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Rehearse:
    """Observe mode: write down the action that would be taken, and watch what happens without."""

    action: Action
    reason: Reason


@dataclass(frozen=True, slots=True)
class Relapse:
    """What had recovered is ill again: that attempt's verdict turns, once."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Forget:
    """A person has this target's failures forgotten."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class CallOff:
    """A person cancels the remediation: nothing more is done until its alerts are gone."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Refuse:
    """What a person ordered cannot be done."""

    reason: Reason
    #: For the person, with what would change it.
    detail: str


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
    #: Of a rehearsed attempt: the trouble passed by itself; None where that cannot be said.
    passed: bool | None = None


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
    | Follow
    | Rehearse
    | Relapse
    | Forget
    | CallOff
    | Refuse
    | Watch
    | Confirm
    | Conclude
    | Close
    | Escalate
)
