"""Whose the seat of the leader is, as far as one controller has seen; times are its loop's."""

from datetime import timedelta
from typing import Final

from app.ports import Standing

#: A seat that nobody renews for this long is deserted.
TTL: Final = timedelta(seconds=15)
#: The leader acts this long after a renewal at most: by a clock that is a fifth too slow it is
#: still less than the TTL by one that is a fifth too fast.
ACTS: Final = timedelta(seconds=10)
#: How often others look whether it is free.
LOOK: Final = timedelta(seconds=1)


class Seat:
    """
    Watches the seat.

    :param life: name of this process
    """

    def __init__(self, *, life: str) -> None:
        self._life = life
        self._last: Standing | None = None
        #: Since when it has not changed.
        self._still_since = 0.0
        self._looked_at = 0.0
        #: When the renewal was sent that was confirmed last.
        self._renewed_at: float | None = None
        self._is_left = False

    @property
    def last(self) -> Standing | None:
        """How it stood at the last look; None before the first."""
        return self._last

    @property
    def is_ours(self) -> bool:
        """Whether it is ours, be it renewed in time or not."""
        return self._last is not None and self._last.life == self._life and not self._is_left

    @property
    def ours_until(self) -> float | None:
        """Until when we may act on it; None: it is not ours, or was never renewed."""
        if not self.is_ours or self._renewed_at is None:
            return None
        return self._renewed_at + ACTS.total_seconds()

    def found(self, standing: Standing, at: float) -> None:
        """See it without having asked for it."""
        self._last, self._still_since, self._renewed_at = standing, at, None

    def see(self, standing: Standing, sent_at: float) -> bool:
        """
        See what came of asking for it.

        :return: its holder, who is another, is known to have renewed it since the last look
        """
        last, self._last = self._last, standing
        gap, self._looked_at = sent_at - self._looked_at, sent_at
        has_changed = last is None or (last.term, last.beat) != (standing.term, standing.beat)
        if has_changed:
            self._still_since = sent_at
        self._renewed_at = sent_at if self.is_ours else None
        return has_changed and last is not None and gap <= 2 * LOOK.total_seconds()

    def deserted(self, now: float) -> Standing | None:
        """Return how it stands where its holder must be gone; None where he need not be."""
        if self._last is None or self.is_ours or self._is_left:
            return None
        return self._last if now - self._still_since >= TTL.total_seconds() else None

    def leave(self) -> None:
        """Want it no more."""
        self._is_left = True
