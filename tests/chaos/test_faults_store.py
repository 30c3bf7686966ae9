"""Redis away, full, read-only, loading, older, empty: what is taken on, and what is done."""

import asyncio

import pytest

from tests.chaos.conftest import OpenHouse
from tests.chaos.house import WAIT_S
from tests.chaos.redis_box import RedisBox
from tests.chaos.starts import Starts
from tests.chaos.visits import AFTER_HOLD, LONG_DUE, Visit
from tests.stack.wait import eventually, side_by_side

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]


async def test_a_store_that_cannot_keep_takes_nothing(
    open_house: OpenHouse, starts: Starts
) -> None:
    await side_by_side(
        redis_is_away(open_house, starts),
        redis_dies_in_a_batch(open_house, starts),
        redis_is_full(open_house, starts),
        redis_became_a_replica(open_house, starts),
        redis_is_still_loading(open_house, starts),
    )


async def redis_is_away(open_house: OpenHouse, starts: Starts) -> None:
    house = await open_house(patients=1, stubborn=0)
    visit, (patient,) = Visit(house, starts), house.patients
    alert = visit.alert(patient)
    await house.redis.stop()

    refused = await visit.post(alert)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    await house.redis.start()
    await visit.accepts(alert, within=2)
    await visit.restarted(patient, within=AFTER_HOLD)


async def redis_dies_in_a_batch(open_house: OpenHouse, starts: Starts) -> None:
    """What was half taken, or taken and not said so, is sent again and taken once."""
    # A target keeps a thousand alerts; many make the batch long enough to be hit.
    house = await open_house(patients=6, stubborn=0)
    visit, patients = Visit(house, starts), house.patients
    batch = [visit.alert(patients[n % len(patients)], f"Batch{n}") for n in range(5000)]
    keys = [f"{{relevo}}:alerts:{house.engine}:{patient.name}" for patient in patients]
    posting = asyncio.create_task(visit.post(*batch))

    async def some_are_kept() -> bool:
        async with house.redis.admin() as client:
            return bool(await client.exists(*keys))

    while not (posting.done() or await some_are_kept()):
        pass
    await house.redis.kill()

    assert (await posting).status_code in (202, 503)
    await house.redis.start()

    async def taken() -> bool:
        return (await visit.post(*batch)).status_code == 202

    await eventually(taken, within=20, what="all of them are taken on")
    async with house.redis.admin() as client:
        kept = [await client.hlen(key) for key in keys]
    assert sum(kept) == len(batch)
    for patient in patients:
        await visit.restarted(patient, within=AFTER_HOLD)
        assert len(await visit.stories(patient)) == 1


async def redis_is_full(open_house: OpenHouse, starts: Starts) -> None:
    house = await open_house(patients=2, stubborn=0)
    visit, (waiting, other) = Visit(house, starts), house.patients
    await visit.accepts(visit.alert(waiting))
    await visit.waits(waiting)
    async with house.redis.admin() as client:
        await client.config_set("maxmemory", 1)

        refused = await visit.post(visit.alert(other))

        assert refused.status_code == 503
        assert "full" in refused.text
        await visit.is_left_alone(waiting, 0, during=LONG_DUE)
        await client.config_set("maxmemory", 0)
    await visit.accepts(visit.alert(other), within=2)
    await visit.restarted(waiting, within=AFTER_HOLD)
    # Scripts that a server has forgotten are sent again.
    async with house.redis.admin() as client:
        await client.script_flush()
    await visit.restarted(other, within=AFTER_HOLD)


async def redis_became_a_replica(open_house: OpenHouse, starts: Starts) -> None:
    house = await open_house(patients=2, stubborn=0)
    visit, (waiting, other) = Visit(house, starts), house.patients
    await visit.accepts(visit.alert(waiting))
    await visit.waits(waiting)
    async with house.redis.admin() as client:
        await client.replicaof("127.0.0.1", "1")

        refused = await visit.post(visit.alert(other))

        assert refused.status_code == 503
        assert "replica" in refused.text
        await visit.is_left_alone(waiting, 0, during=LONG_DUE)
        await client.replicaof("NO", "ONE")
    await visit.accepts(visit.alert(other), within=2)
    await visit.restarted(waiting, within=AFTER_HOLD)
    await visit.restarted(other, within=AFTER_HOLD)


