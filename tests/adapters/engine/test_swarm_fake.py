"""Reading and writing services at a fake manager: every answer that it can give."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from app.adapters.engine.connection import EngineConnection
from app.adapters.engine.swarm import SwarmServices
from app.domain.service import Service, ServiceMode, TaskState, UpdateState
from app.errors import (
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    ServiceChanged,
    ServiceGone,
    TooLate,
)
from app.ports import NO_END, Deadline
from tests.adapters.engine.conftest import IMPATIENT
from tests.adapters.engine.fake_daemon import CONTAINER_ID, FakeDaemon, Reply

ID = "s" * 25
LOOK = f"GET /services/{ID}"
TASKS = "GET /tasks"
WRITE = f"POST /services/{ID}/update"

DONE = Reply(body={"Warnings": None})
STALE = Reply(
    status=500, body={"message": "rpc error: code = Unknown desc = update out of sequence"}
)

#: With fields that we know nothing of, one from an engine that is not built yet.
SPEC: Mapping[str, Any] = {
    "Name": "web",
    "Labels": {"com.docker.stack.namespace": "shop"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "shop:1",
            "Env": ["A=<&>ä"],
            "Healthcheck": {"Interval": 10**10},
        },
        "Resources": {"Limits": {"NanoCPUs": 9007199254740993}},
        "Placement": {},
        "ForceUpdate": 4,
        "Runtime": "container",
        "Invented": [{"Later": None}],
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "UpdateConfig": {"Parallelism": 1, "MaxFailureRatio": 0.1, "Order": "start-first"},
    "EndpointSpec": {"Mode": "vip"},
}
ADDED = {"relevo.replicas": "2", "relevo.scaled-to": "3"}


def described(
    *,
    version: int = 7,
    labels: Mapping[str, str] | None = None,
    mode: Mapping[str, Any] | None = None,
    forced: int = 4,
    **more: Any,
) -> Reply:
    """The manager's answer about the service."""
    spec: dict[str, Any] = copy.deepcopy(dict(SPEC))
    spec["Labels"] |= labels or {}
    spec["Mode"] = mode or spec["Mode"]
    spec["TaskTemplate"]["ForceUpdate"] = forced
    return Reply(body={"ID": ID, "Version": {"Index": version}, "Spec": spec, **more})


def replicas(number: int) -> Mapping[str, Any]:
    return {"Replicated": {"Replicas": number}}


@pytest.fixture
def manager(daemon: FakeDaemon) -> FakeDaemon:
    """A manager of a swarm with one service, which takes every update."""
    daemon.answer(LOOK, described())
    daemon.answer(TASKS, Reply(body=[]))
    daemon.answer(WRITE, DONE)
    return daemon


@pytest.fixture
async def services(manager: FakeDaemon) -> AsyncIterator[SwarmServices]:
    """Our side, that waits 0.3 s where it would wait 10 to 60."""
    connection = EngineConnection(manager.url, IMPATIENT)
    yield SwarmServices(connection)
    await connection.close()


async def force(services: SwarmServices, *, not_after: Deadline = NO_END) -> Service:
    """A force update that was decided on the service as `described` has it."""
    return await services.force_update(
        ID, attempt_id="01J.1", expected_template=TEMPLATE, not_after=not_after
    )


async def scale(services: SwarmServices, to: int, *, of: int = 2) -> Service:
    return await services.scale(ID, attempt_id="01J.2", expected_replicas=of, to=to)


#: `Service.template` of SPEC: stays the same in all releases, since attempts keep it.
TEMPLATE = "8f2addd0cdf8bb94bcb7096638cfd604b1dc7072012b59920c7b339c9bb99df3"


# ---------------------------------------------------------------------- what is written


