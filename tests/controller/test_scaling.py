"""Clones leave again, in virtual time: drained, one at a time, whatever becomes of us."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.adapters.store.codec import to_ms
from app.controller.wish import Wish
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.alert import AlertStatus
from app.domain.audit import AuditKind
from app.domain.container import Container, Health, RunState
from app.domain.control import Halt
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import State, Trigger
from app.domain.target import GroupId
from app.domain.usage import Used
from app.errors import (
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    OrderConflict,
    OrderRefused,
    StoreUnavailable,
)
from app.policies.spec import (
    Guards,
    Mode,
    Policy,
    Rulebook,
    ScaleInRules,
    ScaleOutRules,
    Strategy,
)
from app.ports import Cooldown, Deadline
from tests.builders import ENGINE, START, TARGET, alert, at, container, listed_alert, remediation
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.controller.town import FrozenEngine, Town
from tests.fakes import FakeAlertmanager, FakeEngine, LivelyEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

RESOLVED = alert(status=AlertStatus.RESOLVED)
ANNA = Wish(reason="enough", author="anna")
SUCCESSFUL, FAILED, CANCELLED = (
    ActivityStatus.SUCCESSFUL,
    ActivityStatus.FAILED,
    ActivityStatus.CANCELLED,
)
#: Half an hour, and the drain of one whose traffic nobody can measure.
AFTER, DRAIN = 1800.0, 30.0


def clone(number: int = 1, source: str = "web", **more: Any) -> Container:
    labels = {
        "relevo.enable": "true",
        "relevo.clone-of": source,
        "relevo.attempt": f"{source}-0.{number}",
        **more.pop("labels", {}),
    }
    return container(f"{source}_new{number}", 100 + number, labels=labels, **more)


def made(one: Container, *, seconds: float = 0, **more: Any) -> Activity:
    """The scale-out that made a clone."""
    source = one.labels["relevo.clone-of"]
    values: dict[str, Any] = {
        "id": one.labels["relevo.attempt"],
        "group": f"{ENGINE}:{source}",
        "kind": ActivityKind.SCALE_OUT,
        "cause": "load",
        "status": ActivityStatus.SUCCESSFUL,
        "container": one.name,
        "started_at": at(seconds - 60),
        "finished_at": at(seconds),
        "container_id": one.id,
        "reason": Reason.WINDOW_FULL,
    }
    return Activity(**(values | more))


@dataclass
class Stage:
    """A controller whose group has a clone, and what a test pokes at."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    memory: MemoryStore = field(default_factory=MemoryStore)
    rulebook: Rulebook = field(default_factory=Rulebook)
    mode: Mode = Mode.ENFORCE
    alerts: FakeAlertmanager | None = None
    engine: FakeEngine = field(init=False)
    _house: House | None = None

    def __post_init__(self) -> None:
        self.engine = FakeEngine(self.clock)
        self.engine.run(web())

    @property
    def house(self) -> House:
        if self._house is None:
            self._house = build(
                make_store(self.memory),
                self.clock,
                self.engine,
                alerts=self.alerts,
                rulebook=self.rulebook,
                mode=self.mode,
            )
        return self._house

    def crash(self) -> None:
        """Have another life of the same controller."""
        self._house = None

    def has(self, one: Container, *, seconds: float = 0, **more: Any) -> Container:
        """Have a clone that is written down."""
        self.memory.write_activity(made(one, seconds=seconds, **more))
        return self.engine.run(one)

    @asynccontextmanager
    async def works(self, **span: float) -> AsyncIterator[House]:
        async with working(self.house, leaving=True) as house:
            if span:
                await pass_time(**span)
            yield house

    async def ends(self) -> list[Activity]:
        """All scale-ins, the oldest first."""
        found = await self.memory.activities()
        return [one for one in reversed(found) if one.kind is ActivityKind.SCALE_IN]

    def gone(self) -> list[float]:
        """When clones were removed, in seconds since the start."""
        return [(moment - START).total_seconds() for moment in self.engine.done("remove")]

    def stays(self, group: str = TARGET) -> Reason:
        return self.house.controller.departures.stays[group].reason


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def only(stage: Stage) -> Activity:
    (one,) = await stage.ends()
    return one


def told(one: Activity) -> tuple[object, ...]:
    return one.status, one.reason, one.container


