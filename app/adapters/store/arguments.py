"""What several scripts take alike: keys and arguments of one value, in their order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from app.adapters.store.codec import (
    ACTIVITY,
    AUDIT_ENTRY,
    MESSAGE,
    REMEDIATION,
    span_ms,
    to_ms,
    to_ms_up,
)
from app.adapters.store.keys import Keys
from app.domain.activity import Activity
from app.domain.audit import AuditEntry
from app.domain.message import Message
from app.domain.remediation import Remediation
from app.ports import Cooldown, Limits

Piece = str | bytes | int


@dataclass(frozen=True, slots=True)
class Arguments:
    """Keys and arguments of one value."""

    keys: tuple[str, ...]
    args: tuple[Piece, ...]


def of_activity(keys: Keys, activity: Activity | None) -> Arguments:
    """Activity, or none: its key and two lists; id, start and JSON."""
    if activity is None:
        return Arguments((keys.none, keys.none, keys.none), ("", "", ""))
    return Arguments(
        (keys.activity(activity.id), keys.activities, keys.activities_of(activity.group)),
        (activity.id, to_ms(activity.started_at), ACTIVITY.dump(activity)),
    )


def of_cooldown(keys: Keys, cooldown: Cooldown | None) -> Arguments:
    """Cooldown, or none: its key; attempt and end."""
    if cooldown is None:
        return Arguments((keys.none,), ("", ""))
    until = "" if cooldown.until is None else to_ms_up(cooldown.until)
    return Arguments((keys.cooldown(cooldown.group),), (cooldown.attempt_id, until))


def of_limits(keys: Keys, limits: Limits, *, now: datetime) -> Arguments:
    """Limits: slots, charges, who is out; attempt, and the bounds."""
    out = keys.none if limits.group is None else keys.out(limits.group)
    return Arguments(
        (keys.slots, keys.charges, out, keys.waiting, keys.asked),
        (
            limits.attempt_id,
            limits.concurrent,
            limits.burst,
            span_ms(limits.burst_span),
            limits.per_hour,
            span_ms(limits.hour),
            "" if limits.group is None else limits.out_of_group,
            to_ms_up(now + limits.out_for),
            span_ms(limits.spacing),
            "" if limits.waiting_since is None else to_ms(limits.waiting_since),
            span_ms(limits.forget_after),
        ),
    )


def of_remediation(remediation: Remediation) -> tuple[Piece, Piece, Piece, Piece]:
    """Remediation: id, start, whether it is closed, JSON; its key stands elsewhere."""
    return (
        remediation.id,
        to_ms(remediation.opened_at),
        int(remediation.is_closed),
        REMEDIATION.dump(remediation),
    )


def of_messages(messages: Sequence[Message]) -> tuple[Piece, ...]:
    """Messages: kind and JSON of each; their keys stand elsewhere."""
    return tuple(piece for one in messages for piece in (str(one.kind), MESSAGE.dump(one)))


def of_lines(entries: Sequence[AuditEntry]) -> tuple[Piece, ...]:
    """Lines of the audit: JSON of each; its key stands elsewhere."""
    return tuple(AUDIT_ENTRY.dump(one) for one in entries)


def ticket(fence: int, what: Iterable[Piece]) -> str:
    """Name one note by all that it writes, so that it is known again when it is repeated."""
    digest = sha256()
    for piece in what:
        raw = piece if isinstance(piece, bytes) else str(piece).encode()
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return f"{fence}:{digest.hexdigest()[:32]}"
