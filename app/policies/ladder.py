"""The next step of one target, and its reason."""

from datetime import datetime, timedelta

from app.domain.container import RunState
from app.domain.decision import (
    Close,
    Conclude,
    Decision,
    Escalate,
    Follow,
    Hold,
    Outcome,
    Reason,
    Rehearse,
    Relapse,
    Restart,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action, Attempt, Remediation, State, Trigger
from app.policies import guards, opening, orders, recovery, verdict
from app.policies.backoff import due_at
from app.policies.relief import has_no_clone, relieve, why_relief
from app.policies.spec import Guards, Patience, Policy

#: SIGKILL: a person's, or the kernel's when memory ran out.
_KILLED = 137
#: What a container that is stopped by hand ends with: done, SIGKILL, SIGTERM.
_STOPPED_BY_SIGNAL = (0, 137, 143)
#: The engine's events are heard within this time of a start.
_SOON = timedelta(seconds=1)
#: One pull that does not list an alert may be a blink of the chain.
_LOOKS = 3


def next_step(
    seen: Observation,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
    rules: Guards = Guards(),  # noqa: B008 - frozen
) -> Decision:
    """
    Decide the next step of one target.

    Reads nothing but its arguments, so a test is a row in a table.
    """
    if seen.view is EngineView.DOWN:
        return Hold(now + policy.verify.poll, Reason.ENGINE_DOWN)
    if seen.view is EngineView.AMBIGUOUS:
        return Hold(now + policy.verify.poll, Reason.AMBIGUOUS_TARGET)
    remediation = seen.remediation
    if orders.is_open(seen):
        return orders.answer(seen, rules, now=now)
    if remediation is None:
        return opening.begin(seen, policy, now=now)

    attempt = remediation.open_attempt
    if not seen.opted_in and (attempt is None or attempt.acted_at is not None):
        return _opted_out(remediation)
    if attempt is not None:
        if attempt.trigger is Trigger.REHEARSAL:
            return verdict.judge_rehearsal(seen, remediation, attempt, policy, patience, now=now)
        if attempt.acted_at is None:
            return recovery.settle(seen, attempt, policy, rules, now=now)
        judge = verdict.judge_scale_out if attempt.action is Action.SCALE_OUT else verdict.judge
        return judge(seen, remediation, attempt, policy, patience, now=now)
    if seen.view is EngineView.GONE:
        return Close(Outcome.VANISHED, Reason.NO_SUCH_TARGET)
    if seen.incarnation != remediation.incarnation:
        return Close(Outcome.SUPERSEDED, Reason.NEW_INCARNATION)
    if remediation.called_off is not None:
        return _called_off(seen, remediation, policy, patience, now=now)
    if remediation.state is State.QUARANTINED:
        return _quarantined(seen, remediation, policy, now=now)
    return _between_attempts(seen, remediation, policy, patience, rules, now=now)


def _opted_out(remediation: Remediation) -> Decision:
    """Let go of a container whose owner has taken the label away."""
    if remediation.open_attempt is not None:
        return Conclude(Verdict.CANCELLED, Reason.NOT_OPTED_IN, "the container has opted out")
    return Close(Outcome.CANCELLED, Reason.NOT_OPTED_IN)


def _called_off(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Decision:
    if seen.sickness.symptom is Symptom.ABSENT and (
        seen.sickness.resolved or _has_vanished(remediation, patience, now=now)
    ):
        return Close(Outcome.CANCELLED, Reason.OPERATOR)
    return Hold(now + policy.verify.poll, Reason.OPERATOR)


def _quarantined(
    seen: Observation, remediation: Remediation, policy: Policy, *, now: datetime
) -> Decision:
    container = seen.container
    loops = container is not None and container.state is RunState.RESTARTING
    if seen.sickness.symptom is Symptom.ABSENT and not loops:
        since = remediation.absent_since or now
        if now - since >= (seen.sickness.settle or policy.verify.settle):
            return Close(Outcome.ESCALATED, Reason.RESOLVED)
    return Watch(now + policy.verify.poll, Reason.QUARANTINE)


def _between_attempts(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    patience: Patience,
    rules: Guards,
    *,
    now: datetime,
) -> Decision:
    last = remediation.last_attempt
    poll_at = now + policy.verify.poll
    unfit = guards.not_fit(seen)
    if last is not None and _loops(seen, last):
        return Escalate(
            Reason.NOT_RUNNING, f"the engine restarts it over and over since ours: {last.evidence}"
        )
    if last is not None and _left_down(seen, remediation, last):
        if seen.guards.is_blind:
            return Hold(now + _SOON, Reason.NOT_RUNNING, "who stopped it is not known yet")
        if _stopped_by_itself(seen):
            return _climb(seen, remediation, policy, rules, now=now)
        # It may have been a person's stop: not started again, but somebody must be told.
        return Escalate(Reason.NOT_RUNNING, f"it is down since our restart: {last.evidence}")
    match seen.sickness.symptom:
        case Symptom.SUPPRESSED:
            return Hold(poll_at, Reason.SILENCED)
        case Symptom.UNKNOWN:
            if unfit is not None:
                # One that does not run has no fresh samples either.
                return Hold(poll_at, unfit, seen.guards.human)
            unknown_since = remediation.unknown_since or now
            if now - unknown_since >= patience.unknown:
                return Escalate(
                    Reason.UNKNOWN_TOO_LONG,
                    f"nobody can tell whether it is still ill: {seen.sickness.doubt}",
                )
            return Hold(poll_at, Reason.NO_FRESH_DATA)
        case Symptom.ABSENT:
            return _gone(seen, remediation, policy, patience, now=now)
        case Symptom.ACTIVE:
            return _climb(seen, remediation, policy, rules, now=now)


def _gone(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Decision:
    """Nothing is wrong any more: end the story, with the word for how that came about."""
    last = remediation.last_attempt
    if last is not None and last.verdict is Verdict.RECOVERED:
        return Close(Outcome.RECOVERED, Reason.SETTLED)
    if last is not None and last.verdict is Verdict.RELIEVED:
        return Close(Outcome.RELIEVED, Reason.SETTLED)
    if seen.sickness.resolved or (last is not None and last.passed):
        return Close(Outcome.CANCELLED, Reason.RESOLVED)
    if _has_vanished(remediation, patience, now=now):
        return Close(Outcome.VANISHED, Reason.RESOLVED)
    poll_at = now + policy.verify.poll
    over_at = (remediation.absent_since or now) + patience.vanished
    return Hold(min(poll_at, over_at) if now < over_at else poll_at, Reason.RESOLVED)


def _has_vanished(remediation: Remediation, patience: Patience, *, now: datetime) -> bool:
    """Tell whether an alert that nobody resolved has been away for long and often enough."""
    absent_since = remediation.absent_since or now
    # This look is one, too.
    return now - absent_since >= patience.vanished and remediation.absent_looks >= _LOOKS - 1


def _climb(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    rules: Guards,
    *,
    now: datetime,
) -> Decision:
    container = seen.container
    assert container is not None
    last = remediation.last_attempt
    if last is not None and last.verdict is Verdict.RECOVERED:
        return Relapse(Reason.RELAPSED)  # in the moment between its verdict and its end
    by_us = [one for one in remediation.attempts if one.trigger is not Trigger.MANUAL]
    is_new = not by_us and remediation.relapse_of is None
    if is_new and opening.has_relapsed(seen, policy, now=now):
        return Relapse(Reason.RELAPSED)  # nobody could tell when it was opened
    if last is not None and last.verdict is Verdict.UNKNOWN:
        return Escalate(Reason.UNKNOWN_TOO_LONG, last.evidence or "the verdict is unknown")
    if last is not None and has_no_clone(last):
        return Escalate(
            Reason.SCALE_OUT_FAILED, f"the clone did not come up: {last.evidence or last.verdict}"
        )
    by_engine = container.restart_count > remediation.planned_restarts
    if container.started_at != remediation.planned_started_at and not by_engine:
        # Somebody restarted it since its wait began: that may have cured it.
        return Follow(Reason.RESTARTED_MEANWHILE)

    failures = seen.failures
    if seen.observe_only:
        failures += _rehearsed_failures(remediation, policy, now=now)
    scale_out = why_relief(seen, failures, policy)
    if remediation.scaled_out_at is not None:
        scale_out = Reason.ALREADY_SCALED  # and still in need
    action = Action.RESTART if scale_out is None else Action.SCALE_OUT
    is_first = failures == 0 and not remediation.attempts
    backoff = Reason.FIRST_NEED if is_first else Reason.BACKOFF
    due = due_at(seen.target, remediation.needed_since, failures, policy)
    if scale_out is None and now < due:
        return Wait(due, backoff, action)
    is_down_by_us = last is not None and _left_down(seen, remediation, last)
    forbidden = guards.hold(seen, action, policy, rules, now=now, is_down_by_us=is_down_by_us)
    if forbidden is not None:
        return forbidden
    if scale_out is not None:
        return relieve(seen, remediation, policy, rules, scale_out, now=now)
    if seen.observe_only:
        return Rehearse(Action.RESTART, backoff)
    return Restart(backoff)


def _loops(seen: Observation, last: Attempt) -> bool:
    """Tell whether what we restarted never stays up: it has no moment in which to act on it."""
    container = seen.container
    return (
        container is not None
        and container.state is RunState.RESTARTING
        and last.verdict is Verdict.CRASH_LOOP
        and last.trigger in (Trigger.AUTOMATIC, Trigger.MANUAL)
    )


def _left_down(seen: Observation, remediation: Remediation, last: Attempt) -> bool:
    """Tell whether the container that we restarted last has stopped since, and stays so."""
    container = seen.container
    since = last.acted_at or last.intent_at
    if any(entry.reason is Reason.HUMAN and entry.at >= since for entry in remediation.log):
        return False  # a person stopped it, and we knew before we forgot
    return (
        container is not None
        and last.action is Action.RESTART
        and last.trigger in (Trigger.AUTOMATIC, Trigger.MANUAL)
        and last.verdict is not None
        and last.verdict.counts
        and container.started_at == (last.started_after or last.started_before)
        and container.state in (RunState.EXITED, RunState.DEAD)
        and seen.guards.human is None
    )


def _stopped_by_itself(seen: Observation) -> bool:
    """Tell a crash from what may be a person's ``docker stop``."""
    container = seen.container
    assert container is not None
    out_of_memory = container.oom_killed and container.exit_code == _KILLED
    return out_of_memory or container.exit_code not in _STOPPED_BY_SIGNAL


def _rehearsed_failures(remediation: Remediation, policy: Policy, *, now: datetime) -> int:
    """Count the restarts of observe mode in the window after which the trouble went on."""
    return sum(
        one.trigger is Trigger.REHEARSAL
        and one.passed is False
        and one.finished_at is not None
        and now - one.finished_at < policy.restart.window
        for one in remediation.attempts
    )
