"""What people's tools are told of an action; kept until it has been delivered."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MessageKind(StrEnum):
    """What a message is, and so who takes it."""

    #: A region in a dashboard, from an action to its verdict.
    ANNOTATION = "annotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One attempt as a dashboard shows it, told as a whole each time."""

    starts_at: datetime
    #: None: it has no verdict yet.
    ends_at: datetime | None
    #: HTML; what strangers wrote is escaped in it.
    text: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to be delivered at least once: whoever takes it knows it again by its id."""

    kind: MessageKind
    #: What it is about: the next message of the same id tells the same story, further on.
    id: str
    payload: Annotation
