"""A service on a real swarm: updated, scaled, and everybody else's changes kept."""

import asyncio
import copy
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiodocker import Docker

from app.adapters.engine.connection import Bounds, EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.adapters.engine.swarm import SwarmServices
from app.adapters.engine.swarm_engine import SwarmEngine, open_engine
from app.adapters.gate.client import open_engine_behind
from app.adapters.gate.line import no_fence
from app.domain.container import RunState
from app.domain.service import Service, UpdateState
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineUnavailable,
    ServiceChanged,
    ServiceGone,
    StartedMeanwhile,
)
from app.policies.roster import Roster
from app.policies.spec import ScaleOutRules
from app.ports import Deadline
from tests.builders import START
from tests.engine_lab import SOCKET, EngineLab
from tests.gate_lab import a_gate, gate_folder
from tests.swarm_lab import SwarmLab, swarm_lab

pytestmark = pytest.mark.docker

#: Swarm makes, and ends, a container in half a second where nothing else is going on.
SOON = 40.0
#: No pause before Swarm makes the next task, none after one runs: for tests, not for people.
QUICK = (
    *("--restart-delay", "100ms", "--update-monitor", "2s", "--rollback-monitor", "2s"),
    *("--update-parallelism", "2", "--rollback-parallelism", "2", "--stop-grace-period", "1s"),
)
#: As much of a specification as one can have without other nodes, networks or secrets.
RICH = (
    *("--env", "A=<&>ä", "--label", "com.example=1", "--container-label", "relevo.enable=true"),
    *("--health-cmd", "true", "--health-interval", "200ms", "--limit-cpu", "0.25"),
    *("--limit-memory", "64m", "--reserve-memory", "8m", "--mount", "type=tmpfs,target=/scratch"),
    *(
        "--update-order",
        "start-first",
        "--update-max-failure-ratio",
        "0.1",
        "--hostname",
        "{{.Task.Slot}}",
    ),
    *("--restart-max-attempts", "9", "--endpoint-mode", "dnsrr", "--log-driver", "json-file"),
    *(
        "--user",
        "nobody",
        "--ulimit",
        "nofile=1024:2048",
        "--placement-pref",
        "spread=node.labels.z",
    ),
)


@pytest.fixture(scope="module")
def swarm() -> Iterator[SwarmLab]:
    """A swarm of one node."""
    with swarm_lab() as lab:
        yield lab


@pytest.fixture
def name(swarm: SwarmLab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A service's name; what goes by it is removed."""
    yield f"s{abs(hash(request.node.name)) % 10**8}"
    swarm.remove(*swarm.do("service", "ls", "-q").split())
    # Swarm forgets a service at once, and ends its containers after that: they would be met again.
    until = time.monotonic() + SOON
    while left := swarm.do("ps", "-aq"):
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.1)


@pytest.fixture
async def connection(swarm: SwarmLab) -> AsyncIterator[EngineConnection]:
    """Our connection to the manager."""
    opened = EngineConnection(swarm.socket)
    yield opened
    await opened.close()


@pytest.fixture
def services(connection: EngineConnection) -> SwarmServices:
    """Our side of the swarm."""
    return SwarmServices(connection)


async def until(
    services: SwarmServices, service_id: str, is_so: Callable[[Service], bool]
) -> Service:
    """Wait until a service is so."""
    async with asyncio.timeout(SOON):
        for pause in itertools.repeat(0.05):
            seen = await services.service(service_id)
            if is_so(seen):
                return seen
            await asyncio.sleep(pause)
    raise AssertionError


def run(number: int, *, forced: int = 0) -> Callable[[Service], bool]:
    """So many tasks run, all of this generation, and no others are wanted."""

    def is_so(seen: Service) -> bool:
        wanted = [one for one in seen.tasks if one.is_wanted]
        return len(wanted) == number and all(
            one.is_running and one.forced == forced for one in wanted
        )

    return is_so


async def raw(swarm: SwarmLab, service_id: str) -> dict[str, Any]:
    """The specification as the engine keeps it, without the defaults that its client shows."""
    async with Docker(url=swarm.socket) as client:
        return dict((await client.services.inspect(service_id))["Spec"])


def meanwhile(*does: Callable[[], object]) -> Deadline:
    """Let somebody else do things, each right before one of our writes: between it and its read."""
    left = list(does)

    def not_after() -> float:
        if left:
            left.pop(0)()
        return float("inf")

    return not_after


