"""What the server holds: ours to read, bounded, and never misread."""

import json
from datetime import timedelta
from hashlib import sha256

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.adapters.store import open_store
from app.domain.decision import Reason, Verdict
from app.domain.remediation import Remediation
from app.errors import StoreUnavailable
from app.ports import Entry, RemediationFilter, Store, Taken
from tests.adapters.store.asking import CALLS, everything
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    activity,
    aside,
    at,
    attempt,
    casefile,
    claim_of,
    claimed,
    closed,
    halt,
    leaving,
    left,
    limits,
    message,
    notice,
    order,
    outcome,
    read,
    remediation,
    reply,
)
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis

REPLY = f"{{relevo}}:reply:{sha256(b'k1').hexdigest()}"


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
        ("{relevo}:remediation:r1", '{"id": "r1"}', "remediation"),
        ("{relevo}:remediation:r1", b"\xff\xfe", "remediation_of"),
        ("{relevo}:remediation:r1", "[]", "read"),
        ("{relevo}:remediation:r1", "[]", "glance"),
        ("{relevo}:alerts:host:web", ("f1", "firing|1|2"), "read"),
        ("{relevo}:alerts:host:web", ("f1", "firing|1|2|3|0|{}"), "read"),
        ("{relevo}:alerts:host:web", ("f1", f"firing|1|{10**30}|3|0|{{}}"), "read"),
        ("{relevo}:activity:a1", "null", "activity"),
        ("{relevo}:activity:in1", "{}", "begin"),
        ("{relevo}:leaving", ("host:web-group", b"\xff"), "under_way"),
        ("{relevo}:facts", ("fact", b"\xff"), "get"),
        ("{relevo}:control", ("pause", "{}"), "pause"),
        ("{relevo}:control", ("pause", "{}"), "read"),
        ("{relevo}:control", ("hold:host:web", "no hold"), "holds"),
        ("{relevo}:control", ("hold:host:web", "|{}"), "read"),
        ("{relevo}:control", ("brake", "[]"), "brake"),
        ("{relevo}:control", ("brake", "[]"), "read"),
        ("{relevo}:order:host:web", ("json", "{}"), "pending"),
        ("{relevo}:order:host:web", ("json", "{}"), "read"),
        ("{relevo}:order:host:web", ("json", "{}"), "place"),
        ("{relevo}:tallies", ("restarts", "many"), "tallies"),
        ("{relevo}:casefile:r1:1", "{}", "of"),
        (REPLY, "call|{}", "replied"),
        (REPLY, "{}", "reply"),
        (REPLY, "{}", "place"),
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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("{relevo}:remediation:r1", '{"id": "r1", "state": "of a newer version"}'),
        ("{relevo}:activity:a1", "null"),
    ],
)
async def test_one_that_cannot_be_read_keeps_no_list_from_being_told(
    own_store: Store, admin: Redis, key: str, value: str
) -> None:
    claim = await claimed(own_store)
    entry = Entry(remediation=remediation(), due=at(60), activity=activity())
    await own_store.records.note(claim, entry, now=START)
    other = await claimed(own_store, target="host:other")
    another = remediation("r2", target="host:other")
    await own_store.records.note(
        other, Entry(remediation=another, due=at(60), activity=activity("a2")), now=START
    )
    await admin.set(key, value)

    with capture_logs() as said:
        for _ in range(2):
            listed = await own_store.history.remediations(RemediationFilter(open_only=True))
            activities = await own_store.history.activities()

    whole = [one.id for one in listed], [one.id for one in activities]
    missing = key.rpartition(":")[2]
    assert sorted(whole[0] + whole[1]) == sorted({"r1", "r2", "a1", "a2"} - {missing})
    assert [key in line["error"] for line in said] == [True]  # once


async def test_an_aside_that_cannot_be_read_hides_no_other(own_store: Store, admin: Redis) -> None:
    await own_store.inbox.accept([], [aside()], now=START)
    await admin.zadd("{relevo}:asides", {"no aside": 1})

    assert await own_store.history.asides() == (aside(),)


