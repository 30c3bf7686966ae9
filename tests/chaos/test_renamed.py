"""Containers that somebody renames while Relevo is about to restart them, on the real engine."""

import subprocess

import pytest

from tests.chaos.conftest import OpenHouse
from tests.chaos.engine_proxy import Phase
from tests.chaos.guests import admit
from tests.chaos.house import WAIT_S, House, Patient
from tests.chaos.starts import Starts
from tests.chaos.visits import LONG_DUE, Visit
from tests.parts import require
from tests.stack.containers import docker
from tests.stack.wait import eventually, side_by_side

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]


async def test_who_it_is_is_told_by_labels_and_id(open_house: OpenHouse, starts: Starts) -> None:
    await side_by_side(
        by_its_labels(open_house, starts),
        by_its_name(open_house, starts),
        by_its_id(open_house, starts),
        by_nobody(open_house, starts),
    )


def composed(house: House) -> tuple[str, ...]:
    """Options that make a container the first one of a compose service."""
    labels = {"project": house.engine, "service": "web", "container-number": "1"}
    return tuple(
        part
        for key, value in labels.items()
        for part in ("--label", f"com.docker.compose.{key}={value}")
    )


async def waiting(
    open_house: OpenHouse, starts: Starts, *, is_composed: bool
) -> tuple[Visit, Patient]:
    """Have a container wait for its restart; Compose calls it by its place."""
    house = await open_house(patients=0, stubborn=0)
    options = composed(house) if is_composed else ()
    patient = await admit(house, f"{house.engine}-web-1", *options)
    visit = Visit(house, starts)
    house.pager.fire(house.labels(patient))
    await visit.waits(patient)
    return visit, patient


async def by_its_labels(open_house: OpenHouse, starts: Starts) -> None:
    """Its place in its project is what it was: the story goes on, under the new name."""
    visit, patient = await waiting(open_house, starts, is_composed=True)
    await docker("rename", patient.id, f"{patient.name}-other")

    await visit.restarted(patient)

    (story,) = await visit.stories(patient)
    assert story["container"] == f"{patient.name}-other"
    assert [one["container_id"] for one in story["attempts"]] == [patient.id]
    await visit.is_left_alone(patient, 1, during=WAIT_S)


async def by_its_name(open_house: OpenHouse, starts: Starts) -> None:
    """Without such labels its name was all that it was known by: who that is now is nobody."""
    visit, patient = await waiting(open_house, starts, is_composed=False)
    await docker("rename", patient.id, f"{patient.name}-other")

    await visit.is_left_alone(patient, 0, during=LONG_DUE)

    (story,) = await visit.stories(patient)
    assert story["attempts"] == []
    assert story["reason"] == "no_such_target"


async def by_its_id(open_house: OpenHouse, starts: Starts) -> None:
    """Renamed after the last look, with the request on its way: that one names no name."""
    visit, patient = await waiting(open_house, starts, is_composed=True)
    proxy = visit.house.controllers[0].proxy

    def rename() -> bool:
        # At once: nothing else of this process may run before the request goes on.
        argv = [require("docker"), "rename", patient.id, f"{patient.name}-other"]
        subprocess.run(argv, check=True, timeout=20)
        return True

    proxy.trap(Phase.BEFORE, rename)

    await visit.restarted(patient)

    (write,) = proxy.writes
    assert write.container_id == patient.id

    async def is_told() -> bool:
        (story,) = await visit.stories(patient)
        return story["attempts"][0]["error"] is None and bool(story["attempts"][0]["acted_at"])

    await eventually(is_told, within=10, what="the restart is known to have been made")


async def by_nobody(open_house: OpenHouse, starts: Starts) -> None:
    """Another one is given its old name: two claim one place, and neither is touched."""
    visit, patient = await waiting(open_house, starts, is_composed=True)
    await docker("rename", patient.id, f"{patient.name}-old")
    newcomer = await admit(visit.house, patient.name)

    await visit.is_left_alone(patient, 0, during=LONG_DUE)

    assert visit.starts(newcomer) == 0
    (story,) = await visit.stories(patient)
    assert (story["attempts"], story["reason"]) == ([], "ambiguous_target")
