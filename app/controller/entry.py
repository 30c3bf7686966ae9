"""What one decision leaves in the store, worked out before anything is written."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from app.controller.observe import Seen
from app.domain.activity import Activity, ActivityStatus
from app.domain.decision import (
    Action,
    Adopt,
    CallOff,
    Close,
    Conclude,
    Confirm,
    Decision,
    Forget,
    Hold,
    Idle,
    Outcome,
    Reason,
    Relapse,
    Verdict,
    Wait,
    Watch,
)
from app.domain.remediation import Attempt, Remediation, Trigger
from app.policies import attempts, opening, story
from app.policies.activities import activity_of
from app.policies.spec import Policy
from app.ports import Claim, Cooldown, Entry

#: Nothing could be decided: the container was not seen.
_NOT_LOOKED_AT: Final = (Reason.ENGINE_DOWN, Reason.AMBIGUOUS_TARGET)
#: Ends of a story that say nothing of its alerts: they may be those of the next container.
_NEXT_MAY_BE_ILL: Final = (Reason.NEW_INCARNATION, Reason.NO_SUCH_TARGET)


def entry_of(
    decision: Decision,
    remediation: Remediation | None,
    seen: Seen,
    claim: Claim,
    *,
    now: datetime,
) -> Entry:
    """
    Gather all that is to be written with a decision.

    :param remediation: as it is after the decision
    """
    attempt = remediation.last_attempt if remediation is not None else None
    relapsed = _relapsed(decision, remediation, seen, now=now)
    return Entry(
        remediation=remediation,
        due=_due(decision, seen.policy, now=now),
        listed=seen.newly_listed,
        failed_attempt=_failed(decision, attempt, relapsed),
        window=seen.policy.restart.window,
        consumed=consumed(decision, claim, seen),
        amended=(relapsed,) if relapsed is not None else (),
        recovered_attempt=_recovered(decision, attempt),
        recovered_for=seen.policy.chronic.window,
        freed=_freed(decision, attempt),
        back=_is_back(decision, seen),
        answered_order=answered(decision, seen),
        tally=_tally(decision),
        over=seen.known if _is_over(decision) else (),
        activity=_activity(decision, remediation, attempt, now=now),
        cooldown=_cooldown(decision, remediation, attempt, seen.policy, now=now),
    )


def _is_over(decision: Decision) -> bool:
    """Tell whether the target's alerts are over with this decision, and may be forgotten."""
    if isinstance(decision, Close):
        # Released by a person, it may well be ill still.
        is_released = decision.outcome is Outcome.RELEASED
        return decision.reason not in _NEXT_MAY_BE_ILL and not is_released
    return isinstance(decision, Idle)


def _due(decision: Decision, policy: Policy, *, now: datetime) -> datetime | None:
    """Tell when to look again; None: only when something new arrives."""
    match decision:
        case Wait(until=until) | Hold(until=until) | Watch(until=until):
            return until
        case Close(reason=Reason.NEW_INCARNATION) | Close(outcome=Outcome.RELEASED):
            return now
        case Close(reason=Reason.NO_SUCH_TARGET):
            # It may be between two lives: a deploy removes a container before it makes the next.
            return now + policy.verify.deadline
        case Close() | Idle():
            return None
        case _:
            return now


def _relapsed(
    decision: Decision, remediation: Remediation | None, seen: Seen, *, now: datetime
) -> Remediation | None:
    """Edit the closed remediation whose recovery did not last."""
    previous = seen.observation.previous
    if not isinstance(decision, Relapse) or remediation is None or previous is None:
        return None
    if remediation.relapse_of != previous.id:
        return None  # it was its own last attempt that relapsed
    return story.flipped(previous, remediation, now=now)


def _failed(
    decision: Decision, attempt: Attempt | None, relapsed: Remediation | None
) -> str | None:
    """Name the attempt that is a failed restart of ours, with this decision."""
    if isinstance(decision, Relapse):
        attempt = relapsed.last_attempt if relapsed is not None else attempt
    elif not isinstance(decision, Conclude):
        return None
    return attempt.id if attempt is not None and attempt.is_failed_restart else None


def _recovered(decision: Decision, attempt: Attempt | None) -> str | None:
    """Name a restart that helped: too many of those are a story of their own."""
    if not isinstance(decision, Conclude) or decision.verdict is not Verdict.RECOVERED:
        return None
    return attempt.id if attempt is not None and attempt.trigger is Trigger.AUTOMATIC else None


