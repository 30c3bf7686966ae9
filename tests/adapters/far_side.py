"""Far sides for tests: a strict fake over a real socket, and real programs."""

import asyncio
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """How the fake answers one path."""

    body: bytes | str = b"{}"
    status: int = 200
    #: Take the request and never answer.
    hangs: bool = False
    #: Answer a byte every 20 ms, for ever.
    drips: bool = False
    #: Close the connection in the middle of the answer.
    breaks: bool = False
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Posted:
    """What came with a POST."""

    path: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes


@dataclass
class FarSide:
    """An HTTP server that answers as told and remembers what it was asked; 404 for the rest."""

    url: str
    #: By path; what is posted by ``POST /path``.
    answers: dict[str, Answer] = field(default_factory=dict)
    #: Paths with queries, in order, of what was asked without a body.
    asked: list[str] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            # A cancelled handler makes asyncio's streams log an error of their own: end quietly.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                if method == "POST":
                    self.posted.append(await _posted(path, head, reader))
                    await self._answer(self.answers.get(f"POST {path}"), writer)
                else:
                    self.asked.append(path)
                    await self._answer(self.answers.get(path.partition("?")[0]), writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def hang_up(self) -> None:
        """End every connection that is still open."""
        for task in tuple(self._open):
            task.cancel()
            await task

    async def _answer(self, answer: Answer | None, writer: asyncio.StreamWriter) -> None:
        answer = answer or Answer(body="not known here", status=404)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        if answer.hangs:
            await asyncio.Event().wait()
        length = 10**6 if answer.drips or answer.breaks else len(body)
        lines = (f"HTTP/1.1 {answer.status} Said", f"Content-Length: {length}", *answer.headers)
        writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode())
        writer.write(body)
        await writer.drain()
        while answer.drips:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)


async def _posted(path: str, head: str, reader: asyncio.StreamReader) -> Posted:
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
    headers = {name.lower(): value.strip() for name, _, value in lines}
    return Posted(path, headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def far_side(path: Path | None = None) -> AsyncIterator[FarSide]:
    """Run a fake on a free port of loopback, or on a unix socket."""
    side = FarSide("")
    if path is None:
        server = await asyncio.start_server(side.serve, "127.0.0.1", 0)
        side.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await asyncio.start_unix_server(side.serve, str(path))
        side.url = f"unix://{path}"
    try:
        yield side
    finally:
        server.close()
        await side.hang_up()
        if path is not None:
            path.unlink(missing_ok=True)


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def program(arguments: list[str], *, log: Path, ready: str) -> Iterator[None]:
    """Run a real server until the end of the block; `ready` is the URL that says it is up."""
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(lambda: answers(ready), what=lambda: f"{arguments[0]}: {log.read_text()[-2000:]}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def answers(url: str) -> bool:
    """Whether a GET answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(true: Callable[[], bool], *, what: Callable[[], str], seconds: float = 15) -> None:
    """Poll until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what()}")
        time.sleep(0.05)


async def eventually(true: Callable[[], Awaitable[bool]], *, seconds: float = 15) -> None:
    """Poll until something is true; TimeoutError where it never is."""
    async with asyncio.timeout(seconds):
        while True:
            if await true():
                return
            await asyncio.sleep(0.02)