async def test_an_alert_that_cannot_be_read_is_replaced_by_the_next_notice(
    own_store: Store, admin: Redis
) -> None:
    await claimed(own_store)
    await admin.hset("{relevo}:alerts:host:web", "f1", "nonsense")

    assert await own_store.inbox.accept([notice()], (), now=at(1)) == (Taken.ACCEPTED,)

    dossier = await read(own_store, 1)
    assert [one.alert for one in dossier.alerts] == [notice().alert]


async def test_every_key_ends_or_is_bounded(own_store: Store, admin: Redis) -> None:
    await claimed(own_store, 0, target="host:other")
    claim = await claimed(own_store)
    await own_store.inbox.accept([notice("f2", resolved=True)], [aside()], now=START)
    bounds = limits(group=GROUP)
    await own_store.records.intend(claim, remediation(), now=START, lease=LEASE, limits=bounds)
    entry = Entry(
        remediation=remediation(),
        due=at(60),
        failed_attempt="r1:1",
        recovered_attempt="r1:2",
        tally={"restarts": 1},
        activity=activity(),
        outbox=(message(),),
    )
    await own_store.records.note(claim, entry, now=START)
    await own_store.facts.put("fact", "value")
    await own_store.controls.set_pause(halt())
    await own_store.orders.place("host:web", order(), now=START, reply=reply())
    await own_store.orders.reply(reply("k2"))
    await own_store.casefiles.keep("r1:1", casefile())
    await own_store.scaling.begin(leaving(), limits("in1"), now=START, told=outcome())
    await own_store.scaling.end(left(), now=START, told=outcome())
    await own_store.scaling.begin(leaving("in2"), limits("in2"), now=START, told=outcome())

    names = list(await everything(admin))
    # One hash tag: Redis Cluster keeps them in one slot, where one script may use them all.
    assert all(name.startswith(b"{relevo}:") for name in names)
    endless = {name.decode() for name in names if await admin.pttl(name) < 0}

    # One place per target that has work, one counter, our own few facts and sums, what operators
    # say; and what has a cap: a thousand messages, a hundred thousand lines.
    assert endless == {
        f"{{relevo}}:{name}"
        for name in (
            *("meta", "due", "running", "leases", "fence", "facts"),
            *("control", "tallies", "outbox", "outbox:counts", "audit"),
        )
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


async def test_a_tally_that_is_no_number_keeps_no_step_from_being_noted(
    own_store: Store, admin: Redis
) -> None:
    claim = await claimed(own_store)
    await admin.hset("{relevo}:tallies", "restarts", "many")

    entry = Entry(remediation=remediation(), due=None, tally={"restarts": 1, "starts": 1})
    await own_store.records.note(claim, entry, now=START)

    assert await own_store.records.remediation_of("host:web") == remediation()
    assert await admin.hgetall("{relevo}:tallies") == {b"restarts": b"many", b"starts": b"1"}


async def test_recoveries_and_charges_are_pruned(own_store: Store, admin: Redis) -> None:
    month = timedelta(days=30)
    claim = await claimed(own_store)
    for number, moment in enumerate((START, START + month, START + month)):
        bounds = limits(f"r1:{number}", group=GROUP)
        await own_store.records.intend(claim, remediation(), now=moment, lease=LEASE, limits=bounds)
        entry = Entry(remediation=remediation(), due=moment, recovered_attempt=bounds.attempt_id)
        await own_store.records.note(claim, entry, now=moment)
        claim = await claim_of(own_store, (moment - START).total_seconds())

    assert await admin.zrange("{relevo}:charges", 0, -1) == [b"r1:1", b"r1:2"]
    assert await admin.zrange("{relevo}:slots", 0, -1) == [b"r1:1", b"r1:2"]
    # Open at its far end, like every window.
    assert await admin.zrange("{relevo}:recoveries", 0, -1) == [b"r1:1|host:web", b"r1:2|host:web"]


async def test_who_is_no_longer_out_is_forgotten(own_store: Store, admin: Redis) -> None:
    ten = timedelta(minutes=10)
    for target, moment in (("host:a", START), ("host:b", START + ten)):
        claim = await claimed(own_store, target=target)
        bounds = limits(target, group=GROUP, out_for=ten)
        await own_store.records.intend(
            claim, remediation(target=target), now=moment, lease=LEASE, limits=bounds
        )

    assert await admin.zrange(f"{{relevo}}:out:{GROUP}", 0, -1) == [b"host:b"]


async def test_one_that_is_closed_while_the_open_ones_are_read_is_left_out(
    own_store: Store, admin: Redis
) -> None:
    claim = await claimed(own_store)
    await own_store.records.note(claim, Entry(remediation=remediation(), due=None), now=START)
    await admin.set("{relevo}:remediation:r1", json.dumps(OLD_REMEDIATION))

    assert await own_store.history.remediations(RemediationFilter(open_only=True)) == ()


async def test_what_is_kept_of_an_answered_order_is_its_name(
    own_store: Store, admin: Redis
) -> None:
    await own_store.orders.place("host:web", order(), now=START)
    claim = await claim_of(own_store, 0)
    entry = Entry(remediation=None, due=None, answered_order="r1:1")
    await own_store.records.note(claim, entry, now=START)

    assert set(await admin.hgetall("{relevo}:order:host:web")) == {b"placed"}


#: As the first released version wrote it.
OLD_ATTEMPT = {
    "id": "r1:1",
    "action": "restart",
    "reason": "first_need",
    "container_id": "c" * 64,
    "started_before": "2026-03-01T11:00:00.123456789Z",
    "intent_at": "2026-03-01T12:01:00Z",
    "acted_at": None,
    "started_after": None,
    "restarts_after": 0,
    "error": None,
    "error_status": None,
    "started_again": False,
    "clone": None,
    "clone_id": None,
    "verdict": "recovered",
    "verdict_reason": "settled",
    "evidence": "quiet for 4 minutes",
    "finished_at": "2026-03-01T12:06:00Z",
}
OLD_REMEDIATION = {
    "id": "r1",
    "target": "host:web",
    "group": GROUP,
    "container": "web",
    "incarnation": "sha256:1",
    "policy": "default",
    "state": "closed",
    "reason": "settled",
    "opened_at": "2026-03-01T12:00:00.000007Z",
    "alerts": ["ContainerCpuHigh"],
    "needed_since": "2026-03-01T12:00:00Z",
    "planned_started_at": "2026-03-01T11:00:00.123456789Z",
    "planned_restarts": 0,
    "next_at": None,
    "next_action": None,
    "closed_at": "2026-03-01T12:10:00Z",
    "outcome": "recovered",
    "attempts": [OLD_ATTEMPT],
    "absent_since": None,
    "unknown_since": None,
    "scaled_out_at": None,
    "log": [
        {
            "at": "2026-03-01T12:00:00Z",
            "decision": "wait",
            "reason": "first_need",
            "until": None,
            "detail": None,
        }
    ],
}


async def test_what_an_older_relevo_wrote_is_read(own_store: Store, admin: Redis) -> None:
    await admin.set("{relevo}:remediation:r1", json.dumps(OLD_REMEDIATION))

    assert await own_store.history.remediation("r1") == closed(
        attempts=(
            attempt(
                verdict=Verdict.RECOVERED,
                verdict_reason=Reason.SETTLED,
                evidence="quiet for 4 minutes",
                finished_at=at(360),
            ),
        )
    )


async def test_a_target_that_an_older_relevo_closed_has_no_previous_one(
    own_store: Store, admin: Redis
) -> None:
    await admin.set("{relevo}:remediation:r1", json.dumps(OLD_REMEDIATION))
    await admin.hset("{relevo}:target:host:web", "noted", "1:0")

    assert (await read(own_store, 0)).previous is None
