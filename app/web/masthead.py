"""The head of every page: is it about to touch something, and what keeps it from doing so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from app.controller.board import Fleet, Line
from app.controller.overview import StatusView
from app.domain.control import Halt
from app.domain.remediation import State
from app.policies.announce_words import many
from app.policies.plain_words import untold
from app.policies.spec import Mode
from app.web.rows import hold_of, in_the_way

Tone = Literal["calm", "soon", "now", "stopped", "trouble"]
_SOON: Final = "it acts if that is still needed then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One sentence: what Relevo is about to do."""

    tone: Tone
    said: str
    #: What it is about; None: no single container.
    target: str | None = None
    #: A moment to count down to.
    at: datetime | None = None
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masthead:
    """See the module."""

    headline: Headline
    engine: str | None
    #: Whether the store answers: from `pause` to `failing` all is read from it.
    is_known: bool
    mode: str
    #: Who acts: this one, another, or nobody.
    acting: str
    acts: bool
    pause: Halt | None
    brake_since: datetime | None
    brake_failing: int
    holds: int
    burst: int
    hour: int
    failing: int
    #: State -> how many containers.
    states: tuple[tuple[str, int], ...]
    #: What is wrong around it, a sentence each.
    trouble: tuple[str, ...]
    #: What is wrong, and keeps Relevo from nothing.
    remarks: tuple[str, ...]


def masthead(fleet: Fleet) -> Masthead:
    """Make the head of a page."""
    status = fleet.status
    return Masthead(
        headline=headline(fleet),
        engine=status.engine,
        is_known=not status.store_trouble,
        mode=status.mode.value,
        acting=_acting(status),
        acts=status.tenure.role == "leading" and not status.tenure.trouble,
        pause=status.pause,
        brake_since=status.brake.engaged_at,
        brake_failing=status.brake.failing,
        holds=len(status.holds),
        burst=status.budget_left[0],
        hour=status.budget_left[1],
        failing=status.failing_targets,
        states=tuple(
            (str(state), status.states.get(state, 0))
            for state in State
            if status.states.get(state, 0)
        ),
        trouble=_trouble(fleet),
        remarks=_remarks(status),
    )


def headline(fleet: Fleet) -> Headline:
    """Say in one sentence whether something is about to be touched."""
    status = fleet.status
    if status.store_trouble:
        return Headline(
            tone="trouble", said="Relevo does nothing: its store does not answer", more="see below"
        )
    if status.engine_trouble:
        return Headline(
            tone="trouble",
            said="Relevo does nothing: the container engine does not answer",
            more="see below",
        )
    role, why = status.tenure.role, "; ".join(status.tenure.trouble)
    follows = role == "following" and status.tenure.is_ready
    if role != "leading" and not follows:
        said = "Relevo does not act yet" if role == "waiting" else "This controller does not act"
        return Headline(tone="stopped", said=said, more=why)
    busy = [one for one in fleet.lines if _state(one) is State.ACTING]
    if busy:
        return _acting_now(busy, follows=follows)
    if why and not follows:
        return Headline(tone="stopped", said="Relevo holds still", more=why)
    if status.pause is not None:
        return Headline(
            tone="stopped",
            said="Paused: nothing is done of Relevo's own accord",
        )
    if status.brake.engaged_at is not None:
        return Headline(
            tone="stopped",
            said="Brake: too much fails at once, nothing is done of Relevo's own accord",
        )
    # Who follows knows its own mode only, not that of who acts.
    if status.mode is Mode.OBSERVE and not follows:
        return Headline(
            tone="calm", said="Observing: nothing is touched", more="it only says what it would do"
        )
    return _next(fleet, why if follows else "")


def _acting_now(busy: Sequence[Line], *, follows: bool) -> Headline:
    said = "The other controller acts now on" if follows else "Acting now on"
    if len(busy) == 1:
        slot = busy[0].target.partition(":")[2]
        return Headline(tone="now", said=said, target=busy[0].target, more=slot)
    return Headline(tone="now", said=f"{said} {len(busy)} containers")


def _next(fleet: Fleet, follows: str) -> Headline:
    """:param follows: who acts in our place, a sentence; empty: we do"""
    planned = [
        (record.next_at, line.target, record.next_action)
        for line in fleet.lines
        if (record := line.remediation) is not None
        and record.next_action is not None
        and record.next_at is not None
        and not _is_kept_from(line, fleet.status, follows)
    ]
    if planned:
        at, target, action = min(planned)
        more = f"{many(len(planned) - 1, 'other')} planned after it" if len(planned) > 1 else ""
        return Headline(
            tone="soon",
            said=f"Next{', by the other controller' if follows else ''}: "
            f"{str(action).replace('_', ' ')} of",
            target=target,
            at=at,
            more=more or follows or _SOON,
        )
    if any(line.view is None and line.remediation is None for line in fleet.lines):
        return Headline(
            tone="trouble", said="What is about to be touched is not known now", more="see below"
        )
    return Headline(tone="calm", said="Nothing is about to be touched", more=follows)


def _is_kept_from(line: Line, status: StatusView, follows: str) -> bool:
    """Whether a person has forbidden what is planned, as far as this one knows of who acts."""
    view = line.view
    if follows and status.mode is Mode.OBSERVE:
        view = None
    return in_the_way(None, view, hold_of(line, status)) is not None


def _state(line: Line) -> State | None:
    return line.remediation.state if line.remediation is not None else None


def _acting(status: StatusView) -> str:
    match status.tenure.role:
        case "leading" if not status.tenure.trouble:
            return "this one"
        case "leading":
            return "this one, holding still"
        case "following":
            return "another one"
        case _:
            return "nobody yet"


def _trouble(fleet: Fleet) -> tuple[str, ...]:
    status = fleet.status
    told = [
        *(f"store: {one}" for one in (*status.store_trouble, *status.store_warnings)),
        *(f"container engine: {one}" for one in status.engine_trouble),
    ]
    if not status.store_trouble and not status.engine_trouble:
        told += fleet.trouble
    if status.tenure.role == "leading":
        told += [f"holding still: {one}" for one in status.tenure.trouble]
    if not status.store_trouble and 0 in status.budget_left:
        told.append("the budget is spent: no action is begun until some time has passed")
    return tuple(told)


def _remarks(status: StatusView) -> tuple[str, ...]:
    told = status.deliveries
    if told is None or told.trouble is None:
        return ()
    return (untold(told.pending, told.trouble),)
