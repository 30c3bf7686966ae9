"""How many notifications are read at once: what a body becomes in memory is many times its size."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.errors import NotAccepting

#: Larger bodies are read beside the event loop, where others and the leader's seat need it:
#: 10,000 alerts take a fifth of a second.
AT_ONCE: Final = 192 * 1024
#: And those that hold more values than this, of whatever size: a list of ones is as long as its
#: text is short. 64 alerts have 1,500.
MANY: Final = 4000
#: Values that are read at once, of all notifications together; 2,000 with one alert have 50,000.
MOST_VALUES: Final = 200_000
#: So many of the larger ones at a time, others wait: what 4 MiB say takes twenty times that.
MOST_LARGE: Final = 2
#: And so many wait, unread; Alertmanager sends again what was sent away.
MOST_WAITING: Final = 32


class Reading:
    """Gives notifications their turn by what they will weigh."""

    def __init__(self) -> None:
        self._values = 0
        self._waiting = 0
        self._large = asyncio.Semaphore(MOST_LARGE)

    @asynccontextmanager
    async def turn(self, raw: bytes) -> AsyncIterator[bool]:
        """
        Handle a body inside of this; it has not been parsed yet. Yields whether it is a large one.

        :raises NotAccepting: too many large ones wait already
        """
        values = raw.count(b",")  # never fewer than there are, and found at once
        is_large = len(raw) > AT_ONCE or values > MANY
        if not is_large and self._values + values <= MOST_VALUES:
            self._values += values
            try:
                yield False
            finally:
                self._values -= values
            return
        if self._waiting >= MOST_WAITING:
            raise NotAccepting("too many large notifications are waiting: send it again")
        self._waiting += 1
        try:
            await self._large.acquire()
        finally:
            self._waiting -= 1
        try:
            yield is_large
        finally:
            self._large.release()
