"""
The whole chain on loopback: what a host with Relevo runs, as processes of one test.

Prometheus and Alertmanager run the shipped configuration, twenty times faster (deploy/demo/scale.py
makes the copy for each lab). As it is shipped, only the gate has the engine. Slack's far side is a
fake over a real socket; containers are real.
Everything listens on free ports, and every lab has an engine name and a label prefix of its own:
labs, the demo and other people's containers on the same engine never meet.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from ruamel.yaml import YAML

from deploy.demo import scale
from deploy.demo.wiring import Wiring
from tests.parts import require
from tests.stack.alarm import Alarm
from tests.stack.answers import Answers, Json
from tests.stack.containers import Ward, ensure_image
from tests.stack.program import Program, free_port
from tests.stack.slack import FakeSlack
from tests.stack.wait import eventually

REPOSITORY = Path(__file__).resolve().parents[2]
FACTOR = scale.FACTOR

#: A program answers this soon after its start: an interpreter's start-up takes 2 s on a busy core.
STARTS_WITHIN = 30.0


#: For a test of something else, with many sick containers: no brake, and no budget to speak of.
NO_BOUNDS: Json = {
    "concurrent": 20,
    "burst": 100,
    "per_hour": 10_000,
    "brake": {"targets": 100},
}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a YAML file in place."""
    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    change(document)
    with path.open("w", encoding="utf-8") as out:
        yaml.dump(document, out)


def merge(document: Any, more: Json) -> None:
    """Set keys of a document, those of nested sections one by one."""
    for key, value in more.items():
        if isinstance(value, dict):
            merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