async def test_a_force_update_changes_a_number_and_the_label_and_nothing_else(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    await force(services)

    expected = copy.deepcopy(dict(SPEC))
    expected["TaskTemplate"]["ForceUpdate"] = 5
    expected["Labels"]["relevo.attempt"] = "01J.1"
    assert manager.bodies[f"/services/{ID}/update"] == expected
    assert manager.acts == [f"{WRITE}?version=7"]


async def test_a_service_that_was_never_forced_and_has_no_labels_gets_them(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    answer = described()
    assert isinstance(answer.body, dict)
    del answer.body["Spec"]["TaskTemplate"]["ForceUpdate"]
    answer.body["Spec"]["Labels"] = None
    manager.answer(LOOK, answer)
    template = (await services.service(ID)).template

    await services.force_update(ID, attempt_id="01J.1", expected_template=template)

    body = manager.bodies[f"/services/{ID}/update"]
    assert body["TaskTemplate"]["ForceUpdate"] == 1
    assert body["Labels"] == {"relevo.attempt": "01J.1"}


@pytest.mark.parametrize(
    ("before", "labels", "to", "expected"),
    [
        pytest.param(2, {}, 3, ADDED, id="out-remembers-what-was-declared"),
        pytest.param(
            3, ADDED, 4, {"relevo.replicas": "2", "relevo.scaled-to": "4"}, id="out-once-more"
        ),
        pytest.param(
            4, {"relevo.replicas": "2", "relevo.scaled-to": "4"}, 3, ADDED, id="one-of-two-leaves"
        ),
        pytest.param(3, ADDED, 2, {}, id="back-forgets-it"),
        pytest.param(
            5,
            ADDED,
            6,
            {"relevo.replicas": "5", "relevo.scaled-to": "6"},
            id="somebody-declared-another-number-since",
        ),
    ],
)
async def test_a_scale_keeps_the_declared_number_on_the_service(
    manager: FakeDaemon,
    services: SwarmServices,
    before: int,
    labels: Mapping[str, str],
    to: int,
    expected: Mapping[str, str],
) -> None:
    manager.answer(LOOK, described(mode=replicas(before), labels=labels))

    await scale(services, to, of=before)

    wanted = copy.deepcopy(dict(SPEC))
    wanted["Mode"] = replicas(to)
    wanted["Labels"] |= {"relevo.attempt": "01J.2", **expected}
    assert manager.bodies[f"/services/{ID}/update"] == wanted


async def test_what_was_done_is_told_with_its_tasks(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(), described(version=8, mode=replicas(3), labels=ADDED))
    manager.answer(TASKS, Reply(body=[task()]))

    seen = await scale(services, 3)

    assert (seen.version, seen.replicas, seen.declared, seen.added) == (8, 3, 2, 1)
    assert [one.id for one in seen.tasks] == ["t1"]


# ---------------------------------------------------------------------- somebody else


async def test_a_change_in_between_is_read_and_kept(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(), described(version=9, labels={"theirs": "1"}))
    manager.answer(WRITE, STALE, DONE)

    await force(services)

    assert manager.acts == [f"{WRITE}?version=7", f"{WRITE}?version=9"]
    body = manager.bodies[f"/services/{ID}/update"]
    assert body["Labels"]["theirs"] == "1"
    assert body["TaskTemplate"]["ForceUpdate"] == 5


async def test_a_scaling_in_between_gives_ours_up(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(), described(version=9, mode=replicas(5)))
    manager.answer(WRITE, STALE)

    with pytest.raises(ServiceChanged, match="5 replicas, not 2"):
        await scale(services, 3)

    assert manager.acts == [f"{WRITE}?version=7"]


async def test_an_update_in_between_gives_ours_up(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(), described(version=9, forced=5))
    manager.answer(WRITE, STALE)

    with pytest.raises(ServiceChanged):
        await force(services)

    assert manager.acts == [f"{WRITE}?version=7"]


async def test_what_was_changed_since_the_decision_is_not_written_to(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(mode=replicas(3), forced=9))

    with pytest.raises(ServiceChanged):
        await scale(services, 4, of=2)
    with pytest.raises(ServiceChanged):
        await force(services)

    assert manager.acts == []


async def test_a_service_that_never_holds_still_is_left_alone(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(WRITE, STALE)

    with pytest.raises(ServiceChanged):
        await force(services)

    assert len(manager.acts) == 5


async def test_who_declares_what_we_had_added_keeps_it(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    # `docker stack deploy` writes its own number, and no labels of ours.
    manager.answer(LOOK, described(mode=replicas(3)))

    with pytest.raises(ServiceChanged, match="declared with 3"):
        await scale(services, 2, of=3)

    assert manager.acts == []


def before(**more: Any) -> dict[str, Any]:
    """What a service was until the last write."""
    spec: dict[str, Any] = copy.deepcopy(dict(SPEC))
    spec["TaskTemplate"] |= more
    return spec


@pytest.mark.parametrize(
    ("previous", "state", "is_ours_to_write"),
    [
        pytest.param(before(Runtime="old"), "updating", False, id="a-deploy-going-on"),
        pytest.param(before(Runtime="old"), "paused", False, id="a-deploy-stopped-half-way"),
        pytest.param(before(Runtime="old"), "rollback_started", False, id="its-way-back"),
        pytest.param(before(Runtime="old"), "rollback_paused", False, id="stuck-on-the-way-back"),
        pytest.param(before(Runtime="old"), "completed", True, id="a-deploy-that-is-through"),
        pytest.param(before(Runtime="old"), None, True, id="a-deploy-long-forgotten"),
        pytest.param(before(ForceUpdate=3), "paused", True, id="a-force-update-that-failed"),
        pytest.param(None, "paused", True, id="nothing-was-before"),
    ],
)
async def test_a_deploy_that_is_not_through_is_not_written_into(
    manager: FakeDaemon,
    services: SwarmServices,
    previous: Mapping[str, Any] | None,
    state: str | None,
    is_ours_to_write: bool,
) -> None:
    status: dict[str, Any] = {} if state is None else {"UpdateStatus": {"State": state}}
    manager.answer(LOOK, described(PreviousSpec=previous, **status))

    for write in (force(services), scale(services, 3)):
        if is_ours_to_write:
            await write
        else:
            with pytest.raises(ServiceChanged, match="not through"):
                await write

    assert len(manager.acts) == (2 if is_ours_to_write else 0)


# ---------------------------------------------------------------------- once only


async def test_an_attempt_that_is_on_the_service_is_not_carried_out_again(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(forced=5, labels={"relevo.attempt": "01J.1"}))

    seen = await force(services)

    assert seen.forced == 5
    assert manager.acts == []


async def test_a_write_whose_answer_was_stale_though_it_was_ours_is_not_repeated(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(
        LOOK,
        described(),
        described(version=9, mode=replicas(3), labels={"relevo.attempt": "01J.2", **ADDED}),
    )
    manager.answer(WRITE, STALE)

    assert (await scale(services, 3)).replicas == 3
    assert len(manager.acts) == 1


async def test_nothing_is_written_too_late(manager: FakeDaemon, services: SwarmServices) -> None:
    passed = asyncio.get_running_loop().time() - 1

    with pytest.raises(TooLate):
        await force(services, not_after=lambda: passed)

    assert manager.acts == []


# ---------------------------------------------------------------------- refused at once


@pytest.mark.parametrize(
    "mode", [{"ReplicatedJob": {"MaxConcurrent": 1}}, {"GlobalJob": {}}, {"Invented": {}}, {}]
)
async def test_a_job_is_never_run_again(
    manager: FakeDaemon, services: SwarmServices, mode: Mapping[str, Any]
) -> None:
    answer = described()
    assert isinstance(answer.body, dict)
    answer.body["Spec"]["Mode"] = mode
    manager.answer(LOOK, answer)

    with pytest.raises(EngineRefused, match="job"):
        await force(services)
    with pytest.raises(EngineRefused):
        await scale(services, 3)

    assert manager.acts == []


async def test_a_global_service_is_updated_and_never_scaled(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(mode={"Global": {}}))

    seen = await force(services)
    with pytest.raises(EngineRefused, match="global"):
        await scale(services, 3)

    assert (seen.mode, seen.replicas, seen.added) == (ServiceMode.GLOBAL, None, 0)
    assert len(manager.acts) == 1


async def test_a_service_never_gets_fewer_than_were_declared(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    with pytest.raises(ServiceChanged, match="declared with 2"):
        await scale(services, 1)

    assert manager.acts == []


@pytest.mark.parametrize("bad", ["", "web", "../swarm/leave", "S" * 25, "s" * 24, "s" * 26])
async def test_only_an_id_becomes_part_of_a_request(
    manager: FakeDaemon, services: SwarmServices, bad: str
) -> None:
    with pytest.raises(ValueError, match="id"):
        await services.service(bad)
    with pytest.raises(ValueError, match="id"):
        await services.force_update(bad, attempt_id="01J.1", expected_template=TEMPLATE)
    with pytest.raises(ValueError, match="id"):
        await services.scale(bad, attempt_id="01J.1", expected_replicas=2, to=3)

    assert manager.requests == []


# ---------------------------------------------------------------------- errors


NO_MANAGER = Reply(status=503, body={"message": "This node is not a swarm manager."})
NO_LEADER = Reply(
    status=500,
    body={"message": "rpc error: code = Unknown desc = The swarm does not have a leader"},
)
GONE = Reply(status=404, body={"message": f"service {ID} not found"})
BROKEN = Reply(status=500, body={"message": "rpc error: code = Internal desc = broken"})
SILENT = Reply(hangs=True)


@pytest.mark.parametrize(
    ("reply", "reading", "writing"),
    [
        pytest.param(GONE, ServiceGone, ServiceGone, id="gone"),
        pytest.param(NO_MANAGER, EngineUnavailable, EngineUnavailable, id="no-manager"),
        pytest.param(NO_LEADER, EngineUnavailable, EngineSilent, id="no-leader"),
        pytest.param(BROKEN, EngineRefused, EngineRefused, id="refused"),
        pytest.param(SILENT, EngineUnavailable, EngineSilent, id="silent"),
    ],
)
async def test_an_error_says_whether_it_may_have_been_done(
    manager: FakeDaemon,
    services: SwarmServices,
    reply: Reply,
    reading: type[Exception],
    writing: type[Exception],
) -> None:
    manager.answer(WRITE, reply)
    with pytest.raises(writing) as written:
        await force(services)

    manager.answer(LOOK, reply)
    with pytest.raises(reading) as read:
        await force(services)

    manager.release()
    assert (type(read.value), type(written.value)) == (reading, writing)
    assert len(manager.acts) == 1


async def test_done_and_then_not_seen_is_unknown(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    manager.answer(LOOK, described(), BROKEN)

    with pytest.raises(EngineSilent, match="done"):
        await force(services)


# ---------------------------------------------------------------------- what is read


def task(**more: Any) -> dict[str, Any]:
    """A line of the manager's tasks."""
    return {
        "ID": "t1",
        "ServiceID": ID,
        "Slot": 2,
        "NodeID": "n1",
        "CreatedAt": "2026-11-22T03:00:00.5Z",
        "DesiredState": "running",
        "Spec": {"ForceUpdate": 4},
        "Status": {
            "State": "running",
            "Timestamp": "2026-11-22T03:00:02Z",
            "ContainerStatus": {"ContainerID": CONTAINER_ID, "PID": 7, "ExitCode": 0},
        },
        **more,
    }


async def test_a_swarm_is_listed_with_its_tasks(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    status = {"State": "paused", "Message": "update paused due to failure"}
    first, second = described(UpdateStatus=status).body, described().body
    assert isinstance(second, dict)
    second["ID"] = "o" * 25
    failed = task(
        ID="t0",
        CreatedAt="2026-11-22T02:00:00Z",
        DesiredState="shutdown",
        Status={
            "State": "failed",
            "Err": "task: non-zero exit (3)",
            "ContainerStatus": {"ExitCode": 3},
        },
    )
    manager.answer("GET /services", Reply(body=[first, second]))
    manager.answer(TASKS, Reply(body=[task(), failed, task(ID="other", ServiceID="x" * 25)]))

    web, other = await services.services()

    assert (web.id, web.name, web.version, web.mode) == (ID, "web", 7, ServiceMode.REPLICATED)
    assert (web.replicas, web.declared, web.forced, web.attempt_id) == (2, 2, 4, None)
    assert web.template == TEMPLATE
    assert web.update is not None
    assert web.update.state is UpdateState.PAUSED
    old, new = web.tasks  # the oldest first
    assert (old.id, old.state, old.exit_code, old.is_wanted) == ("t0", TaskState.FAILED, 3, False)
    assert (new.slot, new.place, new.node, new.container_id) == (2, "2", "n1", CONTAINER_ID)
    assert (new.is_running, new.is_wanted, new.forced) == (True, True, 4)
    assert other.tasks == ()


async def test_a_task_that_is_nowhere_yet_is_read(
    manager: FakeDaemon, services: SwarmServices
) -> None:
    lost = task(Slot=None, NodeID="", Status={"State": "invented"}, Spec={})
    manager.answer(TASKS, Reply(body=[lost]))

    (one,) = (await services.service(ID)).tasks

    assert (one.place, one.node, one.container_id, one.forced) == ("", None, None, 0)
    assert one.state is TaskState.NEW
    assert one.since == one.created_at


@pytest.mark.parametrize(
    ("number", "labels", "declared"),
    [
        pytest.param(2, {}, 2, id="ours-are-none"),
        pytest.param(3, ADDED, 2, id="one-is-ours"),
        pytest.param(2, ADDED, 2, id="somebody-took-it-back"),
        pytest.param(5, ADDED, 5, id="somebody-wants-more"),
        pytest.param(3, {"relevo.replicas": "2"}, 3, id="half-of-the-labels"),
        pytest.param(3, {**ADDED, "relevo.replicas": "x"}, 3, id="not-a-number"),
        pytest.param(3, {**ADDED, "relevo.replicas": "9"}, 3, id="more-than-there-are"),
    ],
)
async def test_what_somebody_else_set_is_declared(
    manager: FakeDaemon,
    services: SwarmServices,
    number: int,
    labels: Mapping[str, str],
    declared: int,
) -> None:
    manager.answer(LOOK, described(mode=replicas(number), labels=labels))

    assert (await services.service(ID)).declared == declared


@pytest.mark.parametrize(
    ("swarm", "manages"),
    [
        pytest.param({"LocalNodeState": "active", "ControlAvailable": True}, True, id="manager"),
        pytest.param({"LocalNodeState": "active", "ControlAvailable": False}, False, id="worker"),
        pytest.param({"LocalNodeState": "inactive"}, False, id="no-swarm"),
        pytest.param(None, False, id="never-heard-of-it"),
    ],
)
async def test_only_a_manager_can_be_asked(
    manager: FakeDaemon, services: SwarmServices, swarm: object, manages: bool
) -> None:
    manager.answer("GET /info", Reply(body={"Name": "h", "Swarm": swarm}))

    assert await services.manages() is manages
