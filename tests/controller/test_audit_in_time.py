"""The audit of a whole controller: each action has its intent before it, and its outcome."""

from datetime import timedelta

import pytest

from app.controller.operate import Wish
from app.controller.poison import Gravedigger
from app.controller.teller import Teller
from app.domain.audit import AuditEntry, AuditKind
from app.domain.control import OrderKind
from app.domain.decision import Reason, Verdict
from app.domain.remediation import Trigger
from app.errors import EngineRefused, EngineSilent, StoreUnavailable
from app.ports import NO_END, Claim, Entry, Store
from tests.builders import START, TARGET, alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine, FakePrometheus
from tests.memory_store import MemoryStore, make_store

pytestmark = pytest.mark.looptime

INTENT, ACTED, OUTCOME = AuditKind.INTENT, AuditKind.ACTED, AuditKind.OUTCOME
ANNA = Wish(reason="it leaks", author="anna")


class Frail(MemoryStore):
    """A store whose notes fail from some moment on."""

    fails_to_note = False

    async def note(self, claim: Claim, entry: Entry, *, now):  # type: ignore[no-untyped-def]
        if self.fails_to_note:
            raise StoreUnavailable("connection lost")
        await super().note(claim, entry, now=now)


async def lines(store: Store) -> list[AuditEntry]:
    assert (await store.audit.verify()).broken_at is None
    return [line.entry for line in await store.audit.entries()]


async def kinds(store: Store) -> list[AuditKind]:
    return [one.kind for one in await lines(store)]


async def test_each_action_has_its_intent_and_its_outcome_in_the_audit(watched: House) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=45)

    lines = [line.entry for line in await watched.store.audit.entries()]
    by_kind = {
        kind: [one.attempt for one in lines if one.kind is kind]
        for kind in (AuditKind.INTENT, AuditKind.ACTED, AuditKind.OUTCOME)
    }
    attempts = [one for story in await watched.stories() for one in story.attempts]
    done = len(watched.since_start("restart")) + len(watched.since_start("clone"))
    assert done >= 4
    assert len(by_kind[AuditKind.INTENT]) == done
    assert by_kind[AuditKind.ACTED] == by_kind[AuditKind.INTENT]
    judged = {one.id for one in attempts if one.verdict is not None}
    assert set(by_kind[AuditKind.OUTCOME]) == judged
    assert len(by_kind[AuditKind.OUTCOME]) == len(judged)
    for attempt_id in judged:
        kinds = [one.kind for one in lines if one.attempt == attempt_id]
        assert kinds == [AuditKind.INTENT, AuditKind.ACTED, AuditKind.OUTCOME]
    assert (await watched.store.audit.verify()).broken_at is None


async def test_what_the_engine_refuses_has_its_intent_answer_and_outcome(
    watched: House, engine: FakeEngine
) -> None:
    engine.errors = [EngineRefused(500, "no such device")]
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=4)

    intent, answer, outcome = await lines(watched.store)
    assert (intent.kind, answer.kind, outcome.kind) == (INTENT, ACTED, OUTCOME)
    assert answer.detail is not None
    assert "no such device" in answer.detail
    assert outcome.verdict is Verdict.ENGINE_ERROR


async def test_an_engine_that_is_silent_is_told_of_until_it_is_seen_to_have_acted(
    watched: House, engine: FakeEngine
) -> None:
    engine.errors, engine.acts_anyway = [EngineSilent("no answer")], True
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=3)

    assert await kinds(watched.store) == [INTENT, ACTED, ACTED]
    assert [one.detail for one in await lines(watched.store)][1:] == ["no answer", None]


@pytest.mark.parametrize("is_done", [False, True], ids=["before-the-engine", "after-the-engine"])
async def test_killed_between_intent_and_note(
    clock: VirtualClock,
    engine: FakeEngine,
    alertmanager: FakeAlertmanager,
    *,
    is_done: bool,
) -> None:
    memory = Frail()
    engine.takes = timedelta(seconds=5)
    samples = FakePrometheus(clock)
    first = build(make_store(memory), clock, engine, alerts=alertmanager, samples=samples)
    async with working(first, pulling=True):
        await first.take(alert())
        await pass_time(seconds=61)
        memory.fails_to_note = is_done
        if is_done:
            await pass_time(seconds=9)
    memory.fails_to_note = False
    second = build(make_store(memory), clock, engine, alerts=alertmanager, samples=samples)
    async with working(second, pulling=True):
        await pass_time(minutes=6)

    told = [one for one in await lines(second.store) if one.attempt == (await _first(second))]
    assert len(engine.done("restart")) == 1
    # Carried out by another step, it is intended by another step: the intents say who did it.
    expected = [INTENT, ACTED, OUTCOME] if is_done else [INTENT, INTENT, ACTED, OUTCOME]
    assert [one.kind for one in told] == expected


async def test_what_people_order_is_told_with_its_author(watched: House) -> None:
    async with working(watched, pulling=True):
        await pass_time(seconds=1)
        await watched.operator.pause(ANNA, lasts=timedelta(hours=1))
        await watched.operator.resume(ANNA)
        await watched.operator.hold(TARGET, ANNA, lasts=None)
        await watched.operator.release(TARGET, ANNA)
        await watched.operator.reset(TARGET, ANNA)
        await pass_time(seconds=5)
        placed = await watched.operator.act(TARGET, OrderKind.RESTART, ANNA)
        await pass_time(seconds=5)

    orders = [one for one in await lines(watched.store) if one.kind is AuditKind.ORDER]
    assert [(one.order, one.target) for one in orders] == [
        ("pause", None),
        ("resume", None),
        ("hold", TARGET),
        ("release", TARGET),
        ("reset", TARGET),
        ("restart", TARGET),
    ]
    assert {(one.author, one.why) for one in orders} == {("anna", "it leaks")}
    assert all(one.at > START for one in orders)
    (intent,) = [one for one in await lines(watched.store) if one.kind is INTENT]
    assert (intent.attempt, intent.trigger) == (placed.attempt, Trigger.MANUAL)
    assert intent.why == "anna: it leaks"


async def test_what_is_only_asked_about_is_not_told(watched: House) -> None:
    rehearsed = Wish(reason="what if", author="anna", dry_run=True)
    async with working(watched, pulling=True):
        await pass_time(seconds=1)
        await watched.operator.pause(rehearsed, lasts=None)
        await watched.operator.hold(TARGET, rehearsed, lasts=None)
        await watched.operator.act(TARGET, OrderKind.RESTART, rehearsed)
        await watched.operator.resume(rehearsed)

    assert await lines(watched.store) == []


async def test_a_story_that_is_buried_has_its_outcome(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    memory = Frail()
    samples = FakePrometheus(clock)
    house = build(make_store(memory), clock, engine, alerts=alertmanager, samples=samples)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=59)
        memory.fails_to_note = True
        await pass_time(seconds=2)
    memory.fails_to_note = False
    (claim,) = (
        await house.store.schedule.claim(
            now=clock.now() + timedelta(minutes=5), lease=timedelta(seconds=30), limit=1
        )
    ).claims
    gravedigger = Gravedigger(
        house.store.records,
        house.store.schedule,
        house.telemetry,
        house.engine,
        not_after=NO_END,
        tell=lambda: None,
        teller=Teller(),
    )
    await gravedigger.bury(claim, clock.now())

    last = (await lines(house.store))[-1]
    assert (last.kind, last.verdict, last.reason) == (OUTCOME, Verdict.UNKNOWN, Reason.POISON)


async def _first(house: House) -> str:
    return (await house.stories())[-1].attempts[0].id
