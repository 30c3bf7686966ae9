"""
The store in memory: same answers as the Redis one, no I/O.

One behavioural suite runs over both (``tests/adapters/store``). Nothing is ever forgotten
for its age: where Redis drops a key after days, this keeps it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.adapters.store.codec import ASIDE, dump_aside, from_ms, span_ms, to_ms, to_ms_up
from app.domain.activity import Activity
from app.domain.audit import AuditEntry
from app.domain.casefile import CaseFile
from app.domain.control import Brake, Halt, Order
from app.domain.remediation import Remediation
from app.errors import CoolingDown, GroupBusy, LeaseLost, OutOfBudget
from app.policies import trail
from app.ports import (
    NEXT_SUSPECT,
    Aside,
    Claim,
    Claimed,
    Cooldown,
    Dossier,
    Entry,
    Glance,
    Limits,
    Notice,
    RemediationFilter,
    Reply,
    Store,
    Taken,
)
from tests.memory_alerts import MemoryAlerts
from tests.memory_leadership import Bearings, Framed, MemoryLeadership, Seat
from tests.memory_outbox import MemoryAudit, MemoryOutbox
from tests.memory_scaling import MemoryScaling

_MOST = 1000


@dataclass(frozen=True, slots=True)
class _Cooling:
    """A group's running cooldown, milliseconds since the epoch."""

    until_ms: int
    attempt_id: str
    since_ms: int


class MemoryControls:
    """See `app.ports.Controls`."""

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit = audit
        self._pause: Halt | None = None
        self._holds: dict[str, Halt] = {}
        self._brake = Brake()

    async def pause(self) -> Halt | None:
        """See `app.ports.Controls`."""
        return self._pause

    async def set_pause(self, halt: Halt | None, *, told: AuditEntry | None = None) -> None:
        """See `app.ports.Controls`."""
        self._pause = halt
        self._tell(told)

    async def holds(self) -> Mapping[str, Halt]:
        """See `app.ports.Controls`."""
        return dict(self._holds)

    async def set_hold(
        self, target: str, halt: Halt | None, *, told: AuditEntry | None = None
    ) -> None:
        """See `app.ports.Controls`."""
        self._tell(told)
        self._holds.pop(target, None)
        if halt is not None:
            oldest_ms = to_ms(halt.since) - span_ms(timedelta(days=1))
            for other, held in list(self._holds.items()):
                if held.until is not None and to_ms_up(held.until) < oldest_ms:
                    del self._holds[other]
            self._holds[target] = halt

    def restore(self, pause: Halt | None, holds: Mapping[str, Halt]) -> None:
        """Take back what a store that lost its memory has forgotten."""
        self._pause = self._pause or pause
        self._holds = {**holds, **self._holds}

    def _tell(self, told: AuditEntry | None) -> None:
        if told is not None:
            self._audit.write([told], now=told.at)

    async def brake(self) -> Brake:
        """See `app.ports.Controls`."""
        return self._brake

    async def set_brake(self, brake: Brake) -> None:
        """See `app.ports.Controls`."""
        self._brake = brake


class MemoryOrders:
    """See `app.ports.Orders`; places orders in the schedule of its store."""

    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        self._pending: dict[str, Order] = {}
        #: Target -> its last order, pending or not.
        self._placed: dict[str, Order] = {}
        self._replies: dict[str, Reply] = {}

    async def place(
        self, target: str, order: Order, *, now: datetime, reply: Reply | None = None
    ) -> Order | Reply | None:
        """See `app.ports.Orders`."""
        if self._placed.get(target) == order:
            return None
        if reply is not None and reply.key in self._replies:
            return self._replies[reply.key]
        if target in self._pending:
            return self._pending[target]
        self._store.audit.write([trail.placed(target, order)], now=now)
        self._pending[target] = self._placed[target] = order
        if reply is not None:
            self._replies[reply.key] = reply
        await self._store.nudge([target], now=now)
        return None

    async def pending(self, target: str) -> Order | None:
        """See `app.ports.Orders`."""
        return self._pending.get(target)

    async def replied(self, key: str) -> Reply | None:
        """See `app.ports.Orders`."""
        return self._replies.get(key)

    async def reply(self, reply: Reply) -> Reply | None:
        """See `app.ports.Orders`."""
        first = self._replies.get(reply.key)
        self._replies.setdefault(reply.key, reply)
        return first

    def answer(self, target: str, order_id: str | None) -> None:
        """End the order, if it is this one."""
        pending = self._pending.get(target)
        if pending is not None and pending.id == order_id:
            del self._pending[target]


