"""Names that must never become requests, and paths that must not be there: at the gate's socket."""

import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.adapters.engine.endpoints import is_listed
from app.adapters.gate import speech, words
from app.adapters.gate.client import GateEngine
from app.adapters.gate.line import GateLine
from tests.adapters.engine.fake_daemon import CONTAINER_ID, STARTED_AT, FakeDaemon, Reply
from tests.adapters.engine.hostile import HOSTILE
from tests.adapters.gate.scenes import ready
from tests.gate_lab import a_gate

#: Every path of the Engine's own specification (API 1.41, swagger.yaml): method and path.
SPECIFIED = [
    line.split(" ", 1)
    for line in (Path(__file__).parent / "engine_paths.txt").read_text().splitlines()
]
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
SERVICE = "s" * 25
START = f"POST /containers/{CONTAINER_ID}/start"
OURS = {*words.WISHES, *words.QUESTIONS, words.EVENTS, words.EXTEND, words.ABANDON}
#: Room for an action after each name.
POLICIES = "version: 1\nguards: {burst: 1000, per_hour: 3600}\n"


@pytest.fixture
async def session(daemon: FakeDaemon, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends whatever it likes."""
    ready(daemon)
    async with (
        a_gate(daemon.url, folder, policies=POLICIES) as path,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as opened,
    ):
        yield opened


def wish(word: str, number: int, **more: Any) -> dict[str, Any]:
    """What a client would send that means no harm, but for `more`."""
    common = {
        "id": SERVICE if word in ("force_update", "scale") else CONTAINER_ID,
        "attempt_id": "a.1",
        "sent_at": 0.0,
        "not_after": None,
        "ticket": f"ticket-{number:012d}",
    }
    own: dict[str, dict[str, Any]] = {
        "restart": {"expected_started_at": STARTED_AT, "stop_grace": "PT10S"},
        "clone": {"rules": {}, "dry_run": False},
        "set_aside": {"networks": None, "expected_started_at": STARTED_AT},
        "bring_back": {"networks": "", "ends": None, "starts": True},
        "force_update": {"expected_template": "t"},
        "scale": {"expected_replicas": 1, "to": 2},
    }
    return common | own.get(word, {}) | more


async def post(session: aiohttp.ClientSession, word: str, body: object) -> Any:
    raw = json.dumps(body).encode()  # (half surrogates as escapes)
    async with session.post(f"http://gate{speech.PATH}{word}", data=raw) as answer:
        assert answer.status == 200
        return await answer.json()


def test_there_are_enough() -> None:
    assert len(set(HOSTILE)) >= 500
    assert len(SPECIFIED) > 100


@pytest.mark.parametrize("word", [*words.WISHES, *words.QUESTIONS])
async def test_no_name_reaches_the_engine(
    session: aiohttp.ClientSession, daemon: FakeDaemon, word: str
) -> None:
    """Sent past the client, which would not have sent them."""
    of_a_service = word in ("service", "force_update", "scale")
    for number, name in enumerate(HOSTILE):
        if of_a_service and name == "a" * 25:
            continue  # which has the form of a service's id
        body = wish(word, number, id=name) if word in words.WISHES else {"id": name}
        answer = await post(session, word, body)

        assert answer["error"]["kind"] == "ValueError", name
        if len(name) > 20:
            assert name not in json.dumps(answer, ensure_ascii=False)

    assert daemon.requests == []


async def test_the_client_asks_for_none_of_them(line: GateLine, daemon: FakeDaemon) -> None:
    ready(daemon)
    engine = GateEngine(line)
    for name in HOSTILE:
        with pytest.raises(ValueError, match="full id"):
            await engine.inspect(name)
        with pytest.raises(ValueError, match="full id"):
            await engine.start(name, attempt_id="a")

    assert daemon.requests == []


@pytest.mark.parametrize("name", ["attempt_id", "networks", "ends", "expected_started_at"])
async def test_no_other_text_becomes_a_part_of_a_request(
    session: aiohttp.ClientSession, daemon: FakeDaemon, name: str
) -> None:
    word = "set_aside" if name == "expected_started_at" else "bring_back"
    daemon.answer(START, Reply(status=204))
    for number, text in enumerate(filter(None, HOSTILE)):  # (no networks are none to speak of)
        sent = {"attempt_id": f"a.{number}", "sent_at": time.monotonic(), name: text}
        await post(session, word, wish(word, number, **sent))

    # An attempt may be called by any printable name, and `ends` may be anything: it is compared.
    assert set(daemon.acts) == ({START} if name in ("attempt_id", "ends") else set())
    assert all(is_listed(*one.partition("?")[0].split(" ", 1)) for one in daemon.requests)
    paths = {one.partition("?")[0].split(" ")[1].removeprefix("/v1.41") for one in daemon.requests}
    assert paths <= {
        "/version",
        "/containers/json",
        f"/containers/{CONTAINER_ID}/json",
        f"/containers/{CONTAINER_ID}/start",
    }


@pytest.mark.parametrize("prefix", ["", "/v1.41", "/intentions", "/intentions/.."])
async def test_no_path_of_the_engine_is_there(
    session: aiohttp.ClientSession, daemon: FakeDaemon, prefix: str
) -> None:
    """Each of them, by every method, as it is and with all tricks that a path can be written by."""
    for _, path in SPECIFIED:
        there = path.replace("{id}", CONTAINER_ID).replace("{name}", CONTAINER_ID)
        for method in METHODS:
            url = f"http://gate{prefix}{there}"
            if prefix == "/intentions" and there[1:] in OURS:
                continue  # a word of ours that is one of theirs as well
            async with session.request(method, url, data=b"{}") as answer:
                assert answer.status in (404, 405), (method, url)
                assert await answer.read() == b""

    assert daemon.requests == []


async def test_nothing_but_a_post_of_a_known_word_is_answered(
    session: aiohttp.ClientSession, daemon: FakeDaemon
) -> None:
    for word in OURS:
        for method in METHODS:
            if method == "POST":
                continue
            async with session.request(method, f"http://gate{speech.PATH}{word}") as answer:
                assert answer.status == 405
        for other in (f"{word}/", f"{word}/x", f"{word}%2f", f"{word}?x=/../y", word.upper()):
            if "?" in other:
                continue  # a query is not looked at
            async with session.post(f"http://gate{speech.PATH}{other}", data=b"{}") as answer:
                assert answer.status == 404, other

    assert daemon.requests == []


async def test_a_body_that_is_too_large_or_nothing_known_is_refused(
    session: aiohttp.ClientSession, daemon: FakeDaemon
) -> None:
    async with session.post(f"http://gate{speech.PATH}inspect", data=b" " * 300_000) as answer:
        assert answer.status == 413
    bodies = (b"", b"{", b"[]", b"null", b"NaN", b'{"id":1}', b"\xff", b"[" * 100_000,
              b'{"id":"' + b"9" * 5000 + b'"}', b'{"id":"x","and":"more"}')  # fmt: skip
    for body in bodies:
        for word in (*words.WISHES, "inspect", words.EVENTS, words.EXTEND, words.ABANDON):
            async with session.post(f"http://gate{speech.PATH}{word}", data=body) as answer:
                assert answer.status == 200
                assert (await answer.json())["error"]["kind"] == "ValueError", (word, body[:20])

    assert daemon.requests == []


async def test_nothing_is_unpacked(session: aiohttp.ClientSession, daemon: FakeDaemon) -> None:
    """Some kilobytes of it may be a thousand times that."""
    raw = gzip.compress(json.dumps({"id": CONTAINER_ID}).encode())
    headers = {"Content-Encoding": "gzip"}
    async with session.post(f"http://gate{speech.PATH}inspect", data=raw, headers=headers) as told:
        assert (await told.json())["error"]["kind"] == "ValueError"

    assert daemon.requests == []


@pytest.mark.parametrize(
    "fence",
    [
        {"epoch": "e" * 65, "number": 1},
        {"epoch": "e", "number": -1},
        {"epoch": "e", "number": 10**30},
        {"epoch": "e", "number": 1.5},
        {"epoch": None, "number": 1},
        {"epoch": "\ud800", "number": 1},
    ],
)
async def test_an_odd_fence_is_not_kept(
    session: aiohttp.ClientSession, daemon: FakeDaemon, folder: Path, fence: dict[str, Any]
) -> None:
    """The journal would have it, and hold all others against it."""
    sent = wish("restart", 1, fence=fence, sent_at=time.monotonic())

    assert (await post(session, "restart", sent))["error"]["kind"] == "ValueError"

    assert daemon.acts == []
    assert (folder / "data" / "gate.journal").read_bytes() == b""


@pytest.mark.parametrize("moment", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_until_when_is_a_number(session: aiohttp.ClientSession, moment: str) -> None:
    """By none of these is anything late."""
    raw = f'{{"ticket": "{"t" * 20}", "not_after": {moment}}}'
    async with session.post(f"http://gate{speech.PATH}extend", data=raw) as told:
        assert (await told.json())["error"]["kind"] == "ValueError"


def test_what_the_pinned_list_does_not_hold() -> None:
    for method, path in SPECIFIED:
        there = path.replace("{id}", CONTAINER_ID).replace("{name}", CONTAINER_ID)
        for trick in ("prune", "kill", "exec", "commit", "/build", "plugins", "secrets", "swarm"):
            if trick in path:
                assert not is_listed(method, there), path
    assert is_listed("POST", f"/v1.41/containers/{CONTAINER_ID}/restart")
    assert not is_listed("POST", f"/containers/{CONTAINER_ID}/restart/../kill")
    assert not is_listed("GET", f"/containers/{CONTAINER_ID}/archive")
