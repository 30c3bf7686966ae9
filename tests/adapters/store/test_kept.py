"""What the server holds: ours to read, bounded, and never misread."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from app.adapters.store import open_store
from app.domain.remediation import Remediation
from app.errors import StoreUnavailable
from app.ports import Entry, Store, Taken
from tests.adapters.store.asking import CALLS, everything
from tests.adapters.store.builders import (
    GROUP,
    START,
    WINDOW,
    activity,
    aside,
    at,
    claimed,
    closed,
    notice,
    remediation,
)
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis


async def test_what_a_newer_relevo_wrote_is_left_alone(server: RedisServer, admin: Redis) -> None:
    await admin.hset("{relevo}:meta", "schema", "2")

    async with open_store(server.url) as store:
        with pytest.raises(StoreUnavailable, match="version '2'"):
            await store.inbox.accept([notice()], (), now=START)

    assert await everything(admin) == {b"{relevo}:meta": {b"schema": b"2"}}


@pytest.mark.parametrize(
    ("key", "value", "call"),
    [
        ("{relevo}:remediation:r1", "{not json", "remediation"),
        ("{relevo}:remediation:r1", '{"id": "r1"}', "remediations"),
        ("{relevo}:remediation:r1", b"\xff\xfe", "remediation_of"),
        ("{relevo}:remediation:r1", "[]", "read"),
        ("{relevo}:alerts:host:web", ("f1", "firing|1|2"), "read"),
        ("{relevo}:alerts:host:web", ("f1", "firing|1|2|3|0|{}"), "read"),
        ("{relevo}:alerts:host:web", ("f1", f"firing|1|{10**30}|3|0|{{}}"), "read"),
        ("{relevo}:activity:a1", "null", "activity"),
        ("{relevo}:asides", (1, "no aside"), "asides"),
        ("{relevo}:facts", ("fact", b"\xff"), "get"),
    ],
)
async def test_what_cannot_be_read_is_named(
    own_store: Store,
    admin: Redis,
    key: str,
    value: str | bytes | tuple[str, str | bytes] | tuple[int, str],
    call: str,
) -> None:
    claim = await claimed(own_store)
    entry = Entry(remediation=remediation(), due=at(60), activity=activity())
    await own_store.records.note(claim, entry, now=START)
    match value:
        case (str(field), stored):
            await admin.hset(key, field, stored)
        case (int(score), str(member)):
            await admin.zadd(key, {member: score})
        case str() | bytes():
            await admin.set(key, value)

    with pytest.raises(StoreUnavailable) as unreadable:
        await CALLS[call](own_store)

    assert key in str(unreadable.value)


async def test_an_alert_that_cannot_be_read_is_replaced_by_the_next_notice(
    own_store: Store, admin: Redis
) -> None:
    claim = await claimed(own_store)
    await admin.hset("{relevo}:alerts:host:web", "f1", "nonsense")

    assert await own_store.inbox.accept([notice()], (), now=at(1)) == (Taken.ACCEPTED,)

    dossier = await own_store.records.read(claim, group=GROUP, now=at(1), window=WINDOW)
    assert [one.alert for one in dossier.alerts] == [notice().alert]


async def test_every_key_ends_or_is_bounded(own_store: Store, admin: Redis) -> None:
    await claimed(own_store, 0, target="host:other")
    claim = await claimed(own_store)
    await own_store.inbox.accept([notice("f2", resolved=True)], [aside()], now=START)
    entry = Entry(remediation=remediation(), due=at(60), failed_attempt="r1:1", activity=activity())
    await own_store.records.note(claim, entry, now=START)
    await own_store.facts.put("fact", "value")

    names = list(await everything(admin))
    # One hash tag: Redis Cluster keeps them in one slot, where one script may use them all.
    assert all(name.startswith(b"{relevo}:") for name in names)
    endless = {name.decode() for name in names if await admin.pttl(name) < 0}

    # One place per target that has work, one counter, and our own few facts.
    assert endless == {
        f"{{relevo}}:{name}" for name in ("meta", "due", "running", "leases", "fence", "facts")
    }
    longest = max([await admin.pttl(name) for name in names])
    assert longest <= timedelta(days=30) / timedelta(milliseconds=1)


async def test_a_resolved_alert_is_remembered_longer_than_its_tombstone(
    own_store: Store, admin: Redis
) -> None:
    await own_store.inbox.accept([notice(), notice(resolved=True)], (), now=START)
    await admin.delete("{relevo}:tombs:host:web")

    assert await own_store.inbox.accept([notice()], (), now=at(1)) == (Taken.STALE,)


@pytest.mark.parametrize("after", [closed(), None], ids=["closed", "none-left"])
async def test_what_is_no_longer_open_is_not_listed_as_open(
    own_store: Store, admin: Redis, after: Remediation | None
) -> None:
    for entry in (Entry(remediation=remediation(), due=None), Entry(remediation=after, due=None)):
        await own_store.records.note(await claimed(own_store), entry, now=START)
        await own_store.inbox.accept([notice("f2", starts=1)], (), now=START)

    assert b"{relevo}:open" not in await everything(admin)
