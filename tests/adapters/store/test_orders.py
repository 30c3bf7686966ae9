"""An operator's order waits for one step, and the same request is answered the same."""

import asyncio
from dataclasses import replace

import pytest

from app.domain.control import Order, OrderKind
from app.errors import LeaseLost
from app.ports import Claim, Entry, Reply, Store
from tests.adapters.store.builders import (
    START,
    WEB,
    at,
    claim_of,
    claimed,
    due,
    order,
    read,
    reply,
    step,
)

DB = "host:db"


async def answer(store: Store, order_id: str, seconds: float) -> None:
    """Let a step answer an order."""
    await step(store, seconds, Entry(remediation=None, due=None, answered_order=order_id))


@pytest.mark.parametrize("kind", OrderKind)
async def test_an_order_waits_for_the_next_step(store: Store, kind: OrderKind) -> None:
    one = order(kind=kind)

    assert await store.orders.place(WEB, one, now=START) is None

    assert await store.orders.pending(WEB) == one
    assert await due(store, 0) == [WEB]
    assert (await read(store, 0)).order == one
    assert await store.orders.pending(DB) is None
    assert (await read(store, 0, target=DB)).order is None


async def test_an_order_pulls_a_waiting_target_to_now(store: Store) -> None:
    await step(store, 0, Entry(remediation=None, due=at(600)))

    await store.orders.place(WEB, order(), now=at(5))

    assert await due(store, 4.999) == []
    assert await due(store, 5) == [WEB]


async def test_an_order_for_a_target_that_is_due_already_pushes_it_back_nowhere(
    store: Store,
) -> None:
    await store.schedule.nudge([WEB], now=START)

    await store.orders.place(WEB, order(), now=at(5))

    assert await store.schedule.overdue(now=at(5)) == at(5) - START


async def test_an_order_during_a_step_is_for_the_next_one(store: Store) -> None:
    claim = await claimed(store)
    await store.orders.place(WEB, order(), now=at(5))

    await store.records.note(claim, Entry(remediation=None, due=at(600)), now=at(6))

    assert await store.orders.pending(WEB) == order()
    assert await due(store, 6) == [WEB]


async def test_an_answered_order_is_over(store: Store) -> None:
    await store.orders.place(WEB, order(), now=START)

    await answer(store, "r1:1", 1)

    assert await store.orders.pending(WEB) is None
    assert (await read(store, 1)).order is None
    assert await store.orders.place(WEB, order(2), now=at(2)) is None
    assert await store.orders.pending(WEB) == order(2)


async def test_the_answer_to_another_order_leaves_this_one(store: Store) -> None:
    await store.orders.place(WEB, order(1), now=START)
    await store.orders.place(DB, order(2), now=START)
    web, _ = await claims(store)

    await store.records.note(
        web, Entry(remediation=None, due=None, answered_order="r1:2"), now=at(1)
    )

    assert await store.orders.pending(WEB) == order(1)
    assert await store.orders.pending(DB) == order(2)


async def claims(store: Store) -> list[Claim]:
    found = (await store.schedule.claim(now=START, lease=at(30) - START, limit=2)).claims
    return sorted(found, key=lambda claim: claim.target, reverse=True)


async def test_a_refused_note_answers_no_order(store: Store) -> None:
    await store.orders.place(WEB, order(), now=START)
    old = await claim_of(store, 0)
    await claim_of(store, 30)

    with pytest.raises(LeaseLost):
        await store.records.note(
            old, Entry(remediation=None, due=None, answered_order="r1:1"), now=at(31)
        )

    assert await store.orders.pending(WEB) == order()


async def test_one_order_at_a_time(store: Store) -> None:
    await store.orders.place(WEB, order(1), now=START)
    await due(store, 0)

    assert await store.orders.place(WEB, order(2), now=at(1), reply=reply()) == order(1)

    # Nothing was written.
    assert await store.orders.pending(WEB) == order(1)
    assert await store.orders.replied("k1") is None
    assert await due(store, 2) == []
    assert await store.orders.place(DB, order(2), now=at(1)) is None


