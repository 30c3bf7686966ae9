"""One leads, on the store that it is: by compare-and-set, and not by anybody's clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from typing import Final

import pytest

from app.domain.control import Brake
from app.errors import LeaseLost, StoreRegressed
from app.ports import Candidate, Claim, Entry, Restored, Standing, Store
from tests.adapters.store.builders import (
    LEASE,
    START,
    WEB,
    aside,
    at,
    claim_of,
    claimed,
    due,
    halt,
    leaving,
    left,
    limits,
    notice,
    order,
    outcome,
    read,
    remediation,
    reply,
)
from tests.adapters.store.grounds import Ground, MemoryGround, RedisGround
from tests.adapters.store.server import RedisServer

ANNA: Final = Candidate(instance="anna", life="anna-1")
ANNA_AGAIN: Final = Candidate(instance="anna", life="anna-2")
BERT: Final = Candidate(instance="bert", life="bert-1")
ENGINE: Final = "host1"
#: What the calls below are about; the first claim of a store whose history was begun.
_CLAIM: Final = Claim(target=WEB, fence=99)
_DONE: Final = Entry(remediation=None, due=None)

Call = Callable[[Store], Awaitable[object]]

#: What anybody may do.
WRITES: Final[dict[str, Call]] = {
    "accept": lambda store: store.inbox.accept([notice("f9")], [aside(9)], now=at(9)),
    "set_pause": lambda store: store.controls.set_pause(halt()),
    "lift_pause": lambda store: store.controls.set_pause(None),
    "set_hold": lambda store: store.controls.set_hold("host:db", halt()),
    "lift_hold": lambda store: store.controls.set_hold(WEB, None),
    "set_brake": lambda store: store.controls.set_brake(Brake(engaged_at=START, failing=9)),
    "place": lambda store: store.orders.place(WEB, order(9), now=at(9), reply=reply("k9")),
    "reply": lambda store: store.orders.reply(reply("k9")),
    "done": lambda store: store.outbox.done(1),
    "begin": lambda store: store.scaling.begin(
        leaving("in9"), limits("in9"), now=at(9), told=outcome(), reply=reply("k8")
    ),
}
#: What only the leader may.
LEADS: Final[dict[str, Call]] = {
    "claim": lambda store: store.schedule.claim(now=at(500), lease=LEASE, limit=9),
    "renew": lambda store: store.schedule.renew([_CLAIM], now=at(9), lease=LEASE),
    "requeue": lambda store: store.schedule.requeue(_CLAIM, due=at(9)),
    "release": lambda store: store.schedule.release([_CLAIM], due=at(9)),
    "intend": lambda store: store.records.intend(
        _CLAIM, remediation(), now=at(9), lease=LEASE, limits=limits()
    ),
    "note": lambda store: store.records.note(_CLAIM, _DONE, now=at(9)),
    "end": lambda store: store.scaling.end(left(), now=at(9), told=outcome()),
}
READS: Final[dict[str, Call]] = {
    "read": lambda store: read(store, 9),
    "overdue": lambda store: store.schedule.overdue(now=at(9)),
}


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def ground(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Ground]:
    """A store of either kind that several controllers open."""
    if request.param == "memory":
        yield MemoryGround()
        return
    server: RedisServer = request.getfixturevalue("shared_server")
    async with AsyncExitStack() as stack:
        yield RedisGround(stack, server, namespace)


@pytest.fixture
async def anna(ground: Ground) -> Store:
    """The store as one controller has it, with a history and nobody's seat."""
    store = await ground.controller()
    await store.leadership.found("h1", now=START, instead_of="")
    return store


@pytest.fixture
async def bert(ground: Ground, anna: Store) -> Store:
    """The same store as another controller has it."""
    return await ground.controller()


async def lead(
    store: Store,
    me: Candidate,
    seconds: float = 0,
    *,
    engine: str = ENGINE,
    deserted: Standing | None = None,
) -> Standing:
    return await store.leadership.lead(me, now=at(seconds), engine=engine, deserted=deserted)


async def lead_and_trust(store: Store, me: Candidate, seconds: float = 0) -> Standing:
    """Take the seat as a controller does: whatever is done from here on is checked."""
    standing = await lead(store, me, seconds)
    assert standing.life == me.life
    store.leadership.trust(standing.epoch, standing.fence)
    store.leadership.act_as(me)
    return standing


