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
    ScaleOut,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action, Remediation, State, Trigger
from app.policies import aftermath, guards, opening, orders, recovery, relief, verdict
from app.policies.backoff import due_at
from app.policies.scale_out_verdict import judge_scale_out
from app.policies.spec import Guards, Patience, Policy, Strategy

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
        return opening.begin(seen, policy, rules, now=now)

    attempt = remediation.open_attempt
    if not seen.opted_in and (attempt is None or attempt.acted_at is not None):
        return _opted_out(remediation)
    if attempt is not None:
        if attempt.trigger is Trigger.REHEARSAL:
            return verdict.judge_rehearsal(seen, remediation, attempt, policy, patience, now=now)
        if attempt.acted_at is None:
            return recovery.settle(seen, attempt, policy, rules, now=now)
        judge = judge_scale_out if attempt.action is Action.SCALE_OUT else verdict.judge
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
    if last is not None and aftermath.loops(seen, last):
        return Escalate(
            Reason.NOT_RUNNING, f"the engine restarts it over and over since ours: {last.evidence}"
        )
    if last is not None and aftermath.left_down(seen, remediation, last):
        if seen.guards.is_blind:
            return Hold(now + _SOON, Reason.NOT_RUNNING, "who stopped it is not known yet")
        if aftermath.stopped_by_itself(seen):
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
    is_cover = last is not None and last.verdict_reason is Reason.COVER
    if last is not None and last.verdict is Verdict.RELIEVED and not is_cover:
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
    ended = relief.ended_by(last) if last is not None else None
    if ended is not None:
        return ended
    by_engine = container.restart_count > remediation.planned_restarts
    if container.started_at != remediation.planned_started_at and not by_engine:
        # Somebody restarted it since its wait began: that may have cured it.
        return Follow(Reason.RESTARTED_MEANWHILE)

    failures = seen.failures
    if seen.observe_only:
        failures += _rehearsed_failures(remediation, policy, now=now)
    scale_out = relief.why_relief(seen, failures, policy, rules, now=now)
    if relief.has_scaled_out(seen, remediation, policy):
        scale_out = Reason.ALREADY_SCALED  # and still in need
        covered = relief.under_cover(seen, remediation, policy, now=now)
        if isinstance(covered, Hold):
            return covered
        if covered is not None:
            return _restart(seen, remediation, policy, rules, covered.reason, now=now)
    is_first = failures == 0 and all(one.reason is Reason.COVER for one in remediation.attempts)
    backoff = Reason.FIRST_NEED if is_first else Reason.BACKOFF
    if scale_out is None:
        due = due_at(seen.target, remediation.needed_since, failures, policy)
        if now < due:
            return Wait(due, backoff, Action.RESTART)
        return _restart(seen, remediation, policy, rules, backoff, now=now)
    forbidden = _forbidden(seen, remediation, Action.SCALE_OUT, policy, rules, now=now)
    return forbidden or relief.relieve(seen, remediation, policy, rules, scale_out, now=now)


def _restart(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    rules: Guards,
    reason: Reason,
    *,
    now: datetime,
) -> Decision:
    """Restart it now if nothing forbids that, in the way that its policy says."""
    step: Restart | ScaleOut | Hold = Restart(reason)
    if policy.strategy is Strategy.RELIEVE_FIRST and not seen.observe_only:
        step = relief.relieve_first(seen, remediation, policy, rules, reason, now=now)
    forbidden = _forbidden(seen, remediation, Action.RESTART, policy, rules, now=now)
    if isinstance(step, ScaleOut) and forbidden and forbidden.reason is Reason.MIN_HEALTHY:
        # A cover is what serves meanwhile.
        forbidden = _forbidden(seen, remediation, Action.SCALE_OUT, policy, rules, now=now)
    if forbidden is not None:
        return forbidden
    return Rehearse(Action.RESTART, reason) if seen.observe_only else step


def _forbidden(
    seen: Observation,
    remediation: Remediation,
    action: Action,
    policy: Policy,
    rules: Guards,
    *,
    now: datetime,
) -> Hold | None:
    last = remediation.last_attempt
    is_down_by_us = last is not None and aftermath.left_down(seen, remediation, last)
    return guards.hold(seen, action, policy, rules, now=now, is_down_by_us=is_down_by_us)


def _rehearsed_failures(remediation: Remediation, policy: Policy, *, now: datetime) -> int:
    """Count the restarts of observe mode in the window after which the trouble went on."""
    return sum(
        one.trigger is Trigger.REHEARSAL
        and one.passed is False
        and one.finished_at is not None
        and now - one.finished_at < policy.restart.window
        for one in remediation.attempts
    )
