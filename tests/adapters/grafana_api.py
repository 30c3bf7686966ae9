"""
Grafana's annotation API over a real socket: strict where Grafana is lenient.

As `pkg/api/annotations.go` and its store have it, of Grafana 9 to 13: a tag is split at its
colons and two pieces are kept; the columns of both are a hundred characters wide; all tags of
one annotation fit in 500; a query finds what has as many matching tags as were asked for.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glsa_a1b2c3"
_WORDS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
#: 2001 and 2100: what is outside is no number of milliseconds.
_FIRST_MS, _LAST_MS = 978_307_200_000, 4_102_444_800_000
_TYPES: dict[str, type] = {"time": int, "timeEnd": int, "text": str, "tags": list}


class _Bad(Exception):
    """What Grafana, or this fake, answers an error to."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Grafana:
    """One Grafana: its annotations outlive a restart."""

    port: int = 0
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    #: Method and path of each request that was read, whatever was answered.
    asked: list[str] = field(default_factory=list)
    #: What was wrong with requests: empty at the end of a test that does nothing wrong.
    complaints: list[str] = field(default_factory=list)
    #: Take requests and never answer.
    hangs: bool = False
    #: Seconds that each answer takes.
    takes: float = 0.0
    #: Answer this to everything.
    status: int | None = None
    #: Answer 500 to annotations with this in their text.
    stumbles_over: str | None = None
    #: Do what is asked, and hang up before the answer; so often.
    lose: int = 0
    token: str = TOKEN
    prefix: str = ""
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections until started again, and end those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._open):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def told(self) -> list[tuple[list[str], int, int]]:
        """Tags, beginning and end of each annotation, the oldest first."""
        return [(one["tags"], one["time"], one["timeEnd"]) for one in self.annotations.values()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._one(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        request, *lines = head.split("\r\n")
        method, path, _ = request.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in map(_halves, lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(f"{method} {path.partition('?')[0]}")
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.takes)
        try:
            answer: object = self._answer(method, path, headers, body)
            status = 200
        except _Bad as exc:
            status, answer = exc.status, {"message": str(exc)}
        if self.lose:
            self.lose -= 1
            return
        raw = json.dumps(answer).encode()
        said = f"HTTP/1.1 {status} {_WORDS.get(status, 'Said')}\r\nContent-Length: {len(raw)}\r\n"
        writer.write(said.encode() + b"Connection: close\r\n\r\n" + raw)
        await writer.drain()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> object:
        if self.status is not None:
            raise _Bad(self.status, "as told")
        if headers.get("authorization") != f"Bearer {self.token}":
            raise _Bad(401, "Unauthorized")
        where = urlsplit(path)
        base = f"{self.prefix}/api/annotations"
        if method == "GET" and where.path == base:
            return self._found(where.query)
        if method == "POST" and where.path == base:
            return self._added(self._document(headers, body))
        if method == "PATCH" and where.path.startswith(f"{base}/"):
            return self._patched(where.path.rpartition("/")[2], self._document(headers, body))
        raise _Bad(404, "Not found")

    def _found(self, query: str) -> list[dict[str, Any]]:
        asked = parse_qs(query, strict_parsing=True)
        self._no_others(asked, {"tags", "type", "limit"})
        if asked.get("type") != ["annotation"]:
            self._complain("alerts' annotations are asked for as well")
        wanted = {_split(tag) for tag in asked["tags"]}
        found = [
            one
            for one in self.annotations.values()
            if sum(_matches(have, want) for have in map(_split, one["tags"]) for want in wanted)
            == len(wanted)
        ]
        return found[::-1][: int(asked["limit"][0])]

    def _added(self, document: dict[str, Any]) -> dict[str, object]:
        if not document.get("text"):
            raise _Bad(400, "text field should not be empty")
        number = max(self.annotations, default=0) + 1
        self.annotations[number] = {"id": number, "alertId": 0, "panelId": 0, "login": "sa-relevo"}
        self._take(number, document)
        self.annotations[number].setdefault("timeEnd", document["time"])
        return {"message": "Annotation added", "id": number}

    def _patched(self, number: str, document: dict[str, Any]) -> dict[str, object]:
        if not number.isdecimal() or int(number) not in self.annotations:
            raise _Bad(404, "Could not find annotation to update")
        self._take(int(number), document)
        return {"message": "Annotation patched"}

    def _take(self, number: int, document: dict[str, Any]) -> None:
        tags = [_split(tag) for tag in document["tags"]]
        kept = {":".join(filter(None, tag)): None for tag in tags}
        if list(kept) != document["tags"]:
            self._complain(f"tags that would be lost or changed: {document['tags']}")
        self.annotations[number] |= document | {"tags": list(kept)}

    def _document(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        if headers.get("content-type") != "application/json":
            self._complain("a body that is not said to be JSON")
        document = json.loads(body)
        self._no_others(document, set(_TYPES))
        if not {"time", "text", "tags"} <= set(document):
            self._complain(f"not the whole story: {sorted(document)}")
        if not all(isinstance(tag, str) for tag in document["tags"]):
            self._complain(f"tags that are no text: {document['tags']}")
        for name, value in document.items():
            if type(value) is not _TYPES[name]:
                self._complain(f"{name} is {value!r}")
        for name in ("time", "timeEnd"):
            if name in document and not _FIRST_MS < document[name] < _LAST_MS:
                self._complain(f"{name}: {document[name]} is no number of milliseconds")
        if document.get("timeEnd", document["time"]) < document["time"]:
            self._complain("it ends before it begins")
        tags = document["tags"]
        if "relevo" not in tags or sum(tag.partition(":")[0] == "relevo" for tag in tags) != 1:
            self._complain(f"not found by the tag relevo: {tags}")
        if any(len(piece) > 100 for tag in tags for piece in _split(tag)):
            raise _Bad(500, "value too long for type character varying(100)")
        if len(json.dumps(tags, separators=(",", ":"))) > 500:
            raise _Bad(400, "Tags length exceeds the maximum allowed.")
        if self.stumbles_over is not None and self.stumbles_over in document["text"]:
            raise _Bad(500, "Failed to save annotation")
        return dict(document)

    def _no_others(self, found: dict[str, Any], known: set[str]) -> None:
        if set(found) - known:
            self._complain(f"unknown fields: {set(found) - known}")

    def _complain(self, what: str) -> None:
        self.complaints.append(what)
        raise _Bad(400, f"bad request data: {what}")


def _halves(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _split(tag: str) -> tuple[str, str]:
    key, _, rest = tag.partition(":")
    return key.strip(), rest.partition(":")[0].strip()


def _matches(have: tuple[str, str], want: tuple[str, str]) -> bool:
    # A tag without value is asked for by its key alone.
    return have[0] == want[0] and (not want[1] or have[1] == want[1])


@asynccontextmanager
async def running_grafana(prefix: str = "") -> AsyncIterator[Grafana]:
    """Run one on a free port of loopback; a wrong request fails the test at the end."""
    grafana = Grafana(prefix=prefix)
    await grafana.start()
    try:
        yield grafana
    finally:
        await grafana.stop()
    assert grafana.complaints == []
