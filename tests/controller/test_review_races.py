"""What a hostile review has found: races, crashes and answers that are lost, each to the second."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.controller.operate import Wish
from app.domain.alert import Alert, AlertStatus
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, RunState
from app.domain.control import OrderKind
from app.domain.decision import Outcome, Verdict
from app.domain.remediation import State
from app.errors import EngineRefused, EngineSilent, StoreUnavailable
from app.policies.spec import (
    BrakeRules,
    Enable,
    Guards,
    Match,
    Policy,
    RestartRules,
    Rulebook,
    ScaleOutRules,
    Strategy,
    VerifyRules,
)
from app.ports import NO_END, CloneResult, Deadline
from tests.builders import ENGINE, START, TARGET, alert, at, compose, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine, FakePrometheus, LivelyEngine, web
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(30)]

BOB = Wish(reason="it hangs", author="bob")
HOUR = timedelta(hours=1)
RESOLVED = alert(status=AlertStatus.RESOLVED)
PLENTY = Guards(concurrent=100, burst=1000, per_hour=1000)
NO_CLONES = Policy(scale_out=ScaleOutRules(enabled=False))


@dataclass
class Awkward(LivelyEngine):
    """An engine that stops a container before it refuses to start it, and takes its time."""

    #: Refusals of a restart, given after the stop; None lets one through.
    refusals: list[Exception | None] = field(default_factory=list)
    #: Taking a case file takes this long.
    evidence_takes: timedelta = timedelta(0)
    #: Nothing is told of what happens before somebody has followed for so long.
    tells_after: timedelta = timedelta(0)
    _clones: int = 0

    async def evidence(self, container_id: str, *, at: object) -> CaseFile:
        await asyncio.sleep(self.evidence_takes.total_seconds())
        return await super().evidence(container_id, at=at)  # type: ignore[arg-type]

    async def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        await asyncio.sleep(self.tells_after.total_seconds())
        async for event in super().events(since_ns=since_ns):
            yield event

    async def clone(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool = False,
        not_after: Deadline = NO_END,
    ) -> CloneResult:
        source = await self.inspect(source_id)
        if dry_run:
            return CloneResult(report=self.report, clone=None)
        self._clones += 1
        labels = {**source.labels, "relevo.clone-of": source.name, "relevo.attempt": attempt_id}
        if "com.docker.compose.container-number" in labels:
            labels["com.docker.compose.container-number"] = str(100 + self._clones)
        clone = container(f"{source.name}_new{self._clones}", 100 + self._clones, labels=labels)
        await self._act("clone", source, lambda: self.run(clone))
        return CloneResult(report=self.report, clone=self.inside[clone.id])

    async def _act(self, what: str, one: Container, effect: object) -> None:
        if what in ("restart", "start") and self.refusals:
            refusal = self.refusals.pop(0)
            if refusal is not None:
                self._ended(one, signal="15", exit_code=137)
                self.tell(one, "stop")
                raise refusal
        await super()._act(what, one, effect)  # type: ignore[arg-type]


@pytest.fixture
async def engine(clock: VirtualClock) -> Awkward:
    fake = Awkward(clock)
    fake.run(web())
    return fake


@pytest.fixture
async def house(clock: VirtualClock, engine: Awkward) -> House:
    return build(make_store(), clock, engine)


def ill(name: str, **more: Any) -> Alert:
    labels = {"alertname": "ContainerHighCPU", "engine": ENGINE, "name": name}
    return alert(**{"labels": labels, "fingerprint": name} | more)


def populated(clock: VirtualClock, names: Iterable[str]) -> Awkward:
    fake = Awkward(clock)
    for number, name in enumerate(names, start=1):
        fake.run(container(name, number))
    return fake


async def failures(house: House) -> int:
    return await house.store.failures.count(TARGET, now=house.clock.now(), window=HOUR)


# ------------------------------------------------------------ failures are forgotten


async def test_an_engine_that_is_away_for_a_moment_clears_no_failures(
    house: House, engine: Awkward
) -> None:
    """GONE, DOWN and AMBIGUOUS have incarnation "": not a new one."""
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        await house.take(RESOLVED)
        await pass_time(seconds=5)
        assert (await house.story()).is_closed
        before = await failures(house)
        engine.down = True
        await house.take(alert(starts_at=at(301)))
        await pass_time(seconds=5)
        engine.down = False
        after = await failures(house)

    assert (before, after) == (1, 1)


async def test_the_same_container_made_anew_after_a_while_keeps_its_history(
    house: House, engine: Awkward
) -> None:
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=5)
        before = await failures(house)
        engine.remove("web")
        await pass_time(minutes=4)
        engine.run(container("web", 2))
        await pass_time(seconds=5)
        after = await failures(house)

    assert (before, after) == (1, 1)


# ------------------------------------------------------------ down by our own hand


@pytest.mark.parametrize("gone", [False, True], ids=["alert stays", "alert goes"])
async def test_a_restart_that_is_refused_half_way_does_not_leave_it_down(
    house: House, engine: Awkward, gone: bool
) -> None:
    """Docker stops, then cannot start: 500. Whoever stopped it starts it, or tells somebody."""
    engine.refusals = [EngineRefused(500, "driver failed: port is already allocated")]
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=65)
        if gone:
            await house.take(RESOLVED)
        await pass_time(hours=1)
        story = (await house.stories())[-1]

    assert engine.named("web").is_running or story.state is State.QUARANTINED, (
        story.state,
        story.outcome,
        story.reason,
    )


async def test_a_restart_that_is_refused_half_way_by_an_ill_engine_is_not_left_down(
    clock: VirtualClock,
) -> None:
    engine = populated(clock, ["web", "db"])
    house = build(make_store(), clock, engine, rulebook=Rulebook(guards=PLENTY))
    engine.refusals = [EngineRefused(500, "no space left on device")] * 2
    async with working(house, pulling=True):
        await house.take(ill("db"))
        await house.take(ill("web"))
        await pass_time(hours=1)
        stories = await house.stories()

    down = [name for name in ("db", "web") if not engine.named(name).is_running]
    told = [one.container for one in stories if one.state is State.QUARANTINED]
    assert set(down) <= set(told), [(s.container, s.state, s.reason) for s in stories]


async def test_a_crash_loop_since_our_restart_does_not_end_with_its_alert(
    house: House, engine: Awkward
) -> None:
    def loops(one: Container) -> None:
        engine.run(replace(one, state=RunState.RESTARTING, restart_count=5, exit_code=1))

    engine.on_started = loops
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=70)
        await house.take(RESOLVED)
        await pass_time(hours=1)
        story = await house.story()

    assert story.attempts[0].verdict is Verdict.CRASH_LOOP
    assert not story.is_closed, (story.outcome, story.reason)


async def test_two_containers_that_cannot_start_are_not_for_ever_the_engines_fault(
    clock: VirtualClock,
) -> None:
    """Two of three have the same missing mount; the third is well. Nothing stops them."""
    engine = FakeEngine(clock)
    for number, name in enumerate(("web", "db", "ok"), start=1):
        engine.run(container(name, number))
    engine.errors = [EngineRefused(500, "mount: no such device") for _ in range(500)]
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(ill("db"))
        await house.take(ill("web"))
        await pass_time(hours=3)
        stories = await house.stories()

    tries = {one.container: len(one.attempts) for one in stories}
    assert all(count <= 6 for count in tries.values()), tries


# ------------------------------------------------------------ against a person


async def test_what_a_person_stopped_stays_down_when_relevo_is_restarted(
    clock: VirtualClock, engine: Awkward
) -> None:
    """Many programs exit 1 on SIGTERM. The new witness does not know who stopped it."""
    store = make_store()
    house = build(store, clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=5)  # one failed restart, and the wait for the next
        engine.stop("web", exit_code=1)
        await pass_time(minutes=20)
        held = await house.story()
        assert str(held.reason) == "human"
    before = len(engine.acts)
    successor = build(store, clock, engine)
    async with working(successor, pulling=True):
        await pass_time(minutes=10)

    assert len(engine.acts) == before, engine.acts


async def test_what_a_person_stopped_while_relevo_was_away_waits_for_the_events(
    clock: VirtualClock, engine: Awkward
) -> None:
    """The first step comes before the engine has told what happened in the last ten minutes."""
    store = make_store()
    house = build(store, clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=5)
    await pass_time(minutes=3)
    engine.stop("web", exit_code=1)
    await pass_time(minutes=3)
    before = len(engine.acts)
    engine.tells_after = timedelta(seconds=1)
    successor = build(store, clock, engine)
    async with working(successor, pulling=True):
        await pass_time(minutes=10)

    assert len(engine.acts) == before, engine.acts


async def test_a_person_who_stops_it_while_evidence_is_taken_is_respected(
    house: House, engine: Awkward
) -> None:
    engine.evidence_takes = timedelta(seconds=5)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=62)
        engine.stop("web")
        await pass_time(seconds=10)

    assert engine.done("restart") == []
    assert not engine.named("web").is_running


@pytest.mark.parametrize("what", ["pause", "hold"])
async def test_paused_or_held_while_evidence_is_taken_nothing_is_done(
    house: House, engine: Awkward, what: str
) -> None:
    """Invariant 11: paused means no automatic write within a second."""
    engine.evidence_takes = timedelta(seconds=5)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=61)
        if what == "pause":
            await house.operator.pause(BOB, lasts=None)
        else:
            await house.operator.hold(TARGET, BOB, lasts=None)
        await pass_time(seconds=10)

    assert house.since_start("restart") == []


async def test_a_new_image_is_given_the_first_delay(house: House, engine: Awkward) -> None:
    """``docker rm`` and ``docker run`` of a fixed image, not by compose: no deploy hold."""
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=6)
        engine.remove("web")
        engine.run(container("web", 2, image_id="sha256:" + "b" * 64))
        engine.tell(engine.named("web"), "start")
        before = len(engine.acts)
        await pass_time(seconds=50)

    assert len(engine.acts) == before, house.since_start("restart")


# ------------------------------------------------------------ orders


async def test_a_release_does_not_end_a_story_whose_attempt_is_open(
    house: House, engine: Awkward
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=10)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(seconds=1)
        engine.refusals = [EngineSilent("no answer in 40 s")]
        engine.takes = timedelta(seconds=0)
        await house.operator.act(TARGET, OrderKind.RESTART, BOB)
        await pass_time(seconds=1)
        await house.operator.release(TARGET, BOB)
        await pass_time(minutes=10)
        story = (await house.stories())[-1]

    assert all(one.verdict is not None for one in story.attempts), story
    assert engine.named("web").is_running


async def test_a_release_that_is_sent_again_still_ends_the_hold(
    clock: VirtualClock, engine: Awkward
) -> None:
    store = make_store()
    house = build(store, clock, engine, rulebook=Rulebook(defaults=NO_CLONES))
    wish = replace(BOB, key="k1")
    real = store.controls.set_hold

    async def fails(*_args: object, **_more: object) -> None:
        raise StoreUnavailable("Redis gave no answer in time")

    async with working(house):
        await house.take(alert())
        await pass_time(minutes=30)
        assert (await house.story()).state is State.QUARANTINED
        await house.operator.hold(TARGET, BOB, lasts=None)
        store.controls.set_hold = fails  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await house.operator.release(TARGET, wish)
        store.controls.set_hold = real  # type: ignore[method-assign]
        await pass_time(seconds=1)
        await house.operator.release(TARGET, wish)
        held = await store.controls.holds()

    assert held == {}


async def test_two_orders_for_one_group_do_not_go_over_its_maximum(clock: VirtualClock) -> None:
    engine = Awkward(clock)
    engine.takes = timedelta(seconds=2)
    for number in (1, 2):
        labels = compose("shop", "web", number)
        engine.run(container(f"shop-web-{number}", number, labels=labels))
    house = build(make_store(), clock, engine)
    async with working(house):
        for number in (1, 2):
            target = f"{ENGINE}:shop-web-{number}"
            await house.operator.act(target, OrderKind.SCALE_OUT, BOB)
        await pass_time(minutes=1)

    assert len(engine.inside) == 3


async def test_an_order_and_the_ladder_do_not_go_over_the_maximum_together(
    clock: VirtualClock,
) -> None:
    engine = Awkward(clock)
    engine.takes = timedelta(seconds=2)
    for number in (1, 2):
        labels = compose("shop", "web", number)
        engine.run(container(f"shop-web-{number}", number, labels=labels))
    first = Policy(strategy=Strategy.SCALE_FIRST)
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=first))
    async with working(house):
        await house.operator.act(f"{ENGINE}:shop-web-1", OrderKind.SCALE_OUT, BOB)
        await house.take(ill("shop-web-2"))
        await pass_time(minutes=1)

    assert len(engine.inside) == 3


async def test_two_groups_do_not_go_over_the_clones_of_an_engine(clock: VirtualClock) -> None:
    engine = populated(clock, ["web", "db"])
    engine.takes = timedelta(seconds=20)
    first = Policy(strategy=Strategy.SCALE_FIRST)
    rules = Rulebook(defaults=first, guards=Guards(max_clones=1))
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(ill("web"), ill("db"))
        await pass_time(minutes=1)

    assert len(engine.inside) == 3


# ------------------------------------------------------------ time nobody has seen


async def test_what_nobody_saw_is_no_uninterrupted_absence(
    clock: VirtualClock, engine: Awkward, alertmanager: FakeAlertmanager
) -> None:
    """Relevo is away while the alert comes back and goes again: that is not recovered yet."""
    store = make_store()
    house = build(store, clock, engine, alerts=alertmanager)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        await pass_time(seconds=20)
    alertmanager.alerts.append(listed_alert())
    await pass_time(minutes=5)
    alertmanager.alerts.clear()
    await pass_time(seconds=5)
    successor = build(store, clock, engine, alerts=alertmanager)
    async with working(successor, pulling=True):
        await pass_time(seconds=20)
        story = await successor.story()

    assert story.attempts[0].verdict is not Verdict.RECOVERED, story.attempts[0].evidence


async def test_time_away_is_no_time_in_which_nobody_could_tell(
    clock: VirtualClock, engine: Awkward, alertmanager: FakeAlertmanager
) -> None:
    """The host goes down, Alertmanager a moment before Relevo; both come back an hour later."""
    store = make_store()
    house = build(store, clock, engine, alerts=alertmanager)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=30)
        alertmanager.down = True
        await pass_time(seconds=35)
    await pass_time(hours=1)
    alertmanager.down, alertmanager.up_since = False, clock.now()
    alertmanager.alerts.clear()
    successor = build(store, clock, engine, alerts=alertmanager)
    async with working(successor, pulling=True):
        await pass_time(seconds=30)
        story = await successor.story()

    assert story.state is not State.QUARANTINED, story.log[-1]


async def test_a_manual_restart_does_not_recover_while_the_pipeline_is_dead(
    clock: VirtualClock, engine: Awkward, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    house = build(make_store(), clock, engine, alerts=alertmanager, samples=FakePrometheus(clock))
    async with working(house, pulling=True):
        await pass_time(seconds=5)  # the watchdog is seen once
        alertmanager.watchdog = False
        await house.operator.act(TARGET, OrderKind.RESTART, BOB)
        await pass_time(minutes=6)
        story = await house.story()

    assert story.attempts[0].verdict is not Verdict.RECOVERED


async def test_a_container_from_the_future_does_not_hold_its_project_for_ever(
    clock: VirtualClock,
) -> None:
    engine = Awkward(clock)
    odd = START + timedelta(days=365)  # made before the host's clock was set
    engine.run(container("web", 1, labels=compose("shop", "web", 1), created_at=START - HOUR * 48))
    engine.run(container("cache", 2, labels=compose("shop", "cache", 1), created_at=odd))
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(hours=2)

    assert len(engine.done("restart")) > 0, (await house.story()).reason


async def test_a_start_in_the_future_is_no_grace_for_ever(clock: VirtualClock) -> None:
    engine = Awkward(clock)
    engine.run(web(started_at="2027-11-22T09:00:00.000000001Z"))
    patient = Policy(restart=RestartRules(start_grace=timedelta(seconds=30)))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=patient))
    async with working(house):
        await house.take(alert())
        await pass_time(hours=2)

    assert len(engine.done("restart")) > 0, (await house.story()).reason


# ------------------------------------------------------------ bounds


async def test_restarts_by_others_do_not_grow_a_record_without_end(
    house: House, engine: Awkward
) -> None:
    """Somebody's cron job restarts it every minute, and the alert stays."""
    async with working(house, pulling=True):
        await house.take(alert())
        for _ in range(60 * 12):
            await pass_time(minutes=1)
            engine.started(engine.named("web").id)
        story = await house.story()

    assert len(story.attempts) <= 200


