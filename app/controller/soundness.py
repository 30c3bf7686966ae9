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
        self._asked_at: float | None = None
        #: What keeps it from keeping its word, a sentence each.
        self.faults: tuple[str, ...] = ()

    async def ask(self, *, anew: bool) -> None:
        """
        Ask, where the last answer is old.

        :param anew: ask however old that is
        :raises StoreUnavailable:
        """
        now = asyncio.get_running_loop().time()
        is_old = self._asked_at is None or now - self._asked_at >= _EVERY.total_seconds()
        if not is_old and not anew:
            return
        faults = await self._health.check()
        if faults and faults != self.faults:
            log.error("not acting on such a store", faults=faults)
        self.faults, self._asked_at = faults, now
