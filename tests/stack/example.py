"""
One folder of examples/ (or the demo's shop) as a project of a lab's own.

What runs is the shipped compose.yaml. A second file says only what makes it a test: the lab's
labels, smaller limits, and customers.
"""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.parts import require
from tests.stack.answers import Json
from tests.stack.containers import Patient, docker, moment
from tests.stack.lab import REPOSITORY, Lab
from tests.stack.program import free_port

EXAMPLES = REPOSITORY / "examples"
_IMAGES = REPOSITORY / "deploy" / "airgap" / "images.sh"
_COMPOSE = "com.docker.compose"


async def make_images(what: str) -> str:
    """
    Have images, as images.sh calls them: pulled, or made of Debian's programs.

    :return: why they cannot be had; empty: they are there
    """
    process = await asyncio.create_subprocess_exec(
        *(str(_IMAGES), what), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode().strip().rpartition("\n")[2] if process.returncode != 0 else ""


class Example:
    """One project: up, looked at, down."""

    def __init__(
        self, lab: Lab, file: Path, *, name: str, patient: str, services: Mapping[str, Json]
    ) -> None:
        """
        Prepare; nothing runs yet.

        :param patient: the service that is opted in
        :param services: what the lab adds to each service, or those that it adds
        """
        self.project = f"{lab.engine}-{name}"
        self._lab = lab
        self._service = patient
        # Not the real label: another Relevo's patients must not become ours, nor ours its own.
        mine = {f"{lab.engine}.lab": "1"}
        sick = {**mine, "relevo.enable": "false", f"{lab.engine}.enable": "true"}
        # Only what is shipped so: an example must do without help.
        if 'relevo.stateless: "true"' in file.read_text(encoding="utf-8"):
            sick[f"{lab.engine}.stateless"] = "true"
        more = {
            service: {**options, "labels": sick if service == patient else mine}
            for service, options in services.items()
        }
        self._more = lab.home / f"{name}.json"
        self._more.write_text(json.dumps({"services": more}), encoding="utf-8")
        self._argv = [
            *(require("docker-compose"), "--project-name", self.project),
            *("--file", str(file), "--file", str(self._more)),
        ]
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")},
            "RELEVO_LABEL_PREFIX": lab.engine,
            "EXAMPLE_PORT": str(free_port()),
        }
        self.patient: Patient

    async def _compose(self, *argv: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(*self._argv, *argv),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()

    async def __aenter__(self) -> Self:
        try:
            await self._compose("up", "--detach")
            self.patient = await self.as_patient(await self.one(self._service))
        except BaseException:
            await self._down()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._down()

    async def _down(self) -> None:
        # Clones are the service's containers too, by their labels.
        left = await self._ids(f"{_COMPOSE}.project={self.project}")
        if left:
            await docker("rm", "--force", "--volumes", *left)
        await self._compose("down", "--volumes", "--remove-orphans", "--timeout", "1")

    async def _ids(self, *labels: str) -> list[str]:
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        return (await docker("ps", "--all", "--quiet", "--no-trunc", *filters)).split()

    async def one(self, service: str) -> str:
        """The id of the only container of a service."""
        (found,) = await self._ids(
            f"{_COMPOSE}.project={self.project}", f"{_COMPOSE}.service={service}"
        )
        return found

    async def as_patient(self, container: str) -> Patient:
        """Look at a container of the opted-in service."""
        seen = await inspected(container)
        number = seen["Config"]["Labels"][f"{_COMPOSE}.container-number"]
        return Patient(
            name=str(seen["Name"]).lstrip("/"),
            id=container,
            created=moment(seen["Created"]),
            events=self._lab.ward.events,
            place=f"{self.project}-{self._service}-{number}",
        )

    async def clones(self) -> list[str]:
        """The ids of the patient's clones, running or not."""
        return await self._ids(f"{_COMPOSE}.project={self.project}", f"{self._lab.engine}.clone-of")

    async def address(self, service: str) -> str:
        """Where the only container of a service is, in the project's network."""
        return await address_of(await self.one(service))

    async def signal(self, service: str, name: str) -> None:
        """Send a signal to process 1 of a service."""
        await docker("kill", "--signal", name, await self.one(service))

    async def run_in(self, service: str, *command: str) -> str:
        """Run a command in the only container of a service."""
        return await docker("exec", await self.one(service), *command)

    async def log(self, service: str) -> list[str]:
        """All lines that a service has printed."""
        return (await docker("logs", await self.one(service))).splitlines()


async def inspected(container: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    found: dict[str, Any] = json.loads(await docker("inspect", container))[0]
    return found


async def address_of(container: str) -> str:
    """Where a container is, in its only network; empty while it does not run."""
    networks = (await inspected(container))["NetworkSettings"]["Networks"]
    (network,) = networks.values()
    return str(network["IPAddress"])


async def hostname_of(container: str) -> str:
    """What a container calls itself."""
    return str((await inspected(container))["Config"]["Hostname"])


class Counted:
    """What customers have counted in some seconds."""

    def __init__(self, lines: list[str]) -> None:
        seconds = [json.loads(line) for line in lines]
        self.answered: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        for second in seconds:
            self.answered.update(second["answered"])
            self.why.update(second["why"])
        self.retried, self.failed, self.shed = (
            sum(int(second[what]) for second in seconds) for what in ("retried", "failed", "shed")
        )

    def share(self, instance: str) -> float:
        """Which part of the answers came from an instance."""
        return self.answered[instance] / max(self.answered.total(), 1)

    def __str__(self) -> str:
        return (
            f"{self.answered.total()} answered, {self.retried} of them at the second try, "
            f"{self.failed} failed, {self.shed} shed {dict(self.why) or ''}".strip()
        )