def changed(spec: Mapping[str, Any], **labels: str) -> dict[str, Any]:
    """The same specification with more labels."""
    copied = copy.deepcopy(dict(spec))
    copied["Labels"] |= {name.replace("__", ".").replace("_", "-"): v for name, v in labels.items()}
    return copied


async def test_from_two_replicas_over_a_force_update_to_three_and_back(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name, "--replicas", "2", *QUICK, *RICH)
    begun = await until(services, service_id, run(2))
    first = await raw(swarm, service_id)

    def label(text: str) -> Callable[[], object]:
        return lambda: swarm.do("service", "update", "-d", "-q", "--label-add", text, name)

    # Restart: all tasks are new, in the same places, and somebody's label stays.
    forced = await services.force_update(
        service_id,
        attempt_id="web-1.1",
        expected_template=begun.template,
        not_after=meanwhile(label("their.one=1")),
    )
    assert forced.forced == 1
    assert forced.attempt_id == "web-1.1"
    renewed = await until(services, service_id, run(2, forced=1))
    old, new = (
        {one.id: one.place for one in seen.tasks if one.is_running} for seen in (begun, renewed)
    )
    assert sorted(old.values()) == sorted(new.values()) == ["1", "2"]
    assert not old.keys() & new.keys()
    second = changed(first, their__one="1", relevo__attempt="web-1.1")
    second["TaskTemplate"]["ForceUpdate"] = 1
    assert await raw(swarm, service_id) == second
    completed = await until(
        services,
        service_id,
        lambda seen: seen.update is not None and seen.update.state is UpdateState.COMPLETED,
    )
    assert completed.template == forced.template

    # Out: one more, what was declared is on the service, nobody is restarted.
    out = await services.scale(
        service_id,
        attempt_id="web-1.2",
        expected_replicas=2,
        to=3,
        not_after=meanwhile(label("their.two=2")),
    )
    assert (out.replicas, out.declared, out.added) == (3, 2, 1)
    three = await until(services, service_id, run(3, forced=1))
    assert new.keys() < {one.id for one in three.tasks if one.is_running}
    third = changed(
        second,
        their__two="2",
        relevo__attempt="web-1.2",
        relevo__replicas="2",
        relevo__scaled_to="3",
    )
    third["Mode"] = {"Replicated": {"Replicas": 3}}
    assert await raw(swarm, service_id) == third

    # Back: as its owner left it, but for the last attempt's name.
    back = await services.scale(
        service_id,
        attempt_id="in-1",
        expected_replicas=3,
        to=2,
        not_after=meanwhile(label("their.three=3")),
    )
    assert (back.replicas, back.declared, back.added) == (2, 2, 0)
    two = await until(services, service_id, run(2, forced=1))
    fourth = changed(second, their__two="2", their__three="3", relevo__attempt="in-1")
    assert await raw(swarm, service_id) == fourth
    assert {one.id for one in two.tasks if one.is_running} < {
        one.id for one in three.tasks if one.is_running
    }


async def test_somebody_who_scales_in_between_is_right(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name, "--replicas", "1", *QUICK)

    def scale() -> None:
        swarm.do("service", "scale", "-d", f"{name}=2")

    with pytest.raises(ServiceChanged, match="2 replicas, not 1"):
        await services.scale(
            service_id, attempt_id="a", expected_replicas=1, to=3, not_after=meanwhile(scale)
        )

    seen = await services.service(service_id)
    assert (seen.replicas, seen.declared, seen.attempt_id) == (2, 2, None)


async def test_somebody_who_updates_in_between_is_right(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name, *QUICK)
    begun = await services.service(service_id)

    def update() -> None:
        swarm.do("service", "update", "-d", "-q", "--env-add", "B=1", name)

    with pytest.raises(ServiceChanged):
        await services.force_update(
            service_id,
            attempt_id="a",
            expected_template=begun.template,
            not_after=meanwhile(update),
        )

    assert (await services.service(service_id)).forced == 0


async def test_the_same_attempt_does_it_once(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name, *QUICK)
    begun = await services.service(service_id)

    first = await services.force_update(
        service_id, attempt_id="a", expected_template=begun.template
    )
    again = await services.force_update(
        service_id, attempt_id="a", expected_template=begun.template
    )
    out = await services.scale(service_id, attempt_id="b", expected_replicas=1, to=2)
    too = await services.scale(service_id, attempt_id="b", expected_replicas=1, to=2)

    assert (first.forced, again.forced) == (1, 1)
    assert (out.replicas, too.replicas, too.declared) == (2, 2, 1)
    with pytest.raises(ServiceChanged):
        await services.scale(service_id, attempt_id="c", expected_replicas=1, to=2)


