"""Clones in the hands of the real Docker Compose, the old one and the new one."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.container import Container
from app.policies.spec import ScaleOutRules
from app.ports import ContainerEngine
from tests.engine_lab import ANOTHER_ATTEMPT, ATTEMPT, LABEL, EngineLab
from tests.parts import require

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

AT = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
PLACE = "com.docker.compose"


@dataclass
class Project:
    """One service in a project of its own, and the tool that drives it."""

    tool: str
    lab: EngineLab
    folder: Path
    #: In the service's environment: another one is another configuration.
    stage: str = "one"
    _file: Path = field(init=False)

    def __post_init__(self) -> None:
        marks = {LABEL: self.lab.mark}
        service = {
            "image": self.lab.image,
            "command": ["sleep", "600"],
            # Passes signals on: whoever stops it need not wait for the grace.
            "init": True,
            "labels": marks,
            "environment": ["STAGE"],
            "networks": {"default": {"aliases": ["shop"]}},
        }
        document = {
            # The old tool refuses `init` in a file that does not say what it is written in.
            "version": "3.8",
            "services": {"web": service},
            "networks": {"default": {"labels": marks}},
        }
        self._file = self.folder / "compose.yaml"
        self._file.write_text(json.dumps(document), encoding="utf-8")

    def compose(self, *argv: str) -> str:
        """Run the tool; return what it printed."""
        done = subprocess.run(
            [self.tool, "--project-name", self.lab.mark, "--file", str(self._file), *argv],
            env={**os.environ, "STAGE": self.stage},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def up(self, *argv: str) -> None:
        """Bring the project to what its file says."""
        self.compose("up", "--detach", *argv)

    def instances(self) -> dict[str, str]:
        """Container number -> id, running or not."""
        seen = [self.lab.inspect(one) for one in self.lab.ids()]
        return {one["Config"]["Labels"][f"{PLACE}.container-number"]: one["Id"] for one in seen}

    def networks(self) -> str:
        """What there is of its networks."""
        return self.lab.do("network", "ls", "-q", "-f", f"label={LABEL}={self.lab.mark}")


@pytest.fixture(params=["docker-compose", "docker-compose-v2"])
def project(request: pytest.FixtureRequest, lab: EngineLab, tmp_path: Path) -> Iterator[Project]:
    """A project that is up, by either tool."""
    one = Project(require(request.param), lab, tmp_path)
    try:
        one.up()
        yield one
    finally:
        one.compose("down", "--timeout", "1")


async def cloned(engine: ContainerEngine, source_id: str, *, attempt: str = ATTEMPT) -> Container:
    result = await engine.clone(source_id, attempt_id=attempt, rules=ScaleOutRules(), at=AT)
    assert result.clone is not None
    return result.clone


async def test_up_takes_the_clone_away_and_leaves_its_source_alone(
    engine: ContainerEngine, lab: EngineLab, project: Project
) -> None:
    source_id = project.instances()["1"]
    before = lab.inspect(source_id)
    one = await cloned(engine, source_id)

    assert one.name == before["Name"].removeprefix("/").removesuffix("1") + "2"
    assert one.labels[f"{PLACE}.config-hash"] == before["Config"]["Labels"][f"{PLACE}.config-hash"]
    listed = await asyncio.to_thread(project.compose, "ps", "--quiet", "web")
    assert set(listed.split()) == {source_id, one.id}

    await asyncio.to_thread(project.up)

    assert project.instances() == {"1": source_id}
    assert lab.inspect(source_id)["State"]["StartedAt"] == before["State"]["StartedAt"]


async def test_a_deploy_leaves_one_instance_that_is_no_clone(
    engine: ContainerEngine, lab: EngineLab, project: Project
) -> None:
    """Its number may be another one: the new tool makes whichever anew that it looks at last."""
    source_id = project.instances()["1"]
    clones = [
        await cloned(engine, source_id),
        await cloned(engine, source_id, attempt=ANOTHER_ATTEMPT),
    ]
    project.stage = "two"

    await asyncio.to_thread(project.up)

    (container_id,) = project.instances().values()
    assert container_id not in {source_id, *(one.id for one in clones)}
    config = lab.inspect(container_id)["Config"]
    assert "STAGE=two" in config["Env"]
    assert [name for name in config["Labels"] if name.startswith("relevo.")] == []


async def test_scaled_by_hand_the_clone_counts_and_down_takes_everything(
    engine: ContainerEngine, project: Project
) -> None:
    source_id = project.instances()["1"]
    one = await cloned(engine, source_id)

    await asyncio.to_thread(project.up, "--scale", "web=2")
    assert project.instances() == {"1": source_id, "2": one.id}
    await asyncio.to_thread(project.up, "--scale", "web=3")
    more = project.instances()
    assert set(more) == {"1", "2", "3"}
    assert more["2"] == one.id
    await asyncio.to_thread(project.up, "--scale", "web=1")
    assert project.instances() == {"1": source_id}

    await cloned(engine, source_id, attempt=ANOTHER_ATTEMPT)
    await asyncio.to_thread(project.compose, "down", "--timeout", "1")
    assert project.instances() == {}
    assert project.networks() == ""