# ---------------------------------------------------------------- the seat


async def test_an_empty_store_has_no_history_and_gives_no_seat(ground: Ground) -> None:
    store = await ground.controller()

    standing = await lead(store, ANNA)

    assert (standing.epoch, standing.fence, standing.instance, standing.life) == ("", 0, "", "")
    assert (standing.term, standing.beat, standing.told_at, standing.engine) == (0, 0, None, "")
    assert await store.leadership.look() == standing


@pytest.mark.parametrize(("is_lost", "begun_at"), [(True, at(900)), (False, START)])
async def test_it_remembers_all_since_it_lost_something(
    anna: Store, is_lost: bool, begun_at: datetime
) -> None:
    assert (await anna.leadership.look()).begun_at == START

    await anna.leadership.found("h2", now=at(900), instead_of="h1", is_lost=is_lost)

    standing = await anna.leadership.look()
    assert (standing.epoch, standing.begun_at) == ("h2", begun_at)


async def test_a_free_seat_is_taken(anna: Store) -> None:
    before = await anna.leadership.look()

    standing = await lead(anna, ANNA, 1)

    assert (standing.instance, standing.life) == ("anna", "anna-1")
    assert (standing.term, standing.beat) == (1, 1)
    assert (standing.told_at, standing.engine) == (at(1), ENGINE)
    # Who led until now has heard of a lower mark.
    assert standing.fence == before.fence + 1


async def test_looking_changes_nothing(anna: Store, bert: Store, ground: Ground) -> None:
    standing = await lead(anna, ANNA)
    before = await ground.told()

    assert await bert.leadership.look() == standing

    assert await ground.told() == before


async def test_the_leader_keeps_the_seat_and_only_its_beat_grows(anna: Store) -> None:
    first = await lead(anna, ANNA, 0)
    second = await lead(anna, ANNA, 5)

    assert (second.term, second.beat) == (first.term, first.beat + 1)
    assert second.fence == first.fence
    assert second.told_at == at(5)


async def test_a_seat_that_is_taken_is_refused(anna: Store, bert: Store, ground: Ground) -> None:
    standing = await lead(anna, ANNA)
    before = await ground.told()

    # However long ago the other one's clock says that the beat was.
    assert await lead(bert, BERT, 1_000_000) == standing

    assert await ground.told() == before


async def test_two_candidates_at_once_one_has_it_and_both_know_which(
    anna: Store, bert: Store
) -> None:
    one, other = await asyncio.gather(lead(anna, ANNA), lead(bert, BERT))

    assert one == other
    assert one.life in (ANNA.life, BERT.life)
    assert one.term == 1


async def test_many_candidates_at_a_deserted_seat_one_has_it(ground: Ground, anna: Store) -> None:
    left = await lead(anna, ANNA)
    crowd = [Candidate(instance=f"c{n}", life=f"c{n}-1") for n in range(8)]
    stores = [await ground.controller() for _ in crowd]

    found = await asyncio.gather(
        *(lead(store, me, 20, deserted=left) for store, me in zip(stores, crowd, strict=True))
    )

    assert len({standing.life for standing in found}) == 1
    assert {(standing.term, standing.beat) for standing in found} == {(2, 2)}


async def test_a_deserted_seat_is_taken_where_it_still_is_as_it_was_found(
    anna: Store, bert: Store
) -> None:
    left = await lead(anna, ANNA)

    standing = await lead(bert, BERT, 20, deserted=left)

    assert (standing.life, standing.term) == (BERT.life, left.term + 1)
    assert standing.beat > left.beat
    assert standing.fence > left.fence


async def test_a_seat_whose_beat_went_on_is_not_deserted(anna: Store, bert: Store) -> None:
    found = await lead(anna, ANNA, 0)
    renewed = await lead(anna, ANNA, 19)

    assert await lead(bert, BERT, 20, deserted=found) == renewed


async def test_a_seat_that_passed_to_a_third_is_not_deserted(
    anna: Store, bert: Store, ground: Ground
) -> None:
    found = await lead(anna, ANNA)
    third = await ground.controller()
    other = await lead(third, Candidate(instance="cara", life="cara-1"), deserted=found)

    assert await lead(bert, BERT, 20, deserted=found) == other