async def test_a_service_that_was_removed_is_gone(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name)
    begun = await services.service(service_id)
    removal = meanwhile(lambda: swarm.remove(name))

    with pytest.raises(ServiceGone):
        await services.force_update(
            service_id, attempt_id="a", expected_template=begun.template, not_after=removal
        )
    with pytest.raises(ServiceGone):
        await services.service(service_id)


async def test_an_engine_without_a_swarm_says_so(services: SwarmServices, lab: EngineLab) -> None:
    assert await services.manages()
    if lab.do("info", "--format", "{{.Swarm.ControlAvailable}}") != "false":
        pytest.skip("the engine of this machine manages a swarm")
    alone = EngineConnection(SOCKET)
    try:
        assert not await SwarmServices(alone).manages()
        with pytest.raises(EngineUnavailable):
            await SwarmServices(alone).services()
    finally:
        await alone.close()


# ---------------------------------------------------------------------- as containers


#: Its tasks run until the flag is there, and those that begin later end at once.
FLAGGED = ("sh", "-c", "test ! -e /flags/bad || exit 3; exec sleep 600")
OPTED_IN = ("--label", "relevo.enable=true", *QUICK)
GRACE = timedelta(seconds=10)


def flagged(folder: Path) -> tuple[str, ...]:
    return ("--mount", f"type=bind,source={folder},target=/flags", *OPTED_IN)


@pytest.fixture(params=["direct", "gate"])
async def engine(swarm: SwarmLab, request: pytest.FixtureRequest) -> AsyncIterator[SwarmEngine]:
    """The manager as the controller has it: over its own socket, and through the gate."""
    if request.param == "direct":
        async with open_engine(swarm.socket, label_prefix="relevo") as opened:
            yield opened
        return
    with gate_folder() as folder:
        async with (
            a_gate(swarm.socket, folder) as path,
            open_engine_behind(path, label_prefix="relevo", fence=no_fence) as opened,
        ):
            yield opened


async def roster(engine: SwarmEngine) -> Roster:
    return Roster("lab", await engine.containers(), prefix="relevo")


async def test_a_place_is_restarted_gets_a_clone_and_loses_it(
    swarm: SwarmLab, services: SwarmServices, engine: SwarmEngine, name: str
) -> None:
    service_id = swarm.service(name, "--replicas", "2", *OPTED_IN)
    await until(services, service_id, run(2))
    first, second = (await roster(engine)).targets()
    before = await engine.inspect(first.listed.id)

    async def restart(expected: str) -> None:
        await engine.restart(
            first.listed.id, attempt_id="x.1", expected_started_at=expected, stop_grace=GRACE
        )

    with pytest.raises(StartedMeanwhile):
        await restart("2026-11-22T03:00:00Z")
    await restart(before.started_at)
    after = await engine.inspect(first.listed.id)

    assert after.state is RunState.RUNNING
    assert after.started_at != before.started_at
    assert after.name != before.name
    # The old containers are still there, exited: nobody is ambiguous, and their names lead home.
    await until(services, service_id, run(2, forced=1))
    people = await roster(engine)
    assert [len(people.at(one.target)) for one in (first, second)] == [1, 1]
    about = people.resolve({"name": before.name}, target_labels=("name",))
    assert about == people.resolve({"name": after.name}, target_labels=("name",))
    # Asked again, as whoever takes over does: it has been done.
    await restart(before.started_at)
    assert (await services.service(service_id)).forced == 1
    case = await engine.evidence(first.listed.id, at=START)
    assert case.container == after.name

    made = await engine.clone(first.listed.id, attempt_id="x.2", rules=ScaleOutRules(), at=START)
    assert made.clone is not None
    assert made.clone.state is RunState.RUNNING
    people = await roster(engine)
    clone = people.made_by("x.2", "relevo")
    assert clone is not None
    assert clone.listed.id == made.clone.id
    assert clone.clone_of is not None
    assert len(people.group(first.group)) == 3
    assert people.clones == 1

    await engine.remove_clone(made.clone.id, attempt_id="in-1")
    await until(services, service_id, run(2, forced=1))
    people = await roster(engine)
    assert (len(people.group(first.group)), people.clones) == (2, 0)
    # On one node Swarm takes the one that came last, so both targets are still there.
    assert {one.target for one in people.targets()} == {first.target, second.target}
    await engine.remove_clone(made.clone.id, attempt_id="in-1")
    assert (await services.service(service_id)).replicas == 2


