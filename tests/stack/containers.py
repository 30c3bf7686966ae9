"""
Containers that the tests make on the real engine, and what the engine says of them.

Through the docker command, not through Relevo's own adapter: the engine is the witness here.
Touched is only what carries the label of the one lab that made it.
"""

import asyncio
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

IMAGE = "relevo-busybox:1"
_HERE = Path(__file__).resolve().parent
_SCRIPT = _HERE / "patient.sh"
_MAKE_IMAGE = _HERE.parents[1] / "deploy" / "airgap" / "images.sh"


#: Labels of Compose that say which container of a project one is.
_PLACE = ("project", "service", "container-number")


class DockerFailed(AssertionError):
    """The docker command did not do what the test needs."""


async def docker(*argv: str) -> str:
    """Run a docker command; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        "docker", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise DockerFailed(f"docker {' '.join(argv[:3])}: {err.decode().strip()}")
    return out.decode().strip()


async def ensure_image() -> None:
    """Make the image of the patients where it is missing (two seconds, once)."""
    process = await asyncio.create_subprocess_exec(
        str(_MAKE_IMAGE), "workload", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise DockerFailed(f"{_MAKE_IMAGE.name} workload: {out.decode().strip()}")


def moment(text: str) -> datetime:
    """Read the engine's times: RFC 3339 with up to nine digits, of which Python takes six."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")


