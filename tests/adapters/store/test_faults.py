"""Whatever Redis does, the caller hears our own error, soon, and nothing is half written."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.adapters.store import open_store
from app.errors import BadConfiguration, StoreUnavailable
from app.ports import Claim, Entry, RemediationFilter, Store, Taken
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WINDOW,
    activity,
    aside,
    at,
    claim_of,
    claimed,
    due,
    notice,
    remediation,
)
from tests.adapters.store.far_sides import same_answer
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis

_CLAIM = Claim(target="host:web", fence=1)
#: Every way to ask the store for something.
CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "accept": lambda store: store.inbox.accept([notice()], [aside()], now=START),
    "claim": lambda store: store.schedule.claim(now=START, lease=LEASE, limit=1),
    "overdue": lambda store: store.schedule.overdue(now=START),
    "read": lambda store: store.records.read(_CLAIM, group=GROUP, now=START, window=WINDOW),
    "remediation_of": lambda store: store.records.remediation_of("host:web"),
    "intend": lambda store: store.records.intend(_CLAIM, remediation(), now=START, lease=LEASE),
    "note": lambda store: store.records.note(_CLAIM, Entry(remediation=None, due=None), now=START),
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
WRITES = ("accept", "put")


@pytest.fixture
async def own_store(server: RedisServer) -> AsyncIterator[Store]:
    async with open_store(server.url) as store:
        yield store


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    """What an operator does to the server."""
    async with Redis.from_url(server.url, protocol=2) as client:
        yield client


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_is_gone_is_said_so(
    own_store: Store, server: RedisServer, call: str
) -> None:
    await own_store.facts.put("connected", "yes")
    server.kill()

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await CALLS[call](own_store)


async def test_a_server_need_not_be_there_at_the_start(server: RedisServer) -> None:
    server.kill()
    async with open_store(server.url) as store:
        with pytest.raises(StoreUnavailable):
            await store.inbox.accept([notice()], (), now=START)

        server.start()

        assert await store.inbox.accept([notice()], (), now=START) == (Taken.ACCEPTED,)


@pytest.mark.parametrize("call", ["accept", "claim"])
async def test_a_server_that_hangs_is_given_up_within_two_seconds(
    own_store: Store, server: RedisServer, call: str
) -> None:
    await own_store.facts.put("connected", "yes")
    server.signal(signal.SIGSTOP)
    started = monotonic()

    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await CALLS[call](own_store)

    assert monotonic() - started < 2
    server.signal(signal.SIGCONT)
    # The late answer belongs to nobody: it is not taken for that of the next question.
    assert await own_store.facts.get("connected") == "yes"


async def test_the_pool_outlives_a_restart_of_the_server(
    own_store: Store, server: RedisServer
) -> None:
    await claimed(own_store)
    server.kill()
    server.start()

    assert await own_store.facts.get("fact") is None
    assert await due(own_store, 30) == ["host:web"]


async def test_what_was_answered_survives_a_kill(own_store: Store, server: RedisServer) -> None:
    claim = await claimed(own_store)
    entry = Entry(remediation=remediation(), due=at(60), failed_attempt="r1:1")
    await own_store.records.note(claim, entry, now=START)

    server.kill()
    server.start()

    claim = await claim_of(own_store, 60)
    dossier = await own_store.records.read(claim, group=GROUP, now=at(60), window=WINDOW)
    assert (dossier.remediation, dossier.failures) == (remediation(), 1)
    assert [one.alert for one in dossier.alerts] == [notice().alert]
    assert claim.fence == 2


async def test_forgotten_scripts_are_sent_again(own_store: Store, admin: Redis) -> None:
    await claimed(own_store)

    await admin.script_flush()

    assert await due(own_store, 30) == ["host:web"]


@pytest.mark.parametrize("call", WRITES)
async def test_a_full_server_says_so_and_takes_again_afterwards(
    own_store: Store, admin: Redis, call: str
) -> None:
    await own_store.facts.get("connect")
    await admin.config_set("maxmemory", 1)

    with pytest.raises(StoreUnavailable, match="full"):
        await CALLS[call](own_store)

    assert any("full" in sentence for sentence in await own_store.health.check())
    await admin.config_set("maxmemory", 0)
    await CALLS[call](own_store)
    assert await own_store.health.check() == ()


async def test_a_script_that_meets_a_full_server_writes_nothing(
    own_store: Store, admin: Redis
) -> None:
    claim = await claimed(own_store)
    before = await _everything(admin)
    await admin.config_set("maxmemory", 1)

    entry = Entry(remediation=remediation(), due=at(60), activity=activity(), consumed=("a", "b"))
    with pytest.raises(StoreUnavailable):
        await own_store.records.note(claim, entry, now=START)
    with pytest.raises(StoreUnavailable):
        await own_store.records.intend(claim, remediation(), now=START, lease=LEASE)
    with pytest.raises(StoreUnavailable):
        await own_store.inbox.accept([notice(resolved=True)], [aside()], now=START)
    with pytest.raises(StoreUnavailable):
        await own_store.schedule.claim(now=START + LEASE, lease=LEASE, limit=1)

    await admin.config_set("maxmemory", 0)
    assert await _everything(admin) == before


@pytest.mark.parametrize("call", WRITES)
async def test_a_replica_says_so(own_store: Store, admin: Redis, call: str) -> None:
    await own_store.facts.put("fact", "kept")
    await admin.replicaof("127.0.0.1", "1")

    with pytest.raises(StoreUnavailable, match="read-only replica"):
        await CALLS[call](own_store)

    assert any("replica" in sentence for sentence in await own_store.health.check())
    await admin.replicaof("NO", "ONE")
    await CALLS[call](own_store)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "still loading"),
        (b"-MISCONF Errors writing to the AOF file: No space left\r\n", "cannot write to its disk"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "full"),
        (b"-ERR Error running script: -OOM command not allowed\r\n", "full"),
        (b"-READONLY You can't write against a read only replica.\r\n", "read-only"),
        (b"-NOAUTH Authentication required.\r\n", "RELEVO_REDIS_URL"),
        (b"-NOPERM this user has no permissions\r\n", "RELEVO_REDIS_URL"),
        (b"-NOSCRIPT No matching script.\r\n", "NOSCRIPT|No matching"),
        (b"-BUSY Redis is busy running a script.\r\n", "BUSY"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "Link with MASTER"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (b"-WRONGTYPE Operation against a key\r\n", "WRONGTYPE"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Redis"),
    ],
)
async def test_every_error_is_told_in_our_words(
    short_dir: Path, answer: bytes, sentence: str
) -> None:
    path = short_dir / uuid4().hex[:8]
    async with same_answer(path, answer), open_store(f"unix://{path}") as store:
        for call in CALLS:
            with pytest.raises(StoreUnavailable, match=sentence):
                await CALLS[call](store)


async def test_nobody_there_is_told_soon() -> None:
    started = monotonic()
    # Port 1 of this machine: nobody listens.
    async with open_store("redis://127.0.0.1:1/0") as store:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.facts.get("fact")

    assert monotonic() - started < 1


async def test_the_password_stays_out_of_errors(short_dir: Path) -> None:
    with pytest.raises(BadConfiguration) as bad:
        async with open_store("http://user:hunter2@host"):
            pass
    async with open_store("redis://:hunter2@127.0.0.1:1") as store:
        with pytest.raises(StoreUnavailable) as down:
            await store.facts.get("fact")

    assert "hunter2" not in f"{bad.value} {down.value}"


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [("appendonly", "no", "append-only"), ("maxmemory-policy", "allkeys-lru", "noeviction")],
)
async def test_a_server_that_may_forget_is_named(
    own_store: Store, admin: Redis, option: str, value: str, word: str
) -> None:
    assert await own_store.health.check() == ()

    await admin.config_set(option, value)

    (sentence,) = await own_store.health.check()
    assert word in sentence


async def test_a_weaker_fsync_is_remarked_on(own_store: Store, admin: Redis) -> None:
    assert await own_store.health.remarks() == ()

    await admin.config_set("appendfsync", "everysec")

    assert await own_store.health.check() == ()
    (sentence,) = await own_store.health.remarks()
    assert "everysec" in sentence


async def test_what_a_newer_relevo_wrote_is_left_alone(server: RedisServer, admin: Redis) -> None:
    await admin.hset("{relevo}:meta", "schema", "2")

    async with open_store(server.url) as store:
        with pytest.raises(StoreUnavailable, match="version '2'"):
            await store.inbox.accept([notice()], (), now=START)

    assert await _everything(admin) == {b"{relevo}:meta": {b"schema": b"2"}}


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

    names = list(await _everything(admin))
    endless = {name.decode() for name in names if await admin.pttl(name) < 0}

    # One place per target that has work, one counter, and our own few facts.
    assert endless == {
        f"{{relevo}}:{name}" for name in ("meta", "due", "running", "leases", "fence", "facts")
    }
    longest = max([await admin.pttl(name) for name in names])
    assert longest <= timedelta(days=30) / timedelta(milliseconds=1)


async def _everything(admin: Redis) -> dict[bytes, object]:
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
