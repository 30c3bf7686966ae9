"""
A far side that is there to be hurt: containers that change as they are told, and a record of it.

It answers like an engine as far as the gate asks it, takes a moment for each change, and tells
which changes overlapped on one container.
"""

import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.adapters.engine.fake_daemon import IMAGE_ID, inspected, line


@dataclass
class Host:
    """Containers by id, and what was done to them."""

    url: str
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: ``POST /containers/…/restart`` as it came, version and query left out.
    acts: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    #: Paths of looks that are not answered before somebody says so.
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    #: Set as soon as somebody has listed them.
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    #: Ids on which two changes were under way at once.
    overlaps: list[str] = field(default_factory=list)
    _changing: set[str] = field(default_factory=set)
    _starts: Iterator[int] = field(default_factory=itertools.count)

    def add(self, container_id: str, name: str, **labels: str) -> None:
        """Let there be a running container."""
        self.containers[container_id] = inspected(
            Id=container_id,
            Name=f"/{name}",
            Config={"Labels": labels, "Hostname": container_id[:12]},
            NetworkSettings={"Networks": {}},
            State={"StartedAt": self._now()},
        )

    def _now(self) -> str:
        return f"2026-11-22T03:00:00.{next(self._starts):09d}Z"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        path = request.path.removeprefix("/v1.41")
        self.requests.append((request.method, request.raw_path.partition("?")[0]))
        if request.method == "GET":
            if path in self.held:
                await self.held[path].wait()
            return self._look(path)
        self.acts.append(f"{request.method} {path}")
        parts = path.strip("/").split("/")
        about = parts[1] if len(parts) > 1 else ""
        if about == "create":
            about = f"create {len(self.acts)}"  # each makes another one
        if about in self._changing:
            self.overlaps.append(about)
        self._changing.add(about)
        try:
            # Long enough for another one to come in between.
            await asyncio.sleep(0.002)
            return self._change(request, parts, await request.text())
        finally:
            self._changing.discard(about)

    def _look(self, path: str) -> web.Response:
        if path == "/version":
            return _json({"ApiVersion": "1.41"})
        if path == "/containers/json":
            self.listed.set()
            return _json([_listed(one) for one in self.containers.values()])
        parts = path.strip("/").split("/")
        one = self.containers.get(parts[1]) if len(parts) == 3 else None
        if one is not None and parts[2] == "json":
            return _json(one)
        if one is not None and parts[2] == "changes":
            return _json(None)
        if path.startswith("/images/"):
            return _json({"Id": IMAGE_ID, "Config": {}})
        return _json({"message": "No such container: x"}, status=404)

    def _change(self, request: web.Request, parts: list[str], body: str) -> web.Response:
        if parts == ["containers", "create"]:
            made = f"{next(self._starts):064x}"
            told = json.loads(body)
            self.add(made, request.query["name"], **(told.get("Labels") or {}))
            self.containers[made]["State"]["Status"] = "created"
            return _json({"Id": made}, status=201)
        one = self.containers.get(parts[1])
        if parts[0] != "containers" or one is None:
            return _json({"message": "No such container: x"}, status=404)
        if request.method == "DELETE":
            del self.containers[parts[1]]
            return web.Response(status=204)
        if parts[2] == "stop":
            one["State"]["Status"] = "exited"
        else:
            one["State"] |= {"Status": "running", "StartedAt": self._now()}
        return web.Response(status=204)


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    return line(
        Id=one["Id"],
        Names=[one["Name"]],
        Labels=one["Config"]["Labels"],
        State=one["State"]["Status"],
    )


def _json(body: object, *, status: int = 200) -> web.Response:
    headers = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(body).encode(), headers=headers, status=status)


@asynccontextmanager
async def a_host() -> AsyncIterator[Host]:
    """Open one on a socket of its own."""
    folder = Path(tempfile.mkdtemp(prefix="relevo-"))
    host = Host(url=f"unix://{folder}/docker.sock")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", host.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "docker.sock")).start()
        yield host
    finally:
        await runner.cleanup()
        shutil.rmtree(folder)
