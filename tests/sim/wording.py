"""What the trace says of a call of a port."""

from typing import Any

#: Points of which `told` has something to say: most calls are others.
_TOLD = frozenset(
    f"{part}.{method}"
    for part, methods in (
        ("schedule", ("claim", "renew", "requeue", "nudge")),
        ("records", ("intend", "read", "note")),
        ("inbox", ("accept",)),
        ("leadership", ("lead", "look", "found")),
    )
    for method in methods
)


def words(failure: Exception) -> str:
    """Tell how a call has failed."""
    return f"{type(failure).__name__}: {failure}"


def told(point: str, args: tuple[Any, ...], answer: Any) -> str:
    """Tell in a few words what a call was about."""
    if point not in _TOLD:
        return ""
    match point:
        case "schedule.claim":
            return " ".join(f"{one.target}#{one.fence}" for one in answer.claims)
        case "schedule.renew" | "schedule.requeue" | "records.intend":
            return str(args[0].target)
        case "schedule.nudge":
            return " ".join(args[0])
        case "records.read":
            return str(args[0])
        case "records.note":
            entry = args[1]
            record = entry.remediation
            words = "-" if record is None else f"{record.id} {record.state} {record.reason}"
            return f"{args[0].target} {words} due {entry.due:%H:%M:%S}" if entry.due else words
        case "inbox.accept":
            return " ".join(f"{n.target}:{word}" for n, word in zip(args[0], answer, strict=True))
        case "leadership.lead" | "leadership.look" | "leadership.found":
            # Names of histories are drawn, by backends in different order.
            return f"{answer.fence} {answer.life} {answer.term}.{answer.beat}"
        case _:
            return ""
