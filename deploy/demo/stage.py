"""
The demo's stage: the real stack with the scaled configuration, and the patients beside it.

Two Compose projects with names of their own, so that nobody's containers are touched: the stack of
deploy/compose.yaml, and the sick service with its customers of deploy/demo/compose.yaml. Everything
that is made carries a project's label (a clone has its source's), and by that it is removed.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from deploy.demo import scale
from deploy.demo.host import EventLog, Failed, compose, docker, free_ports, inspect, listed, page

DEPLOY = scale.REPOSITORY / "deploy"
#: Runs, logs, tokens; ignored by git.
HOME = scale.REPOSITORY / ".cache" / "demo"
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
#: Of the visitor's own settings, these concern the machine and not Relevo's behaviour.
_KEPT = {"RELEVO_AIRGAP", "RELEVO_NO_BUILD", "RELEVO_IMAGE", "RELEVO_ENGINE_STATE"}
#: Demos at the same time.
_MOST = 9
#: Everything is removed within this time, even where the engine has much to do.
_DOWN_S = 30.0
#: For Compose to end by itself.
_POLITE_S = 10.0
_PORTS = ("RELEVO", "PROMETHEUS", "ALERTMANAGER", "NODE_EXPORTER", "COLLECTOR", "GRAFANA")


class Stage:
    """Brings it up, tells where everything is, takes it down."""

    def __init__(self, number: int) -> None:
        suffix = "" if number == 1 else str(number)
        #: The project of the stack, and that of the patients.
        self.stack = f"relevo-demo{suffix}"
        self.shop = f"demo-shop{suffix}"
        self.home = HOME / self.stack
        self.secrets = self.home / "secrets"
        self.log = self.home / "up.log"
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        #: Opt-in labels begin with this.
        self.prefix = "relevo"
        self.events = EventLog(self.home / "restarts.jsonl")
        #: Ids of the containers, all 64 digits.
        self.web = ""
        self.customers = ""
        self._token = ""
        self._door: TextIO | None = None

    @classmethod
    def free(cls) -> "Stage":
        """Return the first stage that nobody stands on: an earlier demo may have been kept."""
        for number in range(1, _MOST + 1):
            stage = cls(number)
            if stage.enter() and not stage.is_taken:
                return stage
        raise Failed(
            f"{_MOST} demos are up already: take them down with deploy/demo/demo.py --down"
        )

    @classmethod
    def standing(cls) -> list["Stage"]:
        """Return all stages on which something stands."""
        return [stage for number in range(1, _MOST + 1) if (stage := cls(number)).is_taken]

    def enter(self) -> bool:
        """Keep other demos of this checkout off this stage, for as long as this process runs."""
        HOME.mkdir(parents=True, exist_ok=True)
        self._door = (HOME / f"{self.stack}.lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(self._door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    @property
    def is_taken(self) -> bool:
        """Something of it is there."""
        return any(
            listed(kind, f"{_PROJECT}={project}")
            for project in self.projects
            for kind in ("container", "network", "volume")
        )

    @property
    def projects(self) -> tuple[str, str]:
        """Both, in the order in which they are taken down: first who would act on the other."""
        return self.stack, self.shop

    def url(self, part: str) -> str:
        """Where a part answers on this machine."""
        return f"http://localhost:{self._ports[part]}"

    # ------------------------------------------------------------------------ up

    def prepare(self) -> list[str]:
        """Write the configuration; return what the visitor should know."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        scale.write_copy(self.home / "config", external_url=self.url("RELEVO"))
        # Another Relevo's patients must not become ours, at twenty times the pace.
        others = [f"relevo.enable={mode}" for mode in ("true", "observe")]
        if not any(listed("container", other) for other in others):
            return []
        self.prefix = self.stack
        return [
            "Other containers here carry relevo.enable: this demo leaves them alone and uses the "
            f"label {self.prefix}.enable instead."
        ]

    def _environment(self) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key in _KEPT or not key.startswith(("RELEVO_", "COMPOSE_"))
        }
        flags = dict(flag.lstrip("-").split("=") for flag in scale.prometheus_flags(scale.FACTOR))
        return inherited | {
            **{f"{name}_PORT": str(port) for name, port in self._ports.items()},
            "COMPOSE_PROJECT_NAME": self.stack,
            "RELEVO_CONFIG_DIR": str(self.home / "config"),
            "RELEVO_SECRETS_DIR": str(self.secrets),
            "RELEVO_LABEL_PREFIX": self.prefix,
            "RELEVO_TIME_FACTOR": f"{scale.FACTOR:g}",
            "PROMETHEUS_RESEND_DELAY": flags["rules.alert.resend-delay"],
        }

    def raise_stack(self, waiting: Callable[[str], None]) -> None:
        """
        Bring the real stack up, as `make up` does, and wait until it is healthy.

        :param waiting: called all the while with what is being done
        :raises Failed:
        """
        with self.log.open("w", encoding="utf-8") as log:
            # In a session of its own: what it starts can be ended with it.
            script = [str(DEPLOY / "up.sh")]
            process = subprocess.Popen(
                script, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            while (status := _ended(process)) is None:
                waiting(self._last_line())
        finally:
            end_session(process)
        if status != 0:
            raise Failed(f"the stack does not come up: {self._last_line()} (all of it: {self.log})")
        self._token = (self.secrets / "relevo_token_read").read_text(encoding="utf-8").strip()

    def _last_line(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def open_shop(self) -> None:
        """Start the service that is too small for its load, and its customers."""
        self.events.start()
        environment = self._environment() | {"COMPOSE_PROJECT_NAME": self.shop}
        compose(DEPLOY / "demo" / "compose.yaml", "up", "--detach", env=environment)
        (self.web,) = listed("container", f"{_PROJECT}={self.shop}", f"{_SERVICE}=web")
        (self.customers,) = listed("container", f"{_PROJECT}={self.shop}", f"{_SERVICE}=customers")

    # ------------------------------------------------------------------------ ask

    def relevo(self, path: str, **parameters: str) -> Any:
        """Ask Relevo's API. :raises OSError, ValueError:"""
        return page(f"{self.url('RELEVO')}{path}", token=self._token, **parameters)

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Ask Prometheus. :raises OSError, ValueError:"""
        answer = page(f"{self.url('PROMETHEUS')}/api/v1/query", query=promql)
        return list(answer["data"]["result"])

    def alerts(self, container: str) -> list[dict[str, Any]]:
        """
        Active alerts on a container, by its name, from Alertmanager. :raises OSError:

        Without Relevo's own, which tell of its work on the container and outlast the symptom.
        """
        url = f"{self.url('ALERTMANAGER')}/api/v2/alerts"
        active = page(url, filter=f'name="{container}"', active="true")
        return [one for one in active if not one["labels"]["alertname"].startswith("Relevo")]

    def clones(self) -> list[dict[str, Any]]:
        """What Relevo made of the sick service, running or not."""
        ids = listed("container", f"{self.prefix}.clone-of", f"{_PROJECT}={self.shop}")
        return [inspect(each) for each in ids]

    def last_seconds(self, count: int) -> list[dict[str, Any]]:
        """What the customers say of the last seconds, one report each."""
        lines = docker("logs", "--tail", str(count), self.customers).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def probe(self) -> dict[str, dict[str, Any]]:
        """Ask every address that the name `web` has for the customers: address -> its answer."""
        answer = docker(
            *("exec", self.customers, "python3", "/demo/client.py", "http://web:8000", "--probe")
        )
        found: dict[str, dict[str, Any]] = json.loads(answer)
        return found

    # ------------------------------------------------------------------------ down

    def keep_logs(self) -> Path:
        """Keep what a person needs to find out what went wrong; return where."""
        logs = self.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for project in self.projects:
            for container in listed("container", f"{_PROJECT}={project}"):
                name = inspect(container)["Name"].lstrip("/")
                with (logs / f"{name}.log").open("w", encoding="utf-8") as out:
                    subprocess.run(
                        [shutil.which("docker") or "docker", "logs", container],
                        stdout=out,
                        stderr=out,
                        check=False,
                    )
        for path in ("remediations", "activities", "targets", "status"):
            try:
                answer = self.relevo(f"/api/v1/{path}")
            except (OSError, ValueError) as exc:
                answer = {"error": str(exc)}
            (logs / f"{path}.json").write_text(json.dumps(answer, indent=2), encoding="utf-8")
        return self.home

    def take_down(self) -> None:
        """
        Remove everything that was made here, clones included; what is gone already is fine.

        :raises Failed: something is still there
        """
        self.events.stop()
        deadline = time.monotonic() + _DOWN_S
        gone = 0
        while gone < 2:
            try:
                self._remove()
            except Failed:
                # The engine is still at work on something: a container that is being made or
                # stopped keeps its network.
                if time.monotonic() > deadline:
                    raise
            # Twice: what was being made when we were interrupted may be there a moment later.
            gone = 0 if self.is_taken else gone + 1
            time.sleep(0.3)
        shutil.rmtree(self.secrets, ignore_errors=True)

    def _remove(self) -> None:
        for project in self.projects:
            label = f"{_PROJECT}={project}"
            if found := listed("container", label):
                docker("rm", "--force", "--volumes", *found)
            for kind in ("network", "volume"):
                if found := listed(kind, label):
                    docker(kind, "rm", *found)


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Wait half a second for the end of a process; return its status."""
    try:
        return process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return None


def end_session(process: subprocess.Popen[bytes], *, polite_s: float = _POLITE_S) -> None:
    """End a process and all that it has started in its session, politely, then for good."""
    deadline = time.monotonic() + polite_s
    number = signal.SIGTERM
    while True:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        if number == signal.SIGKILL:
            break
        _ended(process)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
    process.wait()
