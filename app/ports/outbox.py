"""What is still to be told to people's tools, and who takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One message that nobody has taken yet."""

    #: Its place in the order of all.
    place: int
    #: None: what is kept there cannot be read.
    message: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The outbox at one moment."""

    #: The oldest messages, in the order in which they were written.
    messages: Sequence[Pending]
    #: How many there are in all.
    number: int
    #: Kind -> how many were dropped since the beginning, because newer ones needed the room.
    dropped: Mapping[str, int]


class Outbox(Protocol):
    """
    Messages that a step has left behind (`Entry.outbox`), until they are delivered.

    At most a thousand: the oldest is dropped for the newest.
    """

    async def waiting(self, *, limit: int) -> Waiting:
        """
        Look, and change nothing.

        :raises StoreUnavailable:
        """
        ...

    async def done(self, place: int) -> None:
        """
        Forget one message, delivered or given up.

        :raises StoreUnavailable: it may come again
        """
        ...


class MessageSink(Protocol):
    """A tool that takes messages. The same one again must change nothing there."""

    async def deliver(self, message: Message) -> None:
        """
        Hand over one message.

        :raises SourceUnavailable: not now; it may have been taken all the same
        :raises MessageRefused: not this one, however often
        """
        ...
