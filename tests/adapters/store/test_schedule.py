"""A due step belongs to one worker at a time, and to the next one when its lease ran out."""

import asyncio
from datetime import timedelta

import pytest

from app.errors import LeaseLost
from app.ports import Claimed, Entry, Store
from tests.adapters.store.builders import (
    LEASE,
    START,
    WEB,
    at,
    claim_of,
    claimed,
    due,
    just_before,
    limits,
    notice,
    read,
    remediation,
)

DONE = Entry(remediation=None, due=None)


async def test_an_empty_schedule_has_nothing_due(store: Store) -> None:
    found = await store.schedule.claim(now=START, lease=LEASE, limit=10)

    assert found == Claimed(claims=(), next_due=None)
    assert await store.schedule.overdue(now=START) == timedelta(0)


async def test_a_claimed_target_is_nobody_elses(store: Store) -> None:
    await claimed(store)

    assert await due(store, 0) == []


async def test_the_lease_ends_at_exactly_its_end(store: Store) -> None:
    await claimed(store)

    early = await store.schedule.claim(now=just_before(START + LEASE), lease=LEASE, limit=10)
    assert early == Claimed(claims=(), next_due=START + LEASE)

    late = await store.schedule.claim(now=START + LEASE, lease=LEASE, limit=10)
    assert [claim.target for claim in late.claims] == [WEB]


async def test_a_step_is_due_at_exactly_its_time(store: Store) -> None:
    claim = await claimed(store)
    await store.records.note(claim, Entry(remediation=None, due=at(60)), now=at(1))

    early = await store.schedule.claim(now=just_before(at(60)), lease=LEASE, limit=10)
    assert early == Claimed(claims=(), next_due=at(60))
    assert await due(store, 60) == [WEB]


async def test_a_step_is_never_due_early(store: Store) -> None:
    """Stored times have milliseconds: a due time is rounded up, "now" down."""
    claim = await claimed(store)
    exact = at(60) + timedelta(microseconds=300)
    await store.records.note(claim, Entry(remediation=None, due=exact), now=at(1))

    for moment in (exact - timedelta(microseconds=1), exact + timedelta(microseconds=1)):
        assert not (await store.schedule.claim(now=moment, lease=LEASE, limit=1)).claims
    rounded = at(60) + timedelta(milliseconds=1)
    assert (await store.schedule.claim(now=rounded, lease=LEASE, limit=1)).claims


async def test_fences_grow(store: Store) -> None:
    first = await claimed(store)
    second = await claim_of(store, 30)
    third = await claim_of(store, 60)

    assert first.fence < second.fence < third.fence


async def test_fences_grow_after_a_note_as_well(store: Store) -> None:
    first = await claimed(store)
    await store.records.note(first, Entry(remediation=None, due=at(1)), now=START)

    assert (await claim_of(store, 1)).fence > first.fence


async def test_the_longest_due_come_first(store: Store) -> None:
    for seconds, name in enumerate("dbca"):
        await store.inbox.accept([notice(target=f"host:{name}")], (), now=at(seconds))

    assert await due(store, 10, limit=2) == ["host:d", "host:b"]
    assert await due(store, 10, limit=2) == ["host:c", "host:a"]


async def test_what_is_due_since_the_same_moment_comes_by_name(store: Store) -> None:
    targets = [f"host:{name}" for name in "dbca"]
    await store.inbox.accept([notice(target=target) for target in targets], (), now=START)

    assert await due(store, 0) == sorted(targets)


async def test_a_lost_lease_queues_with_the_due_ones(store: Store) -> None:
    await claimed(store, target="host:lost")
    await store.inbox.accept([notice(target="host:before")], (), now=at(29))
    await store.inbox.accept([notice(target="host:after")], (), now=at(31))

    assert await due(store, 40) == ["host:before", "host:lost", "host:after"]


async def test_a_lost_lease_goes_before_what_falls_due_with_its_end(store: Store) -> None:
    await claimed(store, target="host:z-lost")
    await store.inbox.accept([notice(target="host:a-due")], (), now=at(30))

    assert await due(store, 30) == ["host:z-lost", "host:a-due"]


async def test_leased_targets_do_not_hide_due_ones_behind_them(store: Store) -> None:
    """News for claimed targets waits at the front of the line and must not block it."""
    many = [f"host:a{number}" for number in range(20)]
    await store.inbox.accept([notice(target=target) for target in many], (), now=START)
    assert len(await due(store, 0)) == 20
    await store.inbox.accept([notice("f2", target=target) for target in many], (), now=at(1))
    await store.inbox.accept([notice(target="host:behind")], (), now=at(2))

    assert await store.schedule.overdue(now=at(3)) == timedelta(seconds=1)
    assert await due(store, 3, limit=1) == ["host:behind"]


async def test_the_next_due_time_is_of_what_is_still_to_come(store: Store) -> None:
    for target, seconds in (("host:a", 50), ("host:b", 70)):
        claim = await claimed(store, target=target)
        await store.records.note(claim, Entry(remediation=None, due=at(seconds)), now=START)

    first = await store.schedule.claim(now=at(50), lease=LEASE, limit=10)
    second = await store.schedule.claim(now=at(51), lease=LEASE, limit=10)

    assert first.next_due == at(70)
    assert second.next_due == at(70)
    # The lease of the one claimed at 50 ends before nothing else is due.
    third = await store.schedule.claim(now=at(70), lease=LEASE, limit=10)
    assert third.next_due == at(50) + LEASE


async def test_overdue_is_the_wait_of_the_longest_due(store: Store) -> None:
    await store.inbox.accept([notice(target="host:a")], (), now=at(1))
    await store.inbox.accept([notice(target="host:b")], (), now=at(4))

    assert await store.schedule.overdue(now=at(10)) == timedelta(seconds=9)


