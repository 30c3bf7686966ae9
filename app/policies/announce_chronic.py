"""Whether a target is restarted all the time although every restart helps."""

from datetime import datetime, timedelta
from typing import Final

from app.policies.spec import ChronicRules

#: How long RelevoChronic holds: long enough to be seen, too short to be got used to.
HOLDS: Final = timedelta(hours=1)
#: It comes once in this time at most.
RESTS: Final = timedelta(days=1)
#: Recoveries that are older, by more than a chronic window, change nothing.
LOOKS_BACK: Final = timedelta(weeks=2)


def since(times: tuple[datetime, ...], rules: ChronicRules, *, now: datetime) -> datetime | None:
    """
    Tell since when a target is called chronic; None while it is not.

    A recovery is one too many when it is at least the `restarts`-th in its own
    ``(it - window, it]``. The first such recovery starts an alert that holds for an hour; the
    first one that comes a day or more after a start starts the next. All of it is counted from
    Monday of the week before, 00:00 UTC, so that a start does not move as the oldest recoveries
    are forgotten. The price: a target that is chronic without a day's rest as a week turns may
    be told of once less than a day after the time before.

    :param times: when restarts helped
    """
    week_before = now - timedelta(days=now.weekday() + 7)
    first_day = week_before.replace(hour=0, minute=0, second=0, microsecond=0)
    times = tuple(sorted(at for at in times if at <= now))
    start: datetime | None = None
    for place, at in enumerate(times):
        if at < first_day or (start is not None and at - start < RESTS):
            continue
        oldest = place - max(rules.restarts, 1) + 1
        if oldest >= 0 and times[oldest] > at - rules.window:
            start = at
    return start if start is not None and now - start < HOLDS else None
