"""The lab of the profiles: containers that live as they are told, and guards that let us act."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from app.adapters.clock import LoopClock
from tests.stack.answers import Json
from tests.stack.containers import IMAGE, Patient, Ward, docker
from tests.stack.lab import Lab
from tests.stack.profiles import Health, Life, Profile

_SCRIPT = Path(__file__).resolve().parent / "profile.sh"

#: Guards are not what is measured here: many containers are ill at once, and all must be treated.
GUARDS: Final[Json] = {
    "concurrent": 20,
    "burst": 500,
    "per_hour": 100_000,
    "brake": {"targets": 1000},
}
#: One answer of the controller serves all visits for this long.
_NEWS_EVERY = 0.3


class ProfileWard(Ward):
    """Admits containers that run profile.sh."""

    async def admit_profile(
        self, name: str, profile: Profile, *, lives: tuple[Life, ...] | None = None
    ) -> Patient:
        """
        Start a container of a profile.

        :param lives: instead of those of the profile
        """
        full_name = f"{self._prefix}-{name}"
        limits = profile.limits
        environment = {
            "LIVES": " / ".join(" ".join(life) for life in lives or profile.lives),
            "LIMIT": str(limits.millicores(1)),
            "STUBBORN": str(int(profile.stubborn)),
        }
        labels = {self._mine: "1", f"{self._prefix}.enable": "true"}
        id = await docker(
            *("run", "--detach", "--name", full_name, "--restart", profile.restart),
            *("--stop-timeout", str(profile.stop_timeout)),
            *("--cpus", f"{limits.cpus:g}", "--cpu-shares", str(limits.shares)),
            *("--memory", f"{limits.mib}m"),
            *("--tmpfs", "/memory:size=1g", *_health(profile.health)),
            *_each("--label", labels),
            *_each("--env", environment),
            *("--volume", f"{_SCRIPT}:/profile.sh:ro", IMAGE, "sh", "/profile.sh"),
        )
        created = await docker("inspect", "--format", "{{.Created}}", id)
        return Patient(
            name=full_name,
            id=id,
            created=datetime.fromisoformat(f"{created[:26].rstrip('Z')}+00:00"),
            events=self.events,
        )


def _each(option: str, values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for key, value in values.items() for part in (option, f"{key}={value}"))


def _health(health: Health | None) -> tuple[str, ...]:
    if health is None:
        return ()
    return (
        *("--health-cmd", "test ! -e /tmp/unwell"),
        *("--health-interval", f"{health.interval}s", "--health-timeout", "5s"),
        *("--health-retries", str(health.retries)),
        *("--health-start-period", f"{health.start_period}s"),
    )


class Clinic(Lab):
    """A lab for many patients at once."""

    def __init__(self, home: Path, *, keeps_all: bool = False) -> None:
        """
        Prepare.

        :param keeps_all: gather what is known of every container, not only where it was wrong
        """
        super().__init__(home, guards=GUARDS)
        self.ward: ProfileWard = ProfileWard(
            label_prefix=self.engine, events=home / "docker-events.log"
        )
        self.keeps_all = keeps_all
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._news: list[Json] = []
        #: Patients here, with the moment that their stories cannot be older than.
        self._present: dict[str, datetime] = {}

    def arrives(self, patient: Patient) -> None:
        """Have its stories listed."""
        self._present[patient.id] = patient.created

    def leaves(self, patient: Patient) -> None:
        """Have its stories no longer listed: an answer with all of them grows and grows."""
        self._present.pop(patient.id, None)

    async def remediations(self, patient: Patient) -> list[Json]:
        """The stories of one container, newest first; one answer is shared by all who ask."""
        async with self._asking:
            clock = asyncio.get_running_loop()
            if clock.time() - self._asked_at > _NEWS_EVERY:
                since = min(self._present.values(), default=patient.created)
                self._news = (
                    await self.get(
                        "/api/v1/remediations",
                        since=(since - timedelta(seconds=1)).isoformat(),
                        limit="1000",
                    )
                )["remediations"]
                self._asked_at = clock.time()
        target = f"{self.engine}:{patient.name}"
        return [story for story in self._news if story["target"] == target]

    async def silence(self, patient: Patient) -> None:
        """Silence every alert on one container, as a person does in Alertmanager."""
        answer = await self.http.post(
            f"{self.alertmanager_url}/api/v2/silences",
            json={
                "matchers": [
                    {"name": "name", "value": patient.name, "isRegex": False, "isEqual": True}
                ],
                "startsAt": "2000-01-01T00:00:00Z",
                "endsAt": "2100-01-01T00:00:00Z",
                "createdBy": "a person",
                "comment": "during the verification",
            },
        )
        answer.raise_for_status()

    async def scrape_failed(self, job: str) -> bool:
        """Whether the newest scrape of a job has failed, as Prometheus has it."""
        found = await self.query(f'up{{job="{job}"}}')
        return bool(found) and float(found[0]["value"][1]) == 0

    async def witnesses(self, patient: Patient) -> dict[str, Any]:
        """All that the parts of the chain know of one container: why a verdict was what it was."""
        name = patient.name
        ended = LoopClock().now()
        about: dict[str, Any] = {
            "stories": [s for s in self._news if s["target"].endswith(f":{name}")]
        }
        for what, promql in {
            "alerts": f'ALERTS{{name="{name}"}}',
            "cpu": f'relevo:container_cpu_utilisation:ratio_rate1m{{name="{name}"}}',
            "memory": f'relevo:container_memory_utilisation:ratio{{name="{name}"}}',
        }.items():
            about[what] = await self._tell(
                self._range(promql, since=patient.created - timedelta(seconds=2), until=ended)
            )
        about["alertmanager"] = await self._tell(self.alerts(patient))
        about["log"] = await self._tell(docker_log(patient))
        about["state"] = await self._tell(_state(patient))
        return about

    async def _range(self, promql: str, *, since: datetime, until: datetime) -> list[Json]:
        answer = await self.http.get(
            f"{self.prometheus_url}/api/v1/query_range",
            params={
                "query": promql,
                "start": since.timestamp(),
                "end": until.timestamp(),
                "step": "0.75",
            },
        )
        answer.raise_for_status()
        return [
            {
                "labels": {k: v for k, v in one["metric"].items() if k in _TELLING},
                "values": [
                    f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-5] + f" {value[:6]}"
                    for at, value in one["values"]
                ],
            }
            for one in answer.json()["data"]["result"]
        ]

    async def _tell(self, asked: Any) -> Any:
        try:
            return await asked
        except Exception as exc:  # noqa: BLE001 - a dead part is part of some profiles
            return f"{type(exc).__name__}: {exc}"


_TELLING = ("alertname", "alertstate")


async def docker_log(patient: Patient) -> list[str]:
    """What the container says that it did, with the engine's times."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "logs", "--timestamps", patient.id),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace").splitlines()


async def _state(patient: Patient) -> Json:
    state: Json = json.loads(await docker("inspect", "--format", "{{json .State}}", patient.id))
    return state
