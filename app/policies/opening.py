"""A target without an open remediation: does a story begin?"""

from datetime import datetime

from app.domain.decision import Decision, Hold, Idle, Outcome, Reason, Relapse, Verdict, Wait
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action
from app.policies.backoff import due_at
from app.policies.relief import why_relief
from app.policies.spec import Guards, Policy


def begin(seen: Observation, policy: Policy, rules: Guards, *, now: datetime) -> Decision:
    """Decide about a target for which nothing is open."""
    if seen.view is EngineView.GONE:
        return Idle(Reason.NO_SUCH_TARGET)
    if not seen.opted_in:
        return Idle(Reason.NOT_OPTED_IN)
    match seen.sickness.symptom:
        case Symptom.ABSENT if seen.is_replaced and seen.sickness.noticed:
            return Hold(now + policy.verify.poll, Reason.REPLACED, "a clone serves in its place")
        case Symptom.ABSENT:
            return Idle(Reason.RESOLVED)
        case Symptom.SUPPRESSED:
            return Hold(now + policy.verify.poll, Reason.SILENCED)
        case Symptom.UNKNOWN if not seen.sickness.noticed:
            return Idle(Reason.NO_FRESH_DATA)  # nothing was ever wrong with it, as far as we know
        case Symptom.UNKNOWN:
            return Hold(now + policy.verify.poll, Reason.NO_FRESH_DATA)
        case Symptom.ACTIVE if not seen.may_open and not seen.sickness.noticed:
            return Idle(Reason.SILENCED)  # listed, and perhaps muted: nobody was notified of it
        case Symptom.ACTIVE:
            pass
    if has_relapsed(seen, policy, now=now):
        return Relapse(Reason.RELAPSED)
    # Those of an older image or configuration say nothing about this one.
    failures = seen.failures if not is_new_incarnation(seen) else 0
    scale_out = why_relief(seen, failures, policy, rules, now=now)
    if scale_out is not None:
        return Wait(now, scale_out, Action.SCALE_OUT)
    # Received in the past where we were away: the delay counts from then, the rest is waited.
    due = due_at(seen.target, needed_since(seen, now=now), failures, policy)
    reason = Reason.FIRST_NEED if failures == 0 else Reason.BACKOFF
    return Wait(max(now, due), reason, Action.RESTART)


def needed_since(seen: Observation, *, now: datetime) -> datetime:
    """Tell since when help is needed; what was made anew is given its time from now on."""
    return now if is_new_incarnation(seen) else (seen.sickness.since or now)


def is_new_incarnation(seen: Observation) -> bool:
    """Tell whether the target was made anew since its last remediation."""
    previous = seen.previous
    if seen.view is not EngineView.SEEN:
        return False  # it cannot be told
    return previous is not None and previous.incarnation != seen.incarnation


def has_relapsed(seen: Observation, policy: Policy, *, now: datetime) -> bool:
    """Tell whether what is ill now had recovered by a restart a short while ago."""
    previous = seen.previous
    if previous is None or previous.outcome is not Outcome.RECOVERED:
        return False
    last = previous.last_attempt
    return (
        last is not None
        and last.verdict is Verdict.RECOVERED
        and last.finished_at is not None
        and bool(previous.alerts)  # a restart by order, of what was well, recovered from nothing
        and previous.incarnation == seen.incarnation
        and now - last.finished_at <= policy.verify.relapse_window
    )