@pytest.mark.parametrize(
    ("action", "states"),
    [
        pytest.param("pause", (UpdateState.PAUSED,), id="paused"),
        pytest.param(
            "rollback",
            # How that ends is another matter: here, the old ones fail as well.
            (
                UpdateState.ROLLBACK_STARTED,
                UpdateState.ROLLBACK_PAUSED,
                UpdateState.ROLLBACK_COMPLETED,
            ),
            id="rolled-back",
        ),
    ],
)
async def test_an_update_whose_tasks_fail_is_told(
    swarm: SwarmLab,
    services: SwarmServices,
    engine: SwarmEngine,
    name: str,
    tmp_path: Path,
    action: str,
    states: tuple[UpdateState, ...],
) -> None:
    options = (*flagged(tmp_path), "--update-failure-action", action)
    service_id = swarm.service(name, *options, command=FLAGGED)
    begun = await until(services, service_id, run(1))
    (one,) = (await roster(engine)).targets()
    before = await engine.inspect(one.listed.id)
    (tmp_path / "bad").touch()

    # Swarm's own words for why are gone as soon as it is through with the rollback.
    with pytest.raises(EngineRefused, match=r"due to failure|rollback completed"):
        await engine.restart(
            one.listed.id, attempt_id="a", expected_started_at=before.started_at, stop_grace=GRACE
        )

    failed = await services.service(service_id)
    assert failed.update is not None
    assert failed.update.state in states
    assert (failed.template == begun.template) is (action == "rollback")


async def test_a_deploy_that_has_stopped_half_way_is_not_carried_on(
    swarm: SwarmLab, services: SwarmServices, engine: SwarmEngine, name: str
) -> None:
    options = ("--replicas", "3", *OPTED_IN, "--update-parallelism", "1")
    service_id = swarm.service(name, *options, "--update-failure-action", "pause")
    await until(services, service_id, run(3))
    swarm.do("service", "update", "-d", "-q", "--args", "exit-at-once", service_id)
    stopped = await until(
        services,
        service_id,
        lambda seen: seen.update is not None and seen.update.state is UpdateState.PAUSED,
    )
    healthy = running(stopped)
    place = next(one for one in await engine.containers() if one.name.endswith(healthy[0]))
    before = await engine.inspect(place.id)
    assert before.is_replacing

    with pytest.raises(StartedMeanwhile, match="not through"):
        await engine.restart(
            place.id, attempt_id="a", expected_started_at=before.started_at, stop_grace=GRACE
        )
    with pytest.raises(CloneRefused, match="not through"):
        await engine.clone(place.id, attempt_id="b", rules=ScaleOutRules(), at=START)

    after = await services.service(service_id)
    assert (after.version, after.replicas) == (stopped.version, 3)
    assert {*running(after)} >= {*healthy}
    # The person's way back is still there: it leads to what ran before.
    swarm.do("service", "rollback", "-d", "-q", service_id)
    await until(services, service_id, lambda seen: len(running(seen)) == 3)


def running(seen: Service) -> list[str]:
    return [one.id for one in seen.tasks if one.is_running]


async def test_a_replica_for_which_there_is_no_node_goes_back(
    swarm: SwarmLab, services: SwarmServices, name: str
) -> None:
    service_id = swarm.service(name, "--replicas-max-per-node", "1", *OPTED_IN)
    await until(services, service_id, run(1))
    bounds = Bounds(step=timedelta(seconds=3))
    async with DockerEngine(swarm.socket) as inner:
        engine = SwarmEngine(inner, services, bounds=bounds)
        (one,) = (await roster(engine)).targets()

        with pytest.raises(EngineRefused, match="no suitable node"):
            await engine.clone(one.listed.id, attempt_id="b", rules=ScaleOutRules(), at=START)

        seen = await until(services, service_id, run(1))
        assert (seen.replicas, seen.declared) == (1, 1)
        assert (await roster(engine)).clones == 0


async def test_other_containers_are_the_engines_own(swarm: SwarmLab, engine: SwarmEngine) -> None:
    container_id = swarm.do(*("run", "-d", "-l", "relevo.enable=true", swarm.image, "sleep", "60"))
    try:
        before = await engine.inspect(container_id)
        await engine.restart(
            container_id,
            attempt_id="a",
            expected_started_at=before.started_at,
            stop_grace=timedelta(0),
        )
        after = await engine.inspect(container_id)
        assert after.started_at != before.started_at
        assert after.service is None
        assert container_id in {one.id for one in await engine.containers()}
    finally:
        swarm.do("rm", "-f", container_id)
    with pytest.raises(ContainerGone):
        await engine.inspect("f" * 64)
