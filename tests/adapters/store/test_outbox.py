"""What steps leave for people's tools: kept in order, bounded, and put there once."""

import pytest
from redis.asyncio import Redis

from app.domain.message import Message
from app.errors import LeaseLost
from app.ports import Claim, Entry, Store
from tests.adapters.store.builders import START, at, claimed, message, remediation, step

MOST = 1000


def leaving(*messages: Message) -> Entry:
    return Entry(remediation=remediation(), due=at(60), outbox=messages)


async def ids(store: Store, *, limit: int = 2 * MOST) -> list[str]:
    found = (await store.outbox.waiting(limit=limit)).messages
    return [one.message.id for one in found if one.message is not None]


async def test_an_empty_outbox_has_nothing_to_deliver(store: Store) -> None:
    waiting = await store.outbox.waiting(limit=10)

    assert (waiting.messages, waiting.number, waiting.dropped) == ((), 0, {})


async def test_what_a_step_leaves_is_read_as_it_was_written(store: Store) -> None:
    await step(store, 0, leaving(message()))

    waiting = await store.outbox.waiting(limit=10)

    assert [one.message for one in waiting.messages] == [message()]
    assert waiting.number == 1


async def test_messages_wait_in_the_order_in_which_they_were_written(store: Store) -> None:
    await step(store, 0, leaving(message(3), message(1)))
    await step(store, 60, leaving(message(2), message(3)))

    assert await ids(store) == [f"attempt:r1.{number}" for number in (3, 1, 2, 3)]
    assert await ids(store, limit=2) == ["attempt:r1.3", "attempt:r1.1"]
    assert (await store.outbox.waiting(limit=1)).number == 4


async def test_what_is_done_is_forgotten_and_nothing_else(store: Store) -> None:
    await step(store, 0, leaving(message(1), message(2), message(3)))
    second = (await store.outbox.waiting(limit=10)).messages[1]

    for _ in range(2):  # once more, as after a lost answer
        await store.outbox.done(second.place)

    assert await ids(store) == ["attempt:r1.1", "attempt:r1.3"]


async def test_a_place_is_not_given_out_again(store: Store) -> None:
    await step(store, 0, leaving(message(1)))
    (first,) = (await store.outbox.waiting(limit=10)).messages
    await store.outbox.done(first.place)
    await step(store, 60, leaving(message(2)))

    await store.outbox.done(first.place)

    assert await ids(store) == ["attempt:r1.2"]


async def test_the_oldest_give_way_and_are_counted(store: Store) -> None:
    await step(store, 0, leaving(*(message(number) for number in range(MOST))))
    assert (await store.outbox.waiting(limit=1)).dropped == {}

    await step(store, 60, leaving(message(MOST), message(MOST + 1)))

    waiting = await store.outbox.waiting(limit=1)
    assert waiting.number == MOST
    assert waiting.dropped == {"annotation": 2}
    assert await ids(store) == [f"attempt:r1.{number}" for number in range(2, MOST + 2)]


async def test_a_note_repeated_puts_its_messages_once(store: Store) -> None:
    claim = await claimed(store)

    for _ in range(2):
        await store.records.note(claim, leaving(message()), now=START)

    assert await ids(store) == ["attempt:r1.1"]


async def test_a_note_that_is_refused_puts_nothing(store: Store) -> None:
    await claimed(store)

    with pytest.raises(LeaseLost):
        await store.records.note(Claim(target="host:web", fence=99), leaving(message()), now=START)

    assert await ids(store) == []


@pytest.mark.redis
async def test_a_message_that_cannot_be_read_keeps_no_other_waiting(
    own_store: Store, admin: Redis
) -> None:
    for place, member in ((0, b"0|annotation|{}"), (-1, b"\xff")):
        await admin.zadd("{relevo}:outbox", {member: place})
    await step(own_store, 0, leaving(message()))

    found = (await own_store.outbox.waiting(limit=10)).messages

    assert [one.message for one in found] == [None, None, message()]
    for one in found:
        await own_store.outbox.done(one.place)
    assert (await own_store.outbox.waiting(limit=10)).number == 0


@pytest.mark.redis
async def test_a_broken_outbox_keeps_no_step_from_being_noted(
    own_store: Store, admin: Redis
) -> None:
    await admin.set("{relevo}:outbox", "nonsense")

    await step(own_store, 0, leaving(message()))

    assert await own_store.records.remediation_of("host:web") == remediation()
