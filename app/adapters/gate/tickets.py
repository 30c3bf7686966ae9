"""Actions under way: until when each may go on, as whoever asked for it keeps saying."""

import asyncio
from math import inf

from app.domain.gate import Bar

#: Who asked says every second or two that it is still there; one that does not is gone or frozen.
_HEARD_WITHIN_S = 15.0


class Ticket:
    """
    One action.

    :param not_after: until when it may be begun, by the loop's clock
    """

    def __init__(self, not_after: float) -> None:
        self._told = not_after
        self._heard_at = asyncio.get_running_loop().time()
        self.task: asyncio.Task[bytes] | None = None

    def extend(self, not_after: float) -> None:
        """Take in that who asked is there, and until when it may go on."""
        self._told = not_after
        self._heard_at = asyncio.get_running_loop().time()

    def not_after(self) -> float:
        """Tell until when the next step may be begun."""
        return min(self._told, self._heard_at + _HEARD_WITHIN_S)

    async def abandon(self) -> None:
        """End it: what was made is taken away again, as far as that can be; wait for that."""
        task = self.task
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait({task})


class Tickets:
    """All actions that are under way, by a word that only who asked for one knows."""

    def __init__(self) -> None:
        self._open: dict[str, Ticket] = {}

    def issue(self, word: str, not_after: float | None) -> Ticket:
        """Begin one. :raises ValueError: the word is taken, or none"""
        if not 16 <= len(word) <= 64 or word in self._open:
            raise ValueError(f"{Bar.BUSY}: a ticket is a new word of 16 to 64 letters")
        ticket = Ticket(inf if not_after is None else not_after)
        self._open[word] = ticket
        return ticket

    def get(self, word: str) -> Ticket | None:
        """Find one; None where it is over."""
        return self._open.get(word)

    def end(self, word: str) -> None:
        """Forget one."""
        self._open.pop(word, None)

    @property
    def tasks(self) -> set[asyncio.Task[bytes]]:
        """What is under way."""
        return {one.task for one in self._open.values() if one.task is not None}
