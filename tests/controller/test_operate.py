"""What operators order, in whatever state the target is, and whatever crashes meanwhile."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.controller.operate import Placed, Wish
from app.domain.alert import AlertStatus
from app.domain.container import Health, RunState
from app.domain.control import Order, OrderKind
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.remediation import Remediation, State, Trigger
from app.errors import (
    EngineSilent,
    EngineUnavailable,
    OrderConflict,
    OrderRefused,
    StoreUnavailable,
)
from app.policies.spec import BrakeRules, Guards, Mode, Policy, Rulebook, ScaleOutRules
from app.ports import Claim, Entry, Reply
from tests.builders import ENGINE, START, TARGET, alert, compose, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import REFUSED, FakeAlertmanager, FakeEngine, LivelyEngine, web
from tests.memory_store import MemoryOrders, MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(30)]

BOB = Wish(reason="it hangs", author="bob")
RESOLVED = alert(status=AlertStatus.RESOLVED)
NO_CLONES = Rulebook(defaults=Policy(scale_out=ScaleOutRules(enabled=False)))
RESTART, SCALE_OUT = OrderKind.RESTART, OrderKind.SCALE_OUT


def triggers(story: Remediation) -> list[Trigger]:
    return [attempt.trigger for attempt in story.attempts]


async def failures(house: House) -> int:
    now, hour = house.clock.now(), timedelta(hours=1)
    return await house.store.failures.count(TARGET, now=now, window=hour)


# ------------------------------------------------------------ a restart, in every state


async def test_where_nothing_is_wrong_it_is_a_story_of_its_own(house: House) -> None:
    async with working(house):
        placed = await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)
        begun = await house.story()
        await pass_time(minutes=6)
        story = await house.story()

    assert house.since_start("restart") == [0]
    assert (begun.id, begun.state) == (placed.remediation, State.VERIFYING)
    (attempt,) = story.attempts
    assert attempt.id == placed.attempt
    assert (attempt.trigger, attempt.ordered) == (Trigger.MANUAL, "bob: it hangs")
    assert attempt.verdict is Verdict.RECOVERED
    assert (story.state, story.outcome) == (State.CLOSED, Outcome.RECOVERED)


async def test_in_the_wait_it_becomes_the_next_attempt_and_the_timer_starts_from_its_verdict(
    house: House,
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=50)
        waiting = await house.story()
        placed = await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(minutes=5)
        story = await house.story()
        counted = await failures(house)

    assert placed.remediation == waiting.id == story.id
    # Its own verdict comes after three minutes; then the first delay again: it does not count.
    assert house.since_start("restart") == [50, 50 + 180 + 60]
    assert triggers(story) == [Trigger.MANUAL, Trigger.AUTOMATIC]
    assert story.attempts[0].verdict is Verdict.SYMPTOM_PERSISTS
    assert counted == 0
    assert len(await house.stories()) == 1


async def test_between_two_failed_restarts_it_is_planned_from_its_verdict(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(minutes=9)

    # One failure in the window: five minutes after the verdict of the manual one.
    assert house.since_start("restart") == [60, 300, 300 + 180 + 300]


@pytest.mark.parametrize("after", [61, 200], ids=["verifying", "settling"])
async def test_while_an_attempt_has_no_verdict_it_is_a_conflict(
    watched: House, alertmanager: FakeAlertmanager, after: int
) -> None:
    async with working(watched):
        await watched.take(alert())
        await pass_time(seconds=100)
        alertmanager.alerts.clear()
        await pass_time(seconds=after - 60)
        with pytest.raises(OrderConflict, match=r"\.1 \(restart\) has no verdict yet"):
            await watched.operator.act(TARGET, RESTART, BOB)

    assert watched.since_start("restart") == [60]


async def test_while_the_engine_is_at_it_it_is_a_conflict(house: House, engine: FakeEngine) -> None:
    engine.takes = timedelta(minutes=2)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=90)
        with pytest.raises(OrderConflict, match="has no verdict yet"):
            await house.operator.act(TARGET, RESTART, BOB)


async def test_a_target_on_hold_is_a_conflict(house: House) -> None:
    async with working(house):
        await house.operator.hold(TARGET, BOB, lasts=timedelta(minutes=5))
        with pytest.raises(OrderConflict, match="held by bob: it hangs"):
            await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(minutes=5)
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)

    assert house.since_start("restart") == [300]


async def quarantined(house: House) -> None:
    await house.take(alert())
    await pass_time(minutes=27)
    assert (await house.story()).state is State.QUARANTINED


@pytest.fixture
async def without_clones(clock: VirtualClock, engine: FakeEngine) -> House:
    return build(make_store(), clock, engine, rulebook=NO_CLONES)


async def test_a_quarantined_target_can_be_restarted(without_clones: House) -> None:
    house = without_clones
    async with working(house):
        await quarantined(house)
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)
        story = await house.story()

    assert house.since_start("restart")[-1] == 27 * 60
    assert triggers(story)[-1] is Trigger.MANUAL


async def test_a_manual_restart_that_fails_leaves_the_quarantine(without_clones: House) -> None:
    """It ends with its alerts, or by a release; nothing else begins the ladder anew."""
    house = without_clones
    async with working(house):
        await quarantined(house)
        await pass_time(hours=1)  # its failures have left the window
        acts = len(house.engine.acts)
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(minutes=30)
        story = await house.story()

    assert len(house.engine.acts) == acts + 1
    assert story.state is State.QUARANTINED


async def test_a_manual_restart_that_helps_ends_the_quarantine(without_clones: House) -> None:
    house = without_clones
    async with working(house):
        await quarantined(house)
        await house.operator.act(TARGET, RESTART, BOB)
        await house.take(RESOLVED)
        await pass_time(minutes=10)
        story = await house.story()

    assert story.attempts[-1].verdict is Verdict.RECOVERED
    assert story.outcome is Outcome.RECOVERED


async def test_pause_brake_deploy_and_silence_stop_no_person(
    clock: VirtualClock, alertmanager: FakeAlertmanager
) -> None:
    engine = LivelyEngine(clock)
    born = START - timedelta(seconds=10)
    engine.run(container("shop-web-1", 1, labels=compose("shop", "web", 1), created_at=born))
    rules = Rulebook(guards=Guards(brake=BrakeRules(targets=0, share=0)))
    alertmanager.alerts.clear()
    house = build(make_store(), clock, engine, alerts=alertmanager, rulebook=rules)
    async with working(house, pulling=True):
        await house.operator.pause(BOB, lasts=None)
        await house.operator.act(f"{ENGINE}:shop-web-1", RESTART, BOB)
        await pass_time(seconds=1)

    assert house.since_start("restart") == [0]


async def test_in_observe_mode_nothing_is_done_by_order_either(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    house = build(make_store(), clock, engine, mode=Mode.OBSERVE)
    async with working(house):
        word = await refused(house)
        await pass_time(seconds=1)

    assert word == Reason.OBSERVE
    assert engine.acts == []


# ------------------------------------------------------------ what is refused


async def refused(house: House, kind: OrderKind = RESTART, target: str = TARGET) -> str:
    with pytest.raises(OrderRefused) as caught:
        await house.operator.act(target, kind, BOB)
    return caught.value.reason


async def test_a_container_that_is_gone(house: House, engine: FakeEngine) -> None:
    engine.inside.clear()

    assert await refused(house) == Reason.NO_SUCH_TARGET


async def test_two_containers_in_one_slot(house: House, engine: FakeEngine) -> None:
    labels = compose("shop", "web", 1)
    engine.run(container("shop-web-1", 2, labels=labels))
    engine.run(container("a_shop-web-1", 3, labels=labels))

    assert await refused(house, target=f"{ENGINE}:shop-web-1") == Reason.AMBIGUOUS_TARGET


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RunState.PAUSED, Reason.PAUSED_CONTAINER),
        (RunState.EXITED, Reason.NOT_RUNNING),
        (RunState.RESTARTING, Reason.NOT_RUNNING),
    ],
)
async def test_one_that_does_not_run(
    house: House, engine: FakeEngine, state: RunState, reason: Reason
) -> None:
    engine.run(replace(web(), state=state))

    assert await refused(house) == reason


async def test_one_that_has_not_opted_in(house: House, engine: FakeEngine) -> None:
    engine.run(replace(web(), labels={}))

    assert await refused(house) == Reason.NOT_OPTED_IN


async def test_one_that_is_protected(clock: VirtualClock, engine: FakeEngine) -> None:
    rules = Rulebook(guards=Guards(protected=("web",)))
    house = build(make_store(), clock, engine, rulebook=rules)

    assert await refused(house) == Reason.PROTECTED


async def test_the_last_one_that_serves(house: House, engine: FakeEngine) -> None:
    for number, health in ((1, Health.HEALTHY), (2, Health.UNHEALTHY)):
        labels = compose("shop", "web", number)
        engine.run(container(f"shop-web-{number}", number + 1, labels=labels, health=health))

    assert await refused(house, target=f"{ENGINE}:shop-web-1") == Reason.MIN_HEALTHY


async def test_a_spent_budget(clock: VirtualClock, engine: FakeEngine) -> None:
    rules = Rulebook(guards=Guards(burst=1, per_hour=10))
    house = build(make_store(), clock, engine, rulebook=rules)
    engine.run(container("db", 2))
    async with working(house):
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)
        early = await refused(house, target=f"{ENGINE}:db")
        await pass_time(minutes=6)
        await house.operator.act(f"{ENGINE}:db", RESTART, BOB)
        await pass_time(seconds=1)

    assert early == Reason.BUDGET
    assert house.since_start("restart") == [0, 361]


async def test_an_engine_that_does_not_answer(house: House, engine: FakeEngine) -> None:
    engine.down = True

    with pytest.raises(EngineUnavailable):
        await house.operator.act(TARGET, RESTART, BOB)


@pytest.mark.parametrize("is_dry", [False, True])
async def test_what_is_refused_leaves_nothing_behind(
    house: House, engine: FakeEngine, *, is_dry: bool
) -> None:
    engine.run(replace(web(), state=RunState.EXITED))
    async with working(house):
        with pytest.raises(OrderRefused):
            await house.operator.act(TARGET, RESTART, replace(BOB, dry_run=is_dry))
        await pass_time(minutes=1)

    assert await house.stories() == ()
    assert await house.store.orders.pending(TARGET) is None


async def test_a_guard_that_comes_between_the_order_and_its_step(
    house: House, engine: FakeEngine
) -> None:
    """It is asked again; the story that only the order has begun says why it came to nothing."""
    placed = await house.operator.act(TARGET, RESTART, BOB)
    engine.run(replace(web(), state=RunState.PAUSED))
    async with working(house):
        await pass_time(seconds=20)
        story = await house.story()

    assert engine.acts == []
    assert (story.id, story.outcome) == (placed.remediation, Outcome.CANCELLED)
    assert story.log[-1].reason is Reason.PAUSED_CONTAINER
    assert "bob: it hangs; refused: it is paused" in (story.log[-1].detail or "")
    assert await house.store.orders.pending(TARGET) is None


async def test_an_order_for_a_container_that_goes_before_its_step(
    house: House, engine: FakeEngine
) -> None:
    await house.operator.act(TARGET, RESTART, BOB)
    engine.inside.clear()
    async with working(house):
        await pass_time(minutes=5)

    assert engine.acts == []
    assert await house.store.orders.pending(TARGET) is None


async def test_an_order_waits_for_an_engine_that_is_away(house: House, engine: FakeEngine) -> None:
    await house.operator.act(TARGET, RESTART, BOB)
    engine.down = True
    async with working(house):
        await pass_time(minutes=5)
        pending = await house.store.orders.pending(TARGET)
        engine.down = False
        await pass_time(seconds=20)

    assert pending is not None
    assert len(engine.done("restart")) == 1


# ------------------------------------------------------------ the same request again


async def test_the_same_key_twice_is_one_run(house: House) -> None:
    wish = replace(BOB, key="k1")
    async with working(house):
        first = await house.operator.act(TARGET, RESTART, wish)
        await pass_time(seconds=5)
        second = await house.operator.act(TARGET, RESTART, wish)
        await pass_time(hours=1)
        third = await house.operator.act(TARGET, RESTART, wish)
        await pass_time(seconds=5)

    assert first == second == third
    assert house.since_start("restart") == [0]


async def test_the_same_key_at_the_same_time_is_one_run(house: House) -> None:
    wish = replace(BOB, key="k1")
    async with working(house):
        placed = await asyncio.gather(
            *(house.operator.act(TARGET, RESTART, wish) for _ in range(5))
        )
        await pass_time(minutes=1)

    assert set(placed) == {placed[0]}
    assert house.since_start("restart") == [0]


class SlowOrders(MemoryOrders):
    """Orders of which the first answer about a reply takes a while to arrive."""

    looks = 0

    async def replied(self, key: str) -> Reply | None:
        found = await super().replied(key)
        self.looks += 1
        if self.looks == 1:
            await pass_time(seconds=2)
        return found


async def test_the_same_key_is_answered_the_same_while_its_first_run_is_under_way(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    """One of two has asked before the other is placed, and looks when that is carried out."""
    memory = MemoryStore()
    memory.orders = SlowOrders(memory)
    house = build(make_store(memory), clock, engine)
    wish = replace(BOB, key="k1")
    async with working(house):
        first, second = await asyncio.gather(
            house.operator.act(TARGET, RESTART, wish), house.operator.act(TARGET, RESTART, wish)
        )

    assert first == second
    assert len(engine.done("restart")) == 1


async def test_the_same_key_for_something_else_is_a_conflict(
    house: House, engine: FakeEngine
) -> None:
    engine.run(container("db", 2))
    wish = replace(BOB, key="k1")
    await house.operator.act(TARGET, RESTART, wish)

    for target, kind, other in (
        (f"{ENGINE}:db", RESTART, wish),
        (TARGET, SCALE_OUT, wish),
        (TARGET, RESTART, replace(wish, reason="another")),
    ):
        with pytest.raises(OrderConflict, match="another request"):
            await house.operator.act(target, kind, other)


async def test_two_orders_at_once_are_a_conflict(house: House) -> None:
    await house.operator.act(TARGET, RESTART, BOB)

    with pytest.raises(OrderConflict, match="has an order already: restart by bob"):
        await house.operator.act(TARGET, RESTART, replace(BOB, author="carol"))


async def test_a_key_that_was_refused_may_be_tried_again(house: House, engine: FakeEngine) -> None:
    wish = replace(BOB, key="k1")
    engine.run(replace(web(), state=RunState.EXITED))
    async with working(house):
        with pytest.raises(OrderRefused):
            await house.operator.act(TARGET, RESTART, wish)
        engine.run(web())
        await pass_time(seconds=2)
        await house.operator.act(TARGET, RESTART, wish)
        await pass_time(seconds=1)

    assert len(engine.done("restart")) == 1


async def test_a_dry_run_uses_no_key_up(house: House) -> None:
    wish = replace(BOB, key="k1")
    async with working(house):
        would = await house.operator.act(TARGET, RESTART, replace(wish, dry_run=True))
        await pass_time(minutes=1)
        before = list(house.engine.acts)
        await house.operator.act(TARGET, RESTART, wish)
        await pass_time(seconds=1)

    assert would.dry_run
    assert before == []
    assert len(house.engine.acts) == 1


@pytest.mark.parametrize("what", ["release", "reset", "cancel"])
async def test_orders_that_only_write_are_carried_out_once_per_key(
    without_clones: House, what: str
) -> None:
    house, wish = without_clones, replace(BOB, key="k1")

    async def order() -> Placed | None:
        match what:
            case "release":
                return await house.operator.release(TARGET, wish)
            case "reset":
                return await house.operator.reset(TARGET, wish)
            case _:
                return await house.operator.cancel(record, wish)

    async with working(house):
        await quarantined(house)
        record = await house.story()
        first = await order()
        await pass_time(seconds=10)
        second = await order()

    assert first == second
    assert first is not None


# ------------------------------------------------------------ crashes


class Frail(MemoryStore):
    """A store whose notes fail from some moment on."""

    fails_to_note = False

    async def note(self, claim: Claim, entry: Entry, *, now):  # type: ignore[no-untyped-def]
        if self.fails_to_note:
            raise StoreUnavailable("connection lost")
        await super().note(claim, entry, now=now)


async def test_a_crash_between_the_order_and_its_step(
    house: House, clock: VirtualClock, engine: FakeEngine
) -> None:
    placed = await house.operator.act(TARGET, RESTART, BOB)
    await pass_time(seconds=30)
    successor = build(house.store, clock, engine)
    async with working(successor):
        await pass_time(minutes=10)
        story = await successor.story()

    assert house.since_start("restart") == [30]
    assert [attempt.id for attempt in story.attempts] == [placed.attempt]


@pytest.mark.parametrize("is_done", [False, True], ids=["before-the-engine", "after-the-engine"])
async def test_a_crash_between_the_intent_and_its_note(
    clock: VirtualClock, engine: FakeEngine, *, is_done: bool
) -> None:
    memory = Frail()
    engine.takes = timedelta(seconds=5)
    house = build(make_store(memory), clock, engine)
    async with working(house):
        placed = await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)
        memory.fails_to_note = is_done
        if is_done:
            await pass_time(seconds=9)
    memory.fails_to_note = False
    successor = build(make_store(memory), clock, engine)
    async with working(successor):
        await pass_time(minutes=12)
        story = await successor.story()

    assert len(engine.done("restart")) == 1
    assert [attempt.id for attempt in story.attempts] == [placed.attempt]
    assert triggers(story) == [Trigger.MANUAL]
    assert story.outcome is Outcome.RECOVERED
    assert await successor.store.orders.pending(TARGET) is None


async def test_an_interrupted_order_is_carried_out_whatever_the_alerts_say(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    """A person wanted it: it is resumed although nothing fires and everything is paused."""
    engine.takes = timedelta(seconds=5)
    store = make_store()
    house = build(store, clock, engine)
    async with working(house):
        placed = await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(seconds=1)
        await house.operator.pause(BOB, lasts=None)
    successor = build(store, clock, engine)
    async with working(successor):
        await pass_time(minutes=5)
        story = await successor.story()

    assert len(engine.done("restart")) == 1
    assert [attempt.id for attempt in story.attempts] == [placed.attempt]


async def test_an_engine_that_is_silent_about_an_order(house: House, engine: FakeEngine) -> None:
    engine.errors, engine.acts_anyway = [EngineSilent("no answer")], True
    async with working(house):
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(minutes=10)
        story = await house.story()

    assert len(engine.done("restart")) == 1
    assert [attempt.verdict for attempt in story.attempts] == [Verdict.RECOVERED]


# ------------------------------------------------------------ release and reset


async def test_a_release_ends_a_quarantine(without_clones: House) -> None:
    house = without_clones
    async with working(house):
        await quarantined(house)
        placed = await house.operator.release(TARGET, BOB)
        await pass_time(seconds=1)
        assert placed is not None
        story = await house.store.history.remediation(placed.remediation)

    assert story is not None
    assert (story.state, story.outcome) == (State.CLOSED, Outcome.RELEASED)
    assert story.log[-1].detail == "bob: it hangs"


async def test_what_is_released_and_still_ill_is_treated_again(without_clones: House) -> None:
    """Alertmanager sends an unchanged alert again after four hours: nobody would wait for that."""
    house = without_clones
    async with working(house):
        await quarantined(house)
        await house.operator.reset(TARGET, BOB)
        await pass_time(seconds=1)
        await house.operator.release(TARGET, BOB)
        before = len(house.engine.acts)
        await pass_time(minutes=30)

    assert len(house.engine.acts) > before


async def test_what_is_released_and_still_listed_is_treated_again(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    house = build(make_store(), clock, engine, alerts=alertmanager, rulebook=NO_CLONES)
    async with working(house, pulling=True):
        await quarantined(house)
        await house.operator.reset(TARGET, BOB)
        await pass_time(seconds=1)
        await house.operator.release(TARGET, BOB)
        before = len(house.engine.acts)
        await pass_time(minutes=3)

    assert len(house.engine.acts) == before + 1


async def test_there_must_be_something_to_release(house: House) -> None:
    async with working(house):
        with pytest.raises(OrderConflict, match="neither held nor quarantined"):
            await house.operator.release(TARGET, BOB)
        await house.take(alert())
        await pass_time(seconds=5)
        with pytest.raises(OrderConflict, match="neither held nor quarantined"):
            await house.operator.release(TARGET, BOB)


async def test_a_release_ends_hold_and_quarantine_together(without_clones: House) -> None:
    house = without_clones
    async with working(house):
        await quarantined(house)
        await house.operator.hold(TARGET, BOB, lasts=None)
        placed = await house.operator.release(TARGET, BOB)
        await pass_time(seconds=1)
        assert placed is not None
        story = await house.store.history.remediation(placed.remediation)

    assert story is not None
    assert story.outcome is Outcome.RELEASED
    assert await house.desk.hold_of(TARGET) is None


async def test_a_dry_release_releases_nothing(without_clones: House) -> None:
    house = without_clones
    async with working(house):
        await quarantined(house)
        await house.operator.hold(TARGET, BOB, lasts=None)
        placed = await house.operator.release(TARGET, replace(BOB, dry_run=True))
        await pass_time(seconds=30)
        story = await house.story()

    assert placed is not None
    assert placed.dry_run
    assert story.state is State.QUARANTINED
    assert await house.desk.hold_of(TARGET) is not None


async def test_a_reset_forgets_the_failures(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        before = await failures(house)
        await house.operator.reset(TARGET, BOB)
        await pass_time(seconds=1)
        after = await failures(house)
        await pass_time(minutes=2)
        story = await house.story()

    assert (before, after) == (1, 0)
    # The wait is again that of a first need, from the last verdict: it is over.
    assert house.since_start("restart") == [60, 300]
    assert any(entry.detail == "bob: it hangs" for entry in story.log)


async def test_a_reset_where_nothing_is_open_opens_nothing(house: House) -> None:
    async with working(house):
        await house.operator.reset(TARGET, BOB)
        await pass_time(minutes=1)

    assert await house.stories() == ()


@pytest.mark.parametrize("what", ["reset", "hold"])
async def test_what_is_done_to_a_healthy_target_while_alertmanager_is_away_opens_nothing(
    watched: House, alertmanager: FakeAlertmanager, what: str
) -> None:
    alertmanager.down = True
    house = build(make_store(), watched.clock, watched.engine, alerts=alertmanager)
    async with working(house):
        if what == "reset":
            await house.operator.reset(TARGET, BOB)
        else:
            await house.operator.hold(TARGET, BOB, lasts=timedelta(minutes=1))
        await pass_time(minutes=20)

    assert await house.stories() == ()


# ------------------------------------------------------------ cancel


async def test_what_is_called_off_ends_with_its_alerts(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(hours=2)
        called_off = await house.story()
        await house.take(RESOLVED)
        await pass_time(seconds=30)
        story = await house.story()

    assert house.engine.acts == []
    assert (called_off.state, called_off.reason) == (State.HELD, Reason.OPERATOR)
    assert called_off.called_off == "bob: it hangs"
    assert (story.outcome, story.reason) == (Outcome.CANCELLED, Reason.OPERATOR)


async def test_what_is_called_off_is_not_opened_again_by_the_pull(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=30)
        await watched.operator.cancel(await watched.story(), BOB)
        await pass_time(hours=2)
        alertmanager.alerts.clear()
        await pass_time(minutes=5)
        stories = await watched.stories()

    assert watched.engine.acts == []
    assert [story.outcome for story in stories] == [Outcome.CANCELLED]


async def test_a_blink_of_its_alert_does_not_undo_a_cancel(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=30)
        await watched.operator.cancel(await watched.story(), BOB)
        await pass_time(minutes=5)
        alertmanager.alerts.clear()
        await pass_time(seconds=20)
        alertmanager.alerts.append(listed_alert())
        await pass_time(minutes=10)

    assert watched.engine.acts == []
    assert len(await watched.stories()) == 1


async def test_a_cancel_while_verifying_ends_the_attempt_without_a_count(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=90)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(hours=1)
        story = await house.story()

    assert [attempt.verdict for attempt in story.attempts] == [Verdict.CANCELLED]
    assert await failures(house) == 0
    assert house.since_start("restart") == [60]


async def test_what_is_being_carried_out_is_not_cut_off(house: House, engine: FakeEngine) -> None:
    engine.takes = timedelta(minutes=1)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=70)
        with pytest.raises(OrderConflict, match="not cut off"):
            await house.operator.cancel(await house.story(), BOB)


async def test_what_is_over_cannot_be_called_off(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=5)
        await house.take(RESOLVED)
        await pass_time(seconds=5)
        with pytest.raises(OrderConflict, match="is closed: cancelled"):
            await house.operator.cancel(await house.story(), BOB)


async def test_what_was_called_off_can_be_released(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=5)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(seconds=5)
        placed = await house.operator.release(TARGET, BOB)
        await pass_time(seconds=5)
        assert placed is not None
        story = await house.store.history.remediation(placed.remediation)

    assert story is not None
    assert story.outcome is Outcome.RELEASED


async def test_what_was_called_off_can_be_restarted_by_hand(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=5)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(seconds=5)
        await house.operator.act(TARGET, RESTART, BOB)
        await pass_time(hours=1)
        story = await house.story()

    assert house.since_start("restart") == [10]
    assert story.called_off is not None
    assert story.state is State.HELD


# ------------------------------------------------------------ scale-out by order


async def test_a_scale_out_by_order(house: House) -> None:
    async with working(house):
        placed = await house.operator.act(TARGET, SCALE_OUT, BOB)
        await pass_time(minutes=6)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert house.since_start("clone") == [0]
    (attempt,) = story.attempts
    assert (attempt.id, attempt.trigger) == (placed.attempt, Trigger.MANUAL)
    assert attempt.action is Action.SCALE_OUT
    assert attempt.verdict is Verdict.RELIEVED
    assert activity.id == placed.attempt


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Rulebook(defaults=Policy(scale_out=ScaleOutRules(max_instances=1))), Reason.AT_MAX),
        (Rulebook(guards=Guards(max_clones=0)), Reason.MAX_CLONES),
    ],
)
async def test_the_clone_maximum_stops_a_person_too(
    clock: VirtualClock, engine: FakeEngine, rules: Rulebook, reason: Reason
) -> None:
    house = build(make_store(), clock, engine, rulebook=rules)

    assert await refused(house, SCALE_OUT) == reason


async def test_what_cannot_be_cloned_is_refused_with_the_reason(
    house: House, engine: FakeEngine
) -> None:
    engine.report = REFUSED

    with pytest.raises(OrderRefused, match="writes to volume data") as caught:
        await house.operator.act(TARGET, SCALE_OUT, BOB)
    assert caught.value.reason == Reason.SHARED_VOLUME


async def test_a_person_need_not_wait_for_the_cooldown(house: House) -> None:
    """It keeps Relevo from running away; budget and maximum bound a person, too."""
    async with working(house):
        await house.operator.act(TARGET, SCALE_OUT, BOB)
        await pass_time(minutes=7)
        assert (await house.story()).is_closed
        await house.operator.act(TARGET, SCALE_OUT, BOB)
        await pass_time(seconds=1)

    assert house.since_start("clone") == [0, 420]


async def test_a_dry_scale_out_clones_nothing(house: House) -> None:
    async with working(house):
        placed = await house.operator.act(TARGET, SCALE_OUT, replace(BOB, dry_run=True))
        report = await house.operator.fidelity(TARGET)
        await pass_time(minutes=5)

    assert placed.dry_run
    assert report is not None
    assert not report.is_refused
    assert house.engine.acts == []
    assert await house.stories() == ()


@pytest.mark.parametrize("what", ["reset", "cancel", "hold", "pause", "resume"])
async def test_dry_runs_change_nothing(house: House, what: str) -> None:
    dry = replace(BOB, dry_run=True)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        before = await house.story()
        match what:
            case "reset":
                await house.operator.reset(TARGET, dry)
            case "cancel":
                await house.operator.cancel(before, dry)
            case "hold":
                await house.operator.hold(TARGET, dry, lasts=None)
            case "pause":
                await house.operator.pause(dry, lasts=None)
            case _:
                await house.operator.pause(BOB, lasts=None)
                await house.operator.resume(dry)
        pause = await house.store.controls.pause()

        assert await house.store.orders.pending(TARGET) is None
        assert (await house.story()) == before
        assert await failures(house) == 1
        assert await house.desk.hold_of(TARGET) is None
        assert (pause is not None) == (what == "resume")


async def test_an_order_and_its_reply_are_one_write(house: House) -> None:
    """A second caller finds the reply as soon as the order is there."""
    wish = replace(BOB, key="k1")
    placed = await house.operator.act(TARGET, RESTART, wish)
    order, reply = await house.store.orders.pending(TARGET), await house.store.orders.replied("k1")

    assert isinstance(order, Order)
    assert isinstance(reply, Reply)
    assert order.id == placed.attempt
