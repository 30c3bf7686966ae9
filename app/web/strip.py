"""The last hour of a container as a strip of states, read from its stories."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from app.domain.decision import Reason
from app.domain.remediation import LogEntry, Remediation, State
from app.policies.announce_words import many

SPAN: Final = timedelta(hours=1)
#: Where nothing is known: the container was not there, or the stories were not read.
UNKNOWN: Final = "unknown"

#: State after a decision; those that are not named leave it as it was.
_AFTER: Final = {
    "wait": State.WAITING,
    "hold": State.HELD,
    "restart": State.ACTING,
    "scale_out": State.ACTING,
    "resume": State.ACTING,
    "start_stopped": State.ACTING,
    "watch": State.VERIFYING,
    "adopt": State.VERIFYING,
    "follow": State.VERIFYING,
    "rehearse": State.VERIFYING,
    "confirm": State.COOLDOWN,
    "relapse": State.WAITING,
    "call_off": State.HELD,
    "escalate": State.QUARANTINED,
    "close": State.OK,
}
#: Of a watch or a hold, where its reason says more.
_BY_REASON: Final = {
    ("watch", Reason.SETTLING): State.SETTLING,
    ("watch", Reason.RELIEF): State.COOLDOWN,
    ("watch", Reason.INTERRUPTED): State.ACTING,
    ("watch", Reason.QUARANTINE): State.QUARANTINED,
    ("hold", Reason.COOLDOWN): State.COOLDOWN,
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one state; seconds from the strip's left end."""

    start: int
    length: int
    #: A `State`, or `UNKNOWN`.
    state: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An action; seconds from the strip's left end."""

    at: int
    action: str
    #: It did not help, and counts.
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """See the module."""

    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    #: The same in words, for whoever does not see it.
    said: str


def strip(
    stories: Iterable[Remediation], *, now: datetime, born: datetime | None, since: datetime
) -> Strip:
    """
    Draw the hour until now.

    :param stories: of one target, in any order; older ones do no harm
    :param born: when the container was created; None: nobody says
    :param since: stories of before were not read
    """
    begin = now - SPAN
    stories = sorted(stories, key=lambda one: one.opened_at)
    turns = sorted(_turns(stories, begin, now), key=lambda turn: turn[0])
    known_from = max(begin, min(since, now), min(born or begin, now))
    # A story is known of, also where the container is a new one in the old one's place.
    if turns:
        known_from = min(known_from, max(turns[0][0], begin))
    edges: list[tuple[datetime, str]] = [(begin, UNKNOWN), (known_from, State.OK)]
    for turned_at, turned_to in turns:
        if turned_at <= known_from:
            edges[-1] = (known_from, turned_to)
        else:
            edges.append((turned_at, turned_to))
    segments: list[Segment] = []
    for (at, state), (end, _) in pairwise([*edges, (now, "")]):
        start, stop = _second(at, begin), _second(end, begin)
        if stop <= start:
            continue
        if segments and segments[-1].state == state:
            segments[-1] = Segment(segments[-1].start, stop - segments[-1].start, state)
        else:
            segments.append(Segment(start, stop - start, state))
    return Strip(
        segments=tuple(segments),
        marks=tuple(_marks(stories, begin, now)),
        said=_said(segments),
    )


def _turns(
    stories: Iterable[Remediation], begin: datetime, now: datetime
) -> Iterator[tuple[datetime, State]]:
    """Yield when the state turned, and to what; before `begin` too, for what it was then."""
    for story in stories:
        yield story.opened_at, State.WAITING
        state = State.WAITING
        for entry in story.log:
            state = _after(entry, state)
            yield entry.at, state
        if story.closed_at is not None:
            yield story.closed_at, State.OK
        elif story.state is not state:
            # The log keeps the newest decisions, and leaves out those that repeat.
            yield max(begin, story.log[-1].at if story.log else story.opened_at), story.state


def _after(entry: LogEntry, before: State) -> State:
    found = _BY_REASON.get((entry.decision, entry.reason)) or _AFTER.get(entry.decision, before)
    if before is State.QUARANTINED and found is State.HELD:
        return before  # ends by its alerts or by a person, nothing else
    return found


def _marks(stories: Iterable[Remediation], begin: datetime, now: datetime) -> Iterator[Mark]:
    for story in stories:
        for attempt in story.attempts:
            at = attempt.acted_at or attempt.intent_at
            if begin <= at <= now:
                counts = attempt.verdict is not None and attempt.verdict.counts
                yield Mark(_second(at, begin), attempt.action, counts)


def _second(at: datetime, begin: datetime) -> int:
    return max(0, min(round((at - begin).total_seconds()), round(SPAN.total_seconds())))


def _said(segments: Iterable[Segment]) -> str:
    total: dict[str, int] = {}
    for one in segments:
        total[one.state] = total.get(one.state, 0) + one.length
    parts = [
        f"{state} {many(max(1, round(seconds / 60)), 'minute')}"
        for state, seconds in sorted(total.items(), key=lambda item: -item[1])
    ]
    return "Last hour: " + (", ".join(parts) or "not known")
