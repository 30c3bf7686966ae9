"""When another instance takes over, and what ends the ladder instead."""

from datetime import datetime

from app.domain.decision import (
    Decision,
    Escalate,
    Hold,
    Reason,
    Rehearse,
    Restart,
    ScaleOut,
    Verdict,
)
from app.domain.fidelity import RefusalReason
from app.domain.observation import Observation
from app.domain.remediation import Action, Attempt, Remediation, Trigger
from app.policies.spec import Guards, Policy, Strategy

#: A scale-out that ended so left no clone behind.
_NO_CLONE = (
    Verdict.EXITED,
    Verdict.CRASH_LOOP,
    Verdict.UNHEALTHY,
    Verdict.ENGINE_ERROR,
    Verdict.TIMED_OUT,
    Verdict.VANISHED,
)
#: Refused in the moment that it was to be made: the words of the fidelity report, or none of them.
_REFUSED = (Reason.SCALE_OUT_FAILED, *(Reason(word.value) for word in RefusalReason))
#: A clone that proved useless; it has left, unless nobody else serves.
_USELESS = (Verdict.NO_TRAFFIC, Verdict.NO_EFFECT)
#: Where these come to nothing a restart is still to be tried.
_BEFORE_RESTARTS = (Reason.COVER, Reason.SCALED_IN_LATELY)


def why_relief(
    seen: Observation, failures: int, policy: Policy, rules: Guards, *, now: datetime
) -> Reason | None:
    """Tell why the next action is a scale-out; None while it is a restart."""
    if not seen.sickness.on_source:
        return Reason.CLONE_SICK
    if policy.strategy is Strategy.SCALE_FIRST:
        return Reason.FIRST_NEED
    if failures >= policy.restart.max_failed:
        return Reason.WINDOW_FULL
    left_at = seen.group.left_at
    if left_at is not None and now - left_at < policy.restart.window:
        # What left is needed again. Only where another one can be had: else the ladder as usual.
        failed = _failed(seen.remediation, Reason.SCALED_IN_LATELY)
        if failed is None and _obstacle(seen, policy, rules) is None:
            return Reason.SCALED_IN_LATELY
    return None


def has_scaled_out(seen: Observation, remediation: Remediation, policy: Policy) -> bool:
    """
    Tell whether a remediation has scaled out already, and is still in need.

    A cover for a restart is no relief yet; with a full window it is all the relief there was.
    """
    up_at = remediation.scaled_out_at
    if up_at is None:
        return False
    up = (
        one
        for one in remediation.attempts
        if one.action is Action.SCALE_OUT and one.acted_at is not None and one.acted_at <= up_at
    )
    if any(one.reason is not Reason.COVER and not has_no_clone(one) for one in up):
        return True
    return seen.failures >= policy.restart.max_failed


def under_cover(
    seen: Observation, remediation: Remediation, policy: Policy, *, now: datetime
) -> Restart | Hold | None:
    """
    Give a source that is the one still ill its one restart under cover of the clone.

    None where it had that, or no clone of this story serves; and for load, which no restart cures.
    """
    if policy.strategy is Strategy.SCALE_FIRST or not seen.sickness.on_source:
        return None
    if not _is_covered(seen, remediation) or _was_restarted_since(remediation):
        return None
    assert remediation.scaled_out_at is not None
    over_at = remediation.scaled_out_at + policy.scale_out.cooldown
    if now < over_at:
        return Hold(over_at, Reason.COOLDOWN)
    return Restart(Reason.UNDER_COVER)


def relieve_first(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    rules: Guards,
    reason: Reason,
    *,
    now: datetime,
) -> Restart | ScaleOut | Hold:
    """Restart under cover of a clone, which comes first; in place where there can be none."""
    if _is_covered(seen, remediation):
        return Restart(reason)
    failed = _failed(remediation, Reason.COVER)
    if failed is not None:
        return Restart(reason, f"in place: {no_clone(failed)}")
    obstacle = _obstacle(seen, policy, rules)
    if obstacle is not None:
        return Restart(reason, f"in place: {obstacle.detail}")
    cooling_until = seen.group.cooling_until
    if cooling_until is not None and now < cooling_until:
        return Hold(cooling_until, Reason.COOLDOWN)
    return ScaleOut(Reason.COVER)


