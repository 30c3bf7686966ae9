"""The store while a step runs: alerts in, what is due, the story of each target."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from app.domain.activity import Activity
from app.domain.alert import Alert, KnownAlert
from app.domain.remediation import Remediation


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An alert, resolved to the target that it is about."""

    target: str
    alert: Alert
    #: From a pull that lists the alert now, not from a notification: outranks a tombstone.
    listed: bool = False


class Taken(StrEnum):
    """What became of one notice."""

    ACCEPTED = "accepted"
    #: Known already; counts as accepted.
    DUPLICATE = "duplicate"
    RESOLVED = "resolved"
    #: A firing notice that is not newer than the resolved one, or a resolved one that is
    #: older than what fires.
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """An alert that was not taken on, kept for explanation."""

    at: datetime
    #: ``set_aside`` for one that cannot be read, else the reason word it was skipped for.
    reason: str
    #: One sentence: what was wrong with it.
    detail: str
    #: The alert as far as it could be read, cut short.
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A due step, ours for a limited time."""

    target: str
    #: Grows with every claim of this target: the older of two holders is refused.
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Due steps, and when the next one falls due."""

    claims: tuple[Claim, ...]
    #: Of what is neither due nor claimed; None when nothing is scheduled.
    next_due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """All that the store knows of one target."""

    #: The open remediation (a quarantined one is open).
    remediation: Remediation | None
    alerts: tuple[KnownAlert, ...]
    #: Failed restarts in ``(now - window, now]``.
    failures: int
    #: The group may not be scaled out again before then.
    cooling_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one step leaves behind; written as a whole or not at all."""

    #: The remediation after the step; None where none is open.
    remediation: Remediation | None
    #: When to look again; None: only when something new arrives.
    due: datetime | None
    #: Id of an attempt that is a failed restart.
    failed_attempt: str | None = None
    #: How long that failure is kept: the policy's window.
    window: timedelta = timedelta(hours=1)
    #: Targets whose failures a scale-out has consumed.
    consumed: tuple[str, ...] = ()
    #: Alerts that the API has listed for the first time (fingerprints).
    listed: tuple[str, ...] = ()
    #: Alerts that are over; forgotten unless a newer notice came meanwhile.
    over: tuple[KnownAlert, ...] = ()
    activity: Activity | None = None
    #: Earlier remediations of the target that changed, such as by a relapse.
    amended: tuple[Remediation, ...] = ()
    #: Set or move the end of the group's cooldown.
    cooldown: "Cooldown | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """A group's rest after a scale-out; the attempt that began it may pass."""

    group: str
    attempt_id: str
    #: None lifts the cooldown that this attempt began.
    until: datetime | None


class Inbox(Protocol):
    """Where accepted alerts are kept."""

    async def accept(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        """
        Keep alerts durably and make their targets due; one answer per notice, in order.

        All or nothing is not promised, repeating is harmless.

        :raises StoreUnavailable: nothing may be assumed kept
        """
        ...


class Schedule(Protocol):
    """When each target is looked at next."""

    async def claim(self, *, now: datetime, lease: timedelta, limit: int) -> Claimed:
        """
        Lease up to `limit` due targets, the longest due first.

        A target whose lease ran out is due again. One that is leased is nobody else's.
        """
        ...

    async def renew(self, claim: Claim, *, now: datetime, lease: timedelta) -> None:
        """
        Hold a step until ``now + lease`` at least.

        :raises LeaseLost: another worker has the step
        """
        ...

    async def overdue(self, *, now: datetime) -> timedelta:
        """Tell how long the longest due target has been waiting for a claim; zero for none."""
        ...


class Records(Protocol):
    """The story of each target, written under its claim."""

    async def read(self, claim: Claim, *, group: str, now: datetime, window: timedelta) -> Dossier:
        """Read all of one target in one look."""
        ...

    async def remediation_of(self, target: str) -> Remediation | None:
        """Read the open remediation of a target."""
        ...

    async def intend(
        self,
        claim: Claim,
        remediation: Remediation,
        *,
        now: datetime,
        lease: timedelta,
        activity: Activity | None = None,
        cooldown: Cooldown | None = None,
    ) -> None:
        """
        Write the intent of an action before the action, and hold the step for `lease` more.

        :raises LeaseLost: another worker has the step
        :raises CoolingDown: the group was scaled out by another attempt a moment ago
        """
        ...

    async def note(self, claim: Claim, entry: Entry, *, now: datetime) -> None:
        """
        Write what the step leaves behind, and give the claim back.

        A notice that arrived during the step keeps its own, earlier due time.

        :raises LeaseLost: another worker has the step; nothing was written
        """
        ...
