"""What stops Relevo, and for how long: hours of it, to the second."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from app.controller.crier import Crier
from app.controller.operate import Wish
from app.controller.picture import Census
from app.domain.alert import Alert, AlertStatus, OwnAlert
from app.domain.container import Container, Health, HealthCheck, RunState
from app.domain.control import OrderKind
from app.domain.decision import Reason, Verdict
from app.domain.remediation import Remediation, State
from app.errors import EngineSilent
from app.policies.spec import (
    BrakeRules,
    Guards,
    Policy,
    RestartRules,
    Rulebook,
    ScaleOutRules,
    VerifyRules,
)
from tests.builders import ENGINE, START, TARGET, alert, at, compose, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakePrometheus, LivelyEngine, web
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

ANNA = Wish(reason="looking into it", author="anna")
#: Nothing but the guard under test is in the way.
PLENTY = Guards(concurrent=100, burst=1000, per_hour=1000)
RESTARTS_ONLY = Policy(scale_out=ScaleOutRules(enabled=False))


def ill(name: str, *, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    labels = {"alertname": "ContainerHighCPU", "engine": ENGINE, "name": name}
    return alert(labels=labels, fingerprint=name, status=status)


def reasons(story: Remediation) -> list[Reason]:
    return [entry.reason for entry in story.log]


async def story_of(house: House, name: str) -> Remediation:
    return next(one for one in await house.stories() if one.container == name)


def restarted(house: House) -> list[tuple[str, float]]:
    """Which containers were restarted, and when, in seconds since the start."""
    return [
        (name, (when - START).total_seconds())
        for what, name, when in house.engine.acts
        if what == "restart"
    ]


@pytest.fixture
async def engine(clock: VirtualClock) -> LivelyEngine:
    fake = LivelyEngine(clock)
    fake.run(web())
    return fake


def populated(clock: VirtualClock, names: Iterable[str]) -> LivelyEngine:
    fake = LivelyEngine(clock)
    for number, name in enumerate(names, start=1):
        fake.run(container(name, number))
    return fake


# ------------------------------------------------------------ hold and pause


async def test_a_hold_with_an_end_ends_then(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        await house.operator.hold(TARGET, ANNA, lasts=timedelta(seconds=300))
        await pass_time(seconds=200)
        held = await house.story()
        await pass_time(minutes=2)

    assert (held.state, held.reason) == (State.HELD, Reason.HOLD)
    assert "anna: looking into it" in [entry.detail for entry in held.log]
    assert house.since_start("restart") == [330]


async def test_a_hold_without_an_end_lasts_until_it_is_released(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await house.operator.hold(TARGET, ANNA, lasts=None)
        await pass_time(hours=5)
        before = list(house.engine.acts)
        placed = await house.operator.release(TARGET, ANNA)
        await pass_time(seconds=1)

    assert before == []
    assert placed is None
    assert house.since_start("restart") == [5 * 3600]


async def test_a_hold_of_one_target_holds_no_other(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    engine.run(container("db", 2))
    async with working(house):
        await house.operator.hold(TARGET, ANNA, lasts=None)
        await house.take(ill("web"), ill("db"))
        await pass_time(minutes=2)

    assert restarted(house) == [("db", 60)]


async def test_paused_nothing_acts_and_alerts_are_still_accepted_and_shown(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    engine.run(container("db", 2))
    async with working(house, pulling=True):
        await house.take(ill("web"))
        await pass_time(seconds=30)
        await house.operator.pause(ANNA, lasts=None)
        await pass_time(seconds=50)
        counts = await house.take(ill("db"))
        await pass_time(hours=2)
        before = list(engine.acts)
        shown = await house.stories()
        status = await house.overview.status()
        await house.operator.resume(ANNA)
        await pass_time(seconds=16)

    assert before == []
    assert counts.accepted == 1
    assert {(one.container, one.state, one.reason) for one in shown} == {
        ("web", State.HELD, Reason.PAUSE),
        ("db", State.HELD, Reason.PAUSE),
    }
    assert status.pause is not None
    assert {name for name, _ in restarted(house)} == {"web", "db"}


async def test_a_pause_with_an_end_ends_then(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        await house.operator.pause(ANNA, lasts=timedelta(seconds=100))
        await pass_time(minutes=5)

    assert house.since_start("restart") == [130]


async def test_a_pause_survives_a_restart_of_the_controller(
    house: House, clock: VirtualClock, engine: LivelyEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await house.operator.pause(ANNA, lasts=timedelta(hours=1))
        await pass_time(seconds=30)
    successor = build(house.store, clock, engine)
    async with working(successor, pulling=True):
        await pass_time(minutes=50)
        before = list(engine.acts)
        await pass_time(minutes=10)

    assert before == []
    assert house.since_start("restart") == [3600]


async def test_what_is_verified_has_its_verdict_during_a_pause(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        await house.operator.pause(ANNA, lasts=None)
        await pass_time(minutes=30)
        story = await house.story()

    assert [one.verdict for one in story.attempts] == [Verdict.SYMPTOM_PERSISTS]
    assert (story.state, story.reason) == (State.HELD, Reason.PAUSE)


async def test_an_alert_that_goes_during_a_pause_leaves_nothing_to_do(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await house.operator.pause(ANNA, lasts=None)
        await pass_time(minutes=5)
        await house.take(alert(status=AlertStatus.RESOLVED))
        await pass_time(seconds=30)
        await house.operator.resume(ANNA)
        await pass_time(minutes=5)
        story = await house.story()

    assert house.engine.acts == []
    assert story.reason is Reason.RESOLVED


# ------------------------------------------------------------ the brake


FIVE = ("a", "b", "c", "d", "e")


def braked(clock: VirtualClock, brake: BrakeRules, names: Sequence[str] = FIVE) -> House:
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=replace(PLENTY, brake=brake))
    return build(make_store(), clock, populated(clock, names), rulebook=rules)


async def test_four_failing_targets_freeze_and_manual_still_works(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(minutes=30)
        frozen = restarted(house)
        story = await story_of(house, "a")
        brake = await house.store.controls.brake()
        await house.operator.act(f"{ENGINE}:a", OrderKind.RESTART, ANNA)
        await pass_time(seconds=5)

    # Due together, begun one after the other.
    assert frozen == [(name, 60 + place) for place, name in enumerate(FIVE[:4])]
    assert (story.state, story.reason) == (State.HELD, Reason.BRAKE)
    # Noticed by the next pull; until then whoever acts counts for himself.
    assert brake.engaged_at == at(270)
    assert restarted(house)[4:] == [("a", 1800)]


async def test_three_failing_targets_do_not_freeze(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:3]))
        await pass_time(minutes=10)

    assert len(restarted(house)) == 6


async def test_a_quarter_of_many_targets_does_not_freeze(clock: VirtualClock) -> None:
    names = [f"c{number:02}" for number in range(20)]
    house = braked(clock, BrakeRules(), names)
    async with working(house, pulling=True):
        await house.take(*map(ill, names[:5]))
        await pass_time(minutes=10)
        brake = await house.store.controls.brake()

    assert len(restarted(house)) == 10
    assert brake.engaged_at is None


async def test_a_brake_that_only_tells_freezes_nothing(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules(freeze=False))
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(minutes=10)
        brake = await house.store.controls.brake()

    assert len(restarted(house)) == 8
    assert brake.engaged_at is None  # and nobody says that anything is frozen


async def test_the_brake_thaws_when_at_most_one_still_fails(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(seconds=240 + 3600 - 1)
        frozen = restarted(house)
        await pass_time(seconds=31 + 15)
        brake = await house.store.controls.brake()

    assert len(frozen) == 4
    # The failures have left the hour.
    assert brake.engaged_at is None
    assert {name for name, _ in restarted(house)[4:]} == set(FIVE[:4])


async def test_the_brake_does_not_thaw_before_ten_minutes(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules(window=timedelta(minutes=3)))
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(seconds=239 + 600)
        frozen = restarted(house)
        await pass_time(seconds=47)

    assert len(frozen) == 4
    assert len(restarted(house)) == 8


async def test_resumed_by_a_person_older_failures_no_longer_count(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(seconds=300)
        await house.operator.resume(ANNA)
        await pass_time(seconds=300)
        released = await house.store.controls.brake()
        in_time = restarted(house)[4:]
        await pass_time(seconds=300)
        again = await house.store.controls.brake()

    assert (released.engaged_at, released.cleared_at) == (None, at(300))
    assert in_time == [(name, 540 + place) for place, name in enumerate(FIVE[:4])]
    # Their next failures are new ones.
    assert again.engaged_at is not None
    assert again.cleared_at == at(300)


async def test_what_was_pending_starts_one_at_a_time(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    house.rules.replace(
        replace(house.rules.book, guards=replace(house.rules.book.guards, concurrent=2))
    )
    house.engine.takes = timedelta(seconds=2)
    async with working(house, pulling=True):
        await house.take(*map(ill, FIVE[:4]))
        await pass_time(minutes=20)
        before = len(restarted(house))
        await house.operator.resume(ANNA)
        await pass_time(minutes=5)
        then = [when for _, when in restarted(house)[before:]]

    assert len(then) == 4
    assert len(set(then)) == 4


@dataclass
class Mailbox:
    """An Alertmanager that is posted to."""

    posted: list[OwnAlert] = field(default_factory=list)

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        self.posted += alerts

    def names(self) -> list[str]:
        """Each alert's name, however often it was posted."""
        different = {tuple(sorted(one.labels.items())) for one in self.posted}
        names = sorted(dict(labels)["alertname"] for labels in different)
        # Of each story, beside the symptom that everybody was told of.
        return [name for name in names if name not in ("RelevoAtWork", "RelevoOver")]


