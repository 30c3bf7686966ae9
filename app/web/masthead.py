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
from app.policies.spec import Mode
from app.web.rows import in_the_way

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


def masthead(fleet: Fleet) -> Masthead:
    """Make the head of a page."""
    status = fleet.status
    return Masthead(
        headline=headline(fleet),
        engine=status.engine,
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
    if status.tenure.role != "leading":
        role = status.tenure.role
        said = "Another controller acts" if role == "following" else "Relevo does not act yet"
        more = "; ".join(status.tenure.trouble)
        return Headline(tone="calm" if role == "following" else "stopped", said=said, more=more)
    busy = [one for one in fleet.lines if _state(one) is State.ACTING]
    if busy:
        return _acting_now(busy)
    if status.tenure.trouble:
        return Headline(
            tone="stopped", said="Relevo holds still", more="; ".join(status.tenure.trouble)
        )
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
    if status.mode is Mode.OBSERVE:
        return Headline(
            tone="calm", said="Observing: nothing is touched", more="it only says what it would do"
        )
    return _next(fleet.lines)


def _acting_now(busy: Sequence[Line]) -> Headline:
    if len(busy) == 1:
        slot = busy[0].target.partition(":")[2]
        return Headline(tone="now", said="Acting now on", target=busy[0].target, more=slot)
    return Headline(tone="now", said=f"Acting now on {len(busy)} containers")


def _next(lines: Sequence[Line]) -> Headline:
    planned = [
        (record.next_at, line.target, record.next_action)
        for line in lines
        if (record := line.remediation) is not None
        and record.next_action is not None
        and record.next_at is not None
        and in_the_way(None, line.view, line.view.hold if line.view is not None else None) is None
    ]
    if not planned:
        return Headline(tone="calm", said="Nothing is about to be touched")
    at, target, action = min(planned)
    more = f"{many(len(planned) - 1, 'other')} planned after it" if len(planned) > 1 else ""
    return Headline(
        tone="soon",
        said=f"Next: {str(action).replace('_', ' ')} of",
        target=target,
        at=at,
        more=more or _SOON,
    )


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
