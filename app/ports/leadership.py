"""Who acts: one controller at a time, on a store that is the one it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.audit import AuditMark
from app.domain.control import Halt


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A controller that would lead."""

    #: Stays with its data directory: a restarted controller takes its own seat back at once.
    instance: str
    #: Of this process alone.
    life: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How store and seat stand."""

    #: Name of the store's history; empty: it has none, it is empty.
    epoch: str
    #: Grows with every write: a lower one than before is an older store.
    fence: int
    #: Whose seat it is; empty: nobody's.
    instance: str
    life: str
    #: Which one since the beginning the present tenure is.
    term: int
    #: Grows with every renewal: a seat whose beat stands still is deserted.
    beat: int
    #: The time that the leader told the store last; None: never.
    told_at: datetime | None
    #: Name of the engine that the store belongs to; empty until a leader has told it.
    engine: str
    #: Of the server's process; empty where it does not tell.
    run_id: str
    #: Since when the store remembers all that it is told; None: it does not say.
    begun_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a store that lost its memory is told again."""

    #: Higher than any that was given out.
    fence: int
    #: Attempt -> when it was charged to the budget.
    charges: Mapping[str, datetime]
    pause: Halt | None
    holds: Mapping[str, Halt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memento:
    """What a controller remembers of its store, outside of it."""

    #: Its own name, for ever.
    instance: str
    #: Name of the store's history; empty: it has never met one.
    epoch: str = ""
    #: The highest fence that the store has told.
    fence: int = 0
    #: Attempt -> when it was charged to the budget, of the last hours.
    charges: Mapping[str, datetime] = field(default_factory=dict)
    pause: Halt | None = None
    holds: Mapping[str, Halt] = field(default_factory=dict)
    #: Where the audit stood; None: it had no line.
    audit: AuditMark | None = None


class Keepsake(Protocol):
    """Keeps the memento where the store cannot lose it."""

    @property
    def trouble(self) -> str | None:
        """Why it is not kept, one sentence; None while it is."""
        ...

    async def load(self) -> Memento | None:
        """Read it; None where there is none, or none that can be read."""
        ...

    async def save(self, memento: Memento) -> None:
        """Keep it over a crash of this machine. Never raises: see `trouble`."""
        ...


class Leadership(Protocol):
    """The seat of the one controller that acts."""

    async def look(self) -> Standing:
        """
        Look, and change nothing; no history is asked for, so an older store answers too.

        :raises StoreUnavailable:
        """
        ...

    async def lead(
        self, me: Candidate, *, now: datetime, engine: str, deserted: Standing | None = None
    ) -> Standing:
        """
        Keep the seat, or take it; one call more changes nothing but the beat.

        It is taken where it is nobody's, an earlier life's of the same instance, or still as
        `deserted` found it. Taking it ends all leases of targets: they are due at once. A store
        without history answers with an empty epoch and gives no seat: see `found`.

        :param engine: the engine that this controller acts on; empty while it is not known
        :param deserted: a standing that has not changed for so long that its holder must be gone
        :raises StoreUnavailable:
        """
        ...

    async def found(
        self,
        epoch: str,
        *,
        now: datetime,
        instead_of: str,
        is_lost: bool = True,
        restored: Restored | None = None,
    ) -> Standing:
        """
        Begin a history, unless the store's is no longer `instead_of` (empty: none).

        :param is_lost: what the store was told before is lost, all or some of it
        :raises StoreUnavailable:
        """
        ...

    async def resign(self, me: Candidate) -> None:
        """Leave the seat to whoever asks next. :raises StoreUnavailable:"""
        ...

    def trust(self, epoch: str, fence: int) -> None:
        """From now on, take the store for an older one where it is not this, or lower."""
        ...

    def act_as(self, me: Candidate | None) -> None:
        """From now on, do what only the leader may in this name; None: in nobody's."""
        ...

    def hear(self, fence: int) -> None:
        """From now on, take a store with a lower fence for an older one."""
        ...

    def on_doubt(self, call: Callable[[], None]) -> None:
        """Have this called where the store turns out to be another, older or restarted one."""
        ...

    @property
    def heard(self) -> int:
        """The highest fence that the store has told."""
        ...

    async def charges(self, *, since: datetime) -> Sequence[tuple[str, datetime]]:
        """List charged attempts later than `since`. :raises StoreUnavailable:"""
        ...
