"""One change of the number of instances of a group, in AWS Auto Scaling's words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
