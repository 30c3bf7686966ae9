"""A group with clones as it is seen: who is in it, and what is decided about who leaves."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.activity import ActivityKind
from app.domain.container import Container, Listed
from app.domain.decision import Reason
from app.domain.observation import Observation
from app.domain.remediation import Attempt
from app.policies.orphans import Orphaned
from app.policies.spec import SourceAfterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneSeen:
    """A clone, and what is known of it."""

    listed: Listed
    #: When it came up, as far as is known.
    made_at: datetime
    #: We have written down that we made it; None: its label is a copy, or somebody else's.
    recorded: bool | None
    #: Since when we have found it so: of one that is not remembered.
    known_since: datetime
    #: Id of the attempt that made it, by its label.
    made_by: str = ""
    #: Why it was made, where that is known.
    made_for: Reason | None = None
    #: Name of the original that it was made from.
    clone_of: str = ""
    #: It has not served since then; None: it does.
    ill_since: datetime | None = None
    #: The attempt that made it has no verdict yet.
    is_on_trial: bool = False
    #: It is off its networks, all of them, as one is that was about to leave.
    is_cut_off: bool = False
    #: What its label says is to become of its source; None: it stays.
    source: SourceAfterwards | None = None
    #: The networks that its source is to be on, as its label has them.
    networks: str = ""
    #: The attempt that made it, where the story of that is at hand.
    attempt: Attempt | None = None
    #: Its source was to be isolated or stopped before, however that ended: not once more.
    had_its_turn: bool = False
    #: Why it is never acted on: a sentence.
    protected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacedSeen:
    """An original that is off duty, since a clone serves in its place."""

    container: Container
    target: str
    #: ISOLATE or STOP.
    kind: ActivityKind
    since: datetime
    #: Id of the clone; it may be gone.
    clone_id: str
    #: The networks that it is to be on; empty: it is on them.
    networks: str
    #: ``StartedAt`` as it was taken off duty; None where nobody remembers that.
    started_at: str | None
    #: Since when we have found it so: of one that only its clone's label tells of.
    known_since: datetime
    #: What a person did to it: a sentence.
    human: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One group with clones: all that a decision about them may use."""

    id: str
    #: Of each original, by name.
    originals: tuple[Observation, ...]
    clones: tuple[CloneSeen, ...]
    #: Whether it is a Swarm service.
    is_service: bool = False
    #: A story of the group is open.
    is_open: bool = False
    #: When its last story ended.
    closed_at: datetime | None = None
    #: When a scale-in of it ended last, successful or not.
    left_at: datetime | None = None
    #: That one failed.
    has_failed: bool = False
    #: Originals that are off duty.
    replaced: tuple[ReplacedSeen, ...] = ()
    #: When one of them came back last.
    returned_at: datetime | None = None
    #: When one of them failed to come back last.
    stuck_at: datetime | None = None
    orphaned: Orphaned | None = None

    @property
    def asked(self) -> tuple[Observation, ...]:
        """Whose alerts and guards count: of originals; where there are none, of the clones."""
        return self.orphaned.seen if self.orphaned is not None else self.originals


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Nobody leaves."""

    reason: Reason
    #: When to look again, where that can be told.
    until: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """This clone leaves."""

    clone: CloneSeen
    reason: Reason
    #: A sentence: what led to it.
    cause: str
