"""Whose the seat of the leader is, as far as one controller has seen; times are its loop's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from app.domain.gate import Fence
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
    :param engine: name of the engine that it acts on, empty while it is not known
    """

    def __init__(self, *, life: str, engine: Callable[[], str]) -> None:
        self._life = life
        self._engine = engine
        #: How it stood at the last look; None before the first.
        self.last: Standing | None = None
        #: It is ours, be it renewed in time or not.
        self.is_ours = False
        #: Since when it has not changed.
        self._still_since = 0.0
        self._looked_at = 0.0
        #: When the renewal was sent that was confirmed last.
        self._renewed_at: float | None = None
        self._is_left = False
        #: Of our tenure; where it begins the store's counter is higher than in any before.
        self._fence = Fence()
        self._fence_of: tuple[str, int] | None = None
        #: Its holder was another, and was seen to renew it.
        self.was_alive = False

    def _is_mine(self, standing: Standing) -> bool:
        return standing.life == self._life and not self._is_left

    @property
    def ours_until(self) -> float | None:
        """Until when we may act on it; None: it is not ours, or was never renewed."""
        if not self.is_ours or self._renewed_at is None:
            return None
        return self._renewed_at + ACTS.total_seconds()

    def fence(self) -> Fence:
        """Tell in which tenure we act, as whoever is at the engine's door compares it."""
        return self._fence

    @property
    def is_settled(self) -> bool:
        """Whether it is ours, or its holder was seen to be alive."""
        return self.last is not None and (self.is_ours or self.was_alive)

    @property
    def whose(self) -> tuple[str, ...]:
        """Say whose it is, one sentence; empty where it is ours."""
        if self.is_ours:
            return ()
        if self.last is None or not self.last.instance:
            return ("nobody has the seat of the leader yet",)
        return (f"another controller leads ({self.last.instance}); this one stands by",)

    @property
    def foreign(self) -> tuple[str, ...]:
        """Say that it is the seat of another engine, one sentence; empty where it is not."""
        last, engine = self.last, self._engine()
        if last is None or not engine or last.engine in ("", engine):
            return ()
        return (
            f"this Redis belongs to the engine {last.engine!r} and this is {engine!r}: give each "
            "engine a Redis of its own (RELEVO_REDIS_URL), or set RELEVO_ENGINE_NAME to what it "
            "was called",
        )

    def found(self, standing: Standing, at: float) -> None:
        """See it without having asked for it."""
        self.last, self._still_since, self._renewed_at = standing, at, None
        self.is_ours = self._is_mine(standing)

    def see(self, standing: Standing, sent_at: float, seen_at: float) -> bool:
        """
        See what came of asking for it.

        What we may do counts from `sent_at`, what others may no longer do from `seen_at`: the
        renewal that is seen may have been sent after the look was.

        :return: its holder, who is another, is known to have renewed it since the last look
        """
        last, self.last = self.last, standing
        gap, self._looked_at = sent_at - self._looked_at, sent_at
        self.is_ours, self._renewed_at = self._is_mine(standing), None
        if self.is_ours:
            self._renewed_at = sent_at
            if self._fence_of != (standing.epoch, standing.term):
                # Once for each: what is sent in one tenure may arrive in any order.
                self._fence = Fence(epoch=standing.epoch, number=standing.fence)
                self._fence_of = standing.epoch, standing.term
        if last is not None and last.beat == standing.beat and last.term == standing.term:
            return False
        self._still_since = seen_at
        is_alive = last is not None and gap <= 2 * LOOK.total_seconds()
        self.was_alive = self.was_alive or is_alive
        return is_alive

    def deserted(self, now: float) -> Standing | None:
        """Return how it stands where its holder must be gone; None where he need not be."""
        if self.last is None or self.is_ours or self._is_left:
            return None
        return self.last if now - self._still_since >= TTL.total_seconds() else None

    def leave(self) -> None:
        """Want it no more."""
        self._is_left, self.is_ours = True, False
