"""The audit: a line for each intent and what came of it, written with it, once, in a chain."""

from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from app.domain.audit import AuditEntry, AuditKind, AuditMark
from app.domain.remediation import Action, Trigger
from app.errors import LeaseLost, OutOfBudget, StoreUnavailable
from app.ports import Claim, Entry, Store
from tests.adapters.store.builders import (
    LEASE,
    WEB,
    at,
    attempt,
    claim_of,
    claimed,
    halt,
    limits,
    order,
    outcome,
    remediation,
    reply,
    step,
)
from tests.memory_store import make_store


def leaving(*entries: AuditEntry) -> Entry:
    return Entry(remediation=remediation(), due=at(600), audit=entries)


async def intend(store: Store, claim: Claim, seconds: float, attempt_id: str = "r1:1") -> None:
    await store.records.intend(
        claim, remediation(), now=at(seconds), lease=LEASE, limits=limits(attempt_id)
    )


async def told(store: Store) -> list[AuditEntry]:
    return [line.entry for line in await store.audit.entries()]


async def test_an_audit_without_lines_is_whole(store: Store) -> None:
    check = await store.audit.verify()

    assert await store.audit.entries() == ()
    assert (check.lines, check.first, check.broken_at) == (0, 0, None)


async def test_an_intent_is_told_with_who_and_what(store: Store) -> None:
    await intend(store, await claimed(store), 1)

    (line,) = await store.audit.entries()

    one = attempt()
    assert line.number == 1
    assert line.entry == AuditEntry(
        at=at(1),
        kind=AuditKind.INTENT,
        target=WEB,
        remediation="r1",
        attempt="r1:1",
        action=Action.RESTART,
        container_id=one.container_id,
        trigger=Trigger.AUTOMATIC,
        reason=one.reason,
    )


async def test_an_intent_repeated_is_told_once(store: Store) -> None:
    claim = await claimed(store)

    for seconds in (1, 2):
        await intend(store, claim, seconds)

    assert [(one.attempt, one.at) for one in await told(store)] == [("r1:1", at(1))]


async def test_an_attempt_resumed_by_another_step_is_told_again(store: Store) -> None:
    await intend(store, await claimed(store), 1)
    later = 1 + LEASE.total_seconds()

    await intend(store, await claim_of(store, later), later)

    assert [one.at for one in await told(store)] == [at(1), at(later)]


async def test_an_intent_that_is_refused_is_not_told(store: Store) -> None:
    claim = await claimed(store)
    with pytest.raises(OutOfBudget):
        await store.records.intend(
            claim, remediation(), now=at(1), lease=LEASE, limits=limits(concurrent=0)
        )
    with pytest.raises(LeaseLost):
        await intend(store, Claim(target=WEB, fence=99), 1)

    assert await told(store) == []

    await intend(store, claim, 2)

    assert [one.at for one in await told(store)] == [at(2)]


async def test_what_a_step_found_out_is_told_once(store: Store) -> None:
    claim = await claimed(store)

    for _ in range(2):
        await store.records.note(claim, leaving(outcome(1), outcome(2)), now=at(2))

    assert await told(store) == [outcome(1), outcome(2)]


async def test_a_note_that_is_refused_tells_nothing(store: Store) -> None:
    await claimed(store)

    with pytest.raises(LeaseLost):
        await store.records.note(Claim(target=WEB, fence=99), leaving(outcome()), now=at(1))

    assert await told(store) == []


async def test_an_order_is_told_once_with_who_and_why(store: Store) -> None:
    for _ in range(2):
        await store.orders.place(WEB, order(), now=at(1), reply=reply())
    await store.orders.place(WEB, order(2), now=at(2))  # one is pending already

    assert await told(store) == [
        AuditEntry(
            at=order().at,
            kind=AuditKind.ORDER,
            target=WEB,
            remediation="r1",
            order="restart",
            author="ops",
            why="läuft heiß",
        )
    ]


async def test_what_people_stop_is_told_with_who_and_why(store: Store) -> None:
    lines = [
        AuditEntry(at=at(n), kind=AuditKind.ORDER, order=what, author="ops", why="Strom")
        for n, what in enumerate(("pause", "resume", "hold", "release"), start=1)
    ]
    await store.controls.set_pause(halt(), told=lines[0])
    await store.controls.set_pause(None, told=lines[1])
    await store.controls.set_hold(WEB, halt(), told=lines[2])
    await store.controls.set_hold(WEB, None, told=lines[3])
    await store.controls.set_pause(halt())  # by no person: the store is told again what it lost

    assert await told(store) == lines
    assert await store.controls.holds() == {}


async def test_lines_are_read_from_a_moment_on_and_as_many_as_asked(store: Store) -> None:
    for number in (1, 2, 3):
        await step(store, 600 * number, leaving(outcome(number)))

    assert [one.number for one in await store.audit.entries(since=at(1200))] == [2, 3]
    assert [one.number for one in await store.audit.entries(limit=2)] == [1, 2]
    assert [one.number for one in await store.audit.entries(since=at(1201), limit=2)] == [3]
    assert await store.audit.entries(limit=0) == ()


