"""What goes into the audit: each action's intent before it, its answer and its verdict after."""

from collections.abc import Iterable
from datetime import datetime

from app.domain.audit import AuditEntry, AuditKind
from app.domain.control import Order
from app.domain.remediation import Attempt, Remediation
from app.policies import changes


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
    )


def said(
    what: str, *, author: str, why: str, at: datetime, target: str | None = None
) -> AuditEntry:
    """Say what a person has stopped, or lets go on."""
    return AuditEntry(
        at=at, kind=AuditKind.ORDER, target=target, order=what, author=author, why=why
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
