"""When another instance takes over, and what ends the ladder instead."""

from datetime import datetime

from app.domain.decision import Decision, Escalate, Hold, Reason, Rehearse, ScaleOut, Verdict
from app.domain.observation import Observation
from app.domain.remediation import Action, Attempt, Remediation
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


def why_relief(seen: Observation, failures: int, policy: Policy) -> Reason | None:
    """Tell why the next action is a scale-out; None while it is a restart."""
    if not seen.sickness.on_source:
        return Reason.CLONE_SICK
    if policy.strategy is Strategy.SCALE_FIRST:
        return Reason.FIRST_NEED
    if failures >= policy.restart.max_failed:
        return Reason.WINDOW_FULL
    return None


def has_no_clone(attempt: Attempt) -> bool:
    """Tell whether a scale-out came to nothing."""
    if attempt.action is not Action.SCALE_OUT:
        return False
    return attempt.verdict in _NO_CLONE or attempt.verdict_reason is Reason.SCALE_OUT_FAILED


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
    group = seen.group
    if not policy.scale_out.enabled:
        return Escalate(Reason.SCALE_OUT_DISABLED, "its policy does not allow a scale-out")
    if group.cooling_until is not None and now < group.cooling_until:
        return Hold(group.cooling_until, Reason.COOLDOWN)
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
    return ScaleOut(reason)
