"""What a loop waits at between two rounds: until it is rung, or for so long."""

import asyncio
from datetime import timedelta


class Bell:
    """
    An `asyncio.Event` for one who waits, whose time rings it too.

    A loop does this every second, and for the most part nobody rings: that costs one timer, and
    no exception that says that it has run out.
    """

    def __init__(self) -> None:
        self._is_rung = False
        self._waiting: asyncio.Future[None] | None = None

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

    async def wait(self, within: timedelta) -> None:
        """Wait until it is rung, or that long."""
        loop = asyncio.get_running_loop()
        ends = loop.call_at(loop.time() + within.total_seconds(), self.ring)
        try:
            if not self._is_rung:
                self._waiting = loop.create_future()
                await self._waiting
        finally:
            ends.cancel()
