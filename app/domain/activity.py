"""One change of the number of instances of a group, in AWS Auto Scaling's words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.reason import Reason


class ActivityKind(StrEnum):
    """Which way."""

    SCALE_OUT = "scale_out"
    SCALE_IN = "scale_in"
    #: The source of a clone is taken off its networks, and goes on running.
    ISOLATE = "isolate"
    #: The source of a clone is stopped.
    STOP = "stop"
    #: A source that was isolated or stopped serves again.
    BRING_BACK = "bring_back"


class ActivityStatus(StrEnum):
    """How far it is."""

    IN_PROGRESS = "in_progress"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What has to be known of a source in whose place a clone serves, to have it back."""

    #: Id of that clone.
    clone_id: str
    #: The source's ``StartedAt`` as the activity began: what it is done to is that life of it.
    started_at: str
    #: The networks that it is to be on, as its clone's label says them; empty: it keeps them.
    networks: str = ""
    #: Of one that comes back: that life ends, and a new one begins on its networks.
    starts_anew: bool = False
    #: Of one that comes back: it is started where it does not run.
    starts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One scaling activity."""

    id: str
    #: ``engine:group``.
    group: str
    kind: ActivityKind
    #: A sentence: what led to it, or why it failed.
    cause: str
    status: ActivityStatus
    #: Name of the instance that came or went; None before it has one.
    container: str | None
    started_at: datetime
    finished_at: datetime | None = None
    #: Id of that instance.
    container_id: str | None = None
    #: The target that it relieves, or relieved.
    target: str | None = None
    #: Why, in one word.
    reason: Reason | None = None
    #: Of one that a person ordered: who, and why.
    ordered: str | None = None
    #: Of a source that is isolated, stopped or brought back.
    replacement: Replacement | None = None

    @property
    def is_let_go(self) -> bool:
        """Whether an instance has left because it was not needed any more."""
        if self.kind is not ActivityKind.SCALE_IN or self.status is not ActivityStatus.SUCCESSFUL:
            return False
        return self.reason is Reason.QUIET or self.ordered is not None

    @property
    def is_replaced(self) -> bool:
        """Whether its container is off duty from then on, and a clone serves in its place."""
        is_over = self.status is ActivityStatus.SUCCESSFUL
        return is_over and self.kind in (ActivityKind.ISOLATE, ActivityKind.STOP)

    @property
    def is_back(self) -> bool:
        """Whether its container is on duty again from then on."""
        is_over = self.status is ActivityStatus.SUCCESSFUL
        return is_over and self.kind is ActivityKind.BRING_BACK
