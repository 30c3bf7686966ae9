"""The story of each target, written under its claim."""

from datetime import datetime, timedelta

from app.adapters.store.arguments import (
    Piece,
    of_activity,
    of_cooldown,
    of_limits,
    of_lines,
    of_messages,
    of_remediation,
    ticket,
)
from app.adapters.store.client import Line
from app.adapters.store.codec import (
    BRAKE,
    HALT,
    ORDER,
    REMEDIATION,
    alert_mark,
    load_after_mark,
    load_known,
    moment,
    span_ms,
    text,
    to_ms,
    to_ms_up,
)
from app.adapters.store.control import hold_field
from app.adapters.store.keys import KEEP, MOST, MOST_LINES, MOST_MESSAGES
from app.adapters.store.scripts import Script
from app.domain.activity import Activity
from app.domain.alert import KnownAlert
from app.domain.control import Brake
from app.domain.remediation import Remediation
from app.errors import CoolingDown, GroupBusy, LeaseLost, OutOfBudget
from app.policies import trail
from app.ports import Claim, Cooldown, Dossier, Entry, Limits

#: As ``lua/intend.lua`` and ``lua/note.lua`` answer.
_WRITTEN, _LOST = 1, 2
_REFUSALS: dict[int, type[CoolingDown | OutOfBudget | GroupBusy]] = {
    3: CoolingDown,
    4: OutOfBudget,
    5: GroupBusy,
}


