"""What operators say, and what stops everything: pause, holds, orders, the brake."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A pause (of everything) or a hold (on one target)."""

    reason: str
    author: str
    since: datetime
    #: None: until a person ends it.
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.until is not None and now >= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """Whether so much fails at once that it cannot be the containers."""

    #: Automatic action is frozen since then; None: it is not.
    engaged_at: datetime | None = None
    #: Targets that had a failed restart when it engaged.
    failing: int = 0
    #: A person resumed then: older failures no longer count for it.
    cleared_at: datetime | None = None


class OrderKind(StrEnum):
    """What an operator may have done to one target."""

    RESTART = "restart"
    SCALE_OUT = "scale_out"
    #: Let the newest clone of the target's group leave.
    SCALE_IN = "scale_in"
    #: End a quarantine.
    RELEASE = "release"
    #: Forget the failures.
    RESET = "reset"
    #: Call the open remediation off.
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator wants, kept until the target's next step carries it out."""

    #: Unique: of a restart or scale-out the id that its attempt will have.
    id: str
    kind: OrderKind
    #: The remediation it belongs to: the open one, or the id of one to open.
    remediation: str
    reason: str
    author: str
    at: datetime
    #: What the token that was shown opens; None where none is asked for.
    scope: str | None = None
    #: Where the request came from; None: not over the network.
    address: str | None = None
