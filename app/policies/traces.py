"""
What the gate's journal says of an attempt that is asked for (again): pure.

A trace without an end is an action that nobody saw end: the gate died, or the engine was silent.
Docker goes on with a request although its client left, so the container is looked at, and until
the engine must be through with it nothing else is begun. No such wait is without an end.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from app.domain.container import Container, Listed
from app.domain.gate import Bar, Barred, Ending, Trace, Verb

#: Beyond a stop grace, or for each step of making a clone (`semantics.md` 3).
SLACK: Final = timedelta(seconds=30)
#: To create, connect and start.
CLONE_TAKES: Final = timedelta(seconds=90)
#: Each of their steps may be done again, and goes on wherever the one before ended.
REPEATABLE: Final = frozenset(
    {Verb.REMOVE_CLONE, Verb.SET_ASIDE, Verb.BRING_BACK, Verb.FORCE_UPDATE, Verb.SCALE}
)
#: What else an attempt has paid with for what it asks: what it has taken down, or aside, it may
#: bring up again.
_PAYS_FOR: Final[Mapping[Verb, frozenset[Verb]]] = {
    Verb.START: frozenset({Verb.START, Verb.RESTART}),
    Verb.BRING_BACK: frozenset({Verb.BRING_BACK, Verb.SET_ASIDE}),
}
#: Twice lost is poison; whoever is told that asks for something else.
_MOST_LOST: Final = 2
#: Somebody who asks for the same again and again is not served for ever.
_MOST_REPEATED: Final = 50


def is_settled(one: Trace, seen: Container | None, *, now: float, boot: str) -> bool:
    """
    Tell whether the engine is through with an action that nobody saw end.

    :param seen: the container as it is; None: it is gone, or a service
    :param now: by the host's monotonic clock, in this life of it (`boot`)
    """
    # (A clock that is behind the trace is one of another life of the host.)
    if one.ending is not None or one.boot != boot or seen is None or now < one.at:
        return True
    if one.verb is not Verb.CLONE and one.before and seen.started_at != one.before:
        return True
    return now >= one.at + one.takes.total_seconds()


def stands_in_the_way(
    traces: Iterable[Trace], attempt_id: str, seen: Container | None, *, now: float, boot: str
) -> Barred | None:
    """Tell whether the engine may still be busy with another attempt on the same container."""
    for one in traces:
        if one.attempt_id != attempt_id and not is_settled(one, seen, now=now, boot=boot):
            return Barred(
                bar=Bar.BUSY, detail=f"{one.verb} of {one.attempt_id} may still be under way"
            )
    return None


def again(
    own: Sequence[Trace],
    verb: Verb,
    seen: Container | None,
    *,
    half_made: Listed | None,
    now: float,
    boot: str,
) -> Trace | Barred | None:
    """
    Tell what an attempt that the journal knows may do: None: act.

    :param own: its traces of this verb on this container, in order
    :param half_made: for a clone, the one that carries the attempt's label
    :return: the trace of the action that was done: its answer is given again, nothing is done
    """
    if not own:
        return None
    last = own[-1]
    if last.ending is Ending.DONE and not (verb is Verb.CLONE and half_made is not None):
        if verb in REPEATABLE or verb is Verb.START:
            return last
        return Barred(bar=Bar.DONE_ALREADY, detail=f"{last.attempt_id} has done that")
    if verb in REPEATABLE:
        return _spent(own, _MOST_REPEATED)
    if verb is Verb.CLONE and half_made is not None:
        return _spent(own, _MOST_REPEATED)
    if last.ending is Ending.REFUSED and verb is not Verb.CLONE:
        return Barred(bar=Bar.DONE_ALREADY, detail=f"{last.attempt_id} was refused by the engine")
    if not is_settled(last, seen, now=now, boot=boot):
        left = last.at + last.takes.total_seconds() - now
        return Barred(bar=Bar.UNSETTLED, detail=f"nobody saw it end; known in {left:.0f} s")
    return _spent([one for one in own if one.ending is None], _MOST_LOST) or _spent(
        own, _MOST_REPEATED
    )


def _spent(own: Sequence[Trace], most: int) -> Barred | None:
    if len(own) < most:
        return None
    return Barred(
        bar=Bar.DONE_ALREADY, detail=f"{own[-1].attempt_id} was tried {len(own)} times already"
    )


def coming(
    recent: Iterable[Trace], listed: Iterable[Listed], *, label: str, now: float, boot: str
) -> tuple[Trace, ...]:
    """
    List the clones that nobody saw made or fail, that are not there, and may come to be yet.

    :param label: of a clone, that has its attempt
    """
    there = {one.labels.get(label) for one in listed}
    return tuple(
        one
        for one in recent
        if one.verb is Verb.CLONE
        and one.attempt_id not in there
        and one.ending is None
        and one.boot == boot
        and one.at <= now < one.at + one.takes.total_seconds()
    )


def is_charged(
    traces: Iterable[Trace],
    verb: Verb,
    about: str,
    attempt_id: str,
    *,
    made_by: str | None,
    step: int | None = None,
) -> bool:
    """
    Tell whether an attempt has paid for what it asks of a container: once for each effect.

    :param made_by: the attempt that made the clone in question, where it is one
    :param step: replicas more, of a service
    """
    if verb is Verb.REMOVE_CLONE and made_by == attempt_id:
        return True
    # (What was had for nothing pays for nothing: a name could be made longer and longer.)
    paid = {(one.verb, one.attempt_id) for one in traces if one.about == about and one.charged}
    if any((payer, attempt_id) in paid for payer in _PAYS_FOR.get(verb, {verb})):
        return True
    # Places of a service are taken back under a name of their own (see `Places.one_less`).
    is_taken_back = verb is Verb.SCALE and (step or 0) < 0
    return is_taken_back and (verb, attempt_id.removesuffix(".in")) in paid
