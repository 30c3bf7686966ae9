"""Server-sent events: their form, who may follow, and how they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn

from app.adapters.clock import LoopClock
from app.api.deps import Scope, Tokens
from app.api.events import LONGEST, PING
from app.api.rotation import RotatingTokens
from app.api.sessions import COOKIE, Sessions
from app.controller.feed import MOST_LISTENERS, MOST_OF_ONE
from app.domain.control import Halt
from tests.api.conftest import application
from tests.builders import START
from tests.controller.house import House, build, pass_time
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store
from tests.web.conftest import FROM_HERE, TOKENS, browser

EVENTS = "/api/v1/events"


class Stream:
    """One who follows, over the application's own interface."""

    def __init__(
        self,
        house: House,
        headers: dict[str, str] | None = None,
        tokens: dict[Scope, list[str]] | None = None,
    ) -> None:
        self._app = application(house, tokens)
        sent = {"Host": "127.0.0.1:5000", **(headers or {})}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._left = asyncio.Event()
        self._text = ""
        self.is_over = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stream"]:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": EVENTS,
            "raw_path": EVENTS.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": self._headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 5000),
        }
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await self._left.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        task = asyncio.create_task(self._app(scope, receive, self._sent.put))  # type: ignore[arg-type]
        self.start = await self._sent.get()
        try:
            yield self
        finally:
            self._left.set()
            with suppress(asyncio.CancelledError):
                await task

    def take(self, tokens: dict[Scope, list[str]]) -> None:
        """Have these tokens count from now on."""
        known = self._app.state.parts.tokens
        assert isinstance(known, RotatingTokens)
        known.take(tokens)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    async def block(self) -> str:
        """What comes next, up to its empty line; empty at the end."""
        while "\n\n" not in self._text:
            message = await self._sent.get()
            self._text += message.get("body", b"").decode()
            if not message.get("more_body", False):
                self.is_over = True
                return ""
        block, _, self._text = self._text.partition("\n\n")
        return block

    async def event(self) -> tuple[str, str, Any]:
        """The next event: its name, its id, its data."""
        block = await self.block()
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        return fields["event"], fields["id"], json.loads(fields["data"])


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(house.controller.feed.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def halt() -> Halt:
    return Halt(reason="r", author="a", since=START)


@pytest.mark.looptime
async def test_it_says_hello_and_then_what_changes(house: House) -> None:
    async with watched(house), Stream(house).open() as stream:
        hello = await stream.event()
        await house.store.controls.set_hold("host1:web", halt())
        change = await stream.event()

    assert stream.start["status"] == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store"
    assert "content-encoding" not in stream.headers
    assert hello == ("hello", "one-life.0", {})
    assert change == (
        "change",
        "one-life.1",
        {"targets": ["host1:web"], "remediations": [], "status": False, "everything": False},
    )


@pytest.mark.looptime
async def test_a_quiet_one_is_kept_alive(house: House) -> None:
    async with watched(house), Stream(house).open() as stream:
        await stream.block()
        begin = house.clock.now()
        # Not a comment: a page's script hears events only. And one without an id, and with data.
        assert await stream.block() == "event: ping\ndata: {}"
        assert abs(house.clock.now() - begin - PING) < timedelta(seconds=1)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("known", "everything"),
    [("one-life.0", False), ("one-life.99", True), ("another.0", True), ("nonsense", True)],
)
async def test_who_comes_back_says_what_is_known(
    house: House, known: str, everything: bool
) -> None:
    async with watched(house), Stream(house).open() as first:
        await first.event()
        await house.store.controls.set_hold("host1:web", halt())
        await first.event()
        async with Stream(house, {"Last-Event-ID": known}).open() as back:
            assert (await back.event())[0] == "hello"
            _, _, data = await back.event()

    assert data["everything"] is everything
    assert data["targets"] == ([] if everything else ["host1:web"])


@pytest.mark.looptime
async def test_it_ends_after_an_hour(house: House) -> None:
    async with watched(house), Stream(house).open() as stream:
        begin = house.clock.now()
        while await stream.block():
            pass

    assert stream.is_over
    assert LONGEST <= house.clock.now() - begin <= LONGEST + PING


@pytest.mark.looptime
async def test_who_leaves_is_forgotten(house: House) -> None:
    async with watched(house):
        async with Stream(house).open() as stream:
            await stream.event()
            assert len(house.controller.feed._listeners) == 1
        await pass_time(seconds=1)
        assert house.controller.feed._listeners == set()


@pytest.mark.looptime
async def test_one_too_many_is_told_to_come_later(house: House) -> None:
    feed = house.controller.feed
    listening = [feed.listening() for _ in range(MOST_LISTENERS)]
    for one in listening:
        one.__enter__()
    async with browser(house) as http:
        answer = await http.get(EVENTS)

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]


@pytest.mark.looptime
async def test_a_burst_takes_no_more_places_than_there_are(house: House) -> None:
    async with watched(house), AsyncExitStack() as stack:
        streams = [Stream(house) for _ in range(MOST_LISTENERS + 6)]
        await asyncio.gather(*(stack.enter_async_context(one.open()) for one in streams))

        assert [one.start["status"] for one in streams].count(200) == MOST_LISTENERS
        assert {one.start["status"] for one in streams} == {200, 503}
        assert len(house.controller.feed._listeners) == MOST_LISTENERS
    assert house.controller.feed._listeners == set()