async def test_a_person_who_resumes_is_not_overruled_by_a_pull_that_has_begun(
    house: House,
) -> None:
    store = house.store
    real = store.failures.failing_targets
    counted, resumed = asyncio.Event(), asyncio.Event()
    await house.tenure.beat()  # only who leads minds the brake

    async def slow(**more: object) -> int:
        found = await real(**more)  # type: ignore[arg-type]
        counted.set()
        await resumed.wait()
        return max(found, 5)  # as many as engage it

    store.failures.failing_targets = slow  # type: ignore[method-assign]
    pulling = asyncio.create_task(house.resync.pull())
    await counted.wait()
    await house.operator.resume(BOB)
    resumed.set()
    await pulling
    brake = await store.controls.brake()

    assert brake.cleared_at is not None


async def test_who_looks_rarely_is_not_kept_from_ever_acting(clock: VirtualClock) -> None:
    """A policy that polls every five minutes has been forgotten by those that ask every 15 s."""
    engine = populated(clock, ["a", "b", "z"])
    many = RestartRules(max_failed=50, window=timedelta(hours=24))
    rules = Rulebook(
        defaults=Policy(restart=many, scale_out=ScaleOutRules(enabled=False)),
        policies=(
            (
                Match(alerts=("Rare",)),
                Policy(name="rare", restart=many, verify=VerifyRules(poll=timedelta(minutes=5))),
            ),
        ),
        # One action in ten minutes.
        guards=Guards(burst=1, per_hour=6, brake=BrakeRules(targets=100)),
    )
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(ill("z", labels={"alertname": "Rare", "engine": ENGINE, "name": "z"}))
        await house.take(ill("a"), ill("b"))
        await pass_time(hours=6)

    acts = [name for _, name, _ in engine.acts]
    assert acts.count("z") >= 3, acts


