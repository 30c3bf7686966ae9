"""Stories, reports and curves, shaped for templates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from app.controller.samples import SPAN, Curve
from app.domain.casefile import CaseFile
from app.domain.fidelity import Fate, FidelityReport
from app.domain.remediation import Attempt, Remediation, Trigger
from app.domain.usage import Reading
from app.policies.plain_words import STATES, words
from app.web.rendering import lasted
from app.web.rows import TRAFFIC

#: What a page says after something was done from it; nothing of the address is repeated.
DONE: Final[Mapping[str, str]] = {
    "restart": "The restart is ordered: the next step, within a second, carries it out.",
    "scale-out": "The scale-out is ordered: the next step, within a second, carries it out.",
    "scale-in": "The newest clone leaves: it is drained, stopped and removed.",
    "hold": "It is held: Relevo keeps away from it.",
    "release": "It is released.",
    "reset": "Its failed restarts are forgotten.",
    "cancel": "The remediation is called off: nothing more is done until its alerts are gone.",
    "pause": "Relevo is paused: nothing is done of its own accord.",
    "resume": "Relevo goes on.",
}

#: Of a case file's sample, in an order that reads well; others come after them.
_FIGURES: Final[Mapping[str, str]] = {
    "memory_bytes": "Memory",
    "memory_working_set_bytes": "Working set",
    "memory_limit_bytes": "Memory limit",
    "cpu_seconds": "CPU time, s",
    "cpu_throttled_seconds": "CPU throttled, s",
    "pids": "Processes",
}
_BY: Final[Mapping[str, str]] = {
    Trigger.MANUAL: "ordered by a person",
    Trigger.FOREIGN: "by somebody else, past Relevo",
    Trigger.REHEARSAL: "only rehearsed: observe mode",
}
#: Measurements come every 15 or 30 s; one or two may be missed.
_FRESH: Final = timedelta(minutes=2)
_FATES: Final = (Fate.REFUSED, Fate.CHANGED, Fate.DROPPED, Fate.SAME)
_PLAIN: Final = ("", "unchanged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An attempt, with the evidence from before it."""

    attempt: Attempt
    by: str
    why: str
    #: ``good``, ``bad``, ``open`` or ``neutral``.
    tone: str
    file: CaseFile | None
    #: Name, number, and whether it is bytes.
    figures: tuple[tuple[str, float, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A remediation."""

    record: Remediation
    state_said: str
    why: str
    tried: tuple[Tried, ...]
    #: Nothing may be called off any more, or a second time.
    can_cancel: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A fidelity report."""

    is_refused: bool
    traffic: str
    #: Fate, field, detail; what is plainly the same is in `same`.
    items: tuple[tuple[str, str, str], ...]
    same: tuple[str, ...]


def story_of(record: Remediation, files: Mapping[str, CaseFile] | None = None) -> Told:
    """Shape a remediation."""
    return Told(
        record=record,
        state_said=STATES.get(record.state, record.state),
        why=words(record.reason),
        tried=tuple(_tried(one, (files or {}).get(one.id)) for one in record.attempts),
        can_cancel=not record.is_closed and record.called_off is None,
    )


def fidelity(report: FidelityReport) -> Reported:
    """Shape a fidelity report: what matters most comes first."""
    shown = [one for one in report.items if one.fate is not Fate.SAME or one.detail not in _PLAIN]
    shown.sort(key=lambda one: _FATES.index(one.fate))
    return Reported(
        is_refused=report.is_refused,
        traffic=TRAFFIC.get(report.traffic, report.traffic),
        items=tuple((one.fate.value, one.field, one.detail) for one in shown),
        same=tuple(
            one.field for one in report.items if one.fate is Fate.SAME and one.detail in _PLAIN
        ),
    )


def curve(found: Curve, stories: Iterable[Remediation], *, now: datetime) -> dict[str, Any]:
    """
    Shape what was used for the page's script.

    Times are unix seconds; ``marks`` are regions from action to verdict; ``aged`` says how old the
    newest measurement is, null where it is as new as it should be.
    """
    since = now - SPAN
    marks = [
        {
            "from": (one.acted_at or one.intent_at).timestamp(),
            "to": (one.finished_at or now).timestamp(),
            "action": one.action.value,
            "verdict": one.verdict.value if one.verdict is not None else None,
            "tone": _tone(one),
        }
        for story in stories
        for one in story.attempts
        if (one.finished_at or now) > since
    ]
    readings = _thinned(found)
    return {
        "from": since.timestamp(),
        "to": now.timestamp(),
        "source": found.source,
        "missing": found.missing,
        "aged": _aged(readings, now=now),
        "at": [one.at.timestamp() for one in readings],
        "cpu": [None if one.cpu_cores is None else round(one.cpu_cores, 4) for one in readings],
        "memory": [None if one.memory_bytes is None else one.memory_bytes for one in readings],
        "marks": marks,
    }


def _aged(readings: Sequence[Reading], *, now: datetime) -> str | None:
    whole = [one.at for one in readings if (one.cpu_cores, one.memory_bytes) != (None, None)]
    if not whole or now - whole[-1] <= _FRESH:
        return None
    return lasted(whole[-1], now)


def _thinned(found: Curve) -> Sequence[Reading]:
    """Keep one reading of each second: a script needs times that grow."""
    return [next(same) for _, same in groupby(found.readings, key=lambda one: one.at.timestamp())]


def _tried(attempt: Attempt, file: CaseFile | None) -> Tried:
    stats = file.stats if file is not None else {}
    order = [name for name in _FIGURES if name in stats]
    order += sorted(name for name in stats if name not in _FIGURES)
    return Tried(
        attempt=attempt,
        by=_BY.get(attempt.trigger, ""),
        why=words(attempt.reason),
        tone=_tone(attempt),
        file=file,
        figures=tuple(
            (
                _FIGURES.get(name, name.removesuffix("_bytes").replace("_", " ").capitalize()),
                stats[name],
                name.endswith("_bytes"),
            )
            for name in order
        ),
    )


def _tone(attempt: Attempt) -> str:
    if attempt.verdict is None:
        return "open"
    if attempt.verdict in ("recovered", "relieved"):
        return "good"
    if attempt.verdict.counts or attempt.verdict in ("no_traffic", "no_effect"):
        return "bad"
    return "neutral"
