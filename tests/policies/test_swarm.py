"""Services as containers: places, what fills them, and what is ours."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.container import Health, RunState
from app.domain.service import (
    Service,
    ServiceMode,
    ServiceTask,
    ServiceUpdate,
    TaskState,
    UpdateState,
)
from app.domain.target import GroupId, TargetId
from app.policies import swarm
from app.policies.deploy import deploying_until
from app.policies.membership import Member, OptIn, member_of
from app.policies.roster import Found, NotOurs, Roster
from tests.builders import ENGINE, START, at, hex_id, listed
from tests.fake_swarm import WEB_ID, service, task

OVER: dict[str, Any] = {"desired": TaskState.SHUTDOWN}


def ended(slot: int, number: int, state: TaskState = TaskState.FAILED, **more: Any) -> ServiceTask:
    return task(slot, number, state=state, exit_code=3, **(OVER | more))


def coming(slot: int, number: int, **more: Any) -> ServiceTask:
    return task(slot, number, state=TaskState.PREPARING, container_id=None, **more)


def container_at(one: Service, place: str = "1") -> Any:
    wanted = swarm.place_id(one, place)
    (found,) = [c for c in swarm.containers_of(one, prefix="relevo") if c.id == wanted]
    return found


def member(one: Service, place: str = "1") -> Member:
    found = container_at(one, place)
    return member_of(found, ENGINE, prefix="relevo", enable=(), protected=None)


def test_a_place_is_a_target_and_its_service_the_group() -> None:
    seen = member(service(task(1, 1), task(2, 2)), "2")

    assert seen.target == TargetId(ENGINE, "web.2")
    assert seen.group == GroupId(ENGINE, "web")
    assert seen.opt_in is OptIn.ENFORCE
    assert not seen.is_swarm_task
    assert seen.clone_of is None


def test_a_task_on_every_node_is_named_by_its_node() -> None:
    one = service(task(None, 1, node="n7"), mode=ServiceMode.GLOBAL, replicas=None, declared=None)

    assert member(one, "n7").target == TargetId(ENGINE, "web.n7")


def test_the_words_of_containers_win_over_those_of_their_service() -> None:
    one = service(
        task(),
        labels={"relevo.enable": "true", "relevo.policy": "slow", "com.example": "1"},
        container_labels={"relevo.enable": "observe"},
    )

    labels = container_at(one).labels

    assert (labels["relevo.enable"], labels["relevo.policy"]) == ("observe", "slow")
    assert "com.example" not in labels


def test_a_place_keeps_its_id_whatever_fills_it() -> None:
    before = container_at(service(task(1, 1)))
    after = container_at(service(ended(1, 1), task(1, 9)))
    other = container_at(service(task(1, 1), id="o" * 25))

    assert before.id == after.id
    assert len({before.id, other.id}) == 2
    assert len(before.id) == len(bytes.fromhex(before.id)) * 2 == 64
    assert before.started_at != after.started_at
    assert (after.name, after.former) == ("web.1.t9", ("web.1.t1",))


@pytest.mark.parametrize(
    ("tasks", "state", "health", "restarts"),
    [
        pytest.param([task()], RunState.RUNNING, Health.NONE, 0, id="it-runs"),
        pytest.param(
            [ended(1, 1, TaskState.SHUTDOWN), coming(1, 2)],
            RunState.RUNNING,
            Health.STARTING,
            0,
            id="replaced-by-swarms-wish",
        ),
        pytest.param(
            [ended(1, 1), coming(1, 2)],
            RunState.RESTARTING,
            Health.NONE,
            1,
            id="it-failed-and-comes-again",
        ),
        pytest.param([ended(1, 1), task(1, 2)], RunState.RUNNING, Health.NONE, 1, id="came-again"),
        pytest.param(
            [ended(1, 1, TaskState.COMPLETE), ended(1, 2, TaskState.REJECTED), coming(1, 3)],
            RunState.RESTARTING,
            Health.NONE,
            2,
            id="whatever-the-end",
        ),
        pytest.param(
            [ended(1, 1, TaskState.SHUTDOWN), coming(1, 2, error="no suitable node")],
            RunState.RESTARTING,
            Health.NONE,
            0,
            id="there-is-no-node-for-it",
        ),
        pytest.param(
            [ended(1, 1, forced=0), task(1, 2, forced=1)],
            RunState.RUNNING,
            Health.NONE,
            0,
            id="what-failed-before-the-update-is-over",
        ),
        pytest.param(
            [ended(2, 1), task(1, 2)], RunState.RUNNING, Health.NONE, 0, id="another-place"
        ),
    ],
)
def test_a_place_is_as_well_as_its_tasks(
    tasks: list[ServiceTask], state: RunState, health: Health, restarts: int
) -> None:
    seen = container_at(service(*tasks, forced=max(one.forced for one in tasks)))

    assert (seen.state, seen.health, seen.restart_count) == (state, health, restarts)


def test_a_place_in_which_nothing_is_wanted_is_no_container() -> None:
    assert swarm.containers_of(service(ended(1, 1)), prefix="relevo") == ()


# ---------------------------------------------------------------------- clones


TWO = (task(1, 1), task(2, 2))
OURS: dict[str, Any] = {"replicas": 3, "declared": 2, "attempt_id": "web.1-x.4"}


def clones(one: Service) -> list[str]:
    members = [
        member_of(c, ENGINE, prefix="relevo", enable=(), protected=None)
        for c in swarm.containers_of(one, prefix="relevo")
    ]
    return [m.target.slot for m in members if m.clone_of is not None]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(service(*TWO), [], id="as-declared"),
        pytest.param(service(*TWO, task(3, 3), **OURS), ["web.3"], id="the-last-one"),
        pytest.param(service(*TWO, **OURS), [], id="it-is-not-there-yet"),
        pytest.param(
            service(ended(1, 1), task(1, 9), task(2, 2), task(3, 3), **OURS),
            ["web.3"],
            id="a-new-task-in-an-old-place-is-none",
        ),
        pytest.param(
            service(task(2, 2), task(3, 3), task(1, 5), **OURS),
            ["web.1"],
            id="a-number-that-was-free",
        ),
        pytest.param(
            service(*TWO, task(3, 3), task(4, 4), **(OURS | {"replicas": 4})),
            ["web.3", "web.4"],
            id="two-of-them",
        ),
        pytest.param(
            service(*TWO, mode=ServiceMode.GLOBAL, replicas=None, declared=None), [], id="global"
        ),
    ],
)
def test_replicas_that_we_added_are_clones(one: Service, expected: list[str]) -> None:
    assert clones(one) == expected


def test_the_newest_clone_names_its_attempt() -> None:
    one = service(*TWO, task(3, 3), task(4, 4), **(OURS | {"replicas": 4}))
    roster = Roster(ENGINE, swarm.containers_of(one, prefix="relevo"), prefix="relevo")

    made = roster.made_by("web.1-x.4", "relevo")

    assert made is not None
    assert made.target.slot == "web.4"


# ---------------------------------------------------------------------- the listing


def of_task(number: int, slot: int, service_id: str = WEB_ID) -> Any:
    labels = {
        "relevo.enable": "true",
        "com.docker.swarm.service.id": service_id,
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task.name": f"web.{slot}.t{number}",
    }
    return listed(f"web.{slot}.t{number}", number, labels=labels)


def test_places_stand_where_containers_of_tasks_are() -> None:
    one = service(ended(1, 1), task(1, 3), task(2, 2, node="n2"))
    alone = listed("alone", 50)

    seen = swarm.with_services((of_task(1, 1), of_task(3, 1), alone), [one], prefix="relevo")

    assert [c.name for c in seen] == ["alone", "web.1.t3", "web.2.t2"]


def test_tasks_that_nobody_drives_stay_what_they_are() -> None:
    job = service(task(), mode=ServiceMode.JOB, replicas=None, declared=None)
    listing = (of_task(1, 1), of_task(2, 1, service_id="z" * 25))

    assert swarm.with_services(listing, [job], prefix="relevo") == listing


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("web.1.t3", True, id="the-container-of-now"),
        pytest.param("web.1.t1", True, id="the-one-before"),
        pytest.param("web.1", True, id="its-place"),
        pytest.param("web.1.t99", False, id="none-that-swarm-remembers"),
        pytest.param("web", False, id="the-service"),
    ],
)
def test_an_alert_names_a_place_by_any_of_its_containers(name: str, found: bool) -> None:
    one = service(ended(1, 1), task(1, 3), task(2, 2))
    roster = Roster(ENGINE, swarm.with_services((), [one], prefix="relevo"), prefix="relevo")

    about = roster.resolve({"name": name}, target_labels=("name",))

    assert isinstance(about, Found if found else NotOurs)
    if isinstance(about, Found):
        assert about.root.target.slot == "web.1"


# ---------------------------------------------------------------------- what came of it


@pytest.mark.parametrize(
    ("state", "failed", "replacing"),
    [
        (UpdateState.UPDATING, False, True),
        (UpdateState.COMPLETED, False, False),
        (UpdateState.PAUSED, True, False),
        (UpdateState.ROLLBACK_STARTED, True, True),
        (UpdateState.ROLLBACK_PAUSED, True, False),
        (UpdateState.ROLLBACK_COMPLETED, True, False),
    ],
)
def test_an_update_is_going_on_or_given_up(
    state: UpdateState, failed: bool, replacing: bool
) -> None:
    one = service(task(), update=ServiceUpdate(state=state, message="why"))

    assert (swarm.failed_update(one) is not None) is failed
    assert swarm.is_being_replaced(one) is replacing
    assert container_at(one).is_replacing is replacing


#: Given to a node that was lost before it could begin.
LOST: Any = {"node": "n2", "state": TaskState.ASSIGNED, "container_id": None, **OVER}


@pytest.mark.parametrize(
    ("tasks", "more", "replacing"),
    [
        pytest.param([task(2, 3, forced=1)], {}, False, id="all-others-run"),
        pytest.param([coming(2, 3, forced=1)], {}, True, id="one-is-on-its-way"),
        pytest.param([task(2, 3, forced=0)], {}, True, id="one-is-still-to-be-replaced"),
        pytest.param([], {}, True, id="one-is-missing"),
        pytest.param([task(2, 3, forced=1)], {"is_remade": True}, True, id="a-deploy"),
        pytest.param(
            [task(2, 3, forced=1)],
            {"update": ServiceUpdate(state=UpdateState.ROLLBACK_STARTED)},
            True,
            id="a-rollback",
        ),
        pytest.param(
            [], {"mode": ServiceMode.GLOBAL, "replicas": None, "declared": None}, False, id="global"
        ),
    ],
)
@pytest.mark.parametrize("is_lost", [True, False])
def test_an_update_that_waits_for_a_lost_node_only_holds_nobody(
    tasks: list[ServiceTask], more: dict[str, Any], replacing: bool, is_lost: bool
) -> None:
    more = {"update": ServiceUpdate(state=UpdateState.UPDATING), "replicas": 2, **more}
    lost = [task(2, 2, forced=1, **LOST)] if is_lost else []
    one = service(task(1, 1, forced=1), *lost, *tasks, forced=1, **more)

    assert swarm.is_being_replaced(one) is (replacing or not is_lost)


@pytest.mark.parametrize(
    ("state", "is_remade", "left_alone"),
    [
        (UpdateState.UPDATING, True, True),
        (UpdateState.PAUSED, True, True),
        (UpdateState.ROLLBACK_PAUSED, True, True),
        (UpdateState.COMPLETED, True, False),
        (UpdateState.ROLLBACK_COMPLETED, True, False),
        (UpdateState.PAUSED, False, False),
    ],
)
def test_a_deploy_that_has_stopped_half_way_is_left_alone(
    state: UpdateState, is_remade: bool, left_alone: bool
) -> None:
    one = service(task(), update=ServiceUpdate(state=state), is_remade=is_remade)

    assert swarm.is_half_deployed(one) is left_alone
    assert container_at(one).is_replacing is left_alone


def test_while_swarm_replaces_tasks_they_are_left_alone() -> None:
    one = container_at(service(task(), update=ServiceUpdate(state=UpdateState.UPDATING)))
    hold = timedelta(minutes=2)

    def until(**more: Any) -> Any:
        return deploying_until(one, (), (), hold=hold, prefix="relevo", now=START, **more)

    assert until() == START + hold
    one = replace(one, is_replacing=False)
    assert until() is None


def test_only_a_task_of_the_newest_generation_has_arrived() -> None:
    one = service(task(1, 1, forced=0), forced=1)

    assert not swarm.has_arrived(one, "1")
    assert swarm.has_arrived(replace(one, tasks=(task(1, 2, forced=1),)), "1")
    assert not swarm.has_arrived(replace(one, tasks=(task(2, 2, forced=1),)), "1")


@pytest.mark.parametrize(
    ("tasks", "parallelism", "seconds"),
    [
        pytest.param(1, 1, 10, id="one-stop-grace"),
        pytest.param(3, 1, 3 * 10 + 2 * 60, id="one-after-the-other-with-pauses"),
        pytest.param(3, 2, 2 * 10 + 60, id="two-at-once"),
        pytest.param(3, 0, 10, id="all-at-once"),
    ],
)
def test_a_stop_takes_as_long_as_swarm_needs_to_come_round(
    tasks: int, parallelism: int, seconds: int
) -> None:
    one = service(
        *(task(slot, slot) for slot in range(1, tasks + 1)),
        update_parallelism=parallelism,
        update_monitor=timedelta(0),
        update_delay=timedelta(minutes=1),
    )

    assert container_at(one).stop_grace == timedelta(seconds=seconds)
    watched = replace(one, update_monitor=timedelta(seconds=5))
    assert container_at(watched).stop_grace > timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("mode", "refused"),
    [(ServiceMode.REPLICATED, False), (ServiceMode.GLOBAL, True), (ServiceMode.JOB, True)],
)
def test_only_replicas_can_become_more(mode: ServiceMode, refused: bool) -> None:
    report = swarm.fidelity(service(task(), mode=mode))

    assert report.is_refused is refused


def test_what_was_made_last_tells_what_is_wrong() -> None:
    fine = service(task(1, 1), task(2, 2))
    stuck = service(task(1, 1), coming(2, 2, error="no suitable node"))

    assert swarm.trouble_of_the_newest(fine) is None
    assert "no suitable node" in str(swarm.trouble_of_the_newest(stuck))
    assert swarm.trouble_of_the_newest(service()) is None
    assert swarm.newest_place(stuck) == "2"
    assert swarm.task_in(stuck, "2") == stuck.tasks[1]
    assert container_at(fine).created_at == at(1)
    assert hex_id(1) == fine.tasks[0].container_id
