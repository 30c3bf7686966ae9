"""What a controller remembers of its store, in case the store does not."""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from app.domain.audit import AuditMark
from app.policies import trail
from app.ports import Keepsake, Memento, Restored, Store

log: Final = structlog.get_logger("relevo.memory")

#: Charges older than this bind nobody: the longest span that a budget counts is an hour.
_CHARGES: Final = timedelta(hours=1)
#: Each time is a write to the disk.
_KEEP_EVERY_S: Final = 5.0
#: A store that has lost its memory counts on from here: no number is given out twice.
_FENCE_GAP: Final = 1_000_000


class Memory:
    """The memento of this controller, brought up to date with every renewal."""

    def __init__(self, keepsake: Keepsake) -> None:
        self._keepsake = keepsake
        self._memento: Memento | None = None
        self._kept_at = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def trouble(self) -> str | None:
        """Why it would not outlive this process; None where it does."""
        return self._keepsake.trouble

    @property
    def audit(self) -> AuditMark | None:
        """Where the audit stood when it was looked at last; None: nowhere that is known."""
        return None if self._memento is None else self._memento.audit

    async def recall(self) -> Memento:
        """Read what is remembered; a new instance remembers its own name only."""
        if self._memento is None:
            self._memento = await self._keepsake.load()
        if self._memento is None:
            self._memento = Memento(instance=uuid4().hex[:12])
            await self._keepsake.save(self._memento)
        return self._memento

    async def instance(self) -> str:
        """Name this controller, the same after a restart."""
        return (await self.recall()).instance

    def is_due(self, *, epoch: str, fence: int, at: float) -> bool:
        """Tell whether it is time, by the loop's clock, to `keep` a store that is at this mark."""
        before = self._memento
        if before is None or epoch != before.epoch:
            return True
        if fence == before.fence:
            return False
        return at - self._kept_at >= _KEEP_EVERY_S

    async def keep(self, store: Store, *, epoch: str, fence: int, now: datetime) -> None:
        """
        Remember the store as it is.

        :raises StoreUnavailable: what is to be remembered cannot be read
        """
        before = self._memento or await self.recall()
        self._kept_at = self._loop.time()
        audit = await self._mark(store, before.audit, now=now)
        self._memento = Memento(
            instance=before.instance,
            epoch=epoch,
            fence=fence,
            charges=dict(await store.leadership.charges(since=now - _CHARGES)),
            pause=await store.controls.pause(),
            holds=dict(await store.controls.holds()),
            audit=audit,
        )
        await self._keepsake.save(self._memento)

    async def _mark(
        self, store: Store, known: AuditMark | None, *, now: datetime
    ) -> AuditMark | None:
        """Say where the audit stands; that it lost lines is its next line, before we forget it."""
        head = await store.audit.head()
        if known is None or known == head or await store.audit.holds(known):
            return head
        told = trail.lost(known, head, at=now)
        log.error("the audit has lost lines", detail=told.detail)
        await store.audit.tell(told)
        return await store.audit.head()

    async def restored(self, *, heard: int, controls: bool) -> Restored | None:
        """
        Gather what a store that lost its memory is told again; None: it never had any.

        :param controls: pause and holds too: not those of long ago, which have ended since
        """
        known = await self.recall()
        if not known.epoch:
            return None
        return Restored(
            fence=max(known.fence, heard) + _FENCE_GAP,
            charges=known.charges,
            pause=known.pause if controls else None,
            holds=known.holds if controls else {},
        )
