"""Senders that never come to an end, over real sockets: bounded, and nobody else waits for them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest
import uvicorn

from app.api import body as bodies
from app.web import patience
from tests.api.conftest import application
from tests.api.test_webhooks import alert, counts, notification
from tests.chaos.pager import WEBHOOK
from tests.controller.house import House
from tests.engine_lab import until

pytestmark = pytest.mark.timeout(60)

#: In place of ten seconds.
BODY_TAKES: Final = 0.5
#: In place of fifteen.
ARRIVES_WITHIN: Final = 2.0
#: More than one server's backlog of work, and less than its files.
SENDERS: Final = 100
JSON: Final = "Content-Type: application/json\r\n"


@pytest.fixture
async def port(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of the application behind the real server, as `app/main.py` configures it."""
    monkeypatch.setattr(bodies, "BODY_TAKES", BODY_TAKES)
    monkeypatch.setattr(patience, "ARRIVES_WITHIN", ARRIVES_WITHIN)
    await house.tenure.beat()
    config = uvicorn.Config(
        application(house),
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        http=patience.PatientHttp,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())

    async def listens() -> bool:
        return server.started

    await until(listens)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


class Sender:
    """One that sends a beginning, and then a byte now and then for as long as it is let."""

    def __init__(self, port: int, head: str, drop: bytes, *, whole: bytes | None = None) -> None:
        self._port = port
        notice = f"POST {WEBHOOK} HTTP/1.1\r\nHost: relevo\r\n{head}".encode()
        self._head = notice if whole is None else whole
        self._drop = drop
        self.began_at = 0.0
        #: How long it was let.
        self.took = 0.0
        self.answer = b""

    async def run(self) -> None:
        """Send until the other side has closed the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.began_at = time.monotonic()
        writer.write(self._head)
        reading = asyncio.create_task(reader.read())
        try:
            while not reading.done():
                writer.write(self._drop)
                await asyncio.wait({reading}, timeout=0.05)
            # Whoever still sends into a closed connection is reset.
            with contextlib.suppress(ConnectionError):
                self.answer = await reading
            self.took = time.monotonic() - self.began_at
        finally:
            reading.cancel()
            writer.transport.abort()


@contextlib.asynccontextmanager
async def sending(*senders: Sender) -> AsyncIterator[asyncio.Future[list[None]]]:
    """Have them send, all at once."""
    running = asyncio.gather(*(sender.run() for sender in senders))

    async def all_have_begun() -> bool:
        return all(sender.began_at for sender in senders)

    await until(all_have_begun)
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def is_served(port: int) -> None:
    """See that a sender with nothing wrong about it is answered at once."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as http:
        answer = await http.post(WEBHOOK, json=notification(alert()))
        assert (answer.status_code, answer.json()) == (202, counts(accepted=1))
        assert (await http.get("/-/healthy")).status_code == 200


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (f"{JSON}Content-Length: 100000\r\n\r\n{{", b" "),
        (f"{JSON}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n", b"1\r\n \r\n"),
        # Not one byte of it.
        (f"{JSON}Content-Length: 100000\r\n\r\n", b""),
    ],
    ids=["drips", "drips in chunks", "falls silent"],
)
async def test_a_body_without_end_is_refused_in_time(
    port: int, house: House, head: str, drop: bytes
) -> None:
    senders = [Sender(port, head, drop) for _ in range(SENDERS)]
    async with sending(*senders) as running:
        await is_served(port)
        async with asyncio.timeout(20):
            await running

    # Whoever goes on sending into a closed connection may be reset before he has read the answer.
    answered = [sender for sender in senders if sender.answer or not drop]
    for sender in answered:
        assert sender.answer.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in sender.answer.lower()
        assert b"took longer than 0.5 s" in sender.answer
    assert min(sender.took for sender in senders) >= BODY_TAKES - 0.05
    assert await house.store.history.asides() == ()


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"GET /-/healthy HTTP/1.1\r\nHost: relevo\r\nX-Slow: ", b"a"),
        (b"GET /-/healthy HTTP/1.1\r\nHost: relevo\r\n\r\n", b"\r\n"),
        (b"GET /-/healthy HTTP/1.1\r\nHost: relevo\r\n\r\nGET / HTTP/1.1\r\nX-Slow: ", b"a"),
        (b"POST /docs HTTP/1.1\r\nHost: relevo\r\nContent-Length: 100000\r\n\r\n", b"a"),
    ],
    ids=["nothing", "empty lines", "headers", "after one", "the next one", "what nobody reads"],
)
async def test_a_request_that_never_arrives_is_cut_off(
    port: int, first: bytes, drop: bytes
) -> None:
    senders = [Sender(port, "", drop, whole=first) for _ in range(SENDERS)]
    async with sending(*senders) as running:
        await is_served(port)
        async with asyncio.timeout(10 * ARRIVES_WITHIN):
            await running

    assert min(sender.took for sender in senders) >= ARRIVES_WITHIN - 0.05


async def test_a_head_without_end_is_refused(port: int) -> None:
    line = b"X-Long: " + b"a" * 1000 + b"\r\n"
    sender = Sender(port, "", b"", whole=b"GET /-/healthy HTTP/1.1\r\n" + 100 * line)

    await sender.run()

    assert sender.answer.startswith(b"HTTP/1.1 400 ")
    assert b"larger than 16384 bytes" in sender.answer
    await is_served(port)


async def test_a_body_that_takes_a_moment_is_taken(port: int) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        whole = httpx.Request("POST", "http://relevo", json=notification(alert())).content
        for start in range(0, len(whole), 64):
            yield whole[start : start + 64]
            await asyncio.sleep(0.01)

    async with httpx.AsyncClient(timeout=5) as http:
        answer = await http.post(
            f"http://127.0.0.1:{port}{WEBHOOK}",
            content=in_pieces(),
            headers={"Content-Type": "application/json"},
        )

    assert answer.json() == counts(accepted=1)
