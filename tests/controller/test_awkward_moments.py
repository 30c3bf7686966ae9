"""What goes wrong at the worst moment: each was a defect once, or could be."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.controller.pace import MOST_STEPS
from app.controller.worker import Worker
from app.domain.activity import ActivityStatus
from app.domain.alert import AlertStatus, ListedState
from app.domain.container import RunState
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.remediation import State
from app.errors import EngineRefused, EngineSilent, EngineUnavailable
from app.policies.spec import Mode, Policy, Rulebook, ScaleOutRules, Strategy
from app.ports import Claim, Entry
from tests.builders import alert, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import REFUSED, FakeAlertmanager, FakeEngine, FakePrometheus, web
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime

RESOLVED = alert(status=AlertStatus.RESOLVED)


async def test_an_engine_that_is_down_for_a_moment_does_not_lift_a_quarantine(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    rules = Rulebook(defaults=Policy(scale_out=ScaleOutRules(enabled=False)))
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=30)
        acts = len(engine.acts)
        engine.down = True
        await pass_time(minutes=1)
        engine.down = False
        await pass_time(minutes=30)
        story = await house.story()

    assert story.state is State.QUARANTINED
    assert len(engine.acts) == acts


async def test_what_cannot_be_cloned_is_asked_about_once(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    engine.report = REFUSED
    rules = Rulebook(defaults=Policy(strategy=Strategy.SCALE_FIRST))
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        story = await house.story()

    assert (story.state, len(story.attempts)) == (State.QUARANTINED, 0)
    assert Reason.SHARED_VOLUME in [entry.reason for entry in story.log]


async def test_a_container_that_opts_out_is_let_go(house: House, engine: FakeEngine) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.run(replace(web(), labels={"relevo.enable": "false"}))
        await pass_time(hours=1)
        story = await house.story()

    assert engine.acts == []
    assert (story.outcome, story.reason) == (Outcome.CANCELLED, Reason.NOT_OPTED_IN)


async def test_two_containers_in_one_slot_for_a_moment_are_no_quiet_moment(
    house: House, engine: FakeEngine
) -> None:
    labels = {
        "relevo.enable": "true",
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
    }
    engine.inside.clear()
    engine.run(container("shop-web-1", 1, labels=labels))
    async with working(house):
        await house.take(alert(labels={"alertname": "X", "name": "shop-web-1"}))
        await pass_time(seconds=80)
        engine.run(container("abc_shop-web-1", 2, labels=labels))
        await pass_time(seconds=30)
        del engine.inside[container("x", 2).id]
        await pass_time(seconds=60)
        story = await house.story()

    assert [attempt.verdict for attempt in story.attempts] == [None]


async def test_a_container_that_is_gone_for_a_moment_is_treated_when_it_is_back(
    house: House, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.inside.clear()
        await pass_time(seconds=60)
        engine.run(container("web", 2))
        await pass_time(minutes=10)
        newest, oldest = await house.stories()

    assert oldest.outcome is Outcome.VANISHED
    assert newest.attempts != ()


async def test_a_container_that_stays_gone_is_forgotten(house: House, engine: FakeEngine) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.inside.clear()
        await pass_time(minutes=30)
        stories = await house.stories()

    assert [story.outcome for story in stories] == [Outcome.VANISHED]
    assert (await house.store.schedule.overdue(now=house.clock.now())) == timedelta(0)


async def test_an_interrupted_scale_out_is_not_carried_out_in_observe_mode(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    store = make_store()
    house = build(store, clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=24, seconds=55)
        engine.errors = [EngineSilent("no answer")]
        await pass_time(seconds=6)
    observing = build(store, clock, engine, mode=Mode.OBSERVE)
    async with working(observing):
        await pass_time(minutes=10)
        story = await observing.story()

    assert engine.done("clone") == []
    assert story.attempts[-1].action is Action.SCALE_OUT
    assert story.attempts[-1].verdict is not None


async def test_a_clone_that_cannot_be_removed_keeps_nobody_from_the_verdict(
    house: House, engine: FakeEngine
) -> None:
    engine.on_clone = lambda clone: replace(clone, state=RunState.EXITED, exit_code=3)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=25, seconds=5)
        engine.errors = [EngineRefused(500, "driver failed to remove")]
        await pass_time(minutes=2)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert activity.status is ActivityStatus.FAILED
    assert story.state is State.QUARANTINED


async def test_a_stopped_container_has_no_fresh_samples_and_that_is_why(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    samples = FakePrometheus(clock)
    house = build(make_store(), clock, engine, alerts=alertmanager, samples=samples)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.run(replace(web(), state=RunState.EXITED))
        samples.age = timedelta(hours=1)
        await pass_time(hours=1)
        story = await house.story()

    assert (story.state, story.reason) == (State.HELD, Reason.NOT_RUNNING)


async def test_a_container_that_crashes_after_our_restart_is_restarted_after_the_next_backoff(
    house: House, engine: FakeEngine
) -> None:
    """Its alert is gone because it is down; nobody else would bring it back."""
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        engine.run(replace(engine.named("web"), state=RunState.EXITED, exit_code=1))
        await house.take(RESOLVED)
        await pass_time(minutes=10)
        story = await house.story()

    assert [attempt.verdict for attempt in story.attempts] == [Verdict.EXITED, Verdict.RECOVERED]
    assert story.outcome is Outcome.RECOVERED
    first, second = house.since_start("restart")
    assert second - first >= 300


@pytest.mark.parametrize("exit_code", [0, 137, 143])
async def test_what_may_have_been_stopped_by_a_person_is_not_started_but_told(
    house: House, engine: FakeEngine, exit_code: int
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        engine.run(replace(engine.named("web"), state=RunState.EXITED, exit_code=exit_code))
        await pass_time(minutes=10)
        story = await house.story()

    assert len(engine.acts) == 1
    assert story.state is State.QUARANTINED
    assert any(f"exit code {exit_code}" in (entry.detail or "") for entry in story.log)


async def test_a_restart_that_never_reached_the_engine_counts_for_nothing(
    house: House, engine: FakeEngine
) -> None:
    engine.errors = [EngineUnavailable("connection refused")]
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=3)
        story = await house.story()

    assert story.attempts[0].verdict is Verdict.INFRASTRUCTURE
    assert house.since_start("restart") == [120]
    assert story.attempts[0].finished_at is not None
    assert story.attempts[0].finished_at >= story.attempts[0].intent_at


async def test_a_hanging_engine_keeps_no_sender_waiting(house: House, engine: FakeEngine) -> None:
    """Thirty steps wait for the listing; a notification is answered all the same."""
    for number in range(2, 32):
        engine.run(container(f"c{number}", number))
    async with working(house):
        for number in range(2, 32):
            await house.take(alert(labels={"name": f"c{number}"}, fingerprint=str(number)))
        await pass_time(seconds=30)
        engine.hangs = timedelta(seconds=10)
        await pass_time(seconds=35)
        asked_at = house.clock.now()
        with pytest.raises(EngineUnavailable):
            await house.take(alert(labels={"name": "unknown"}, fingerprint="u"))
        await house.overview.status()
        took = house.clock.now() - asked_at

    assert took <= timedelta(seconds=7)


async def test_the_lease_of_a_long_action_is_held(house: House, engine: FakeEngine) -> None:
    """A restart of ten minutes is nobody else's before it has ended."""
    engine.takes = timedelta(minutes=10)
    successor = build(house.store, house.clock, engine)
    async with working(house), working(successor):
        await house.take(alert())
        await pass_time(minutes=14)
        story = await house.story()

    assert len(engine.done("restart")) == 1
    assert len(story.attempts) == 1


