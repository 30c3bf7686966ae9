"""One who watches what changes, and what it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Change:
    """What is not as it was."""

    #: ``engine:slot``.
    targets: frozenset[str] = frozenset()
    #: Ids.
    remediations: frozenset[str] = frozenset()
    #: Relevo itself: pause, brake, who leads, store, engine.
    status: bool = False
    #: More than is told here: read everything anew.
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.targets or self.remediations or self.status or self.everything)

    def __or__(self, other: "Change") -> "Change":
        return Change(
            self.targets | other.targets,
            self.remediations | other.remediations,
            self.status or other.status,
            self.everything or other.everything,
        )


class Listener:
    """One who watches. What was not fetched yet is merged: a slow one costs no more."""

    def __init__(self, whose: str | None = None) -> None:
        self.whose = whose
        self._pending = Change()
        self._id = 0
        self._news = asyncio.Event()
        self.is_over = False

    def tell(self, change: Change, number: int) -> None:
        """Have it told."""
        self._pending |= change
        self._id = number
        self._news.set()

    def close(self) -> None:
        """Tell that nothing more comes."""
        self.is_over = True
        self._news.set()

    async def next(self, *, within: timedelta) -> tuple[int, Change] | None:
        """Wait for news, with their number; None where there were none in that time."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(within.total_seconds()):
                    await self._news.wait()
            except TimeoutError:
                return None
        if self.is_over:
            return None
        self._news.clear()
        told, self._pending = self._pending, Change()
        return self._id, told


async def told(listener: Listener, *, ping: timedelta) -> AsyncIterator[tuple[int, Change] | None]:
    """Yield what a listener is told, None for each `ping` without news, until it is let go."""
    while not listener.is_over:
        news = await listener.next(within=ping)
        if listener.is_over:
            return
        yield news
