"""The one source of "now"."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The one source of "now". Read it once per step, then pass the value on."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SettableClock(Clock, Protocol):
    """A clock that follows another one."""

    def set_to(self, at: datetime) -> None:
        """From now on, it is this time."""
        ...

    def ahead(self) -> timedelta:
        """Tell how far this host's own clock is ahead of `now`."""
        ...

    def slept(self) -> timedelta:
        """Tell how long the host was suspended since this was asked last; `now` knows it not."""
        ...
