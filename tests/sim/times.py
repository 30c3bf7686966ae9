"""When things were truly written: what clocks say of it is wrong where one was set."""

from collections.abc import Callable
from datetime import datetime, timedelta

from app.domain.remediation import Remediation

#: From when to when, in true seconds, it may have been written.
Span = tuple[float, float]

#: A note whose answer was lost is written within this time, or never.
LATE_S = 60.0
#: Steps begin a little after the moment that they were decided for.
_ROUNDING = timedelta(seconds=5)
#: The store keeps milliseconds.
_SAME = timedelta(milliseconds=2)


class Times:
    """
    Of failed restarts, of what makes them count no more, and of the ends of stories.

    :param now: the true time, seconds
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failed: dict[str, Span] = {}
        #: Remediations -> what they say of when they scaled out, and when that was.
        self._outside: dict[str, list[tuple[datetime, Span]]] = {}
        self._closed: dict[str, float] = {}
        #: Notes of which nobody knows yet whether they were written.
        self._open: set[str] = set()
        #: True times, and what the clock of whoever wrote said: the furthest since each.
        self._said: list[tuple[float, datetime]] = []

    @property
    def now(self) -> float:
        """The true time, seconds."""
        return self._now()

    def noted(self, record: Remediation, *, sent: float, answered: bool) -> None:
        """See a note; `sent` in true seconds."""
        span = (sent, self.now if answered else sent + LATE_S)
        for one in record.attempts:
            if one.is_failed_restart and (one.id not in self._failed or one.id in self._open):
                first = self._failed.get(one.id, span)[0]
                self._failed[one.id] = (first, span[1])
                (self._open.discard if answered else self._open.add)(one.id)
        if record.closed_at is not None:
            self._closed.setdefault(record.id, sent)
        if record.scaled_out_at is not None and self.scaled_out(record) is None:
            self._outside.setdefault(record.id, []).append((record.scaled_out_at, span))

    def said(self, clock: datetime) -> None:
        """Have somebody write at this time by the clock."""
        while self._said and self._said[-1][1] <= clock:
            self._said.pop()
        self._said.append((self.now, clock))

    def furthest(self, since: float) -> datetime | None:
        """Tell the latest time that the store was told since then: by that it forgets for good."""
        return next((clock for at, clock in self._said if at >= since), None)

    def failed(self, attempt_id: str) -> Span | None:
        """Tell when a failure was written; None: nobody has seen it."""
        return self._failed.get(attempt_id)

    def closed(self, remediation_id: str) -> float | None:
        """Tell when a remediation was closed, or was about to be; None: nobody has seen it."""
        return self._closed.get(remediation_id)

    def scaled_out(self, record: Remediation) -> Span | None:
        """Tell when it was written that a remediation has scaled out; None: nobody has seen it."""
        at = record.scaled_out_at
        for when, span in self._outside.get(record.id, ()):
            if at is not None and abs(at - when) < _SAME:
                return span
        return None


def is_after(at: datetime, span: Span | None, other: datetime, then: Span | None) -> bool | None:
    """Tell whether one thing was written after another; None: they were too close to tell."""
    if span is None or then is None:
        # By what the clocks say of it.
        return None if abs(at - other) < _ROUNDING else at > other
    if span[0] > then[1]:
        return True
    return False if span[1] < then[0] else None