async def test_a_clock_that_goes_back_keeps_the_order(store: Store) -> None:
    for number, seconds in ((1, 600), (2, 0), (3, 1)):
        entry = Entry(remediation=None, due=None, audit=(outcome(number),))
        await step(store, seconds, entry, target=f"host:{number}")

    assert [one.entry for one in await store.audit.entries()] == [outcome(n) for n in (1, 2, 3)]
    assert (await store.audit.verify()).broken_at is None
    # Whoever reads on from the newest moment he knows misses nothing.
    assert [one.number for one in await store.audit.entries(since=at(600))] == [1, 2, 3]


async def test_a_whole_chain_is_found_whole(store: Store) -> None:
    for number in range(1, 4):
        await step(store, 600 * number, leaving(outcome(number)))
    await intend(store, await claim_of(store, 2400), 2400)

    check = await store.audit.verify()

    assert (check.lines, check.first, check.broken_at) == (4, 1, None)
    chains = [line.chain for line in await store.audit.entries()]
    assert len(set(chains)) == 4
    assert all(len(chain) == 40 for chain in chains)


async def test_a_line_by_itself_is_chained_like_any(store: Store) -> None:
    await step(store, 1, leaving(outcome()))
    await store.audit.tell(replace(outcome(2), at=at(0)))  # a clock that goes back

    check = await store.audit.verify()

    assert [one.entry.attempt for one in await store.audit.entries()] == ["r1:1", "r1:2"]
    assert (check.lines, check.broken_at) == (2, None)


async def test_two_lines_alike_are_two(store: Store) -> None:
    for _ in range(2):
        await store.audit.tell(outcome())

    assert await told(store) == [outcome(), outcome()]


async def test_where_it_stands(store: Store) -> None:
    assert await store.audit.head() is None
    assert (await store.audit.verify()).head is None

    for number in (1, 2):
        await store.audit.tell(outcome(number))

    first, last = await store.audit.texts()
    assert await store.audit.head() == last.mark == (await store.audit.verify()).head
    assert last.mark.number == 2
    assert await store.audit.holds(first.mark)
    assert await store.audit.holds(last.mark)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"chain": "0" * 40}, id="another line of that name"),
        pytest.param({"id": f"{10**13}-3"}, id="a younger one"),
        pytest.param({"id": f"{10**12}-2"}, id="the same number at another time"),
    ],
)
async def test_a_line_that_is_not_there(store: Store, change: dict[str, str]) -> None:
    for number in (1, 2):
        await store.audit.tell(outcome(number))
    head = await store.audit.head()
    assert head is not None

    assert not await store.audit.holds(replace(head, **change))


async def test_it_can_be_worked_out_by_whoever_has_the_lines(store: Store) -> None:
    for number in (1, 2, 3):
        await store.audit.tell(outcome(number))

    mark = AuditMark()
    for one in await store.audit.texts():
        assert one.follows(mark)
        assert not replace(one, text=one.text.replace("recovered", "vanished")).follows(mark)
        mark = one.mark


async def test_lines_are_read_on_from_one_that_is_known(store: Store) -> None:
    for number in (1, 2, 3):
        await store.audit.tell(outcome(number))
    first, second, third = await store.audit.texts()

    assert await store.audit.texts(after=first.id) == (second, third)
    assert await store.audit.texts(after=first.id, since=at(3), limit=1) == (second,)
    assert await store.audit.texts(after=third.id) == ()
    assert await store.audit.texts(since=at(3)) == (third,)
    assert await store.audit.texts(since=at(-(10**10))) == (first, second, third)


async def test_what_tells_of_lost_lines_is_counted(store: Store) -> None:
    pretends = replace(outcome(), why='"kind":"lost"', detail="kind:lost")
    lost = AuditEntry(at=at(2), kind=AuditKind.LOST, detail="line 7 is gone")
    for entry in (pretends, lost, outcome(3)):
        await store.audit.tell(entry)

    check = await store.audit.verify()

    assert (check.losses, check.broken_at) == ((2,), None)


async def test_the_oldest_of_very_many_give_way(store: Store) -> None:
    await store.audit.tell(outcome(7))
    oldest = await store.audit.head()
    assert oldest is not None
    for part in range(20):
        many = (outcome(number) for number in range(5000 * part, 5000 * part + 5000))
        await step(store, 600 * (part + 1), leaving(*many))
    await store.audit.tell(outcome(8))

    check = await store.audit.verify()

    assert (check.lines, check.first, check.broken_at) == (100_000, 3, None)
    assert check.head is not None
    assert check.head.number == 100_002
    # Nobody can tell any more: it is not held against the audit.
    assert await store.audit.holds(oldest)


