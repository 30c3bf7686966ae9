"""What happened, for people: lists, newest first."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final, cast

import structlog

from app.adapters.store.client import Line
from app.adapters.store.codec import (
    ACTIVITY,
    ASIDE,
    REMEDIATION,
    Codec,
    T,
    moment,
    text,
    to_ms,
    whole,
)
from app.adapters.store.scripts import Script
from app.domain.activity import Activity
from app.domain.remediation import Remediation, State
from app.errors import Unreadable
from app.ports import Aside, Glance, RemediationFilter

log: Final = structlog.get_logger("relevo.history")

#: Records read at once.
_PAGE = 100
#: Targets looked at by one script: some milliseconds, in which Redis does nothing else.
_GLANCES = 500


class RedisHistory:
    """
    See `app.ports.History`; ``lua/intend.lua`` and ``lua/note.lua`` write it.

    A list leaves out what cannot be read: one bad record must not hide, or hold up, the others.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._glance = Script(line, "glance", writes=False)
        #: What could not be read: said once.
        self._unread: set[str] = set()

    async def glance(
        self, targets: Mapping[str, str], *, now: datetime, since: datetime
    ) -> Mapping[str, Glance]:
        """See `app.ports.History`. A remediation that cannot be read fails the whole."""
        keys, asked = self._keys, tuple(targets)
        found: dict[str, Glance] = {}
        for start in range(0, len(asked), _GLANCES):
            some = asked[start : start + _GLANCES]
            async with self._line.answering():
                answer = await self._glance(
                    keys=[
                        key
                        for one in some
                        for key in (
                            keys.target(one),
                            keys.failures(one),
                            keys.cooldown(targets[one]),
                        )
                    ],
                    args=[to_ms(now), to_ms(since), keys.remediation("")],
                )
            told = zip(some, *(answer[part::4] for part in range(4)), strict=True)
            for one, open_id, opened, failures, cooling in told:
                key = keys.remediation(text(open_id, key=keys.target(one)))
                failing, cool = keys.failures(one), keys.cooldown(targets[one])
                found[one] = Glance(
                    remediation=REMEDIATION.load(opened, key=key) if opened else None,
                    failed_at=tuple(moment(at_ms, key=failing) for at_ms in failures[1::2]),
                    cooling_until=moment(cooling, key=cool) if cooling else None,
                )
        return found

    async def remediation(self, remediation_id: str) -> Remediation | None:
        """See `app.ports.History`."""
        key = self._keys.remediation(remediation_id)
        async with self._line.answering():
            raw = await self._redis.get(key)
        return None if raw is None else REMEDIATION.load(raw, key=key)

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        """See `app.ports.History`."""
        # The shortest list that holds all that is asked for.
        if which.open_only:
            index = self._keys.open
        elif which.target is not None:
            index = self._keys.history_of(which.target)
        elif which.state not in (None, State.CLOSED):
            index = self._keys.open
        else:
            index = self._keys.history
        # By id: a new one that comes in between two pages moves the last one to the next page.
        found: dict[str, Remediation] = {}
        async for one in self._listed(index, which.since):
            if len(found) >= which.limit:
                break
            if which.target not in (None, one.target) or which.state not in (None, one.state):
                continue
            if which.open_only and one.is_closed:
                # Closed between the reading of the list and that of the record.
                continue
            found[one.id] = one
        return tuple(found.values())

    async def activities(
        self, *, group: str | None = None, limit: int = 100
    ) -> tuple[Activity, ...]:
        """See `app.ports.History`."""
        if limit < 1:
            return ()
        keys = self._keys
        index = keys.activities if group is None else keys.activities_of(group)
        found: list[Activity] = []
        async with self._line.answering():
            ids = cast("list[bytes]", await self._redis.zrevrange(index, 0, limit - 1))
            names = [keys.activity(text(one, key=index)) for one in ids]
            raws = await self._redis.mget(names) if names else []
        for key, raw in zip(names, raws, strict=True):
            one = self._readable(ACTIVITY, raw, key=key)
            if one is not None:
                found.append(one)
        return tuple(found)

    async def activity(self, activity_id: str) -> Activity | None:
        """See `app.ports.History`."""
        key = self._keys.activity(activity_id)
        async with self._line.answering():
            raw = await self._redis.get(key)
        return None if raw is None else ACTIVITY.load(raw, key=key)

    async def tallies(self) -> Mapping[str, int]:
        """See `app.ports.History`."""
        key = self._keys.tallies
        async with self._line.answering():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(key))
        return {text(name, key=key): whole(total, key=key) for name, total in found.items()}

    async def asides(self, *, limit: int = 100) -> tuple[Aside, ...]:
        """See `app.ports.History`."""
        if limit < 1:
            return ()
        key = self._keys.asides
        async with self._line.answering():
            members = cast("list[bytes]", await self._redis.zrevrange(key, 0, limit - 1))
        found = (
            self._readable(ASIDE, member.partition(b"|")[2], key=key, name=repr(member))
            for member in members
        )
        return tuple(one for one in found if one is not None)

    async def _listed(self, index: str, since: datetime | None) -> AsyncIterator[Remediation]:
        """Yield the remediations of a list, newest first, a page at a time."""
        oldest = "-inf" if since is None else to_ms(since)
        start = 0
        while True:
            async with self._line.answering():
                ids = cast(
                    "list[bytes]",
                    await self._redis.zrevrangebyscore(index, "+inf", oldest, start, _PAGE),
                )
                names = [self._keys.remediation(text(one, key=index)) for one in ids]
                raws = await self._redis.mget(names) if names else []
            for key, raw in zip(names, raws, strict=True):
                one = self._readable(REMEDIATION, raw, key=key)
                if one is not None:
                    yield one
            if len(ids) < _PAGE:
                return
            start += _PAGE

    def _readable(
        self, codec: Codec[T], raw: bytes | str | None, *, key: str, name: str | None = None
    ) -> T | None:
        """Read one of a list; None for one that is gone (its 30 days are over), or is no record."""
        if raw is None:
            return None
        try:
            return codec.load(raw, key=key)
        except Unreadable as exc:
            if (name or key) not in self._unread:
                self._unread.add(name or key)
                log.error("left out of a list", error=str(exc))
            return None