async def test_above_the_brake_there_is_one_alert(clock: VirtualClock) -> None:
    house = braked(clock, BrakeRules())
    mailbox = Mailbox()
    census = Census(house.engine, clock, name=None, prefix="relevo", rules=house.rules)
    await census.roster()
    crier = Crier(
        house.store,
        mailbox,
        census,
        clock,
        house.rules,
        external_url=None,
        has_prometheus=True,
        hold_for=timedelta(minutes=5),
        prefix="relevo",
    )
    async with working(house, pulling=True):
        crying = asyncio.create_task(crier.run())
        await house.take(*map(ill, FIVE))
        await pass_time(minutes=50)
        crying.cancel()

    assert mailbox.names() == ["RelevoBrake"]


# ------------------------------------------------------------ the budget


MANY = tuple(f"c{number:02}" for number in range(30))


def cured_by_a_restart(
    clock: VirtualClock, names: Sequence[str], rules: Guards, **more: timedelta
) -> House:
    """A house whose alerts go once their container was restarted."""
    engine = populated(clock, names)
    alertmanager = FakeAlertmanager(
        up_since=START - timedelta(days=1),
        alerts=[listed_alert(labels=ill(n).labels, fingerprint=n) for n in names],
    )

    def cure(one: Container) -> None:
        alertmanager.alerts[:] = [a for a in alertmanager.alerts if a.fingerprint != one.name]

    engine.on_started = cure
    engine.takes = more.get("takes", timedelta(0))
    return build(
        make_store(),
        clock,
        engine,
        alerts=alertmanager,
        samples=FakePrometheus(clock),
        rulebook=Rulebook(defaults=RESTARTS_ONLY, guards=rules),
    )


