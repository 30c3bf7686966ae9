"""What happens to the clock: the host sleeps, somebody sets it, another controller leads."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.ports import SettableClock

log: Final = structlog.get_logger("relevo.timekeeper")

#: The leader's clock and ours differ by the time between two looks anyway.
_CLOSE: Final = timedelta(seconds=2)
#: Less than this is what clocks do.
_JUMP: Final = timedelta(seconds=5)
#: Further ahead than this, times that the store has been told are wrong, and are given up.
_FAR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Odd:
    """Something that happened to the clock."""

    why: str
    #: How long nothing is to be done.
    span: timedelta
    #: The host slept: what comes in now may have been sent before.
    slept: bool = False


class Timekeeper:
    """
    Follows the wall clock where it jumps forward, and the leader's time where another leads.

    It never goes back by itself: what waits would wait longer, and what has just been done would
    not have happened yet.

    :param longest_wait: of all policies
    :param heed: told what has happened that nothing may be done for a while
    """

    def __init__(
        self,
        clock: SettableClock,
        *,
        longest_wait: Callable[[], timedelta],
        heed: Callable[[Odd], None],
    ) -> None:
        self._clock = clock
        self._heed = heed
        self._longest_wait = longest_wait
        #: How far the wall clock was ahead of ours when both were looked at last.
        self._ahead = clock.ahead()
        self._was_set_back = False

    def gives_up(self, told_at: datetime | None, *, begins: bool) -> bool:
        """
        Tell whether the time that the store was told is to be given up.

        :param begins: we lead from now on, and follow nobody's time
        """
        return self._was_set_back or (begins and self.is_far_ahead(told_at))

    def is_far_ahead(self, told_at: datetime | None) -> bool:
        """Tell whether the store was told a time that our wall clock is far behind."""
        return told_at is not None and told_at - self._wall() > _FAR

    def go_back(self) -> None:
        """Take the wall clock's time, although it is behind ours: the store has given ours up."""
        self._was_set_back = False
        self._set_to(self._wall())

    def begin(self, told_at: datetime | None) -> None:
        """Begin no earlier than the last leader ended: waits that he planned would sleep on."""
        if told_at is not None and told_at > self._clock.now() and not self.is_far_ahead(told_at):
            log.warning("clock is behind the last leader's", by=str(told_at - self._clock.now()))
            self._set_to(told_at)

    def follow(self, told_at: datetime | None) -> None:
        """Take the time of a leader that has told it a moment ago."""
        if told_at is not None and abs(told_at - self._clock.now()) > _CLOSE:
            self._set_to(told_at)

    def mind(self, *, leads: bool) -> None:
        """
        Look what has happened to the clock, and tell how long nothing is to be done for it.

        A clock that was set forward would end waits early: nothing is done for as long as the
        longest of them may still last.
        """
        slept = self._clock.slept()
        if slept > _JUMP:
            self._set_to(self._clock.now() + slept)
            said = f"this host was suspended for {slept.total_seconds():.0f} s"
            self._heed(Odd(said, timedelta(0), slept=True))
            return
        ahead = self._clock.ahead()
        if ahead == self._ahead:
            return
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) <= _JUMP:
            self._ahead -= jump  # small ones add up
            return
        log.warning("this host's clock was set", by=str(jump))
        self._was_set_back = leads and jump < -_FAR
        if jump < timedelta(0) or not leads:
            return
        self._set_to(self._clock.now() + jump)
        said = f"this host's clock was set forward by {jump.total_seconds():.0f} s"
        self._heed(Odd(said, min(jump, self._longest_wait())))

    def _wall(self) -> datetime:
        return self._clock.now() + self._clock.ahead()

    def _set_to(self, at: datetime) -> None:
        self._clock.set_to(at)
        self._ahead = self._clock.ahead()
