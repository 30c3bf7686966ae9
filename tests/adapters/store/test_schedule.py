"""A due step belongs to one worker at a time, and to the next one when its lease ran out."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import LeaseLost
from app.ports import NEXT_SUSPECT, Claimed, Entry, Store, Taken
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


async def test_news_may_be_looked_at_later_and_delay_nothing(store: Store) -> None:
    await store.inbox.accept([notice(due=at(3))], (), now=START)
    await store.inbox.accept([notice("f2", due=at(4))], (), now=at(1))
    await store.inbox.accept([notice("f2", due=at(2))], (), now=at(1))  # known already

    early = await store.schedule.claim(now=just_before(at(3)), lease=LEASE, limit=10)
    assert early == Claimed(claims=(), next_due=at(3))
    assert await due(store, 3) == [WEB]

    await store.inbox.accept([notice(target="host:b", due=at(9))], (), now=at(5))
    await store.inbox.accept([notice("f2", target="host:b")], (), now=at(6))
    assert await store.schedule.overdue(now=at(8)) == timedelta(seconds=2)


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

    assert await store.schedule.renew([claim], now=at(20), lease=LEASE) == ()

    assert await due(store, 49.999) == []
    assert await due(store, 50) == [WEB]


async def test_renewing_never_shortens_a_lease(store: Store) -> None:
    claim = await claimed(store)
    await store.records.intend(
        claim, remediation(), now=START, lease=timedelta(minutes=5), limits=limits()
    )

    assert await store.schedule.renew([claim], now=at(20), lease=LEASE) == ()

    assert await due(store, 299) == []
    assert await due(store, 300) == [WEB]


async def test_a_lease_that_another_has_or_that_was_given_back_is_not_renewed(
    store: Store,
) -> None:
    old = await claimed(store)
    new = await claim_of(store, 30)

    assert await store.schedule.renew([old], now=at(31), lease=timedelta(hours=1)) == (old,)
    await store.records.note(new, Entry(remediation=None, due=at(40)), now=at(32))
    assert await store.schedule.renew([new], now=at(33), lease=timedelta(hours=1)) == (new,)

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


async def test_what_one_call_leases_has_one_fence(store: Store) -> None:
    for name in "abc":
        await store.inbox.accept([notice(target=f"host:{name}")], (), now=START)

    first = await store.schedule.claim(now=START, lease=LEASE, limit=2)
    second = await store.schedule.claim(now=START, lease=LEASE, limit=2)

    assert len({claim.fence for claim in first.claims}) == 1
    assert second.claims[0].fence > first.claims[0].fence


async def test_many_are_claimed_in_their_order_around_those_that_are_leased(store: Store) -> None:
    many = [f"host:n{number:04}" for number in range(2400)]
    await store.schedule.nudge(many[::3], now=START)
    held = (await store.schedule.claim(now=START, lease=LEASE, limit=1000)).claims
    await store.schedule.nudge(many, now=at(1))

    found = [await due(store, 2, limit=limit) for limit in (7, 1000, 1000)]

    free = [target for target in many if target not in {claim.target for claim in held}]
    assert found == [free[:7], free[7:1007], free[1007:]]
    # What was told of leased ones meanwhile is still to be looked at.
    for claim in held[:3]:
        await store.records.note(claim, DONE, now=at(3))
    assert await due(store, 3) == [claim.target for claim in held[:3]]


async def test_many_lost_leases_and_due_ones_take_turns_by_time(store: Store) -> None:
    lost = [f"host:l{number:03}" for number in range(300)]
    await store.schedule.nudge(lost, now=START)
    await due(store, 0, limit=1000)
    early = [f"host:e{number:03}" for number in range(150)]
    late = [f"host:x{number:03}" for number in range(150)]
    await store.schedule.nudge(early, now=at(29))
    await store.schedule.nudge(late, now=at(30))

    # Their steps run: nobody has died of them, and none has to run alone.
    first = await store.schedule.claim(now=at(40), lease=LEASE, limit=400, here=lost)
    second = await store.schedule.claim(now=at(40), lease=LEASE, limit=400, here=lost)

    assert [claim.target for claim in first.claims] == [*early, *lost[:250]]
    assert {claim.lost for claim in first.claims[:150]} == {0}
    assert {claim.lost for claim in first.claims[150:]} == {1}
    assert [claim.target for claim in second.claims] == [*lost[250:], *late]


async def test_many_are_held_with_one_call_and_those_that_are_gone_are_told(store: Store) -> None:
    many = [f"host:n{number:04}" for number in range(1203)]
    await store.schedule.nudge(many, now=START)
    claims = [
        *(await store.schedule.claim(now=START, lease=LEASE, limit=1000)).claims,
        *(await store.schedule.claim(now=START, lease=LEASE, limit=1000)).claims,
    ]
    for place in (0, 700, 1202):
        await store.records.note(claims[place], DONE, now=at(1))

    gone = await store.schedule.renew(claims, now=at(20), lease=LEASE)

    assert gone == (claims[0], claims[700], claims[1202])
    assert await due(store, 49.999, limit=1000) == []
    again = [
        await store.schedule.claim(now=at(50), lease=LEASE, limit=1000, here=many) for _ in range(2)
    ]
    assert [len(one.claims) for one in again] == [1000, 200]


async def test_what_has_not_begun_is_given_back_with_all_that_was_counted(store: Store) -> None:
    await claimed(store, target="host:lost")
    await store.inbox.accept([notice(target="host:new")], (), now=at(1))
    found = await store.schedule.claim(now=at(30), lease=LEASE, limit=9)

    await store.schedule.release(found.claims, due=at(31))
    await store.schedule.release(found.claims, due=at(30))  # repeated: nothing is held any more

    assert await due(store, 30.999) == []
    again = await store.schedule.claim(now=at(31), lease=LEASE, limit=9)
    assert {one.target: one.lost for one in again.claims} == {"host:lost": 1, "host:new": 0}
    with pytest.raises(LeaseLost):
        await store.records.note(found.claims[0], DONE, now=at(32))


async def test_what_another_has_by_now_is_not_given_back(store: Store) -> None:
    await store.inbox.accept([notice(target="host:mine")], (), now=at(5))
    old = await claimed(store)
    (mine,) = (await store.schedule.claim(now=at(5), lease=LEASE, limit=9)).claims
    new = await claim_of(store, 30)

    await store.schedule.release([old, mine], due=at(31))

    assert await due(store, 31) == ["host:mine"]
    await store.records.note(new, DONE, now=at(32))


async def test_many_are_given_back(store: Store) -> None:
    many = [f"host:n{number:04}" for number in range(1203)]
    await store.schedule.nudge(many, now=START)
    claims = [
        *(await store.schedule.claim(now=START, lease=LEASE, limit=1000)).claims,
        *(await store.schedule.claim(now=START, lease=LEASE, limit=1000)).claims,
    ]

    await store.schedule.release(claims, due=at(1))

    assert await due(store, 1, limit=1000) == many[:1000]
    assert await due(store, 1, limit=1000) == many[1000:]


async def lose(store: Store, *names: str) -> list[str]:
    """Have the leases of targets run out, 30 s after the start."""
    targets = [f"host:{name}" for name in names]
    await store.schedule.nudge(targets, now=START)
    assert await due(store, 0) == targets
    return targets


def told(found: Claimed) -> list[tuple[str, int]]:
    return [(one.target, one.lost) for one in found.claims]


async def test_of_those_that_were_lost_one_is_leased_and_the_others_wait(store: Store) -> None:
    one, two, three = await lose(store, "a", "b", "c")

    first = await store.schedule.claim(now=at(30), lease=LEASE, limit=9)
    now = await store.schedule.claim(now=at(30), lease=LEASE, limit=9)
    early = await store.schedule.claim(now=at(30.199), lease=LEASE, limit=9)
    second = await store.schedule.claim(now=at(30.2), lease=LEASE, limit=9)
    third = await store.schedule.claim(now=at(30.4), lease=LEASE, limit=9)

    assert told(first) == [(one, 1)]
    assert first.next_due == now.next_due == early.next_due == at(30.2)
    assert now.claims == early.claims == ()
    # What waits is nobody's, and is counted no more.
    assert told(second) == [(two, 1)]
    assert second.next_due == at(30.4)
    assert told(third) == [(three, 1)]


async def test_those_that_wait_are_not_counted_when_their_worker_dies(store: Store) -> None:
    one, two, three = await lose(store, "a", "b", "c")
    await store.schedule.claim(now=at(30), lease=LEASE, limit=9)

    found = [
        await store.schedule.claim(now=at(60 + turn / 5), lease=LEASE, limit=9) for turn in range(3)
    ]

    assert sorted(claim for each in found for claim in told(each)) == [
        (one, 2),
        (two, 1),
        (three, 1),
    ]


async def test_while_a_suspect_is_with_its_worker_no_other_is_leased(store: Store) -> None:
    targets = await lose(store, "a", "b", "c")

    for turn in range(9):
        moment = at(30 + turn / 5)
        found = await store.schedule.claim(now=moment, lease=LEASE, limit=9, has_suspect=True)
        assert found == Claimed(claims=(), next_due=moment + NEXT_SUSPECT)

    assert told(await store.schedule.claim(now=at(40), lease=LEASE, limit=9)) == [(targets[0], 1)]


async def test_fresh_ones_do_not_wait_for_suspects(store: Store) -> None:
    lost = await lose(store, "a", "b", "c")
    fresh = [f"host:x{number}" for number in range(3)]
    await store.schedule.nudge(fresh, now=at(31))

    first = await store.schedule.claim(now=at(32), lease=LEASE, limit=3)
    second = await store.schedule.claim(now=at(32.2), lease=LEASE, limit=3, has_suspect=True)

    assert told(first) == [(lost[0], 1), (fresh[0], 0), (fresh[1], 0)]
    assert told(second) == [(fresh[2], 0)]
    assert second.next_due == at(32.4)


async def test_what_is_told_of_one_that_waits_does_not_end_its_wait(store: Store) -> None:
    _, second = await lose(store, "a", "b")
    await store.inbox.accept([notice(target=second)], (), now=at(29))  # during its step
    await store.schedule.claim(now=at(30), lease=LEASE, limit=9)
    assert await due(store, 30.1) == []
    await store.inbox.accept([notice("f2", target=second)], (), now=at(30.1))

    found = await store.schedule.claim(now=at(30.1), lease=LEASE, limit=9, has_suspect=True)

    assert found == Claimed(claims=(), next_due=at(30.3))
    assert await due(store, 30.3) == [second]


async def test_a_step_that_lost_its_lease_in_a_worker_that_lives_is_no_suspect(
    store: Store,
) -> None:
    one, two = await lose(store, "a", "b")

    found = await store.schedule.claim(
        now=at(30), lease=LEASE, limit=9, has_suspect=True, here=[one]
    )

    assert told(found) == [(one, 1)]
    await store.schedule.release(found.claims, due=at(31), forget_lost=True)
    again = await store.schedule.claim(now=at(31), lease=LEASE, limit=9)
    # The one that waited is due for longer.
    assert told(again) == [(two, 1), (one, 0)]


async def test_a_thousand_suspects_are_held_back_at_once(store: Store) -> None:
    many = [f"host:n{number:04}" for number in range(900)]
    await store.schedule.nudge(many, now=START)
    await due(store, 0, limit=1000)
    await store.schedule.nudge(["host:x"], now=at(31))

    for moment in (at(32), at(32.2)):
        found = await store.schedule.claim(now=moment, lease=LEASE, limit=2, has_suspect=True)
        assert found.next_due == moment + NEXT_SUSPECT
    assert await store.schedule.overdue(now=at(32.3)) == timedelta(0)


@pytest.mark.parametrize("order", [(5, 9), (9, 5)])
async def test_a_target_without_a_place_gets_the_earliest_that_is_told(
    store: Store, order: tuple[float, float]
) -> None:
    """Of two known alerts in one batch."""
    for name in ("f1", "f2"):
        await store.inbox.accept([notice(name)], (), now=START)
    await store.records.note(await claim_of(store, 0), DONE, now=START)
    some = [
        replace(notice(name), due=at(seconds))
        for name, seconds in zip(("f1", "f2"), order, strict=True)
    ]

    assert set(await store.inbox.accept(some, (), now=at(1))) == {Taken.DUPLICATE}

    assert await due(store, 4.999) == []
    assert await due(store, 5) == [WEB]


async def test_a_new_alert_that_may_wait_does_not_delay_one_that_was_forgotten(
    store: Store,
) -> None:
    await store.inbox.accept([notice("f1")], (), now=START)
    await store.records.note(await claim_of(store, 0), DONE, now=START)
    some = [replace(notice("f2"), due=at(60)), replace(notice("f1"), due=at(5))]

    assert await store.inbox.accept(some, (), now=at(1)) == (Taken.ACCEPTED, Taken.DUPLICATE)

    assert await due(store, 5) == [WEB]
