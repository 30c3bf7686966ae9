"""What the gate is asked for, and the words in which it says no."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Verb(StrEnum):
    """What can be asked for that changes something: a closed list."""

    RESTART = "restart"
    START = "start"
    CLONE = "clone"
    REMOVE_CLONE = "remove_clone"
    SET_ASIDE = "set_aside"
    BRING_BACK = "bring_back"
    #: Of a service of the swarm.
    FORCE_UPDATE = "force_update"
    SCALE = "scale"


class Bar(StrEnum):
    """Why the gate lets nothing through."""

    STOP = "stop"
    OBSERVE = "observe"
    LATE = "late"
    OLD_FENCE = "old_fence"
    NOT_OPTED_IN = "not_opted_in"
    PROTECTED = "protected"
    NOT_OURS = "not_ours"
    BUSY = "busy"
    UNSETTLED = "unsettled"
    DONE_ALREADY = "done_already"
    RESTARTED_MEANWHILE = "restarted_meanwhile"
    MIN_HEALTHY = "min_healthy"
    AT_MAX = "at_max"
    MAX_CLONES = "max_clones"
    BUDGET = "budget"
    OTHER_GRACE = "other_grace"
    OTHER_RULES = "other_rules"
    OTHER_NETWORKS = "other_networks"
    OTHER_STEP = "other_step"
    NO_JOURNAL = "no_journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Barred:
    """A no, and what it is about."""

    bar: Bar
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Which tenure of which store's history somebody acts in."""

    epoch: str = ""
    #: Grows with every tenure of a history.
    number: int = 0


class Ending(StrEnum):
    """How an action ended, as far as the gate saw it."""

    DONE = "done"
    #: The engine was told, and answered an error.
    REFUSED = "refused"
    #: The engine was not told, or what was made was taken away again.
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One action as the journal has it: written before the engine is told, ended after."""

    verb: Verb
    #: Id of the container, or of the service.
    about: str
    attempt_id: str
    #: By the host's monotonic clock, in seconds; means something in this life of the host only.
    at: float
    boot: str
    #: How long the engine may go on with it although nobody waits.
    takes: timedelta
    #: ``StartedAt`` of the container before; empty where that says nothing.
    before: str
    #: It was paid for from the bucket.
    charged: bool
    #: The networks that it was taken off, or was put back on, as a clone's label has them.
    networks: str = ""
    #: None: nobody saw it end.
    ending: Ending | None = None
    #: Id of the clone that was made.
    made: str = ""
    #: What the engine could not do as it was asked, a sentence each.
    said: tuple[str, ...] = ()