@pytest.mark.redis
class TestInRedis:
    """What somebody does to the stream itself."""

    KEY = "{relevo}:audit"

    async def lines(self, store: Store, number: int) -> None:
        entries = (outcome(one) for one in range(1, number + 1))
        await step(store, 600, leaving(*entries))

    async def test_both_stores_make_the_same_chain(self, own_store: Store) -> None:
        memory = make_store()
        for one in (own_store, memory):
            await self.lines(one, 3)

        assert await own_store.audit.entries() == await memory.audit.entries()

    async def test_a_line_that_was_changed_is_found(self, own_store: Store, admin: Redis) -> None:
        await self.lines(own_store, 3)
        found = cast("list[tuple[bytes, dict[Any, Any]]]", await admin.xrange(self.KEY))
        await admin.delete(self.KEY)
        for place, (name, fields) in enumerate(found):
            if place == 1:
                fields[b"entry"] = fields[b"entry"].replace(b"recovered", b"vanished")
            await admin.xadd(self.KEY, fields, id=name)

        assert (await own_store.audit.verify()).broken_at == 2

    async def test_a_line_that_was_taken_out_is_found(self, own_store: Store, admin: Redis) -> None:
        await self.lines(own_store, 3)
        found = cast("list[tuple[bytes, object]]", await admin.xrange(self.KEY))
        await admin.xdel(self.KEY, found[1][0])

        check = await own_store.audit.verify()

        assert (check.lines, check.broken_at) == (2, 3)

    async def test_what_somebody_has_cut_off_is_missed(
        self, own_store: Store, admin: Redis
    ) -> None:
        await self.lines(own_store, 4)
        await admin.xtrim(self.KEY, maxlen=2, approximate=False)

        check = await own_store.audit.verify()

        assert (check.first, check.broken_at) == (3, 3)

    async def test_what_somebody_has_cut_off_is_missed_whatever_he_says_came_before(
        self, own_store: Store, admin: Redis
    ) -> None:
        await self.lines(own_store, 4)
        _, last, *_ = await own_store.audit.texts()
        await admin.xtrim(self.KEY, maxlen=2, approximate=False)
        await admin.hset(f"{self.KEY}:anchor", mapping={"id": last.id, "chain": last.chain})

        check = await own_store.audit.verify()

        assert (check.lines, check.first, check.broken_at) == (2, 3, 3)

    async def test_what_was_cut_off_at_the_end_is_missed_by_who_knew_it(
        self, own_store: Store, admin: Redis
    ) -> None:
        await self.lines(own_store, 4)
        head = await own_store.audit.head()
        assert head is not None
        await admin.xdel(self.KEY, head.id)

        assert (await own_store.audit.verify()).broken_at is None
        assert not await own_store.audit.holds(head)

    async def test_a_stream_that_begins_anew_does_not_follow_what_gave_way(
        self, own_store: Store, admin: Redis
    ) -> None:
        await admin.hset(f"{self.KEY}:anchor", mapping={"id": "5-7", "chain": "c"})

        assert (await own_store.audit.verify()).broken_at == 8  # where is it?
        await self.lines(own_store, 1)
        assert (await own_store.audit.verify()).broken_at == 1

    async def test_an_anchor_that_cannot_be_read_is_none(
        self, own_store: Store, admin: Redis
    ) -> None:
        await self.lines(own_store, 2)
        await admin.hset(f"{self.KEY}:anchor", mapping={"id": "a-b", "chain": "c"})

        assert (await own_store.audit.verify()).broken_at is None

    async def test_a_line_that_cannot_be_read_is_told_as_it_is(
        self, own_store: Store, admin: Redis
    ) -> None:
        await admin.xadd(self.KEY, {"chain": b"\xff", "entry": b"{\xff"}, id="1-1")

        (line,) = await own_store.audit.texts()

        assert (line.id, line.chain, line.text) == ("1-1", r"\xff", r"{\xff")

    async def test_a_long_audit_is_read_in_pages(self, own_store: Store) -> None:
        await self.lines(own_store, 2500)

        assert (await own_store.audit.verify()).lines == 2500
        assert [one.number for one in await own_store.audit.entries(limit=2100)] == list(
            range(1, 2101)
        )

    async def test_what_cannot_be_told_is_not_done(self, own_store: Store, admin: Redis) -> None:
        claim = await claimed(own_store)
        await admin.set(self.KEY, "nonsense")

        with pytest.raises(StoreUnavailable):
            await intend(own_store, claim, 1)

        assert await own_store.failures.charged(since=at(-1)) == ()
        assert await own_store.records.remediation_of(WEB) is None

    async def test_a_broken_audit_keeps_no_step_from_being_noted(
        self, own_store: Store, admin: Redis
    ) -> None:
        await admin.set(self.KEY, "nonsense")

        await step(own_store, 0, leaving(outcome()))

        assert await own_store.records.remediation_of(WEB) == remediation()

    async def test_a_broken_audit_keeps_nobody_from_stopping_everything(
        self, own_store: Store, admin: Redis
    ) -> None:
        await admin.set(self.KEY, "nonsense")

        await own_store.controls.set_pause(halt(), told=outcome())

        assert await own_store.controls.pause() == halt()

    async def test_a_line_that_cannot_be_read_is_named(
        self, own_store: Store, admin: Redis
    ) -> None:
        await admin.xadd(self.KEY, {"chain": "x", "entry": "{"}, id="1-1")

        with pytest.raises(StoreUnavailable) as unreadable:
            await own_store.audit.entries()

        assert self.KEY in str(unreadable.value)
        assert (await own_store.audit.verify()).broken_at == 1