def traffic(stage: Stage, name: str, bytes_at: Callable[[float], float | None]) -> None:
    """Have a container's networks measured: bytes by the seconds since the start."""

    def measure(one: Container) -> Used:
        now = stage.clock.now()
        found = bytes_at((now - START).total_seconds())
        return Used(
            at=now,
            started_at=one.started_at,
            cpu_seconds=0.0,
            network_bytes=None if found is None else int(found),
        )

    stage.engine.uses[name] = measure


# ---------------------------------------------------------------- quiet


async def test_a_clone_leaves_when_it_has_been_quiet_for_long_enough(stage: Stage) -> None:
    one = stage.has(clone())

    async with stage.works(seconds=AFTER - 1) as house:
        assert stage.engine.names() == {"web", one.name}
        assert stage.stays() is Reason.NEEDED
        await pass_time(seconds=60)
        assert house.controller.departures.stays == {}

    assert stage.engine.names() == {"web"}
    ended = await only(stage)
    assert told(ended) == (SUCCESSFUL, Reason.QUIET, one.name)
    assert ended.container_id == one.id
    assert ended.target == TARGET
    assert ended.finished_at == START + timedelta(seconds=stage.gone()[0])
    dossier = await stage.memory.read(
        TARGET, group=TARGET, now=at(1900), window=timedelta(hours=1), brake_window=timedelta(0)
    )
    assert dossier.left_at == ended.finished_at
    assert AFTER + DRAIN <= stage.gone()[0] <= AFTER + DRAIN + 15


async def told_ahead(stage: Stage, what: str, hours: float) -> None:
    """Have something kept that a wrong clock has told for a time to come."""
    ahead = hours * 3600
    one = stage.has(clone(), seconds=ahead if what == "made" else -60)
    over = made(one, seconds=ahead, id="web-0.0.in", kind=ActivityKind.SCALE_IN)
    match what:
        case "left":
            stage.memory.write_activity(over)
        case "failed":
            stage.memory.write_activity(replace(over, status=FAILED))
        case "cooling":
            ends = Cooldown(group=TARGET, attempt_id="web-0.0", until=at(ahead))
            stage.memory._cool(ends, to_ms(at(ahead)))
        case "closed":
            story = remediation(state=State.CLOSED, closed_at=at(ahead))
            stage.memory._write(TARGET, story)


@pytest.mark.parametrize("what", ["made", "left", "failed", "cooling", "closed"])
async def test_what_is_kept_of_a_time_to_come_keeps_nobody_until_then(
    stage: Stage, what: str
) -> None:
    await told_ahead(stage, what, hours=5)

    async with stage.works(seconds=AFTER - 60):
        assert stage.gone() == []
        await pass_time(seconds=60 + DRAIN + 15)

    assert stage.engine.names() == {"web"}
    (ended,) = [one for one in await stage.ends() if one.id != "web-0.0.in"]
    assert told(ended) == (SUCCESSFUL, Reason.QUIET, "web_new1")


async def test_a_clock_that_is_set_back_lets_nobody_wait_for_the_old_time(stage: Stage) -> None:
    """Since when something is known was kept by that clock, too."""
    await told_ahead(stage, "made", hours=5)
    lookout = stage.house.controller.departures._lookout
    seen = [
        (await lookout.look(GroupId(ENGINE, "web"), now=at(seconds))).crowd.clones[0].made_at
        for seconds in (7200, 7260, 60, 1800, 6 * 3600)
    ]

    # What has come by now may well be true: nobody leaves too soon for it.
    assert seen == [at(7200), at(7200), at(60), at(60), at(5 * 3600)]


async def test_its_lines_in_the_audit(stage: Stage) -> None:
    one = stage.has(clone())
    async with stage.works(seconds=AFTER + 60):
        pass

    lines = [line.entry for line in await stage.memory.audit.entries()]

    assert [(line.kind, line.action, line.reason, line.trigger) for line in lines] == [
        (AuditKind.INTENT, Action.SCALE_IN, Reason.QUIET, Trigger.AUTOMATIC),
        (AuditKind.ACTED, Action.SCALE_IN, Reason.QUIET, Trigger.AUTOMATIC),
    ]
    assert {line.container_id for line in lines} == {one.id}


async def test_two_clones_leave_one_after_the_other_the_newest_first(stage: Stage) -> None:
    stage.has(clone(1))
    stage.has(clone(2), seconds=60)

    async with stage.works(seconds=AFTER + 600):
        pass

    assert [name for what, name, _ in stage.engine.acts] == ["web_new2", "web_new1"]
    first, second = await stage.ends()
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= timedelta(minutes=5)


