"""The engine itself is restarted, and all containers with it: what was planned is planned anew."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from app.adapters.clock import LoopClock
from tests.chaos.conftest import OpenHouse
from tests.chaos.guests import admit, seen
from tests.chaos.house import POLICY, House, Patient
from tests.chaos.second_engine import SecondEngine
from tests.chaos.starts import Starts
from tests.chaos.visits import Visit
from tests.parts import require
from tests.stack.containers import IMAGE, ensure_image
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]

#: Due while the daemon is away, and due once it is back.
SOON, LATE = "5s", "20s"


@pytest.fixture
async def second(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SecondEngine]:
    """A daemon of our own; from now on it is the one that everything here means."""
    require("docker")
    dockerd, unshare = shutil.which("dockerd"), shutil.which("unshare")
    if dockerd is None or unshare is None or os.geteuid() != 0:
        pytest.skip("a second engine needs dockerd, unshare and root")
    await ensure_image()
    async with SecondEngine(dockerd, unshare) as engine:
        await engine.load(IMAGE)
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield engine


async def story_of(visit: Visit, patient: Patient) -> dict[str, Any]:
    """The one story of a container."""
    (story,) = await visit.stories(patient)
    return story


async def test_a_daemon_that_restarts_has_everything_planned_anew(
    second: SecondEngine, open_house: OpenHouse, starts: Starts
) -> None:
    # The first one covers who names none. One failure would be one too many.
    policies = [
        {"name": name, "restart": {"delays": [delay], "max_failed": 1}}
        for name, delay in (("soon", SOON), ("late", LATE))
    ]
    house = await open_house(
        patients=0,
        stubborn=0,
        policy={**POLICY, "policies": policies},
        environment={"DOCKER_HOST": second.url},
    )
    always = ("--restart", "always")
    soon = await admit(house, f"{house.engine}-soon", *always)
    late = await admit(
        house, f"{house.engine}-late", *always, "--label", f"{house.engine}.policy=late"
    )
    visit = Visit(house, starts)
    alerts = {patient.name: house.pager.fire(house.labels(patient)) for patient in (soon, late)}
    began, due = {}, {}
    for patient in (soon, late):
        await visit.waits(patient)
        began[patient.id] = await seen(patient.id, "{{.State.StartedAt}}")
        story = await story_of(visit, patient)
        due[patient.name] = datetime.fromisoformat(story["next_action_at"])

    await second.stop()
    await is_past(due[soon.name], house)
    await second.start()
    for patient in (soon, late):
        await runs_again(patient, began[patient.id])

    # The daemon's memory begins with its start: what it tells is everything since.
    await planned_anew(visit, soon, not_before=due[soon.name])
    assert await restarts(second) == []
    decisions = (await story_of(visit, soon))["decisions"]
    assert "engine_down" in [one["reason"] for one in decisions]

    # A need that is still there has its wait from the beginning, and then its first restart.
    async def restarted() -> bool:
        return bool(await restarts(second))

    await eventually(restarted, within=30, what="what is still needed is done")
    house.pager.resolve(alerts[soon.name])
    (*theirs, ours) = (await story_of(visit, soon))["attempts"]
    assert ({one["trigger"] for one in theirs}, ours["trigger"]) == ({"foreign"}, "automatic")
    await planned_anew(visit, late, not_before=due[late.name])
    house.pager.resolve(alerts[late.name])
    for patient in (soon, late):
        await visit.ends(patient)
    assert await restarts(second) == [soon.id]


async def is_past(moment: datetime, house: House) -> None:
    """Wait until a step was due, with the engine away."""
    clock = LoopClock()

    async def look() -> bool:
        status = await house.controllers[0].get(house.http, "/api/v1/status")
        return not status["container_engine"]["ok"] and clock.now() > moment

    await eventually(look, within=40, what="a step was due while the engine was away")


async def runs_again(patient: Patient, began: str) -> None:
    """Wait until the daemon has started a container again."""

    async def look() -> bool:
        is_up, at = (await seen(patient.id, "{{.State.Running}} {{.State.StartedAt}}")).split()
        return is_up == "true" and at != began

    await eventually(look, within=30, what=f"the daemon starts {patient.name} again")


async def planned_anew(visit: Visit, patient: Patient, *, not_before: datetime) -> None:
    """Wait until a container has a plan that the old one has no part in, and no failure."""

    async def look() -> bool:
        story = await story_of(visit, patient)
        verdicts = [one["verdict"] for one in story["attempts"]]
        return story["state"] == "waiting" and bool(verdicts) and None not in verdicts

    await eventually(look, within=60, what=f"{patient.name} is planned for anew")
    story = await story_of(visit, patient)
    assert {one["trigger"] for one in story["attempts"]} <= {"foreign"}, story["attempts"]
    assert {one["reason"] for one in story["attempts"]} == {"restarted_meanwhile"}
    assert datetime.fromisoformat(story["next_action_at"]) > not_before
    targets = (await visit.house.controllers[0].get(visit.house.http, "/api/v1/targets"))["targets"]
    failures = {one["target"]: one["failures_in_window"] for one in targets}
    assert failures[story["target"]] == 0


async def restarts(engine: SecondEngine) -> list[str]:
    """Whom somebody has restarted through the API since the daemon was started, in order."""
    told = await engine.docker(
        *("events", "--since", "0", "--until", f"{LoopClock().now().timestamp():.3f}"),
        *("--filter", "event=restart", "--format", "{{.ID}}"),
    )
    return told.split()