class Lab(Answers):
    """Build, run and take down one chain."""

    def __init__(
        self,
        home: Path,
        *,
        policies: Sequence[Json] = (),
        guards: Json | None = None,
        environment: dict[str, str] | None = None,
        own_redis: bool = False,
        pair: bool = False,
        late: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> None:
        """
        Prepare; nothing runs yet.

        :param policies: put before the shipped defaults; their durations are meant as written
        :param guards: set in place of the shipped ones, durations as written
        :param environment: more of it for Relevo's processes
        :param own_redis: a server of its own, as in compose, instead of the embedded one
        :param pair: a second Alertmanager, `other_alertmanager`, configured as the first
        :param late: names of programs that the test starts itself, later
        :param without: names of programs that this lab does not have; Relevo is not told of them;
            without `relevo-gate` the others have the engine's socket
        """
        self.home = home
        self.engine = f"relevo-lab-{secrets.token_hex(4)}"
        self.slack = FakeSlack()
        self.ward = Ward(label_prefix=self.engine, events=home / "docker-events.log")
        self._policies = policies
        self._guards = guards
        self._late = late
        self._without = without
        self._extra_environment = dict(environment or {})
        names = ("prom", "am", "am2", "relevo", "collect", "redis")
        self._ports = {name: free_port() for name in names}
        self.tokens = {name: secrets.token_hex(16) for name in ("ingest", "read", "operate")}
        self._config = home / "config"
        self._stack = AsyncExitStack()
        self.relevo_url = f"http://127.0.0.1:{self._ports['relevo']}"
        self.prometheus_url = f"http://127.0.0.1:{self._ports['prom']}"
        self.alertmanager_url = f"http://127.0.0.1:{self._ports['am']}"
        self.other_alertmanager_url = f"http://127.0.0.1:{self._ports['am2']}"
        self.collector_url = f"http://127.0.0.1:{self._ports['collect']}"
        self.alarm = Alarm(self)
        self._extra_environment = {**self._urls(pair), **self._extra_environment}
        self.redis: Program | None = None
        if own_redis:
            self.redis = self._program("redis", self._redis_argv())
            redis_url = f"redis://127.0.0.1:{self._ports['redis']}/0"
            self._extra_environment["RELEVO_REDIS_URL"] = redis_url
        self.events = self._program("docker-events", self.ward.events_argv)
        self.prometheus = self._program("prometheus", self._prometheus_argv())
        self.alertmanager = self._program("alertmanager", self._alertmanager_argv("am"))
        self.other_alertmanager: Program | None = None
        if pair:
            argv = self._alertmanager_argv("am2")
            self.other_alertmanager = self._program("other-alertmanager", argv)
        others = {}
        if "relevo-gate" not in without:
            self._extra_environment["RELEVO_GATE_SOCKET"] = str(home / "gate.sock")
            others = {"DOCKER_HOST": f"unix://{home}/not-for-them.sock"}
        self.gate = self._relevo("gate", RELEVO_DATA_DIR=str(home / "gate"))
        self.collector = self._relevo("collect", **others)
        self.controller = self._relevo("serve", **others)

    # -------------------------------------------------------------------- its parts

    def _urls(self, pair: bool) -> dict[str, str]:
        """Say where Relevo finds what it asks, of what there is."""
        urls = {}
        if "alertmanager" not in self._without:
            both = f"{self.alertmanager_url},{self.other_alertmanager_url}"
            urls["RELEVO_ALERTMANAGER_URL"] = both if pair else self.alertmanager_url
        if "prometheus" not in self._without:
            urls["RELEVO_PROMETHEUS_URL"] = self.prometheus_url
        return urls

    def _program(self, name: str, argv: Sequence[str | Path]) -> Program:
        return Program(name, argv, log=self.home / f"{name}.log")

    def _prometheus_argv(self) -> list[str | Path]:
        return [
            require("prometheus"),
            f"--config.file={self._config}/prometheus/prometheus.yml",
            f"--storage.tsdb.path={self.home}/prometheus",
            f"--web.listen-address=127.0.0.1:{self._ports['prom']}",
            *scale.prometheus_flags(FACTOR),
        ]

    def _alertmanager_argv(self, name: str) -> list[str | Path]:
        return [
            require("alertmanager"),
            f"--config.file={self._alertmanager_yml}",
            f"--storage.path={self.home}/{name}",
            f"--web.listen-address=127.0.0.1:{self._ports[name]}",
            "--cluster.listen-address=",
        ]

    def _redis_argv(self) -> list[str | Path]:
        return [
            require("redis"),
            *("--port", str(self._ports["redis"]), "--bind", "127.0.0.1"),
            *("--dir", self.home, "--appendonly", "yes", "--appendfsync", "always"),
            *("--maxmemory-policy", "noeviction", "--save", ""),
        ]

    def _relevo(self, command: str, **environment: str) -> Program:
        return Program(
            f"relevo-{command}",
            [sys.executable, "-m", "app", command],
            log=self.home / f"relevo-{command}.log",
            env=self._environment() | environment,
            cwd=REPOSITORY,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
        return inherited | {
            "RELEVO_LISTEN": f"127.0.0.1:{self._ports['relevo']}",
            "RELEVO_COLLECT_LISTEN": f"127.0.0.1:{self._ports['collect']}",
            "RELEVO_URL": self.relevo_url,
            "RELEVO_ENGINE_NAME": self.engine,
            "RELEVO_LABEL_PREFIX": self.engine,
            "RELEVO_DATA_DIR": str(self.home / "data"),
            "RELEVO_POLICIES": str(self._config / "relevo" / "policies.yml"),
            "RELEVO_TIME_FACTOR": f"{FACTOR:g}",
            **{f"RELEVO_TOKEN_{k.upper()}_FILE": str(self.token_file(k)) for k in self.tokens},
            **self._extra_environment,
        }

    @property
    def _alertmanager_yml(self) -> Path:
        return self._config / "alertmanager" / "alertmanager.yml"

    def token_file(self, name: str) -> Path:
        """The file that holds the token of a scope."""
        return self.home / f"relevo_token_{name}"

    def _write_configuration(self) -> None:
        for name, token in self.tokens.items():
            self.token_file(name).write_text(token, encoding="utf-8")
        slack_url = self.home / "slack_url"
        slack_url.write_text(self.slack.url, encoding="utf-8")
        scale.write_copy(
            self._config,
            wiring=Wiring(
                hosts={
                    "relevo:5000": f"127.0.0.1:{self._ports['relevo']}",
                    "container-metrics:5001": f"127.0.0.1:{self._ports['collect']}",
                    "alertmanager:9093": f"127.0.0.1:{self._ports['am']}",
                    "localhost:9090": f"127.0.0.1:{self._ports['prom']}",
                    "prometheus:9090": f"127.0.0.1:{self._ports['prom']}",
                    "node-exporter:9100": None,  # context for people; nothing here reads it
                },
                files={
                    "/run/secrets/relevo_token_read": str(self.token_file("read")),
                    "/run/secrets/relevo_token_ingest": str(self.token_file("ingest")),
                    "/run/secrets/slack_url": str(slack_url),
                },
            ),
        )
        policies_yml = self._config / "relevo" / "policies.yml"
        if self._policies:
            edit(policies_yml, lambda document: document.update(policies=list(self._policies)))
        if self._guards is not None:
            edit(policies_yml, lambda document: merge(document, {"guards": self._guards}))

    async def deliver_to(self, *labs: "Lab") -> None:
        """Have this lab's Alertmanager deliver to the Relevos of these labs; to none of none."""

        def change(document: Any) -> None:
            (receiver,) = (one for one in document["receivers"] if one["name"] == "relevo")
            (shipped,) = receiver["webhook_configs"]
            path = urlsplit(shipped["url"]).path
            hooks = [deepcopy(shipped) for _ in labs or (self,)]
            for hook, lab in zip(hooks, labs, strict=False):
                hook["url"] = f"{lab.relevo_url}{path}"
                token = str(lab.token_file("ingest"))
                hook["http_config"]["authorization"]["credentials_file"] = token
            if not labs:
                hooks[0]["url"] = f"http://127.0.0.1:{free_port()}{path}"
            receiver["webhook_configs"] = hooks

        edit(self._alertmanager_yml, change)
        (await self.http.post(f"{self.alertmanager_url}/-/reload")).raise_for_status()

    @property
    def programs(self) -> tuple[Program, ...]:
        """All of them, in the order in which they start."""
        chain = (
            self.redis,
            self.events,
            self.prometheus,
            self.alertmanager,
            self.other_alertmanager,
            self.gate,
            self.collector,
            self.controller,
        )
        return tuple(one for one in chain if one is not None and one.name not in self._without)

    # -------------------------------------------------------------------- up and down

    async def __aenter__(self) -> Self:
        await ensure_image()
        async with AsyncExitStack() as stack:
            self.http = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
            await self.slack.start()
            stack.push_async_callback(self.slack.stop)
            self._write_configuration()
            for program in self.programs:
                stack.push_async_callback(program.stop)
                if program.name not in self._late:
                    await program.start()
            stack.push_async_callback(self.ward.discharge)
            if not self._late:
                await self.until_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def until_up(self) -> None:
        """Wait until every program says that it is ready."""
        pages = {
            "prometheus": f"{self.prometheus_url}/-/ready",
            "alertmanager": f"{self.alertmanager_url}/-/ready",
            "other-alertmanager": f"{self.other_alertmanager_url}/-/ready",
            "relevo-serve": f"{self.relevo_url}/-/ready",
            "relevo-collect": f"{self.collector_url}/-/healthy",
        }
        here = {program.name for program in self.programs}
        for name, page in pages.items():
            if name in here:
                await self.until_answers(page)

    async def until_answers(self, url: str, status: int = 200) -> None:
        """Wait for one page."""

        async def look() -> bool:
            for program in self.programs:
                if program.ended:
                    raise AssertionError(f"{program.name} has ended:\n{program.last_words()}")
            return (await self.http.get(url)).status_code == status

        await eventually(look, within=STARTS_WITHIN, what=f"{url} answers {status}")

    def remove_traces(self) -> None:
        """Remove logs and data of a lab that nobody needs to look at."""
        shutil.rmtree(self.home, ignore_errors=True)

    def story(self) -> str:
        """What a person needs to see when a test has failed here."""
        parts = [f"logs and data: {self.home}"]
        for program in self.programs:
            parts += ["", f"--- {program.name}, {program.log}", program.last_words()]
        return "\n".join(parts)
