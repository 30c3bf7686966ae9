"""The far side of the socket: answers like an engine, or badly, and remembers the requests."""

import asyncio
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

_VERSIONED = re.compile(r"/v[0-9.]+(?=/)")

#: A container as the engine lists and inspects it.
CONTAINER_ID = "a" * 64
CLONE_ID = "c" * 64
IMAGE_ID = "sha256:" + "b" * 64
STARTED_AT = "2026-11-22T03:00:00.123456789Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one request is answered."""

    status: int = 200
    body: object = None
    #: Take the request and never answer.
    hangs: bool = False
    #: Hang up in the middle.
    breaks: bool = False
    #: Pieces of an answer that comes bit by bit; `breaks` then follows them …
    pieces: tuple[bytes, ...] | None = None
    #: … or nothing more, for as long as the other side listens.
    stays: bool = False


@dataclass
class FakeDaemon:
    """An engine over a real unix socket."""

    url: str
    api_version: str = "1.41"
    #: ``POST /containers/…/restart`` (without version and query) -> the replies in turn; the
    #: last one stays.
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    #: Whether a connection serves more than one request.
    keeps_alive: bool = True
    #: Every request as it came, version and query included.
    requests: list[str] = field(default_factory=list)
    #: Set with every request.
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    #: Bodies of the POSTs, by path.
    bodies: dict[str, Any] = field(default_factory=dict)
    #: How many answers are open that come bit by bit.
    streams: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, request: str, *replies: Reply) -> None:
        """Say how a request is answered, from now on."""
        self.replies[request] = list(replies)

    def knows(self, container: Mapping[str, Any]) -> None:
        """Let the daemon have a container."""
        self.answer(f"GET /containers/{container['Id']}/json", Reply(body=container))

    @property
    def acts(self) -> list[str]:
        """The requests that would change something, without version."""
        return [
            _VERSIONED.sub("", one)
            for one in self.requests
            if not one.startswith(("GET ", "HEAD "))
        ]

    def release(self) -> None:
        """Let everything that hangs end."""
        self._released.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        answer = await self._take(request)
        if not self.keeps_alive:
            answer.force_close()
        return answer

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        self.asked.set()
        path = _VERSIONED.sub("", request.path, count=1)
        if request.can_read_body:
            self.bodies[path] = json.loads(await request.text())
        if path == "/version" and f"{request.method} {path}" not in self.replies:
            return _json({"ApiVersion": self.api_version})
        replies = self.replies.get(f"{request.method} {path}")
        if not replies:
            return _json({"message": "page not found"}, status=404)
        return await self._give(replies.pop(0) if len(replies) > 1 else replies[0], request)

    async def _give(self, reply: Reply, request: web.Request) -> web.StreamResponse:
        if reply.hangs:
            await self._released.wait()
        if reply.pieces is not None:
            return await self._stream(reply.pieces, reply, request)
        if reply.breaks and request.transport is not None:
            request.transport.abort()
        if isinstance(reply.body, str):
            return web.Response(text=reply.body, status=reply.status)
        if reply.status in (204, 304):
            return web.Response(status=reply.status)
        return _json(reply.body, status=reply.status)

    async def _stream(
        self, pieces: Sequence[bytes], reply: Reply, request: web.Request
    ) -> web.StreamResponse:
        answer = web.StreamResponse(status=reply.status)
        self.streams += 1
        try:
            await answer.prepare(request)
            for piece in pieces:
                await answer.write(piece)
                # Each is to arrive by itself.
                await asyncio.sleep(0.001)
            for pause in itertools.repeat(0.01):
                if not reply.stays or request.transport is None or self._released.is_set():
                    break
                await asyncio.sleep(pause)
            if reply.breaks and request.transport is not None:
                request.transport.abort()
        finally:
            self.streams -= 1
        return answer


def _json(body: object, *, status: int = 200) -> web.Response:
    # As the engine writes it: without a charset, by which aiodocker knows its error messages.
    headers = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(body).encode(), headers=headers, status=status)


@asynccontextmanager
async def fake_daemon() -> AsyncIterator[FakeDaemon]:
    """Open a daemon on a socket of its own."""
    # Not pytest's tmp_path: the address of a unix socket may have 108 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="relevo-"))
    daemon = FakeDaemon(url=f"unix://{folder}/docker.sock")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", daemon.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "docker.sock")).start()
        yield daemon
    finally:
        daemon.release()
        await runner.cleanup()
        shutil.rmtree(folder)


def inspected(**overrides: Any) -> dict[str, Any]:
    """Return a running container as ``GET /containers/{id}/json`` tells it."""
    state = {"Status": "running", "StartedAt": STARTED_AT, "ExitCode": 0, "OOMKilled": False}
    config = {"Image": "shop/web:1", "Hostname": CONTAINER_ID[:12], "Labels": {}, "Env": []}
    return {
        "Id": CONTAINER_ID,
        "Name": "/web",
        "Image": IMAGE_ID,
        "RestartCount": 0,
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {}}},
        "HostConfig": {"NetworkMode": "default"},
        **overrides,
        "State": state | overrides.get("State", {}),
        "Config": config | overrides.get("Config", {}),
    }


def line(**overrides: Any) -> dict[str, Any]:
    """Return a container as ``GET /containers/json`` lists it."""
    return {
        "Id": CONTAINER_ID,
        "Names": ["/web"],
        "Image": "shop/web:1",
        "ImageID": IMAGE_ID,
        "Labels": {},
        "State": "running",
        **overrides,
    }


def event(action: str, *, at_ns: int = 1, **attributes: str) -> dict[str, Any]:
    """Return what happened to the container as ``GET /events`` tells it."""
    return {
        "status": action,
        "id": CONTAINER_ID,
        "Type": "container",
        "Action": action,
        "Actor": {"ID": CONTAINER_ID, "Attributes": {"name": "web", **attributes}},
        "scope": "local",
        "time": at_ns // 10**9,
        "timeNano": at_ns,
    }
