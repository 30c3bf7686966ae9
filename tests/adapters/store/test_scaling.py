"""Scale-ins: written down before anything is done, one of a group at a time, and how they end."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from app.domain.activity import Activity, ActivityStatus
from app.domain.reason import Reason
from app.errors import LeaseLost, OutOfBudget, StoreUnavailable
from app.ports import Candidate, Cooldown, Entry, Reply, Store
from tests.adapters.store.asking import everything
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    activity,
    at,
    back_on_duty,
    claimed,
    leaving,
    left,
    limits,
    off_duty,
    outcome,
    read,
    remediation,
    reply,
    step,
)

DB = "host:db-group"


async def begin(
    store: Store,
    one: Activity,
    seconds: float = 0,
    *,
    answer: Reply | None = None,
    number: int = 1,
    **bounds: Any,
) -> Activity | Reply:
    return await store.scaling.begin(
        one, limits(one.id, **bounds), now=at(seconds), told=outcome(number), reply=answer
    )


async def end(store: Store, one: Activity, seconds: float = 30, *, number: int = 9) -> None:
    await store.scaling.end(one, now=at(seconds), told=outcome(number))


async def lines(store: Store) -> list[str | None]:
    return [line.entry.attempt for line in await store.audit.entries()]


async def test_what_has_begun_is_under_way_listed_charged_and_told(store: Store) -> None:
    assert await begin(store, leaving()) == leaving()

    assert await store.scaling.under_way() == [leaving()]
    assert await store.history.activities(group=GROUP) == (leaving(),)
    assert await store.history.activity("in1") == leaving()
    assert await store.failures.charged(since=at(-1)) == (START,)
    assert await lines(store) == ["r1:1"]


async def test_nothing_is_under_way_at_first(store: Store) -> None:
    assert await store.scaling.under_way() == []


async def test_what_has_ended_is_under_way_no_more(store: Store) -> None:
    await begin(store, leaving())

    await end(store, left())

    assert await store.scaling.under_way() == []
    assert await store.history.activities() == (left(),)
    assert await lines(store) == ["r1:1", "r1:9"]


async def test_a_group_has_one_at_a_time(store: Store) -> None:
    await begin(store, leaving("in1"))

    assert await begin(store, leaving("in2"), 1, answer=reply()) == leaving("in1")

    # Nothing was written.
    assert await store.history.activity("in2") is None
    assert await store.orders.replied("k1") is None
    assert await store.failures.charged(since=at(-1)) == (START,)
    assert await lines(store) == ["r1:1"]
    assert await begin(store, leaving("in3", group=DB, started=2), 2) == leaving(
        "in3", group=DB, started=2
    )
    assert [one.id for one in await store.scaling.under_way()] == ["in1", "in3"]


async def test_the_next_of_a_group_follows_the_end_of_one(store: Store) -> None:
    await begin(store, leaving("in1"))
    await end(store, left("in1"))

    assert await begin(store, leaving("in2"), 31) == leaving("in2")

    assert await store.scaling.under_way() == [leaving("in2")]


async def test_of_two_at_once_one_begins(store: Store) -> None:
    answers = await asyncio.gather(*(begin(store, leaving(f"in{n}")) for n in (1, 2)))

    (first,) = await store.scaling.under_way()
    assert answers == [first, first]


async def test_begun_again_it_is_told_as_it_is_by_now(store: Store) -> None:
    """A call whose answer was lost is repeated, maybe after somebody else has ended it."""
    await begin(store, leaving(), answer=reply())
    assert await begin(store, leaving(), 1, answer=reply()) == leaving()
    await end(store, left())

    assert await begin(store, leaving(), 31, answer=reply()) == left()

    assert await store.scaling.under_way() == []
    assert await store.failures.charged(since=at(-1)) == (START,)
    assert await lines(store) == ["r1:1", "r1:9"]


# ---------------------------------------------------------------- the budget


async def test_it_takes_a_slot_until_it_ends(store: Store) -> None:
    await begin(store, leaving("in1"), concurrent=1, out_for=timedelta(seconds=60))
    with pytest.raises(OutOfBudget) as refused:
        await begin(store, leaving("in2", group=DB), 1, concurrent=1)
    assert refused.value.until == at(60)

    await end(store, left("in1"), 30)

    await begin(store, leaving("in2", group=DB), 31, concurrent=1)


async def test_a_slot_that_nobody_gives_back_ends(store: Store) -> None:
    await begin(store, leaving("in1"), concurrent=1, out_for=timedelta(seconds=60))

    await begin(store, leaving("in2", group=DB), 60, concurrent=1)


async def test_a_restart_and_a_scale_in_share_the_budget(store: Store) -> None:
    claim = await claimed(store)
    await store.records.intend(
        claim, remediation(), now=START, lease=LEASE, limits=limits("r1:1", burst=1)
    )

    with pytest.raises(OutOfBudget) as refused:
        await begin(store, leaving(), 1, burst=1)

    assert refused.value.until == at(360)
    assert await store.scaling.under_way() == []
    assert await store.history.activity("in1") is None
    assert await begin(store, leaving(), 360, burst=1) == leaving()


async def test_whoever_has_waited_longer_goes_first(store: Store) -> None:
    await begin(store, leaving("in1"), burst=1)
    claim = await claimed(store, 1)
    asks = limits("r1:1", burst=1, waiting_since=at(-60))
    with pytest.raises(OutOfBudget):
        await store.records.intend(claim, remediation(), now=at(350), lease=2 * LEASE, limits=asks)

    with pytest.raises(OutOfBudget):
        await begin(store, leaving("in2", group=DB), 361, waiting_since=at(361))
    # A person's order does not queue.
    await begin(store, leaving("in2", group=DB), 361)


# ---------------------------------------------------------------- a person's order


async def test_the_same_key_is_answered_the_same(store: Store) -> None:
    await begin(store, leaving("in1"), answer=reply())
    assert await store.orders.replied("k1") == reply()
    await end(store, left("in1"))

    again = reply(answer="another")
    assert await begin(store, leaving("in2"), 31, answer=again) == reply()

    assert await store.scaling.under_way() == []


async def test_the_key_goes_before_what_is_under_way(store: Store) -> None:
    await begin(store, leaving("in1"), answer=reply("k1"))

    assert await begin(store, leaving("in2"), 1, answer=reply("k1")) == reply("k1")
    assert await begin(store, leaving("in2"), 1, answer=reply("k2")) == leaving("in1")


async def test_orders_and_scale_ins_share_their_keys(store: Store) -> None:
    await store.orders.reply(reply())

    assert await begin(store, leaving(), answer=reply(answer="no")) == reply()


# ---------------------------------------------------------------- how it ended


@pytest.mark.parametrize(
    ("over", "tells"),
    [
        pytest.param({}, True, id="quiet"),
        pytest.param({"reason": Reason.MANUAL, "ordered": "ops: less"}, True, id="ordered"),
        pytest.param({"reason": Reason.CLONE_DOWN}, False, id="it-was-down"),
        pytest.param({"reason": Reason.COVER_OVER}, False, id="it-was-a-cover"),
        pytest.param({"status": ActivityStatus.FAILED}, False, id="failed"),
        pytest.param(
            {"status": ActivityStatus.CANCELLED, "ordered": "ops: less"}, False, id="cancelled"
        ),
    ],
)
async def test_only_one_that_was_not_needed_any_more_is_told_as_left(
    store: Store, over: dict[str, Any], tells: bool
) -> None:
    await begin(store, leaving())
    assert (await read(store, 1)).left_at is None

    await end(store, left(**over), 30)

    assert (await read(store, 31)).left_at == (at(30) if tells else None)
    assert (await read(store, 31)).cooling_until is None


async def test_who_left_by_a_wrong_clock_is_not_told(store: Store) -> None:
    await begin(store, leaving())
    await end(store, left(), 3660)

    assert (await read(store, 3600)).left_at == at(3660)
    assert (await read(store, 3599)).left_at is None


async def test_a_cooldown_and_who_left_do_not_disturb_each_other(store: Store) -> None:
    cooldown = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await step(store, 0, Entry(remediation=None, due=None, cooldown=cooldown))
    await begin(store, leaving())
    await end(store, left(), 30)

    dossier = await read(store, 31)
    assert (dossier.cooling_until, dossier.left_at) == (at(600), at(30))

    lifted = Cooldown(group=GROUP, attempt_id="r1:1", until=None)
    await store.inbox.accept((), (), now=at(32))
    await step(store, 40, Entry(remediation=None, due=None, cooldown=lifted))
    dossier = await read(store, 41)
    assert (dossier.cooling_until, dossier.left_at) == (None, at(30))


async def test_ended_again_it_is_as_it_ended_first(store: Store) -> None:
    await begin(store, leaving())
    await end(store, left(status=ActivityStatus.FAILED), 30)

    await end(store, left(), 40, number=8)

    assert await store.history.activity("in1") == left(status=ActivityStatus.FAILED)
    assert (await read(store, 41)).left_at is None
    assert await lines(store) == ["r1:1", "r1:9"]


async def test_a_late_end_leaves_the_next_one_under_way(store: Store) -> None:
    await begin(store, leaving("in1"))
    await end(store, left("in1"))
    await begin(store, leaving("in2"), 31)

    await end(store, left("in1"), 32)

    assert await store.scaling.under_way() == [leaving("in2")]


async def test_a_store_that_knows_nothing_of_it_is_told_how_it_ended(store: Store) -> None:
    await end(store, left())
    await end(store, left())

    assert await store.history.activities(group=GROUP) == (left(),)
    assert (await read(store, 31)).left_at == at(30)
    assert await lines(store) == ["r1:9"]


async def test_every_word_is_read_back(store: Store) -> None:
    one = leaving(reason=Reason.MANUAL, ordered="ops: Last | weg", cause="ops: Last | weg")
    await begin(store, one)
    await store.history.activities()

    assert await store.scaling.under_way() == [one]
    assert await store.history.activity("in1") == one


async def test_scale_outs_are_not_under_way(store: Store) -> None:
    await step(store, 0, Entry(remediation=None, due=None, activity=activity()))

    assert await store.scaling.under_way() == []


# ---------------------------------------------------------------- on the server


@pytest.mark.redis
async def test_one_whose_record_was_deleted_is_in_nobodys_way(
    own_store: Store, admin: Redis
) -> None:
    await begin(own_store, leaving("in1"))
    await admin.delete("{relevo}:activity:in1")

    assert await own_store.scaling.under_way() == []
    assert await begin(own_store, leaving("in2"), 1) == leaving("in2")


@pytest.mark.redis
async def test_a_broken_audit_lets_nothing_begin_and_keeps_nothing_from_ending(
    own_store: Store, admin: Redis
) -> None:
    await begin(own_store, leaving("in1"))
    await admin.set("{relevo}:audit", "no stream")
    before = await everything(admin)

    with pytest.raises(StoreUnavailable):
        await begin(own_store, leaving("in2", group=DB), 1)
    after = await everything(admin)
    assert {name for name in after if after[name] != before.get(name)} <= {b"{relevo}:fence"}

    await end(own_store, left("in1"))
    assert await own_store.scaling.under_way() == []


async def test_who_is_no_leader_ends_nothing(store: Store) -> None:
    standing = await store.leadership.found("h1", now=START, instead_of="")
    store.leadership.trust(standing.epoch, standing.fence)
    store.leadership.act_as(Candidate(instance="anna", life="anna-1"))
    await begin(store, leaving())

    with pytest.raises(LeaseLost):
        await end(store, left())

    assert await store.scaling.under_way() == [leaving()]


async def test_a_source_is_replaced_from_its_end_until_it_is_back(store: Store) -> None:
    begun = off_duty(status=ActivityStatus.IN_PROGRESS, finished_at=None)
    await begin(store, begun)
    assert await store.scaling.replaced() == []
    assert await store.scaling.under_way() == [begun]

    for _ in range(2):
        await end(store, off_duty())
    assert await store.scaling.replaced() == [off_duty()]
    assert await store.scaling.under_way() == []

    await begin(store, back_on_duty(status=ActivityStatus.IN_PROGRESS, finished_at=None), 60)
    assert await store.scaling.replaced() == [off_duty()]

    for _ in range(2):
        await end(store, back_on_duty(), 90)
    assert await store.scaling.replaced() == []

    await end(store, off_duty(), 120)  # an old answer that comes again
    assert await store.scaling.replaced() == []


@pytest.mark.parametrize("status", [ActivityStatus.FAILED, ActivityStatus.CANCELLED])
async def test_what_came_to_nothing_changes_nobodys_duty(
    store: Store, status: ActivityStatus
) -> None:
    await end(store, off_duty("off1", status=status))
    assert await store.scaling.replaced() == []

    await end(store, off_duty("off2"))
    await end(store, back_on_duty("back1", status=status))
    assert await store.scaling.replaced() == [off_duty("off2")]


async def test_each_source_is_replaced_for_itself(store: Store) -> None:
    other = off_duty("off2", group=DB, container_id="f" * 64, started_at=at(5))
    await end(store, off_duty())
    await end(store, other)
    assert await store.scaling.replaced() == [off_duty(), other]

    await end(store, back_on_duty())
    assert await store.scaling.replaced() == [other]


async def test_a_store_that_has_lost_its_memory_is_told_that_a_source_is_replaced(
    store: Store,
) -> None:
    await end(store, off_duty())  # it never knew of its beginning

    assert await store.scaling.replaced() == [off_duty()]
    assert await store.history.activity("off1") == off_duty()
