"""
The ten commonest mistakes, each made on the real chain: what is said names what mends it.

One chain for all: theirs, joined by `relevo connect`. Each mistake is made, looked for as a person
would, and undone.
"""

import asyncio
import json
import os
import re
import secrets
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.parts import require
from tests.stack.containers import IMAGE, docker, ensure_image
from tests.stack.foreign import REPOSITORY, Foreign, relevo
from tests.stack.lab import edit
from tests.stack.program import Program, free_port
from tests.stack.test_start import bridge
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """What is joined, and runs."""

    foreign: Foreign
    #: A container that has opted in.
    container: str
    redis_port: int
    #: Where `relevo connect` has written what it writes.
    kit: Path

    async def doctor(self, **environment: str) -> list[Json]:
        """Ask the doctor; return what is not right."""
        seen = await self.relevo("doctor", "--output", "json", **environment)
        told: Json = json.loads(seen.stdout)
        bad = [one for one in told["checks"] if one["level"] != "ok"]
        assert seen.returncode == (1 if any(o["level"] == "finding" for o in bad) else 0)
        assert all(one["fix"] for one in bad), bad
        return bad

    async def relevo(self, *words: str, **environment: str) -> Any:
        """Run the command with the settings of the chain."""
        return await asyncio.to_thread(
            relevo,
            *("--env-file", str(self.kit / "relevo.env"), *words),
            cwd=self.kit,
            environment=environment,
        )

    async def reload(self, url: str, program: Program) -> None:
        """Have one of theirs load its files."""
        answer = await self.foreign.http.post(f"{url}/-/reload")
        if answer.status_code == 403:
            os.kill(program.pid, 1)
        else:
            answer.raise_for_status()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain() -> AsyncIterator[Chain]:
    for part in ("docker", "redis", "prometheus", "alertmanager", "node-exporter", "promtool"):
        require(part)
    await ensure_image()
    name, port = f"mistaken-{secrets.token_hex(4)}", free_port()
    async with AsyncExitStack() as stack:
        # Not pytest's own directory: its path is too long for the socket of the bridge.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-lab-")))
        foreign = await stack.enter_async_context(Foreign(home))
        redis = [require("redis"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
        redis += ["--appendonly", "yes", "--appendfsync", "always"]
        redis += ["--maxmemory-policy", "noeviction", "--save", ""]
        await _start(stack, Program("redis", redis, log=home / "redis.log"))
        await _container(stack, name)
        joined = relevo(
            *("connect", "--apply", "--enable", name, "--enable", f"{name}-too"),
            *("--into", "kit", "--output", "json"),
            cwd=home,
            environment={
                "RELEVO_LISTEN": f"127.0.0.1:{free_port()}",
                "RELEVO_COLLECT_LISTEN": f"127.0.0.1:{free_port()}",
                "RELEVO_ENGINE_NAME": f"relevo-lab-{secrets.token_hex(4)}",
                "RELEVO_REDIS_URL": f"redis://127.0.0.1:{port}/0",
                "RELEVO_PROMETHEUS_URL": foreign.prometheus_url,
                "RELEVO_ALERTMANAGER_URL": foreign.alertmanager_url,
            },
        )
        assert joined.returncode == 0, joined.stderr
        run = json.loads(joined.stdout)["next"][0]
        await _start(stack, Program("run", shlex.split(run), log=home / "run.log"))
        built = Chain(foreign, name, port, home / "kit")

        async def holds() -> bool:
            try:
                return all(one["level"] == "warning" for one in await built.doctor())
            except json.JSONDecodeError:
                return False

        await eventually(holds, within=150, what="nothing is wrong before anything is")
        yield built


async def _start(stack: AsyncExitStack, program: Program) -> None:
    await program.start()
    stack.push_async_callback(program.stop)


async def _container(stack: AsyncExitStack, name: str, *options: str) -> None:
    await docker("run", "-d", "--name", name, *options, "--entrypoint", "sleep", IMAGE, "600")
    stack.push_async_callback(docker, "rm", "-f", name)


# ---------------------------------------------------------------- made on the chain


@asynccontextmanager
async def route_missing(chain: Chain) -> AsyncIterator[None]:
    async with _edited(chain, lambda document: document["route"]["routes"].pop(1)):
        yield


@asynccontextmanager
async def route_muted(chain: Chain) -> AsyncIterator[None]:
    def mute(document: Any) -> None:
        document["time_intervals"] = [
            {"name": "nights", "time_intervals": [{"weekdays": ["sunday"]}]}
        ]
        document["route"]["routes"][1]["mute_time_intervals"] = ["nights"]

    async with _edited(chain, mute):
        yield


@asynccontextmanager
async def _edited(chain: Chain, change: Callable[[Any], Any]) -> AsyncIterator[None]:
    foreign = chain.foreign
    before = foreign.alertmanager_yml.read_text(encoding="utf-8")
    edit(foreign.alertmanager_yml, change)
    await chain.reload(foreign.alertmanager_url, foreign.alertmanager)
    yield
    foreign.alertmanager_yml.write_text(before, encoding="utf-8")
    await chain.reload(foreign.alertmanager_url, foreign.alertmanager)


@asynccontextmanager
async def no_name_label(chain: Chain) -> AsyncIterator[None]:
    rule = 'sum by (id) (rate(container_cpu_usage_seconds_total{name!=""}[1m])) > 99'
    async with _only_rule(chain, rule):
        yield


@asynccontextmanager
async def rule_never_fires(chain: Chain) -> AsyncIterator[None]:
    rule = 'sum by (name) (rate(container_cpu_usage_seconds_total{pod!=""}[1m])) > 0.8'
    async with _only_rule(chain, rule):
        yield


@asynccontextmanager
async def _only_rule(chain: Chain, expression: str) -> AsyncIterator[None]:
    foreign = chain.foreign
    rules = foreign.prometheus_yml.with_name("relevo_rules.yml")
    before = rules.read_text(encoding="utf-8")
    rules.write_text(
        "groups:\n- name: one\n  rules:\n"
        "  - {alert: RelevoWatchdog, expr: vector(1)}\n"
        f"  - alert: Busy\n    expr: {expression}\n    labels: {{severity: critical}}\n",
        encoding="utf-8",
    )
    await chain.reload(foreign.prometheus_url, foreign.prometheus)
    yield
    rules.write_text(before, encoding="utf-8")
    await chain.reload(foreign.prometheus_url, foreign.prometheus)


@asynccontextmanager
async def label_typo(chain: Chain) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await _container(stack, f"{chain.container}-typo", "--label", "relevo.enabled=true")
        yield


@asynccontextmanager
async def redis_without_persistence(chain: Chain) -> AsyncIterator[None]:
    await _redis(chain, "CONFIG", "SET", "appendonly", "no")
    yield
    await _redis(chain, "CONFIG", "SET", "appendonly", "yes")


async def _redis(chain: Chain, *words: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", chain.redis_port)
    writer.write((" ".join(words) + "\r\n").encode())
    assert (await reader.readline()) == b"+OK\r\n"
    writer.close()


@pytest.mark.parametrize(
    ("mistake", "link", "said", "fix"),
    [
        pytest.param(
            route_missing,
            "routes",
            r"no route leads ContainerHigh\w+ of mistaken-\w+ to relevo: it goes to team-X",
            r"relevo connect --apply",
            id="route-missing",
        ),
        pytest.param(
            route_muted,
            "mutes",
            r"the route to relevo has mute or active time intervals",
            r"take mute_time_intervals .* off that route",
            id="muted-route",
        ),
        pytest.param(
            no_name_label,
            "rules",
            r"Busy: its alerts name no container",
            r"sum by \(name\)",
            id="no-name-label",
        ),
        pytest.param(
            rule_never_fires,
            "rules",
            r'Busy never fires: container_cpu_usage_seconds_total\{pod!=""\} finds no series',
            r'\{name!=""\}',
            id="rule-never-fires",
        ),
        pytest.param(
            label_typo,
            "labels",
            r"the label 'relevo.enabled' has no effect, relevo.enable is meant",
            r"create it anew, or name it under `enable`",
            id="label-typo",
        ),
        pytest.param(
            redis_without_persistence,
            "store",
            r"Redis keeps no append-only file",
            r"--appendonly yes",
            id="redis-without-persistence",
        ),
    ],
)
async def test_the_doctor_names_the_fix(
    chain: Chain,
    mistake: Callable[[Chain], AbstractAsyncContextManager[None]],
    link: str,
    said: str,
    fix: str,
) -> None:
    async def look() -> bool:
        told = [one for one in await chain.doctor() if one["level"] == "finding"]
        return any(
            one["link"] == link and re.search(said, one["said"]) and re.search(fix, one["fix"])
            for one in told
        )

    async with mistake(chain):
        await eventually(look, within=60, what=f"{link}: {said}")


# ---------------------------------------------------------------- made by whoever starts or asks


async def test_a_wrong_token_of_a_person(chain: Chain, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("wrong", encoding="utf-8")

    told = await chain.doctor(RELEVO_TOKEN_FILE=str(wrong))

    (about,) = [one for one in told if one["link"] == "token"]
    assert "answered 401" in about["said"]
    assert "RELEVO_TOKEN" in about["fix"]


async def test_a_wrong_token_of_alertmanager(chain: Chain) -> None:
    held = chain.foreign.alertmanager_yml.with_name("relevo_token_ingest")
    before = held.read_text(encoding="utf-8")
    async with AsyncExitStack() as stack:
        await _container(stack, f"{chain.container}-too")
        held.write_text("wrong", encoding="utf-8")
        stack.callback(held.write_text, before, encoding="utf-8")

        seen = await chain.relevo("connect", "--test", f"{chain.container}-too")

    assert seen.returncode == 1
    assert "could not deliver its notice" in seen.stderr
    assert "Put the right token into that file" in seen.stderr


async def test_a_socket_without_permission(chain: Chain) -> None:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-lab-")))
        socket, port = home / "docker.sock", free_port()
        await stack.enter_async_context(bridge(socket))
        socket.chmod(0)
        # Nothing stops root but the want of this capability.
        drop = "-dac_override,-dac_read_search"
        argv = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"]
        if os.geteuid() == 0:
            os.chown(socket, 65534, 65534)
        settings = {
            "DOCKER_HOST": f"unix://{socket}",
            "RELEVO_LISTEN": f"127.0.0.1:{port}",
            "RELEVO_URL": f"http://127.0.0.1:{port}",
            "RELEVO_DATA_DIR": str(home / "data"),
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RELEVO_", "DOCKER_"))}
        serve = Program(
            "serve",
            [*(argv if os.geteuid() == 0 else ()), sys.executable, "-m", "app", "serve"],
            log=home / "serve.log",
            env={**clean, **settings},
            cwd=REPOSITORY,
        )
        await _start(stack, serve)

        async def look() -> Json | None:
            seen = await asyncio.to_thread(
                relevo, "doctor", "--output", "json", cwd=home, environment=settings
            )
            told = json.loads(seen.stdout)["checks"]
            return next((one for one in told if one["link"] == "engine"), None)

        about = await eventually(look, within=60, what="the doctor tells of the engine")
        assert about["level"] == "finding", about
        assert "ermission denied" in about["said"]
        assert "usermod -aG docker" in about["fix"]
        assert "--group-add" in about["fix"]


@pytest.mark.parametrize(
    ("process", "setting"), [("serve", "RELEVO_LISTEN"), ("collect", "RELEVO_COLLECT_LISTEN")]
)
async def test_a_port_that_is_taken(
    chain: Chain, tmp_path: Path, process: str, setting: str
) -> None:
    seen = await chain.relevo(process, RELEVO_DATA_DIR=str(tmp_path))

    assert seen.returncode == 1
    last = seen.stderr.splitlines()[-1]
    assert last.startswith(f"relevo: {setting}: cannot listen on 127.0.0.1:")
    assert "in use" in last
    assert "set it to another address" in last
    assert "ss -ltnp" in last


async def test_a_policy_that_never_scales_out(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "policies.yml"
    file.write_text("defaults:\n  restart: {delays: [1m, 30m, 30m]}\n", encoding="utf-8")

    (about,) = [
        one for one in await chain.doctor(RELEVO_POLICIES=str(file)) if one["link"] == "policies"
    ]
    checked = await chain.relevo("check", str(file))
    started = await chain.relevo("serve", RELEVO_POLICIES=str(file))

    for said in (about["said"], checked.stderr, started.stderr):
        assert f"{file}:2:13: defaults.restart.delays: its scale-out can never fire" in said
        assert "lengthen window to more than 74m, or shorten delays" in said
    assert (checked.returncode, started.returncode) == (1, 1)
