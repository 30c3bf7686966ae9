"""Whatever Redis does, the caller hears our own error, soon, and nothing is half written."""

import signal
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.adapters.store import open_store
from app.errors import BadConfiguration, StoreUnavailable
from app.ports import Entry, Store, Taken
from tests.adapters.store.asking import CALLS, everything
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    activity,
    aside,
    at,
    claim_of,
    claimed,
    due,
    limits,
    notice,
    order,
    read,
    remediation,
    reply,
)
from tests.adapters.store.far_sides import same_answer
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis

WRITES = ("accept", "put", "nudge", "set_pause", "set_hold", "set_brake", "place", "reply", "keep")


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
    dossier = await read(own_store, 60)
    assert (dossier.remediation, dossier.failures) == (remediation(), 1)
    assert [one.alert for one in dossier.alerts] == [notice().alert]
    assert claim.fence > 1


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
    before = await everything(admin)
    await admin.config_set("maxmemory", 1)

    entry = Entry(remediation=remediation(), due=at(60), activity=activity(), consumed=("a", "b"))
    with pytest.raises(StoreUnavailable):
        await own_store.records.note(claim, entry, now=START)
    with pytest.raises(StoreUnavailable):
        await own_store.records.intend(
            claim, remediation(), now=START, lease=LEASE, limits=limits(group=GROUP)
        )
    with pytest.raises(StoreUnavailable):
        await own_store.inbox.accept([notice(resolved=True)], [aside()], now=START)
    with pytest.raises(StoreUnavailable):
        await own_store.orders.place("host:web", order(), now=START, reply=reply())
    with pytest.raises(StoreUnavailable):
        await own_store.schedule.claim(now=START + LEASE, lease=LEASE, limit=1)

    await admin.config_set("maxmemory", 0)
    assert await everything(admin) == before


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
