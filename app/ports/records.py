"""The store while a step runs: alerts in, what is due, the story of each target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from app.domain.activity import Activity
from app.domain.alert import Alert, KnownAlert
from app.domain.audit import AuditEntry
from app.domain.control import Brake, Halt, Order
from app.domain.message import Message
from app.domain.remediation import Remediation


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An alert, resolved to the target that it is about."""

    target: str
    alert: Alert
    #: From a pull that lists the alert now, not from a notification: outranks a tombstone.
    listed: bool = False
    #: When its target is looked at for it; None: now.
    due: datetime | None = None


class Taken(StrEnum):
    """What became of one notice."""

    ACCEPTED = "accepted"
    #: Known already; counts as accepted.
    DUPLICATE = "duplicate"
    RESOLVED = "resolved"
    #: A firing notice that is not newer than the resolved one, or a resolved one that is
    #: older than what fires.
    STALE = "stale"
    #: Not kept: its target has as many alerts as are kept, and is treated for those.
    FULL = "full"


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


class Claim(NamedTuple):
    """A due step, ours for a limited time; a tuple, since they are made by the thousand."""

    target: str
    #: Grows with every claim of this target: the older of two holders is refused.
    fence: int
    #: How often in a row the lease of this target ran out: whoever had it died, or its step did.
    lost: int = 0


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
    #: When an instance of the group left last because it was not needed any more.
    left_at: datetime | None = None
    #: The remediation that was closed last.
    previous: Remediation | None = None
    #: What an operator wants, until a step has answered it.
    order: Order | None = None
    #: Expired ones are told as well: whoever reads decides.
    pause: Halt | None = None
    hold: Halt | None = None
    brake: Brake = field(default_factory=Brake)
    #: Distinct targets whose last failed restart lies in ``(now - brake_window, now]``, and
    #: after the brake was cleared by a person.
    failing: int = 0


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
    #: Id of an attempt that is a restart which helped, for as long as `recovered_for` counts it.
    recovered_attempt: str | None = None
    recovered_for: timedelta = timedelta(hours=24)
    #: Id of an attempt that needs its action slot no longer (`Limits.concurrent`).
    freed: str | None = None
    #: The target serves again, or has left: it no longer counts as out (`Limits.out_of_group`).
    back: bool = False
    #: Id of the order that is answered with this step.
    answered_order: str | None = None
    #: Add to tallies that are kept for ever: name -> how much.
    tally: Mapping[str, int] = field(default_factory=dict)
    #: Set or move the end of the group's cooldown.
    cooldown: "Cooldown | None" = None
    #: Messages for people's tools, delivered from the outbox.
    outbox: tuple[Message, ...] = ()
    #: Lines for the audit.
    audit: tuple[AuditEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """A group's rest after a scale-out; the attempt that began it may pass."""

    group: str
    attempt_id: str
    #: None lifts the cooldown that this attempt began.
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on everything that Relevo does to one engine, asked as an intent is written."""

    #: Attempt that asks; its charge is made once, however often it is resumed.
    attempt_id: str
    #: Actions at once.
    concurrent: int
    #: Since when the target needs it: who has waited longer, and asks as well, goes first. None:
    #: a person's order, which does not queue.
    waiting_since: datetime | None
    #: Whoever has not asked for this long no longer waits.
    forget_after: timedelta
    #: Time between the beginnings of two actions, at least.
    spacing: timedelta
    #: Actions in any `burst_span`, and in any `hour`.
    burst: int
    burst_span: timedelta
    per_hour: int
    #: An hour; less where the chain runs faster than real time.
    hour: timedelta
    #: Its group, and how many of its targets may be out by our hand; None: it takes none out.
    group: str | None
    out_of_group: int
    #: It counts as out for this long at most, whatever becomes of us.
    out_for: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request under an Idempotency-Key was answered."""

    #: Of the caller's choice, and of what was asked: the same key for something else is an error.
    key: str
    digest: str
    #: JSON.
    answer: str


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


class Records(Protocol):
    """The story of each target, written under its claim."""

    async def read(
        self, target: str, *, group: str, now: datetime, window: timedelta, brake_window: timedelta
    ) -> Dossier:
        """
        Read all of one target in one look.

        :param window: in which failed restarts of the target count
        :param brake_window: in which failing targets count for the brake
        """
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
        limits: Limits,
        activity: Activity | None = None,
        cooldown: Cooldown | None = None,
    ) -> None:
        """
        Write the intent of an action before the action, and hold the step for `lease` more.

        Charges the budget and takes an action slot (until the lease ends or a note frees it);
        an attempt that is charged already passes. Where it raises, nothing is written but that
        the target waits for its turn. The audit has its line, once for each claim.

        :raises LeaseLost: another worker has the step
        :raises CoolingDown: the group was scaled out by another attempt a moment ago
        :raises OutOfBudget: too many actions at once, or lately
        :raises GroupBusy: too many targets of the group are out already
        """
        ...

    async def note(self, claim: Claim, entry: Entry, *, now: datetime) -> None:
        """
        Write what the step leaves behind, and give the claim back.

        A notice that arrived during the step keeps its own, earlier due time.

        :raises LeaseLost: another worker has the step; nothing was written
        """
        ...