async def test_groups_leave_side_by_side(stage: Stage) -> None:
    stage.engine.run(container("db", 2))
    stage.has(clone(1))
    stage.has(clone(2, "db"))

    async with stage.works(seconds=AFTER + 50):
        pass

    # Neither waits for the other's drain; only their beginnings are a moment apart.
    begun = [one.started_at for one in await stage.ends()]
    assert abs(begun[0] - begun[1]) < timedelta(seconds=DRAIN)
    assert stage.engine.names() == {"web", "db"}


async def test_a_story_and_its_end_put_it_off(stage: Stage) -> None:
    stage.has(clone())
    async with stage.works(minutes=20) as house:
        await house.take(alert())
        await pass_time(seconds=30)
        await house.take(RESOLVED)
        await pass_time(seconds=AFTER - 60)
        assert stage.stays() is Reason.NEEDED
        assert stage.gone() == []
        await pass_time(seconds=150)

    (left,) = stage.gone()
    (story,) = await house.stories()
    assert story.closed_at is not None
    assert START + timedelta(seconds=left) >= story.closed_at + timedelta(seconds=AFTER + DRAIN)


async def test_while_it_is_ill_nobody_leaves(stage: Stage) -> None:
    stage.rulebook = Rulebook(defaults=Policy(scale_out=ScaleOutRules(enabled=False)))
    stage.has(clone())

    async with stage.works() as house:
        await house.take(alert())
        await pass_time(hours=2)

    assert stage.gone() == []
    assert stage.stays() is Reason.NEEDED


async def test_the_end_of_a_story_is_heard_at_once(stage: Stage) -> None:
    """A cover leaves as soon as its story is over, not at the next poll."""
    stage.has(clone(), reason=Reason.COVER)
    traffic(stage, "web_new1", lambda seconds: 0)

    async with stage.works() as house:
        await house.take(alert())
        await pass_time(seconds=31)
        assert stage.gone() == []
        await house.take(RESOLVED)
        await pass_time(seconds=3)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.COVER_OVER, "web_new1")


# ---------------------------------------------------------------- the drain


async def test_a_quiet_second_is_enough(stage: Stage) -> None:
    stage.has(clone())
    traffic(stage, "web_new1", lambda seconds: 10**6 * min(seconds, AFTER + 10))

    async with stage.works(seconds=AFTER + 60):
        pass

    (left,) = stage.gone()
    assert AFTER + 10 <= left <= AFTER + 14


@pytest.mark.parametrize("known", [True, False], ids=["busy", "in-the-hosts-network"])
async def test_one_that_is_never_quiet_leaves_after_the_drain(stage: Stage, known: bool) -> None:
    stage.has(clone())
    traffic(stage, "web_new1", lambda seconds: 10**6 * seconds if known else None)

    async with stage.works(seconds=AFTER + 60):
        pass

    ended = await only(stage)
    assert ended.finished_at is not None
    assert ended.finished_at - ended.started_at == timedelta(seconds=DRAIN)


async def test_one_that_the_engine_does_not_measure_leaves_after_the_drain(stage: Stage) -> None:
    def refuses(one: Container) -> Used:
        raise EngineRefused(500, "no stats")

    one = stage.has(clone())
    stage.engine.uses[one.name] = refuses

    async with stage.works(seconds=AFTER + 120):
        pass

    ended = await only(stage)
    assert (ended.status, ended.reason) == (SUCCESSFUL, Reason.QUIET)
    assert stage.gone()[0] >= AFTER + DRAIN


async def test_a_need_during_the_drain_calls_it_off(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=AFTER + 10) as house:
        assert [one.status for one in await stage.ends()] == [ActivityStatus.IN_PROGRESS]
        await house.take(alert())
        await pass_time(seconds=50)  # after 60 its first restart is due

    assert stage.gone() == []
    ended = await only(stage)
    assert told(ended) == (CANCELLED, Reason.NEEDED, "web_new1")
    assert await stage.memory.scaling.under_way() == []
    line = (await stage.memory.audit.entries())[-1].entry
    assert (line.verdict, line.reason) == (Verdict.CANCELLED, Reason.NEEDED)


async def test_a_pause_during_the_drain_calls_it_off(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=AFTER + 10) as house:
        await house.operator.pause(ANNA, lasts=None)
        await pass_time(seconds=60)

    assert stage.gone() == []
    assert told(await only(stage)) == (CANCELLED, Reason.PAUSE, "web_new1")