def _freed(decision: Decision, attempt: Attempt | None) -> str | None:
    return (
        attempt.id
        if isinstance(decision, Conclude | Adopt | CallOff) and attempt is not None
        else None
    )


def _ends(decision: Decision, attempt: Attempt, *, now: datetime) -> bool:
    """Tell whether an attempt has its verdict by this decision."""
    if isinstance(decision, CallOff):
        return attempt.finished_at == now
    return isinstance(decision, Conclude)


def _is_back(decision: Decision, seen: Seen) -> bool:
    """Tell whether the target serves again after our action, or will not for other reasons."""
    if isinstance(decision, Conclude | Close | CallOff):
        return True
    container = seen.observation.container
    record = seen.observation.remediation
    attempt = record.open_attempt if record is not None else None
    has_acted = attempt is not None and attempt.acted_at is not None
    return has_acted and container is not None and container.is_serving


def answered(decision: Decision, seen: Seen) -> str | None:
    """Name the order that this step has dealt with; what cannot be looked at leaves it open."""
    order = seen.observation.order
    if order is None or (isinstance(decision, Hold) and decision.reason in _NOT_LOOKED_AT):
        return None
    return order.id


def _tally(decision: Decision) -> Mapping[str, int]:
    """Count for the precision report of observe mode."""
    if not isinstance(decision, Conclude) or decision.verdict is not Verdict.WOULD_HAVE:
        return {}
    known = {True: "passed", False: "not_passed", None: "unclear"}[decision.passed]
    return {"would_have": 1, f"would_have_{known}": 1}


def consumed(decision: Decision, claim: Claim, seen: Seen) -> tuple[str, ...]:
    """List the targets whose failures are over: relieved by a clone, of an older image, reset."""
    observation = seen.observation
    if isinstance(decision, Confirm):
        record = observation.remediation
        attempt = record.open_attempt if record is not None else None
        # A cover for a restart relieves nobody: what failed before it goes on counting.
        is_cover = attempt is not None and attempt.reason is Reason.COVER
        return () if is_cover else observation.group.originals
    if isinstance(decision, Forget):
        return (claim.target,)
    if isinstance(decision, Close) and decision.reason is Reason.NEW_INCARNATION:
        return (claim.target,)
    if observation.remediation is None and opening.is_new_incarnation(observation):
        return (claim.target,)
    return ()


def _activity(
    decision: Decision,
    remediation: Remediation | None,
    attempt: Attempt | None,
    *,
    now: datetime,
) -> Activity | None:
    if remediation is None or attempt is None or attempt.action is not Action.SCALE_OUT:
        return None
    if isinstance(decision, Adopt):
        return activity_of(remediation, attempt, ActivityStatus.IN_PROGRESS)
    if isinstance(decision, Confirm):
        done = activity_of(remediation, attempt, ActivityStatus.SUCCESSFUL)
        return replace(done, finished_at=now)
    if _ends(decision, attempt, now=now) and attempts.leaves(remediation):
        cancelled = attempt.verdict is Verdict.CANCELLED
        status = ActivityStatus.CANCELLED if cancelled else ActivityStatus.FAILED
        return activity_of(remediation, attempt, status, cause=attempt.evidence)
    if isinstance(decision, Conclude) and attempt.reason is Reason.COVER:
        return _cover(remediation, attempt)
    return None


def _cover(remediation: Remediation, attempt: Attempt) -> Activity | None:
    """Tell of a cover that has relieved by itself: it stays, as any other clone, while needed."""
    if attempts.only_covers(attempt):
        return None
    done = activity_of(remediation, attempt, ActivityStatus.SUCCESSFUL, cause=attempt.evidence)
    return replace(done, reason=Reason.RELIEF, finished_at=remediation.scaled_out_at)


def _cooldown(
    decision: Decision,
    remediation: Remediation | None,
    attempt: Attempt | None,
    policy: Policy,
    *,
    now: datetime,
) -> Cooldown | None:
    """Start the group's cooldown when the clone is up; lift it when no clone came of it."""
    if remediation is None or attempt is None or attempt.action is not Action.SCALE_OUT:
        return None
    until: datetime | None
    if isinstance(decision, Confirm):
        until = now + policy.scale_out.cooldown
    elif _ends(decision, attempt, now=now) and not attempts.is_up(remediation):
        until = None
    else:
        return None
    return Cooldown(group=remediation.group, attempt_id=attempt.id, until=until)
