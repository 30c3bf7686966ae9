"""The store for people: what happened, and whether it can keep its word."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.activity import Activity
from app.domain.remediation import Remediation, State
from app.ports.records import Aside


class FailureWindow(Protocol):
    """Failed restarts in a sliding window."""

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """Count failures of a target in ``(now - window, now]``."""
        ...

    async def failing_targets(
        self, *, now: datetime, window: timedelta, after: datetime | None = None
    ) -> int:
        """
        Count distinct targets whose last failure lies in ``(now - window, now]``.

        Failures that a scale-out has consumed count here: many of them are a storm, too.

        :param after: do not count what is not later than this
        """
        ...

    async def recoveries(self, *, since: datetime) -> Mapping[str, tuple[datetime, ...]]:
        """List when restarts of each target helped, later than `since`; oldest first."""
        ...

    async def charged(self, *, since: datetime) -> tuple[datetime, ...]:
        """List when actions were charged to the budget, later than `since`; oldest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationFilter:
    """Which remediations to list."""

    target: str | None = None
    state: State | None = None
    since: datetime | None = None
    #: Only those that are not closed.
    open_only: bool = False
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a list tells of one target."""

    #: The open one.
    remediation: Remediation | None
    #: When restarts of it failed, as far back as was asked for; oldest first.
    failed_at: tuple[datetime, ...]
    #: Its group may not be scaled out again before then.
    cooling_until: datetime | None

    def failures(self, window: timedelta, *, now: datetime) -> int:
        """Count failed restarts in ``(now - window, now]``."""
        return sum(now - window < at <= now for at in self.failed_at)


class History(Protocol):
    """What happened, for people."""

    async def glance(
        self, targets: Mapping[str, str], *, now: datetime, since: datetime
    ) -> Mapping[str, Glance]:
        """
        Read what a list tells of many targets, in one request for hundreds.

        :param targets: with the group of each
        :param since: failures later than this
        """
        ...

    async def remediation(self, remediation_id: str) -> Remediation | None:
        """Read one remediation, open or closed."""
        ...

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        """List remediations, newest first."""
        ...

    async def activities(
        self, *, group: str | None = None, limit: int = 100
    ) -> tuple[Activity, ...]:
        """List scaling activities, newest first."""
        ...

    async def activity(self, activity_id: str) -> Activity | None:
        """Read one scaling activity."""
        ...

    async def tallies(self) -> Mapping[str, int]:
        """Read all tallies (`Entry.tally`)."""
        ...

    async def asides(self, *, limit: int = 100) -> tuple[Aside, ...]:
        """List alerts that were not taken on, newest first."""
        ...


class Facts(Protocol):
    """Small facts about the chain that must outlive a restart."""

    async def get(self, name: str) -> str | None:
        """Read a fact; None where it was never told."""
        ...

    async def put(self, name: str, value: str) -> None:
        """Remember a fact."""
        ...


class StoreHealth(Protocol):
    """Whether the store can keep its word."""

    async def check(self) -> tuple[str, ...]:
        """
        Name what keeps it from keeping its word, a sentence each; empty when nothing does.

        :raises StoreUnavailable: it does not answer
        """
        ...

    async def remarks(self) -> tuple[str, ...]:
        """
        Name what is allowed and still weaker than what Relevo ships, a sentence each.

        :raises StoreUnavailable: it does not answer
        """
        ...