async def test_the_last_that_is_healthy_stays_although_it_was_leaving(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=AFTER + 10):
        stage.engine.run(web(state=RunState.EXITED))
        await pass_time(minutes=30)

    assert stage.gone() == []
    assert told(await only(stage)) == (CANCELLED, Reason.LAST_INSTANCE, "web_new1")
    assert stage.stays() is Reason.LAST_INSTANCE


async def test_somebody_else_may_remove_it_meanwhile(stage: Stage) -> None:
    one = stage.has(clone())

    async with stage.works(seconds=AFTER + 10):
        del stage.engine.inside[one.id]
        await pass_time(seconds=30)

    assert stage.gone() == []
    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


# ---------------------------------------------------------------- one that is down


async def test_one_that_has_ended_leaves_at_once_and_is_waited_for_by_nobody(stage: Stage) -> None:
    stage.has(clone(state=RunState.EXITED))

    async with stage.works(seconds=1):
        pass

    assert told(await only(stage)) == (SUCCESSFUL, Reason.CLONE_DOWN, "web_new1")
    assert stage.engine.names() == {"web"}


async def test_one_that_stays_unhealthy_leaves_after_the_deadline(stage: Stage) -> None:
    stage.has(clone(health=Health.UNHEALTHY))

    async with stage.works(seconds=179):
        assert stage.engine.names() == {"web", "web_new1"}
        await pass_time(seconds=16)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.CLONE_DOWN, "web_new1")


async def test_one_that_recovers_in_between_begins_anew(stage: Stage) -> None:
    ill = stage.has(clone(health=Health.UNHEALTHY))

    async with stage.works(seconds=150):
        stage.engine.run(replace(ill, health=Health.HEALTHY))
        await pass_time(seconds=20)
        stage.engine.run(ill)
        await pass_time(seconds=170)

    assert stage.gone() == []


async def test_the_need_of_others_keeps_nobody_who_is_down(stage: Stage) -> None:
    stage.has(clone(state=RunState.EXITED))

    async with stage.works() as house:
        await house.take(alert())
        await pass_time(seconds=20)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.CLONE_DOWN, "web_new1")


# ---------------------------------------------------------------- what forbids it


async def test_a_pause_keeps_everybody(stage: Stage) -> None:
    stage.has(clone(1))
    async with stage.works() as house:
        await house.operator.pause(ANNA, lasts=timedelta(hours=1))
        await pass_time(minutes=59)
        assert stage.gone() == []
        assert stage.stays() is Reason.PAUSE
        await pass_time(minutes=2)

    assert stage.engine.names() == {"web"}


async def test_a_hold_on_the_original_keeps_its_clones(stage: Stage) -> None:
    stage.has(clone())
    halt = Halt(reason="no", author="anna", since=START)
    await stage.memory.controls.set_hold(TARGET, halt)

    async with stage.works(hours=1):
        pass

    assert stage.stays() is Reason.HOLD
    assert await stage.ends() == []


async def test_observe_mode_removes_nothing(stage: Stage) -> None:
    stage.mode = Mode.OBSERVE
    stage.has(clone(1))
    stage.has(clone(2, state=RunState.EXITED))

    async with stage.works(hours=1):
        pass

    assert stage.stays() is Reason.OBSERVE
    assert stage.engine.acts == []
    assert await stage.ends() == []


async def test_a_spent_budget_is_waited_for(stage: Stage) -> None:
    stage.rulebook = Rulebook(guards=Guards(burst=1, per_hour=1))
    stage.engine.run(container("db", 2))
    stage.has(clone(1))
    stage.has(clone(2, "db"))

    async with stage.works(seconds=AFTER + 120):
        assert len(stage.gone()) == 1
        assert stage.stays(f"{ENGINE}:web") is Reason.BUDGET
        await pass_time(hours=1)

    assert len(stage.gone()) == 2
    first, second = await stage.ends()
    assert second.started_at - first.started_at >= timedelta(hours=1)


async def test_whoever_does_not_lead_removes_nothing(stage: Stage) -> None:
    stage.has(clone())
    run = asyncio.create_task(stage.house.controller.departures.run())
    await pass_time(minutes=1)
    assert stage.stays() is Reason.NEEDED
    await pass_time(hours=1)
    run.cancel()

    assert stage.house.controller.departures.stays == {}
    assert stage.engine.acts == []
    assert await stage.ends() == []


# ---------------------------------------------------------------- our label and our record


