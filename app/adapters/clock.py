"""The wall clock. The only place that reads it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class LoopClock:
    """
    Wall-clock time that moves with the event loop's own clock.

    Sleeps, timeouts and `now` then agree, in production as under a test's faked loop
    time, and a step of the system clock (NTP) can neither make a delay negative nor
    shorten a wait. See `app.ports.SettableClock`.
    """

    def __init__(self, anchor: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._zero = datetime.min.replace(tzinfo=UTC)
        self.set_to(anchor or datetime.now(UTC))  # noqa: TID251 -- this is the one reader
        self._slept_s = _suspended_s()

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return self._zero + timedelta(seconds=self._loop.time())

    def set_to(self, at: datetime) -> None:
        """See `app.ports.SettableClock`."""
        self._zero = at - timedelta(seconds=self._loop.time())

    def ahead(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        return datetime.now(UTC) - self.now()  # noqa: TID251 -- this is the one reader

    def slept(self) -> timedelta:
        """See `app.ports.SettableClock`; nothing is known of it but on Linux."""
        before, self._slept_s = self._slept_s, _suspended_s()
        return timedelta(seconds=max(0.0, self._slept_s - before))


def _suspended_s() -> float:
    """Seconds that the host was suspended since its boot."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        return 0.0
    # Both from the kernel: neither follows a clock that somebody sets.
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)