#: Options of `docker run`: probed each second, and believed the second time.
HEALTH_CHECK = (
    *("--health-cmd", "test -e /tmp/healthy"),
    *("--health-interval", "1s", "--health-timeout", "2s", "--health-retries", "2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """What a container does in its first, second, … life; the last value repeats."""

    #: CPU it uses, as a share of its limit; above 1 is all that it can get.
    cpu: Sequence[float] = (0,)
    #: Seconds without any use at the beginning of a life.
    quiet: Sequence[float] = (0,)
    #: Memory it grows to, as a share of its limit.
    memory: Sequence[float] = (0,)
    #: Status that it ends with after its `quiet`; "oom": for want of memory; None: it lives on.
    exits: Sequence[int | Literal["oom"] | None] = (None,)
    #: Seconds until its health check (where it has one: `HEALTH_CHECK`) passes; None: never.
    healthy: Sequence[float | None] = (0,)
    #: Seconds that it goes on for after it was told to end.
    stubborn: float = 0
    #: Its limits: cores, and MiB. Small, so that it gets what it asks for on a machine that is busy
    #: with several labs: all containers together weigh no more than one process of the host.
    cpus: float = 0.08
    mib: int = 64

    @property
    def environment(self) -> dict[str, str]:
        """As patient.sh wants it."""
        return {
            "MILLICORES": " ".join(str(round(share * self.cpus * 1000)) for share in self.cpu),
            "QUIET": " ".join(f"{seconds:g}" for seconds in self.quiet),
            "MEGABYTES": " ".join(str(round(share * self.mib)) for share in self.memory),
            "EXIT": " ".join("-" if status is None else str(status) for status in self.exits),
            "HEALTHY": " ".join("-" if after is None else f"{after:g}" for after in self.healthy),
            "STUBBORN": f"{self.stubborn:g}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One container of a test."""

    name: str
    id: str
    created: datetime
    #: Where the lab takes down the engine's restart events.
    events: Path
    #: Its place in a compose project, by its labels.
    place: str | None = None

    @property
    def slot(self) -> str:
        """By what name Relevo knows it."""
        return self.place or self.name

    async def inspect(self) -> dict[str, Any]:
        """What the engine knows of it."""
        found: dict[str, Any] = json.loads(await docker("inspect", self.id))[0]
        return found

    async def running(self) -> bool:
        """Whether it runs."""
        return bool((await self.inspect())["State"]["Running"])

    async def restarts(self) -> list[datetime]:
        """When it was restarted through the engine's API: inspect's RestartCount is blind to it."""
        lines = self.events.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [
            datetime.fromtimestamp(0, UTC) + timedelta(microseconds=event["timeNano"] // 1000)
            for event in events
            if event["id"] == self.id
        ]

    async def state(self) -> str:
        """What it is doing, in Docker's words."""
        return str((await self.inspect())["State"]["Status"])

    async def do(self, *command: str) -> None:
        """Have a person's docker command carried out on it: ``do("stop")``."""
        await docker(*command, self.id)

    async def fall_quiet(self) -> None:
        """End its use of CPU from outside, without a restart."""
        await docker("exec", self.id, "touch", "/tmp/quiet")


class Ward:
    """All containers of one lab."""

    def __init__(self, *, label_prefix: str, events: Path) -> None:
        self._prefix = label_prefix
        #: Where the engine's restart events are taken down.
        self.events = events
        self._mine = f"{label_prefix}.lab"
        self._images: list[str] = []

    @property
    def events_argv(self) -> list[str]:
        """
        The command that takes down every restart here, from its start on.

        Asking afterwards (``--since``) would not do: the engine remembers its last 256 events, and
        each health check of anybody's container makes three.
        """
        return [
            *("docker", "events", "--format", "{{json .}}"),
            *("--filter", "event=restart", "--filter", f"label={self._mine}"),
        ]

    async def admit(
        self,
        name: str,
        illness: Illness,
        *,
        labels: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        image: str = IMAGE,
    ) -> Patient:
        """
        Start a container that is opted in and falls ill as told.

        :param options: more of them for `docker run`
        """
        full_name = f"{self._prefix}-{name}"
        labels = {
            self._mine: "1",
            f"{self._prefix}.enable": "true",
            **(labels or {}),
        }
        container_id = await docker(
            *("run", "--detach", "--name", full_name, "--stop-timeout", "1", *options),
            *("--cpus", f"{illness.cpus:g}", "--memory", f"{illness.mib}m"),
            *(part for key, value in labels.items() for part in ("--label", f"{key}={value}")),
            *(
                part
                for key, value in illness.environment.items()
                for part in ("--env", f"{key}={value}")
            ),
            *("--volume", f"{_SCRIPT}:/patient.sh:ro", image, "sh", "/patient.sh"),
        )
        created = await docker("inspect", "--format", "{{.Created}}", container_id)
        place = [labels.get(f"com.docker.compose.{part}") for part in _PLACE]
        return Patient(
            name=full_name,
            id=container_id,
            created=moment(created),
            events=self.events,
            place="-".join(part for part in place if part) if all(place) else None,
        )

    async def readmit(
        self,
        patient: Patient,
        illness: Illness,
        *,
        labels: Mapping[str, str] | None = None,
        image: str = IMAGE,
    ) -> Patient:
        """Remove a container and make a new one of its name, as a deploy does."""
        await docker("rm", "--force", patient.id)
        name = patient.name.removeprefix(f"{self._prefix}-")
        return await self.admit(name, illness, labels=labels, image=image)

    async def image(self, name: str, *, changed: bool = False) -> str:
        """
        Have the patients' image under another name, for as long as the lab runs.

        :param changed: as a new version, with an id of its own
        """
        tag = f"{name}:{self._prefix}"
        if changed:
            made = await docker("create", "--label", f"{self._mine}=1", IMAGE, "true")
            await docker("commit", "--change", f"LABEL {self._mine}=1", made, tag)
        else:
            await docker("tag", IMAGE, tag)
        self._images.append(tag)
        return tag

    async def clones(self) -> list[str]:
        """Names of the containers that Relevo made here."""
        listed = await docker(
            *("ps", "--all", "--format", "{{.Names}}"),
            *("--filter", f"label={self._prefix}.clone-of"),
        )
        return listed.split()

    async def discharge(self) -> None:
        """Remove them all, and the clones (which carry their source's labels)."""
        listed = await docker("ps", "--all", "--quiet", "--filter", f"label={self._mine}")
        if listed:
            await docker("rm", "--force", "--volumes", *listed.split())
        for tag in self._images:
            await docker("rmi", tag)