class MemoryCaseFiles:
    """See `app.ports.CaseFiles`."""

    def __init__(self) -> None:
        self._files: dict[str, CaseFile] = {}

    async def keep(self, attempt_id: str, file: CaseFile) -> None:
        """See `app.ports.CaseFiles`."""
        self._files[attempt_id] = file

    async def of(self, attempt_id: str) -> CaseFile | None:
        """See `app.ports.CaseFiles`."""
        return self._files.get(attempt_id)


class MemoryBudget:
    """What ``lua/budget.lua`` does, in Python."""

    def __init__(self) -> None:
        #: Attempt -> end of its slot.
        self._slots: dict[str, int] = {}
        #: Attempt -> when it was charged.
        self.charges: dict[str, int] = {}
        #: Target -> since when it waits for its turn, and until when unless it asks again.
        self._waiting: dict[str, tuple[int, int]] = {}
        #: Group -> target -> until when it counts as out.
        self._out: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def charge(self, target: str, limits: Limits, now: datetime, *, slot_end: int) -> None:
        """Charge an attempt, or raise and change nothing."""
        now_ms, attempt = to_ms(now), limits.attempt_id
        longest_ms = span_ms(max(limits.burst_span, limits.hour))
        charges = {one: at for one, at in self.charges.items() if at > now_ms - longest_ms}
        try:
            self._check_budget(limits, now_ms, slot_end, is_charged=attempt in charges)
            if attempt not in charges:
                self._check_turn(target, limits, now_ms)
        except OutOfBudget:
            self._wait(target, limits, now_ms)
            raise
        self._check_group(target, limits, now)
        self._waiting.pop(target, None)
        self._slots[attempt] = slot_end
        self.charges = {attempt: now_ms} | charges
        if limits.group is not None:
            self._out[limits.group][target] = to_ms_up(now + limits.out_for)

    def _check_budget(
        self, limits: Limits, now_ms: int, slot_end: int, *, is_charged: bool
    ) -> None:
        others = [end for one, end in self._slots.items() if one != limits.attempt_id]
        ends = [end for end in others if end > now_ms]
        full = [_full_until(ends, limits.concurrent, otherwise=slot_end)]
        rates = (
            (1, limits.spacing),
            (limits.burst, limits.burst_span),
            (limits.per_hour, limits.hour),
        )
        for most, span in () if is_charged else rates:
            span_in_ms = span_ms(span)
            charged = self.charges.values()
            ends = [at + span_in_ms for at in charged if now_ms - span_in_ms < at <= now_ms]
            full.append(_full_until(ends, most, otherwise=now_ms + span_in_ms))
        if any(full):
            raise OutOfBudget(from_ms(max(full)))

    def _check_turn(self, target: str, limits: Limits, now_ms: int) -> None:
        if limits.waiting_since is None:
            return
        since = to_ms(limits.waiting_since)
        # In Redis' order: by time, then by name.
        for at, other, ends in sorted((at, one, end) for one, (at, end) in self._waiting.items()):
            if at < since and other != target and ends > now_ms:
                raise OutOfBudget(from_ms(ends))

    def _wait(self, target: str, limits: Limits, now_ms: int) -> None:
        if limits.waiting_since is None:
            return
        self._waiting = {one: pair for one, pair in self._waiting.items() if pair[1] > now_ms}
        forgotten = now_ms + span_ms(limits.forget_after)
        self._waiting[target] = (to_ms(limits.waiting_since), forgotten)

    def _check_group(self, target: str, limits: Limits, now: datetime) -> None:
        if limits.group is None:
            return
        out = {one: end for one, end in self._out[limits.group].items() if end > to_ms(now)}
        otherwise = to_ms_up(now + limits.out_for)
        full = _full_until(out.values(), limits.out_of_group, otherwise=otherwise)
        if target not in out and full:
            raise GroupBusy(from_ms(full))

    def forget_ends(self, now_ms: int) -> None:
        """Have everything that lasts end now."""
        self._slots = {one: min(end, now_ms) for one, end in self._slots.items()}
        self._waiting = {
            one: (since, min(end, now_ms)) for one, (since, end) in self._waiting.items()
        }

    def free(self, attempt_id: str | None) -> None:
        """Give a slot back."""
        self._slots.pop(attempt_id or "", None)

    def back(self, target: str, group: str) -> None:
        """Count a target as out no longer."""
        self._out[group].pop(target, None)


