"""Whether the store can keep its word: asked now and then, believed in between."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from app.ports import StoreHealth

log: Final = structlog.get_logger("relevo.soundness")

#: It costs the store as much as a dozen writes.
_EVERY: Final = timedelta(seconds=30)


class Soundness:
    """Remembers what is wrong with the store."""

    def __init__(self, health: StoreHealth) -> None:
        self._health = health
        self._loop = asyncio.get_running_loop()
        self._asked_at: float | None = None
        #: What keeps it from keeping its word, a sentence each.
        self.faults: tuple[str, ...] = ()

    @property
    def is_old(self) -> bool:
        """Whether the last answer is too old to be believed; or there is none yet."""
        if self._asked_at is None:
            return True
        return self._loop.time() - self._asked_at >= _EVERY.total_seconds()

    async def ask(self) -> None:
        """
        Ask, however old the last answer is.

        :raises StoreUnavailable:
        """
        now = self._loop.time()
        faults = await self._health.check()
        if faults and faults != self.faults:
            log.error("not acting on such a store", faults=faults)
        self.faults, self._asked_at = faults, now
