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
from app.domain.remediation import Action, Attempt, Trigger
from app.policies import guards
from app.policies.spec import Guards, Policy

#: Evidence and a last look come between the intent and the request; no request is later.
BEGINS_WITHIN = timedelta(seconds=20)
#: An engine that was asked may go on for the stop grace and this much longer.
ENGINE_SLACK = timedelta(seconds=30)
#: Creating, connecting and starting a clone takes a second; a busy engine gets this long.
CLONE_TAKES = timedelta(seconds=90)

_STOPPED = (RunState.EXITED, RunState.CREATED, RunState.DEAD)


def settle(
    seen: Observation, attempt: Attempt, policy: Policy, rules: Guards, *, now: datetime
) -> Adopt | StartStopped | Watch | Resume | Conclude:
    """
    Decide about an attempt whose intent is written and whose action nobody saw end.

    A timeout is unknown, not failed: the engine goes on although its client left.
    """
    if _is_left_stopped(seen, attempt) and not attempt.started_again:
        # It stopped it, could not start it, and said so: down it is by our hand all the same.
        return StartStopped(Reason.FOUND_STOPPED)
    if attempt.error_status is not None:
        return Conclude(
            Verdict.ENGINE_ERROR, Reason.INTERRUPTED, f"the engine refused: {attempt.error}"
        )
    if attempt.action is Action.SCALE_OUT:
        return _settle_scale_out(seen, attempt, policy, rules, now=now)
    if seen.view is EngineView.GONE or seen.container is None:
        return Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "the container is gone")
    container = seen.container
    if container.id != attempt.container_id:
        return Conclude(Verdict.VANISHED, Reason.NEW_INCARNATION, "the container was replaced")
    if container.started_at != attempt.started_before:
        return Adopt(Reason.INTERRUPTED)

    grace = policy.restart.stop_grace
    takes = (container.stop_grace if grace is None else grace) + ENGINE_SLACK
    over_at = attempt.intent_at + BEGINS_WITHIN + takes
    if container.state in _STOPPED and not attempt.started_again:
        return StartStopped(Reason.FOUND_STOPPED)
    if now < over_at:
        return Watch(min(now + policy.verify.poll, over_at), Reason.INTERRUPTED)
    if attempt.error is not None:
        return Conclude(Verdict.TIMED_OUT, Reason.INTERRUPTED, f"it did not start: {attempt.error}")
    if container.state in _STOPPED:
        # We died before the start that we had written down. It is quiet because it is down,
        # and it is down by our own hand.
        return Resume(Reason.FOUND_STOPPED)
    return _again(seen, attempt, policy, rules, now=now)


def _is_left_stopped(seen: Observation, attempt: Attempt) -> bool:
    container = seen.container
    return (
        attempt.error_status is not None
        and attempt.action is not Action.SCALE_OUT
        and container is not None
        and container.id == attempt.container_id
        and container.state in _STOPPED
    )


def _settle_scale_out(
    seen: Observation, attempt: Attempt, policy: Policy, rules: Guards, *, now: datetime
) -> Adopt | Watch | Resume | Conclude:
    clone = seen.group.fresh_clone
    if clone is not None and clone.state is RunState.RUNNING:
        return Adopt(Reason.INTERRUPTED)
    over_at = attempt.intent_at + BEGINS_WITHIN + CLONE_TAKES
    if now < over_at:
        return Watch(min(now + policy.verify.poll, over_at), Reason.INTERRUPTED)
    if attempt.error is not None:
        return Conclude(
            Verdict.TIMED_OUT, Reason.INTERRUPTED, f"the clone did not start: {attempt.error}"
        )
    if seen.container is None:
        return Conclude(Verdict.CANCELLED, Reason.NO_SUCH_TARGET, "its source is gone")
    # The engine adapter adopts a half-made clone of the same attempt.
    return _again(seen, attempt, policy, rules, now=now)


def _again(
    seen: Observation, attempt: Attempt, policy: Policy, rules: Guards, *, now: datetime
) -> Watch | Resume | Conclude:
    """Do what was interrupted, if everything still speaks for it."""
    nothing_done = "; nothing was done"
    if not seen.opted_in:
        return Conclude(Verdict.CANCELLED, Reason.NOT_OPTED_IN, f"opted out since{nothing_done}")
    if attempt.trigger is Trigger.MANUAL:
        # A person wanted it; alerts, pause and brake did not matter, and still do not.
        refused = guards.refusal(seen, attempt.action, rules, now=now)
        if refused is None:
            return Resume(Reason.INTERRUPTED)
        return Conclude(Verdict.CANCELLED, refused.reason, f"{refused.detail}{nothing_done}")
    match seen.sickness.symptom:
        case Symptom.UNKNOWN:
            return Watch(now + policy.verify.poll, Reason.NO_FRESH_DATA)
        case Symptom.ABSENT:
            return Conclude(Verdict.CANCELLED, Reason.RESOLVED, f"no longer needed{nothing_done}")
        case Symptom.SUPPRESSED:
            return Conclude(Verdict.CANCELLED, Reason.SILENCED, f"silenced since{nothing_done}")
        case Symptom.ACTIVE:
            pass
    if seen.observe_only:
        return Conclude(Verdict.CANCELLED, Reason.OBSERVE, f"observe mode since{nothing_done}")
    forbidden = guards.hold(seen, attempt.action, policy, rules, now=now)
    if forbidden is not None:
        said = forbidden.detail or str(forbidden.reason)
        return Conclude(Verdict.CANCELLED, forbidden.reason, f"{said}{nothing_done}")
    return Resume(Reason.INTERRUPTED)
