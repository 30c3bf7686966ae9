"""What Compose itself makes of a clone: an instance of the service, and one too many."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.engine.docker import DockerEngine
from app.policies.spec import ScaleOutRules
from tests.engine_lab import EngineLab
from tests.parts import require

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A service of one container, kept by the real tool."""

    name: str
    file: Path
    lab: EngineLab

    def compose(self, *command: str) -> None:
        """Run a command of the tool; its complaint is the error's message."""
        argv = [require("docker-compose"), "-p", self.name, "-f", str(self.file), *command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def write(self, **environment: str) -> None:
        """Say what the service is to be."""
        web = {
            "image": self.lab.image,
            "command": ["sleep", "600"],
            "environment": environment,
            "stop_grace_period": "0s",
        }
        self.file.write_text(json.dumps({"version": "3", "services": {"web": web}}))

    def containers(self) -> dict[str, str]:
        """Return the ids of the project's containers by their numbers."""
        label = "com.docker.compose"
        told = self.lab.do(
            *("ps", "-a", "--no-trunc", "--filter", f"label={label}.project={self.name}"),
            *("--format", f'{{{{.Label "{label}.container-number"}}}} {{{{.ID}}}}'),
        )
        return dict(line.split() for line in told.splitlines())


@pytest.fixture
def project(lab: EngineLab, tmp_path: Path) -> Iterator[Project]:
    """A project that is up."""
    made = Project(name=f"relevolab{secrets.token_hex(4)}", file=tmp_path / "c.json", lab=lab)
    made.write()
    try:
        made.compose("up", "-d")
        yield made
    finally:
        made.compose("down", "-t", "0")
        if left := made.containers():
            lab.do("rm", "-f", *left.values())


async def with_a_clone(project: Project, engine: DockerEngine) -> tuple[str, str]:
    (source_id,) = project.containers().values()
    result = await engine.clone(source_id, attempt_id="01J", rules=ScaleOutRules(), at=AT)
    assert result.clone is not None
    assert project.containers() == {"1": source_id, "2": result.clone.id}
    return source_id, result.clone.id


async def test_up_takes_the_clone_away_and_leaves_the_source(
    project: Project, engine: DockerEngine
) -> None:
    source_id, _ = await with_a_clone(project, engine)

    project.compose("up", "-d")

    assert project.containers() == {"1": source_id}


async def test_up_with_the_number_that_there_is_keeps_the_clone_and_down_takes_it_along(
    project: Project, engine: DockerEngine
) -> None:
    source_id, clone_id = await with_a_clone(project, engine)

    project.compose("up", "-d", "--scale", "web=2")
    assert project.containers() == {"1": source_id, "2": clone_id}

    project.compose("down", "-t", "0")
    assert project.containers() == {}


async def test_a_deploy_leaves_no_clone_of_the_version_before(
    project: Project, engine: DockerEngine
) -> None:
    before = {*await with_a_clone(project, engine)}
    project.write(VERSION="2")

    project.compose("up", "-d")

    after = project.containers()
    assert len(after) == 1
    assert before.isdisjoint(after.values())
