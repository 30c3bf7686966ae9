"""What alerts are sent to: Relevo as it is shipped, and its peers, as processes on loopback."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from bench.tools import need, need_package
from tests.engine_lab import EngineLab, busybox_image, engine_lab
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

ROOT: Final = Path(__file__).resolve().parents[1]
_SCRIPT: Final = Path(__file__).with_name("peers") / "heal.sh"
_PATH: Final = "/api/v1/webhooks/alertmanager"
#: Nothing is acted on while alerts are counted: the first wait is longer than any run.
_PATIENT: Final = "version: 1\ndefaults: {restart: {delays: [30m], window: 4h}}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A receiver that runs."""

    url: str
    pid: int
    #: Where its script leaves a mark for each run, or None: it runs none.
    ran: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the rigs of one bench are, and what they are told about."""

    home: Path
    token: str
    engine: str
    prefix: str
    names: Sequence[str]


@contextmanager
def patients(number: int, home: Path) -> Iterator[Place]:
    """Start so many containers that Relevo may act on; yield the place of a bench about them."""
    with engine_lab(busybox_image(need("docker"))) as lab:
        yield place(lab, home, number)


def place(
    lab: EngineLab, home: Path, number: int, *, command: Sequence[str] = ("sleep", "3600")
) -> Place:
    """Start so many containers in a lab; see `patients`."""
    mark = f"bench-{secrets.token_hex(4)}"

    def patient(n: int) -> str:
        options = ("-l", f"{mark}.enable=true", "--network", "none")
        lab.run(*options, command=command, name=f"web-{n}")
        return lab.name(f"web-{n}")

    return Place(
        home=home,
        token=secrets.token_hex(16),
        engine=mark,
        prefix=mark,
        names=[patient(n) for n in range(number)],
    )


@asynccontextmanager
async def redis(home: Path, *, fsync: str = "always", name: str = "redis") -> AsyncIterator[Path]:
    """Run a Redis with an append-only file; yield its unix socket."""
    folder = home / name
    folder.mkdir()
    socket = folder / "redis.sock"
    argv: list[str | Path] = [
        *(need("redis-server"), "--port", "0", "--unixsocket", socket, "--dir", folder),
        *("--appendonly", "yes", "--appendfsync", fsync, "--save", ""),
        *("--maxmemory-policy", "noeviction"),
    ]
    program = Program(name, argv, log=folder / "log")
    await program.start()
    try:
        while not await asyncio.to_thread(socket.exists):
            if program.ended:
                raise RuntimeError(f"Redis has ended:\n{program.last_words()}")
            await asyncio.sleep(0.02)
        yield socket
    finally:
        await program.stop()


def settings(place: Place, redis_socket: Path, folder: Path, port: int) -> dict[str, str]:
    """Make the environment of a Relevo that listens there and keeps its files in this folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RELEVO_")}
    (folder / "policies.yml").write_text(_PATIENT, encoding="utf-8")
    return kept | {
        "RELEVO_LISTEN": f"127.0.0.1:{port}",
        "RELEVO_REDIS_URL": f"unix://{redis_socket}",
        "RELEVO_DATA_DIR": str(folder / "data"),
        "RELEVO_ENGINE_NAME": place.engine,
        "RELEVO_LABEL_PREFIX": place.prefix,
        "RELEVO_POLICIES": str(folder / "policies.yml"),
        "RELEVO_TOKEN_INGEST": place.token,
        "RELEVO_TOKEN_READ": place.token + "r",
    }


def hook_at(port: int) -> str:
    """Return where a Relevo on this port takes notifications."""
    return f"http://127.0.0.1:{port}{_PATH}"


@asynccontextmanager
async def relevo(
    place: Place,
    redis_socket: Path,
    *,
    name: str = "relevo",
    port: int | None = None,
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """Run Relevo as `relevo serve` does, and wait until it is ready; on any port, or on this."""
    folder = place.home / name
    folder.mkdir()
    port = port or free_port()
    base = f"http://127.0.0.1:{port}"
    environment = settings(place, redis_socket, folder, port) | dict(more or {})
    program = Program(
        name,
        [sys.executable, "-m", "app", "serve"],
        log=folder / "log",
        env=environment,
        cwd=ROOT,
    )
    async with _running(program, f"{base}/-/ready", status=200):
        yield Rig(url=hook_at(port), pid=program.pid)


@asynccontextmanager
async def ceiling(place: Place, kind: str) -> AsyncIterator[Rig]:
    """Run ``bare`` or ``fastapi`` of `bench.peers.ceilings`."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.peers.ceilings", kind, str(port)]
    program = Program(kind, argv, log=place.home / f"{kind}.log", cwd=ROOT)
    async with _running(program, f"http://127.0.0.1:{port}/"):
        yield Rig(url=f"http://127.0.0.1:{port}/", pid=program.pid)


@asynccontextmanager
async def workshop(place: Place) -> AsyncIterator[Rig]:
    """Run the workshop's webhook."""
    need_package("flask")
    port, ran = free_port(), place.home / "flask.ran"
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "bench.peers.workshop",
        str(port),
        _SCRIPT,
        place.token,
    ]
    program = Program(
        "flask", argv, log=place.home / "flask.log", cwd=ROOT, env=os.environ | {"RAN": str(ran)}
    )
    async with _running(program, f"http://127.0.0.1:{port}/"):
        yield Rig(url=f"http://127.0.0.1:{port}/hooks/heal", pid=program.pid, ran=ran)


@asynccontextmanager
async def adnanh(place: Place, *, waits: bool) -> AsyncIterator[Rig]:
    """
    Run adnanh/webhook with the same script.

    :param waits: it answers once the script has run, and not before
    """
    kind = "sync" if waits else "async"
    port, ran = free_port(), place.home / f"adnanh-{kind}.ran"
    shown = {"source": "header", "name": "Authorization"}
    hook = {
        "id": "heal",
        "execute-command": str(_SCRIPT),
        "include-command-output-in-response": waits,
        "success-http-response-code": 202,
        "pass-arguments-to-command": [{"source": "payload", "name": "alerts.0.labels.name"}],
        "trigger-rule-mismatch-http-response-code": 401,
        "trigger-rule": {
            "match": {"type": "value", "value": f"Bearer {place.token}", "parameter": shown}
        },
    }
    hooks = place.home / f"adnanh-{kind}.json"
    hooks.write_text(json.dumps([hook]), encoding="utf-8")
    argv: list[str | Path] = [
        need("webhook"),
        "-hooks",
        hooks,
        "-ip",
        "127.0.0.1",
        "-port",
        str(port),
    ]
    program = Program(
        f"adnanh-{kind}", argv, log=place.home / f"{kind}.log", env=os.environ | {"RAN": str(ran)}
    )
    async with _running(program, f"http://127.0.0.1:{port}/"):
        yield Rig(url=f"http://127.0.0.1:{port}/hooks/heal", pid=program.pid, ran=ran)


@asynccontextmanager
async def _running(
    program: Program, page: str, *, status: int | None = None
) -> AsyncIterator[None]:
    """Run a program for as long as this is open; wait for a page, or for any answer of it."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))

        async def answers() -> bool:
            if program.ended:
                raise RuntimeError(f"{program.name} has ended:\n{program.last_words()}")
            try:
                answer = await http.get(page)
            except httpx.TransportError:
                return False
            return status is None or answer.status_code == status

        stack.push_async_callback(program.stop)
        await program.start()
        await eventually(answers, within=40, what=f"{program.name} answers")
        yield
