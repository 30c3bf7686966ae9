"""One change of the number of instances of a group, in AWS Auto Scaling's words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.reason import Reason


class ActivityKind(StrEnum):
    """Which way."""

    SCALE_OUT = "scale_out"
    SCALE_IN = "scale_in"


class ActivityStatus(StrEnum):
    """How far it is."""

    IN_PROGRESS = "in_progress"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    CANCELLED = "cancelled"


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

    @property
    def is_let_go(self) -> bool:
        """Whether an instance has left because it was not needed any more."""
        if self.kind is not ActivityKind.SCALE_IN or self.status is not ActivityStatus.SUCCESSFUL:
            return False
        return self.reason is Reason.QUIET or self.ordered is not None