@dataclass
class Shifted(VirtualClock):
    """The clock of a host that was started with the wrong time."""

    by: timedelta = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.by


# ------------------------------------------------------------ what is left behind


async def test_a_scale_out_that_is_called_off_leaves_no_activity_in_progress(
    clock: VirtualClock, engine: Awkward
) -> None:
    first = Policy(strategy=Strategy.SCALE_FIRST)
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=first))
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=20)
        await house.operator.cancel(await house.story(), BOB)
        await pass_time(minutes=5)
        await house.take(RESOLVED)
        await pass_time(hours=1)
        (activity,) = await house.store.history.activities()
        story = await house.story()

    assert story.is_closed
    assert str(activity.status) != "in_progress"


async def test_an_alert_that_ends_while_its_container_is_away_does_not_fire_for_the_next(
    house: House, engine: Awkward
) -> None:
    """No API: its resolved notice is skipped, for there is no such container at that moment."""
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.remove("web")
        await pass_time(seconds=30)
        await house.take(RESOLVED)
        await pass_time(seconds=30)
        engine.run(container("web", 2, image_id="sha256:" + "b" * 64))
        await pass_time(hours=1)

    assert engine.acts == []


async def test_the_alert_of_a_clone_that_is_gone_is_none_of_its_source(
    clock: VirtualClock, engine: Awkward
) -> None:
    """No API: whom it was about is not known any more, and its end is skipped."""
    labels = {"relevo.enable": "true", "relevo.clone-of": "web", "relevo.attempt": "x"}
    engine.run(container("web_new", 2, labels=labels))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=NO_CLONES))
    async with working(house, pulling=True):
        await house.take(ill("web_new"))
        await pass_time(seconds=10)
        engine.remove("web_new")
        await house.take(ill("web_new", status=AlertStatus.RESOLVED))
        await pass_time(hours=1)
        story = await house.story()

    assert engine.acts == []
    assert story.is_closed, story.reason


