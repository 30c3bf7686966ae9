"""What becomes of an operator's order."""

from datetime import datetime, timedelta

from app.domain.control import OrderKind
from app.domain.decision import (
    CallOff,
    Close,
    Decision,
    Forget,
    Outcome,
    Reason,
    Refuse,
    Restart,
    ScaleOut,
)
from app.domain.observation import EngineView, Observation
from app.domain.remediation import Action, State
from app.policies import guards
from app.policies.spec import Guards

#: Whoever ordered something longer ago, while the engine was away, has helped himself by now.
_STALE = timedelta(minutes=10)


def is_open(seen: Observation) -> bool:
    """Tell whether there is an order that no attempt of the remediation is the answer to yet."""
    order = seen.order
    if order is None:
        return False
    record = seen.remediation
    return record is None or all(attempt.id != order.id for attempt in record.attempts)


def answer(seen: Observation, rules: Guards, *, now: datetime) -> Decision:
    """
    Decide about an order. Everything was asked before it was placed, and is asked again.

    :param seen: with an order, of a container that the engine tells about
    """
    order, record = seen.order, seen.remediation
    assert order is not None
    if now - order.at > _STALE:
        return Refuse(Reason.OPERATOR, f"it could not be carried out since {order.at:%H:%M} UTC")
    match order.kind:
        case OrderKind.RESET:
            return Forget(Reason.OPERATOR)
        case OrderKind.RELEASE:
            if record is None or (
                record.state is not State.QUARANTINED and record.called_off is None
            ):
                return Refuse(Reason.OPERATOR, "there is nothing to release")
            if record.open_attempt is not None:
                return Refuse(Reason.BUSY, f"{record.open_attempt.id} has no verdict yet")
            return Close(Outcome.RELEASED, Reason.OPERATOR)
        case OrderKind.CANCEL:
            if record is None or record.id != order.remediation:
                return Refuse(Reason.OPERATOR, f"remediation {order.remediation} is not open")
            attempt = record.open_attempt
            if attempt is not None and attempt.acted_at is None:
                return Refuse(Reason.BUSY, f"{attempt.id} is being carried out")
            return CallOff(Reason.OPERATOR)
        case OrderKind.SCALE_IN:  # is never placed: it is begun at once
            return Refuse(Reason.OPERATOR, "a scale-in is no step of a target")
        case OrderKind.RESTART | OrderKind.SCALE_OUT:
            return _act(seen, order.kind, rules, now=now)


def action_of(kind: OrderKind) -> Action | None:
    """Tell what an order does to containers; None for those that only change the record."""
    return {OrderKind.RESTART: Action.RESTART, OrderKind.SCALE_OUT: Action.SCALE_OUT}.get(kind)


def _act(seen: Observation, kind: OrderKind, rules: Guards, *, now: datetime) -> Decision:
    record = seen.remediation
    if seen.view is EngineView.GONE:
        return Refuse(Reason.NO_SUCH_TARGET, "the container is gone")
    if record is not None and record.open_attempt is not None:
        return Refuse(Reason.BUSY, f"{record.open_attempt.id} has no verdict yet")
    action = action_of(kind)
    assert action is not None
    refused = guards.refusal(seen, action, rules, now=now)
    if refused is not None:
        return refused
    return Restart(Reason.MANUAL) if action is Action.RESTART else ScaleOut(Reason.MANUAL)