async def test_a_former_leader_does_not_get_it_back_by_renewing(anna: Store, bert: Store) -> None:
    left = await lead(anna, ANNA)
    taken = await lead(bert, BERT, 20, deserted=left)

    assert await lead(anna, ANNA, 21) == taken


async def test_a_restarted_controller_takes_its_own_seat_back(anna: Store, bert: Store) -> None:
    first = await lead(anna, ANNA)

    again = await lead(bert, ANNA_AGAIN, 1)

    assert (again.life, again.term) == (ANNA_AGAIN.life, first.term + 1)


async def test_a_seat_that_was_left_is_free_at_once(anna: Store, bert: Store) -> None:
    first = await lead(anna, ANNA)

    await anna.leadership.resign(ANNA)

    left = await bert.leadership.look()
    assert (left.instance, left.life) == ("", "")
    assert (left.term, left.beat) == (first.term, first.beat)
    assert (await lead(bert, BERT, 1)).life == BERT.life


async def test_only_who_has_the_seat_can_leave_it(anna: Store, bert: Store) -> None:
    standing = await lead(anna, ANNA)

    await bert.leadership.resign(BERT)
    await bert.leadership.resign(ANNA_AGAIN)

    assert await anna.leadership.look() == standing


async def test_terms_and_beats_only_grow(anna: Store, bert: Store) -> None:
    found = []
    for seconds in range(0, 40, 10):
        found.append(await lead(anna, ANNA, seconds))
        await anna.leadership.resign(ANNA)
        found.append(await lead(bert, BERT, seconds + 5))
        await bert.leadership.resign(BERT)

    places = [(one.term, one.beat) for one in found]
    assert places == [(n, n) for n in range(1, 9)]


async def test_the_leaders_time_only_grows(anna: Store, bert: Store) -> None:
    """Whoever follows sets a clock by it: two leaders' clocks must not take turns."""
    await lead(anna, ANNA, 100)

    assert (await lead(anna, ANNA, 90)).told_at == at(100)
    await anna.leadership.resign(ANNA)
    assert (await lead(bert, BERT, 50)).told_at == at(100)
    assert (await lead(bert, BERT, 101)).told_at == at(101)


async def test_the_store_belongs_to_the_engine_that_a_leader_has_told(
    anna: Store, bert: Store
) -> None:
    assert (await lead(anna, ANNA, engine="")).engine == ""
    assert (await lead(anna, ANNA, engine="host1")).engine == "host1"
    await anna.leadership.resign(ANNA)

    # Nobody of another engine gets the seat, were it ever so free; nor who sees none.
    for engine in ("host2", ""):
        refused = await lead(bert, BERT, 5, engine=engine)
        assert (refused.instance, refused.engine) == ("", "host1")
    assert (await lead(bert, BERT, 5, engine="host1")).life == BERT.life


async def test_whoever_named_the_engine_may_name_it_anew(anna: Store, bert: Store) -> None:
    """Its host was given another name."""
    await lead(anna, ANNA, engine="host1")

    assert (await lead(anna, ANNA, engine="host1.lan")).engine == "host1.lan"
    again = await lead(bert, ANNA_AGAIN, engine="host1.lan.local")

    assert (again.life, again.engine) == (ANNA_AGAIN.life, "host1.lan.local")


async def test_taking_the_seat_ends_all_leases(anna: Store, bert: Store) -> None:
    await lead(anna, ANNA)
    for target in ("host:a", "host:b"):
        await claimed(anna, target=target)
    await anna.leadership.resign(ANNA)
    assert await due(bert, 5) == []

    await lead(bert, BERT, 6)

    assert await due(bert, 5.999) == []
    # What another had left is tried one at a time.
    assert await due(bert, 6) == ["host:a"]
    assert await due(bert, 6.2) == ["host:b"]


async def test_keeping_the_seat_ends_no_lease(anna: Store) -> None:
    await lead(anna, ANNA)
    await claimed(anna)

    await lead(anna, ANNA, 6)

    assert await due(anna, 29) == []


async def test_a_lease_that_has_ended_stays_as_long_overdue(anna: Store, bert: Store) -> None:
    await lead(anna, ANNA)
    await claimed(anna)
    await anna.leadership.resign(ANNA)

    await lead(bert, BERT, 40)

    assert await bert.schedule.overdue(now=at(40)) == timedelta(seconds=10)


# ---------------------------------------------------------------- the history


