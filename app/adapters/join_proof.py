"""Whether a joined Alertmanager tells the same people: both are followed, by examples."""

import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

from app.adapters.alertmanager_routes import (
    UnreadableRoutes,
    Way,
    conditions,
    read_configuration,
    ways,
)

#: What Relevo's own routes take from everybody else, and are there to take.
_OURS: Final = re.compile("Relevo(Watchdog|AtWork|Over)")
_ALTERNATIVES: Final = re.compile(r"\^?\(?([\w./ -]+)(?:\|[\w./ -]+)*\)?\$?")

Labels = Mapping[str, str]


class TakesTooLong(UnreadableRoutes):
    """Following the alerts was given up; the message says after what time."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """
    Give up what computes for longer; for the main thread, and for nothing that waits.

    Alertmanager's patterns take a time that grows with the text, Python's may take for ever, and
    what alerts carry is written by strangers.

    :raises TakesTooLong:
    """

    def give_up(*_: object) -> None:
        raise TakesTooLong(f"its routes cannot be tried within {seconds:g} s of computing")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def difference(
    before: str, after: str, *, receiver: str, matchers: Sequence[str], firing: Iterable[Labels]
) -> str | None:
    """
    Find an alert of which other people would be told, or others than before.

    :param before: an alertmanager.yml
    :param after: the same, joined
    :param receiver: Relevo's, which is to be told besides
    :param matchers: of the alerts that it is to be told of
    :param firing: alerts that there are now
    :return: what is different, for people; None where nothing is
    :raises UnreadableRoutes: one of them has a matcher that is not known here
    """
    old, new = (read_configuration(text)["route"] for text in (before, after))
    for labels in _different(chain(_examples(old, matchers), firing), old, new):
        if _OURS.fullmatch(labels.get("alertname", "")):
            continue
        told, will_be = (
            [(way.receiver, way.has_intervals) for way in ways(route, labels)]
            for route in (old, new)
        )
        others = [one for one in will_be if one[0] != receiver]
        if others != [one for one in told if one[0] != receiver]:
            shown = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
            return f"an alert with {shown} is for {_names(told)} and would be for {_names(will_be)}"
    return None


def notified_anew(before: str, after: str, *, receiver: str, firing: Iterable[Labels]) -> int:
    """
    Count the alerts that move to groups of another key: somebody is told of them once more.

    :raises UnreadableRoutes: as above
    """
    documents = [read_configuration(text) for text in (before, after)]
    loud = {
        one.get("name")
        for one in documents[0].get("receivers") or ()
        if any(key != "name" for key in one)
    }

    def keys(document: Mapping[str, Any], labels: Labels) -> set[tuple[str, Any]]:
        found: Iterable[Way] = ways(document["route"], labels)
        return {(w.receiver, w.path) for w in found if w.receiver in loud - {receiver}}

    asked = _asked(*(one["route"] for one in documents))
    alike = Counter(_reduced(labels, asked) for labels in firing)
    return sum(
        count
        for labels, count in alike.items()
        if keys(documents[1], dict(labels)) - keys(documents[0], dict(labels))
    )


def _different(alerts: Iterable[Labels], *routes: Mapping[str, Any]) -> Iterator[Labels]:
    """Give one of those that no route can tell apart."""
    asked, seen = _asked(*routes), set()
    for labels in alerts:
        reduced = _reduced(labels, asked)
        if reduced not in seen:
            seen.add(reduced)
            yield labels


def _asked(*routes: Mapping[str, Any]) -> frozenset[str]:
    """Tell the labels that routes, and those below them, ask for."""
    found = {name for route in routes for name, _, _ in conditions(route)}
    for route in routes:
        found |= _asked(*(route.get("routes") or ()))
    return frozenset(found | {"alertname"})


def _reduced(labels: Labels, asked: frozenset[str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name in asked)


def _names(told: Sequence[tuple[str, bool]]) -> str:
    return " and ".join(repr(name) for name, _ in told) or "nobody"


def _examples(top: Mapping[str, Any], matchers: Sequence[str]) -> Iterator[dict[str, str]]:
    """Make alerts for every route of theirs: such as Relevo is told of, and others."""
    ours = _labels({"matchers": matchers}, {"severity": "critical"})
    for found in _nodes(top, {}):
        labels = {"alertname": "Example", **found}
        yield labels
        yield {**labels, "severity": "warning"}
        yield {**labels, **ours}
        for name in ("name", "container_name", "container"):
            yield {**labels, **ours, name: "web"}
            yield {**labels, **ours, name: "web", **found}


def _nodes(route: Mapping[str, Any], labels: dict[str, str]) -> Iterator[dict[str, str]]:
    yield labels
    for child in route.get("routes") or ():
        yield from _nodes(child, _labels(child, labels))


def _labels(route: Mapping[str, Any], above: Mapping[str, str]) -> dict[str, str]:
    """Give an alert the labels that a route asks for, as far as these can be guessed."""
    labels = dict(above)
    for name, sign, value in conditions(route):
        if sign == "=":
            labels[name] = value
        elif sign == "=~":
            found = _ALTERNATIVES.fullmatch(value)
            labels[name] = found[1] if found is not None else "x"
        elif name not in labels and value in ("", ".*", ".+"):
            labels[name] = "x"
    return labels
