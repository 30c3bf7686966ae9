"""Whether the store is the one that we know, and how to go on with one that lost its memory."""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog

from app.controller.memory import Memory
from app.ports import SettableClock, Standing, Store

log: Final = structlog.get_logger("relevo.acquaintance")


@dataclass(frozen=True, slots=True)
class Met:
    """A store as it was found, or as it is since its new history was begun."""

    standing: Standing
    #: How it lost what it had confirmed; None: it is the one that we know.
    lost: str | None = None
    #: It had no history, and nobody here remembers one.
    is_first: bool = False


class Acquaintance:
    """
    Knows the store again: by the name of its history, and by the mark of its last write.

    A history is begun where there is none, and where the one that there is has been lost: charges,
    pause and holds that we remember are written back with it.

    """

    def __init__(self, store: Store, memory: Memory, clock: SettableClock) -> None:
        self._store = store
        self._seat = store.leadership
        self._memory = memory
        self._clock = clock
        self._epoch = ""
        #: Those who ask it have been told which one it is.
        self._is_trusted = False

    async def meet(self) -> Met:
        """
        See it for the first time in this life.

        :raises StoreUnavailable:
        """
        standing = await self._seat.look()
        known = await self._memory.recall()
        self._epoch = known.epoch
        if known.epoch:
            return await self.compare(standing, known=known.fence)
        is_first = not standing.epoch
        if is_first:
            standing = await self._found(instead_of="")
        self._trust(standing)
        return Met(standing, is_first=is_first)

    async def begin_anew(self, standing: Standing, why: str) -> Met:
        """
        Give up the time that the store was told, for a reason; else it has lost nothing.

        :raises StoreUnavailable:
        """
        standing = await self._found(instead_of=standing.epoch, is_lost=False)
        self._trust(standing)
        return Met(standing, why)

    def recognizes(self, standing: Standing, *, known: int) -> bool:
        """
        Tell whether it is still the one, and take in its mark.

        :param known: the mark that was known before `standing` was asked for
        """
        if standing.epoch != self._epoch or standing.fence < known:
            return False
        if not self._is_trusted:
            # Whatever was heard by now: others may have asked before us, and it goes on meanwhile.
            self._trust(standing)
        if standing.fence > known:
            # Marks of other controllers' writes as well: who follows knows an older store too.
            self._seat.hear(standing.fence)
        return True

    async def compare(self, standing: Standing, *, known: int) -> Met:
        """
        Look whether it is still the one; where it is not, go on with a new history.

        :param known: the mark that was known before `standing` was asked for
        :raises StoreUnavailable:
        """
        if self.recognizes(standing, known=known):
            return Met(standing)
        if standing.epoch not in ("", self._epoch):
            lost = "has begun anew, or is another one"
            standing = await self._found(instead_of=standing.epoch, epoch=standing.epoch)
        else:
            lost = "is an older copy of itself" if standing.epoch else "was emptied"
            standing = await self._found(instead_of=standing.epoch)
        self._trust(standing)
        return Met(standing, lost)

    def has_news(self, at: float) -> bool:
        """Tell whether there is anything to `keep` now, which is `at` by the loop's clock."""
        return self._memory.is_due(epoch=self._epoch, fence=self._seat.heard, at=at)

    async def keep(self) -> None:
        """
        Remember it as it is now, outside of it.

        :raises StoreUnavailable:
        """
        await self._memory.keep(
            self._store, epoch=self._epoch, fence=self._seat.heard, now=self._clock.now()
        )

    def _trust(self, standing: Standing) -> None:
        self._epoch, self._is_trusted = standing.epoch, True
        self._seat.trust(standing.epoch, standing.fence)

    async def _found(
        self, *, instead_of: str, epoch: str | None = None, is_lost: bool = True
    ) -> Standing:
        """Begin a history; or, of one that somebody else has begun, add what we remember."""
        now = self._clock.now()
        # Into a history that somebody else has begun only what was so in this life of ours.
        is_recent = epoch is None or self._seat.heard > 0
        restored = await self._memory.restored(heard=self._seat.heard, controls=is_recent)
        epoch = epoch or uuid4().hex
        (log.warning if instead_of or restored else log.info)(
            "beginning a history of the store", epoch=epoch, instead_of=instead_of or None
        )
        return await self._seat.found(
            epoch, now=now, instead_of=instead_of, is_lost=is_lost, restored=restored
        )