def most_within(times: Sequence[float], span: float) -> int:
    """The most that began in any `span` seconds, open at its far end."""
    return max(sum(begin <= one < begin + span for one in times) for begin in times)


async def test_thirty_at_once_are_treated_three_in_six_minutes_and_nobody_starves(
    clock: VirtualClock,
) -> None:
    house = cured_by_a_restart(clock, MANY, Guards(), takes=timedelta(seconds=20))
    async with working(house, pulling=True):
        await pass_time(minutes=62)
        stories = await house.stories()
    began = [when - 20 for _, when in restarted(house)]

    assert isinstance(house.engine, LivelyEngine)
    assert house.engine.most_out == 2
    assert most_within(began, 360) == 3
    assert sorted(name for name, _ in restarted(house)) == sorted(MANY)
    assert Reason.BUDGET in {reason for story in stories for reason in reasons(story)}


async def test_thirty_an_hour_and_no_more(clock: VirtualClock) -> None:
    rules = Guards(concurrent=100, burst=100, per_hour=30, brake=BrakeRules(freeze=False))
    names = tuple(f"c{number:02}" for number in range(40))
    house = cured_by_a_restart(clock, names, rules)
    async with working(house, pulling=True):
        await pass_time(minutes=59)
        within = len(restarted(house))
        await pass_time(minutes=3)

    assert within == 30
    assert len(restarted(house)) == 40
    assert most_within([when for _, when in restarted(house)], 3600) == 30


async def test_nobody_is_treated_twice_while_another_waits_for_the_first_time(
    clock: VirtualClock,
) -> None:
    """Nothing helps: those that were restarted are ill again and ask again."""
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=Guards(brake=BrakeRules(freeze=False)))
    house = build(make_store(), clock, populated(clock, MANY), rulebook=rules)
    async with working(house):
        await house.take(*map(ill, MANY))
        await pass_time(hours=1)

    assert len({name for name, _ in restarted(house)}) == 30