@pytest.mark.looptime
async def test_one_token_does_not_take_all_places(house: House) -> None:
    shown = {"Authorization": "Bearer read"}
    async with watched(house), AsyncExitStack() as stack:
        streams = [Stream(house, shown, TOKENS) for _ in range(MOST_OF_ONE + 1)]
        await asyncio.gather(*(stack.enter_async_context(one.open()) for one in streams))
        other = Stream(house, {"Authorization": "Bearer operate"}, TOKENS)
        await stack.enter_async_context(other.open())

    assert sorted(one.start["status"] for one in streams) == [200] * MOST_OF_ONE + [503]
    assert other.start["status"] == 200


@pytest.mark.looptime
async def test_one_session_does_not_take_all_places(house: House) -> None:
    async with watched(house), AsyncExitStack() as stack:
        mine = session(house)
        for _ in range(MOST_OF_ONE):
            await stack.enter_async_context(Stream(house, mine, TOKENS).open())
        late = Stream(house, mine, TOKENS)
        await stack.enter_async_context(late.open())
        # Somebody else, with the same token.
        other = Stream(house, session(house), TOKENS)
        await stack.enter_async_context(other.open())

    assert (late.start["status"], other.start["status"]) == (503, 200)


def session(house: House) -> dict[str, str]:
    """What a browser that has logged in sends along."""
    sessions = Sessions(Tokens(TOKENS), house.clock, lambda: house.store.orders)
    return {"Cookie": f"{COOKIE}_5000={sessions.open('read')}"}


@pytest.mark.looptime
@pytest.mark.parametrize("is_quiet", [True, False])
async def test_a_session_that_is_over_hears_no_more(house: House, is_quiet: bool) -> None:
    """It was logged out at another controller of the same store."""
    mine = session(house)
    async with watched(house), Stream(house, mine, TOKENS).open() as stream:
        assert (await stream.event())[0] == "hello"
        elsewhere = Sessions(Tokens(TOKENS), house.clock, lambda: house.store.orders)
        found = await elsewhere.of(mine["Cookie"].partition("=")[2])
        assert found is not None
        await pass_time(seconds=10)
        await elsewhere.end(found)
        begin = house.clock.now()
        while not stream.is_over:
            if not is_quiet:
                held = halt() if await house.store.controls.pause() is None else None
                await house.store.controls.set_pause(held)
            await stream.block()

    assert house.clock.now() - begin <= 2 * PING


@pytest.mark.looptime
@pytest.mark.parametrize("by", ["token", "session", "nothing"])
async def test_with_its_token_a_stream_ends_before_another_word(house: House, by: str) -> None:
    shown = {"token": {"Authorization": "Bearer read"}, "session": session(house), "nothing": {}}
    stream = Stream(house, shown[by], {} if by == "nothing" else TOKENS)
    async with watched(house), stream.open():
        assert (await stream.event())[0] == "hello"
        stream.take(TOKENS | {Scope.READ: ["next"]})
        await house.store.controls.set_hold("host1:web", halt())

        assert await stream.block() == ""

    assert stream.is_over


@pytest.mark.looptime
async def test_while_nothing_can_be_looked_at_it_is_kept_alive_and_says_no_hello(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = house.controller.feed
    look = feed._look

    async def fail() -> object:
        raise RuntimeError("odd")

    monkeypatch.setattr(feed, "_look", fail)
    async with watched(house), Stream(house).open() as stream:
        assert await stream.block() == "event: ping\ndata: {}"
        assert await stream.block() == "event: ping\ndata: {}"
        monkeypatch.setattr(feed, "_look", look)
        assert (await stream.event())[0] == "hello"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("wrong", 401), ("in", 403), ("read", 200), ("admin", 200)]
)
async def test_following_takes_the_right_to_read(
    house: House, token: str | None, status: int
) -> None:
    async with browser(house, TOKENS) as http:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with watched(house) as task:
            asking = asyncio.create_task(http.get(EVENTS, headers=headers))
            await pass_time(seconds=2)
            task.cancel()
            assert (await asking).status_code == status


@pytest.mark.looptime
async def test_a_session_may_follow(house: House) -> None:
    async with browser(house, TOKENS) as http:
        await http.post("/login", data={"token": "read"}, headers=FROM_HERE)
        async with watched(house) as task:
            asking = asyncio.create_task(http.get(EVENTS))
            await pass_time(seconds=2)
            task.cancel()
            answer = await asking

    assert answer.status_code == 200
    assert "event: hello" in answer.text


async def test_a_follower_does_not_hold_up_the_end() -> None:
    """Over a real socket, as uvicorn ends: it waits for open answers."""
    clock = LoopClock()
    engine = FakeEngine(clock)
    engine.run(web())
    house = build(make_store(), clock, engine)
    await house.tenure.beat()
    config = uvicorn.Config(
        application(house, {Scope.READ: ["read"]}),
        port=0,
        log_config=None,
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with watched(house) as feeding:
        while not server.started:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
        (listening,) = server.servers[0].sockets
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{EVENTS}"
        async with (
            httpx.AsyncClient(headers={"Authorization": "Bearer read"}) as http,
            http.stream("GET", url) as answer,
        ):
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            begin = clock.now()
            server.should_exit = True
            feeding.cancel()  # as app.main cancels every loop
            async with asyncio.timeout(5):
                await serving
            assert (clock.now() - begin).total_seconds() < 3