def restored(*, fence: int = 5000) -> Restored:
    return Restored(
        fence=fence,
        charges={"r1:1": at(-60), "r1:2": at(-30)},
        pause=halt(since=-5),
        holds={WEB: halt(since=-4), "host:ü": halt(since=-3, until=600)},
    )


async def test_a_history_is_begun(ground: Ground) -> None:
    store = await ground.controller()

    standing = await store.leadership.found("h1", now=at(3), instead_of="")

    assert (standing.epoch, standing.fence, standing.told_at) == ("h1", 0, at(3))
    assert await store.leadership.charges(since=at(-999)) == []
    assert await store.controls.pause() is None


async def test_what_was_forgotten_is_told_again(ground: Ground) -> None:
    store = await ground.controller()

    standing = await store.leadership.found("h2", now=START, instead_of="", restored=restored())

    assert standing.fence == 5000
    assert await store.leadership.charges(since=at(-999)) == [
        ("r1:1", at(-60)),
        ("r1:2", at(-30)),
    ]
    assert await store.failures.charged(since=at(-999)) == (at(-60), at(-30))
    assert await store.controls.pause() == halt(since=-5)
    assert await store.controls.holds() == restored().holds
    assert (await read(store, 0)).hold == halt(since=-4)
    # No fence is given out twice.
    assert (await claimed(store)).fence > 5000


async def test_a_look_for_work_that_finds_none_writes_nothing(anna: Store) -> None:
    """A controller with nothing to do wakes no disk, and keeps nothing anew."""
    await claimed(anna)
    heard = anna.leadership.heard

    assert not (await anna.schedule.claim(now=at(1), lease=LEASE, limit=9)).claims

    assert anna.leadership.heard == heard
    assert (await anna.leadership.look()).fence == heard


async def test_what_the_store_still_knows_counts(anna: Store) -> None:
    """An older copy knows older charges, and a pause that nobody remembers any better."""
    await anna.records.intend(
        await claimed(anna), remediation(), now=START, lease=LEASE, limits=limits("r1:1")
    )
    await anna.controls.set_pause(halt(since=-50))
    await anna.controls.set_hold(WEB, halt(since=-40))
    before = (await anna.leadership.look()).fence

    standing = await anna.leadership.found(
        "h2", now=START, instead_of="h1", restored=restored(fence=1)
    )

    assert standing.fence == before
    assert await anna.leadership.charges(since=at(-999)) == [("r1:2", at(-30)), ("r1:1", START)]
    assert await anna.controls.pause() == halt(since=-50)
    assert (await anna.controls.holds())[WEB] == halt(since=-40)
    assert (await anna.controls.holds())["host:ü"] == halt(since=-3, until=600)


@pytest.mark.parametrize("other", ["", "h0"])
async def test_a_history_follows_the_named_one_only(
    anna: Store, ground: Ground, other: str
) -> None:
    before = await ground.told()

    standing = await anna.leadership.found("h2", now=at(9), instead_of=other, restored=restored())

    assert standing.epoch == "h1"
    assert await ground.told() == before


async def test_two_that_begin_a_history_at_once_agree(ground: Ground) -> None:
    stores = [await ground.controller() for _ in range(4)]

    found = await asyncio.gather(
        *(
            store.leadership.found(f"h{number}", now=START, instead_of="")
            for number, store in enumerate(stores)
        )
    )

    assert len({standing.epoch for standing in found}) == 1


async def test_charges_are_told_from_after_a_moment_on(anna: Store) -> None:
    await anna.leadership.found("h2", now=START, instead_of="h1", restored=restored())

    assert [one for one, _ in await anna.leadership.charges(since=at(-60))] == ["r1:2"]


# ---------------------------------------------------------------- an older store


@pytest.fixture
async def furnished(anna: Store) -> Store:
    """A leader's store with something of everything."""
    await lead_and_trust(anna, ANNA)
    await anna.records.note(
        await claimed(anna), Entry(remediation=remediation(), due=at(400)), now=START
    )
    await anna.controls.set_pause(halt())
    await anna.controls.set_hold(WEB, halt())
    return anna