async def test_one_that_nobody_remembers_leaves_later(stage: Stage) -> None:
    """After a total loss of the store: ten minutes of grace, then it has to be quiet."""
    stage.engine.run(clone())

    async with stage.works(minutes=9):
        assert stage.stays() is Reason.COOLDOWN
        await pass_time(minutes=2)
        assert stage.stays() is Reason.NEEDED
        await pass_time(minutes=21)

    assert stage.engine.names() == {"web"}


async def test_a_copy_of_our_label_is_nobody_of_ours(stage: Stage) -> None:
    one = stage.has(clone())
    del stage.engine.inside[one.id]
    stage.engine.run(replace(one, id="f" * 64))

    async with stage.works(hours=2):
        pass

    assert stage.engine.acts == []
    assert stage.stays() is Reason.NO_CLONE


async def test_a_copy_has_its_grace_from_when_nobody_can_tell_it_from_ours(stage: Stage) -> None:
    one = stage.has(clone())
    del stage.engine.inside[one.id]
    stage.engine.run(replace(one, id="f" * 64, state=RunState.EXITED))

    async with stage.works(hours=1):
        del stage.memory._activities[one.labels["relevo.attempt"]]
        await pass_time(minutes=9)
        assert stage.engine.acts == []
        await pass_time(minutes=2)

    assert stage.engine.names() == {"web"}


async def test_one_that_was_made_a_moment_ago_by_the_ladder_is_on_trial(stage: Stage) -> None:
    stage.rulebook = Rulebook(
        defaults=Policy(
            strategy=Strategy.SCALE_FIRST, scale_out=ScaleOutRules(traffic_proof=timedelta(0))
        )
    )

    async with stage.works() as house:
        await house.take(alert())
        await pass_time(seconds=40)
        assert stage.stays() in (Reason.BUSY, Reason.NEEDED)
        await house.take(RESOLVED)
        await pass_time(minutes=20)
        assert len(stage.engine.names()) == 2
        await pass_time(minutes=40)

    assert stage.engine.names() == {"web"}
    ended = await only(stage)
    assert ended.reason is Reason.QUIET
    # It says when an instance left last: the next need goes straight to a scale-out.
    story = (await house.stories())[0]
    assert story.closed_at is not None
    assert ended.started_at >= story.closed_at + timedelta(seconds=AFTER)


# ---------------------------------------------------------------- crashes


class Crashing(FakeEngine):
    """An engine whose client dies around a removal."""

    before: BaseException | None = None
    after: BaseException | None = None

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = lambda: 1e9
    ) -> None:
        error, self.before = self.before, None
        if error is not None:
            raise error
        await super().remove_clone(container_id, attempt_id=attempt_id, not_after=not_after)
        error, self.after = self.after, None
        if error is not None:
            raise error


def crashing(stage: Stage) -> Crashing:
    stage.engine = Crashing(stage.clock, inside=stage.engine.inside)
    return stage.engine


@pytest.mark.parametrize("when", ["in-the-drain", "before-it-is-gone", "once-it-is-gone"])
async def test_a_crash_is_gone_on_from(stage: Stage, when: str) -> None:
    stage.has(clone())
    engine = crashing(stage)
    if when == "before-it-is-gone":
        engine.before = asyncio.CancelledError()
    elif when == "once-it-is-gone":
        engine.after = asyncio.CancelledError()
    async with stage.works(seconds=AFTER + (10 if when == "in-the-drain" else 30.5)):
        pass
    (begun,) = await stage.memory.scaling.under_way()
    stage.crash()

    async with stage.works(seconds=60):
        pass

    assert stage.engine.names() == {"web"}
    ended = await only(stage)
    assert ended.id == begun.id
    assert told(ended) == (SUCCESSFUL, Reason.QUIET, "web_new1")
    assert len(stage.gone()) == 1
    assert len(await stage.memory.charged(since=START)) == 1


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), EngineSilent("no answer")])
async def test_an_engine_that_does_not_answer_is_asked_again(
    stage: Stage, error: Exception
) -> None:
    stage.has(clone())
    engine = crashing(stage)
    engine.before = error

    async with stage.works(seconds=AFTER + 31):
        assert len(await stage.memory.scaling.under_way()) == 1
        await pass_time(seconds=16)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


async def test_an_engine_that_is_down_for_long_ends_nothing(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=AFTER + 10):
        stage.engine.down = True
        await pass_time(hours=1)
        assert len(await stage.memory.scaling.under_way()) == 1
        stage.engine.down = False
        await pass_time(seconds=30)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


