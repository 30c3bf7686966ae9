"""
How soon news are looked at: at once, or each target every two seconds while many pour in.

A step looks at the engine and reads all that is known of its target. Where fifty notifications and
more come each second, as in a storm, a step for each of them would take the time in which the
others are to be kept. They are kept at once all the same; what is due by itself is never held up.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

#: Notifications in a second; of more, the next ones are looked at by turns.
MANY: Final = 50
#: And so many under way at the same moment, which is how a storm begins.
AT_ONCE: Final = 8
#: From one look at a target to the next, in a storm, in milliseconds.
_EACH_MS: Final = 2000
_MS: Final = timedelta(milliseconds=1)


class Rush:
    """Counts notifications by whole seconds, and wakes whoever looks at what they brought."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._second = -1
        self._count = 0
        self._before = 0
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        #: When it rings, by the loop's clock.
        self._wakes_at = 0.0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Take a notification on inside of this."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def is_on(self, now: datetime) -> bool:
        """Count a notification; tell whether it is one of a storm."""
        second = int(now.timestamp())
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1
        return max(self._count, self._before) > MANY or self._under_way > AT_ONCE

    def turn(self, target: str, now: datetime) -> datetime:
        """
        Tell when a target is looked at next, in a storm.

        Each has an instant of its own within the two seconds: all at the same one would keep
        everybody else waiting for all of them.
        """
        since = (crc32(target.encode()) - int(now.timestamp() * 1000)) % _EACH_MS
        return now.replace(microsecond=now.microsecond // 1000 * 1000) + (since or _EACH_MS) * _MS

    def kept(self, due: datetime | None, now: datetime) -> None:
        """
        Have what was kept looked at, when it is due.

        :param due: the first turn of what was kept; None: now
        """
        if due is None:
            self._wake()
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, (due - now).total_seconds())
        # Who is woken finds out by himself when the next one is due.
        if self._timer is not None:
            if self._wakes_at <= at:
                return
            self._timer.cancel()
        # A handle itself need not know: uvloop's of what is due already does not.
        self._wakes_at, self._timer = at, loop.call_at(at, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._wake()
