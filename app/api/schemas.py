"""What goes over the wire. The shapes that tools rely on; the docstrings are OpenAPI text."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, PlainSerializer

from app.controller.intake import Counts
from app.domain.activity import Activity
from app.domain.remediation import Attempt, Remediation


def _rfc3339(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]


class Accepted(BaseModel):
    """What became of the alerts of one notification."""

    accepted: Annotated[int, Field(description="Firing alerts that are kept, known ones included.")]
    resolved: Annotated[int, Field(description="Resolved alerts that are kept.")]
    stale: Annotated[int, Field(description="Not newer than what was already resolved.")]
    skipped: Annotated[int, Field(description="Not for this Relevo; reasons are in the log.")]
    set_aside: Annotated[int, Field(description="Unreadable; kept aside and counted.")]

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Put counts on the wire."""
        return cls(
            accepted=counts.accepted,
            resolved=counts.resolved,
            stale=counts.stale,
            skipped=counts.skipped,
            set_aside=counts.set_aside,
        )


class AttemptOut(BaseModel):
    """One try to remediate, from its intent to its verdict."""

    id: str
    action: str
    started_at: Annotated[Moment, Field(description="When the intent was written.")]
    acted_at: Annotated[Moment | None, Field(description="When the engine had answered.")]
    finished_at: Annotated[Moment | None, Field(description="When the verdict was reached.")]
    verdict: str | None
    reason: Annotated[str, Field(description="Why the attempt was made.")]
    verdict_reason: str | None
    evidence: Annotated[str | None, Field(description="One sentence: why this verdict.")]
    error: str | None
    container_id: str
    clone: Annotated[str | None, Field(description="Name of the instance that a scale-out made.")]

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Put an attempt on the wire."""
        return cls(
            id=attempt.id,
            action=attempt.action,
            started_at=attempt.intent_at,
            acted_at=attempt.acted_at,
            finished_at=attempt.finished_at,
            verdict=attempt.verdict,
            reason=attempt.reason,
            verdict_reason=attempt.verdict_reason,
            evidence=attempt.evidence,
            error=attempt.error,
            container_id=attempt.container_id,
            clone=attempt.clone,
        )


class LogOut(BaseModel):
    """One decision of a remediation; polls that change nothing are left out."""

    at: Moment
    decision: str
    reason: str
    until: Moment | None
    detail: str | None


class RemediationOut(BaseModel):
    """The whole story of one target, from its first alert to closed or quarantined."""

    id: str
    target: str
    group: str
    container: str
    state: str
    reason: str
    alerts: list[str]
    policy: str
    opened_at: Moment
    closed_at: Moment | None
    outcome: str | None
    next_action: str | None
    next_action_at: Moment | None
    attempts: list[AttemptOut]
    decisions: list[LogOut]

    @classmethod
    def of(cls, record: Remediation) -> Self:
        """Put a remediation on the wire."""
        return cls(
            id=record.id,
            target=record.target,
            group=record.group,
            container=record.container,
            state=record.state,
            reason=record.reason,
            alerts=list(record.alerts),
            policy=record.policy,
            opened_at=record.opened_at,
            closed_at=record.closed_at,
            outcome=record.outcome,
            next_action=record.next_action,
            next_action_at=record.next_at if record.next_action is not None else None,
            attempts=[AttemptOut.of(attempt) for attempt in record.attempts],
            decisions=[
                LogOut(
                    at=entry.at,
                    decision=entry.decision,
                    reason=entry.reason,
                    until=entry.until,
                    detail=entry.detail,
                )
                for entry in record.log
            ],
        )


class RemediationsOut(BaseModel):
    """Remediations, newest first."""

    remediations: list[RemediationOut]


class ActivityOut(BaseModel):
    """One change of the number of instances of a group."""

    id: str
    group: str
    kind: Literal["scale_out", "scale_in"]
    cause: str
    status: Literal["in_progress", "successful", "failed", "cancelled"]
    container: str | None
    started_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, activity: Activity) -> Self:
        """Put an activity on the wire."""
        return cls(
            id=activity.id,
            group=activity.group,
            kind=activity.kind.value,
            cause=activity.cause,
            status=activity.status.value,
            container=activity.container,
            started_at=activity.started_at,
            finished_at=activity.finished_at,
        )


class ActivitiesOut(BaseModel):
    """Scaling activities, newest first."""

    activities: list[ActivityOut]


class ReadinessOut(BaseModel):
    """Whether another instance could be made, known before it is needed."""

    can_scale_out: bool
    traffic: Annotated[
        str | None, Field(description="How traffic would reach it: alias, labels, host_port, none.")
    ]
    reasons: Annotated[list[str], Field(description="For a refusal: its words.")]
    details: Annotated[list[str], Field(description="For a refusal: what would change it.")]


class TargetOut(BaseModel):
    """One opted-in container slot, and what is about to happen to it."""

    target: str
    container: str
    group: str
    mode: str
    state: str
    reason: Annotated[str | None, Field(description="Why it is in this state; null when ok.")]
    next_action: str | None
    next_action_at: Moment | None
    failures_in_window: int
    instances: int
    max_instances: int
    remediation: Annotated[str | None, Field(description="Id of the open remediation.")]
    readiness: ReadinessOut | None


class TargetsOut(BaseModel):
    """All opted-in targets, by name."""

    targets: list[TargetOut]


class PartOut(BaseModel):
    """A part of the chain, and what is wrong with it."""

    ok: bool
    trouble: list[str] = []


class StatusOut(BaseModel):
    """What this Relevo is doing, at a glance."""

    version: str
    engine: str | None
    mode: str
    now: Moment
    store: PartOut
    container_engine: PartOut
    targets: Annotated[dict[str, int], Field(description="Opted-in targets by state.")]
    failing_targets: Annotated[
        int, Field(description="Targets with a failed restart within the last hour.")
    ]


class ReadyOut(BaseModel):
    """Whether alerts can be accepted and acted on."""

    ready: bool
    store: PartOut
    container_engine: PartOut


class ProblemOut(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
