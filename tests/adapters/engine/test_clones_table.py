"""
Every kind of container at the real engine: its clone equals it, or is refused by name.

All of the table is made side by side first, which takes a tenth of the time; each test then looks
at what became of its row.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiodocker import Docker

from app.adapters.engine import queries
from app.adapters.engine.connection import EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.domain.fidelity import FidelityReport
from app.errors import CloneRefused
from app.policies.clone_config import Taken
from app.policies.clone_source import CloneSource, is_anonymous
from app.policies.cloning import plan_clone
from app.policies.spec import ScaleOutRules
from tests.adapters.engine.clone_cases import CASES, FRESH, Case
from tests.adapters.engine.clone_equality import (
    differences,
    has,
    mount_at,
    told_otherwise,
    unreported,
)
from tests.engine_lab import ATTEMPT, SOCKET, EngineLab, busybox_image, engine_lab, free_ports

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
#: So many at the same time; more gains nothing on two cores.
_AT_ONCE = 6
#: Who a clone is, always; and of a Compose service also its number, in its name.
_WHO = frozenset({"Name", "Config.Image", "Config.Labels", "Config.Hostname"})
_SEEN = ("State", "NetworkSettings", "HostConfig", "Config", "Mounts", "RestartCount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Became:
    """What became of one row of the table."""

    source: Mapping[str, Any]
    source_afterwards: Mapping[str, Any]
    report: FidelityReport
    #: None where it was refused.
    clone: Mapping[str, Any] | None
    places: Mapping[str, str]


class Corner:
    """A lab in which every row of the table can be made."""

    def __init__(self, lab: EngineLab, folder: str, cases: int) -> None:
        self.lab = lab
        volume = lab.volume("data")
        front = lab.network("front")
        ipc_and_volume = ("--ipc", "shareable", "-v", f"{volume}:/lent")
        self.places = {
            "front": front,
            "front_id": lab.do("network", "inspect", "-f", "{{.Id}}", front),
            "back": lab.network("back"),
            "aux": lab.network("aux"),
            "fixed": lab.network("fixed", "--subnet", "10.213.78.0/24"),
            "volume": volume,
            "folder": folder,
            "other": lab.run("--network", front, *ipc_and_volume, name="other"),
            "old": lab.run(name="old"),
        }
        first = free_ports(cases)
        self._ports = itertools.count(first)

    async def become(self, case: Case, engine: DockerEngine, client: Docker) -> Became:
        """Make a row's container, and let it be cloned."""
        own = self.lab.name(case.name)
        places = {**self.places, "port": str(next(self._ports)), "own": own}
        source_id = await self._source(case, places)
        places["id"] = source_id
        for command in case.then:
            await asyncio.to_thread(self.lab.do, *_filled(command, places))
        before = await _inspect(client, source_id)
        report, clone_id = await self._clone(case, source_id, engine, client)
        became = Became(
            source=before,
            source_afterwards=await _inspect(client, source_id),
            report=report,
            clone=None if clone_id is None else await _inspect(client, clone_id),
            places=places,
        )
        # The lab does it too, one client process for each.
        for one in filter(None, (clone_id, source_id)):
            await client.containers.container(one).delete(force=True, v=True)
        return became

    async def _clone(
        self, case: Case, source_id: str, engine: DockerEngine, client: Docker
    ) -> tuple[FidelityReport, str | None]:
        rules = replace(ScaleOutRules(), **case.rules)
        attempt_id = f"{ATTEMPT}-{case.name}"
        if not case.starts:
            plan = plan_clone(
                await _looked_at(source_id),
                taken=Taken(),
                rules=rules,
                label_prefix="relevo",
                attempt_id=attempt_id,
                at=AT,
            )
            made = await client.containers.create(dict(plan.body), name=plan.name)
            return plan.report, made.id
        try:
            result = await engine.clone(source_id, attempt_id=attempt_id, rules=rules, at=AT)
        except CloneRefused:
            result = await engine.clone(
                source_id, attempt_id=attempt_id, rules=rules, at=AT, dry_run=True
            )
        return result.report, None if result.clone is None else result.clone.id

    async def _source(self, case: Case, places: Mapping[str, str]) -> str:
        image = await asyncio.to_thread(busybox_image, self.lab.docker, changes=case.image)
        lab = replace(self.lab, image=image)
        if case.body is None:
            make = lab.run if case.runs else lab.create
            return await asyncio.to_thread(
                make, *_filled(case.options, places), command=case.command, name=case.name
            )
        source_id = await lab.make(case.name, _deep(case.body, places))
        if case.runs:
            await asyncio.to_thread(lab.do, "start", source_id)
        return source_id