async def test_what_the_engine_refuses_has_failed_and_is_tried_again_later(stage: Stage) -> None:
    stage.has(clone())
    engine = crashing(stage)
    engine.before = EngineRefused(500, "device is busy")

    async with stage.works(seconds=AFTER + 60):
        failed = await only(stage)
        assert told(failed) == (FAILED, Reason.QUIET, "web_new1")
        assert "device is busy" in failed.cause
        assert stage.stays() is Reason.COOLDOWN
        await pass_time(minutes=6)

    assert [one.status for one in await stage.ends()] == [FAILED, SUCCESSFUL]


async def test_an_end_that_cannot_be_written_is_written_later(stage: Stage) -> None:
    stage.has(clone())
    real = stage.memory.scaling.end
    tries: list[datetime] = []

    async def end(*args: Any, **more: Any) -> None:
        tries.append(stage.clock.now())
        if len(tries) == 1:
            raise StoreUnavailable("cut off")
        await real(*args, **more)

    stage.memory.scaling.end = end  # type: ignore[method-assign]
    async with stage.works(seconds=AFTER + 90):
        pass

    assert len(tries) == 2
    assert len(stage.gone()) == 1
    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


async def test_what_was_begun_and_is_half_gone_is_finished_whatever_is_needed(
    stage: Stage,
) -> None:
    """It is off its networks, and would help nobody if it stayed."""
    stage.engine.run(web(networks=("front",)))
    one = stage.has(clone(networks=("front",)))
    async with stage.works(seconds=AFTER + 10):
        pass
    stage.crash()
    stage.engine.run(replace(one, networks=()))

    async with working(stage.house) as house:
        await house.take(alert())
        await pass_time(seconds=5)
    async with stage.works(seconds=20):
        pass

    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


async def test_another_controller_takes_over_in_the_drain() -> None:
    town = Town()
    one = clone()
    town.run(one)
    town.memory.write_activity(made(one))
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await town.until(["anna"], within=60)
    await bert.start()
    await pass_time(seconds=AFTER + 5 - asyncio.get_running_loop().time())
    while not await town.memory.scaling.under_way():
        await pass_time(seconds=1)

    await anna.crash()
    await town.until(["bert"], within=60)
    await pass_time(seconds=60)

    assert [who for who, _ in town.done("remove")] == ["bert"]
    found = await town.memory.activities()
    assert [told(one) for one in found if one.kind is ActivityKind.SCALE_IN] == [
        (SUCCESSFUL, Reason.QUIET, "web_new1")
    ]
    await town.close()


async def test_who_has_lost_the_seat_removes_nothing_any_more() -> None:
    town = Town()
    one = clone()
    town.run(one)
    town.memory.write_activity(made(one))
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    assert isinstance(anna.engine, FrozenEngine)
    await anna.start()
    await town.until(["anna"], within=60)
    await bert.start()
    while not await town.memory.scaling.under_way():
        await pass_time(seconds=1)

    anna.engine.goes_on.clear()
    await anna.stop("tenure")
    await town.until(["bert"], within=60)
    anna.engine.goes_on.set()
    await pass_time(seconds=60)

    assert [who for who, _ in town.done("remove")] == ["bert"]
    await town.close()


async def test_a_store_that_lost_its_memory_lets_nobody_leave_at_once() -> None:
    town = Town()
    one = clone()
    town.run(one)
    town.memory.write_activity(made(one))
    anna = town.neighbour("anna")
    await anna.start()
    await town.until(["anna"], within=60)
    while not await town.memory.scaling.under_way():
        await pass_time(seconds=1)

    town.memory = MemoryStore()
    await pass_time(minutes=9)
    assert town.done("remove") == []
    await pass_time(minutes=40)

    assert len(town.done("remove")) == 1
    await town.close()


# ---------------------------------------------------------------- whose doing it was


async def test_our_own_stop_is_no_persons(stage: Stage) -> None:
    engine = LivelyEngine(stage.clock, inside=stage.engine.inside)
    stage.engine = engine
    one = stage.has(clone(state=RunState.RUNNING, health=Health.UNHEALTHY))
    human: list[str | None] = []

    class Stopping(LivelyEngine):
        async def remove_clone(
            self, container_id: str, *, attempt_id: str, not_after: Deadline = lambda: 1e9
        ) -> None:
            self.stop(one.name)
            await pass_time(milliseconds=100)
            human.append(stage.house.witness.human(container_id))
            await super().remove_clone(container_id, attempt_id=attempt_id, not_after=not_after)

    stage.engine = Stopping(stage.clock, inside=engine.inside)
    async with working(stage.house, pulling=True, leaving=True):
        await pass_time(seconds=230)

    assert human == [None]
    assert stage.house.witness.changes == ()


