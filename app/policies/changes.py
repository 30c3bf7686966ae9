"""Which attempts of ours have got further with a step."""

from collections.abc import Iterable

from app.domain.remediation import Attempt, Remediation, Trigger

_OURS = (Trigger.AUTOMATIC, Trigger.MANUAL)


def advanced(
    before: Iterable[Remediation | None], after: Iterable[Remediation | None]
) -> tuple[tuple[Remediation, Attempt, Attempt | None], ...]:
    """
    Pair each attempt that was answered or judged meanwhile with what it was before.

    :param before: the records that the step began with
    :param after: the records that it leaves behind
    """
    known = {one.id: one for record in before if record is not None for one in record.attempts}
    found = []
    for record in after:
        if record is None:
            continue
        for attempt in record.attempts:
            if attempt.trigger not in _OURS:
                continue
            earlier = known.get(attempt.id)
            if is_answered(attempt, earlier) or is_judged(attempt, earlier):
                found.append((record, attempt, earlier))
    return tuple(found)


def is_answered(attempt: Attempt, earlier: Attempt | None) -> bool:
    """Tell whether the engine's answer, or the effect of an action, has become known."""
    was = (None, None) if earlier is None else (earlier.acted_at, earlier.error)
    now = (attempt.acted_at, attempt.error)
    return now != was and now != (None, None)


def is_judged(attempt: Attempt, earlier: Attempt | None) -> bool:
    """Tell whether it has its verdict now, or another one than before."""
    was = None if earlier is None else earlier.verdict
    return attempt.verdict is not None and attempt.verdict is not was
