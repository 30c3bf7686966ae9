"""What operators want done to targets, and what they were told."""

from datetime import datetime
from hashlib import sha256
from typing import Final, cast
from uuid import uuid4

from app.adapters.store.arguments import of_lines
from app.adapters.store.client import Line
from app.adapters.store.codec import ORDER, REPLY, load_after_mark, span_ms, to_ms
from app.adapters.store.keys import KEEP, KEEP_REPLIES, MOST_LINES
from app.adapters.store.scripts import Script
from app.domain.control import Order
from app.policies import trail
from app.ports import Reply

_REPLIED: Final = 2
_PENDING: Final = 3


class RedisOrders:
    """See `app.ports.Orders`; ``lua/note.lua`` ends what was placed."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._place = Script(line, "place")
        self._reply = Script(line, "reply")
        self._keys = line.keys

    async def place(
        self, target: str, order: Order, *, now: datetime, reply: Reply | None = None
    ) -> Order | Reply | None:
        """See `app.ports.Orders`. The same order again counts as placed."""
        keys = self._keys
        reply_key = keys.none if reply is None else keys.reply(reply.key)
        raw = ORDER.dump(order)
        async with self._line.answering():
            code, *found = await self._place(
                keys=[keys.due, keys.order(target), reply_key, keys.audit, keys.anchor],
                args=[
                    target,
                    to_ms(now),
                    order.id,
                    # An id may come twice, after an order that was refused; its moment does not.
                    sha256(raw).hexdigest()[:32],
                    raw,
                    span_ms(KEEP),
                    b"" if reply is None else REPLY.dump(reply),
                    span_ms(KEEP_REPLIES),
                    MOST_LINES,
                    *of_lines([trail.placed(target, order)]),
                ],
            )
        if code == _REPLIED:
            return load_after_mark(REPLY, found[0], key=reply_key)
        if code == _PENDING:
            return ORDER.load(found[0], key=keys.order(target))
        return None

    async def pending(self, target: str) -> Order | None:
        """See `app.ports.Orders`."""
        key = self._keys.order(target)
        async with self._line.answering():
            raw = await self._redis.hget(key, "json")
        return None if raw is None else ORDER.load(raw, key=key)

    async def replied(self, key: str) -> Reply | None:
        """See `app.ports.Orders`."""
        name = self._keys.reply(key)
        async with self._line.answering():
            raw = cast("bytes | None", await self._redis.get(name))
        return None if raw is None else load_after_mark(REPLY, raw, key=name)

    async def reply(self, reply: Reply) -> Reply | None:
        """See `app.ports.Orders`."""
        name = self._keys.reply(reply.key)
        raw = REPLY.dump(reply)
        # One name per call: its repetition after a lost answer finds itself, not somebody else.
        call = uuid4().hex
        async with self._line.answering():
            found = await self._reply(keys=[name], args=[call, raw, span_ms(KEEP_REPLIES)])
        return load_after_mark(REPLY, found, key=name) if found else None
