"""A scale-out as a scaling activity, in AWS Auto Scaling's words."""

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.remediation import Attempt, Remediation


def activity_of(
    remediation: Remediation,
    attempt: Attempt,
    status: ActivityStatus,
    *,
    cause: str | None = None,
) -> Activity:
    """Describe a scale-out as a scaling activity; its id is the attempt's."""
    because = f"{remediation.target} needed relief: {attempt.reason}"
    return Activity(
        id=attempt.id,
        group=remediation.group,
        kind=ActivityKind.SCALE_OUT,
        cause=because if cause is None else f"{because}; {cause}",
        status=status,
        container=attempt.clone,
        started_at=attempt.intent_at,
        finished_at=attempt.finished_at,
        container_id=attempt.clone_id,
        target=remediation.target,
        reason=attempt.reason,
        ordered=attempt.ordered,
    )
