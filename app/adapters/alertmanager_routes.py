"""Where Alertmanager's routes lead an alert: its own rules, followed on its own configuration."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_MATCHER: Final = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][\w:]*|"[^"]+")\s*(?P<op>=~|!~|!=|=)\s*"""
    r"""(?P<value>"(?:\\.|[^"\\])*"|'[^']*'|[^,}"]*?)\s*(?:,|$)"""
)
#: Matchers and patterns that are read once only.
_KNOWN: Final = 8192
_ESCAPED: Final = re.compile(r'\\([\\"n])')


@dataclass(frozen=True, slots=True)
class Way:
    """One receiver that an alert reaches."""

    receiver: str
    #: Its route has mute or active time intervals: at times nobody is told.
    has_intervals: bool
    #: The conditions of each route on the way, of which Alertmanager makes the key of its groups:
    #: under another key it notifies anew, and what is deduplicated by it is another incident.
    path: tuple[tuple[tuple[str, str, str], ...], ...] = ()


class UnreadableRoutes(ValueError):
    """The configuration holds routes that are not known here; the message says which."""


def read_configuration(text: object) -> dict[str, Any]:
    """
    Read ``config.original`` of ``/api/v2/status``; every scalar stays a text.

    :raises UnreadableRoutes:
    """
    try:
        parsed = YAML(typ="base", pure=True).load(text) if isinstance(text, str) else None
    except (YAMLError, ValueError, RecursionError) as exc:
        raise UnreadableRoutes(f"its configuration cannot be read: {exc}") from exc
    if not isinstance(parsed, dict) or not isinstance(parsed.get("route"), dict):
        raise UnreadableRoutes("its configuration has no route")
    return parsed


def ways(route: Mapping[str, Any], labels: Mapping[str, str]) -> tuple[Way, ...]:
    """
    Follow an alert from the top route down.

    :param route: the top route, of `read_configuration` or of a file of Alertmanager's
    :raises UnreadableRoutes: a matcher cannot be read
    """
    return tuple(_ways(route, labels, "", None))


def _ways(
    route: Mapping[str, Any],
    labels: Mapping[str, str],
    above: str,
    path: tuple[tuple[tuple[str, str, str], ...], ...] | None,
) -> Iterator[Way]:
    if path is None:
        path = ()  # the top takes all, whatever it says
    else:
        wanted = conditions(route)
        if not all(_holds(*one, labels) for one in wanted):
            return
        path = (*path, wanted)
    receiver = str(route.get("receiver") or above)
    found = False
    for child in route.get("routes") or ():
        here = tuple(_ways(child, labels, receiver, path))
        found = found or bool(here)
        yield from here
        if here and str(child.get("continue", "")).lower() != "true":
            break
    if not found:
        intervals = ("mute_time_intervals", "active_time_intervals")
        yield Way(receiver, any(route.get(name) for name in intervals), path)


def conditions(route: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """
    Tell what a route asks of an alert: label, ``=``, ``!=``, ``=~`` or ``!~``, value.

    :raises UnreadableRoutes: a matcher cannot be read
    """
    equal = [(name, "=", str(value)) for name, value in (route.get("match") or {}).items()]
    alike = [(name, "=~", str(value)) for name, value in (route.get("match_re") or {}).items()]
    given = route.get("matchers") or ()
    return (*equal, *alike, *(one for text in given for one in _matchers(str(text))))


@lru_cache(maxsize=_KNOWN)
def _matchers(text: str) -> tuple[tuple[str, str, str], ...]:
    """Read ``a="b"``, ``a=b``, or several in braces."""
    return tuple(_each_matcher(text))


def _each_matcher(text: str) -> Iterator[tuple[str, str, str]]:
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    at = 0
    while at < len(rest):
        found = _MATCHER.match(rest, at)
        if found is None or found.end() == at:
            raise UnreadableRoutes(f"the matcher {text!r} cannot be read")
        value = found["value"]
        if value[:1] == '"':
            value = _ESCAPED.sub(lambda m: "\n" if m[1] == "n" else m[1], value[1:-1])
        yield found["name"].strip('"'), found["op"], value
        at = found.end()


def _holds(name: str, sign: str, value: str, labels: Mapping[str, str]) -> bool:
    given = labels.get(name, "")
    holds = _fits(value, given) if sign.endswith("~") else given == value
    return holds is not sign.startswith("!")


def _fits(pattern: str, text: str) -> bool:
    try:
        return _compiled(pattern).fullmatch(text) is not None
    except re.error as exc:
        raise UnreadableRoutes(f"the pattern {pattern!r} cannot be read: {exc}") from exc


@lru_cache(maxsize=_KNOWN)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Python itself remembers 512: with more routes it would read each anew for every alert.
    return re.compile(f"(?:{pattern})")