async def test_old_clones_are_counted_and_told_of(stage: Stage) -> None:
    stage.rulebook = Rulebook(defaults=Policy(scale_in=ScaleInRules(after=timedelta(days=3))))
    day = timedelta(hours=24)
    stage.has(clone(1, created_at=at(10) - day))
    stage.has(clone(2, created_at=at(600) - day))
    old = stage.house.telemetry.old_clones.labels(engine=ENGINE)

    async with stage.works(seconds=9):
        assert old._value.get() == 0
        await pass_time(minutes=1)
        assert old._value.get() == 1


# ---------------------------------------------------------------- their source is gone


@pytest.fixture
def told_of(stage: Stage) -> FakeAlertmanager:
    """An Alertmanager that is asked: without one nobody leaves whose source is gone."""
    stage.alerts = FakeAlertmanager(up_since=START - timedelta(days=1))
    return stage.alerts


async def test_clones_without_a_source_leave_but_for_the_last_that_serves(
    stage: Stage, told_of: FakeAlertmanager
) -> None:
    first, second = stage.has(clone(1)), stage.has(clone(2), seconds=60)

    async with stage.works(minutes=1):
        del stage.engine.inside[web().id]
        await pass_time(minutes=9)
        assert stage.stays() is Reason.COOLDOWN
        await pass_time(minutes=20)
        assert stage.stays() is Reason.NEEDED
        assert stage.engine.names() == {first.name, second.name}
        await pass_time(hours=2)
        assert stage.stays() is Reason.LAST_INSTANCE

    assert stage.engine.names() == {first.name}
    one = await only(stage)
    assert told(one) == (SUCCESSFUL, Reason.QUIET, second.name)
    assert one.cause.endswith("what its clones were made from is gone")


async def test_while_an_orphan_has_an_alert_none_leaves(
    stage: Stage, told_of: FakeAlertmanager
) -> None:
    stage.has(clone(1))
    stage.has(clone(2), seconds=60)
    told_of.alerts = [listed_alert(labels={"alertname": "HighCpu", "name": "web_new2"})]

    async with stage.works(minutes=1):
        del stage.engine.inside[web().id]
        await pass_time(hours=2)
        assert stage.stays() is Reason.NEEDED
        told_of.alerts = []
        await pass_time(minutes=5)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new2")


async def test_nobody_leaves_without_a_source_where_no_alertmanager_can_be_asked(
    stage: Stage,
) -> None:
    stage.has(clone(1))
    stage.has(clone(2), seconds=60)

    async with stage.works(minutes=1):
        del stage.engine.inside[web().id]
        await pass_time(hours=2)
        assert stage.stays() is Reason.NO_FRESH_DATA

    assert stage.engine.acts == []


async def test_a_source_that_comes_back_speaks_for_its_clones_again(stage: Stage) -> None:
    one = stage.has(clone(1, state=RunState.EXITED))
    del stage.engine.inside[web().id]

    async with stage.works():
        await pass_time(minutes=5)
        assert stage.engine.acts == []
        stage.engine.run(web())
        await pass_time(minutes=5)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.CLONE_DOWN, one.name)


# ---------------------------------------------------------------- a person's order


async def test_an_order_takes_the_newest_without_waiting_for_quiet(stage: Stage) -> None:
    stage.has(clone(1))
    stage.has(clone(2), seconds=1)

    async with stage.works(seconds=5) as house:
        placed = await house.operator.scale_in(TARGET, ANNA)
        await pass_time(seconds=40)

    ended = await only(stage)
    assert placed.attempt == ended.id
    assert placed.remediation == "web-0"
    assert told(ended) == (SUCCESSFUL, Reason.MANUAL, "web_new2")
    assert ended.ordered == "anna: enough"
    line = (await stage.memory.audit.entries())[0].entry
    assert (line.kind, line.trigger) == (AuditKind.INTENT, Trigger.MANUAL)
    assert (line.order, line.author, line.why) == ("scale_in", "anna", "enough")


async def test_an_order_is_not_called_off_by_a_need_or_a_pause(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=5) as house:
        await house.operator.pause(ANNA, lasts=None)
        await house.operator.scale_in(TARGET, ANNA)
        await house.take(alert())
        await pass_time(seconds=40)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.MANUAL, "web_new1")


