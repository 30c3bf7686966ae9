"""The next step of one target, and its reason."""

from datetime import datetime, timedelta

from app.domain.container import RunState
from app.domain.decision import (
    Close,
    Decision,
    Escalate,
    Hold,
    Idle,
    Outcome,
    Reason,
    Restart,
    ScaleOut,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action, Remediation, State
from app.policies import recovery, verdict
from app.policies.spec import Patience, Policy, Strategy

#: A scale-out that ended so left no clone behind.
_NO_CLONE = (
    Verdict.EXITED,
    Verdict.CRASH_LOOP,
    Verdict.UNHEALTHY,
    Verdict.ENGINE_ERROR,
    Verdict.TIMED_OUT,
    Verdict.VANISHED,
)


def next_step(seen: Observation, policy: Policy, patience: Patience, *, now: datetime) -> Decision:
    """
    Decide the next step of one target.

    Reads nothing but its arguments, so a test is a row in a table.
    """
    if seen.view is EngineView.DOWN:
        return Hold(now + policy.verify.poll, Reason.ENGINE_DOWN)
    if seen.view is EngineView.AMBIGUOUS:
        return Hold(now + policy.verify.poll, Reason.AMBIGUOUS_TARGET)
    remediation = seen.remediation
    if remediation is None:
        return _open(seen, policy, now=now)

    attempt = remediation.open_attempt
    if attempt is not None:
        if attempt.acted_at is None:
            return recovery.settle(seen, attempt, policy, now=now)
        judge = verdict.judge_scale_out if attempt.action is Action.SCALE_OUT else verdict.judge
        return judge(seen, remediation, attempt, policy, patience, now=now)
    if seen.view is EngineView.GONE:
        return Close(Outcome.VANISHED, Reason.NO_SUCH_TARGET)
    if seen.incarnation != remediation.incarnation:
        return Close(Outcome.SUPERSEDED, Reason.NEW_INCARNATION)
    if remediation.state is State.QUARANTINED:
        return _quarantined(seen, remediation, policy, now=now)
    return _between_attempts(seen, remediation, policy, patience, now=now)


def delay_before(failures: int, policy: Policy) -> timedelta:
    """Tell the wait before the next restart; the last one of the list repeats."""
    delays = policy.restart.delays
    return delays[min(failures, len(delays) - 1)] if delays else timedelta(0)


def _open(seen: Observation, policy: Policy, *, now: datetime) -> Decision:
    match seen.sickness.symptom:
        case Symptom.ABSENT:
            return Idle(Reason.RESOLVED)
        case Symptom.SUPPRESSED:
            return Hold(now + policy.verify.poll, Reason.SILENCED)
        case Symptom.UNKNOWN:
            return Hold(now + policy.verify.poll, Reason.NO_FRESH_DATA)
        case Symptom.ACTIVE:
            pass
    if seen.view is EngineView.GONE:
        return Idle(Reason.NO_SUCH_TARGET)
    scale_out = _scale_out_reason(seen, policy)
    if scale_out is not None:
        return Wait(now, scale_out, Action.SCALE_OUT)
    # Received in the past where we were away: the delay counts from then, the rest is waited.
    return Wait(
        max(now, (seen.sickness.since or now) + delay_before(seen.failures, policy)),
        Reason.FIRST_NEED,
        Action.RESTART,
    )


def _quarantined(
    seen: Observation, remediation: Remediation, policy: Policy, *, now: datetime
) -> Decision:
    if seen.sickness.symptom is Symptom.ABSENT:
        since = remediation.absent_since or now
        if now - since >= (seen.sickness.settle or policy.verify.settle):
            return Close(Outcome.ESCALATED, Reason.RESOLVED)
    return Watch(now + policy.verify.poll, Reason.QUARANTINE)


def _between_attempts(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Decision:
    last = remediation.last_attempt
    poll_at = now + policy.verify.poll
    match seen.sickness.symptom:
        case Symptom.SUPPRESSED:
            return Hold(poll_at, Reason.SILENCED)
        case Symptom.UNKNOWN:
            unknown_since = remediation.unknown_since or now
            if now - unknown_since >= patience.unknown:
                return Escalate(
                    Reason.UNKNOWN_TOO_LONG,
                    f"nobody can tell whether it is still ill: {seen.sickness.doubt}",
                )
            return Hold(poll_at, Reason.NO_FRESH_DATA)
        case Symptom.ABSENT:
            if last is not None and last.verdict is Verdict.RECOVERED:
                return Close(Outcome.RECOVERED, Reason.SETTLED)
            if last is not None and last.verdict is Verdict.RELIEVED:
                return Close(Outcome.RELIEVED, Reason.SETTLED)
            if seen.sickness.resolved:
                return Close(Outcome.CANCELLED, Reason.RESOLVED)
            absent_since = remediation.absent_since or now
            if now - absent_since >= patience.vanished:
                return Close(Outcome.VANISHED, Reason.RESOLVED)
            return Hold(min(poll_at, absent_since + patience.vanished), Reason.RESOLVED)
        case Symptom.ACTIVE:
            return _climb(seen, remediation, policy, now=now)


def _climb(
    seen: Observation, remediation: Remediation, policy: Policy, *, now: datetime
) -> Decision:
    container = seen.container
    assert container is not None
    last = remediation.last_attempt
    if last is not None and last.verdict is Verdict.UNKNOWN:
        return Escalate(Reason.UNKNOWN_TOO_LONG, last.evidence or "the verdict is unknown")
    if last is not None and last.action is Action.SCALE_OUT and last.verdict in _NO_CLONE:
        return Escalate(
            Reason.SCALE_OUT_FAILED, f"the clone did not come up: {last.evidence or last.verdict}"
        )
    if remediation.scaled_out_at is not None:
        return _relieve(seen, policy, Reason.STILL_NEEDED, now=now)
    scale_out = _scale_out_reason(seen, policy)
    if scale_out is not None:
        return _relieve(seen, policy, scale_out, now=now)

    backoff = Reason.FIRST_NEED if not remediation.attempts else Reason.BACKOFF
    delay = delay_before(seen.failures, policy)
    if container.started_at != remediation.planned_started_at:
        # Somebody restarted it since its wait began: that may have cured it, so wait anew.
        return Wait(now + delay, Reason.RESTARTED_MEANWHILE, Action.RESTART)
    due = remediation.needed_since + delay
    if now < due:
        return Wait(due, backoff, Action.RESTART)
    if container.state is RunState.PAUSED:
        return Hold(now + policy.verify.poll, Reason.PAUSED_CONTAINER)
    if not container.is_running:
        return Hold(now + policy.verify.poll, Reason.NOT_RUNNING)
    if seen.observe_only:
        return Hold(now + policy.verify.poll, Reason.OBSERVE)
    return Restart(backoff)


def _scale_out_reason(seen: Observation, policy: Policy) -> Reason | None:
    """Tell why the next action is a scale-out; None while it is a restart."""
    if not seen.sickness.on_source:
        return Reason.CLONE_SICK
    if policy.strategy is Strategy.SCALE_FIRST:
        return Reason.FIRST_NEED
    if seen.failures >= policy.restart.max_failed:
        return Reason.WINDOW_FULL
    return None


def _relieve(seen: Observation, policy: Policy, reason: Reason, *, now: datetime) -> Decision:
    """Scale out if policy, group and container allow it; else the ladder ends."""
    group = seen.group
    if not policy.scale_out.enabled:
        return Escalate(Reason.SCALE_OUT_DISABLED, "its policy does not allow a scale-out")
    if group.cooling_until is not None and now < group.cooling_until:
        return Hold(group.cooling_until, Reason.COOLDOWN)
    if group.instances >= group.max_instances:
        return Escalate(
            Reason.AT_MAX, f"{group.instances} of {group.max_instances} instances exist already"
        )
    if group.refusal is not None:
        return Escalate(group.refusal.reason, group.refusal.detail)
    if seen.observe_only:
        return Hold(now + policy.verify.poll, Reason.OBSERVE)
    return ScaleOut(reason)
