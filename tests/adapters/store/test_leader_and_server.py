"""A server that was restarted keeps the leader off until he has looked at what it is now."""

from contextlib import suppress
from typing import Final

import pytest
from redis.asyncio import Redis

from app.errors import LeaseLost, StoreRegressed, StoreUnavailable
from app.ports import Candidate, Store
from tests.adapters.store.asking import everything
from tests.adapters.store.builders import START, WEB, at, due, notice
from tests.adapters.store.server import RedisServer
from tests.adapters.store.test_leadership import ENGINE, LEADS, WRITES

pytestmark = pytest.mark.redis

ANNA: Final = Candidate(instance="anna", life="anna-1")


async def look(store: Store) -> None:
    """As a controller does with every renewal."""
    standing = await store.leadership.lead(ANNA, now=START, engine=ENGINE)
    assert standing.life == ANNA.life
    store.leadership.trust(standing.epoch, standing.fence)


@pytest.fixture
async def leading(own_store: Store) -> Store:
    """A leader's store whose server knows every script."""
    await own_store.leadership.found("h1", now=START, instead_of="")
    await look(own_store)
    own_store.leadership.act_as(ANNA)
    for call in (*WRITES.values(), *LEADS.values()):
        with suppress(LeaseLost):
            await call(own_store)
    return own_store


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()


async def test_a_standing_tells_which_process_the_server_is(
    leading: Store, server: RedisServer
) -> None:
    before = (await leading.leadership.look()).run_id
    assert before
    assert (await leading.leadership.look()).run_id == before

    restart(server)

    assert (await leading.leadership.look()).run_id not in ("", before)


@pytest.mark.parametrize("call", LEADS)
async def test_a_restarted_server_does_nothing_for_a_leader_who_has_not_looked(
    leading: Store, server: RedisServer, admin: Redis, call: str
) -> None:
    restart(server)
    before = await everything(admin)

    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="restarted"):
            await LEADS[call](leading)

    assert await everything(admin) == before


async def test_one_refusal_keeps_all_others_off_as_well(
    leading: Store, server: RedisServer, admin: Redis
) -> None:
    """What anybody may do has taught the server a script; not that the leader has looked."""
    restart(server)
    with pytest.raises(StoreUnavailable, match="restarted"):
        await LEADS["renew"](leading)
    for name in ("claim", "intend", "note", "requeue"):
        with pytest.raises(StoreUnavailable, match="restarted"):
            await LEADS[name](leading)


async def test_what_anybody_may_do_is_done_at_once(leading: Store, server: RedisServer) -> None:
    restart(server)

    for call in WRITES.values():
        await call(leading)

    with pytest.raises(StoreUnavailable, match="restarted"):
        await LEADS["claim"](leading)


@pytest.mark.parametrize("how", ["restarted", "flushed", "restarted before the look"])
async def test_once_he_has_looked_all_of_it_is_done(
    leading: Store, server: RedisServer, admin: Redis, how: str
) -> None:
    """One look is enough for every script, whichever of them the server was asked for first."""
    if how == "flushed":
        await admin.script_flush()
    else:
        restart(server)
    if how != "restarted before the look":
        with pytest.raises(StoreUnavailable, match="restarted"):
            await LEADS["claim"](leading)

    await look(leading)

    for call in LEADS.values():
        with suppress(LeaseLost):  # of the lease, which is somebody's else: it was asked
            await call(leading)
    await leading.inbox.accept([notice("f7", target="host:new")], (), now=at(3000))
    assert "host:new" in await due(leading, 3000)


async def test_a_second_restart_is_noticed_as_the_first(
    leading: Store, server: RedisServer
) -> None:
    for _ in range(3):
        restart(server)
        with pytest.raises(StoreUnavailable, match="restarted"):
            await LEADS["claim"](leading)
        await look(leading)
        await LEADS["claim"](leading)


async def test_whoever_leads_nothing_is_not_kept_off(own_store: Store, server: RedisServer) -> None:
    """Tests of single parts, and whatever else has no seat to mind."""
    await own_store.inbox.accept([notice()], (), now=START)
    assert await due(own_store, 0) == [WEB]

    restart(server)

    assert await due(own_store, 500) == [WEB]


async def test_a_server_that_came_back_empty_is_found_out_by_the_first_call(
    leading: Store, server: RedisServer, admin: Redis
) -> None:
    await admin.flushall()

    with pytest.raises(StoreRegressed):
        await leading.inbox.accept([notice()], (), now=START)

    assert await everything(admin) == {}


async def test_a_seat_that_cannot_be_asked_for_is_no_lost_store(
    leading: Store, server: RedisServer
) -> None:
    server.kill()

    for call in (
        leading.leadership.look(),
        leading.leadership.lead(ANNA, now=START, engine=ENGINE),
        leading.leadership.resign(ANNA),
        leading.leadership.found("h2", now=START, instead_of="h1"),
        leading.leadership.charges(since=START),
    ):
        with pytest.raises(StoreUnavailable) as raised:
            await call
        assert not isinstance(raised.value, StoreRegressed)
