"""May an Alertmanager have muted an alert that it lists as active? Its configuration says."""

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_INTERVALS = ("mute_time_intervals", "active_time_intervals")
#: A route at the top level: what every configuration has, as Alertmanager writes it out.
_IS_CONFIGURATION = re.compile("^route:", re.MULTILINE)
#: A parse takes about 4 s per MB; whoever has a larger configuration and intervals in it gets the
#: careful answer.
_LARGEST = 1_000_000


def may_mute(configuration: object, receiver: str) -> bool:
    """
    Tell whether the routes to a receiver are muted at times.

    ``GET /api/v2/alerts`` says nothing of that, in any version: before 0.28 nothing does, and
    since then only ``/alerts/groups`` (prometheus/alertmanager#3797 says why). What cannot be
    read counts as muted at times: then pulls open nothing, and notices still do.

    :param configuration: ``config.original`` of ``/api/v2/status``
    """
    if not isinstance(configuration, str) or not _IS_CONFIGURATION.search(configuration):
        return True
    # Alertmanager writes the text itself, with plain keys: without the words nothing is muted,
    # and most configurations need no parse.
    if not any(name in configuration for name in _INTERVALS):
        return False
    if len(configuration) > _LARGEST:
        return True
    try:
        # `base` leaves every scalar a text: no time or number in it can be a wrong one.
        parsed = YAML(typ="base", pure=True).load(configuration)
        return any(_muted_routes(parsed["route"], receiver, "", muted=False))
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True


def _muted_routes(route: Any, ours: str, above: str, *, muted: bool) -> Iterator[bool]:
    """Yield for each route to our receiver whether it has intervals, or is below one that has."""
    receiver = route.get("receiver") or above
    muted = muted or any(route.get(name) for name in _INTERVALS)
    if receiver == ours:
        yield muted
    for child in route.get("routes") or ():
        yield from _muted_routes(child, ours, receiver, muted=muted)
