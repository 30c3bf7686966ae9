"""What becomes of the source of a clone, in virtual time: isolated, stopped, and back again."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from app.controller.wish import Wish
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.alert import AlertStatus
from app.domain.audit import AuditKind
from app.domain.container import Container, RunState
from app.domain.control import Halt, OrderKind
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.usage import Used
from app.errors import EngineRefused, EngineSilent, OrderRefused
from app.policies.spec import (
    Policy,
    Rulebook,
    ScaleOutRules,
    SourceAfterwards,
    Strategy,
)
from tests.builders import START, TARGET, alert, compose, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine, LivelyEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(120)]

RESOLVED = alert(status=AlertStatus.RESOLVED)
ANNA = Wish(reason="enough", author="anna")
NETWORKS = ("back", "front")
CLONE = "web_new101"
#: The clone is warm after a minute, and has proved itself three minutes later.
PROVEN = 240
LASTS = timedelta(hours=2)
SUCCESSFUL = ActivityStatus.SUCCESSFUL


def book(
    source: SourceAfterwards = SourceAfterwards.ISOLATE,
    strategy: Strategy = Strategy.SCALE_FIRST,
    **scale_out: Any,
) -> Rulebook:
    rules = ScaleOutRules(source=source, **({"isolate_for": LASTS} | scale_out))
    return Rulebook(defaults=Policy(strategy=strategy, scale_out=rules))


STOP = book(SourceAfterwards.STOP)


@dataclass
class Stage:
    """A controller, an engine, a store, and what a test pokes at."""

    rulebook: Rulebook = field(default_factory=book)
    clock: VirtualClock = field(default_factory=VirtualClock)
    memory: MemoryStore = field(default_factory=MemoryStore)
    engine: FakeEngine = field(init=False)
    _house: House | None = None

    def __post_init__(self) -> None:
        self.engine = LivelyEngine(self.clock)
        self.engine.run(web(networks=NETWORKS))
        self.engine.uses["web"] = self.uses(1.0, 100_000)
        self.engine.uses[CLONE] = self.uses(1.0, 100_000)

    def uses(self, cores: float, bytes_a_second: float) -> Callable[[Container], Used]:
        """Use so much from the first moment on."""

        def measure(one: Container) -> Used:
            lived = (self.clock.now() - START).total_seconds()
            return Used(
                at=self.clock.now(),
                started_at=one.started_at,
                cpu_seconds=cores * lived,
                network_bytes=round(bytes_a_second * lived),
            )

        return measure

    @property
    def house(self) -> House:
        if self._house is None:
            self._house = build(
                make_store(self.memory), self.clock, self.engine, rulebook=self.rulebook
            )
        return self._house

    @property
    def web(self) -> Container:
        return self.engine.named("web")

    @asynccontextmanager
    async def works(self, **span: float) -> AsyncIterator[House]:
        async with working(self.house, leaving=True) as house:
            if span:
                await pass_time(**span)
            yield house

    def crash(self) -> None:
        """Have another life of the same controller."""
        self._house = None

    def lose_the_store(self) -> None:
        """Have another life that remembers nothing."""
        self.memory = MemoryStore()
        self._house = None

    async def becomes_ill(self) -> None:
        """Climb to the clone, and to its proof."""
        await self.house.take(alert())

    async def done(self, *kinds: ActivityKind) -> list[Activity]:
        found = await self.memory.activities()
        return [one for one in reversed(found) if one.kind in kinds]

    def when(self, what: str) -> list[float]:
        return [(moment - START).total_seconds() for moment in self.engine.done(what)]


async def replaced(stage: Stage) -> None:
    """Have the source replaced, and the alert gone with that."""
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(minutes=6)
        assert len(await stage.memory.scaling.replaced()) == 1
        await stage.house.take(RESOLVED)
        await pass_time(minutes=6)
        assert (await stage.house.story()).outcome is Outcome.RELIEVED


# ---------------------------------------------------------------- off duty


@pytest.mark.parametrize("source", [SourceAfterwards.ISOLATE, SourceAfterwards.STOP])
async def test_a_source_goes_when_its_clone_has_proved_itself(source: SourceAfterwards) -> None:
    stage = Stage(book(source))
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(seconds=PROVEN - 10)
        assert stage.when(source.value) == []
        await pass_time(minutes=2)

        (went,) = stage.when(source.value)
        assert PROVEN <= went <= PROVEN + 60
        # It is still ill by its alert, which is no need of anybody any more.
        await pass_time(minutes=20)
        story = await stage.house.story()

    assert story.outcome is Outcome.RELIEVED
    assert [one.verdict for one in story.attempts] == [Verdict.RELIEVED]
    assert stage.when("restart") == []
    assert not stage.web.is_serving
    assert stage.engine.named(CLONE).is_serving
    (activity,) = await stage.done(ActivityKind(source.value))
    assert (activity.status, activity.container, activity.reason) == (
        SUCCESSFUL,
        "web",
        Reason.REPLACED,
    )
    assert activity.cause == f"{CLONE} serves in its place: the clone took 50 % of the traffic"
    lines = [line.entry for line in await stage.memory.audit.entries()]
    ours = [one for one in lines if one.attempt == activity.id]
    assert [one.kind for one in ours] == [AuditKind.INTENT, AuditKind.ACTED]
    assert ours[0].detail is not None
    assert ours[0].detail.startswith(f"{source}: ")
    assert ours[0].action is Action.SCALE_OUT
    assert ours[0].container_id == stage.web.id


async def test_the_intent_is_written_before_anything_is_done() -> None:
    stage = Stage()
    stage.engine.takes = timedelta(seconds=5)
    async with stage.works():
        await stage.becomes_ill()
        while not await stage.memory.scaling.under_way():
            await pass_time(seconds=1)
        assert stage.when("isolate") == []
        charged = await stage.house.store.failures.charged(since=START - timedelta(hours=1))
        assert len(charged) == 2
        await pass_time(minutes=1)
    assert len(stage.when("isolate")) == 1


async def test_with_its_alert_still_active_nothing_more_is_done() -> None:
    stage = Stage()
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(hours=2)
        assert len(stage.when("clone")) == 1
        assert stage.when("restart") == []
        (story,) = await stage.house.stories()
        assert story.outcome is Outcome.RELIEVED


@pytest.mark.parametrize(
    "rulebook",
    [
        pytest.param(book(SourceAfterwards.KEEP), id="keep"),
        pytest.param(book(strategy=Strategy.RELIEVE_FIRST), id="only-a-cover"),
        pytest.param(book(traffic_proof=timedelta(0)), id="unproven"),
    ],
)
async def test_a_source_stays(rulebook: Rulebook) -> None:
    stage = Stage(rulebook)
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(minutes=9)

    assert len(stage.when("clone")) == 1
    assert stage.when("isolate") == []
    assert stage.web.is_running


async def test_without_the_proof_it_goes_when_it_has_been_relieved() -> None:
    stage = Stage(book(traffic_proof=timedelta(0)))
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(minutes=3)
        await stage.house.take(RESOLVED)
        await pass_time(minutes=3)
        assert stage.when("isolate") == []
        await pass_time(minutes=4)

    assert len(stage.when("isolate")) == 1


async def test_the_source_of_a_useless_clone_stays() -> None:
    stage = Stage()
    stage.engine.uses[CLONE] = stage.uses(0, 0)
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(hours=1)

    assert len(stage.when("remove")) == 1
    assert stage.when("isolate") == []


async def test_a_source_that_somebody_has_restarted_stays() -> None:
    stage = Stage()
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(minutes=3)
        stage.engine.started(stage.web.id)
        await pass_time(minutes=5)

    assert stage.when("isolate") == []


async def test_what_a_person_has_ordered_replaces_nobody() -> None:
    stage = Stage()
    async with stage.works():
        await stage.house.operator.act(TARGET, OrderKind.SCALE_OUT, ANNA)
        await pass_time(minutes=20)

    assert len(stage.when("clone")) == 1
    assert stage.when("isolate") == []


async def test_a_clone_that_fails_in_the_last_moment_has_it_called_off() -> None:
    stage = Stage()
    async with stage.works():
        await stage.becomes_ill()
        while not await stage.memory.scaling.under_way():
            await pass_time(milliseconds=100)
        clone = stage.engine.named(CLONE)
        stage.engine.run(replace(clone, state=RunState.EXITED))
        await pass_time(minutes=1)

    (activity,) = await stage.done(ActivityKind.ISOLATE)
    assert (activity.status, activity.reason) == (ActivityStatus.CANCELLED, Reason.LAST_INSTANCE)
    assert stage.when("isolate") == []
    assert stage.web.is_serving


async def test_a_pause_by_a_person_stops_it_before_it_is_done() -> None:
    stage = Stage()
    async with stage.works():
        await stage.becomes_ill()
        while not await stage.memory.scaling.under_way():
            await pass_time(milliseconds=100)
        halt = Halt(reason="wait", author="anna", since=stage.clock.now())
        await stage.memory.controls.set_pause(halt)
        await pass_time(minutes=1)

    (activity,) = await stage.done(ActivityKind.ISOLATE)
    assert (activity.status, activity.reason) == (ActivityStatus.CANCELLED, Reason.PAUSE)
    assert stage.when("isolate") == []


async def test_a_refusal_half_way_is_put_right() -> None:
    stage = Stage()
    stage.engine.acts_anyway = True
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(seconds=5)
        stage.engine.errors.append(EngineRefused(500, "half of it"))
        await pass_time(minutes=6)

    (activity,) = await stage.done(ActivityKind.ISOLATE)
    assert activity.status is ActivityStatus.FAILED
    assert stage.web.networks == NETWORKS
    assert stage.web.started_at == web().started_at
    assert await stage.memory.scaling.replaced() == []


# ---------------------------------------------------------------- our own doing


@pytest.mark.parametrize("source", [SourceAfterwards.ISOLATE, SourceAfterwards.STOP])
async def test_nothing_that_we_did_is_taken_for_a_persons_and_nothing_is_restarted(
    source: SourceAfterwards,
) -> None:
    stage = Stage(book(source))
    async with working(stage.house, leaving=True, pulling=True):
        await stage.becomes_ill()
        await pass_time(minutes=6)
        assert stage.house.witness.human(stage.web.id) is None
        await stage.house.take(alert("ContainerDown"))
        await pass_time(minutes=20)
        stories = await stage.house.stories()

    assert stage.when("restart") == []
    assert all(one.reason is not Reason.HUMAN for one in stories)


@pytest.mark.parametrize("source", [SourceAfterwards.ISOLATE, SourceAfterwards.STOP])
async def test_an_ill_clone_gets_help_although_its_source_is_off_duty(
    source: SourceAfterwards,
) -> None:
    stage = Stage(book(source))
    await replaced(stage)
    async with stage.works():
        await stage.house.take(alert(labels={"name": CLONE}, fingerprint="f" * 16))
        await pass_time(minutes=10)

    assert len(stage.when("clone")) == 2
    second = stage.engine.named("web_new102")
    assert second.networks == NETWORKS
    assert stage.when("restart") == []
    assert not stage.web.is_serving
    assert len(stage.when(source.value)) == 1


async def test_an_order_to_restart_it_is_refused_with_the_way_out() -> None:
    stage = Stage()
    await replaced(stage)
    async with stage.works():
        with pytest.raises(OrderRefused, match="scale in"):
            await stage.house.operator.act(TARGET, OrderKind.RESTART, ANNA)


# ---------------------------------------------------------------- back again


async def test_one_that_is_isolated_is_back_after_its_time_and_then_its_clone_leaves() -> None:
    stage = Stage()
    await replaced(stage)
    (since,) = stage.when("isolate")
    async with stage.works():
        await pass_time(hours=1)
        assert stage.when("remove") == []
        stay = stage.house.controller.departures.stays[TARGET]
        assert (stay.reason, stay.detail) == (
            Reason.REPLACED,
            "web is isolated, a clone serves in its place",
        )
        await pass_time(minutes=55)
        (back,) = stage.when("back")
        assert since + 7200 <= back <= since + 7200 + 60
        assert stage.web.is_serving
        assert stage.web.networks == NETWORKS
        assert stage.web.started_at != web().started_at
        await pass_time(minutes=20)
        assert stage.when("remove") == []
        await pass_time(minutes=10)
        (gone,) = stage.when("remove")
        assert back + 1800 <= gone <= back + 1860
        await pass_time(hours=2)

    assert stage.engine.names() == {"web"}
    assert len(stage.when("isolate")) == 1
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert (activity.status, activity.reason) == (SUCCESSFUL, Reason.ISOLATION_OVER)
    assert await stage.memory.scaling.replaced() == []


async def test_one_that_is_stopped_is_back_when_it_is_quiet_and_then_its_clone_leaves() -> None:
    stage = Stage(STOP)
    await replaced(stage)
    closed_at = (await stage.house.story()).closed_at
    assert closed_at is not None
    async with stage.works():
        await pass_time(minutes=45)
        (back,) = stage.when("back")
        assert 1800 <= back - (closed_at - START).total_seconds() <= 1830
        assert stage.web.is_serving
        await pass_time(minutes=31)

    assert stage.engine.names() == {"web"}
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert (activity.status, activity.reason) == (SUCCESSFUL, Reason.QUIET)


@pytest.mark.parametrize("source", [SourceAfterwards.ISOLATE, SourceAfterwards.STOP])
@pytest.mark.parametrize("gone", [True, False], ids=["removed", "exited"])
async def test_it_is_back_at_once_when_its_clone_is_down(
    source: SourceAfterwards, gone: bool
) -> None:
    stage = Stage(book(source))
    await replaced(stage)
    clone = stage.engine.named(CLONE)
    if gone:
        del stage.engine.inside[clone.id]
    else:
        stage.engine.run(replace(clone, state=RunState.EXITED))
    async with stage.works(minutes=2):
        pass

    assert stage.engine.names() == {"web"}
    assert stage.web.is_serving
    assert stage.web.networks == NETWORKS
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert (activity.status, activity.reason) == (SUCCESSFUL, Reason.CLONE_DOWN)


async def test_a_person_has_it_back_by_ordering_a_scale_in() -> None:
    stage = Stage()
    await replaced(stage)
    async with stage.works():
        placed = await stage.house.operator.scale_in(TARGET, ANNA)
        await pass_time(seconds=30)
        assert stage.web.is_serving
        assert stage.when("remove") == []
        await stage.house.operator.scale_in(TARGET, ANNA)
        await pass_time(minutes=1)

    assert stage.engine.names() == {"web"}
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert (activity.id, activity.ordered) == (placed.attempt, "anna: enough")


async def test_what_a_person_has_done_himself_is_left_so() -> None:
    stage = Stage()
    await replaced(stage)
    stage.engine.run(replace(stage.web, networks=NETWORKS, is_cut_off=False))
    async with stage.works(minutes=1):
        pass

    assert stage.when("back") == []
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert activity.reason is Reason.RESTARTED_MEANWHILE
    assert await stage.memory.scaling.replaced() == []


async def test_a_stop_by_a_person_after_it_was_started_again_is_a_persons() -> None:
    stage = Stage(STOP)
    await replaced(stage)
    stage.engine.started(stage.web.id)
    stage.engine.run(replace(stage.web, state=RunState.EXITED, exit_code=137))
    async with stage.works(hours=3):
        pass

    assert stage.when("back") == []
    assert stage.web.state is RunState.EXITED
    assert stage.engine.named(CLONE).is_serving


async def test_one_that_a_person_has_stopped_while_isolated_is_connected_and_not_started() -> None:
    stage = Stage()
    await replaced(stage)
    stopped = replace(stage.web, state=RunState.EXITED, exit_code=143, is_cut_off=False)
    stage.engine.run(stopped)
    async with stage.works(hours=3):
        pass

    assert len(stage.when("back")) == 1
    assert stage.web.state is RunState.EXITED
    assert stage.web.networks == NETWORKS
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert activity.cause.endswith("it is left stopped: somebody may have stopped it")
    assert stage.engine.named(CLONE).is_serving


async def test_one_that_crashed_while_isolated_is_started() -> None:
    stage = Stage()
    await replaced(stage)
    stage.engine.run(replace(stage.web, state=RunState.EXITED, exit_code=1, is_cut_off=False))
    async with stage.works(hours=3):
        pass

    assert stage.web.networks == NETWORKS
    assert stage.web.is_serving


async def test_an_engine_that_refuses_is_asked_again() -> None:
    stage = Stage()
    await replaced(stage)
    stage.engine.errors += [EngineRefused(500, "no such luck")] * 3
    async with stage.works():
        await pass_time(hours=2, minutes=2)

    assert stage.web.is_serving
    (activity,) = await stage.done(ActivityKind.BRING_BACK)
    assert activity.status is SUCCESSFUL


async def test_an_engine_that_goes_on_refusing_is_told_of_and_asked_again_later() -> None:
    stage = Stage()
    await replaced(stage)
    del stage.engine.inside[stage.engine.named(CLONE).id]
    stage.engine.errors += [EngineRefused(500, "no such luck")] * 65
    async with stage.works():
        await pass_time(minutes=25)
        assert [one.status for one in await stage.done(ActivityKind.BRING_BACK)] == [
            ActivityStatus.FAILED
        ]
        stay = stage.house.controller.departures.stays[TARGET]
        assert (stay.reason, stay.detail) == (Reason.COOLDOWN, "it could not be brought back")
        await pass_time(minutes=15)

    assert stage.web.is_serving


# ---------------------------------------------------------------- cut off anywhere


@pytest.mark.parametrize("source", [SourceAfterwards.ISOLATE, SourceAfterwards.STOP])
@pytest.mark.parametrize("happened", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("what", ["off", "back"])
async def test_whatever_we_die_at_is_gone_on_with(
    source: SourceAfterwards, happened: bool, what: str
) -> None:
    stage = Stage(book(source))
    if what == "back":
        await replaced(stage)
        del stage.engine.inside[stage.engine.named(CLONE).id]
    stage.engine.acts_anyway = happened
    async with stage.works():
        if what == "off":
            await stage.becomes_ill()
            await pass_time(seconds=5)
        stage.engine.takes = timedelta(seconds=20)
        stage.engine.errors += [EngineSilent("no answer")]
        while not await stage.memory.scaling.under_way():
            await pass_time(seconds=1)
        while stage.engine.errors:
            await pass_time(seconds=1)
    stage.engine.takes = timedelta(0)
    stage.crash()

    async with stage.works(minutes=2):
        assert await stage.memory.scaling.under_way() == []

    kind = ActivityKind(source.value) if what == "off" else ActivityKind.BRING_BACK
    (activity,) = await stage.done(kind)
    assert activity.status is SUCCESSFUL
    assert stage.web.is_serving is (what == "back")
    if what == "back":
        assert stage.web.networks == NETWORKS


async def test_half_isolated_and_its_clone_gone_it_is_as_it_was() -> None:
    stage = Stage()
    stage.engine.takes = timedelta(seconds=20)
    async with stage.works():
        await stage.becomes_ill()
        while not await stage.memory.scaling.under_way():
            await pass_time(seconds=1)
    stage.crash()
    stage.engine.takes = timedelta(0)
    stage.engine.run(replace(stage.web, networks=("back",)))
    del stage.engine.inside[stage.engine.named(CLONE).id]

    async with stage.works(minutes=1):
        pass

    (activity,) = await stage.done(ActivityKind.ISOLATE)
    assert activity.status is ActivityStatus.CANCELLED
    assert stage.web.networks == NETWORKS
    assert stage.web.started_at == web().started_at


# ---------------------------------------------------------------- nothing is remembered


async def test_after_a_total_loss_nothing_is_isolated_for_ever() -> None:
    stage = Stage()
    await replaced(stage)
    stage.lose_the_store()

    async with stage.works():
        await pass_time(hours=1)
        assert stage.when("back") == []
        assert stage.engine.named(CLONE).is_serving
        await pass_time(hours=1, minutes=15)
        assert len(stage.when("back")) == 1
        assert stage.web.is_serving
        assert stage.web.networks == NETWORKS
        await pass_time(minutes=45)

    assert stage.engine.names() == {"web"}


async def test_after_a_total_loss_one_that_is_stopped_is_back_when_it_is_quiet() -> None:
    stage = Stage(STOP)
    await replaced(stage)
    stage.lose_the_store()

    async with stage.works(minutes=75):
        pass

    assert len(stage.when("back")) == 1
    assert stage.web.is_serving


async def test_half_isolated_and_forgotten_it_is_connected_after_the_grace() -> None:
    stage = Stage()
    await replaced(stage)
    stage.engine.run(replace(stage.web, networks=("back",), is_cut_off=False))
    life = stage.web.started_at
    stage.lose_the_store()

    async with stage.works():
        await pass_time(minutes=9)
        assert stage.when("back") == []
        await pass_time(minutes=2)

    assert stage.web.networks == NETWORKS
    assert stage.web.started_at == life


async def test_a_stop_that_we_remember_nothing_of_is_a_persons() -> None:
    stage = Stage(STOP)
    async with stage.works():
        await stage.becomes_ill()
        await pass_time(minutes=2)
        stage.engine.run(replace(stage.web, state=RunState.EXITED, exit_code=143))
        await stage.house.take(RESOLVED)
        await pass_time(hours=3)

    assert stage.when("stop") == []
    assert stage.when("back") == []
    assert stage.web.state is RunState.EXITED


# ---------------------------------------------------------------- many


async def test_an_isolated_instance_is_none_that_serves_for_the_others() -> None:
    """Two instances of a service: the one that is left is not restarted as if the other served."""
    stage = Stage(book(max_instances=5))
    stage.engine.inside.clear()
    labels = compose("shop", "web", 1)
    stage.engine.run(container("shop-web-1", 1, labels=labels, networks=NETWORKS, is_cut_off=False))
    off = container("shop-web-2", 2, labels=compose("shop", "web", 2), is_cut_off=True)
    stage.engine.run(off)
    stage.rulebook = Rulebook()
    async with stage.works():
        await stage.house.take(alert(labels={"name": "shop-web-1"}))
        await pass_time(minutes=3)
        (story,) = await stage.house.stories()

    assert story.reason is Reason.MIN_HEALTHY
    assert stage.when("restart") == []