def ended_by(attempt: Attempt) -> Escalate | None:
    """Tell how a scale-out that came to nothing ends the ladder; None where it does not."""
    if attempt.verdict in _USELESS:
        return Escalate(Reason(attempt.verdict), attempt.evidence or str(attempt.verdict))
    if has_no_clone(attempt) and attempt.reason not in _BEFORE_RESTARTS:
        refused = attempt.verdict_reason if attempt.verdict_reason in _REFUSED else None
        return Escalate(refused or Reason.SCALE_OUT_FAILED, no_clone(attempt))
    return None


def has_no_clone(attempt: Attempt) -> bool:
    """Tell whether a scale-out came to nothing."""
    if attempt.action is not Action.SCALE_OUT:
        return False
    is_refused = attempt.verdict is Verdict.CANCELLED and attempt.verdict_reason in _REFUSED
    return attempt.verdict in _NO_CLONE or is_refused


def no_clone(attempt: Attempt) -> str:
    """Say why a scale-out came to nothing."""
    return f"the clone did not come up: {attempt.evidence or attempt.verdict}"


def relieve(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    rules: Guards,
    reason: Reason,
    *,
    now: datetime,
) -> Decision:
    """Scale out if policy, group and container allow it; else the ladder ends."""
    decision = _relief(seen, policy, rules, reason, now=now)
    if not seen.observe_only or isinstance(decision, Hold):
        return decision
    look_at = now + policy.verify.poll
    if isinstance(decision, Escalate):
        return Hold(look_at, Reason.OBSERVE, f"would escalate: {decision.detail}")
    if any(one.action is Action.SCALE_OUT for one in remediation.attempts):
        return Hold(look_at, Reason.OBSERVE)
    return Rehearse(Action.SCALE_OUT, reason)


def _relief(
    seen: Observation, policy: Policy, rules: Guards, reason: Reason, *, now: datetime
) -> ScaleOut | Hold | Escalate:
    cooling_until = seen.group.cooling_until
    if policy.scale_out.enabled and cooling_until is not None and now < cooling_until:
        return Hold(cooling_until, Reason.COOLDOWN)
    return _obstacle(seen, policy, rules) or ScaleOut(reason)


def _obstacle(seen: Observation, policy: Policy, rules: Guards) -> Escalate | None:
    """Tell why there can be no further instance, now or later."""
    group = seen.group
    if not policy.scale_out.enabled:
        return Escalate(Reason.SCALE_OUT_DISABLED, "its policy does not allow a scale-out")
    if group.instances >= group.max_instances:
        return Escalate(
            Reason.AT_MAX, f"{group.instances} of {group.max_instances} instances exist already"
        )
    if seen.guards.clones >= rules.max_clones:
        return Escalate(
            Reason.MAX_CLONES,
            f"{seen.guards.clones} of {rules.max_clones} clones of all groups exist already",
        )
    if group.refusal is not None:
        return Escalate(group.refusal.reason, group.refusal.detail)
    return None


def _failed(remediation: Remediation | None, reason: Reason) -> Attempt | None:
    """Find a scale-out made for a reason that came to nothing."""
    past = remediation.attempts if remediation is not None else ()
    return next((one for one in past if one.reason is reason and has_no_clone(one)), None)


def _is_covered(seen: Observation, remediation: Remediation) -> bool:
    """Tell whether a clone of this story serves beside the source."""
    serving = {clone.id for clone in seen.group.clones if clone.is_serving}
    return any(one.clone_id in serving for one in remediation.attempts)


def _was_restarted_since(remediation: Remediation) -> bool:
    """Tell whether the source had a restart of ours after a clone was made."""
    made = (
        one.acted_at
        for one in remediation.attempts
        if one.clone_id is not None and one.acted_at is not None and not has_no_clone(one)
    )
    first = min(made, default=None)
    return first is not None and any(
        one.action is not Action.SCALE_OUT
        and one.trigger in (Trigger.AUTOMATIC, Trigger.REHEARSAL)
        # Of one that was called off in the last moment there is neither.
        and (one.acted_at is not None or one.error is not None)
        and one.intent_at >= first
        for one in remediation.attempts
    )
