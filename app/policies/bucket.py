"""The gate's own bucket of tokens: how many actions are left, whatever others have counted."""

from collections.abc import Iterable

from app.policies.spec import Guards

_HOUR_S = 3600.0
#: More than the controller's own burst: it charges with the intent and we with the action, up to
#: some seconds later, so that at the edge of its window we count one that it counts no more.
_SPARE = 1.0


def tokens(charges: Iterable[float], rules: Guards, *, now: float) -> float:
    """
    Tell how many tokens there are.

    :param charges: when one was taken each, in seconds, in order
    :param now: by the same clock
    """
    most = rules.burst + _SPARE
    level, since = most, None
    for at in charges:
        if since is not None:
            level = _filled(level, at - since, rules, most)
        level, since = level - 1.0, at
    return most if since is None else _filled(level, now - since, rules, most)


def _filled(level: float, span: float, rules: Guards, most: float) -> float:
    return min(most, level + max(span, 0.0) * rules.per_hour / _HOUR_S)
