"""The story of each target, written under its claim."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from app.adapters.store.client import Line
from app.adapters.store.codec import (
    ACTIVITY,
    REMEDIATION,
    alert_mark,
    from_ms,
    load_known,
    span_ms,
    text,
    to_ms,
    to_ms_up,
)
from app.adapters.store.keys import KEEP, MOST
from app.adapters.store.scripts import load_script
from app.domain.activity import Activity
from app.domain.alert import KnownAlert
from app.domain.remediation import Remediation
from app.errors import CoolingDown, LeaseLost
from app.ports import Claim, Cooldown, Dossier, Entry

Piece = str | bytes | int

_WRITTEN, _LOST = 1, 2


@dataclass(frozen=True, slots=True)
class _ActivityArgs:
    """An activity as the scripts take it, or none."""

    keys: tuple[str, str, str]
    args: tuple[Piece, Piece, Piece]


class RedisRecords:
    """See `app.ports.Records`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._read = load_script(line.redis, "read")
        self._intend = load_script(line.redis, "intend")
        self._note = load_script(line.redis, "note")

    async def read(self, claim: Claim, *, group: str, now: datetime, window: timedelta) -> Dossier:
        """See `app.ports.Records`."""
        keys, target = self._keys, claim.target
        now_ms = to_ms(now)
        async with self._line.answering():
            remediation_id, raw, failures, cooling, *alerts = await self._read(
                keys=[
                    keys.target(target),
                    keys.alerts(target),
                    keys.failures(target),
                    keys.cooldown(group),
                ],
                args=[now_ms, now_ms - span_ms(window), keys.remediation("")],
            )
        return Dossier(
            remediation=self._load(text(remediation_id, key=keys.target(target)), raw),
            alerts=_load_alerts(alerts, key=keys.alerts(target)),
            failures=failures,
            cooling_until=from_ms(int(cooling)) if cooling else None,
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
        activity: Activity | None = None,
        cooldown: Cooldown | None = None,
    ) -> None:
        """See `app.ports.Records`."""
        keys, target = self._keys, claim.target
        shown = self._activity_args(activity)
        cooldown_key, *cooldown_args = self._cooldown_args(cooldown)
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
                    cooldown_key,
                ],
                args=[
                    target,
                    claim.fence,
                    to_ms(now),
                    to_ms_up(now + lease),
                    span_ms(KEEP),
                    MOST,
                    *_remediation_args(remediation),
                    *shown.args,
                    *cooldown_args,
                ],
            )
        if code == _LOST:
            raise LeaseLost(f"another worker has {target} now")
        if code != _WRITTEN:
            raise CoolingDown(from_ms(until[0]))

    async def note(self, claim: Claim, entry: Entry, *, now: datetime) -> None:
        """See `app.ports.Records`."""
        keys, target = self._keys, claim.target
        remediations = [*entry.amended]
        if entry.remediation is not None:
            remediations.append(entry.remediation)
        shown = self._activity_args(entry.activity)
        cooldown_key, *cooldown_args = self._cooldown_args(entry.cooldown)
        listed: list[Piece] = [*entry.listed]
        over = [(one.alert.fingerprint, alert_mark(one)) for one in entry.over]
        what: list[Piece] = [
            "" if entry.due is None else to_ms_up(entry.due),
            span_ms(KEEP),
            MOST,
            entry.failed_attempt or "",
            span_ms(entry.window),
            *shown.args,
            *cooldown_args,
            int(entry.remediation is not None),
            len(remediations),
            len(listed),
            len(over),
            *(piece for one in remediations for piece in _remediation_args(one)),
            *listed,
            *(piece for pair in over for piece in pair),
        ]
        due, *rest = what
        ticket = _ticket(claim.fence, what, entry.consumed)
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
                    cooldown_key,
                    *(keys.remediation(one.id) for one in remediations),
                    *(keys.failures(consumed) for consumed in entry.consumed),
                ],
                args=[target, claim.fence, ticket, to_ms(now), due, *rest],
            )
        if code == _LOST:
            raise LeaseLost(f"another worker has {target} now")

    def _activity_args(self, activity: Activity | None) -> _ActivityArgs:
        keys = self._keys
        if activity is None:
            return _ActivityArgs((keys.none, keys.none, keys.none), ("", "", ""))
        return _ActivityArgs(
            (keys.activity(activity.id), keys.activities, keys.activities_of(activity.group)),
            (activity.id, to_ms(activity.started_at), ACTIVITY.dump(activity)),
        )

    def _cooldown_args(self, cooldown: Cooldown | None) -> tuple[str, str, Piece]:
        """Key, attempt and end as the scripts take them."""
        if cooldown is None:
            return self._keys.none, "", ""
        until = "" if cooldown.until is None else to_ms_up(cooldown.until)
        return self._keys.cooldown(cooldown.group), cooldown.attempt_id, until


def _remediation_args(remediation: Remediation) -> tuple[Piece, Piece, Piece, Piece]:
    return (
        remediation.id,
        to_ms(remediation.opened_at),
        int(remediation.is_closed),
        REMEDIATION.dump(remediation),
    )


def _load_alerts(fields: list[bytes], *, key: str) -> tuple[KnownAlert, ...]:
    known = (load_known(raw, key=key) for raw in fields[1::2])
    return tuple(sorted(known, key=lambda one: (one.received_at, one.alert.fingerprint)))


def _ticket(fence: int, what: list[Piece], consumed: tuple[str, ...]) -> str:
    """Name one note by all that it writes, so that it is known again when it is repeated."""
    digest = sha256()
    for piece in (*what, *consumed):
        raw = piece if isinstance(piece, bytes) else str(piece).encode()
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return f"{fence}:{digest.hexdigest()[:32]}"