async def test_a_slot_is_given_back_after_a_crash(clock: VirtualClock) -> None:
    """Two actions are under way as we die; their slots end with what they may take."""
    engine = populated(clock, FIVE)
    engine.takes = timedelta(minutes=10)
    store = make_store()
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=replace(PLENTY, concurrent=2))
    house = build(store, clock, engine, rulebook=rules)
    async with working(house):
        await house.take(*map(ill, FIVE))
        await pass_time(seconds=65)
        assert len(engine.out) == 2
    engine.takes = timedelta(0)
    for one in list(engine.inside.values()):
        if not one.is_running:
            engine.started(one.id)  # Docker goes on although its client is gone
    successor = build(store, clock, engine, rulebook=rules)
    async with working(successor):
        await pass_time(minutes=2)

    # The other three were treated, and nobody twice.
    assert sorted(name for name, _ in restarted(house)) == ["c", "d", "e"]
    async with working(successor):
        stories = await successor.stories()
    assert all(len(story.attempts) == 1 for story in stories)


# ------------------------------------------------------------ the group


REPLICAS = tuple(f"shop-web-{number}" for number in (1, 2, 3))
CHECK = HealthCheck(
    interval=timedelta(seconds=5),
    timeout=timedelta(seconds=5),
    retries=3,
    start_period=timedelta(seconds=0),
)


def replicas(clock: VirtualClock, count: int, **more: object) -> LivelyEngine:
    engine = LivelyEngine(clock)
    for number in range(1, count + 1):
        labels = compose("shop", "web", number)
        engine.run(container(f"shop-web-{number}", number, labels=labels, **more))
    return engine


@pytest.mark.parametrize("count", [2, 3])
async def test_replicas_are_restarted_one_after_the_other(clock: VirtualClock, count: int) -> None:
    engine = replicas(clock, count)
    engine.takes = timedelta(seconds=40)
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=PLENTY)
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(*map(ill, REPLICAS[:count]))
        await pass_time(seconds=100 * count)
        stories = await house.stories()

    assert engine.most_out == 1
    assert {name for name, _ in restarted(house)} == set(REPLICAS[:count])
    assert sum(Reason.MIN_HEALTHY in reasons(story) for story in stories) == count - 1


async def test_the_next_replica_waits_until_the_last_one_is_healthy(clock: VirtualClock) -> None:
    engine = replicas(clock, 3, health=Health.HEALTHY, health_check=CHECK)
    healthy_after = 120.0

    def starting(one: Container) -> None:
        engine.run(replace(one, health=Health.STARTING))
        asyncio.get_running_loop().call_later(
            healthy_after, lambda: engine.run(replace(engine.inside[one.id], health=Health.HEALTHY))
        )

    engine.on_started = starting
    patient = replace(CHECK, start_period=timedelta(minutes=3))
    for one in list(engine.inside.values()):
        engine.run(replace(one, health_check=patient))
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=PLENTY)
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(*map(ill, REPLICAS))
        await pass_time(minutes=8)
    times = [when for _, when in restarted(house)][:3]

    assert len({name for name, _ in restarted(house)[:3]}) == 3
    assert all(after - before >= healthy_after for before, after in pairwise(times))


async def test_the_only_one_that_serves_is_not_taken_out(clock: VirtualClock) -> None:
    engine = replicas(clock, 2, health=Health.HEALTHY, health_check=CHECK)
    engine.run(replace(engine.named("shop-web-2"), health=Health.UNHEALTHY))
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=PLENTY)
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(ill("shop-web-1"))
        await pass_time(minutes=5)
        held = await story_of(house, "shop-web-1")
        engine.run(replace(engine.named("shop-web-2"), health=Health.HEALTHY))
        await pass_time(seconds=16)

    assert (held.state, held.reason) == (State.HELD, Reason.MIN_HEALTHY)
    assert [name for name, _ in restarted(house)] == ["shop-web-1"]


async def test_three_groups_are_no_group(clock: VirtualClock) -> None:
    engine = populated(clock, FIVE[:3])
    engine.takes = timedelta(seconds=40)
    rules = Rulebook(defaults=RESTARTS_ONLY, guards=PLENTY)
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(*map(ill, FIVE[:3]))
        await pass_time(seconds=110)

    assert engine.most_out == 3


# ------------------------------------------------------------ deploys and starts


OLD = START - timedelta(days=3)


