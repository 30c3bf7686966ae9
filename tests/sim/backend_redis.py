"""A real Redis with the real Lua scripts, asked synchronously: no I/O is ever pending."""

import shutil
import subprocess
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from app.adapters.store.opening import assemble
from app.ports import Store
from tests.sim.loop import VirtualLoop
from tests.sim.weather import Failed, Wire

_START_S = 20.0
_PROGRAMS = ("redis-server", "valkey-server")


class Server:
    """One server process on a unix socket; it keeps nothing on disk."""

    def __init__(self) -> None:
        shm = Path("/dev/shm")
        self._dir = Path(tempfile.mkdtemp(prefix="relevo-sim-", dir=shm if shm.is_dir() else None))
        program = next((p for p in map(shutil.which, _PROGRAMS) if p), None)
        if program is None:
            from app.adapters.store.server_program import bundled_server

            program = bundled_server()
        socket = self._dir / "redis.sock"
        self._process = subprocess.Popen(
            [
                program,
                "--port",
                "0",
                "--unixsocket",
                str(socket),
                "--dir",
                str(self._dir),
                "--save",
                "",
                "--appendonly",
                "no",
                "--maxmemory-policy",
                "noeviction",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = redis.Redis(unix_socket_path=str(socket), protocol=2)
        give_up = time.monotonic() + _START_S
        while True:
            try:
                self.client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.01)
        self._connection: Any = self.client.connection_pool.get_connection()
        self._socket: Any = self._connection._sock
        self._reader = hiredis.Reader(replyError=self._connection._parser.parse_error)
        self.scripts: dict[str, str] = {}
        #: Requests that were answered.
        self.asked = 0

    def ask(self, *args: Any, **options: Any) -> Any:
        """Send one request and wait for its answer."""
        self.asked += 1
        try:
            return self._ask(args, options)
        except NoScriptError:
            self.client.script_load(self.scripts[str(args[1])])
            return self._ask(args, options)

    def _ask(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args[0] == "EVALSHA":
            return self._run(args)
        self._connection.send_command(*args)
        client: Any = self.client
        return client.parse_response(self._connection, args[0], **options)

    def _run(self, args: tuple[Any, ...]) -> Any:
        """Run a script: what it answers is taken as it is, and nearly all requests are these."""
        self._socket.sendall(hiredis.pack_command(args))
        while True:
            answer = self._reader.gets()
            if answer is not False:
                break
            said = self._socket.recv(65536)
            if not said:
                raise redis.ConnectionError("the server has gone")
            self._reader.feed(said)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / 100

    def stop(self) -> None:
        """End it, and remove its directory."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._dir, ignore_errors=True)


_SERVER: list[Server] = []


def server() -> Server:
    """The server of this worker process; started once."""
    if not _SERVER:
        _SERVER.append(Server())
    return _SERVER[0]


def stop_server() -> None:
    """End it."""
    while _SERVER:
        _SERVER.pop().stop()


class _Client(redis.asyncio.Redis):
    """The client that the store's adapter is handed."""

    def __init__(self, backend: "RedisBackend", wire: Wire | None) -> None:
        super().__init__(protocol=2, driver_info=None)
        self._backend = backend
        self._wire = wire

    def register_script(self, script: Any) -> Any:
        made = super().register_script(script)
        self._backend.server.scripts[str(made.sha)] = str(script)
        return made

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        backend, wire = self._backend, self._wire
        apply: Any = (
            backend.info if args[0] == "INFO" else partial(backend.server.ask, *args, **options)
        )
        if wire is None or wire.weather.is_fair:
            return apply()
        try:
            return await wire.carry(apply)
        except Failed as exc:
            raise _ERRORS.get(exc.word, redis.ConnectionError)(exc.word) from exc


_ERRORS: dict[str, type[Exception]] = {
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "LOADING": BusyLoadingError,
    "MISCONF": ResponseError,
}


class RedisBackend:
    """The store's own adapters over one server."""

    def __init__(self, wire: Wire, _loop: VirtualLoop, server: Server) -> None:
        self.wire = wire
        self.server = server
        server.client.flushall()
        self._lives = 0
        #: Held on to: collected at odd moments, they would make the run differ from itself.
        self._opened: list[AbstractAsyncContextManager[Store]] = []

    def info(self) -> dict[str, object]:
        """What INFO tells."""
        return {
            "redis_version": "7.0.15",
            "role": "master",
            "aof_enabled": 1,
            "aof_last_write_status": "ok",
            "maxmemory_policy": "noeviction",
            "maxmemory": 0,
            "used_memory": 1_000_000,
            "run_id": f"server-{self._lives}",
        }

    async def view(self) -> Store:
        return await self._open(self.wire)

    async def truth(self) -> Store:
        return await self._open(None)

    async def _open(self, wire: Wire | None) -> Store:
        opening = assemble(_Client(self, wire))
        self._opened.append(opening)
        return await opening.__aenter__()

    def snapshot(self) -> object:
        client = self.server.client
        keys = sorted(client.keys("*"))
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.dump(key)
        return list(zip(keys, pipe.execute(), strict=True))

    def restore(self, snapshot: object) -> None:
        pipe = self.server.client.pipeline(transaction=False)
        pipe.flushall()
        for key, value in snapshot:  # type: ignore[attr-defined]
            pipe.restore(key, 0, value)
        pipe.execute()

    def empty(self) -> None:
        self.server.client.flushall()

    def restart(self) -> None:
        self._lives += 1

    def close(self) -> None:
        """Let go; the server is stopped by whoever started it."""
