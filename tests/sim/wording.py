"""What the trace says of a call of a port."""

from collections.abc import Callable
from typing import Any


def words(failure: Exception) -> str:
    """Tell how a call has failed."""
    return f"{type(failure).__name__}: {failure}"


Teller = Callable[[tuple[Any, ...], Any], str]


def teller(point: str) -> Teller | None:
    """Return what tells in a few words what a call was about; None: there is nothing to say."""
    return _stands() if point in _STANDINGS else _TELLERS.get(point)


def _claimed(_: tuple[Any, ...], answer: Any) -> str:
    return " ".join(f"{one.target}#{one.fence}" for one in answer.claims) if answer.claims else ""


def _of_a_claim(args: tuple[Any, ...], _: Any) -> str:
    return str(args[0].target)


def _of_claims(args: tuple[Any, ...], _: Any) -> str:
    return " ".join(claim.target for claim in args[0])


def _nudged(args: tuple[Any, ...], _: Any) -> str:
    return " ".join(args[0])


def _read(args: tuple[Any, ...], _: Any) -> str:
    return str(args[0])


def _noted(args: tuple[Any, ...], _: Any) -> str:
    entry = args[1]
    record = entry.remediation
    words = "-" if record is None else f"{record.id} {record.state} {record.reason}"
    return f"{args[0].target} {words} due {entry.due:%H:%M:%S}" if entry.due else words


def _accepted(args: tuple[Any, ...], answer: Any) -> str:
    return " ".join(f"{n.target}:{word}" for n, word in zip(args[0], answer, strict=True))


def _stands() -> Teller:
    # Whoever follows asks every second, and is mostly answered the same.
    last, told = None, ""

    def tell(_: tuple[Any, ...], answer: Any) -> str:
        nonlocal last, told
        if answer is not last:
            # Names of histories are drawn, by backends in different order.
            last, told = answer, f"{answer.fence} {answer.life} {answer.term}.{answer.beat}"
        return told

    return tell


_TELLERS: dict[str, Teller] = {
    "schedule.claim": _claimed,
    "schedule.renew": _of_claims,
    "schedule.requeue": _of_a_claim,
    "schedule.release": _of_claims,
    "schedule.nudge": _nudged,
    "records.intend": _of_a_claim,
    "records.read": _read,
    "records.note": _noted,
    "inbox.accept": _accepted,
}
_STANDINGS = frozenset({"leadership.lead", "leadership.look", "leadership.found"})