async def redis_is_still_loading(open_house: OpenHouse, starts: Starts) -> None:
    # A key takes 2 ms to load, and whoever asks meanwhile is told so.
    slow = ("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
    house = await open_house(patients=1, stubborn=0, redis_options=slow)
    visit, (patient,) = Visit(house, starts), house.patients
    alert = visit.alert(patient)
    async with house.redis.admin() as client:
        await client.mset({f"foreign:{number}": "x" * 50 for number in range(1500)})
        await client.bgrewriteaof()

        async def rewritten() -> bool:
            info = await client.info("persistence")
            return not info["aof_rewrite_in_progress"] and info["aof_base_size"] > 10_000

        await eventually(rewritten, within=20, what="the log is rewritten")
    await house.redis.kill()
    starting = asyncio.create_task(house.redis.start())

    async def says_so() -> bool:
        answer = await visit.post(alert)
        assert answer.status_code == 503
        return "loading" in answer.text

    await eventually(says_so, within=20, what="it is said that Redis is loading")
    await starting
    await visit.accepts(alert)
    await visit.restarted(patient, within=AFTER_HOLD)


async def test_a_store_that_has_forgotten_is_not_acted_on(
    open_house: OpenHouse, starts: Starts
) -> None:
    await side_by_side(
        redis_is_rolled_back(open_house, starts),
        redis_is_emptied(open_house, starts),
        a_stale_replica_takes_over(open_house, starts),
        a_person_ends_the_hold(open_house, starts),
    )


async def redis_is_rolled_back(open_house: OpenHouse, starts: Starts) -> None:
    """To before a restart: the container itself shows that it was made."""
    house = await open_house(patients=1, stubborn=0)
    visit, (patient,) = Visit(house, starts), house.patients
    alert = house.pager.fire(house.labels(patient))
    await visit.waits(patient)
    copy = house.redis.copy()
    await visit.restarted(patient)

    await house.redis.roll_back(copy)

    refused = await visit.refuses(visit.alert(patient))
    assert "older" in refused.text

    async def says_so() -> bool:
        status, text = await visit.ready()
        return status == 503 and "older" in text

    await eventually(says_so, within=10, what="/-/ready says so")
    house.pager.resolve(alert)
    await visit.accepts(visit.alert(patient, "Other"), within=AFTER_HOLD)
    # That one is a need of its own; the old one is none.
    await visit.restarted(patient, 2, within=AFTER_HOLD)


async def redis_is_emptied(open_house: OpenHouse, starts: Starts) -> None:
    """Alertmanager still lists the alert: it comes back by itself, and is acted on once."""
    house = await open_house(patients=1, stubborn=0)
    visit, (patient,) = Visit(house, starts), house.patients
    alert = house.pager.fire(house.labels(patient))
    await visit.waits(patient)

    await house.redis.flush()

    assert (await visit.refuses(visit.alert(patient))).status_code == 503
    await visit.is_left_alone(patient, 0, during=LONG_DUE)
    await visit.restarted(patient, within=AFTER_HOLD)
    house.pager.resolve(alert)
    assert (await visit.ends(patient))["outcome"] == "recovered"


async def a_stale_replica_takes_over(open_house: OpenHouse, starts: Starts) -> None:
    house = await open_house(patients=1, stubborn=0)
    visit, (patient,) = Visit(house, starts), house.patients
    replica = RedisBox(house.home / "replica", "--replicaof", "127.0.0.1", str(house.redis.port))
    await replica.start()
    async with replica.admin() as client:

        async def in_sync() -> bool:
            info = await client.info("replication")
            return bool(info["master_link_status"] == "up")

        await eventually(in_sync, within=20, what="the replica is in sync")
        alert = house.pager.fire(house.labels(patient))
        await visit.waits(patient)
        async with house.redis.admin() as primary:
            # All that was written before this, the story too, is now with the replica.
            await primary.set("foreign:last", 1)
            assert await primary.wait(1, 20_000) == 1
        await client.replicaof("NO", "ONE")
    await visit.restarted(patient)
    # Where the old primary was there is now what knows nothing of that.
    await replica.stop()
    await house.redis.roll_back(replica.home)

    assert "older" in (await visit.refuses(visit.alert(patient))).text
    house.pager.resolve(alert)
    await visit.is_left_alone(patient, 1, during=LONG_DUE)
    assert (await visit.ends(patient, within=AFTER_HOLD))["state"] == "closed"
    assert visit.starts(patient) == 1


async def a_person_ends_the_hold(open_house: OpenHouse, starts: Starts) -> None:
    house = await open_house(patients=1, stubborn=0)
    visit, (patient,) = Visit(house, starts), house.patients
    alert = visit.alert(patient)
    await house.redis.replace()
    assert (await visit.refuses(alert)).status_code == 503

    async def resumed() -> bool:
        answer = await house.http.post(
            f"{house.controllers[0].url}/api/v1/resume", json={"reason": "I have looked"}
        )
        return answer.is_success and (await visit.post(alert)).status_code == 202

    # Sooner than the hold; not before the loss was looked into.
    await eventually(resumed, within=10, what="alerts are taken on")
    await visit.restarted(patient, within=3 * WAIT_S)
