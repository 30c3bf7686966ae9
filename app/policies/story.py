"""How the record of a remediation goes on, decision by decision."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from app.domain.decision import (
    Adopt,
    CallOff,
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Follow,
    Forget,
    Hold,
    Idle,
    Outcome,
    Reason,
    Refuse,
    Rehearse,
    Relapse,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import LogEntry, Remediation, State
from app.domain.target import TargetId
from app.policies import attempts, opening, orders, traffic

#: Decisions kept with a remediation: a day of polling changes its mind far less often.
_LOG_CAP = 200

_POISON = "its step ended the controller twice, or was never noted; look into Relevo's log"
#: A look that comes this much later than planned is the first of a new series.
_UNSEEN = timedelta(minutes=1)

_WATCHED_AS = {
    Reason.SETTLING: State.SETTLING,
    Reason.RELIEF: State.COOLDOWN,
    Reason.INTERRUPTED: State.ACTING,
    Reason.QUARANTINE: State.QUARANTINED,
}


def opens(decision: Decision, seen: Observation) -> bool:
    """Whether a decision begins a story where none is open."""
    if isinstance(decision, Refuse):
        # An action that was ordered is told of; for what only ends a story there is none.
        return seen.order is not None and orders.action_of(seen.order.kind) is not None
    return isinstance(decision, Wait | Hold | Relapse | Restart | ScaleOut)


def opened(seen: Observation, decision: Decision, *, policy: str, now: datetime) -> Remediation:
    """Begin the story of a target that has just been found in need, or may be."""
    container = seen.container
    assert container is not None
    order, previous = seen.order, seen.previous
    # The story that an order was meant for may have ended meanwhile: it is not written over.
    is_taken = order is None or (previous is not None and previous.id == order.remediation)
    return Remediation(
        id=new_id(seen.target, now=now) if order is None or is_taken else order.remediation,
        target=seen.target,
        group=seen.group.id,
        container=container.name,
        incarnation=seen.incarnation,
        policy=policy,
        state=State.WAITING,
        reason=decision.reason,
        opened_at=now,
        alerts=seen.sickness.alerts,
        needed_since=opening.needed_since(seen, now=now),
        planned_started_at=container.started_at,
        planned_restarts=container.restart_count,
    )


def new_id(target: str, *, now: datetime) -> str:
    """Name a remediation: the slot, and the moment."""
    return f"{TargetId.parse(target).slot}-{_base36(round(now.timestamp() * 1000))}"


def taken_up(remediation: Remediation | None, *, now: datetime) -> Remediation | None:
    """
    Begin a new series of looks where we were away: what happened meanwhile nobody knows.

    What is told to have happened later than now was told by a clock that was wrong: it is now.
    """
    if remediation is None:
        return None
    record = remediation
    if max(record.needed_since, record.quarantined_at or now, record.scaled_out_at or now) > now:
        record = replace(
            record,
            needed_since=min(record.needed_since, now),
            quarantined_at=record.quarantined_at and min(record.quarantined_at, now),
            scaled_out_at=record.scaled_out_at and min(record.scaled_out_at, now),
        )
    last = record.open_attempt
    if last is not None and max(last.intent_at, last.acted_at or last.intent_at) > now:
        acted_at = last.acted_at and min(last.acted_at, now)
        rebased = replace(last, intent_at=min(last.intent_at, now), acted_at=acted_at)
        record = replace(record, attempts=(*record.attempts[:-1], rebased))
    was_wrong = max(record.absent_since or now, record.unknown_since or now) > now
    was_away = record.next_at is not None and now - record.next_at > _UNSEEN
    if not was_wrong and not was_away:
        return record
    return replace(record, absent_since=None, absent_looks=0, unknown_since=None)


def tracked(remediation: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    """Remember since when the symptom is absent, or cannot be told, without interruption."""
    if seen.view is not EngineView.SEEN:
        # Not looked at: neither its absence nor our ignorance has lasted.
        return replace(remediation, absent_since=None, absent_looks=0, unknown_since=None)
    symptom = seen.sickness.symptom
    is_absent = symptom is Symptom.ABSENT
    return replace(
        remediation,
        absent_since=remediation.absent_since or now if is_absent else None,
        absent_looks=remediation.absent_looks + 1 if is_absent else 0,
        unknown_since=remediation.unknown_since or now if symptom is Symptom.UNKNOWN else None,
    )


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
        case Wait(until=until, then=then):
            record = replace(record, state=State.WAITING, next_at=until, next_action=then)
        case Hold(until=until, reason=reason, detail=detail):
            state = State.COOLDOWN if reason is Reason.COOLDOWN else State.HELD
            if record.state is State.QUARANTINED:
                state = State.QUARANTINED  # ends by its alerts or by a person, nothing else
            record = replace(record, state=state, next_at=until, next_action=None)
        case Watch(until=until, reason=reason):
            state = _WATCHED_AS.get(reason, State.VERIFYING)
            record = traffic.told(record, seen, reason)
            record = replace(record, state=state, next_at=until, next_action=None)
        case Confirm():
            record = attempts.confirmed(record, seen, now=now)
        case Adopt():
            record = attempts.adopted(record, seen, now=now)
        case Follow():
            record = attempts.followed(record, seen, decision, now=now)
        case Rehearse(action=action):
            record = attempts.rehearsed(record, seen, decision, now=now)
            detail = f"would {action} now"
        case Conclude(evidence=detail):
            record = attempts.concluded(record, seen, decision, now=now)
        case Relapse():
            record = _relapsed(record, seen, now=now)
        case CallOff():
            record, detail = _called_off(record, seen, now=now)
        case Forget():
            record = replace(record, next_at=now)
            detail = _ordered(seen)
        case Refuse(detail=why):
            record = _refused(record, now=now)
            detail = f"{_ordered(seen)}; refused: {why}"
        case Close(outcome=outcome):
            record = _closed(record, outcome, now=now)
            detail = _ordered(seen) if outcome is Outcome.RELEASED else None
        case Escalate(detail=detail):
            record = replace(
                record,
                state=State.QUARANTINED,
                quarantined_at=now,
                next_at=now,
                next_action=None,
            )
        case Idle():
            pass
        case Restart() | ScaleOut() | Resume() | StartStopped():
            raise ValueError(f"{type(decision).__name__} is an action: see attempts.begun()")
        case _:
            assert_never(decision)
    return logged(record, decision, now=now, until=until, detail=detail)


def buried(remediation: Remediation, *, now: datetime, until: datetime) -> Remediation:
    """End the ladder of a story whose steps end their worker; its open attempt is unknown."""
    last = remediation.open_attempt
    past = remediation.attempts
    if last is not None:
        ended = replace(
            last,
            verdict=Verdict.UNKNOWN,
            verdict_reason=Reason.POISON,
            evidence=_POISON,
            finished_at=now,
        )
        past = (*past[:-1], ended)
    record = replace(
        remediation,
        attempts=past,
        state=State.QUARANTINED,
        reason=Reason.POISON,
        quarantined_at=now,
        next_at=until,
        next_action=None,
    )
    return logged(record, Escalate(Reason.POISON, _POISON), now=now, until=until, detail=_POISON)


def flipped(previous: Remediation, successor: Remediation, *, now: datetime) -> Remediation:
    """Edit a closed remediation whose recovery did not last, and link the new one."""
    record = replace(attempts.relapsed(previous), relapsed_as=successor.id)
    return logged(record, Relapse(Reason.RELAPSED), now=now, detail=f"see {successor.id}")


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


def decision_name(decision: Decision) -> str:
    """Name a decision the way log, metric and API do: ``scale_out``."""
    words = type(decision).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")


def _relapsed(record: Remediation, seen: Observation, *, now: datetime) -> Remediation:
    """Turn its own last verdict, or (a new story) link the one before; the next step plans."""
    last = record.last_attempt
    if last is not None and last.verdict is Verdict.RECOVERED:
        record = replace(attempts.relapsed(record), needed_since=now)
    elif seen.previous is not None:
        record = replace(record, relapse_of=seen.previous.id)
    return replace(record, state=State.WAITING, next_at=now, next_action=None)


def _called_off(
    record: Remediation, seen: Observation, *, now: datetime
) -> tuple[Remediation, str | None]:
    said = _ordered(seen)
    if record.open_attempt is not None:
        cancelled = Conclude(Verdict.CANCELLED, Reason.OPERATOR, "called off by an operator")
        record = attempts.concluded(record, seen, cancelled, now=now)
    return (
        replace(record, called_off=said, state=State.HELD, next_at=now, next_action=None),
        said,
    )


def _refused(record: Remediation, *, now: datetime) -> Remediation:
    """End a story that only the refused order has begun; any other goes on as it was."""
    if record.opened_at == now and not record.attempts and not record.alerts:
        return _closed(record, Outcome.CANCELLED, now=now)
    return replace(record, next_at=now)


def _closed(record: Remediation, outcome: Outcome, *, now: datetime) -> Remediation:
    return replace(
        record,
        state=State.CLOSED,
        outcome=outcome,
        closed_at=now,
        next_at=None,
        next_action=None,
    )


def _ordered(seen: Observation) -> str:
    order = seen.order
    return "" if order is None else f"{order.author}: {order.reason}"


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text or "0"
