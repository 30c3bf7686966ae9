"""Stories over the wire: remediations, attempts, case files, activities."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from pydantic import Field

from app.api.schemas import Moment
from app.api.shape import Shape
from app.api.words import RemediationState
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.casefile import CaseFile
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.remediation import Attempt, Remediation, Trigger


class AttemptOut(Shape):
    """One try to remediate, from its intent to its verdict."""

    id: str
    action: Action
    trigger: Annotated[
        Trigger,
        Field(description="Who made it: automatic, manual, foreign (past Relevo), rehearsal."),
    ]
    ordered: Annotated[str | None, Field(description="Of a manual one: who ordered it, and why.")]
    started_at: Annotated[Moment, Field(description="When the intent was written.")]
    acted_at: Annotated[Moment | None, Field(description="When the engine had answered.")]
    finished_at: Annotated[Moment | None, Field(description="When the verdict was reached.")]
    verdict: Verdict | None
    reason: Annotated[Reason, Field(description="Why the attempt was made.")]
    verdict_reason: Reason | None
    evidence: Annotated[str | None, Field(description="One sentence: why this verdict.")]
    error: str | None
    container_id: str
    clone: Annotated[str | None, Field(description="Name of the instance that a scale-out made.")]
    passed: Annotated[
        bool | None,
        Field(description="Of a rehearsal: the trouble passed by itself; null until known."),
    ]

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Put an attempt on the wire."""
        return cls(
            id=attempt.id,
            action=attempt.action,
            trigger=attempt.trigger,
            ordered=attempt.ordered,
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
            passed=attempt.passed,
        )


class LogOut(Shape):
    """One decision of a remediation; polls that change nothing are left out."""

    at: Moment
    decision: str
    reason: Reason
    until: Moment | None
    detail: str | None


class RemediationOut(Shape):
    """The whole story of one target, from its first alert to closed or quarantined."""

    id: str
    target: str
    group: str
    container: str
    state: RemediationState
    reason: Reason
    alerts: list[str]
    policy: str
    opened_at: Moment
    closed_at: Moment | None
    outcome: Outcome | None
    next_action: Action | None
    next_action_at: Moment | None
    called_off: Annotated[str | None, Field(description="Who has cancelled it, and why.")]
    relapse_of: Annotated[
        str | None, Field(description="The remediation whose recovery did not last.")
    ]
    relapsed_as: Annotated[
        str | None, Field(description="The remediation that followed because it did not last.")
    ]
    attempts: list[AttemptOut]
    decisions: list[LogOut]

    @classmethod
    def of(cls, record: Remediation) -> Self:
        """Put a remediation on the wire."""
        return cls(**_story(record))


class ProbeOut(Shape):
    """One run of a container's health check."""

    started_at: str
    exit_code: int
    output: str


class CaseFileOut(Shape):
    """The evidence from before an action: what a restart would have destroyed."""

    container_id: str
    container: str
    taken_at: Moment
    state: str
    started_at: Annotated[str, Field(description="As the engine writes it.")]
    exit_code: int
    oom_killed: bool
    restart_count: int
    logs: Annotated[list[str], Field(description="Last log lines, oldest first.")]
    process_titles: list[str]
    processes: list[list[str]]
    stats: Annotated[dict[str, float], Field(description="One sample, in base units.")]
    health_log: list[ProbeOut]
    missing: Annotated[list[str], Field(description="What could not be had, and why.")]
    is_cut: Annotated[bool, Field(description="Something was cut off to keep it small.")]

    @classmethod
    def of(cls, file: CaseFile) -> Self:
        """Put a case file on the wire."""
        return cls.model_validate(asdict(file))


class RemediationDetailOut(RemediationOut):
    """A remediation with the evidence from before each of its actions."""

    case_files: Annotated[dict[str, CaseFileOut], Field(description="By attempt.")]

    @classmethod
    def with_evidence(cls, record: Remediation, files: Mapping[str, CaseFile]) -> Self:
        """Put a remediation and its case files on the wire."""
        evidence = {attempt: CaseFileOut.of(file) for attempt, file in files.items()}
        return cls(**_story(record), case_files=evidence)


class RemediationsOut(Shape):
    """Remediations, newest first."""

    remediations: list[RemediationOut]


class ActivityOut(Shape):
    """One change of the number of instances of a group."""

    id: str
    group: str
    kind: ActivityKind
    cause: str
    status: ActivityStatus
    container: Annotated[
        str | None, Field(description="The instance that came or went; null before it has a name.")
    ]
    target: Annotated[str | None, Field(description="Whom it relieves, or relieved.")]
    reason: Annotated[Reason | None, Field(description="Why, in one word.")]
    ordered: Annotated[str | None, Field(description="Of a manual one: who ordered it, and why.")]
    started_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, activity: Activity) -> Self:
        """Put an activity on the wire."""
        return cls(
            id=activity.id,
            group=activity.group,
            kind=activity.kind,
            cause=activity.cause,
            status=activity.status,
            container=activity.container,
            target=activity.target,
            reason=activity.reason,
            ordered=activity.ordered,
            started_at=activity.started_at,
            finished_at=activity.finished_at,
        )


class ActivitiesOut(Shape):
    """Scaling activities, newest first."""

    activities: list[ActivityOut]


def _story(record: Remediation) -> dict[str, Any]:
    return {
        "id": record.id,
        "target": record.target,
        "group": record.group,
        "container": record.container,
        "state": record.state,
        "reason": record.reason,
        "alerts": list(record.alerts),
        "policy": record.policy,
        "opened_at": record.opened_at,
        "closed_at": record.closed_at,
        "outcome": record.outcome,
        "next_action": record.next_action,
        "next_action_at": record.next_at if record.next_action is not None else None,
        "called_off": record.called_off,
        "relapse_of": record.relapse_of,
        "relapsed_as": record.relapsed_as,
        "attempts": [AttemptOut.of(attempt) for attempt in record.attempts],
        "decisions": [
            LogOut(
                at=entry.at,
                decision=entry.decision,
                reason=entry.reason,
                until=entry.until,
                detail=entry.detail,
            )
            for entry in record.log
        ],
    }