def _full_until(ends: Collection[int], room: int, *, otherwise: int) -> int:
    """When there is room for one more; 0 for now."""
    if len(ends) < room:
        return 0
    return sorted(ends)[len(ends) - room] if room else otherwise


class MemoryStore:
    """
    Most ports of the store at once; times inside are milliseconds since the epoch.

    Those that operators use are `controls`, `orders` and `casefiles`; beside them `outbox`,
    `audit` and `scaling`.
    """

    def __init__(self) -> None:
        self.seat = Seat()
        #: Target -> how often in a row its lease ran out.
        self._lost: dict[str, int] = {}
        self._due: dict[str, int] = {}
        #: Target -> end of its lease.
        self._running: dict[str, int] = {}
        #: Target -> fence of its lease.
        self._leases: dict[str, int] = {}
        self._alerts = MemoryAlerts()
        self._asides: dict[tuple[int, int, Aside], Aside] = {}
        self._records: dict[str, Remediation] = {}
        #: When each of them was opened, ms; and all of them, the newest first: None, to be sorted.
        self._opened_ms: dict[str, int] = {}
        self._newest_opened: list[tuple[int, str]] | None = None
        #: Target -> id of its open remediation.
        self._open: dict[str, str] = {}
        #: Ids of those that are listed as open.
        self._listed_open: set[str] = set()
        #: Target -> when the remediation that was closed last was opened, and its id.
        self._last: dict[str, tuple[int, str]] = {}
        #: Target -> the last note that was written.
        self._noted: dict[str, tuple[int, Entry]] = {}
        self._failures: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._failing: dict[str, int] = {}
        self._activities: dict[str, Activity] = {}
        #: Group -> its activities; of all of them under None. Empty after each that is written.
        self._newest_first: dict[str | None, list[Activity]] = {}
        self._cooling: dict[str, _Cooling] = {}
        self._facts: dict[str, str] = {}
        #: Attempt and target -> when it helped.
        self._recoveries: dict[tuple[str, str], int] = {}
        self._tallies: defaultdict[str, int] = defaultdict(int)
        self.budget = MemoryBudget()
        self.audit = MemoryAudit()
        self.controls = MemoryControls(self.audit)
        self.orders = MemoryOrders(self)
        self.casefiles = MemoryCaseFiles()
        self.outbox = MemoryOutbox()
        self.scaling = MemoryScaling(self)
        #: Target -> fence and attempt of its last intent in the audit.
        self._intended: dict[str, tuple[int, str]] = {}

    def take_over(self, now_ms: int) -> None:
        """End all leases: whoever had them is gone, or will be told so."""
        self._running = {target: min(end, now_ms) for target, end in self._running.items()}

    def look_again(self, now_ms: int) -> None:
        """Make due what is due later."""
        self._due = {target: min(at, now_ms) for target, at in self._due.items()}
        self.take_over(now_ms)
        self.budget.forget_ends(now_ms)

    @property
    def charges(self) -> dict[str, int]:
        """Attempt -> when it was charged."""
        return self.budget.charges

    # ------------------------------------------------------------ inbox

    async def accept(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        """See `app.ports.Inbox`."""
        now_ms = to_ms(now)
        taken = tuple(self._alerts.take(notice, now_ms=now_ms) for notice in notices)
        missed: dict[str, int] = {}
        wanted: dict[str, int] = {}
        for notice, answer in zip(notices, taken, strict=True):
            due_ms = now_ms if notice.due is None else to_ms_up(notice.due)
            if answer in (Taken.ACCEPTED, Taken.RESOLVED):
                wanted[notice.target] = min(wanted.get(notice.target, due_ms), due_ms)
            elif answer is Taken.DUPLICATE:
                missed[notice.target] = min(missed.get(notice.target, due_ms), due_ms)
        # A target with an alert and no place in the schedule has lost it.
        for target, due_ms in missed.items():
            if target not in self._running:
                self._due.setdefault(target, due_ms)
        for target, due_ms in wanted.items():
            self._pull_due(target, due_ms)
        for place, aside in enumerate(asides):
            kept = ASIDE.load(dump_aside(aside), key="asides")
            self._asides[to_ms(aside.at), place, kept] = kept
        if len(self._asides) > _MOST:
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

    async def claim(
        self,
        *,
        now: datetime,
        lease: timedelta,
        limit: int,
        has_suspect: bool = False,
        here: Collection[str] = (),
    ) -> Claimed:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        later_ms = now_ms + span_ms(NEXT_SUSPECT)
        later = [at for at in (*self._due.values(), *self._running.values()) if at > now_ms]
        claims: list[Claim] = []
        found = self._claimable(now_ms)
        # All that one call leases have one fence.
        fence = self.seat.next() if found and limit else 0
        for _, was_due, target in found:
            if len(claims) >= limit:
                break
            if not was_due:
                self._lost[target] = self._lost.get(target, 0) + 1
            if target in self._lost and (was_due or target not in here):
                if has_suspect:
                    self._hold_back(target, now_ms, later_ms)
                    later.append(later_ms)
                    continue
                has_suspect = True
            self._leases[target] = fence
            self._running[target] = to_ms_up(now + lease)
            if self._due.get(target, now_ms + 1) <= now_ms:
                del self._due[target]
            lost = self._lost.get(target, 0)
            claims.append(Claim(target=target, fence=fence, lost=lost))
        return Claimed(claims=tuple(claims), next_due=from_ms(min(later)) if later else None)

    def _hold_back(self, target: str, now_ms: int, later_ms: int) -> None:
        """Have a suspect wait, neither due nor leased."""
        due_ms = self._due.get(target, now_ms)
        self._due[target] = later_ms if due_ms <= now_ms else min(due_ms, later_ms)
        self._running.pop(target, None)
        self._leases.pop(target, None)

    async def renew(
        self, claims: Sequence[Claim], *, now: datetime, lease: timedelta
    ) -> tuple[Claim, ...]:
        """See `app.ports.Schedule`."""
        gone = tuple(one for one in claims if self._leases.get(one.target) != one.fence)
        for claim in claims:
            if claim not in gone:
                end = max(self._running[claim.target], to_ms_up(now + lease))
                self._running[claim.target] = end
        return gone

    async def requeue(self, claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        """See `app.ports.Schedule`."""
        target = claim.target
        if self._leases.get(target) != claim.fence:
            return
        self._pull_due(target, to_ms_up(due))
        del self._running[target], self._leases[target]
        if forget_lost:
            self._lost.pop(target, None)

    async def release(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool = False
    ) -> None:
        """See `app.ports.Schedule`."""
        for claim in claims:
            await self.requeue(claim, due=due, forget_lost=forget_lost)

    async def overdue(self, *, now: datetime) -> timedelta:
        """See `app.ports.Schedule`."""
        now_ms = to_ms(now)
        waiting = self._claimable(now_ms)
        return timedelta(milliseconds=now_ms - waiting[0][0]) if waiting else timedelta(0)

    async def nudge(self, targets: Sequence[str], *, now: datetime) -> None:
        """See `app.ports.Schedule`."""
        for target in targets:
            self._pull_due(target, to_ms(now))

    # ------------------------------------------------------------ records

    async def read(
        self, target: str, *, group: str, now: datetime, window: timedelta, brake_window: timedelta
    ) -> Dossier:
        """See `app.ports.Records`."""
        brake = await self.controls.brake()
        _, last = self._last.get(target, (0, ""))
        previous = self._records.get(last)
        left = self.scaling.left.get(group)
        if left is not None and _is_ahead(left, to_ms(now)):
            left = None
        return Dossier(
            remediation=await self.remediation_of(target),
            alerts=self._alerts.of(target),
            failures=await self.count(target, now=now, window=window),
            cooling_until=self._cooling_until(group, now=now),
            left_at=None if left is None else from_ms(left),
            previous=previous if previous is not None and previous.is_closed else None,
            order=await self.orders.pending(target),
            pause=await self.controls.pause(),
            hold=(await self.controls.holds()).get(target),
            brake=brake,
            failing=await self.failing_targets(
                now=now, window=brake_window, after=brake.cleared_at
            ),
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
        limits: Limits,
        activity: Activity | None = None,
        cooldown: Cooldown | None = None,
    ) -> None:
        """See `app.ports.Records`."""
        if self._leases.get(claim.target) != claim.fence:
            raise LeaseLost(claim.target)
        if cooldown is not None and cooldown.until is not None:
            running = self._running_cooldown(cooldown.group, to_ms(now))
            if (
                running is not None
                and running.attempt_id != cooldown.attempt_id
                and running.until_ms > to_ms(now)
            ):
                raise CoolingDown(from_ms(running.until_ms))
        lease_end = to_ms_up(now + lease)
        self.budget.charge(claim.target, limits, now, slot_end=lease_end)
        mark = (claim.fence, limits.attempt_id)
        if self._intended.get(claim.target) != mark:
            self.audit.write([trail.intent(remediation, limits.attempt_id, at=now)], now=now)
            self._intended[claim.target] = mark
        self._cool(cooldown, to_ms(now))
        self._write(claim.target, remediation)
        self.write_activity(activity)
        self._running[claim.target] = lease_end

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
        if entry.remediation is not None:
            self._write(target, entry.remediation)
        else:
            self._listed_open.discard(self._open.pop(target, ""))
        self.write_activity(entry.activity)
        self._cool(entry.cooldown, to_ms(now))
        self._note_failures(target, entry, to_ms(now))
        if entry.recovered_attempt is not None:
            self._recoveries.setdefault((entry.recovered_attempt, target), to_ms(now))
        self.budget.free(entry.freed)
        if entry.back and entry.remediation is not None:
            self.budget.back(target, entry.remediation.group)
        self.orders.answer(target, entry.answered_order)
        for name, number in entry.tally.items():
            self._tallies[name] += number
        self._alerts.forget(target, entry.over)
        self._alerts.mark_listed(target, entry.listed)
        self.outbox.put(entry.outbox)
        self.audit.write(entry.audit, now=now)
        del self._running[target], self._leases[target]
        self._lost.pop(target, None)
        if entry.due is not None:
            self._pull_due(target, to_ms_up(entry.due))

    def _note_failures(self, target: str, entry: Entry, now_ms: int) -> None:
        attempt = entry.failed_attempt
        if attempt is not None and attempt not in self._failures[target]:
            self._failures[target][attempt] = now_ms
            self._failing[target] = max(self._failing.get(target, now_ms), now_ms)
        for consumed in entry.consumed:
            self._failures.pop(consumed, None)

    def _write(self, target: str, remediation: Remediation) -> None:
        opened_ms = to_ms(remediation.opened_at)
        self._records[remediation.id] = remediation
        if self._opened_ms.get(remediation.id) != opened_ms:
            self._opened_ms[remediation.id] = opened_ms
            self._newest_opened = None
        if not remediation.is_closed:
            self._open[target] = remediation.id
            self._listed_open.add(remediation.id)
            return
        self._listed_open.discard(remediation.id)
        ends = self._open.get(target) == remediation.id
        if ends:
            del self._open[target]
        if ends or opened_ms >= self._last.get(target, (opened_ms, ""))[0]:
            self._last[target] = opened_ms, remediation.id

    def write_activity(self, activity: Activity | None) -> None:
        """Keep an activity, if there is one."""
        if activity is not None:
            self._activities[activity.id] = activity
            self._newest_first.clear()

    def _running_cooldown(self, group: str, now_ms: int) -> _Cooling | None:
        running = self._cooling.get(group)
        return None if running is None or _is_ahead(running.since_ms, now_ms) else running

    def _cool(self, cooldown: Cooldown | None, now_ms: int) -> None:
        if cooldown is None:
            return
        running = self._cooling.get(cooldown.group)
        is_ours = running is not None and running.attempt_id == cooldown.attempt_id
        if cooldown.until is None:
            if is_ours:
                del self._cooling[cooldown.group]
            return
        running = self._running_cooldown(cooldown.group, now_ms)
        until_ms = to_ms_up(cooldown.until)
        if running is None or is_ours or running.until_ms < until_ms:
            self._cooling[cooldown.group] = _Cooling(until_ms, cooldown.attempt_id, now_ms)

    async def count(self, target: str, *, now: datetime, window: timedelta) -> int:
        """See `app.ports.FailureWindow`."""
        return _within(self._failures[target], now, window)

    async def failing_targets(
        self, *, now: datetime, window: timedelta, after: datetime | None = None
    ) -> int:
        """See `app.ports.FailureWindow`."""
        times = self._failing
        if after is not None:
            after_ms = to_ms(after)
            times = {target: at for target, at in times.items() if at > after_ms}
        return _within(times, now, window)

    async def recoveries(self, *, since: datetime) -> Mapping[str, tuple[datetime, ...]]:
        """See `app.ports.FailureWindow`."""
        found: defaultdict[str, list[datetime]] = defaultdict(list)
        since_ms = to_ms(since)
        for (_, target), at in sorted(self._recoveries.items(), key=lambda item: item[1]):
            if at > since_ms:
                found[target].append(from_ms(at))
        return {target: tuple(times) for target, times in found.items()}

    async def charged(self, *, since: datetime) -> tuple[datetime, ...]:
        """See `app.ports.FailureWindow`."""
        since_ms = to_ms(since)
        times = sorted(at for at in self.budget.charges.values() if at > since_ms)
        return tuple(map(from_ms, times))

    async def glance(
        self, targets: Mapping[str, str], *, now: datetime, since: datetime
    ) -> Mapping[str, Glance]:
        """See `app.ports.History`."""
        return {
            target: Glance(
                remediation=await self.remediation_of(target),
                failed_at=self._failed(target, now=now, since=since),
                cooling_until=self._cooling_until(group, now=now),
            )
            for target, group in targets.items()
        }

    def _failed(self, target: str, *, now: datetime, since: datetime) -> tuple[datetime, ...]:
        if target not in self._failures:
            return ()
        times = sorted(self._failures[target].values())
        return tuple(from_ms(at) for at in times if to_ms(since) < at <= to_ms(now))

    def _cooling_until(self, group: str, *, now: datetime) -> datetime | None:
        if group not in self._cooling:
            return None
        now_ms = to_ms(now)
        cooling = self._running_cooldown(group, now_ms)
        is_cooling = cooling is not None and cooling.until_ms > now_ms
        return from_ms(cooling.until_ms) if cooling and is_cooling else None

    async def remediation(self, remediation_id: str) -> Remediation | None:
        """See `app.ports.History`."""
        return self._records.get(remediation_id)

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        """See `app.ports.History`."""
        records, opened = self._records, self._opened_ms
        since_ms = None if which.since is None else to_ms(which.since)
        if which.open_only:
            listed = sorted(((opened[one], one) for one in self._listed_open), reverse=True)
        else:
            if self._newest_opened is None:
                self._newest_opened = sorted(
                    ((ms, one) for one, ms in opened.items()), reverse=True
                )
            listed = self._newest_opened
        found: list[Remediation] = []
        for opened_ms, one in listed:
            if len(found) >= which.limit or (since_ms is not None and opened_ms < since_ms):
                break
            record = records[one]
            if which.target is not None and record.target != which.target:
                continue
            if which.state is None or record.state is which.state:
                found.append(record)
        return tuple(found)

    async def activities(
        self, *, group: str | None = None, limit: int = 100
    ) -> tuple[Activity, ...]:
        """See `app.ports.History`."""
        found = self._newest_first.get(group)
        if found is None:
            found = [one for one in self._activities.values() if group in (None, one.group)]
            found.sort(key=lambda one: (to_ms(one.started_at), one.id), reverse=True)
            self._newest_first[group] = found
        return tuple(found[: min(limit, _MOST)])

    async def activity(self, activity_id: str) -> Activity | None:
        """See `app.ports.History`."""
        return self._activities.get(activity_id)

    async def tallies(self) -> Mapping[str, int]:
        """See `app.ports.History`."""
        return dict(self._tallies)

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


def _is_ahead(moment_ms: int, now_ms: int) -> bool:
    """Tell what a clock told that was wrong."""
    return moment_ms > now_ms + 60_000


def _within(times: dict[str, int], now: datetime, window: timedelta) -> int:
    if not times:
        return 0
    now_ms = to_ms(now)
    oldest_ms = now_ms - span_ms(window)
    return sum(oldest_ms < at <= now_ms for at in times.values())


def make_store(memory: MemoryStore | None = None) -> Store:
    """
    Return all parts of one store in memory, of `memory` where given.

    Each call is another controller's: what it trusts, and whether it leads, is its own.
    """
    one = memory or MemoryStore()
    return make_view(lambda: one)


def make_view(memory_of: Callable[[], MemoryStore]) -> Store:
    """As `make_store`, of a memory that may be exchanged for an older copy of itself."""
    bearings = Bearings()

    def seat() -> Seat:
        return memory_of().seat

    part: Any = _Current(memory_of)
    framed: Any = Framed(
        part,
        seat,
        bearings,
        writes=("accept",),
        leads=("claim", "renew", "requeue", "release", "intend", "note"),
        reads=("read", "overdue"),
    )
    controls: Any = Framed(
        part.controls, seat, bearings, writes=("set_pause", "set_hold", "set_brake")
    )
    orders: Any = Framed(part.orders, seat, bearings, writes=("place", "reply"))
    outbox: Any = Framed(part.outbox, seat, bearings, writes=("done",))
    scaling: Any = Framed(part.scaling, seat, bearings, writes=("begin",), leads=("end",))
    return Store(
        inbox=framed,
        schedule=framed,
        records=framed,
        failures=part,
        history=part,
        controls=controls,
        orders=orders,
        casefiles=part.casefiles,
        facts=part,
        health=part,
        outbox=outbox,
        audit=part.audit,
        scaling=scaling,
        leadership=MemoryLeadership(
            seat,
            bearings,
            take_over=lambda now_ms: memory_of().take_over(now_ms),
            look_again=lambda now_ms: memory_of().look_again(now_ms),
            charges=lambda: memory_of().charges,
            restore=lambda pause, holds: memory_of().controls.restore(pause, holds),
        ),
    )


class _Current:
    """Whatever the memory is at the moment of a call; its parts too."""

    def __init__(self, of: Callable[[], object]) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        if name in ("controls", "orders", "casefiles", "outbox", "audit", "scaling"):
            return _Current(lambda: getattr(self._of(), name))
        if name.startswith("__"):
            raise AttributeError(name)

        known: object = None
        method: Any = None

        def call(*args: Any, **more: Any) -> Any:
            nonlocal known, method
            one = self._of()
            if one is not known:
                known, method = one, getattr(one, name)
            return method(*args, **more)

        return call
