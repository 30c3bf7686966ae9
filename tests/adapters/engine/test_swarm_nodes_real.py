"""
A service on a real swarm of two nodes: the controller on the manager, a container on the worker.

What needs one node only is in test_swarm_real.py.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import pytest

from app.adapters.engine.swarm_engine import SwarmEngine, open_engine
from app.domain.decision import Reason
from app.domain.fidelity import RefusalReason
from app.domain.target import GroupId, TargetId
from app.errors import CloneRefused, ContainerGone
from app.policies.membership import Member
from app.policies.roster import Found, NotOurs, Roster
from app.policies.spec import Rulebook, ScaleOutRules
from app.policies.swarm import NODE_ID
from tests.builders import START
from tests.swarm_lab import SwarmLab, TwoNodes, two_nodes

pytestmark = pytest.mark.docker

#: Swarm makes, and ends, a container in half a second where nothing else is going on.
SOON = 40.0
GRACE = timedelta(seconds=1)
#: No pause before Swarm makes the next task, hardly one after it runs: for tests, not for people.
OPTED_IN = (
    *("--label", "relevo.enable=true", "--stop-grace-period", "1s"),
    *("--restart-delay", "100ms", "--update-monitor", "1s", "--update-parallelism", "2"),
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """A manager and a worker."""
    with two_nodes() as both:
        yield both


@pytest.fixture
async def name(nodes: TwoNodes, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A service's name, on two nodes that are there; what goes by it is removed."""
    await until(lambda: nodes.is_ready(nodes.manager) and nodes.is_ready(nodes.worker))
    yield f"s{abs(hash(request.node.name)) % 10**8}"
    nodes.manager.remove(*nodes.manager.do("service", "ls", "-q").split())
    # Swarm forgets a service at once, and ends its containers after that: they would be met again.
    await until(lambda: not containers(nodes.manager, nodes.worker))


@pytest.fixture
async def engine(nodes: TwoNodes) -> AsyncIterator[SwarmEngine]:
    """The manager as the controller has it."""
    async with open_engine(nodes.manager.socket, label_prefix="relevo") as opened:
        yield opened


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SOON):
        for pause in itertools.repeat(0.1):
            if is_so():
                return
            await asyncio.sleep(pause)


def containers(*nodes: SwarmLab) -> list[str]:
    """Name the containers of nodes that are there, whatever has become of them."""
    return [name for one in nodes for name in one.do("ps", "-a", "--format", "{{.Names}}").split()]


async def roster(engine: SwarmEngine) -> Roster:
    return Roster("lab", await engine.containers(), prefix="relevo")


async def settled(
    engine: SwarmEngine,
    service: str,
    number: int,
    *,
    is_so: Callable[[list[Member]], bool] = lambda _: True,
) -> Roster:
    """Wait until so many places of a service serve, and Swarm is through with them."""
    async with asyncio.timeout(SOON):
        for pause in itertools.repeat(0.1):
            seen = await roster(engine)
            here = [*seen.group(GroupId("lab", service))]
            calm = all(m.listed.is_serving and not m.listed.is_replacing for m in here)
            if len(here) == number and calm and is_so(here):
                return seen
            await asyncio.sleep(pause)
    raise AssertionError


def on(node: str, people: Roster) -> Member:
    """Find the one target on a node."""
    (found,) = [one for one in people.targets() if one.listed.labels[NODE_ID] == node]
    return found


def about(people: Roster, **labels: str) -> Found | NotOurs:
    """Resolve an alert, by the labels that a policy file looks at where it says nothing."""
    return people.resolve(labels, target_labels=Rulebook().target_labels)


def target_of(found: Found | NotOurs) -> TargetId:
    assert isinstance(found, Found), found
    return found.root.target


