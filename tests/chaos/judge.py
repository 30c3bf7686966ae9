"""What went wrong in a house, by the engine's events and Relevo's own record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from tests.chaos.episodes import Episode
from tests.chaos.house import DEADLINE_S, STUBBORN_S, WAIT_S, House, Patient
from tests.chaos.starts import Starts

#: Two clocks are read a moment apart, and the wait counts from the verdict.
_SLACK: Final = timedelta(seconds=0.3)
#: A leader's clock and its successor's may differ by this much (app/controller/tenure.py).
_APART: Final = timedelta(seconds=2)
#: No restart is due sooner after another than its wait.
_NEVER_CLOSER: Final = timedelta(seconds=WAIT_S) - _SLACK
#: Within one alert, the first restart must have had its verdict.
_WITHIN_ONE: Final = timedelta(seconds=WAIT_S + DEADLINE_S) - _SLACK
#: What was under way when the end of its alert was taken is not broken off.
_UNDER_WAY: Final = timedelta(seconds=STUBBORN_S + 1.0)
#: A leader that was frozen, or whose request is held up, goes on with what it had begun.
_LATE_AT_MOST: Final = timedelta(seconds=20)
#: Terminal, or told to a person.
_ENDED: Final = ("closed", "quarantined")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A broken promise."""

    #: ``lost``, ``duplicate``, ``dropped``, ``early`` or ``needless``.
    kind: str
    said: str
    cycle: int | None = None


def judge(
    house: House,
    starts: Starts,
    episodes: Sequence[Episode],
    stories: Sequence[dict[str, Any]],
    forgot_at: Sequence[datetime],
) -> list[Fault]:
    """
    Compare what the engine did with what was asked for.

    :param stories: all remediations, when everything had settled
    :param forgot_at: when the store was made to forget
    """
    found: list[Fault] = []
    for episode in episodes:
        found += _lost(episode)
    for patient in house.patients:
        own = [one for one in episodes if one.patient is patient]
        at = starts.of(patient.id)[1:]  # the first was its admission
        found += _too_close(patient, at, own, forgot_at)
        attempts = _attempts(f"{house.engine}:{patient.name}", stories)
        found += _after_the_end(patient, at, own, forgot_at, attempts)
        if not forgot_at and len(at) > len(attempts):
            said = f"{patient.name}: {len(at)} starts, and {len(attempts)} attempts on record"
            found.append(Fault(kind="duplicate", said=said))
    for story in stories:
        if story["state"] not in _ENDED:
            found.append(
                Fault(kind="lost", said=f"{story['target']}: still {story['state']} at the end")
            )
    return found


def _lost(episode: Episode) -> list[Fault]:
    alert, name = episode.alert, episode.patient.name
    found = []
    if episode.stuck:
        found.append(Fault(kind="lost", said=f"{name}: {episode.stuck}", cycle=episode.cycle))
    for receiver, status in alert.dropped.items():
        said = f"{name}: {receiver} answered {status}: Alertmanager drops it"
        found.append(Fault(kind="dropped", said=said, cycle=episode.cycle))
    return found


def _too_close(
    patient: Patient, at: list[datetime], own: Sequence[Episode], forgot_at: Sequence[datetime]
) -> list[Fault]:
    found = []
    for first, second in pairwise(at):
        apart = second - first
        episode = _during(own, second)
        is_same = episode is not None and episode is _during(own, first)
        forgot = any(first - timedelta(seconds=60) <= when <= second for when in forgot_at)
        closest = _WITHIN_ONE if is_same and not forgot else _NEVER_CLOSER
        if apart < closest:
            said = f"{patient.name}: restarted twice within {apart.total_seconds():.2f} s"
            kind = "early" if apart >= closest - _APART else "duplicate"
            found.append(Fault(kind=kind, said=said, cycle=episode.cycle if episode else None))
    return found


def _after_the_end(
    patient: Patient,
    at: list[datetime],
    own: Sequence[Episode],
    forgot_at: Sequence[datetime],
    attempts: Sequence[datetime],
) -> list[Fault]:
    """Find restarts for which there was no alert any more, as Relevo had been told."""
    found = []
    for moment in at:
        last = _during(own, moment)
        if last is None:
            found.append(Fault(kind="duplicate", said=f"{patient.name}: restarted without alert"))
            continue
        told = last.alert.end_taken_at
        if told is None or moment <= told + _UNDER_WAY:
            continue
        begun = max((one for one in attempts if one <= moment + _APART), default=None)
        was_begun = begun is not None and begun <= told + _SLACK + _APART
        if was_begun and moment <= told + _LATE_AT_MOST:
            continue
        # What the store forgot of the end, nobody tells it again.
        forgot = any(told <= when <= moment for when in forgot_at)
        late = (moment - told).total_seconds()
        said = f"{patient.name}: restarted {late:.1f} s after the end of its alert was taken"
        kind = "needless" if forgot else "duplicate"
        found.append(Fault(kind=kind, said=said, cycle=last.cycle))
    return found


def _attempts(target: str, stories: Sequence[dict[str, Any]]) -> list[datetime]:
    """List the intents of Relevo's own restarts of a container: one attempt, one start."""
    return [
        datetime.fromisoformat(attempt["started_at"])
        for story in stories
        if story["target"] == target
        for attempt in story["attempts"]
        if attempt["trigger"] == "automatic" and attempt["action"] == "restart"
    ]


def _during(own: Sequence[Episode], moment: datetime) -> Episode | None:
    """Which alert a start belongs to: the last that had begun by then."""
    before = [one for one in own if one.began_at <= moment]
    return before[-1] if before else None
