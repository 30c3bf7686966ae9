"""The wall clock. The only place that reads it."""

import asyncio
from datetime import UTC, datetime, timedelta


class LoopClock:
    """
    Wall-clock time that moves with the event loop's own clock.

    Sleeps, timeouts and `now` then agree, in production as under a test's faked loop
    time, and a step of the system clock (NTP) cannot make a delay negative. The anchor
    is taken once, so across a suspended host it falls behind: restart to re-anchor.
    """

    def __init__(self, anchor: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._zero = (
            anchor or datetime.now(UTC)  # noqa: TID251 -- this is the one reader
        ) - timedelta(seconds=self._loop.time())

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return self._zero + timedelta(seconds=self._loop.time())