async def test_a_container_on_the_worker_is_healed_from_the_manager(
    nodes: TwoNodes, engine: SwarmEngine, name: str
) -> None:
    nodes.manager.service(name, "--replicas", "2", *OPTED_IN)
    people = await settled(engine, name, 2)
    here, there = (nodes.node(one) for one in (nodes.manager, nodes.worker))
    far = on(there, people)
    assert {one.target.slot for one in people.targets()} == {f"{name}.1", f"{name}.2"}
    assert on(here, people).target != far.target

    # As cAdvisor beside the worker's engine tells of it: it knows the container, no place.
    (container,) = containers(nodes.worker)
    assert container.startswith(f"{far.target.slot}.")
    told = {
        "container_label_com_docker_swarm_service_name": name,
        "container_label_com_docker_swarm_task_name": container,
        "instance": "10.215.0.2:8080",
    }
    assert target_of(about(people, name=container, **told)) == far.target
    by_task = people.resolve(told, target_labels=("container_label_com_docker_swarm_task_name",))
    assert target_of(by_task) == far.target

    # This engine has no such container: nothing is measured, and nothing said that is not so.
    assert await engine.used(far.listed.id, at=START) is None
    assert (await engine.room(far.listed.id)).needs_memory == 0
    with pytest.raises(ContainerGone):
        await engine.evidence(far.listed.id, at=START)

    before = await engine.inspect(far.listed.id)
    await engine.restart(
        far.listed.id, attempt_id="x.1", expected_started_at=before.started_at, stop_grace=GRACE
    )
    after = await engine.inspect(far.listed.id)
    assert after.is_serving
    assert after.started_at != before.started_at
    assert after.name in containers(nodes.manager, nodes.worker)
    people = await settled(engine, name, 2)
    # An alert may tell of the container that there was for as long as Prometheus remembers it.
    assert target_of(about(people, name=container)) == far.target
    assert target_of(about(people, name=after.name)) == far.target

    made = await engine.clone(far.listed.id, attempt_id="x.2", rules=ScaleOutRules(), at=START)
    assert made.clone is not None
    people = await settled(engine, name, 3)
    clone = people.made_by("x.2", "relevo")
    assert clone is not None
    assert clone.listed.id == made.clone.id
    assert people.clones == 1
    assert clone.listed.name in containers(nodes.manager, nodes.worker)

    await engine.remove_clone(made.clone.id, attempt_id="in-1")
    people = await settled(engine, name, 2)
    assert people.clones == 0
    # Swarm chose which of three went; it leaves one on each node.
    assert on(here, people).target != on(there, people).target


async def test_a_place_on_each_node_stays_there_and_the_worker_leaves_its_own_alone(
    nodes: TwoNodes, engine: SwarmEngine, name: str
) -> None:
    options = ("--mode", "global", "--container-label", "relevo.enable=true")
    nodes.manager.service(name, *options, *OPTED_IN)
    there = nodes.node(nodes.worker)
    far = on(there, await settled(engine, name, 2))
    assert far.target.slot == f"{name}.{there}"
    seen = await engine.inspect(far.listed.id)
    await engine.restart(
        far.listed.id, attempt_id="g.1", expected_started_at=seen.started_at, stop_grace=GRACE
    )
    begun = await settled(engine, name, 2)
    assert on(there, begun).target == far.target
    # As the worker's own engine has it, beside the one that it has replaced.
    running = on(there, begun).listed.name
    there_are = containers(nodes.worker)
    before = nodes.manager.spec(name)
    async with open_engine(nodes.worker.socket, label_prefix="relevo") as worker:
        people = await roster(worker)
        (member,) = [one for one in people.members if one.listed.name == running]
        refused = about(people, name=running)
        assert isinstance(refused, NotOurs)
        assert refused.reason is Reason.SWARM_TASK
        with pytest.raises(CloneRefused) as why:
            await worker.clone(member.listed.id, attempt_id="a", rules=ScaleOutRules(), at=START)
        assert why.value.report is not None
        assert RefusalReason.SWARM_TASK in {one.reason for one in why.value.report.refusals}

    assert containers(nodes.worker) == there_are
    assert nodes.manager.spec(name) == before
    assert (await roster(engine)).targets() == begun.targets()


async def test_a_place_moves_with_its_task_when_its_node_is_lost(
    nodes: TwoNodes, engine: SwarmEngine, name: str
) -> None:
    nodes.manager.service(name, "--replicas", "2", *OPTED_IN)
    people = await settled(engine, name, 2)
    here, there = (nodes.node(one) for one in (nodes.manager, nodes.worker))
    far = on(there, people)
    (container,) = containers(nodes.worker)

    async def restart(attempt_id: str) -> None:
        seen = await engine.inspect(far.listed.id)
        await engine.restart(
            far.listed.id,
            attempt_id=attempt_id,
            expected_started_at=seen.started_at,
            stop_grace=GRACE,
        )

    nodes.cut()
    try:
        # Swarm does not know yet, and gives one of the new tasks to the node that is lost.
        await restart("y.1")
        people = await settled(
            engine,
            name,
            2,
            is_so=lambda all_of_them: {one.listed.labels[NODE_ID] for one in all_of_them} == {here},
        )
        moved = people.holding(far.listed.id)
        assert moved is not None
        assert moved.target == far.target
        assert len(people.at(far.target)) == 1
        # The old one runs on where nobody hears of it; what was said of it is about the place.
        assert containers(nodes.worker) == [container]
        assert target_of(about(people, name=container)) == far.target

        # Nor does Swarm's waiting for that task keep anybody from healing the place again.
        await restart("y.2")
        after = await engine.inspect(far.listed.id)
        assert after.is_serving
        assert after.name != moved.listed.name
        assert after.name in containers(nodes.manager)
    finally:
        nodes.mend()
    # Back, the worker ends what Swarm has replaced.
    await until(lambda: nodes.is_ready(nodes.worker) and not nodes.worker.do("ps", "-q"))
    assert len((await settled(engine, name, 2)).at(far.target)) == 1