def shop(clock: VirtualClock, *, born: datetime | None = OLD) -> LivelyEngine:
    engine = LivelyEngine(clock)
    for number, service in enumerate(("web", "db", "worker"), start=1):
        labels = compose("shop", service, 1)
        engine.run(container(f"shop-{service}-1", number, labels=labels, created_at=born))
    return engine


async def test_a_container_of_the_project_that_is_removed_is_a_deploy(clock: VirtualClock) -> None:
    engine = shop(clock)
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(ill("shop-web-1"))
        await pass_time(seconds=50)
        engine.remove("shop-worker-1")
        await pass_time(seconds=20)
        held = await house.story()
        await pass_time(minutes=3)

    assert (held.state, held.reason) == (State.HELD, Reason.DEPLOY)
    assert [when for _, when in restarted(house)] == [50 + 120]


async def test_a_new_name_in_the_project_is_a_deploy(clock: VirtualClock) -> None:
    """Compose renames the old container before it makes the new one."""
    engine = shop(clock)
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(ill("shop-web-1"))
        await pass_time(seconds=55)
        engine.tell(engine.named("shop-db-1"), "rename")
        await pass_time(minutes=3)

    assert [when for _, when in restarted(house)] == [55 + 120]


async def test_a_deploy_before_we_were_started_is_remembered_by_the_engine(
    clock: VirtualClock,
) -> None:
    engine = shop(clock)
    engine.remove("shop-worker-1")
    await pass_time(seconds=30)
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(ill("shop-web-1"))
        await pass_time(minutes=3)

    assert [when for _, when in restarted(house)] == [120]


async def test_a_new_container_in_the_project_is_a_deploy(clock: VirtualClock) -> None:
    engine = shop(clock)
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(ill("shop-web-1"))
        await pass_time(seconds=40)
        labels = compose("shop", "extra", 1)
        engine.run(container("shop-extra-1", 9, labels=labels, created_at=clock.now()))
        await pass_time(minutes=3)

    assert [when for _, when in restarted(house)] == [40 + 120]


async def test_a_deploy_of_another_project_holds_nobody(clock: VirtualClock) -> None:
    engine = shop(clock)
    engine.run(container("blog-web-1", 8, labels=compose("blog", "web", 1), created_at=OLD))
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(ill("shop-web-1"))
        await pass_time(seconds=50)
        engine.remove("blog-web-1")
        await pass_time(minutes=1)

    assert [when for _, when in restarted(house)] == [60]


@pytest.mark.parametrize("what", ["clone", "one-off"])
async def test_a_clone_of_ours_and_a_one_off_run_are_no_deploy(
    clock: VirtualClock, what: str
) -> None:
    engine = shop(clock)
    house = build(make_store(), clock, engine)
    labels = dict(compose("shop", "web", 2))
    if what == "clone":
        labels["relevo.clone-of"] = "shop-web-1"
    else:
        labels["com.docker.compose.oneoff"] = "True"
    async with working(house, pulling=True):
        await house.take(ill("shop-web-1"))
        await pass_time(seconds=30)
        engine.run(container("shop-web-2", 9, labels=labels, created_at=clock.now()))
        await pass_time(seconds=20)
        engine.remove("shop-web-2")
        await pass_time(minutes=1)

    assert [when for _, when in restarted(house)] == [60]


async def test_at_its_first_start_only_the_young_containers_of_a_project_are_left_alone(
    clock: VirtualClock,
) -> None:
    """The stack came up within the last minutes: one of its containers 110 s after the other."""
    engine = shop(clock, born=START - timedelta(seconds=110))
    engine.run(replace(engine.named("shop-db-1"), created_at=START))
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(ill("shop-web-1"), ill("shop-db-1"))
        await pass_time(minutes=3)

    assert restarted(house) == [("shop-web-1", 60), ("shop-db-1", 120)]


async def test_a_container_that_was_started_a_moment_ago_gets_its_grace(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    policy = replace(RESTARTS_ONLY, restart=RestartRules(start_grace=timedelta(minutes=5)))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=policy))
    engine.started(web().id)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=4)
        held = await house.story()
        await pass_time(minutes=2)

    assert (held.state, held.reason) == (State.HELD, Reason.START_GRACE)
    assert house.since_start("restart") == [300]


async def test_a_start_period_is_a_grace_while_it_has_not_passed(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    slow = replace(CHECK, start_period=timedelta(minutes=4))
    engine.run(replace(web(), health=Health.STARTING, health_check=slow))
    engine.started(web().id)
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=6)

    assert house.since_start("restart") == [240]


# ------------------------------------------------------------ protected