class RedisRecords:
    """See `app.ports.Records`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._read = Script(line, "read", writes=False)
        self._intend = Script(line, "intend", leads=True)
        self._note = Script(line, "note", leads=True)

    async def read(
        self, target: str, *, group: str, now: datetime, window: timedelta, brake_window: timedelta
    ) -> Dossier:
        """See `app.ports.Records`."""
        keys = self._keys
        now_ms = to_ms(now)
        async with self._line.answering():
            (open_id, opened, last_id, last, failures, cooling, failing, *rest) = await self._read(
                keys=[
                    keys.target(target),
                    keys.alerts(target),
                    keys.failures(target),
                    keys.cooldown(group),
                    keys.failing,
                    keys.order(target),
                    keys.control,
                ],
                args=[
                    now_ms,
                    now_ms - span_ms(window),
                    now_ms - span_ms(brake_window),
                    keys.remediation(""),
                    hold_field(target),
                ],
            )
        order, pause, hold, brake, left, *alerts = rest
        previous = self._load(text(last_id, key=keys.target(target)), last)
        return Dossier(
            remediation=self._load(text(open_id, key=keys.target(target)), opened),
            alerts=_load_alerts(alerts, key=keys.alerts(target)),
            failures=failures,
            cooling_until=moment(cooling, key=keys.cooldown(group)) if cooling else None,
            left_at=moment(left, key=keys.target(target)) if left else None,
            previous=previous if previous is not None and previous.is_closed else None,
            order=ORDER.load(order, key=keys.order(target)) if order else None,
            pause=HALT.load(pause, key=keys.control) if pause else None,
            hold=load_after_mark(HALT, hold, key=keys.control) if hold else None,
            brake=BRAKE.load(brake, key=keys.control) if brake else Brake(),
            failing=failing,
        )

    async def remediation_of(self, target: str) -> Remediation | None:
        """See `app.ports.Records`."""
        key = self._keys.target(target)
        async with self._line.answering():
            found = await self._redis.hget(key, "open")
            if found is None:
                return None
            remediation_id = text(found, key=key)
            raw = await self._redis.get(self._keys.remediation(remediation_id))
        remediation = self._load(remediation_id, raw)
        # Between the two reads it may have been closed.
        return None if remediation is None or remediation.is_closed else remediation

    def _load(self, remediation_id: str, raw: bytes | str | None) -> Remediation | None:
        if not raw:
            return None
        return REMEDIATION.load(raw, key=self._keys.remediation(remediation_id))

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
        keys, target = self._keys, claim.target
        shown, cooling = of_activity(keys, activity), of_cooldown(keys, cooldown)
        bounds = of_limits(keys, limits, now=now)
        story = of_remediation(remediation)
        async with self._line.answering():
            code, *until = await self._intend(
                keys=[
                    keys.leases,
                    keys.running,
                    keys.target(target),
                    keys.remediation(remediation.id),
                    keys.history,
                    keys.history_of(target),
                    keys.open,
                    *shown.keys,
                    *cooling.keys,
                    *bounds.keys,
                    keys.audit,
                    keys.anchor,
                ],
                args=[
                    target,
                    claim.fence,
                    to_ms(now),
                    to_ms_up(now + lease),
                    span_ms(KEEP),
                    MOST,
                    *story,
                    *shown.args,
                    *cooling.args,
                    *bounds.args,
                    MOST_LINES,
                    *of_lines([trail.intent(remediation, limits.attempt_id, at=now)]),
                ],
            )
        if code == _LOST:
            raise LeaseLost(f"another worker has {target} now")
        if code != _WRITTEN:
            raise _REFUSALS[code](moment(until[0], key=keys.charges))

    async def note(self, claim: Claim, entry: Entry, *, now: datetime) -> None:
        """See `app.ports.Records`."""
        keys, target = self._keys, claim.target
        remediations = [*entry.amended]
        # No group's, where none is known: then there is nothing to remove from it.
        out = keys.none
        if entry.remediation is not None:
            remediations.append(entry.remediation)
            out = keys.out(entry.remediation.group)
        shown, cooling = of_activity(keys, entry.activity), of_cooldown(keys, entry.cooldown)
        due, *rest = what = _what(entry, target, remediations, (*shown.args, *cooling.args))
        async with self._line.answering():
            code = await self._note(
                keys=[
                    keys.due,
                    keys.running,
                    keys.leases,
                    keys.target(target),
                    keys.alerts(target),
                    keys.failures(target),
                    keys.failing,
                    keys.history,
                    keys.history_of(target),
                    keys.open,
                    *shown.keys,
                    *cooling.keys,
                    keys.recoveries,
                    keys.slots,
                    out,
                    keys.order(target),
                    keys.tallies,
                    keys.lost,
                    keys.outbox,
                    keys.outbox_counts,
                    keys.audit,
                    keys.anchor,
                    *(keys.remediation(one.id) for one in remediations),
                    *(keys.failures(consumed) for consumed in entry.consumed),
                ],
                args=[
                    target,
                    claim.fence,
                    ticket(claim.fence, (*what, *entry.consumed)),
                    to_ms(now),
                    due,
                    *rest,
                ],
            )
        if code == _LOST:
            raise LeaseLost(f"another worker has {target} now")


def _what(
    entry: Entry, target: str, remediations: list[Remediation], shown: tuple[Piece, ...]
) -> list[Piece]:
    """All that a note writes, as its script takes it, from when to look again."""
    over = [(one.alert.fingerprint, alert_mark(one)) for one in entry.over]
    # In one order: the ticket is made of it.
    tallies = sorted(entry.tally.items())
    recovered = entry.recovered_attempt
    return [
        "" if entry.due is None else to_ms_up(entry.due),
        span_ms(KEEP),
        MOST,
        entry.failed_attempt or "",
        span_ms(entry.window),
        *shown,
        "" if recovered is None else f"{recovered}|{target}",
        span_ms(max(KEEP, entry.recovered_for)),
        entry.freed or "",
        int(entry.back),
        entry.answered_order or "",
        int(entry.remediation is not None),
        len(remediations),
        len(entry.listed),
        len(over),
        len(tallies),
        len(entry.outbox),
        MOST_MESSAGES,
        len(entry.audit),
        MOST_LINES,
        *(piece for one in remediations for piece in of_remediation(one)),
        *entry.listed,
        *(piece for pair in over for piece in pair),
        *(piece for tally in tallies for piece in tally),
        *of_messages(entry.outbox),
        *of_lines(entry.audit),
    ]


def _load_alerts(fields: list[bytes], *, key: str) -> tuple[KnownAlert, ...]:
    known = (load_known(raw, key=key) for raw in fields[1::2])
    return tuple(sorted(known, key=lambda one: (one.received_at, one.alert.fingerprint)))