async def test_a_crash_loop_of_the_engines_own_is_no_restart_by_a_person(
    house: House, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        for number in range(1, 10):
            await pass_time(seconds=10)
            engine.started(web().id, restart_count=number)

    assert len(house.since_start("restart")) == 1


async def test_a_container_that_somebody_stopped_is_not_cloned_either(
    house: House, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=24, seconds=50)
        engine.run(replace(engine.named("web"), state=RunState.PAUSED))
        await pass_time(minutes=15)
        story = await house.story()

    assert engine.done("clone") == []
    assert story.attempts[-1].verdict is Verdict.HELD
    assert (story.state, story.reason) == (State.HELD, Reason.PAUSED_CONTAINER)


async def test_an_alert_that_is_silenced_from_the_start_has_its_story(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts[:] = [listed_alert(ListedState.SUPPRESSED)]
    async with working(watched):
        await watched.take(alert())
        await pass_time(minutes=5)
        (target,) = await watched.desk.targets()

    assert target.state is State.HELD
    assert target.remediation is not None
    assert target.remediation.reason is Reason.SILENCED


async def test_a_fresh_clone_is_seen_however_old_the_listing_is(
    house: House, engine: FakeEngine
) -> None:
    """A listing serves a second; a clone that it lacks is not gone."""
    quick = Rulebook(
        defaults=replace(
            Policy(), verify=replace(Policy().verify, poll=timedelta(milliseconds=200))
        )
    )
    fast = build(make_store(), house.clock, engine, rulebook=quick)
    async with working(fast):
        await fast.take(alert())
        await pass_time(minutes=26, seconds=10)
        story = await fast.story()

    assert story.attempts[-1].verdict is None
    assert story.scaled_out_at is not None


async def test_steps_that_make_each_other_due_are_no_busy_loop(
    house: House, engine: FakeEngine
) -> None:
    """Whatever the defect is: a target is stepped so often a second, not as often as it can."""

    async def again(claim: Claim, now: datetime) -> None:
        steps.append(claim.target)
        await house.store.records.note(claim, Entry(remediation=None, due=now), now=now)

    steps: list[str] = []
    worker = Worker(house.store.schedule, house.clock, again, house.telemetry)
    await house.take(alert())
    task = asyncio.create_task(worker.run())
    await pass_time(seconds=10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert MOST_STEPS <= len(steps) <= 10 * MOST_STEPS
