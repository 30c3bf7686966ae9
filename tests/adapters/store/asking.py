"""Every way to ask the store for something, and all that a server holds."""

from collections.abc import Awaitable, Callable
from typing import cast

from redis.asyncio import Redis

from app.ports import Claim, Entry, RemediationFilter, Store
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WINDOW,
    aside,
    notice,
    remediation,
)

CLAIM = Claim(target="host:web", fence=1)
#: Every way to ask the store for something.
CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "accept": lambda store: store.inbox.accept([notice()], [aside()], now=START),
    "claim": lambda store: store.schedule.claim(now=START, lease=LEASE, limit=1),
    "renew": lambda store: store.schedule.renew(CLAIM, now=START, lease=LEASE),
    "overdue": lambda store: store.schedule.overdue(now=START),
    "read": lambda store: store.records.read(CLAIM, group=GROUP, now=START, window=WINDOW),
    "remediation_of": lambda store: store.records.remediation_of("host:web"),
    "intend": lambda store: store.records.intend(CLAIM, remediation(), now=START, lease=LEASE),
    "note": lambda store: store.records.note(CLAIM, Entry(remediation=None, due=None), now=START),
    "count": lambda store: store.failures.count("host:web", now=START, window=WINDOW),
    "failing_targets": lambda store: store.failures.failing_targets(now=START, window=WINDOW),
    "remediation": lambda store: store.history.remediation("r1"),
    "remediations": lambda store: store.history.remediations(RemediationFilter()),
    "activity": lambda store: store.history.activity("a1"),
    "activities": lambda store: store.history.activities(),
    "asides": lambda store: store.history.asides(),
    "get": lambda store: store.facts.get("fact"),
    "put": lambda store: store.facts.put("fact", "value"),
    "check": lambda store: store.health.check(),
    "remarks": lambda store: store.health.remarks(),
}


async def everything(admin: Redis) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for name in cast("list[bytes]", await admin.keys("*")):
        match await admin.type(name):
            case b"hash":
                found[name] = await admin.hgetall(name)
            case b"zset":
                found[name] = await admin.zrange(name, 0, -1, withscores=True)
            case _:
                found[name] = await admin.get(name)
    return found
