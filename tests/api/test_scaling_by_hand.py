"""What people see of scaling, and order of it: clones, activities, scale-in, dry runs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Container, Health, RunState
from app.domain.reason import Reason
from tests.api.conftest import application
from tests.api.test_operating import WHY, post, refused, target
from tests.api.test_webhooks import PATH, alert, notification
from tests.builders import TARGET, at, compose, container, remediation
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.controller.test_scaling import clone, made
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

SCALE_IN = "/api/v1/targets/web/scale-in"
ACTIVITIES = "/api/v1/activities"


@pytest.fixture
async def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def house(memory: MemoryStore) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    return build(make_store(memory), clock, engine)


@pytest.fixture
async def helped(house: House, memory: MemoryStore) -> Container:
    """A clone that is written down."""
    one = clone()
    memory.write_activity(made(one))
    return house.engine.run(one)


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    await house.tenure.beat()
    transport = httpx.ASGITransport(app=application(house), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        yield client


async def activities(http: httpx.AsyncClient, query: str = "") -> list[Any]:
    answer = await http.get(ACTIVITIES + query)
    assert answer.status_code == 200, answer.text
    found = answer.json()["activities"]
    assert isinstance(found, list)
    return found


# ---------------------------------------------------------------- scale-in


async def test_a_person_lets_a_clone_leave(
    http: httpx.AsyncClient, house: House, helped: Container
) -> None:
    async with working(house, leaving=True):
        placed = await post(http, SCALE_IN)
        (begun, _) = await activities(http)
        shown = await target(http)
        await pass_time(minutes=2)

    # The clone's story is older than anybody remembers.
    assert placed == {"remediation": None, "attempt": begun["id"]}
    assert (begun["status"], begun["container"]) == ("in_progress", helped.name)
    assert shown["clones"][0]["leaving"] == begun["id"]
    assert (shown["instances"], shown["desired_instances"]) == (2, 1)
    assert shown["clones_stay"] is None
    ended, _ = await activities(http)
    assert ended == begun | {"status": "successful", "finished_at": ended["finished_at"]}
    assert ended["reason"] == "manual"
    assert ended["ordered"] == "ana: stuck since the import"
    assert (await target(http))["clones"] == []
    assert house.engine.names() == {"web"}


async def test_it_belongs_to_the_story_that_made_the_clone(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house, leaving=True):
        out = await post(http, "/api/v1/targets/web/scale-out")
        await pass_time(minutes=15)
        placed = await post(http, SCALE_IN)

    assert placed["remediation"] == out["remediation"]


async def test_a_dry_run_says_who_would_leave(
    http: httpx.AsyncClient, house: House, helped: Container
) -> None:
    async with working(house, leaving=True):
        told = await post(http, f"{SCALE_IN}?dry_run=true")
        await pass_time(minutes=1)

    assert (told["dry_run"], told["container"]) == (True, helped.name)
    assert set(told) == {"dry_run", "remediation", "attempt", "container"}
    assert house.engine.acts == []
    assert [one["kind"] for one in await activities(http)] == ["scale_out"]


async def test_without_a_clone_it_is_refused(http: httpx.AsyncClient) -> None:
    problem = await refused(http, SCALE_IN, 422)
    assert problem["reason"] == "no_clone"

    assert (await refused(http, f"{SCALE_IN}?dry_run=true", 422))["reason"] == "no_clone"


async def test_the_last_that_serves_stays(
    http: httpx.AsyncClient, house: House, helped: Container
) -> None:
    house.engine.run(web(health=Health.UNHEALTHY))

    assert (await refused(http, SCALE_IN, 422))["reason"] == "last_instance"


async def test_one_at_a_time(http: httpx.AsyncClient, helped: Container) -> None:
    first = await post(http, SCALE_IN)

    problem = await refused(http, SCALE_IN, 409)

    assert first["attempt"] in problem["detail"]


async def test_a_hold_stops_it(http: httpx.AsyncClient, helped: Container) -> None:
    await post(http, "/api/v1/targets/web/hold", {"reason": "moving", "author": "ben"})

    assert "held by ben: moving" in (await refused(http, SCALE_IN, 409))["detail"]


async def test_a_clone_on_trial_is_not_sent_away(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await post(http, "/api/v1/targets/web/scale-out")
        await pass_time(seconds=5)
        problem = await refused(http, SCALE_IN, 409)

    assert "helps" in problem["detail"]


async def test_the_same_key_twice_is_done_once(
    http: httpx.AsyncClient, house: House, memory: MemoryStore, helped: Container
) -> None:
    other = clone(2)
    memory.write_activity(made(other, seconds=1))
    house.engine.run(other)
    async with working(house, leaving=True):
        answers = await asyncio.gather(
            *(post(http, SCALE_IN, Idempotency_Key="k-1") for _ in range(5))
        )
        await pass_time(minutes=2)
        again = await post(http, SCALE_IN, Idempotency_Key="k-1")
        await pass_time(minutes=2)

    assert [again] * 5 == answers
    assert [name for _, name, _ in house.engine.acts] == [other.name]
    answer = await http.post(
        SCALE_IN, json=WHY | {"reason": "another"}, headers={"Idempotency-Key": "k-1"}
    )
    assert answer.status_code == 409


async def test_without_its_engine_it_is_a_503(
    http: httpx.AsyncClient, house: House, helped: Container
) -> None:
    await target(http)
    house.engine.down = True
    await pass_time(seconds=5)

    assert "engine" in (await refused(http, SCALE_IN, 503))["detail"]


# ---------------------------------------------------------------- targets


async def test_a_target_tells_of_its_group(
    http: httpx.AsyncClient, house: House, helped: Container
) -> None:
    async with working(house, leaving=True):
        await pass_time(seconds=30)
        shown = await target(http)

    counted = [shown[f"{which}instances"] for which in ("min_", "desired_", "", "max_")]
    assert counted == [1, 2, 2, 3]
    assert shown["clones"] == [
        {
            "container": helped.name,
            "clone_of": "web",
            "since": "2026-11-22T10:00:00.000Z",
            "reason": "window_full",
            "ordered": None,
            "attempt": "web-0.1",
            "leaving": None,
        }
    ]
    assert shown["clones_stay"] == {
        "reason": "needed",
        "until": "2026-11-22T10:30:00.000Z",
        "detail": None,
    }
    assert shown["cooling_until"] is None


async def test_a_scale_out_is_desired_before_it_is_there(
    http: httpx.AsyncClient, house: House
) -> None:
    house.engine.takes = timedelta(seconds=20)
    async with working(house):
        await post(http, "/api/v1/targets/web/scale-out")
        await pass_time(seconds=10)
        coming = await target(http)
        await pass_time(seconds=20)
        there = await target(http)

    assert (coming["instances"], coming["desired_instances"], coming["clones"]) == (1, 2, [])
    assert (there["instances"], there["desired_instances"]) == (2, 2)
    assert [one["ordered"] for one in there["clones"]] == ["ana: stuck since the import"]


async def test_a_group_cools_after_a_scale_out(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=27)
        shown = await target(http)

    (came,) = await activities(http)
    until = datetime.fromisoformat(shown["cooling_until"])
    assert until - datetime.fromisoformat(came["started_at"]) >= timedelta(minutes=10)
    assert until > house.clock.now()


async def test_originals_of_a_group_are_its_minimum(
    http: httpx.AsyncClient, house: House, memory: MemoryStore
) -> None:
    for number in (1, 2):
        labels = compose("shop", "api", number)
        house.engine.run(container(f"shop-api-{number}", 10 + number, labels=labels))
    extra = {**compose("shop", "api", 3), "relevo.clone-of": "shop-api-1"}
    house.engine.run(container("shop-api-3", 13, labels=extra, created_at=at(-60)))
    await pass_time(seconds=2)

    for name in ("shop-api-1", "shop-api-2"):
        shown = (await http.get(f"/api/v1/targets/{name}")).json()
        assert (shown["min_instances"], shown["instances"]) == (2, 3)
        (found,) = shown["clones"]
        # Nobody remembers it: what the engine says has to do.
        assert (found["container"], found["reason"], found["attempt"]) == ("shop-api-3", None, None)
        assert found["since"] == "2026-11-22T09:59:00.000Z"


async def test_the_record_of_another_container_is_not_told_of_a_copy(
    http: httpx.AsyncClient, house: House, memory: MemoryStore
) -> None:
    one = clone()
    memory.write_activity(made(one, container_id="f" * 64))
    house.engine.run(one)

    (found,) = (await target(http))["clones"]

    assert (found["reason"], found["since"]) == (None, None)


@pytest.mark.parametrize("name", ["web_new1", "host1:web_new1", "web%5Fnew1"])
async def test_a_clone_leads_to_its_target(
    http: httpx.AsyncClient, helped: Container, name: str
) -> None:
    answer = await http.get(f"/api/v1/targets/{name}")

    assert answer.status_code == 200
    assert answer.json() == await target(http)


@pytest.mark.parametrize("name", ["host2:web_new1", "web_new", "web_new1x", "host1:host1:web_new1"])
async def test_what_is_only_like_a_clone_leads_nowhere(
    http: httpx.AsyncClient, helped: Container, name: str
) -> None:
    assert (await http.get(f"/api/v1/targets/{name}")).status_code == 404


async def test_a_clone_of_nobody_leads_nowhere(http: httpx.AsyncClient, house: House) -> None:
    house.engine.run(clone(source="gone"))
    house.engine.run(clone(2, source="stranger"))
    house.engine.run(container("stranger", 9, labels={}))

    for name in ("gone_new1", "stranger_new2", "stranger"):
        assert (await http.get(f"/api/v1/targets/{name}")).status_code == 404


@pytest.mark.parametrize("what", ["restart", "scale-out", "scale-in", "hold", "release", "reset"])
async def test_an_order_names_the_target_not_the_clone(
    http: httpx.AsyncClient, house: House, helped: Container, what: str
) -> None:
    problem = await refused(http, f"/api/v1/targets/{helped.name}/{what}", 404)

    assert problem["detail"] == "that is a clone of host1:web: name that target"
    assert house.engine.acts == []


# ---------------------------------------------------------------- activities


def went(number: int, group: str = TARGET, **more: Any) -> Activity:
    values: dict[str, Any] = {
        "id": f"a{number}",
        "group": group,
        "kind": ActivityKind.SCALE_IN,
        "cause": "quiet",
        "status": ActivityStatus.SUCCESSFUL,
        "container": "web_new",
        "started_at": at(number),
    }
    return Activity(**(values | more))


async def test_an_activity_has_all_its_words(http: httpx.AsyncClient, memory: MemoryStore) -> None:
    memory.write_activity(
        went(1, target=TARGET, reason=Reason.QUIET, finished_at=at(9), ordered="ana: enough")
    )

    assert await activities(http) == [
        {
            "id": "a1",
            "group": TARGET,
            "kind": "scale_in",
            "cause": "quiet",
            "status": "successful",
            "container": "web_new",
            "target": TARGET,
            "reason": "quiet",
            "ordered": "ana: enough",
            "started_at": "2026-11-22T10:00:01.000Z",
            "finished_at": "2026-11-22T10:00:09.000Z",
        }
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a4", "a3", "a2", "a1"]),
        ("?limit=2", ["a4", "a3"]),
        ("?group=web", ["a3", "a1"]),
        ("?group=host1:web", ["a3", "a1"]),
        ("?group=host1:web&limit=1", ["a3"]),
        ("?group=shop/api", ["a2"]),
        ("?group=host1:shop%2Fapi", ["a2"]),
        ("?group=team:a", ["a4"]),
        ("?group=", []),
        ("?group=host2:web", []),
        ("?group=%00%ff*", []),
        ("?group=" + "x" * 5000, []),
    ],
)
async def test_activities_of_a_group(
    http: httpx.AsyncClient, memory: MemoryStore, query: str, found: list[str]
) -> None:
    groups = (TARGET, "host1:shop/api", TARGET, "host1:team:a")
    for number, group in enumerate(groups, start=1):
        memory.write_activity(went(number, group))

    assert [one["id"] for one in await activities(http, query)] == found


async def test_activities_are_told_without_an_engine(
    http: httpx.AsyncClient, house: House, memory: MemoryStore
) -> None:
    memory.write_activity(went(1))
    house.engine.down = True

    assert len(await activities(http)) == 1
    assert len(await activities(http, "?group=host1:web")) == 1


async def test_a_load_and_its_end_in_two_activities(http: httpx.AsyncClient, house: House) -> None:
    async with working(house, leaving=True):
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=27)
        await http.post(PATH, json=notification(alert(status="resolved")))
        await pass_time(minutes=50)

    came, went_again = reversed(await activities(http))
    assert (came["kind"], came["status"], came["reason"]) == (
        "scale_out",
        "successful",
        "window_full",
    )
    assert (went_again["kind"], went_again["status"]) == ("scale_in", "successful")
    assert went_again["reason"] == "quiet"
    assert {one["target"] for one in (came, went_again)} == {TARGET}
    assert came["container"] == went_again["container"]


async def test_a_stopped_clone_still_counts(
    http: httpx.AsyncClient, house: House, memory: MemoryStore
) -> None:
    house.engine.run(clone(state=RunState.EXITED))

    assert (await target(http))["instances"] == 2


async def test_a_story_of_another_group_adds_nothing(http: httpx.AsyncClient, house: House) -> None:
    assert remediation().group == TARGET
    house.engine.run(container("api", 2))

    answer = (await http.get("/api/v1/targets")).json()["targets"]

    assert [(one["container"], one["desired_instances"]) for one in answer] == [
        ("api", 1),
        ("web", 1),
    ]
