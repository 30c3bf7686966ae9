"""How the attempts of a remediation go on: begun, carried out, judged."""

from dataclasses import replace
from datetime import datetime

from app.domain.container import Container
from app.domain.decision import (
    Conclude,
    Follow,
    Reason,
    Rehearse,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Verdict,
)
from app.domain.observation import Observation
from app.domain.remediation import Action, Attempt, Remediation, State, Trigger

_NOT_OURS = (Trigger.FOREIGN, Trigger.REHEARSAL)
#: Of these, a story keeps as many: somebody may restart a container every minute, for days.
_MOST = 100


def begun(
    remediation: Remediation,
    seen: Observation,
    decision: Restart | ScaleOut | Resume | StartStopped,
    *,
    now: datetime,
) -> Remediation:
    """Write down an action before it is carried out."""
    container = seen.container
    assert container is not None
    last = remediation.open_attempt
    if isinstance(decision, Resume) and last is not None:
        # The same id: whatever the first try did under it must not be done twice.
        attempts = (*remediation.attempts[:-1], replace(last, intent_at=now, error=None))
    elif isinstance(decision, StartStopped) and last is not None:
        attempts = (*remediation.attempts[:-1], replace(last, started_again=True))
    else:
        action = Action.SCALE_OUT if isinstance(decision, ScaleOut) else Action.RESTART
        attempt = _new(remediation, container, action, decision, now=now)
        order = seen.order
        if order is not None:
            attempt = replace(
                attempt,
                id=order.id,
                trigger=Trigger.MANUAL,
                ordered=f"{order.author}: {order.reason}",
            )
        attempts = (*remediation.attempts, attempt)
    return replace(
        remediation,
        state=State.ACTING,
        reason=decision.reason,
        container=container.name,
        attempts=attempts,
        next_action=attempts[-1].action,
        next_at=now,
        # What was absent before the action says nothing about its effect.
        absent_since=None,
        absent_looks=0,
        unknown_since=None,
    )


def acted(
    remediation: Remediation,
    *,
    now: datetime,
    container: Container | None = None,
    error: str | None = None,
    error_status: int | None = None,
) -> Remediation:
    """
    Write down how the engine answered.

    :param container: what was restarted or made, as it is now; None where it failed
    :param error: the engine's refusal, or its silence
    :param error_status: status of a refusal; None for silence
    """
    attempt = remediation.open_attempt
    assert attempt is not None
    if container is None:
        attempt = replace(attempt, error=error, error_status=error_status)
    else:
        attempt = _carried_out(attempt, container, now=now)
    return replace(
        remediation,
        attempts=(*remediation.attempts[:-1], attempt),
        state=State.VERIFYING if container is not None else State.ACTING,
        next_action=None,
    )


def owed(remediation: Remediation) -> Remediation:
    """Write down that what our restart left stopped was not started yet: it is tried again."""
    attempt = remediation.open_attempt
    assert attempt is not None
    attempt = replace(attempt, started_again=False)
    return replace(remediation, attempts=(*remediation.attempts[:-1], attempt), next_action=None)