async def test_the_alert_of_a_clone_that_is_gone_is_not_that_of_the_next_of_its_name(
    clock: VirtualClock, engine: Awkward
) -> None:
    """No API, and the story goes on meanwhile: its end, skipped, is never told again."""
    labels = {"relevo.enable": "true", "relevo.clone-of": "web", "relevo.attempt": "x"}
    engine.run(container("web_new", 2, labels=labels))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=NO_CLONES))
    async with working(house, pulling=True):
        await house.take(ill("web"), ill("web_new"))
        await pass_time(seconds=10)
        engine.remove("web_new")
        await house.take(ill("web_new", status=AlertStatus.RESOLVED))
        await pass_time(seconds=10)
        engine.run(container("web_new", 3, labels=labels, created_at=clock.now()))
        await pass_time(seconds=10)
        await house.take(ill("web", status=AlertStatus.RESOLVED))
        await pass_time(hours=1)
        story = await house.story()

    assert engine.acts == []
    assert (story.is_closed, story.outcome) == (True, Outcome.CANCELLED)


async def test_what_was_opted_out_while_down_by_our_hand_is_started_first(
    clock: VirtualClock, engine: Awkward
) -> None:
    """Killed between stop and start; meanwhile the policy file stops naming the container."""
    engine.run(web(labels={}))
    engine.takes = timedelta(seconds=20)
    store = make_store()
    house = build(store, clock, engine, rulebook=Rulebook(enable=(Enable(name="web"),)))
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=65)
    assert not engine.named("web").is_running
    successor = build(store, clock, engine, rulebook=Rulebook())
    async with working(successor, pulling=True):
        await pass_time(minutes=10)

    assert engine.named("web").is_running


async def test_a_crash_loop_that_stays_is_told_to_somebody(house: House, engine: Awkward) -> None:
    def loops(one: Container) -> None:
        engine.run(replace(one, state=RunState.RESTARTING, restart_count=5, exit_code=1))

    engine.on_started = loops
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(hours=6)
        story = await house.story()

    assert story.state is State.QUARANTINED, (story.state, story.reason, len(story.attempts))


async def test_an_order_at_the_moment_of_a_relapse_does_not_hide_it(
    house: House, engine: Awkward
) -> None:
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=65)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        assert (await house.story()).is_closed
        back = house.take(alert(starts_at=at(500)))
        await asyncio.gather(house.operator.act(TARGET, OrderKind.RESTART, BOB), back)
        await pass_time(minutes=20)
        first = (await house.stories())[-1]

    assert first.attempts[-1].verdict is Verdict.RELAPSED
