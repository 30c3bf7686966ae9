"""What became of an action whose end nobody saw: settled by looking at the container."""

from datetime import datetime, timedelta

from app.domain.container import RunState
from app.domain.decision import (
    Adopt,
    Conclude,
    Reason,
    Resume,
    StartStopped,
    Verdict,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action, Attempt
from app.policies.spec import Policy

#: An engine that was asked may go on for the stop grace and this much longer.
ENGINE_SLACK = timedelta(seconds=30)

_STOPPED = (RunState.EXITED, RunState.CREATED, RunState.DEAD)


def settle(
    seen: Observation, attempt: Attempt, policy: Policy, *, now: datetime
) -> Adopt | StartStopped | Watch | Resume | Conclude:
    """
    Decide about an attempt whose intent is written and whose action nobody saw end.

    A timeout is unknown, not failed: the engine goes on although its client left.
    """
    if attempt.error_status is not None:
        return Conclude(
            Verdict.ENGINE_ERROR, Reason.INTERRUPTED, f"the engine refused: {attempt.error}"
        )
    if attempt.action is Action.SCALE_OUT:
        return _settle_scale_out(seen, attempt)
    if seen.view is EngineView.GONE or seen.container is None:
        return Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "the container is gone")
    container = seen.container
    if container.id != attempt.container_id:
        return Conclude(Verdict.VANISHED, Reason.NEW_INCARNATION, "the container was replaced")
    if container.started_at != attempt.started_before:
        return Adopt(Reason.INTERRUPTED)

    grace = policy.restart.stop_grace
    over_at = attempt.intent_at + (container.stop_grace if grace is None else grace) + ENGINE_SLACK
    if container.state in _STOPPED and not attempt.started_again:
        return StartStopped(Reason.FOUND_STOPPED)
    if now < over_at:
        return Watch(min(now + policy.verify.poll, over_at), Reason.INTERRUPTED)
    if attempt.error is not None:
        return Conclude(Verdict.TIMED_OUT, Reason.INTERRUPTED, f"it did not start: {attempt.error}")
    if seen.sickness.symptom is Symptom.ACTIVE:
        return Resume(Reason.INTERRUPTED)
    if seen.sickness.symptom is Symptom.UNKNOWN:
        return Watch(now + policy.verify.poll, Reason.NO_FRESH_DATA)
    return Conclude(Verdict.CANCELLED, Reason.RESOLVED, "no longer needed; nothing was done")


def _settle_scale_out(seen: Observation, attempt: Attempt) -> Adopt | Resume | Conclude:
    clone = seen.group.fresh_clone
    if clone is not None and clone.state is RunState.RUNNING:
        return Adopt(Reason.INTERRUPTED)
    if attempt.error is not None:
        return Conclude(
            Verdict.TIMED_OUT, Reason.INTERRUPTED, f"the clone did not start: {attempt.error}"
        )
    if seen.sickness.symptom is Symptom.ABSENT or seen.container is None:
        return Conclude(Verdict.CANCELLED, Reason.RESOLVED, "no longer needed")
    # The engine adapter adopts a half-made clone of the same attempt.
    return Resume(Reason.INTERRUPTED)