async def test_a_protected_container_is_never_taken_on(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    rules = Rulebook(guards=Guards(protected=("we*",)))
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        counts = await house.take(alert())
        await pass_time(minutes=5)

    assert (counts.accepted, counts.skipped) == (0, 1)
    assert [aside.reason for aside in await house.store.history.asides()] == [Reason.PROTECTED]
    assert engine.acts == []


async def test_a_container_that_becomes_protected_in_its_wait_is_left_alone(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        house.rules.replace(Rulebook(guards=Guards(protected=("web",))))
        await pass_time(minutes=5)
        story = await house.story()

    assert engine.acts == []
    assert (story.state, story.reason) == (State.HELD, Reason.PROTECTED)


# ------------------------------------------------------------ people


async def test_stopped_by_a_person_in_the_wait_it_stays_so(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.stop("web")
        await pass_time(hours=1)
        story = await house.story()

    assert engine.acts == []
    assert (story.state, story.reason) == (State.HELD, Reason.HUMAN)
    assert story.log[-1].detail == "somebody stopped it at 10:00:30 UTC"


@pytest.mark.parametrize("exit_code", [0, 1, 137, 143])
async def test_stopped_by_a_person_while_verified_it_is_held_and_does_not_count(
    clock: VirtualClock, engine: LivelyEngine, exit_code: int
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=90)
        engine.stop("web", exit_code=exit_code)
        await pass_time(hours=1)
        story = await house.story()
        (target,) = await house.desk.targets()

    assert [(one.verdict, one.verdict_reason) for one in story.attempts] == [
        (Verdict.HELD, Reason.HUMAN)
    ]
    assert target.failures == 0
    assert len(engine.acts) == 1
    assert (story.state, story.reason) == (State.HELD, Reason.HUMAN)


async def test_killed_by_a_person_is_stopped_by_a_person(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=90)
        engine.kill("web")
        await pass_time(minutes=30)
        story = await house.story()

    assert [one.verdict for one in story.attempts] == [Verdict.HELD]
    assert len(engine.acts) == 1


async def test_stopped_and_started_by_a_person_it_is_treated_again(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.stop("web")
        await pass_time(minutes=10)
        engine.started(web().id)
        await pass_time(minutes=10)
        story = await house.story()

    assert len(house.since_start("restart")) == 1
    # That start was somebody's try, verified and not counted.
    assert story.attempts[0].trigger == "foreign"


async def test_paused_by_a_person_in_the_wait_it_stays_so(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.pause("web")
        await pass_time(hours=1)
        story = await house.story()
        engine.pause("web", paused=False)
        await pass_time(seconds=16)

    assert (story.state, story.reason) == (State.HELD, Reason.PAUSED_CONTAINER)
    assert house.since_start("restart") == [3630]


@pytest.mark.parametrize("is_gone", [False, True], ids=["alert-stays", "alert-goes"])
async def test_paused_by_a_person_while_verified_it_is_neither_failed_nor_well(
    clock: VirtualClock, engine: LivelyEngine, *, is_gone: bool
) -> None:
    house = build(make_store(), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=90)
        engine.pause("web")
        if is_gone:
            await house.take(alert(status=AlertStatus.RESOLVED))
        await pass_time(minutes=30)
        story = await house.story()
        (target,) = await house.desk.targets()

    assert target.failures == 0
    assert [one.verdict for one in story.attempts] == [Verdict.HELD]


async def test_a_container_left_stopped_by_our_own_restart_is_started_once(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    """moby#47549: its restart stops it and then fails."""
    house = build(make_store(), clock, engine)
    engine.errors = [EngineSilent("no answer in 40 s")]
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=3)
        story = await house.story()

    assert [what for what, _, _ in engine.acts] == ["start"]
    assert engine.named("web").state is RunState.RUNNING
    assert [one.started_again for one in story.attempts] == [True]


async def test_our_own_restart_is_not_taken_for_a_persons(
    clock: VirtualClock, engine: LivelyEngine
) -> None:
    """Its events say kill, die, stop, start, restart, as those of anybody's."""
    engine.takes = timedelta(seconds=8)
    quick = Policy(verify=VerifyRules(), scale_out=ScaleOutRules(enabled=False))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=quick))
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=26)
        story = await house.story()

    assert [one.trigger for one in story.attempts] == ["automatic"] * 3
    assert [one.verdict for one in story.attempts] == [Verdict.SYMPTOM_PERSISTS] * 3
    assert Reason.HUMAN not in reasons(story)