async def test_only_one_is_ordered_at_a_time(stage: Stage) -> None:
    stage.has(clone(1))
    stage.has(clone(2))

    async with stage.works(seconds=5) as house:
        await house.operator.scale_in(TARGET, ANNA)
        for wish in (ANNA, replace(ANNA, dry_run=True)):
            with pytest.raises(OrderConflict, match="leaving already"):
                await house.operator.scale_in(TARGET, wish)
        await pass_time(seconds=40)

    assert len(await stage.ends()) == 1


async def test_the_same_request_twice_is_one_departure(stage: Stage) -> None:
    stage.has(clone(1))
    stage.has(clone(2))
    keyed = replace(ANNA, key="k1")

    async with stage.works(seconds=5) as house:
        first = await house.operator.scale_in(TARGET, keyed)
        assert await house.operator.scale_in(TARGET, keyed) == first
        await pass_time(seconds=40)
        assert await house.operator.scale_in(TARGET, keyed) == first
        with pytest.raises(OrderConflict, match="another request"):
            await house.operator.scale_in(TARGET, replace(keyed, reason="more"))

    assert len(await stage.ends()) == 1


async def test_two_at_once_under_one_key_are_one(stage: Stage) -> None:
    stage.has(clone(1))
    keyed = replace(ANNA, key="k1")

    async with stage.works(seconds=5) as house:
        one, two = await asyncio.gather(*(house.operator.scale_in(TARGET, keyed) for _ in range(2)))

    assert one == two


async def test_a_dry_run_begins_nothing(stage: Stage) -> None:
    stage.has(clone())

    async with stage.works(seconds=5) as house:
        placed = await house.operator.scale_in(TARGET, replace(ANNA, dry_run=True, key="k1"))

    assert placed.dry_run
    assert placed.attempt is not None
    assert await stage.ends() == []
    assert await stage.memory.orders.replied("k1") is None


async def refused(stage: Stage) -> str:
    async with stage.works(seconds=5) as house:
        with pytest.raises(OrderRefused) as no:
            await house.operator.scale_in(TARGET, ANNA)
    assert await stage.ends() == []
    return no.value.reason


async def test_without_a_clone_there_is_nobody_to_leave(stage: Stage) -> None:
    assert await refused(stage) == Reason.NO_CLONE


async def test_the_last_that_is_healthy_is_not_ordered_away(stage: Stage) -> None:
    stage.has(clone())
    stage.engine.run(web(state=RunState.EXITED))

    assert await refused(stage) == Reason.LAST_INSTANCE


async def test_observe_mode_refuses_a_person_too(stage: Stage) -> None:
    stage.mode = Mode.OBSERVE
    stage.has(clone())

    assert await refused(stage) == Reason.OBSERVE


async def test_a_spent_budget_refuses_a_person_too(stage: Stage) -> None:
    stage.rulebook = Rulebook(guards=Guards(burst=1, per_hour=1))
    stage.has(clone(1))
    stage.has(clone(2))

    async with stage.works(seconds=5) as house:
        await house.operator.scale_in(TARGET, ANNA)
        await pass_time(seconds=40)
        with pytest.raises(OrderRefused) as no:
            await house.operator.scale_in(TARGET, ANNA)

    assert no.value.reason == Reason.BUDGET


async def test_a_container_that_is_gone_has_no_group(stage: Stage) -> None:
    stage.has(clone())
    del stage.engine.inside[web().id]

    assert await refused(stage) == Reason.NO_SUCH_TARGET


async def test_another_persons_hold_is_in_the_way(stage: Stage) -> None:
    stage.has(clone())
    halt = Halt(reason="no", author="bob", since=START)
    await stage.memory.controls.set_hold(TARGET, halt)

    async with stage.works(seconds=5) as house:
        with pytest.raises(OrderConflict, match="bob"):
            await house.operator.scale_in(TARGET, ANNA)


async def test_an_engine_that_is_down_tells_nothing(stage: Stage) -> None:
    stage.has(clone())
    async with stage.works(seconds=5) as house:
        stage.engine.down = True
        await pass_time(seconds=5)
        with pytest.raises(EngineUnavailable):
            await house.operator.scale_in(TARGET, ANNA)


async def test_an_order_while_another_leads_is_carried_out_by_that_one() -> None:
    town = Town()
    one = clone()
    town.run(one)
    town.memory.write_activity(made(one))
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await town.until(["anna"], within=60)
    await bert.start()
    await pass_time(seconds=10)

    await bert.house.operator.scale_in(TARGET, ANNA)
    await pass_time(seconds=60)

    assert [who for who, _ in town.done("remove")] == ["anna"]
    await town.close()
