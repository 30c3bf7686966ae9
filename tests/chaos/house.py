"""
One Redis, one or two controllers, and containers: small enough that many stand side by side.

All houses of a run are on the one real engine; each has an engine name and a label prefix of its
own, so that nobody touches the containers of another.
"""

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.chaos.controllers import Controller
from tests.chaos.pager import Pager
from tests.chaos.redis_box import RedisBox
from tests.stack.containers import IMAGE, docker

Json = dict[str, Any]

#: Of the policy below; all in seconds.
WAIT_S: Final = 4.0
DEADLINE_S: Final = 6.0
SETTLE_S: Final = 2.0
#: A container that does not hear SIGTERM is down this long after it.
STUBBORN_S: Final = 2

#: Waits of some seconds in place of minutes; neither brake nor budget (the storm has those).
POLICY: Final[Json] = {
    "version": 1,
    "pull": "2s",
    "defaults": {
        "restart": {"delays": [f"{WAIT_S:g}s"], "max_failed": 100, "window": "1h"},
        "verify": {
            "deadline": f"{DEADLINE_S:g}s",
            "settle": f"{SETTLE_S:g}s",
            "poll": "500ms",
            "relapse_window": "1s",
        },
        "chronic": {"restarts": 100_000},
        "scale_out": {"enabled": False},
    },
    "guards": {
        "concurrent": 20,
        "burst": 1000,
        "per_hour": 100_000,
        "deploy_hold": "0s",
        "brake": {"targets": 1000},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One container of a house."""

    name: str
    id: str
    #: It does not hear SIGTERM: its restart takes its whole grace.
    stubborn: bool


@dataclass(kw_only=True)
class Plan:
    """What a house is made of."""

    controllers: int = 1
    patients: int = 6
    stubborn: int = 2
    policy: Json = field(default_factory=lambda: POLICY)
    #: Label that every container of the run carries.
    label: str = "relevo-chaos"
    #: Divides the waits of the chain around.
    time_factor: float = 20.0
    redis_options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Where it keeps its files; None: beside the others.
    redis_home: Path | None = None
    #: Whether the controllers are told where to ask Alertmanager.
    pull: bool = True
    #: Whether they are ready once the house is open.
    await_ready: bool = True


class House:
    """See the module."""

    def __init__(self, plan: Plan | None = None) -> None:
        """Prepare; nothing runs yet."""
        self.plan = plan or Plan()
        # Short: a unix socket's path may have 107 characters.
        self.home = Path(mkdtemp(prefix="relevo-chaos-"))
        self.engine = f"relevo-chaos-{secrets.token_hex(4)}"
        self.redis = RedisBox(self.plan.redis_home or self.home / "redis", *self.plan.redis_options)
        self.controllers: list[Controller] = []
        self.patients: list[Patient] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.http = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
            policies = self.home / "policies.yml"
            policies.write_text(json.dumps(self.plan.policy), encoding="utf-8")
            environment = {
                "RELEVO_ENGINE_NAME": self.engine,
                "RELEVO_LABEL_PREFIX": self.engine,
                "RELEVO_POLICIES": str(policies),
                "RELEVO_REDIS_URL": self.redis.url,
                "RELEVO_TIME_FACTOR": f"{self.plan.time_factor:g}",
                **self.plan.environment,
            }
            # Its address must be known to the controllers, and theirs to it.
            self.pager = Pager([])
            if self.plan.pull:
                await stack.enter_async_context(self.pager)
                environment["RELEVO_ALERTMANAGER_URL"] = self.pager.url
            for number in range(self.plan.controllers):
                name = "ab"[number]
                self.controllers.append(Controller(self.home, name, environment=environment))
            self.pager.receivers = tuple(one.url for one in self.controllers)
            if not self.plan.pull:
                await stack.enter_async_context(self.pager)
            stack.push_async_callback(self.redis.stop)
            await self.redis.start()
            stack.push_async_callback(self.discharge)
            for number in range(self.plan.patients):
                await self.admit(f"p{number}", stubborn=number < self.plan.stubborn)
            for controller in self.controllers:
                stack.push_async_callback(controller.close)
                await controller.proxy.open()
                await controller.start()
            for controller in self.controllers if self.plan.await_ready else ():
                await controller.ready(self.http)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def remove_traces(self) -> None:
        """Remove logs and data of a house that nobody needs to look at."""
        shutil.rmtree(self.home, ignore_errors=True)

    async def admit(self, name: str, *, stubborn: bool = False) -> Patient:
        """Start a container that is opted in."""
        full_name = f"{self.engine}-{name}"
        container_id = await docker(
            *("run", "--detach", "--name", full_name, "--network", "none", "--memory", "16m"),
            *("--label", f"{self.plan.label}=1", "--label", f"{self.engine}.enable=true"),
            *("--label", f"{self.engine}.lab=1", "--stop-timeout", str(STUBBORN_S)),
            # Process 1 has no default for SIGTERM: this one never hears it.
            *(() if stubborn else ("--stop-signal", "SIGKILL")),
            *(IMAGE, "sleep", "100000"),
        )
        patient = Patient(name=full_name, id=container_id, stubborn=stubborn)
        self.patients.append(patient)
        return patient

    async def discharge(self) -> None:
        """Remove all containers of the house."""
        listed = await docker("ps", "--all", "--quiet", "--filter", f"label={self.engine}.lab")
        if listed:
            await docker("rm", "--force", "--volumes", *listed.split())

    def labels(self, patient: Patient, alert: str = "ChaosAlert") -> dict[str, str]:
        """Of an alert on one of its containers."""
        return {
            "alertname": alert,
            "engine": self.engine,
            "name": patient.name,
            "severity": "critical",
        }

    async def leader(self) -> Controller | None:
        """Ask the store who leads; None: nobody, or it cannot be told."""
        instance = await self.redis.leader()
        for controller in self.controllers:
            if instance is not None and controller.instance == instance:
                return controller
        return None

    async def stories(self) -> list[Json]:
        """All remediations, from whichever controller answers."""
        trouble: Exception | None = None
        for controller in self.controllers:
            try:
                found = await controller.get(self.http, "/api/v1/remediations?limit=1000")
            except httpx.HTTPError as exc:
                trouble = exc
            else:
                return list(found["remediations"])
        assert trouble is not None
        raise trouble

    def last_words(self) -> str:
        """What a person needs to see when something has failed here."""
        parts = [f"logs and data: {self.home}"]
        for controller in self.controllers:
            parts += [f"--- {controller.name}", controller.program.last_words()]
        return "\n".join(parts)