def adopted(remediation: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    """Write down that an action whose end nobody saw did happen."""
    attempt = remediation.open_attempt
    assert attempt is not None
    is_scale_out = attempt.action is Action.SCALE_OUT
    container = seen.group.fresh_clone if is_scale_out else seen.container
    assert container is not None
    return _being_verified(remediation, _carried_out(attempt, container, now=now), now=now)


def followed(
    remediation: Remediation, seen: Observation, decision: Follow, *, now: datetime
) -> Remediation:
    """Write down a restart by somebody else, to be verified like one of ours."""
    container = seen.container
    assert container is not None
    attempt = replace(
        _new(remediation, container, Action.RESTART, decision, now=now),
        trigger=Trigger.FOREIGN,
        started_before=remediation.planned_started_at,
    )
    added = replace(remediation, attempts=(*_worth_keeping(remediation), attempt))
    return _being_verified(added, _carried_out(attempt, container, now=now), now=now)


def rehearsed(
    remediation: Remediation, seen: Observation, decision: Rehearse, *, now: datetime
) -> Remediation:
    """Write down what would be done; the trouble is watched without it."""
    container = seen.container
    assert container is not None
    attempt = replace(
        _new(remediation, container, decision.action, decision, now=now),
        trigger=Trigger.REHEARSAL,
        acted_at=now,
        started_after=container.started_at,
    )
    added = replace(remediation, attempts=(*_worth_keeping(remediation), attempt))
    return _being_verified(added, attempt, now=now)


def concluded(
    remediation: Remediation, seen: Observation, decision: Conclude, *, now: datetime
) -> Remediation:
    """Write down the verdict of the open attempt; the next delay counts from here."""
    attempt = remediation.open_attempt
    assert attempt is not None
    attempt = replace(
        attempt,
        verdict=decision.verdict,
        verdict_reason=decision.reason,
        evidence=decision.evidence,
        passed=decision.passed,
        finished_at=now,
    )
    is_free = remediation.quarantined_at is None or attempt.verdict is Verdict.RECOVERED
    record = replace(
        remediation,
        attempts=(*remediation.attempts[:-1], attempt),
        state=State.WAITING if is_free else State.QUARANTINED,
        next_at=now,
        needed_since=now,
    )
    if attempt.reason is Reason.COVER:
        # The restart that it covers was due before it: neither its wait nor its plan begin anew.
        return replace(record, needed_since=remediation.needed_since)
    if seen.container is None or decision.reason is Reason.RESTARTED_MEANWHILE:
        return record  # that start was not ours: the next look follows it
    return planned(record, seen.container)


def relapsed(remediation: Remediation) -> Remediation:
    """Turn the verdict of the last attempt: its recovery did not last. Harmless when repeated."""
    last = remediation.last_attempt
    assert last is not None
    turned = replace(last, verdict=Verdict.RELAPSED)
    return replace(remediation, attempts=(*remediation.attempts[:-1], turned))


def planned(remediation: Remediation, container: Container) -> Remediation:
    """Plan the next step from the container as it is now."""
    return replace(
        remediation,
        planned_started_at=container.started_at,
        planned_restarts=container.restart_count,
    )


def confirmed(remediation: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    """Write down that the clone is up and warm, and what it and its source had used by then."""
    attempt = remediation.open_attempt
    assert attempt is not None
    attempt = replace(attempt, beside=seen.group.used)
    return replace(
        remediation,
        attempts=(*remediation.attempts[:-1], attempt),
        state=State.COOLDOWN,
        scaled_out_at=now,
        next_at=now,
    )


def is_up(remediation: Remediation) -> bool:
    """Whether the clone of the last attempt came up and was warm."""
    attempt = remediation.last_attempt
    return (
        attempt is not None
        and attempt.acted_at is not None
        and remediation.scaled_out_at is not None
        and remediation.scaled_out_at >= attempt.acted_at
    )


def only_covers(attempt: Attempt) -> bool:
    """Whether a clone served for the time of a restart alone, and was no relief by itself."""
    return attempt.reason is Reason.COVER and attempt.verdict_reason is not Reason.SETTLED


def leaves(remediation: Remediation) -> bool:
    """Whether the clone of the last attempt is removed with its verdict."""
    attempt = remediation.last_attempt
    return (
        attempt is not None
        and attempt.action is Action.SCALE_OUT
        and (not is_up(remediation) or attempt.verdict in (Verdict.NO_TRAFFIC, Verdict.NO_EFFECT))
    )


def _new(
    remediation: Remediation,
    container: Container,
    action: Action,
    decision: Restart | ScaleOut | Resume | StartStopped | Follow | Rehearse,
    *,
    now: datetime,
) -> Attempt:
    return Attempt(
        id=f"{remediation.id}.{next_number(remediation)}",
        action=action,
        reason=decision.reason,
        container_id=container.id,
        started_before=container.started_at,
        intent_at=now,
    )


def next_number(remediation: Remediation) -> int:
    """Number the next attempt; those before may be fewer than there were."""
    last = remediation.last_attempt
    if last is None:
        return 1
    return int(last.id.rpartition(".")[2].rstrip("m") or "0") + 1


def _worth_keeping(remediation: Remediation) -> tuple[Attempt, ...]:
    """Forget the oldest attempts that were not ours, where there is no end of them."""
    others = [one for one in remediation.attempts if one.trigger in _NOT_OURS]
    gone = {one.id for one in others[:-_MOST]} if len(others) > _MOST else set()
    return tuple(one for one in remediation.attempts if one.id not in gone)


def _being_verified(remediation: Remediation, attempt: Attempt, *, now: datetime) -> Remediation:
    return replace(
        remediation,
        attempts=(*remediation.attempts[:-1], attempt),
        state=State.VERIFYING,
        next_at=now,
        next_action=None,
        absent_since=None,
        absent_looks=0,
        unknown_since=None,
    )


def _carried_out(attempt: Attempt, container: Container, *, now: datetime) -> Attempt:
    done = replace(
        attempt,
        acted_at=now,
        started_after=container.started_at,
        # An action of ours resets the count: what is there a moment later are crashes since.
        restarts_after=container.restart_count if attempt.trigger is Trigger.FOREIGN else 0,
        error=None,
        error_status=None,
    )
    if attempt.action is Action.SCALE_OUT:
        return replace(done, clone=container.name, clone_id=container.id)
    return done