@pytest.mark.parametrize("call", [*WRITES, *LEADS, *READS])
@pytest.mark.parametrize("how", ["older", "emptied", "another"])
async def test_a_store_that_lost_its_memory_does_nothing_and_says_so(
    furnished: Store, ground: Ground, how: str, call: str
) -> None:
    copy = await ground.keep()
    await furnished.controls.set_brake(Brake())  # it has answered that it kept this
    if how == "older":
        await ground.back(copy)
    else:
        await ground.empty()
        if how == "another":
            stranger = await ground.controller()
            await stranger.leadership.found("h9", now=START, instead_of="", restored=restored())
            await stranger.inbox.accept([notice()], (), now=START)
    before = await ground.told()

    with pytest.raises(StoreRegressed):
        await (WRITES | LEADS | READS)[call](furnished)

    assert await ground.told() == before


@pytest.mark.parametrize("call", [*WRITES, *LEADS])
async def test_every_write_leaves_a_mark_that_an_older_store_lacks(
    furnished: Store, ground: Ground, call: str
) -> None:
    """Even one that was refused or changed nothing: the script ran to its end."""
    await furnished.inbox.accept([notice("f2")], (), now=at(1))
    before = (await furnished.leadership.look()).fence
    assert furnished.leadership.heard == before
    copy = await ground.keep()

    with suppress(LeaseLost):
        await (WRITES | LEADS)[call](furnished)

    after = (await furnished.leadership.look()).fence
    assert after > before
    assert furnished.leadership.heard == after
    await ground.back(copy)
    with pytest.raises(StoreRegressed):
        await read(furnished, 1)


async def test_it_can_still_be_looked_at_and_begun_anew(furnished: Store, ground: Ground) -> None:
    await ground.empty()

    assert (await furnished.leadership.look()).epoch == ""
    standing = await furnished.leadership.found("h2", now=at(1), instead_of="", restored=restored())
    furnished.leadership.trust(standing.epoch, standing.fence)
    assert (await lead(furnished, ANNA, 2)).life == ANNA.life

    await furnished.inbox.accept([notice()], (), now=at(2))
    assert await due(furnished, 2) == [WEB]


async def test_who_trusts_the_old_history_is_refused_until_it_looks(
    furnished: Store, bert: Store, ground: Ground
) -> None:
    """A second controller has begun the new one; it is not for the first to go on as before."""
    await ground.empty()
    await bert.leadership.found("h2", now=at(1), instead_of="", restored=restored(fence=10**6))

    for call in (*WRITES.values(), *LEADS.values()):
        with pytest.raises(StoreRegressed):
            await call(furnished)


async def test_who_heard_nothing_of_it_yet_is_not_refused(furnished: Store, bert: Store) -> None:
    """What others write makes a store newer, never older."""
    standing = await bert.leadership.look()
    bert.leadership.trust(standing.epoch, standing.fence)
    for seconds in range(5):
        await furnished.inbox.accept([notice(f"f{seconds}")], (), now=at(seconds))

    await bert.inbox.accept([notice("f9")], (), now=at(9))

    assert bert.leadership.heard > standing.fence
    await furnished.inbox.accept([notice("f10")], (), now=at(10))


# ---------------------------------------------------------------- a former leader


@pytest.mark.parametrize("call", LEADS)
async def test_a_former_leader_is_refused_with_nothing_written(
    anna: Store, bert: Store, ground: Ground, call: str
) -> None:
    standing = await lead_and_trust(anna, ANNA)
    claim = await claimed(anna)
    await anna.inbox.accept([notice(target="host:db")], (), now=START)
    await lead(bert, BERT, 20, deserted=standing)
    before = await ground.told()

    calls: dict[str, Call] = {
        "claim": LEADS["claim"],
        "renew": lambda store: store.schedule.renew([claim], now=at(21), lease=LEASE),
        "requeue": lambda store: store.schedule.requeue(claim, due=at(21)),
        "release": lambda store: store.schedule.release([claim], due=at(21)),
        "intend": lambda store: store.records.intend(
            claim, remediation(), now=at(21), lease=LEASE, limits=limits()
        ),
        "note": lambda store: store.records.note(claim, _DONE, now=at(21)),
        "end": LEADS["end"],
    }
    with pytest.raises(LeaseLost):
        await calls[call](anna)

    assert await ground.told() == before


async def test_one_that_left_the_seat_is_refused_even_while_it_is_free(anna: Store) -> None:
    await lead_and_trust(anna, ANNA)
    claim = await claimed(anna)
    await anna.leadership.resign(ANNA)

    with pytest.raises(LeaseLost):
        await anna.records.note(claim, _DONE, now=at(1))


