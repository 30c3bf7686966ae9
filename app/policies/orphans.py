"""Clones that have outlived their source: whom a decision about them asks instead."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphaned:
    """A group without an original: somebody has removed them all, and clones of ours are left."""

    #: We have found it so since then.
    since: datetime
    #: Its clones, each observed in its own name.
    seen: tuple[Observation, ...]
