"""Scale-ins in memory: see `app.ports.Scaling`."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from app.adapters.store.codec import to_ms, to_ms_up
from app.domain.activity import Activity, ActivityStatus
from app.domain.audit import AuditEntry
from app.ports import Limits, Reply

if TYPE_CHECKING:
    from tests.memory_store import MemoryStore


class MemoryScaling:
    """See `app.ports.Scaling`; writes into the lists of its store."""

    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        #: Group -> id of its scale-in that is under way.
        self._leaving: dict[str, str] = {}
        #: Source that is isolated or stopped -> id of the activity that did so.
        self._replaced: dict[str, str] = {}
        #: Group -> when an instance left that was not needed any more, ms.
        self.left: dict[str, int] = {}

    async def begin(
        self,
        activity: Activity,
        limits: Limits,
        *,
        now: datetime,
        told: AuditEntry,
        reply: Reply | None = None,
    ) -> Activity | Reply:
        """See `app.ports.Scaling`."""
        store = self._store
        written = await store.activity(activity.id)
        if written is not None:
            return written
        replied = await store.orders.replied(reply.key) if reply is not None else None
        if replied is not None:
            return replied
        other = await store.activity(self._leaving.get(activity.group, ""))
        if other is not None:
            return other
        store.budget.charge(
            activity.container_id or activity.id,
            limits,
            now,
            slot_end=to_ms_up(now + limits.out_for),
        )
        store.audit.write([told], now=now)
        store.write_activity(activity)
        self._leaving[activity.group] = activity.id
        if reply is not None:
            await store.orders.reply(reply)
        return activity

    async def under_way(self) -> Sequence[Activity]:
        """See `app.ports.Scaling`."""
        found = [await self._store.activity(one) for one in self._leaving.values()]
        under_way = (
            one for one in found if one is not None and one.status is ActivityStatus.IN_PROGRESS
        )
        return sorted(under_way, key=lambda one: (one.started_at, one.id))

    async def replaced(self) -> Sequence[Activity]:
        """See `app.ports.Scaling`."""
        found = [await self._store.activity(one) for one in self._replaced.values()]
        return sorted(
            (one for one in found if one is not None), key=lambda one: (one.started_at, one.id)
        )

    async def end(self, activity: Activity, *, now: datetime, told: AuditEntry) -> None:
        """See `app.ports.Scaling`."""
        store = self._store
        is_under_way = self._leaving.get(activity.group) == activity.id
        if not is_under_way and await store.activity(activity.id) is not None:
            return
        store.write_activity(activity)
        if is_under_way:
            del self._leaving[activity.group]
        store.budget.free(activity.id)
        if activity.is_replaced:
            self._replaced[activity.container_id or ""] = activity.id
        elif activity.is_back:
            self._replaced.pop(activity.container_id or "", None)
        if activity.is_let_go:
            self.left[activity.group] = to_ms(now)
        store.audit.write([told], now=now)
