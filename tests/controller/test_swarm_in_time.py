"""A Swarm service on the whole ladder, in virtual time: driven, its containers not touched."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from app.adapters.engine.swarm_engine import SwarmEngine
from app.domain.activity import ActivityKind, ActivityStatus
from app.domain.alert import AlertStatus
from app.domain.container import Container
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.remediation import State
from app.domain.service import ServiceMode, TaskState, UpdateState
from tests.builders import ENGINE, alert, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fake_swarm import FakeSwarm, service, task
from tests.fakes import FakeEngine
from tests.memory_store import MemoryStore, make_store

pytestmark = pytest.mark.looptime

TARGET = f"{ENGINE}:web.1"


def about(name: str = "web.1.t1", **more: Any) -> Any:
    """An alert about the container of a task."""
    labels = {"alertname": "ContainerHighCPU", "engine": ENGINE, "name": name}
    return alert(labels=labels, **more)


def of_task(number: int, slot: int) -> Container:
    """The container of a task, as the engine of its node lists it."""
    labels = {
        "relevo.enable": "true",
        "com.docker.swarm.service.id": "w" * 25,
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task.name": f"web.{slot}.t{number}",
        "com.docker.swarm.task.id": f"t{number}",
    }
    return container(f"web.{slot}.t{number}", number, labels=labels)


@pytest.fixture
def swarm() -> FakeSwarm:
    """A swarm with one service of two replicas."""
    one = FakeSwarm(VirtualClock())
    one.run(service(task(1, 1), task(2, 2)))
    return one


@pytest.fixture
async def house(swarm: FakeSwarm) -> House:
    """A controller on the manager, where the containers of both tasks are."""
    return house_on(swarm)


def house_on(swarm: FakeSwarm, *, memory: MemoryStore | None = None, **more: Any) -> House:
    clock = VirtualClock()
    inner = FakeEngine(clock)
    inner.run(of_task(1, 1))
    inner.run(of_task(2, 2))
    driven = SwarmEngine(inner, swarm)
    built = build(make_store(memory), clock, cast(FakeEngine, driven), **more)
    return replace(built, engine=inner)


def verdicts(story: Any) -> list[Verdict | None]:
    return [one.verdict for one in story.attempts]


def times(swarm: FakeSwarm, what: str) -> list[float]:
    return [at for kind, _, at in swarm.acts if kind == what]


async def test_a_restart_is_a_force_update_and_its_new_task_recovers(
    swarm: FakeSwarm, house: House
) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(minutes=2)
        await house.take(about(status=AlertStatus.RESOLVED))
        await pass_time(minutes=6)
        story = await house.story()

    assert [kind for kind, _, _ in swarm.acts] == ["force"]
    assert times(swarm, "force") == [60]
    assert (story.target, story.group) == (TARGET, f"{ENGINE}:web")
    assert verdicts(story) == [Verdict.RECOVERED]
    assert story.outcome is Outcome.RECOVERED
    assert house.engine.acts == []


async def test_three_failures_and_then_a_replica_that_leaves_when_it_is_quiet(
    swarm: FakeSwarm, house: House
) -> None:
    async with working(house, leaving=True):
        await house.take(about())
        await pass_time(minutes=27)
        assert (swarm.web.replicas, swarm.web.declared) == (3, 2)
        await house.take(about(status=AlertStatus.RESOLVED))
        await pass_time(minutes=6)
        story = await house.story()
        assert swarm.web.replicas == 3
        await pass_time(minutes=45)
        activities = await house.store.history.activities()

    assert verdicts(story) == [Verdict.SYMPTOM_PERSISTS] * 3 + [Verdict.RELIEVED]
    assert story.outcome is Outcome.RELIEVED
    assert [kind for kind, _, _ in swarm.acts] == ["force"] * 3 + ["scale to 3", "scale to 2"]
    assert (swarm.web.replicas, swarm.web.declared) == (2, 2)
    told = {(one.kind, one.status) for one in activities}
    assert told == {
        (ActivityKind.SCALE_OUT, ActivityStatus.SUCCESSFUL),
        (ActivityKind.SCALE_IN, ActivityStatus.SUCCESSFUL),
    }
    assert house.engine.acts == []


async def test_alerts_on_both_tasks_make_one_update(swarm: FakeSwarm, house: House) -> None:
    async with working(house):
        await house.take(about(), about("web.2.t2", fingerprint="f2"))
        await pass_time(minutes=3)
        stories = await house.stories()

    assert len(stories) == 2
    assert len(times(swarm, "force")) == 1


async def test_an_update_that_swarm_gives_up_counts(swarm: FakeSwarm, house: House) -> None:
    swarm.fate, swarm.gives_up = TaskState.FAILED, UpdateState.PAUSED
    async with working(house):
        await house.take(about())
        await pass_time(minutes=2)
        story = await house.story()
        failures = await house.store.failures.count(
            TARGET, now=house.clock.now(), window=timedelta(hours=1)
        )

    assert verdicts(story) == [Verdict.ENGINE_ERROR]
    assert failures == 1


async def test_a_task_that_fails_after_an_update_counts(swarm: FakeSwarm, house: House) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(seconds=80)
        swarm.crash(1)
        await pass_time(seconds=30)
        story = await house.story()

    assert verdicts(story) == [Verdict.CRASH_LOOP]


async def test_a_deploy_is_waited_for(swarm: FakeSwarm, house: House) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(seconds=50)
        swarm.takes = None
        swarm.forced(labels={**swarm.web.labels})
        await pass_time(minutes=3)

    assert times(swarm, "force") == []


async def test_a_task_that_somebody_replaced_meanwhile_is_followed(
    swarm: FakeSwarm, house: House
) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(seconds=30)
        swarm.replaced(1)
        await pass_time(seconds=45)
        story = await house.story()

    assert times(swarm, "force") == []
    assert [one.reason for one in story.attempts] == [Reason.RESTARTED_MEANWHILE]


async def test_a_service_with_a_task_on_every_node_gets_no_more(
    swarm: FakeSwarm, house: House
) -> None:
    swarm.run(replace(swarm.web, mode=ServiceMode.GLOBAL, replicas=None, declared=None))
    async with working(house):
        await house.take(about())
        await pass_time(minutes=40)
        story = await house.story()

    assert story.state is State.QUARANTINED
    assert Reason.SWARM_TASK in {entry.reason for entry in story.log}
    assert len(times(swarm, "force")) == len(swarm.acts) == 3


async def test_a_job_is_not_run_again(swarm: FakeSwarm, house: House) -> None:
    swarm.run(replace(swarm.web, mode=ServiceMode.JOB, replicas=None, declared=None))
    async with working(house):
        counts = await house.take(about())
        await pass_time(minutes=5)

    assert counts.skipped == 1
    assert swarm.acts == []
    assert house.engine.acts == []


@pytest.mark.parametrize("fate", [TaskState.REJECTED, TaskState.FAILED, TaskState.PENDING])
async def test_a_replica_that_does_not_come_up_goes_back(
    swarm: FakeSwarm, house: House, fate: TaskState
) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(minutes=24, seconds=50)
        swarm.fate = fate
        await pass_time(minutes=10)
        story = await house.story()

    assert [kind for kind, _, _ in swarm.acts][3:] == ["scale to 3", "scale to 2"]
    assert (swarm.web.replicas, swarm.web.declared) == (2, 2)
    assert story.state is State.QUARANTINED
    assert story.attempts[-1].verdict is Verdict.ENGINE_ERROR


async def test_without_a_manager_tasks_are_left_alone(swarm: FakeSwarm) -> None:
    swarm.is_manager = False
    house = house_on(swarm)
    async with working(house):
        counts = await house.take(about())
        await pass_time(minutes=5)

    assert counts.skipped == 1
    assert house.engine.acts == []
    assert swarm.acts == []


async def test_the_container_of_a_former_task_still_names_its_place(
    swarm: FakeSwarm, house: House
) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(minutes=2)
        counts = await house.take(about(status=AlertStatus.RESOLVED))

    assert counts.resolved == 1


async def test_tasks_of_other_nodes_are_targets_as_well(swarm: FakeSwarm) -> None:
    house = house_on(swarm)
    house.engine.inside.clear()
    async with working(house):
        counts = await house.take(about())
        await pass_time(minutes=2)

    assert counts.accepted == 1
    assert times(swarm, "force") == [60]


# ---------------------------------------------------------------- managers that cannot agree


def with_neighbour(house: House) -> House:
    """Have a container on the engine that belongs to no service."""
    house.engine.run(container("api", 9))
    return house


def about_the_neighbour() -> Any:
    labels = {"alertname": "ContainerHighCPU", "engine": ENGINE, "name": "api"}
    return alert(labels=labels, fingerprint="api")


async def test_managers_that_cannot_agree_hold_services_and_nobody_else(
    swarm: FakeSwarm, house: House
) -> None:
    async with working(with_neighbour(house)):
        await house.take(about(), about_the_neighbour())
        await pass_time(seconds=30)
        swarm.down = True
        await pass_time(minutes=2)
        assert len(house.engine.done("restart")) == 1
        held = next(one for one in await house.stories() if one.target == TARGET)
        assert (held.state, held.reason) == (State.HELD, Reason.ENGINE_DOWN)
        assert swarm.acts == []
        swarm.down = False
        await pass_time(minutes=1)

    assert [kind for kind, _, _ in swarm.acts] == ["force"]


async def test_tasks_of_managers_that_never_answered_are_left_alone(
    swarm: FakeSwarm, house: House
) -> None:
    swarm.down = True
    async with working(with_neighbour(house)):
        counts = await house.take(about(), about_the_neighbour())
        await pass_time(minutes=2)

    assert (counts.accepted, counts.skipped) == (1, 1)
    (aside,) = await house.store.history.asides()
    assert aside.reason == Reason.SWARM_TASK
    assert [what for what, _, _ in house.engine.acts] == ["restart"]
    assert swarm.acts == []


async def test_a_story_of_a_service_outlives_a_restart_of_ours_without_a_manager(
    swarm: FakeSwarm,
) -> None:
    memory = MemoryStore()
    async with working(house_on(swarm, memory=memory)) as before:
        await before.take(about())
        await pass_time(seconds=30)

    swarm.down = True
    after = house_on(swarm, memory=memory)
    async with working(after):
        await pass_time(minutes=5)
        story = await after.story()
        assert (story.state, story.reason) == (State.HELD, Reason.ENGINE_DOWN)
        swarm.down = False
        await pass_time(minutes=1)

    assert len(await after.stories()) == 1
    assert [kind for kind, _, _ in swarm.acts] == ["force"]


@pytest.mark.parametrize("crash_after", [0.0, 1.0, 3.0])
async def test_an_action_that_nobody_saw_end_is_found_on_the_service(
    swarm: FakeSwarm, house: House, crash_after: float
) -> None:
    async with working(house):
        await house.take(about())
        await pass_time(seconds=60 + crash_after)
    async with working(house):
        await pass_time(minutes=2)
        story = await house.story()

    assert len(times(swarm, "force")) == 1
    assert story.attempts[0].acted_at is not None
