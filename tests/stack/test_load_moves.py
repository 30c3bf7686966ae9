"""
Load really moves: a service that costs CPU per request gets more of them than it can serve. The
real rule fires, restarts do not help, a clone takes its share, both are below the rule, the alert
ends; when fewer come the clone leaves, and nobody who asks twice notices.

Once with clients that pick among all addresses of the name, once through each balancer of
examples/, and once with its queue. All live side by side in one lab: they take the time of one.
"""

import math
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from aiodocker import Docker

from tests.parts import require
from tests.stack.answers import Json
from tests.stack.example import EXAMPLES, Counted, Example, hostname_of
from tests.stack.lab import NO_BOUNDS, REPOSITORY, Lab
from tests.stack.scene import Scene, side_by_side
from tests.stack.stories import newest
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.load,
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(540),
]

#: As written. Shorter waits than the shipped ones at this pace (3, 15, 30 s), since the demo shows
#: those; time for two workers to work off what has piled up before one of them; and a quiet time
#: that is over only after everything has been looked at.
POLICY: Json = {
    "name": "load",
    "restart": {"delays": ["2s"]},
    "scale_out": {"cooldown": "40s"},
    "scale_in": {"after": "30s", "every": "2s"},
}
#: The host has room, and nobody deploys: neither is the question here.
GUARDS: Json = {**NO_BOUNDS, "reserve": {"memory": "0%", "cpus": 0}, "deploy_hold": "0s"}
#: Alert, three restarts with their verdicts, the clone, its settling: 65 s on an idle machine.
RELIEVED_WITHIN = 240.0
#: The quiet time, and an engine that has much to do.
LEFT_WITHIN = 120.0
#: The rule's own threshold (deploy/prometheus/alert_rules.yml).
RULE = 0.8
#: Little of each, so that it is there also on a machine that is busy. A request costs 6 ms and some
#: overhead, which a slow machine has more of: this rate asks for about what one instance has, and
#: for 50 to 65% of two.
CPUS, COST_MS = 0.1, 6
RATE, LATER = 14, 6
#: No request is under way for longer than this (customer.py: two tries).
LAST_ANSWERS = 14

