"""What goes into the audit: each action's intent before it, its answer and its verdict after."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.audit import AuditEntry, AuditKind, AuditMark
from app.domain.control import Order
from app.domain.decision import (
    Action,
    CallOff,
    Close,
    Decision,
    Forget,
    Outcome,
    Refuse,
    Verdict,
)
from app.domain.remediation import Attempt, Remediation, Trigger
from app.policies import changes

_OFF_DUTY = (ActivityKind.ISOLATE, ActivityKind.STOP)


def intent(remediation: Remediation, attempt_id: str, *, at: datetime) -> AuditEntry:
    """Say what is about to be done."""
    for attempt in reversed(remediation.attempts):
        if attempt.id == attempt_id:
            return _line(AuditKind.INTENT, remediation, attempt, at=at)
    return AuditEntry(
        at=at,
        kind=AuditKind.INTENT,
        target=remediation.target,
        remediation=remediation.id,
        attempt=attempt_id,
    )


def of_step(
    before: Iterable[Remediation | None], after: Iterable[Remediation | None], *, at: datetime
) -> tuple[AuditEntry, ...]:
    """Say what a step has found out about actions of ours."""
    lines = []
    for record, attempt, earlier in changes.advanced(before, after):
        if changes.is_answered(attempt, earlier):
            lines.append(_line(AuditKind.ACTED, record, attempt, at=at, detail=attempt.error))
        if changes.is_judged(attempt, earlier):
            lines.append(_outcome(record, attempt, at=at))
    return tuple(lines)


def placed(target: str, order: Order) -> AuditEntry:
    """Say what a person wants done to a target."""
    return AuditEntry(
        at=order.at,
        kind=AuditKind.ORDER,
        target=target,
        remediation=order.remediation,
        order=str(order.kind),
        author=order.author,
        why=order.reason,
        scope=order.scope,
        address=order.address,
    )


def of_order(
    target: str, order: Order, decision: Decision, record: Remediation | None, *, at: datetime
) -> tuple[AuditEntry, ...]:
    """
    Say what became of an order with the step that has answered it.

    One that does something to containers has its attempt, whose lines say it.

    :param record: the remediation that the step leaves behind
    """
    if record is not None and any(attempt.id == order.id for attempt in record.attempts):
        return ()
    line = replace(placed(target, order), at=at, reason=decision.reason)
    is_released = isinstance(decision, Close) and decision.outcome is Outcome.RELEASED
    if is_released or isinstance(decision, Forget | CallOff):
        return (replace(line, kind=AuditKind.OUTCOME),)
    detail = decision.detail if isinstance(decision, Refuse) else ""
    return (replace(line, kind=AuditKind.REFUSED, detail=detail or None),)


def lost(known: AuditMark, head: AuditMark | None, *, at: datetime) -> AuditEntry:
    """
    Say that the audit is not what it was.

    :param known: a line that was there
    :param head: the newest line that there is
    """
    newest = "there was none" if head is None else f"the newest was {head.number} ({head.id})"
    return AuditEntry(
        at=at,
        kind=AuditKind.LOST,
        detail=f"line {known.number} ({known.id}, {known.chain}) is gone or was changed: {newest}",
    )


def leaving(activity: Activity, *, at: datetime, wanted: AuditEntry | None = None) -> AuditEntry:
    """
    Say that an instance is about to leave, or what is about to be done to a source.

    :param wanted: a person's order: begun at once, it has no line of its own
    """
    said = None if activity.replacement is None else f"{activity.kind}: {activity.cause}"
    line = _departure(AuditKind.INTENT, activity, at=at, detail=said)
    if wanted is None:
        return line
    return replace(
        line,
        order=wanted.order,
        author=wanted.author,
        why=wanted.why,
        scope=wanted.scope,
        address=wanted.address,
    )


def left(activity: Activity, *, at: datetime) -> AuditEntry:
    """Say whether it has left."""
    if activity.status is ActivityStatus.CANCELLED:
        line = _departure(AuditKind.OUTCOME, activity, at=at, detail=activity.cause)
        return replace(line, verdict=Verdict.CANCELLED)
    failed = activity.cause if activity.status is ActivityStatus.FAILED else None
    return _departure(AuditKind.ACTED, activity, at=at, detail=failed)


def _departure(
    kind: AuditKind, activity: Activity, *, at: datetime, detail: str | None = None
) -> AuditEntry:
    return AuditEntry(
        at=at,
        kind=kind,
        target=activity.target,
        attempt=activity.id,
        # What becomes of a source is part of the scale-out; that it comes back, of the scale-in.
        action=Action.SCALE_OUT if activity.kind in _OFF_DUTY else Action.SCALE_IN,
        container_id=activity.container_id,
        trigger=Trigger.MANUAL if activity.ordered is not None else Trigger.AUTOMATIC,
        why=activity.ordered,
        reason=activity.reason,
        detail=detail,
    )


def _outcome(record: Remediation, attempt: Attempt, *, at: datetime) -> AuditEntry:
    return AuditEntry(
        at=at,
        kind=AuditKind.OUTCOME,
        target=record.target,
        remediation=record.id,
        attempt=attempt.id,
        action=attempt.action,
        container_id=attempt.container_id,
        trigger=attempt.trigger,
        why=attempt.ordered,
        verdict=attempt.verdict,
        reason=attempt.verdict_reason,
        detail=attempt.evidence,
    )


def _line(
    kind: AuditKind,
    record: Remediation,
    attempt: Attempt,
    *,
    at: datetime,
    detail: str | None = None,
) -> AuditEntry:
    return AuditEntry(
        at=at,
        kind=kind,
        target=record.target,
        remediation=record.id,
        attempt=attempt.id,
        action=attempt.action,
        container_id=attempt.container_id,
        trigger=attempt.trigger,
        why=attempt.ordered,
        reason=attempt.reason,
        detail=detail,
    )
