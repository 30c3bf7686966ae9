"""
What a restart costs those who ask just then, through each balancer of examples/: none of their
requests with a clone as cover; in place not more than a plain `docker restart`. wrk never asks
twice: what is not lost is the balancer's doing and the cover's.

And how long it takes until a clone serves, where nothing else is to be tried first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from app.adapters.clock import LoopClock
from tests.parts import obtain, require
from tests.stack.answers import Json
from tests.stack.containers import docker
from tests.stack.example import EXAMPLES, Example, address_of, hostname_of
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.scene import Scene, side_by_side
from tests.stack.stories import comes_to, restarted
from tests.stack.wait import always, eventually
from tests.stack.wrk import CONNECTIONS, Sent, Wrk

pytestmark = [
    pytest.mark.load,
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

BALANCED = ("haproxy", "nginx", "caddy")
#: The name of an alert says what is to be done about it.
IN_PLACE, COVERED, SCALED = "RestartInPlace", "RestartUnderCover", "ScaleOut"
QUICK: Json = {
    "restart": {"delays": ["1s"], "window": "3m"},
    "verify": {"deadline": "20s", "settle": "2s", "poll": "500ms", "relapse_window": "1s"},
    "scale_out": {"warm_up": "2s", "cooldown": "1s"},
}
POLICIES = tuple(
    {"name": name.lower(), "match": {"alerts": [name]}, "strategy": strategy, **QUICK}
    for name, strategy in (
        (IN_PLACE, "restart_first"),
        (COVERED, "relieve_first"),
        (SCALED, "scale_first"),
    )
)
GUARDS: Json = {**NO_BOUNDS, "reserve": {"memory": "0%", "cpus": 0}, "deploy_hold": "0s"}
#: A clone's first answer, after the notice.
SERVES_WITHIN = 60.0
#: What was under way to an address that is gone is asked again elsewhere within this (the
#: balancers' 4 s, and a second try).
LAST_ANSWERS = 8.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """All balancers at once. One that is missing is skipped, by its own test."""
    for part in ("docker", "docker-compose", "redis", "alertmanager", "busybox"):
        require(part)
    obtain("wrk")
    async with side_by_side(
        request,
        restarts_of,
        images={way: f"examples/{way}" for way in BALANCED},
        policies=POLICIES,
        guards=GUARDS,
        without=("prometheus", "relevo-collect"),
    ) as opened:
        yield opened


@pytest.mark.parametrize("way", BALANCED)
async def test_what_a_restart_costs(scene: Scene, way: str) -> None:
    await scene.print_what_is_told(way, part=way)


async def restarts_of(lab: Lab, way: str) -> str:
    """Restart in every way, and scale out; return the numbers."""
    service: Json = {
        "cpus": 0.3,
        # Cheap requests: this is not about load.
        "environment": {"COST_MS": "0"},
        "stop_grace_period": "1s",
        "healthcheck": {"interval": "1s"},
    }
    example = Example(
        lab,
        EXAMPLES / way / "compose.yaml",
        name=way,
        patient="web",
        services={"web": service, "balancer": {}},
    )
    async with example:
        url = f"http://{await example.address('balancer')}:8080/"
        await lab.until_answers(url)
        plain = [await lost_by(lab, example, url, plainly) for _ in range(2)]
        in_place = await lost_by(lab, example, url, in_its_place)
        covered = await lost_by(lab, example, url, under_cover)
        seconds = await until_a_clone_serves(lab, example, url)

    said = (
        f"docker restart: {plain[0]}, {plain[1]}; in place: {in_place}; "
        f"under cover: {covered}; scale_first: the clone serves after {seconds:.1f} s"
    )
    assert covered.lost == 0, said
    # Two plain ones differ by as much: half a second of the engine's.
    half_a_second = CONNECTIONS * 10
    assert in_place.lost <= max(one.lost for one in plain) + half_a_second, said
    assert seconds < SERVES_WITHIN, said
    return said


async def lost_by(
    lab: Lab, example: Example, url: str, restart: Callable[[Lab, Example], Awaitable[None]]
) -> Sent:
    """Let wrk ask while something happens; tell what was lost."""
    async with Wrk(url) as wrk:
        await serves(lab, example, 20)
        await restart(lab, example)
        await serves(lab, example, 20)
        return await wrk.result()


async def serves(lab: Lab, example: Example, count: int) -> None:
    """Wait until the service itself has served so many more in its present life."""
    first: int | None = None

    async def look() -> bool:
        nonlocal first
        address = await address_of(example.patient.id)
        if not address:
            return False
        served = int((await lab.page(f"http://{address}:8000/served")).json()["served"])
        if first is None or served < first:
            first = served
        return served >= first + count

    await eventually(look, within=30, what=f"{example.patient.name} serves")


async def plainly(lab: Lab, example: Example) -> None:
    """As a person does it."""
    await docker("restart", example.patient.id)


async def in_its_place(lab: Lab, example: Example) -> None:
    """By Relevo, without a clone."""
    before = len(await example.patient.restarts())
    await lab.alarm.fire(example.patient, name=IN_PLACE)
    await restarted(example.patient, before + 1)
    await lab.alarm.calm(example.patient, name=IN_PLACE)
    story = await comes_to(lab, example.patient, "closed")
    assert [one["action"] for one in story["attempts"]] == ["restart"], story
    assert await example.clones() == []


async def under_cover(lab: Lab, example: Example) -> None:
    """By Relevo, a clone first; until that has left again."""
    before = len(await example.patient.restarts())
    await lab.alarm.fire(example.patient, name=COVERED)
    await restarted(example.patient, before + 1, within=60)
    await lab.alarm.calm(example.patient, name=COVERED)
    story = await comes_to(lab, example.patient, "closed")
    attempts = [(one["action"], one["reason"]) for one in story["attempts"]]
    assert [action for action, _ in attempts] == ["scale_out", "restart"], story
    assert attempts[0] == ("scale_out", "cover"), story
    assert story["outcome"] == "recovered", story

    async def gone() -> bool:
        return await example.clones() == []

    await eventually(gone, within=60, what=f"the cover of {example.patient.name} has left")

    async def stands() -> None:
        assert await example.patient.state() == "running"

    await always(stands, during=LAST_ANSWERS)


async def until_a_clone_serves(lab: Lab, example: Example, url: str) -> float:
    """Give notice; return after how many seconds another instance answers, through the balancer."""
    loop = asyncio.get_running_loop()
    noticed_at = loop.time()
    await lab.notify(example.patient, status="firing", starts_at=LoopClock().now(), alert=SCALED)
    source = await hostname_of(example.patient.id)

    async def look() -> bool:
        return bool((await lab.page(url)).json()["instance"] != source)

    await eventually(look, within=SERVES_WITHIN + 30, what="a clone answers")
    return loop.time() - noticed_at
