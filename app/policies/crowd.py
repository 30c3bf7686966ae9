"""A group with clones as it was looked at: who is in it, how they are, what is known of them."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.container import Listed
from app.domain.decision import Reason
from app.domain.observation import Observation


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
    #: Why it is never acted on: a sentence.
    protected: str | None = None


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
