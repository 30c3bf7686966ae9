"""
The store in memory: same answers as the Redis one, no I/O.

One behavioural suite runs over both (``tests/adapters/store``). Nothing is ever forgotten
for its age: where Redis drops a key after days, this keeps it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.adapters.store.codec import ASIDE, dump_aside, from_ms, span_ms, to_ms, to_ms_up
from app.domain.activity import Activity
from app.domain.remediation import Remediation
from app.errors import CoolingDown, LeaseLost
from app.ports import (
    Aside,
    Claim,
    Claimed,
    Cooldown,
    Dossier,
    Entry,
    Notice,
    RemediationFilter,
    Store,
    Taken,
)
from tests.memory_alerts import MemoryAlerts

_MOST = 1000


@dataclass(frozen=True, slots=True)
class _Cooling:
    """A group's running cooldown, milliseconds since the epoch."""

    until_ms: int
    attempt_id: str


class MemoryStore:
    """All ports of the store at once; times inside are milliseconds since the epoch."""

    def __init__(self) -> None:
        self._fence = 0
        self._due: dict[str, int] = {}
        #: Target -> end of its lease.
        self._running: dict[str, int] = {}
        #: Target -> fence of its lease.
        self._leases: dict[str, int] = {}
        self._alerts = MemoryAlerts()
        self._asides: dict[tuple[int, int, Aside], Aside] = {}
        self._records: dict[str, Remediation] = {}
        #: Target -> id of its open remediation.
        self._open: dict[str, str] = {}
        #: Target -> the last note that was written.
        self._noted: dict[str, tuple[int, Entry]] = {}
        self._failures: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._failing: dict[str, int] = {}
        self._activities: dict[str, Activity] = {}
        self._cooling: dict[str, _Cooling] = {}
        self._facts: dict[str, str] = {}

    # ------------------------------------------------------------ inbox

    async def accept(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        """See `app.ports.Inbox`."""
        now_ms = to_ms(now)
        taken = tuple(self._alerts.take(notice, now_ms=now_ms) for notice in notices)
        for notice, answer in zip(notices, taken, strict=True):
            if answer in (Taken.ACCEPTED, Taken.RESOLVED):
                self._pull_due(notice.target, now_ms)
            elif answer is Taken.DUPLICATE and notice.target not in self._running:
                # A target with an alert and no place in the schedule has lost it.
                self._due.setdefault(notice.target, now_ms)
        for place, aside in enumerate(asides):
            kept = ASIDE.load(dump_aside(aside), key="asides")
            self._asides[to_ms(aside.at), place, kept] = kept
        for key in sorted(self._asides, key=lambda key: key[:2])[:-_MOST]:
            del self._asides[key]
        return taken

    def _pull_due(self, target: str, at_ms: int) -> None:
        self._due[target] = min(self._due.get(target, at_ms), at_ms)

    # ------------------------------------------------------------ schedule

    def _claimable(self, now_ms: int) -> list[tuple[int, bool, str]]:
        """What is due or whose lease was lost: since when, whether it was due, target."""
        found = [(end, False, target) for target, end in self._running.items() if end <= now_ms]
        found += [
            (due, True, target)
            for target, due in self._due.items()
            if due <= now_ms and target not in self._running
        ]
        return sorted(found)

    async def claim(self, *, now: datetime, lease: timedelta, limit: int) -> Claimed:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        later = [at for at in (*self._due.values(), *self._running.values()) if at > now_ms]
        claims = []
        for _, _, target in self._claimable(now_ms)[:limit]:
            self._fence += 1
            self._leases[target] = self._fence
            self._running[target] = to_ms_up(now + lease)
            if self._due.get(target, now_ms + 1) <= now_ms:
                del self._due[target]
            claims.append(Claim(target=target, fence=self._fence))
        return Claimed(claims=tuple(claims), next_due=from_ms(min(later)) if later else None)

    async def renew(self, claim: Claim, *, now: datetime, lease: timedelta) -> None:
        """See `app.ports.Schedule`."""
        if self._leases.get(claim.target) != claim.fence:
            raise LeaseLost(claim.target)
        self._running[claim.target] = max(self._running[claim.target], to_ms_up(now + lease))

    async def overdue(self, *, now: datetime) -> timedelta:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        waiting = self._claimable(now_ms)
        return timedelta(milliseconds=now_ms - waiting[0][0]) if waiting else timedelta(0)

    # ------------------------------------------------------------ records

    async def read(self, claim: Claim, *, group: str, now: datetime, window: timedelta) -> Dossier:
        """See `app.ports.Records`."""
        cooling = self._cooling.get(group)
        is_cooling = cooling is not None and cooling.until_ms > to_ms(now)
        return Dossier(
            remediation=await self.remediation_of(claim.target),
            alerts=self._alerts.of(claim.target),
            failures=await self.count(claim.target, now=now, window=window),
            cooling_until=from_ms(cooling.until_ms) if cooling and is_cooling else None,
        )

    async def remediation_of(self, target: str) -> Remediation | None:
        """See `app.ports.Records`."""
        return self._records.get(self._open.get(target, ""))

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
        """See `app.ports.Records`."""
        if self._leases.get(claim.target) != claim.fence:
            raise LeaseLost(claim.target)
        if cooldown is not None and cooldown.until is not None:
            running = self._cooling.get(cooldown.group)
            if (
                running is not None
                and running.attempt_id != cooldown.attempt_id
                and running.until_ms > to_ms(now)
            ):
                raise CoolingDown(from_ms(running.until_ms))
        self._cool(cooldown)
        self._write(claim.target, remediation)
        self._write_activity(activity)
        self._running[claim.target] = to_ms_up(now + lease)

    async def note(self, claim: Claim, entry: Entry, *, now: datetime) -> None:
        """See `app.ports.Records`."""
        target = claim.target
        if self._noted.get(target) == (claim.fence, entry):
            return
        if self._leases.get(target) != claim.fence:
            raise LeaseLost(target)
        self._noted[target] = (claim.fence, entry)
        for earlier in entry.amended:
            self._write(target, earlier)
        self._write(target, entry.remediation)
        self._write_activity(entry.activity)
        self._cool(entry.cooldown)
        self._note_failures(target, entry, to_ms(now))
        self._alerts.forget(target, entry.over)
        self._alerts.mark_listed(target, entry.listed)
        del self._running[target], self._leases[target]
        if entry.due is not None:
            self._pull_due(target, to_ms_up(entry.due))

    def _note_failures(self, target: str, entry: Entry, now_ms: int) -> None:
        attempt = entry.failed_attempt
        if attempt is not None and attempt not in self._failures[target]:
            self._failures[target][attempt] = now_ms
            self._failing[target] = max(self._failing.get(target, now_ms), now_ms)
        for consumed in entry.consumed:
            self._failures.pop(consumed, None)

    def _write(self, target: str, remediation: Remediation | None) -> None:
        if remediation is not None:
            self._records[remediation.id] = remediation
        if remediation is not None and not remediation.is_closed:
            self._open[target] = remediation.id
        elif remediation is None or self._open.get(target) == remediation.id:
            self._open.pop(target, None)

    def _write_activity(self, activity: Activity | None) -> None:
        if activity is not None:
            self._activities[activity.id] = activity

    def _cool(self, cooldown: Cooldown | None) -> None:
        if cooldown is None:
            return
        running = self._cooling.get(cooldown.group)
        is_ours = running is not None and running.attempt_id == cooldown.attempt_id
        if cooldown.until is None:
            if is_ours:
                del self._cooling[cooldown.group]
            return
        until_ms = to_ms_up(cooldown.until)
        if running is None or is_ours or running.until_ms < until_ms:
            self._cooling[cooldown.group] = _Cooling(until_ms, cooldown.attempt_id)

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        return _within(self._failures[target], now, window)

    async def failing_targets(self, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        return _within(self._failing, now, window)

    async def remediation(self, remediation_id: str) -> Remediation | None:
        """See `app.ports.History`."""
        return self._records.get(remediation_id)

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        """See `app.ports.History`."""
        found = [
            record
            for record in self._records.values()
            if (which.target is None or record.target == which.target)
            and (which.state is None or record.state is which.state)
            and (which.since is None or to_ms(record.opened_at) >= to_ms(which.since))
        ]
        found.sort(key=lambda record: (to_ms(record.opened_at), record.id), reverse=True)
        return tuple(found[: which.limit])

    async def activities(
        self, *, group: str | None = None, limit: int = 100
    ) -> tuple[Activity, ...]:
        """See `app.ports.History`."""
        found = [one for one in self._activities.values() if group in (None, one.group)]
        found.sort(key=lambda one: (to_ms(one.started_at), one.id), reverse=True)
        return tuple(found[: min(limit, _MOST)])

    async def activity(self, activity_id: str) -> Activity | None:
        """See `app.ports.History`."""
        return self._activities.get(activity_id)

    async def asides(self, *, limit: int = 100) -> tuple[Aside, ...]:
        """See `app.ports.History`."""
        newest = sorted(self._asides, key=lambda key: key[:2], reverse=True)
        return tuple(self._asides[key] for key in newest[:limit])

    async def get(self, name: str) -> str | None:
        """See `app.ports.Facts`."""
        return self._facts.get(name)

    async def put(self, name: str, value: str) -> None:
        """See `app.ports.Facts`."""
        self._facts[name] = value

    async def check(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        return ()

    async def remarks(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        return ()


def _within(times: dict[str, int], now: datetime, window: timedelta) -> int:
    now_ms = to_ms(now)
    return sum(now_ms - span_ms(window) < at <= now_ms for at in times.values())


def make_store(memory: MemoryStore | None = None) -> Store:
    """Return all parts of one store in memory, of `memory` where given."""
    part = memory or MemoryStore()
    return Store(
        inbox=part,
        schedule=part,
        records=part,
        failures=part,
        history=part,
        facts=part,
        health=part,
    )
