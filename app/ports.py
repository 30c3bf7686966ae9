"""
What the controller needs of the outside, in our words, with our errors.

Adapters implement these; tests pass in working fakes. Nothing here knows Docker's,
Redis' or Alertmanager's own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from app.domain.activity import Activity
from app.domain.alert import Alert, AlertListing, KnownAlert
from app.domain.container import Container, EngineIdentity, Listed
from app.domain.decision import Reason
from app.domain.fidelity import FidelityReport
from app.domain.remediation import Remediation, State
from app.policies.spec import ScaleOutRules


class Clock(Protocol):
    """The one source of "now". Read it once per step, then pass the value on."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


# ---------------------------------------------------------------- the container engine


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneResult:
    """What became of the wish for a clone."""

    report: FidelityReport
    #: The running clone; None for a dry run.
    clone: Container | None


class ContainerEngine(Protocol):
    """
    One container engine, spoken to in intentions.

    A container is named by the 64-hex id of the engine's own listing, never by anything
    that came from outside; anything else is a ValueError before a request is made.

    Every method may raise EngineUnavailable, and EngineSilent where the engine took a
    request and did not answer in time: then what was asked for may still happen.
    """

    async def identity(self) -> EngineIdentity:
        """Ask the engine who it is."""
        ...

    async def containers(self) -> tuple[Listed, ...]:
        """List all containers, running or not."""
        ...

    async def inspect(self, container_id: str) -> Container:
        """Look at one container. :raises ContainerGone:"""
        ...

    async def restart(
        self, container_id: str, *, attempt_id: str, expected_started_at: str, stop_grace: timedelta
    ) -> None:
        """
        Restart a container if nobody else started it since `expected_started_at`.

        :raises StartedMeanwhile: somebody did
        :raises ContainerGone:
        :raises EngineRefused: the engine answered an error for this container
        """
        ...

    async def start(self, container_id: str, *, attempt_id: str) -> None:
        """Start a stopped container; one that runs already is fine. Errors as `restart`."""
        ...

    async def clone(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool = False,
    ) -> CloneResult:
        """
        Make another instance of a container: created, connected, started, not yet verified.

        Adopts a half-made clone of the same attempt. On any error what was made is removed
        again; the source is never touched. A dry run only reports.

        :param at: the time that the clone's labels say it was made
        :raises CloneRefused: the report says why; never for a dry run
        :raises ContainerGone:
        :raises EngineRefused:
        """
        ...

    async def remove_clone(self, container_id: str, *, attempt_id: str) -> None:
        """
        Stop and remove a clone of ours; one that is gone already is fine.

        :raises EngineRefused: it is not a clone of ours, or the engine answered an error
        """
        ...


# ---------------------------------------------------------------- who tells of symptoms


class AlertSource(Protocol):
    """Alertmanager's API."""

    async def listing(self) -> AlertListing:
        """Pull all alerts. :raises SourceUnavailable: no Alertmanager answered"""
        ...


class SampleSource(Protocol):
    """Prometheus' API."""

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        """
        Tell when the newest sample of a container was taken.

        None where no sample of it was ever seen (in the last day): it is not measured there.

        :raises SourceUnavailable:
        """
        ...


# ---------------------------------------------------------------- the store


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


class FailureWindow(Protocol):
    """Failed restarts in a sliding window."""

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """Count failures of a target in ``(now - window, now]``."""
        ...

    async def failing_targets(self, *, now: datetime, window: timedelta) -> int:
        """
        Count distinct targets whose last failure lies in ``(now - window, now]``.

        Failures that a scale-out has consumed count here: many of them are a storm, too.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationFilter:
    """Which remediations to list."""

    target: str | None = None
    state: State | None = None
    since: datetime | None = None
    limit: int = 100


class History(Protocol):
    """What happened, for people."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All parts of one store."""

    inbox: Inbox
    schedule: Schedule
    records: Records
    failures: FailureWindow
    history: History
    facts: Facts
    health: StoreHealth


# Kept beside the ports because both sides name it.
@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An alert that is not for us, and why."""

    reason: Reason
    detail: str = field(default="")