async def test_what_is_leased_or_in_the_future_is_not_overdue(store: Store) -> None:
    claim = await claimed(store)
    await store.inbox.accept([notice("f2")], (), now=at(1))
    assert await store.schedule.overdue(now=at(20)) == timedelta(0)

    await store.records.note(claim, Entry(remediation=None, due=at(60)), now=at(20))
    assert await store.schedule.overdue(now=at(21)) == timedelta(seconds=20)
    claim = await claim_of(store, 21)
    await store.records.note(claim, Entry(remediation=None, due=at(60)), now=at(22))
    assert await store.schedule.overdue(now=at(59)) == timedelta(0)


async def test_a_lost_lease_is_overdue_since_its_end(store: Store) -> None:
    await claimed(store)

    assert await store.schedule.overdue(now=START + LEASE) == timedelta(0)
    assert await store.schedule.overdue(now=at(45)) == timedelta(seconds=15)


async def test_a_worker_that_died_after_its_claim_loses_the_step_to_the_next(
    store: Store,
) -> None:
    frozen = await claimed(store)
    successor = await claim_of(store, 30)

    with pytest.raises(LeaseLost):
        await store.records.note(frozen, DONE, now=at(31))
    with pytest.raises(LeaseLost):
        await store.records.intend(frozen, remediation(), now=at(31), lease=LEASE, limits=limits())

    assert await store.records.remediation_of(WEB) is None
    await store.records.note(successor, DONE, now=at(32))


async def test_a_late_worker_keeps_a_step_that_nobody_took(store: Store) -> None:
    """What it did is worth more than the clock; the fence alone decides."""
    late = await claimed(store)

    await store.records.note(late, Entry(remediation=remediation(), due=None), now=at(500))

    assert await store.records.remediation_of(WEB) == remediation()
    assert await due(store, 600) == []


async def test_the_intent_holds_the_step_for_longer(store: Store) -> None:
    claim = await claimed(store)
    longer = timedelta(minutes=5)

    await store.records.intend(claim, remediation(), now=at(20), lease=longer, limits=limits())

    assert await due(store, 319) == []
    assert await due(store, 320) == [WEB]


async def test_a_lease_can_be_renewed_and_ends_at_exactly_its_new_end(store: Store) -> None:
    claim = await claimed(store)

    await store.schedule.renew(claim, now=at(20), lease=LEASE)

    assert await due(store, 49.999) == []
    assert await due(store, 50) == [WEB]


async def test_renewing_never_shortens_a_lease(store: Store) -> None:
    claim = await claimed(store)
    await store.records.intend(
        claim, remediation(), now=START, lease=timedelta(minutes=5), limits=limits()
    )

    await store.schedule.renew(claim, now=at(20), lease=LEASE)

    assert await due(store, 299) == []
    assert await due(store, 300) == [WEB]


async def test_a_lease_that_another_has_or_that_was_given_back_is_not_renewed(
    store: Store,
) -> None:
    old = await claimed(store)
    new = await claim_of(store, 30)

    with pytest.raises(LeaseLost):
        await store.schedule.renew(old, now=at(31), lease=timedelta(hours=1))
    await store.records.note(new, Entry(remediation=None, due=at(40)), now=at(32))
    with pytest.raises(LeaseLost):
        await store.schedule.renew(new, now=at(33), lease=timedelta(hours=1))

    assert await due(store, 40) == [WEB]


async def test_news_during_a_lost_step_comes_with_its_next_claim(store: Store) -> None:
    await claimed(store)
    await store.inbox.accept([notice("f2")], (), now=at(5))

    claim = await claim_of(store, 30)
    dossier = await read(store, 30)

    assert {one.alert.fingerprint for one in dossier.alerts} == {"f1", "f2"}
    await store.records.note(claim, DONE, now=at(31))
    assert await due(store, 31) == []


async def test_two_workers_share_the_work(store: Store) -> None:
    targets = {f"host:w{number:02}" for number in range(40)}
    await store.inbox.accept([notice(target=target) for target in targets], (), now=START)

    halves = await asyncio.gather(*(due(store, 0, limit=20) for _ in range(4)))

    assert sorted(target for half in halves for target in half) == sorted(targets)


async def test_targets_can_be_made_due(store: Store) -> None:
    await store.schedule.nudge((), now=START)
    assert await due(store, 0) == []

    await store.schedule.nudge([WEB, "host:db", WEB], now=at(5))

    assert await due(store, 4.999) == []
    assert await due(store, 5) == ["host:db", WEB]


async def test_a_nudge_pulls_forward_and_never_back(store: Store) -> None:
    for target, seconds in (("host:soon", 5), ("host:late", 600)):
        claim = await claimed(store, target=target)
        await store.records.note(claim, Entry(remediation=None, due=at(seconds)), now=START)

    await store.schedule.nudge(["host:soon", "host:late"], now=at(10))

    assert await store.schedule.overdue(now=at(10)) == timedelta(seconds=5)
    assert await due(store, 10) == ["host:soon", "host:late"]


async def test_a_leased_target_that_is_nudged_falls_due_after_its_step(store: Store) -> None:
    claim = await claimed(store)

    await store.schedule.nudge([WEB], now=at(5))

    assert await due(store, 6) == []
    await store.records.note(claim, Entry(remediation=None, due=at(600)), now=at(7))
    assert await due(store, 7) == [WEB]


async def test_many_can_be_nudged_at_once(store: Store) -> None:
    many = [f"host:n{number:04}" for number in range(1203)]

    await store.schedule.nudge(many, now=START)

    assert await due(store, 0, limit=1000) == many[:1000]
    assert await due(store, 0, limit=1000) == many[1000:]
