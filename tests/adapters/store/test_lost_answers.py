"""A call whose answer was lost has often been applied: every script may be repeated blindly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from app.adapters.store import open_store
from app.domain.audit import AuditMark
from app.domain.control import Brake
from app.errors import LeaseLost, OutOfBudget, StoreUnavailable
from app.ports import Cooldown, Entry, Restored, Store, Taken
from tests.adapters.store.asking import CALLS, CANDIDATE
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WEB,
    activity,
    aside,
    at,
    casefile,
    claim_of,
    claimed,
    due,
    halt,
    leaving,
    left,
    limits,
    message,
    notice,
    order,
    outcome,
    read,
    remediation,
    reply,
)
from tests.adapters.store.far_sides import LossyLine, lossy_line
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis

#: Losing one answer is made good by the call's own repetition, losing both is not.
ONE, BOTH = 1, 2


@pytest.fixture
async def line(shared_server: RedisServer, short_dir: Path) -> AsyncIterator[LossyLine]:
    async with lossy_line(short_dir / uuid4().hex[:8], shared_server.socket) as line:
        yield line


@pytest.fixture
async def store(
    line: LossyLine, shared_server: RedisServer, namespace: str
) -> AsyncIterator[Store]:
    """An empty store, connected, whose server knows all scripts: what is lost is no preliminary."""
    async with open_store(shared_server.url, namespace=f"{namespace}other:") as other:
        for call in CALLS.values():
            with suppress(LeaseLost):
                await call(other)
    async with open_store(f"unix://{line.path}", namespace=namespace) as store:
        await store.facts.get("connect")
        yield store


async def test_a_notice_is_taken_once(store: Store, line: LossyLine) -> None:
    await store.inbox.accept((), [aside(seconds=-1)], now=at(-1))  # Redis knows the script now
    line.lose = ONE

    taken = await store.inbox.accept([notice()], [aside()], now=START)

    # The repetition finds what the first try has stored; both count as accepted.
    assert taken == (Taken.DUPLICATE,)
    assert await due(store, 0) == [WEB]
    assert await store.history.asides() == (aside(), aside(seconds=-1))


async def test_a_notice_without_an_answer_is_sent_again(store: Store, line: LossyLine) -> None:
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.inbox.accept([notice()], [aside()], now=START)

    assert await store.inbox.accept([notice()], [aside()], now=at(1)) == (Taken.DUPLICATE,)

    assert await due(store, 1) == [WEB]


async def test_a_claim_is_given_out_once(store: Store, line: LossyLine) -> None:
    await store.inbox.accept([notice(), notice(target="host:db")], (), now=START)
    line.lose = ONE

    assert sorted(await due(store, 0)) == ["host:db", WEB]
    assert await due(store, 0) == []


async def test_a_claim_without_an_answer_is_given_out_by_the_next(
    store: Store, line: LossyLine
) -> None:
    await store.inbox.accept([notice()], (), now=START)
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.schedule.claim(now=START, lease=LEASE, limit=1)
    await store.inbox.accept([notice(target="host:db")], (), now=at(5))

    found = await store.schedule.claim(now=at(6), lease=LEASE, limit=10)

    # Within the lease that nobody knows of, which begins anew.
    assert [claim.target for claim in found.claims] == [WEB, "host:db"]
    assert await due(store, 35.999) == []
    # Both leases have ended: one of them is leased.
    assert await due(store, 36) == ["host:db"]
    assert await due(store, 36.2) == [WEB]


async def test_a_claim_of_many_without_an_answer_is_given_out_but_for_what_is_gone(
    store: Store, line: LossyLine, shared_server: RedisServer, namespace: str
) -> None:
    many = [f"host:n{number:03}" for number in range(400)]
    await store.schedule.nudge(many, now=START)
    for turn in range(2):  # the second asks for the first one's again, and for as many more
        line.lose = BOTH
        with pytest.raises(StoreUnavailable):
            await store.schedule.claim(now=at(turn), lease=LEASE, limit=150 * (1 + turn))
    async with open_store(shared_server.url, namespace=namespace) as other:
        assert await due(other, 2, limit=60) == many[300:360]

    found = await store.schedule.claim(now=at(3), lease=LEASE, limit=1000)

    targets = [claim.target for claim in found.claims]
    assert sorted(targets) == [*many[:300], *many[360:]]
    assert len({claim.fence for claim in found.claims}) == 3
    assert await store.schedule.renew(found.claims, now=at(4), lease=LEASE) == ()


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_of_suspects_the_same_is_given_out_again_and_no_other(
    store: Store, line: LossyLine, lost: int
) -> None:
    many = [f"host:n{number}" for number in range(3)]
    await store.schedule.nudge(many, now=START)
    assert await due(store, 0) == many
    line.lose = lost
    if lost == BOTH:
        with pytest.raises(StoreUnavailable):
            await store.schedule.claim(now=at(30), lease=LEASE, limit=10)

    # The others are due again by now.
    found = await store.schedule.claim(now=at(31), lease=LEASE, limit=10)

    assert [(one.target, one.lost) for one in found.claims] == [("host:n0", 1)]
    again = await store.schedule.claim(now=at(32), lease=LEASE, limit=10)
    assert [(one.target, one.lost) for one in again.claims] == [("host:n1", 1)]


async def test_a_claim_that_another_worker_took_over_is_not_given_out_again(
    store: Store, line: LossyLine, shared_server: RedisServer, namespace: str
) -> None:
    await store.inbox.accept([notice()], (), now=START)
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.schedule.claim(now=START, lease=LEASE, limit=1)
    async with open_store(shared_server.url, namespace=namespace) as other:
        await claim_of(other, 30)

    assert await due(store, 31) == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancelled_claim_is_given_out_by_the_next(
    store: Store, line: LossyLine, turns: int
) -> None:
    """Wherever it was cancelled; and no cancellation is lost on its way."""
    await store.inbox.accept([notice()], (), now=START)
    call = asyncio.create_task(store.schedule.claim(now=START, lease=LEASE, limit=1))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert not call.done()

    call.cancel()
    await asyncio.wait({call})

    assert call.cancelled()
    assert await due(store, 0) == [WEB]


async def test_two_claims_at_once_share_nothing(store: Store) -> None:
    await store.inbox.accept([notice(target=f"host:{n}") for n in range(9)], (), now=START)

    halves = await asyncio.gather(*(due(store, 0, limit=3) for _ in range(3)))

    assert sorted(target for half in halves for target in half) == [f"host:{n}" for n in range(9)]


async def test_an_intent_holds(store: Store, line: LossyLine) -> None:
    claim = await claimed(store)
    cooldown = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    line.lose = ONE

    await store.records.intend(
        claim,
        remediation(),
        now=START,
        lease=LEASE,
        limits=limits(),
        activity=activity(),
        cooldown=cooldown,
    )

    assert await store.records.remediation_of(WEB) == remediation()
    assert await store.history.activities() == (activity(),)


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_note_is_written_once(store: Store, line: LossyLine, lost: int) -> None:
    claim = await claimed(store)
    entry = Entry(
        remediation=remediation(),
        due=at(60),
        failed_attempt="r1:1",
        recovered_attempt="r1:0",
        tally={"restarts": 1},
        activity=activity(),
    )
    line.lose = lost
    if lost == BOTH:
        with pytest.raises(StoreUnavailable):
            await store.records.note(claim, entry, now=START)

    await store.records.note(claim, entry, now=at(1))

    claim = await claim_of(store, 60)
    dossier = await read(store, 60)
    assert (dossier.remediation, dossier.failures) == (remediation(), 1)
    assert await store.history.tallies() == {"restarts": 1}
    assert len((await store.failures.recoveries(since=at(-1)))[WEB]) == 1


async def test_what_is_charged_without_an_answer_is_charged_once(
    store: Store, line: LossyLine
) -> None:
    claim = await claimed(store)
    bounds = limits(concurrent=1, burst=1, per_hour=1, group=GROUP, out_of_group=1)

    async def intend(seconds: float) -> None:
        await store.records.intend(
            claim, remediation(), now=at(seconds), lease=LEASE, limits=bounds
        )

    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await intend(0)
    line.lose = ONE
    await intend(1)

    assert await store.failures.charged(since=at(-1)) == (START,)
    assert await store.records.remediation_of(WEB) == remediation()


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_messages_and_lines_of_a_note_are_written_once(
    store: Store, line: LossyLine, lost: int
) -> None:
    claim = await claimed(store)
    entry = Entry(remediation=remediation(), due=None, outbox=(message(),), audit=(outcome(),))
    line.lose = lost
    if lost == BOTH:
        with pytest.raises(StoreUnavailable):
            await store.records.note(claim, entry, now=START)
    await store.records.note(claim, entry, now=START)

    assert [one.message for one in (await store.outbox.waiting(limit=9)).messages] == [message()]
    assert [one.entry for one in await store.audit.entries()] == [outcome()]


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_an_intent_has_one_line_in_the_audit(
    store: Store, line: LossyLine, lost: int
) -> None:
    claim = await claimed(store)
    line.lose = lost
    if lost == BOTH:
        with pytest.raises(StoreUnavailable):
            await store.records.intend(
                claim, remediation(), now=START, lease=LEASE, limits=limits()
            )
    await store.records.intend(claim, remediation(), now=at(1), lease=LEASE, limits=limits())

    assert [one.entry.attempt for one in await store.audit.entries()] == ["r1:1"]


async def test_an_order_has_one_line_in_the_audit(store: Store, line: LossyLine) -> None:
    line.lose = ONE
    await store.orders.place(WEB, order(), now=START)

    assert [one.entry.author for one in await store.audit.entries()] == ["ops"]


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_what_is_stopped_has_one_line_in_the_audit(
    store: Store, line: LossyLine, lost: int
) -> None:
    line.lose = lost
    with suppress(StoreUnavailable):
        await store.controls.set_hold(WEB, halt(), told=outcome())

    assert [one.entry for one in await store.audit.entries()] == [outcome()]


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_line_by_itself_is_written_once(store: Store, line: LossyLine, lost: int) -> None:
    line.lose = lost
    with suppress(StoreUnavailable):
        await store.audit.tell(outcome())
    await store.audit.tell(outcome(2))

    assert [one.entry for one in await store.audit.entries()] == [outcome(), outcome(2)]


async def test_a_message_is_forgotten_alone(store: Store, line: LossyLine) -> None:
    entry = Entry(remediation=None, due=None, outbox=(message(1), message(2)))
    await store.records.note(await claimed(store), entry, now=START)
    first, second = (await store.outbox.waiting(limit=9)).messages
    line.lose = ONE

    await store.outbox.done(first.place)

    assert (await store.outbox.waiting(limit=9)).messages == (second,)


async def test_a_refusal_without_an_answer_is_the_same_again(store: Store, line: LossyLine) -> None:
    claim = await claimed(store)
    await store.records.intend(claim, remediation(), now=START, lease=LEASE, limits=limits("r1:1"))
    line.lose = ONE

    with pytest.raises(OutOfBudget) as refused:
        await store.records.intend(
            claim, remediation(), now=at(1), lease=LEASE, limits=limits("r1:2", burst=1)
        )

    assert refused.value.until == at(360)
    assert await store.failures.charged(since=at(-1)) == (START,)


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_an_order_is_placed_once(store: Store, line: LossyLine, lost: int) -> None:
    line.lose = lost
    if lost == BOTH:
        with pytest.raises(StoreUnavailable):
            await store.orders.place(WEB, order(), now=START, reply=reply())

    # Not taken for somebody else's.
    assert await store.orders.place(WEB, order(), now=START, reply=reply()) is None

    assert await store.orders.pending(WEB) == order()
    assert await store.orders.replied("k1") == reply()
    assert await due(store, 0) == [WEB]


async def test_an_order_answered_before_its_repetition_is_not_placed_again(
    store: Store, line: LossyLine
) -> None:
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.orders.place(WEB, order(), now=START)
    claim = await claim_of(store, 0)
    entry = Entry(remediation=None, due=None, answered_order=order().id)
    await store.records.note(claim, entry, now=at(1))

    assert await store.orders.place(WEB, order(), now=START) is None

    assert await store.orders.pending(WEB) is None


async def test_a_reply_is_not_taken_for_somebody_elses(store: Store, line: LossyLine) -> None:
    line.lose = ONE

    assert await store.orders.reply(reply()) is None

    assert await store.orders.reply(reply()) == reply()


async def test_what_operators_stop_is_stopped(store: Store, line: LossyLine) -> None:
    brake = Brake(engaged_at=START, failing=4, cleared_at=START)
    for call in (
        store.controls.set_pause(halt()),
        store.controls.set_hold(WEB, halt()),
        store.controls.set_brake(brake),
        store.casefiles.keep("r1:1", casefile()),
        store.schedule.nudge([WEB], now=START),
    ):
        line.lose = ONE
        await call

    dossier = await read(store, 0)
    assert (dossier.pause, dossier.hold, dossier.brake) == (halt(), halt(), brake)
    assert await store.casefiles.of("r1:1") == casefile()
    assert await due(store, 0) == [WEB]


async def test_a_read_is_repeated(store: Store, line: LossyLine) -> None:
    for call in (
        read(store, 0),
        store.history.asides(),
        store.schedule.overdue(now=START),
        store.history.tallies(),
        store.failures.recoveries(since=START),
        store.failures.charged(since=START),
        store.controls.pause(),
        store.controls.holds(),
        store.controls.brake(),
        store.orders.pending(WEB),
        store.orders.replied("k1"),
        store.casefiles.of("r1:1"),
        store.outbox.waiting(limit=9),
        store.audit.entries(),
        store.audit.verify(),
        store.audit.texts(),
        store.audit.head(),
        store.audit.holds(AuditMark(id="1-1")),
        store.scaling.under_way(),
        store.leadership.look(),
        store.leadership.charges(since=START),
    ):
        line.lose = ONE
        await call


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_seat_taken_without_an_answer_is_taken_once(
    store: Store, line: LossyLine, lost: int
) -> None:
    founded = await store.leadership.found("h1", now=START, instead_of="")
    line.spare, line.lose = 1, lost  # the server is asked for its name first
    with suppress(StoreUnavailable):
        await store.leadership.lead(CANDIDATE, now=START, engine="host1")
    assert line.lose == 0

    standing = await store.leadership.lead(CANDIDATE, now=START, engine="host1")

    # The beat alone tells how often it was asked for.
    assert (standing.life, standing.term, standing.beat) == (CANDIDATE.life, 1, 3)
    assert standing.fence == founded.fence + 1


async def test_a_seat_left_twice_is_left(store: Store, line: LossyLine) -> None:
    await store.leadership.found("h1", now=START, instead_of="")
    await store.leadership.lead(CANDIDATE, now=START, engine="")
    line.lose = ONE

    await store.leadership.resign(CANDIDATE)

    assert (await store.leadership.look()).instance == ""


async def test_leaving_twice_does_not_leave_for_who_came_between(
    store: Store, line: LossyLine
) -> None:
    await store.leadership.found("h1", now=START, instead_of="")
    await store.leadership.lead(CANDIDATE, now=START, engine="")
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.leadership.resign(CANDIDATE)
    heir = replace(CANDIDATE, instance="bert", life="bert-1")
    taken = await store.leadership.lead(heir, now=START, engine="")

    await store.leadership.resign(CANDIDATE)

    assert await store.leadership.look() == taken
    assert taken.life == heir.life


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_history_is_begun_once(store: Store, line: LossyLine, lost: int) -> None:
    restored = Restored(fence=70, charges={"r1:1": at(-1)}, pause=halt(), holds={WEB: halt()})

    async def found() -> None:
        await store.leadership.found("h2", now=START, instead_of="", restored=restored)

    line.lose = lost
    with suppress(StoreUnavailable):
        await found()
    line.lose = 0
    # What happened since then is not undone by the repetition.
    await store.controls.set_pause(halt(since=7))
    await store.controls.set_hold(WEB, halt(since=8))
    fence = (await store.leadership.look()).fence
    await found()

    assert await store.controls.pause() == halt(since=7)
    assert await store.controls.holds() == {WEB: halt(since=8)}
    standing = await store.leadership.look()
    assert (standing.epoch, standing.fence) == ("h2", fence)
    assert await store.leadership.charges(since=at(-9)) == [("r1:1", at(-1))]


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_claim_is_given_back_once(store: Store, line: LossyLine, lost: int) -> None:
    claim = await claimed(store)
    line.lose = lost
    with suppress(StoreUnavailable):
        await store.schedule.requeue(claim, due=at(5))
    again = await claim_of(store, 5)

    # The repetition finds another fence, and leaves it alone.
    await store.schedule.requeue(claim, due=at(6))

    assert await store.schedule.renew([again], now=at(7), lease=LEASE) == ()
    assert again.lost == 0


async def test_what_a_lost_lease_cost_is_counted_once(store: Store, line: LossyLine) -> None:
    await claimed(store)
    line.lose = BOTH
    with pytest.raises(StoreUnavailable):
        await store.schedule.claim(now=at(30), lease=LEASE, limit=9)

    assert (await claim_of(store, 31)).lost == 1


@pytest.mark.parametrize("lost", [ONE, BOTH])
async def test_a_scale_in_begins_and_ends_once(store: Store, line: LossyLine, lost: int) -> None:
    bounds = limits("in1", concurrent=1, burst=1)

    async def begin() -> None:
        told = outcome(1)
        await store.scaling.begin(leaving(), bounds, now=START, told=told, reply=reply())

    async def end() -> None:
        await store.scaling.end(left(), now=at(30), told=outcome(2))

    for call in (begin, end):
        line.lose = lost
        if lost == BOTH:
            with pytest.raises(StoreUnavailable):
                await call()
        await call()
        assert line.lose == 0

    assert await store.scaling.under_way() == []
    assert await store.history.activities() == (left(),)
    assert await store.failures.charged(since=at(-1)) == (START,)
    assert await store.orders.replied("k1") == reply()
    assert [one.entry.attempt for one in await store.audit.entries()] == ["r1:1", "r1:2"]