ALIAS, QUEUE = "alias", "queue-worker"
BALANCED = ("haproxy", "nginx", "caddy")
WAYS = (ALIAS, *BALANCED, QUEUE)
#: What each needs, in the words of deploy/airgap/images.sh.
IMAGES = {ALIAS: "python", **{way: f"examples/{way}" for way in (*BALANCED, QUEUE)}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """All ways at once. A way whose parts are missing is skipped, by its own test."""
    for part in ("docker", "docker-compose", "redis", "prometheus", "alertmanager", "busybox"):
        require(part)
    async with side_by_side(
        request, moves, images=IMAGES, policies=(POLICY,), guards=GUARDS
    ) as opened:
        yield opened


@pytest.mark.parametrize("way", WAYS)
async def test_load_moves(scene: Scene, way: str) -> None:
    await scene.print_what_is_told(way, part={ALIAS: "docker", QUEUE: "redis"}.get(way, way))


async def moves(lab: Lab, way: str) -> str:
    """Play one way; return its numbers."""
    return await (queue_moves(lab) if way == QUEUE else load_moves(lab, way))


def http_example(lab: Lab, way: str) -> Example:
    """A service with its customers, straight to it or through a balancer."""
    file = REPOSITORY / "deploy" / "demo" / "compose.yaml"
    url = "http://web:8000"
    if way != ALIAS:
        file, url = EXAMPLES / way / "compose.yaml", "http://balancer:8080"
    customers = {
        "image": "${PYTHON_IMAGE:-python:3.11-slim}",
        "command": [
            *("python3", "/customer.py", url, "--rate", str(RATE), "--later", str(LATER)),
        ],
        "volumes": [f"{REPOSITORY}/tests/stack/customer.py:/customer.py:ro"],
        "stop_grace_period": "1s",
    }
    services: dict[str, Json] = {
        "web": {
            "cpus": CPUS,
            "environment": {"COST_MS": str(COST_MS)},
            "stop_grace_period": "1s",
            "healthcheck": {"interval": "1s"},
        },
        "customers": customers,
    }
    if way != ALIAS:
        services["balancer"] = {}
    return Example(lab, file, name=way, patient="web", services=services)


async def load_moves(lab: Lab, way: str) -> str:
    """The whole story of one HTTP service; return the numbers."""
    async with http_example(lab, way) as example:
        patient = example.patient
        clone = await is_relieved(lab, example)
        began = len(await example.log("customers"))
        source_name, clone_name = await hostname_of(patient.id), await hostname_of(clone)

        async def shared() -> Counted | None:
            lines = (await example.log("customers"))[began:]
            return Counted(lines) if len(lines) >= 7 else None

        busy = await eventually(shared, within=30, what="the customers have counted")
        used = await both_below_the_rule(lab, example, clone)
        assert busy.answered.keys() == {source_name, clone_name}, str(busy)
        # A random half of some 100: a quarter is never an accident.
        assert 0.25 < busy.share(clone_name) < 0.75, str(busy)

        await example.signal("customers", "USR1")
        await leaves(lab, example)
        left = len(await example.log("customers"))

        async def all_told() -> list[str] | None:
            lines = await example.log("customers")
            return lines if len(lines) >= left + LAST_ANSWERS else None

        lines = await eventually(all_told, within=60, what="the last requests have ended")
        # From its relief on: under the whole load, while it ended, and while the clone left.
        told = Counted(lines[began:])
        assert (told.failed, told.shed) == (0, 0), str(told)
        assert Counted(lines[left + 2 :]).answered.keys() == {source_name}
        return (
            f"clone {busy.share(clone_name):.0%} of {busy.answered.total()} requests, "
            f"CPU {used[0]:.0%} and {used[1]:.0%}; until the clone was gone: {told}"
        )


async def is_relieved(lab: Lab, example: Example) -> str:
    """Wait for three restarts in vain, and a clone that helped; return the clone's id."""
    patient = example.patient

    async def relieved() -> Json | None:
        story = await newest(lab, patient)
        return story if story is not None and story["outcome"] == "relieved" else None

    what = f"{patient.name} is relieved"
    story = await eventually(relieved, within=RELIEVED_WITHIN, what=what)
    assert story["alerts"] == ["ContainerHighCPU"], story
    attempts = await lab.attempts(patient)
    did = [one["action"] for one in attempts]
    assert did == ["restart"] * 3 + ["scale_out"], attempts
    # One that seemed to help and did not has its verdict turned.
    assert {one["verdict"] for one in attempts[:3]} <= {"symptom_persists", "relapsed"}, attempts
    assert attempts[3]["verdict"] == "relieved", attempts
    assert len(await patient.restarts()) == 3
    (clone,) = await example.clones()
    return clone


async def both_below_the_rule(lab: Lab, example: Example, clone: str) -> tuple[float, float]:
    """Prometheus' word on the CPU of source and clone, Alertmanager's on their alerts."""
    both = (example.patient, await example.as_patient(clone))

    async def used(name: str) -> float:
        found = await lab.query(
            f'avg_over_time(relevo:container_cpu_utilisation:ratio_rate1m{{name="{name}"}}[8s])'
        )
        return float(found[0]["value"][1]) if found else math.nan

    async def look() -> tuple[float, float] | None:
        found = (await used(both[0].name), await used(both[1].name))
        # (NaN is below nothing.)
        return found if all(0.05 < one < RULE for one in found) else None

    found = await eventually(look, within=20, what=f"{both[0].name} and its clone are below 80%")
    for one in both:
        assert await lab.alerts(one) == []
    return found


async def leaves(lab: Lab, example: Example) -> None:
    """Wait until the clone is gone, and see that it left in good order."""

    async def gone() -> bool:
        return await example.clones() == []

    await eventually(gone, within=LEFT_WITHIN, what=f"the clone of {example.patient.name} left")

    async def ended() -> Json | None:
        for one in (await lab.get("/api/v1/activities"))["activities"]:
            ours = example.project in one["group"]
            if ours and one["kind"] == "scale_in" and one["status"] != "in_progress":
                return dict(one)
        return None

    activity = await eventually(ended, within=10, what="the scale-in is written down")
    assert activity["status"] == "successful", activity
    assert await lab.alerts(example.patient) == []


# ------------------------------------------------------------------------ the queue


async def queue_moves(lab: Lab) -> str:
    """The whole story of a queue's worker; return the numbers."""
    example = Example(
        lab,
        EXAMPLES / QUEUE / "compose.yaml",
        name="queue",
        patient="worker",
        services={
            "queue": {},
            "feeder": {"environment": {"RATE": "0"}},
            # A job whose worker was cut off from the queue goes back to it within the test.
            "worker": {"cpus": CPUS, "environment": {"PATIENCE": "8"}},
        },
    )
    async with example:
        # Restarted meanwhile it would be measured wrongly: an alert is there after ten seconds.
        await ordered(lab, example, "hold")
        await overload(example)
        await ordered(lab, example, "release")
        clone = await is_relieved(lab, example)
        names = await hostname_of(example.patient.id), await hostname_of(clone)
        before = await done(example)

        async def enough() -> dict[str, int] | None:
            now = await done(example)
            grown = {who: now.get(who, 0) - before.get(who, 0) for who in names}
            return grown if sum(grown.values()) >= 30 else None

        grown = await eventually(enough, within=60, what="both have worked")
        share = grown[names[1]] / sum(grown.values())
        assert 0.25 < share < 0.75, grown
        used = await both_below_the_rule(lab, example, clone)

        await ask_queue(example, "SET", "rate", "2")
        await leaves(lab, example)
        await ask_queue(example, "SET", "rate", "0")

        async def all_done() -> tuple[int, int] | None:
            made = int(await ask_queue(example, "GET", "made"))
            finished = sum((await done(example)).values())
            waiting = await ask_queue(example, "LLEN", "jobs")
            doing = await ask_queue(example, "KEYS", "doing:*")
            return (made, finished) if (waiting, doing) == ("0", "") else None

        made, finished = await eventually(all_done, within=60, what="no job is left")
        # Each at least once: those in the hand of a worker that was stopped may be done twice.
        assert made <= finished <= made + 5, (made, finished)
        return (
            f"clone {share:.0%} of {sum(grown.values())} jobs, CPU {used[0]:.0%} and "
            f"{used[1]:.0%}; {made} jobs, none lost, {finished - made} done twice"
        )


async def ordered(lab: Lab, example: Example, what: str) -> None:
    """Give an order, as soon as Relevo knows the worker."""

    async def taken() -> bool:
        return (await lab.order(example.patient, what, reason="its pace is measured")).is_success

    await eventually(taken, within=20, what=f"{what} is taken")


async def overload(example: Example) -> None:
    """
    Ask for a little more than one worker may do.

    What a job costs is measured in CPU time: by the clock, a worker that a busy machine kept from
    its share would look slow, and would have too little to do once it gets it.
    """
    await ask_queue(example, "SET", "rate", "150")

    async def flooded() -> int | None:
        finished = sum((await done(example)).values())
        return finished if finished >= 20 else None

    await eventually(flooded, within=30, what="the worker works")
    # (Not read inside of the container: that would be its CPU time, too.)
    async with Docker() as engine:
        first = await paid(engine, example)

        async def measured() -> float | None:
            last = await paid(engine, example)
            least, most = last.before - first.after, last.after - first.before
            # An engine that has much to do answers late: then nobody knows what was done when.
            return (least + most) / 2 / (last.cpu - first.cpu) if most <= 1.2 * least else None

        jobs_per_cpu_second = await eventually(measured, within=90, what="what a job costs")
    await ask_queue(example, "SET", "rate", str(round(jobs_per_cpu_second * CPUS * 1.1)))
    # What was only for measuring: taken out of the queue, and out of the books.
    dropped = (await ask_queue(example, "LPOP", "jobs", "100000")).split()
    await ask_queue(example, "DECRBY", "made", str(len(dropped)))


class Paid(NamedTuple):
    """CPU time of a worker until an instant, in seconds; jobs finished just before and after it."""

    before: int
    cpu: float
    after: int


async def paid(engine: Docker, example: Example) -> Paid:
    """Look at the worker's CPU time."""
    before = sum((await done(example)).values())
    (told,) = await engine.containers.container(example.patient.id).stats(stream=False)
    cpu = float(told["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
    return Paid(before, cpu, sum((await done(example)).values()))


async def done(example: Example) -> dict[str, int]:
    """Finished jobs of each worker."""
    lines = (await ask_queue(example, "HGETALL", "done")).split()
    return dict(zip(lines[::2], map(int, lines[1::2]), strict=True))


async def ask_queue(example: Example, *command: str) -> str:
    """Give the queue a command."""
    return await example.run_in("queue", "redis-cli", "--raw", *command)