async def test_of_two_orders_at_once_one_is_placed(store: Store) -> None:
    answers = await asyncio.gather(
        *(store.orders.place(WEB, order(number), now=START) for number in (1, 2))
    )

    pending = await store.orders.pending(WEB)
    assert None in answers
    assert pending in answers


async def test_the_same_key_is_answered_the_same(store: Store) -> None:
    first = reply(answer='{"attempt": "r1:1"}')
    assert await store.orders.place(WEB, order(1), now=START, reply=first) is None
    assert await store.orders.replied("k1") == first
    await answer(store, "r1:1", 1)

    again = replace(first, answer='{"attempt": "r1:2"}', digest="sha256:2")
    assert await store.orders.place(WEB, order(2), now=at(2), reply=again) == first
    assert await store.orders.place(DB, order(3), now=at(2), reply=again) == first

    assert await store.orders.pending(WEB) is None
    assert await store.orders.pending(DB) is None
    assert await due(store, 2) == []


async def test_the_key_goes_before_a_pending_order(store: Store) -> None:
    await store.orders.place(WEB, order(1), now=START, reply=reply("k1"))

    assert await store.orders.place(WEB, order(2), now=at(1), reply=reply("k1")) == reply("k1")
    assert await store.orders.place(WEB, order(2), now=at(1), reply=reply("k2")) == order(1)


async def test_the_same_order_again_is_placed_already(store: Store) -> None:
    """A call whose answer was lost is repeated, maybe after its order has been answered."""
    for _ in range(2):
        assert await store.orders.place(WEB, order(), now=START, reply=reply()) is None
    await answer(store, "r1:1", 1)

    assert await store.orders.place(WEB, order(), now=START, reply=reply()) is None

    assert await store.orders.pending(WEB) is None
    assert await due(store, 1) == []


async def test_another_order_may_have_the_same_id(store: Store) -> None:
    """One that was refused has used no attempt's id."""
    await store.orders.place(WEB, order(at=at(1)), now=at(1))
    same_id = order(at=at(2))
    assert await store.orders.place(WEB, same_id, now=at(2)) == order(at=at(1))
    await answer(store, "r1:1", 3)

    assert await store.orders.place(WEB, same_id, now=at(4)) is None

    assert await store.orders.pending(WEB) == same_id


async def test_replies_without_orders(store: Store) -> None:
    assert await store.orders.replied("k1") is None
    assert await store.orders.reply(reply()) is None

    assert await store.orders.reply(reply(answer="other")) == reply()
    assert await store.orders.reply(reply()) == reply()
    assert await store.orders.reply(reply("k2")) is None
    assert await store.orders.replied("k1") == reply()


async def test_replies_with_and_without_orders_share_their_keys(store: Store) -> None:
    await store.orders.reply(reply())
    assert await store.orders.place(WEB, order(), now=START, reply=reply(answer="no")) == reply()

    await store.orders.place(WEB, order(), now=START, reply=reply("k2"))
    assert await store.orders.reply(reply("k2", answer="no")) == reply("k2")


@pytest.mark.parametrize("key", ["", "a|b:{c} d", "ключ", "k" * 10_000])
async def test_a_key_is_the_callers_text(store: Store, key: str) -> None:
    one = Reply(key=key, digest="sha256:1", answer='{"a": "|"}')

    await store.orders.reply(one)

    assert await store.orders.replied(key) == one
    assert await store.orders.replied(key + "x") is None


async def test_an_order_is_read_back_as_it_was_placed(store: Store) -> None:
    one = Order(
        id="r9:4",
        kind=OrderKind.SCALE_OUT,
        remediation="r9",
        reason="Last | Абв",
        author="ops@example",
        at=at(1.234567),
    )

    await store.orders.place(WEB, one, now=START)

    assert await store.orders.pending(WEB) == one
