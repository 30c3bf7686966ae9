"""The next step of one target, and its reason."""

from datetime import datetime, timedelta

from app.domain.container import RunState
from app.domain.decision import (
    Close,
    Conclude,
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
from app.domain.remediation import Action, Attempt, Remediation, State
from app.policies import recovery, verdict
from app.policies.spec import Patience, Policy, Strategy

#: What a container that is stopped by hand ends with: done, SIGKILL, SIGTERM.
_STOPPED_BY_SIGNAL = (0, 137, 143)
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
    if not seen.opted_in:
        return _opted_out(remediation)
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


def _opted_out(remediation: Remediation) -> Decision:
    """Let go of a container whose owner has taken the label away."""
    if remediation.open_attempt is not None:
        return Conclude(Verdict.CANCELLED, Reason.NOT_OPTED_IN, "the container has opted out")
    return Close(Outcome.CANCELLED, Reason.NOT_OPTED_IN)


def _open(seen: Observation, policy: Policy, *, now: datetime) -> Decision:
    if seen.view is EngineView.GONE:
        return Idle(Reason.NO_SUCH_TARGET)
    if not seen.opted_in:
        return Idle(Reason.NOT_OPTED_IN)
    match seen.sickness.symptom:
        case Symptom.ABSENT:
            return Idle(Reason.RESOLVED)
        case Symptom.SUPPRESSED:
            return Hold(now + policy.verify.poll, Reason.SILENCED)
        case Symptom.UNKNOWN:
            return Hold(now + policy.verify.poll, Reason.NO_FRESH_DATA)
        case Symptom.ACTIVE:
            pass
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
    unfit = _not_fit_to_act(seen)
    if last is not None and _left_down(seen, last):
        if _stopped_by_itself(seen):
            return _climb(seen, remediation, policy, now=now)
        # It may have been a person's stop: not started again, but somebody must be told.
        return Escalate(Reason.NOT_RUNNING, f"it is down since our restart: {last.evidence}")
    match seen.sickness.symptom:
        case Symptom.SUPPRESSED:
            return Hold(poll_at, Reason.SILENCED)
        case Symptom.UNKNOWN:
            if unfit is not None:
                return Hold(poll_at, unfit)  # one that does not run has no fresh samples either
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
    if last is not None and last.action is Action.SCALE_OUT and _has_no_clone(last):
        return Escalate(
            Reason.SCALE_OUT_FAILED, f"the clone did not come up: {last.evidence or last.verdict}"
        )
    scale_out = _scale_out_reason(seen, policy)
    if remediation.scaled_out_at is not None:
        scale_out = Reason.STILL_NEEDED
    then = Action.RESTART if scale_out is None else Action.SCALE_OUT
    delay = delay_before(seen.failures, policy)
    by_engine = container.restart_count > remediation.planned_restarts
    if container.started_at != remediation.planned_started_at and not by_engine:
        # Somebody restarted it since its wait began: that may have cured it, so wait anew.
        return Wait(now + delay, Reason.RESTARTED_MEANWHILE, then)

    backoff = Reason.FIRST_NEED if not remediation.attempts else Reason.BACKOFF
    due = remediation.needed_since + delay
    if scale_out is None and now < due:
        return Wait(due, backoff, then)
    unfit = _not_fit_to_act(seen)
    if unfit is not None and not (last is not None and _left_down(seen, last)):
        return Hold(now + policy.verify.poll, unfit)
    if scale_out is not None:
        return _relieve(seen, policy, scale_out, now=now)
    if seen.observe_only:
        return Hold(now + policy.verify.poll, Reason.OBSERVE)
    return Restart(backoff)


def _not_fit_to_act(seen: Observation) -> Reason | None:
    """Tell why a container must be left as it is: a restart would start or unpause it."""
    if seen.container is None or seen.container.is_running:
        return None
    if seen.container.state is RunState.PAUSED:
        return Reason.PAUSED_CONTAINER
    return Reason.NOT_RUNNING


def _left_down(seen: Observation, last: Attempt) -> bool:
    """Tell whether the container that we restarted last has stopped since, and stays so."""
    container = seen.container
    return (
        container is not None
        and last.action is Action.RESTART
        and last.verdict is not None
        and last.verdict.counts
        and last.started_after == container.started_at
        and container.state in (RunState.EXITED, RunState.DEAD)
    )


def _stopped_by_itself(seen: Observation) -> bool:
    """Tell a crash from what may be a person's ``docker stop``."""
    container = seen.container
    assert container is not None
    return container.oom_killed or container.exit_code not in _STOPPED_BY_SIGNAL


def _has_no_clone(attempt: Attempt) -> bool:
    return attempt.verdict in _NO_CLONE or attempt.verdict_reason is Reason.SCALE_OUT_FAILED


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
