"""What is done to one engine is bounded, and charged before it is done, once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.remediation import State
from app.errors import CoolingDown, GroupBusy, LeaseLost, OutOfBudget
from app.ports import Claim, Cooldown, Entry, Store
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WEB,
    activity,
    at,
    claim_of,
    claimed,
    due,
    just_before,
    limits,
    read,
    remediation,
)

HOUR = timedelta(hours=1)
DB = "host:db"


async def act(
    store: Store,
    claim: Claim,
    attempt_id: str,
    moment: datetime,
    lease: timedelta = LEASE,
    /,
    **bounds: Any,
) -> None:
    """Write the intent of an attempt."""
    await store.records.intend(
        claim,
        remediation(f"of-{claim.target}", target=claim.target),
        now=moment,
        lease=lease,
        limits=limits(attempt_id, **bounds),
    )


async def refused(
    store: Store, claim: Claim, attempt_id: str, moment: datetime, **bounds: Any
) -> datetime:
    """Have the budget refuse an attempt: until when."""
    with pytest.raises(OutOfBudget) as refusal:
        await act(store, claim, attempt_id, moment, **bounds)
    return refusal.value.until


async def busy(
    store: Store, claim: Claim, attempt_id: str, moment: datetime, **bounds: Any
) -> datetime:
    """Have the group refuse an attempt: until when."""
    with pytest.raises(GroupBusy) as refusal:
        await act(store, claim, attempt_id, moment, **bounds)
    return refusal.value.until


async def test_so_many_at_once(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), concurrent=2)
    await act(store, claim, "a2", at(10), concurrent=2)

    assert await refused(store, claim, "a3", just_before(at(30)), concurrent=2) == at(30)

    # The first slot ends with its lease, at exactly its end.
    await act(store, claim, "a3", at(30), concurrent=2)
    assert await refused(store, claim, "a4", at(30), concurrent=2) == at(40)


async def test_a_slot_lasts_as_long_as_its_lease(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), timedelta(minutes=5), concurrent=1)

    assert await refused(store, claim, "a2", just_before(at(300)), concurrent=1) == at(300)
    await act(store, claim, "a2", at(300), concurrent=1)


async def test_a_note_frees_the_slot_of_its_attempt(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    await act(store, web, "a1", at(0), concurrent=1)

    await store.records.note(
        web, Entry(remediation=remediation(), due=at(9), freed="another"), now=at(1)
    )
    assert await refused(store, db, "a2", at(8), concurrent=1) == at(30)
    await store.records.note(
        await claim_of(store, 9), Entry(remediation=remediation(), due=None, freed="a1"), now=at(9)
    )

    await act(store, db, "a2", at(9), concurrent=1)


async def test_a_freed_slot_gives_no_charge_back(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), burst=1)
    await store.records.note(
        claim, Entry(remediation=remediation(), due=at(1), freed="a1"), now=at(1)
    )

    assert await refused(store, await claim_of(store, 1), "a2", at(1), burst=1) == at(360)


async def test_three_in_six_minutes(store: Store) -> None:
    claim = await claimed(store)
    for number, seconds in enumerate((0, 100, 200)):
        await act(store, claim, f"a{number}", at(seconds), burst=3)

    assert await refused(store, claim, "a3", at(200), burst=3) == at(360)
    assert await refused(store, claim, "a3", just_before(at(360)), burst=3) == at(360)

    # The span is open at its far end: the first one is now exactly six minutes old.
    await act(store, claim, "a3", at(360), burst=3)
    assert await refused(store, claim, "a4", at(360), burst=3) == at(460)


async def test_thirty_in_an_hour(store: Store) -> None:
    claim = await claimed(store)
    bounds = {"burst": 3, "per_hour": 30}
    for number in range(30):
        await act(store, claim, f"a{number}", at(120 * number), **bounds)

    # Of six minutes, three; of the hour, all thirty: the later one is told.
    assert await refused(store, claim, "a30", at(3480), **bounds) == at(3600)
    assert await refused(store, claim, "a30", just_before(at(3600)), **bounds) == at(3600)

    await act(store, claim, "a30", at(3600), **bounds)
    assert await refused(store, claim, "a31", at(3601), **bounds) == at(3720)


async def test_the_last_of_several_bounds_is_told(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), timedelta(minutes=20))

    both = await refused(store, claim, "a2", at(1), concurrent=1, burst=1)
    assert both == at(1200)
    all_three = await refused(store, claim, "a2", at(1), concurrent=1, burst=1, per_hour=1)
    assert all_three == at(3600)


async def test_with_smaller_bounds_as_many_must_go_as_are_too_many(store: Store) -> None:
    claim = await claimed(store)
    for number in range(3):
        await act(store, claim, f"a{number}", at(10 * number))

    assert await refused(store, claim, "b", at(20), concurrent=2) == at(40)
    assert await refused(store, claim, "b", at(20), burst=1) == at(380)


@pytest.mark.parametrize("bound", ["concurrent", "burst", "per_hour"])
async def test_a_bound_of_none_is_asked_again_later(store: Store, bound: str) -> None:
    claim = await claimed(store)

    assert await refused(store, claim, "a1", at(0), **{bound: 0}) > at(0)


async def test_an_attempt_is_charged_once_however_often_it_is_resumed(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), burst=1)

    # Nothing is left, and still it passes.
    await act(store, claim, "a1", at(40), burst=1, per_hour=1, concurrent=1)

    assert await store.failures.charged(since=just_before(START)) == (at(0),)


async def test_a_resumed_attempt_takes_its_slot_again(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), concurrent=1)

    await act(store, claim, "a1", at(60), concurrent=1)

    assert await refused(store, claim, "a2", just_before(at(90)), concurrent=1) == at(90)
    await act(store, claim, "a2", at(90), concurrent=1)
    # Its own slot has ended, and another has it now.
    assert await refused(store, claim, "a1", at(95), concurrent=1) == at(120)
    await act(store, claim, "a1", at(120), concurrent=1)


async def test_a_charge_that_no_longer_counts_is_made_anew(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0))
    await act(store, claim, "a1", just_before(START + HOUR))
    assert await store.failures.charged(since=START) == ()

    await act(store, claim, "a1", START + HOUR)

    assert await store.failures.charged(since=START) == (START + HOUR,)


async def test_an_attempt_passes_for_as_long_as_its_charge_counts(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0))

    await act(store, claim, "a1", just_before(START + HOUR), per_hour=0)

    assert await refused(store, claim, "a1", START + HOUR, per_hour=0) > START + HOUR


async def test_the_own_slot_is_nobody_elses(store: Store) -> None:
    claim = await claimed(store)
    await act(store, claim, "a1", at(0), 2 * HOUR, concurrent=1)

    # Its charge no longer counts, its slot does.
    await act(store, claim, "a1", START + HOUR, concurrent=1)

    assert await refused(store, claim, "a2", START + HOUR, concurrent=1) == at(3630)


async def test_an_hour_may_be_shorter(store: Store) -> None:
    """Where the chain runs faster than real time."""
    claim = await claimed(store)
    short = {"hour": timedelta(seconds=36), "burst_span": timedelta(seconds=3.6), "per_hour": 1}
    await act(store, claim, "a1", at(0), **short)

    assert await refused(store, claim, "a2", just_before(at(36)), **short) == at(36)
    await act(store, claim, "a2", at(36), **short)


async def test_charges_are_listed_oldest_first(store: Store) -> None:
    claim = await claimed(store)
    for seconds in (0, 10, 20):
        await act(store, claim, f"a{20 - seconds}", at(seconds))

    assert await store.failures.charged(since=just_before(START)) == (at(0), at(10), at(20))
    assert await store.failures.charged(since=START) == (at(10), at(20))
    assert await store.failures.charged(since=at(20)) == ()


async def test_what_is_refused_writes_nothing(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    out = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **out)

    for bounds in ({"concurrent": 1}, {"burst": 1}, {"per_hour": 1}, out):
        with pytest.raises((OutOfBudget, GroupBusy)):
            await store.records.intend(
                db,
                remediation("r2", target=DB, state=State.ACTING),
                now=at(1),
                lease=HOUR,
                limits=limits("a2", **bounds),
                activity=activity(),
                cooldown=Cooldown(group=GROUP, attempt_id="a2", until=at(600)),
            )

    assert await store.records.remediation_of(DB) is None
    assert await store.history.remediation("r2") is None
    assert await store.history.activity("a1") is None
    assert (await read(store, 1)).cooling_until is None
    assert await store.failures.charged(since=just_before(START)) == (at(0),)
    # Neither slot nor place in the group nor a longer lease.
    await act(store, web, "a3", at(2), concurrent=2, **out)
    assert await due(store, 30) == [DB]


async def test_the_lease_goes_first_and_the_cooldown_second(store: Store) -> None:
    old = await claimed(store)
    new = await claim_of(store, 30)
    theirs = Cooldown(group=GROUP, attempt_id="r9:1", until=at(600))
    await store.records.intend(
        new, remediation(), now=at(30), lease=LEASE, limits=limits("r9:1"), cooldown=theirs
    )
    ours = Cooldown(group=GROUP, attempt_id="r1:1", until=at(700))
    for claim, error in ((old, LeaseLost), (new, CoolingDown)):
        with pytest.raises(error):
            await store.records.intend(
                claim,
                remediation(),
                now=at(31),
                lease=LEASE,
                limits=limits("r1:1", burst=0, group=GROUP, out_of_group=0),
                cooldown=ours,
            )
    assert await store.failures.charged(since=START) == (at(30),)


async def test_the_budget_goes_before_the_group(store: Store) -> None:
    claim = await claimed(store)

    assert await refused(store, claim, "a1", at(0), burst=0, group=GROUP, out_of_group=0) > at(0)


async def test_so_many_of_a_group_are_out(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1, "out_for": timedelta(minutes=10)}
    await act(store, web, "a1", at(0), **bounds)

    assert await busy(store, db, "a2", just_before(at(600)), **bounds) == at(600)

    # It counts as out for so long at most.
    await act(store, db, "a2", at(600), **bounds)
    assert await busy(store, web, "a3", at(600), **bounds) == at(1200)


async def test_with_room_for_two_the_first_to_return_is_told(store: Store) -> None:
    bounds = {"group": GROUP, "out_of_group": 2}
    for number, seconds in enumerate((0, 10)):
        await act(
            store,
            await claimed(store, target=f"host:{number}"),
            f"a{number}",
            at(seconds),
            **bounds,
        )

    third = await claimed(store, target="host:3")
    assert await busy(store, third, "a3", at(20), **bounds) == at(600)


async def test_a_target_that_is_out_may_be_acted_on_again(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **bounds)

    await act(store, web, "a2", at(100), **bounds)

    assert await busy(store, db, "b1", at(600), **bounds) == at(700)


async def test_a_resumed_attempt_asks_its_group_again(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **bounds)
    await act(store, db, "b1", at(600), **bounds)

    # Another of the group is out since its own time has ended.
    assert await busy(store, web, "a1", at(601), **bounds) == at(1200)
    await act(store, web, "a1", at(1200), **bounds)

    assert await busy(store, db, "b2", at(1201), **bounds) == at(1800)


async def test_a_target_that_is_back_makes_room(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **bounds)

    back = Entry(remediation=remediation(), due=None, back=True)
    await store.records.note(web, back, now=at(1))

    await act(store, db, "a2", at(1), **bounds)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(Entry(remediation=remediation(), due=at(5)), id="not-back"),
        pytest.param(Entry(remediation=None, due=at(5), back=True), id="of-no-group"),
        pytest.param(
            Entry(remediation=remediation(group="host:other"), due=at(5), back=True),
            id="of-another-group",
        ),
    ],
)
async def test_a_target_stays_out(store: Store, entry: Entry) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **bounds)

    await store.records.note(web, entry, now=at(1))

    assert await busy(store, db, "a2", at(1), **bounds) == at(600)


async def test_another_target_that_is_back_makes_no_room(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    bounds = {"group": GROUP, "out_of_group": 1}
    await act(store, web, "a1", at(0), **bounds)

    back = Entry(remediation=remediation(target=DB), due=at(2), back=True)
    await store.records.note(db, back, now=at(1))

    assert await busy(store, await claim_of(store, 2, target=DB), "a2", at(2), **bounds) == at(600)


async def test_other_groups_and_none_do_not_count(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    await act(store, web, "a1", at(0), group=GROUP)

    await act(store, db, "a2", at(0), group="host:db")
    await act(store, db, "a3", at(0), group=None, out_of_group=0)


async def test_a_group_of_which_none_may_go_is_asked_again_later(store: Store) -> None:
    claim = await claimed(store)

    assert await busy(store, claim, "a1", at(0), group=GROUP, out_of_group=0) > at(0)


@pytest.mark.parametrize(
    ("bounds", "error"),
    [
        ({"concurrent": 1}, OutOfBudget),
        ({"burst": 1}, OutOfBudget),
        ({"per_hour": 1}, OutOfBudget),
        ({"group": GROUP, "out_of_group": 1}, GroupBusy),
    ],
    ids=["concurrent", "burst", "per-hour", "group"],
)
async def test_of_two_at_once_one_is_refused(
    store: Store, bounds: dict[str, Any], error: type[Exception]
) -> None:
    claims = [await claimed(store, target=target) for target in (WEB, DB)]

    answers = await asyncio.gather(
        *(act(store, claim, claim.target, at(0), **bounds) for claim in claims),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in answers) == sorted(
        ["NoneType", error.__name__]
    )
    assert len(await store.failures.charged(since=just_before(START))) == 1


async def test_actions_begin_one_at_a_time(store: Store) -> None:
    """What falls due together is not begun together, to the millisecond."""
    second = timedelta(seconds=1)
    one, other = await claimed(store), await claimed(store, target=DB)
    await act(store, one, "r1:1", START, spacing=second)

    assert await refused(store, other, "r2:1", just_before(at(1)), spacing=second) == at(1)
    await act(store, other, "r2:1", at(1), spacing=second)


async def test_a_persons_order_need_not_queue(store: Store) -> None:
    one, other = await claimed(store), await claimed(store, target=DB)
    await act(store, one, "r1:1", START, spacing=timedelta(seconds=1))

    await act(store, other, "r2:1", START, spacing=timedelta(0))


async def test_who_has_waited_longest_goes_first(store: Store) -> None:
    """A place that comes free belongs to who needs it longest, whoever asks first."""
    web, db = await claimed(store), await claimed(store, target=DB)
    third = await claimed(store, target="host:api")
    await act(store, third, "r3:1", START, concurrent=1)
    long, short = START - HOUR, START - HOUR / 2
    await refused(store, db, "r2:1", at(1), concurrent=1, waiting_since=long)
    note = Entry(remediation=None, due=None, freed="r3:1")
    await store.records.note(third, note, now=at(2))

    until = await refused(store, web, "r1:1", at(3), concurrent=1, waiting_since=short)

    assert until == at(1 + 45)
    await act(store, db, "r2:1", at(4), concurrent=1, waiting_since=long)


@pytest.mark.parametrize(("asks_at", "is_forgotten"), [(45.999, False), (46, True)])
async def test_who_no_longer_asks_no_longer_waits(
    store: Store, asks_at: float, *, is_forgotten: bool
) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    since = START - HOUR
    await refused(store, db, "r2:1", at(1), concurrent=0, waiting_since=since)

    if is_forgotten:
        await act(store, web, "r1:1", at(asks_at), waiting_since=START)
    else:
        await refused(store, web, "r1:1", at(asks_at), waiting_since=START)


async def test_equally_long_waits_do_not_wait_for_each_other(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    await refused(store, db, "r2:1", at(1), concurrent=0, waiting_since=START)

    await act(store, web, "r1:1", at(2), waiting_since=START)


async def test_an_order_passes_everybody_who_waits(store: Store) -> None:
    web, db = await claimed(store), await claimed(store, target=DB)
    await refused(store, db, "r2:1", at(1), concurrent=0, waiting_since=START - HOUR)

    await act(store, web, "r1:1", at(2), waiting_since=None)