async def test_whoever_does_not_lead_may_still_take_alerts_and_orders_on(
    anna: Store, bert: Store
) -> None:
    await lead_and_trust(anna, ANNA)
    standing = await bert.leadership.look()
    bert.leadership.trust(standing.epoch, standing.fence)
    bert.leadership.act_as(BERT)

    for call in WRITES.values():
        await call(bert)

    assert await due(anna, 9) == [WEB]


async def test_an_order_of_the_law_first_the_history_then_the_seat(
    anna: Store, bert: Store, ground: Ground
) -> None:
    """A former leader of a store that lost its memory hears of the loss: that is the graver."""
    standing = await lead_and_trust(anna, ANNA)
    await lead(bert, BERT, 20, deserted=standing)
    await ground.empty()

    with pytest.raises(StoreRegressed):
        await LEADS["claim"](anna)


# ---------------------------------------------------------------- given back, and lost


async def test_a_claim_that_is_given_back_is_due_when_it_says(anna: Store) -> None:
    claim = await claimed(anna)

    await anna.schedule.requeue(claim, due=at(5))

    assert await due(anna, 4.999) == []
    assert await due(anna, 5) == [WEB]


async def test_giving_back_delays_nothing_that_is_due_earlier(anna: Store) -> None:
    claim = await claimed(anna)
    await anna.inbox.accept([notice("f2")], (), now=at(1))

    await anna.schedule.requeue(claim, due=at(500))

    assert await due(anna, 1) == [WEB]


async def test_what_another_has_is_not_given_back(anna: Store) -> None:
    old = await claimed(anna)
    new = await claim_of(anna, 30)

    await anna.schedule.requeue(old, due=at(31))

    assert await due(anna, 59) == []
    await anna.records.note(new, _DONE, now=at(59))


async def test_a_claim_that_was_given_back_cannot_be_noted(anna: Store) -> None:
    claim = await claimed(anna)
    await anna.schedule.requeue(claim, due=at(5))
    await anna.schedule.requeue(claim, due=at(2))

    with pytest.raises(LeaseLost):
        await anna.records.note(claim, _DONE, now=at(1))
    assert await due(anna, 4) == []


async def test_leases_that_run_out_in_a_row_are_counted(anna: Store) -> None:
    assert (await claimed(anna)).lost == 0

    assert [(await claim_of(anna, 30 * n)).lost for n in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("how", ["note", "requeue"])
async def test_a_step_that_came_to_its_end_forgets_what_was_lost(anna: Store, how: str) -> None:
    await claimed(anna)
    claim = await claim_of(anna, 30)
    assert claim.lost == 1

    if how == "note":
        await anna.records.note(claim, Entry(remediation=None, due=at(40)), now=at(31))
    else:
        await anna.schedule.requeue(claim, due=at(40))

    assert (await claim_of(anna, 40)).lost == 0


async def test_what_was_lost_may_be_kept_while_it_is_given_back(anna: Store) -> None:
    await claimed(anna)
    await anna.schedule.requeue(await claim_of(anna, 30), due=at(40), forget_lost=False)

    assert (await claim_of(anna, 40)).lost == 1


async def test_each_target_is_counted_alone(anna: Store) -> None:
    await anna.inbox.accept([notice(target="host:a"), notice(target="host:b")], (), now=START)
    first = await anna.schedule.claim(now=START, lease=LEASE, limit=9)
    await anna.records.note(first.claims[0], Entry(remediation=None, due=at(30)), now=at(1))

    again = await anna.schedule.claim(now=at(30), lease=LEASE, limit=9)

    assert {one.target: one.lost for one in again.claims} == {"host:a": 0, "host:b": 1}


async def test_an_intent_does_not_end_the_count(anna: Store) -> None:
    """The crash comes after it, often enough."""
    claim = await claimed(anna)
    await anna.records.intend(claim, remediation(), now=START, lease=LEASE, limits=limits())

    assert (await claim_of(anna, 30)).lost == 1


async def test_a_takeover_counts_what_its_holder_left_behind(anna: Store, bert: Store) -> None:
    """A step that ends its whole process is poison, whoever has the seat after it."""
    await lead(anna, ANNA)
    await claimed(anna)

    await lead(bert, ANNA_AGAIN, 2)

    assert (await claim_of(bert, 2)).lost == 1
