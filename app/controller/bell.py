"""What a loop waits at between two rounds: until it is rung, or for so long."""

import asyncio
from datetime import timedelta
from typing import Final

#: During so many seconds before its end a wait looks often, where it has to end exactly.
_LAST_S: Final = 0.001
_LOOK_S: Final = 0.0004
#: What remains of a wait where its end was only rounded.
_NOTHING_S: Final = 1e-6


class Bell:
    """
    An `asyncio.Event` for one who waits, whose time rings it too.

    A loop does this every second, and for the most part nobody rings: that costs one timer, and
    no exception that says that it has run out.
    """

    def __init__(self) -> None:
        self._is_rung = False
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle

    def ring(self) -> None:
        """Have whoever waits go on; whoever waits next does not."""
        self._is_rung = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def hush(self) -> None:
        """Take it for not rung."""
        self._is_rung = False

    async def rung(self) -> None:
        """Wait until it is rung."""
        if not self._is_rung:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    async def wait(self, within: timedelta, *, exactly: bool = False) -> None:
        """
        Wait until it is rung, or that long.

        :param exactly: not a millisecond longer, at the price of looking often during the last
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + within.total_seconds()
        self._timer = loop.call_at(ends - _LAST_S if exactly else ends, self._over, ends)
        try:
            if not self._is_rung:
                self._waiting = loop.create_future()
                await self._waiting
        finally:
            self._timer.cancel()

    def _over(self, ends: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if ends - now < _NOTHING_S:
            self.ring()
        else:
            # uvloop takes less than half a millisecond for none, and a whole one for up to two.
            self._timer = loop.call_at(min(ends, now + _LOOK_S), self._over, ends)
