"""Failed restarts in a sliding window, open at its far end."""

from app.ports import Entry, Store
from tests.adapters.store.builders import (
    WEB,
    WINDOW,
    at,
    closed,
    failed,
    just_before,
    read,
    remediation,
    step,
)


async def test_the_window_is_open_at_its_far_end(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await failed(store, "r1:2", 1800)

    async def count(moment: float) -> int:
        return await store.failures.count(WEB, now=at(moment), window=WINDOW)

    assert await count(1800) == 2
    assert await store.failures.count(WEB, now=just_before(at(3600)), window=WINDOW) == 2
    # The first one is now exactly one window old.
    assert await count(3600) == 1
    assert await count(5400) == 0


async def test_the_dossier_counts_like_the_window(store: Store) -> None:
    await failed(store, "r1:1", 0)
    assert (await read(store, 3599)).failures == 1
    assert (await read(store, 3600)).failures == 0


async def test_the_same_attempt_fails_once(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await failed(store, "r1:1", 1800)

    assert await store.failures.count(WEB, now=at(1800), window=WINDOW) == 1
    # Its time is that of its verdict.
    assert await store.failures.count(WEB, now=at(3600), window=WINDOW) == 0


async def test_a_failure_in_the_future_does_not_count_yet(store: Store) -> None:
    """A clock that steps back must not make a ladder climb."""
    await failed(store, "r1:1", 100)

    assert await store.failures.count(WEB, now=at(99), window=WINDOW) == 0


async def test_a_scale_out_consumes_the_failures_of_the_whole_group(store: Store) -> None:
    for target in (WEB, "host:web-2", "host:db"):
        await failed(store, "r1:1", 0, target=target)

    entry = Entry(remediation=None, due=None, consumed=(WEB, "host:web-2"))
    await step(store, 10, entry)

    async def count(target: str) -> int:
        return await store.failures.count(target, now=at(10), window=WINDOW)

    assert [await count(target) for target in (WEB, "host:web-2", "host:db")] == [0, 0, 1]


async def test_counts_the_targets_that_fail(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await failed(store, "r1:2", 10)
    await failed(store, "r2:1", 20, target="host:db")

    async def failing(moment: float) -> int:
        return await store.failures.failing_targets(now=at(moment), window=WINDOW)

    assert [await failing(moment) for moment in (19, 20, 3609, 3610, 3620)] == [1, 2, 2, 1, 0]


async def test_consumed_failures_still_tell_of_a_storm(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await step(store, 10, Entry(remediation=None, due=None, consumed=(WEB,)))

    assert await store.failures.failing_targets(now=at(10), window=WINDOW) == 1


async def recovered(store: Store, attempt_id: str, seconds: float, *, target: str = WEB) -> None:
    """Let an attempt be a restart that helped."""
    entry = Entry(remediation=None, due=None, recovered_attempt=attempt_id)
    await step(store, seconds, entry, target=target)


async def test_recoveries_are_listed_by_target_oldest_first(store: Store) -> None:
    for attempt_id, seconds in (("r3:1", 0), ("r2:1", 10), ("r1:1", 20)):
        await recovered(store, attempt_id, seconds)
    await recovered(store, "r1:1", 15, target="host:db|odd")

    assert await store.failures.recoveries(since=just_before(at(0))) == {
        WEB: (at(0), at(10), at(20)),
        "host:db|odd": (at(15),),
    }
    assert await store.failures.recoveries(since=at(10)) == {
        WEB: (at(20),),
        "host:db|odd": (at(15),),
    }
    assert await store.failures.recoveries(since=at(20)) == {}


async def test_an_attempt_recovers_once(store: Store) -> None:
    await recovered(store, "r1:1", 0)
    await recovered(store, "r1:1", 10)

    assert await store.failures.recoveries(since=just_before(at(0))) == {WEB: (at(0),)}


async def test_a_relapse_is_a_failure_of_now_and_stays_a_recovery(store: Store) -> None:
    """A leak that fills every 25 minutes recovers each time, and somebody must be told."""
    await step(store, 0, Entry(remediation=closed("r1"), due=None, recovered_attempt="r1:1"))

    new = remediation("r2", opened=1500, relapse_of="r1")
    entry = Entry(
        remediation=new,
        due=None,
        amended=(closed("r1", relapsed_as="r2"),),
        failed_attempt="r1:1",
        window=WINDOW,
    )
    await step(store, 1500, entry)

    assert await store.records.remediation_of(WEB) == new
    assert await store.failures.count(WEB, now=at(1500), window=WINDOW) == 1
    # Its time is that of the relapse, and a second one changes nothing.
    await step(store, 1600, entry)
    assert await store.failures.count(WEB, now=at(5099.999), window=WINDOW) == 1
    assert await store.failures.count(WEB, now=at(5100), window=WINDOW) == 0
    assert await store.failures.recoveries(since=just_before(at(0))) == {WEB: (at(0),)}
