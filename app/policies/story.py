"""How the record of a remediation goes on, decision by decision."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from app.domain.container import Container
from app.domain.decision import (
    Adopt,
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Hold,
    Idle,
    Reason,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action, Attempt, LogEntry, Remediation, State
from app.domain.target import TargetId

#: Decisions kept with a remediation: a day of polling changes its mind far less often.
_LOG_CAP = 200

_WATCHED_AS = {
    Reason.SETTLING: State.SETTLING,
    Reason.RELIEF: State.COOLDOWN,
    Reason.INTERRUPTED: State.ACTING,
    Reason.QUARANTINE: State.QUARANTINED,
}


def opened(seen: Observation, decision: Wait | Hold, *, policy: str, now: datetime) -> Remediation:
    """Begin the story of a target that has just been found in need, or may be."""
    container = seen.container
    assert container is not None
    return Remediation(
        id=f"{TargetId.parse(seen.target).slot}-{_base36(round(now.timestamp() * 1000))}",
        target=seen.target,
        group=seen.group.id,
        container=container.name,
        incarnation=seen.incarnation,
        policy=policy,
        state=State.WAITING,
        reason=decision.reason,
        opened_at=now,
        alerts=seen.sickness.alerts,
        needed_since=seen.sickness.since or now,
        planned_started_at=container.started_at,
        planned_restarts=container.restart_count,
    )


def tracked(remediation: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    """Remember since when the symptom is absent, or cannot be told, without interruption."""
    if seen.view is not EngineView.SEEN:
        # Not looked at: neither its absence nor our ignorance has lasted.
        return replace(remediation, absent_since=None, unknown_since=None)
    symptom = seen.sickness.symptom
    absent = remediation.absent_since or now if symptom is Symptom.ABSENT else None
    unknown = remediation.unknown_since or now if symptom is Symptom.UNKNOWN else None
    return replace(remediation, absent_since=absent, unknown_since=unknown)


def advanced(
    remediation: Remediation, seen: Observation, decision: Decision, *, now: datetime
) -> Remediation:
    """Write down a decision that is no action, or the end of one."""
    record = replace(tracked(remediation, seen, now=now), reason=decision.reason)
    if seen.container is not None:
        record = replace(record, container=seen.container.name)
    until: datetime | None = None
    detail: str | None = None
    match decision:
        case Wait(until=until, reason=reason, then=then):
            record = replace(record, state=State.WAITING, next_at=until, next_action=then)
            if reason is Reason.RESTARTED_MEANWHILE and seen.container is not None:
                record = _planned(replace(record, needed_since=now), seen.container)
        case Hold(until=until, reason=reason):
            state = State.COOLDOWN if reason is Reason.COOLDOWN else State.HELD
            if record.state is State.QUARANTINED:
                state = State.QUARANTINED  # ends by its alerts or by a person, nothing else
            record = replace(record, state=state, next_at=until, next_action=None)
        case Watch(until=until, reason=reason):
            state = _WATCHED_AS.get(reason, State.VERIFYING)
            record = replace(record, state=state, next_at=until, next_action=None)
        case Confirm():
            record = replace(record, state=State.COOLDOWN, scaled_out_at=now, next_at=now)
        case Adopt():
            record = _adopted(record, seen, now=now)
        case Conclude(evidence=detail):
            record = _concluded(record, seen, decision, now=now)
        case Close(outcome=outcome):
            record = replace(
                record,
                state=State.CLOSED,
                outcome=outcome,
                closed_at=now,
                next_at=None,
                next_action=None,
            )
        case Escalate(detail=detail):
            record = replace(record, state=State.QUARANTINED, next_at=now, next_action=None)
        case Idle():
            pass
        case Restart() | ScaleOut() | Resume() | StartStopped():
            raise ValueError(f"{type(decision).__name__} is an action: see intended() and acted()")
        case _:
            assert_never(decision)
    return logged(record, decision, now=now, until=until, detail=detail)


def intended(
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
        attempt = Attempt(
            id=f"{remediation.id}.{len(remediation.attempts) + 1}",
            action=action,
            reason=decision.reason,
            container_id=container.id,
            started_before=container.started_at,
            intent_at=now,
        )
        attempts = (*remediation.attempts, attempt)
    record = replace(
        remediation,
        state=State.ACTING,
        reason=decision.reason,
        container=container.name,
        attempts=attempts,
        next_action=attempts[-1].action,
        next_at=now,
        # What was absent before the action says nothing about its effect.
        absent_since=None,
        unknown_since=None,
    )
    return logged(record, decision, now=now)


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


def logged(
    remediation: Remediation,
    decision: Decision,
    *,
    now: datetime,
    until: datetime | None = None,
    detail: str | None = None,
) -> Remediation:
    """Keep a decision with its remediation; a poll that changes nothing is not news."""
    name = decision_name(decision)
    last = remediation.log[-1] if remediation.log else None
    entry = LogEntry(at=now, decision=name, reason=decision.reason, until=until, detail=detail)
    if last is not None and (last.decision, last.reason) == (name, entry.reason):
        return remediation
    return replace(remediation, log=(*remediation.log, entry)[-_LOG_CAP:])


def is_up(remediation: Remediation) -> bool:
    """Whether the clone of the last attempt came up and was warm."""
    attempt = remediation.last_attempt
    return (
        attempt is not None
        and attempt.acted_at is not None
        and remediation.scaled_out_at is not None
        and remediation.scaled_out_at >= attempt.acted_at
    )


def decision_name(decision: Decision) -> str:
    """Name a decision the way log, metric and API do: ``scale_out``."""
    words = type(decision).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")


def _adopted(remediation: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    attempt = remediation.open_attempt
    assert attempt is not None
    is_scale_out = attempt.action is Action.SCALE_OUT
    container = seen.group.fresh_clone if is_scale_out else seen.container
    assert container is not None
    return replace(
        remediation,
        attempts=(*remediation.attempts[:-1], _carried_out(attempt, container, now=now)),
        state=State.VERIFYING,
        next_at=now,
        absent_since=None,
        unknown_since=None,
    )


def _carried_out(attempt: Attempt, container: Container, *, now: datetime) -> Attempt:
    done = replace(
        attempt,
        acted_at=now,
        started_after=container.started_at,
        restarts_after=container.restart_count,
        error=None,
        error_status=None,
    )
    if attempt.action is Action.SCALE_OUT:
        return replace(done, clone=container.name, clone_id=container.id)
    return done


def _concluded(
    remediation: Remediation, seen: Observation, decision: Conclude, *, now: datetime
) -> Remediation:
    attempt = remediation.open_attempt
    assert attempt is not None
    attempt = replace(
        attempt,
        verdict=decision.verdict,
        verdict_reason=decision.reason,
        evidence=decision.evidence,
        finished_at=now,
    )
    record = replace(
        remediation,
        attempts=(*remediation.attempts[:-1], attempt),
        state=State.WAITING,
        next_at=now,
        needed_since=now,
    )
    return record if seen.container is None else _planned(record, seen.container)


def _planned(remediation: Remediation, container: Container) -> Remediation:
    """Plan the next step from the container as it is now."""
    return replace(
        remediation,
        planned_started_at=container.started_at,
        planned_restarts=container.restart_count,
    )


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text or "0"
