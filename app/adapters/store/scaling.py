"""Instances that leave: written down before anything is done to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast
from uuid import uuid4

from app.adapters.store.arguments import Piece, of_activity, of_limits, of_lines
from app.adapters.store.client import Line
from app.adapters.store.codec import (
    ACTIVITY,
    REPLY,
    load_after_mark,
    moment,
    span_ms,
    text,
    to_ms,
)
from app.adapters.store.keys import KEEP, KEEP_REPLIES, MOST, MOST_LINES
from app.adapters.store.scripts import Script
from app.domain.activity import Activity, ActivityStatus
from app.domain.audit import AuditEntry
from app.errors import OutOfBudget
from app.ports import Limits, Reply

#: As ``lua/leave.lua`` answers.
_REPLIED: Final = 2
_SPENT: Final = 4


class RedisScaling:
    """See `app.ports.Scaling`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._leave = Script(line, "leave")
        self._left = Script(line, "left", leads=True)

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
        keys = self._keys
        reply_key = keys.none if reply is None else keys.reply(reply.key)
        shown, bounds = of_activity(keys, activity), of_limits(keys, limits, now=now)
        # One name per call: its repetition finds the activity, and asks for no reply.
        answer: tuple[Piece, Piece] = ("", "")
        if reply is not None:
            answer = (uuid4().hex, REPLY.dump(reply))
        async with self._line.answering():
            code, found, *whose = await self._leave(
                keys=[keys.leaving, *shown.keys, *bounds.keys, reply_key, keys.audit, keys.anchor],
                args=[
                    activity.group,
                    activity.container_id or activity.id,
                    to_ms(now),
                    span_ms(KEEP),
                    MOST,
                    keys.activity(""),
                    *shown.args,
                    *bounds.args,
                    *answer,
                    span_ms(KEEP_REPLIES),
                    MOST_LINES,
                    *of_lines([told]),
                ],
            )
        if code == _SPENT:
            raise OutOfBudget(moment(found, key=keys.charges))
        if code == _REPLIED:
            return load_after_mark(REPLY, found, key=reply_key)
        return ACTIVITY.load(found, key=keys.activity(text(whose[0], key=keys.leaving)))

    async def under_way(self) -> Sequence[Activity]:
        """See `app.ports.Scaling`."""
        found = await self._named(self._keys.leaving)
        # Between the two reads it may have ended.
        under_way = (one for one in found if one.status is ActivityStatus.IN_PROGRESS)
        return sorted(under_way, key=lambda one: (one.started_at, one.id))

    async def replaced(self) -> Sequence[Activity]:
        """See `app.ports.Scaling`."""
        found = await self._named(self._keys.replaced)
        return sorted(found, key=lambda one: (one.started_at, one.id))

    async def _named(self, where: str) -> list[Activity]:
        """Read the activities that a hash names; of one that is too old nothing is left."""
        keys = self._keys
        async with self._line.answering():
            named = cast("dict[bytes, bytes]", await self._redis.hgetall(where))
            names = [keys.activity(text(one, key=where)) for one in named.values()]
            raws = await self._redis.mget(names) if names else []
        return [
            ACTIVITY.load(raw, key=name)
            for name, raw in zip(names, raws, strict=True)
            if raw is not None
        ]

    async def end(self, activity: Activity, *, now: datetime, told: AuditEntry) -> None:
        """See `app.ports.Scaling`."""
        keys = self._keys
        shown = of_activity(keys, activity)
        async with self._line.answering():
            await self._left(
                keys=[
                    keys.leaving,
                    *shown.keys,
                    keys.slots,
                    keys.cooldown(activity.group),
                    keys.replaced,
                    keys.audit,
                    keys.anchor,
                ],
                args=[
                    activity.group,
                    to_ms(now),
                    span_ms(KEEP),
                    MOST,
                    *shown.args,
                    int(activity.is_let_go),
                    activity.container_id or "",
                    _duty(activity),
                    MOST_LINES,
                    *of_lines([told]),
                ],
            )


def _duty(activity: Activity) -> str:
    """Say for ``lua/left.lua`` whether its container is off duty from now on."""
    if activity.is_replaced:
        return "1"
    return "0" if activity.is_back else ""