async def _looked_at(source_id: str) -> CloneSource:
    connection = EngineConnection(SOCKET)
    try:
        return await queries.clone_source(connection, source_id)
    finally:
        await connection.close()


def _filled(words: tuple[str, ...], places: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_deep(word, places) for word in words)


def _deep(value: Any, places: Mapping[str, str]) -> Any:
    """Fill in what the lab has."""
    if isinstance(value, Mapping):
        return {_deep(key, places): _deep(one, places) for key, one in value.items()}
    if isinstance(value, list):
        return [_deep(one, places) for one in value]
    if isinstance(value, str):
        for name, what in places.items():
            value = value.replace(f"{{{name}}}", what)
    return value


async def _inspect(client: Docker, container_id: str) -> dict[str, Any]:
    return dict(await client._query_json(f"containers/{container_id}/json"))


async def _all(corner: Corner, cases: list[Case]) -> dict[str, Became | BaseException]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> Became:
        async with slots:
            return await corner.become(case, engine, client)

    async with DockerEngine(SOCKET) as engine, Docker(url=SOCKET) as client:
        found = await asyncio.gather(*map(one, cases), return_exceptions=True)
    return {case.name: became for case, became in zip(cases, found, strict=True)}


@pytest.fixture(scope="module")
def table(image: str, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Any]]:
    """What became of every row that is asked for in this run."""
    names = {item.name for item in request.session.items if item.path == request.path}
    cases = [case for case in CASES if any(f"[{case.name}]" in name for name in names)]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-lab-"))
        lab = stack.enter_context(engine_lab(image))
        yield asyncio.run(_all(Corner(lab, folder, len(cases)), cases))


@pytest.fixture
def became(table: Mapping[str, Any], case: Case) -> Became:
    """What became of one row."""
    found = table[case.name]
    if isinstance(found, BaseException):
        raise found
    assert isinstance(found, Became)
    return found


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_its_clone_equals_it_or_is_refused_by_name(case: Case, became: Became) -> None:
    reasons = {str(item.reason) for item in became.report.refusals}
    assert reasons == case.refused
    if case.refused:
        assert became.clone is None
        return

    assert became.clone is not None
    assert became.clone["State"]["Running"] is case.starts
    assert unreported(became.source, became.clone, became.report) == {}
    # And the other way round: nothing is called different that need not be.
    told = told_otherwise(became.report) - _WHO
    expected = _deep(case.differs, became.places)
    assert told == expected.keys()
    found = differences(became.source, became.clone)
    # Its marks aside they are all there, though the report calls them changed.
    assert "Config.Labels" not in found
    for field, instead in expected.items():
        assert any(one.startswith(field) for one in found)
        if instead == FRESH:
            theirs, its = (
                mount_at(one, field.removeprefix("Mounts."))
                for one in (became.source, became.clone)
            )
            assert is_anonymous(its["Name"])
            assert its["Name"] != theirs["Name"]
            assert its["RW"] == theirs["RW"]
        else:
            assert has(became.clone, field) == (instead or None)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_source_is_untouched(case: Case, became: Became) -> None:
    assert _as_it_was(became.source_afterwards) == _as_it_was(became.source)


def _as_it_was(seen: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: seen[key] for key in _SEEN}
    # Its health check goes on meanwhile, and the engine tells mounts and links in any order.
    kept["State"] = {key: one for key, one in seen["State"].items() if key != "Health"}
    kept["Mounts"] = sorted(seen["Mounts"], key=lambda mount: str(mount["Destination"]))
    links = sorted(seen["HostConfig"]["Links"] or ())
    kept["HostConfig"] = {**seen["HostConfig"], "Links": links}
    return kept


def test_the_table_is_long_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40
