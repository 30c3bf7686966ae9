"""What has changed, as it happens: server-sent events."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Security
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Scope_

from app.api.deps import Parts, PartsDep, Require, Scope, ShownDep, hash_of
from app.api.errors import documented
from app.api.sessions import Sessions
from app.controller.listener import Change, Listener, told

router = APIRouter(prefix="/api/v1", tags=["events"])

#: Proxies cut connections that are silent for a minute, some after half of that.
PING: Final = timedelta(seconds=15)
#: Then it ends, and a browser comes again by itself: with a session that may be over by now.
LONGEST: Final = timedelta(hours=1)
#: Milliseconds until a browser comes again.
_RETRY_MS: Final = 2000
#: An event, not a comment: a browser's script hears of no comments, and has to know that a quiet
#: stream is not a dead one. Without an id: it is no news.
_PING: Final = "event: ping\ndata: {}\n\n"
_EXAMPLE: Final = (
    "retry: 2000\nevent: hello\nid: 5f0c.7\ndata: {}\n\n"
    'event: change\nid: 5f0c.8\ndata: {"targets": ["host1:web"], '
    '"remediations": ["web-mwro18g0"], "status": true, "everything": false}\n\n'
    f"{_PING}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """One who follows: by a token, or by a session, as a browser's EventSource sends no header."""

    parts: Parts
    request: Request
    #: Whom its place is counted for. Without tokens all come from this machine, or through the one
    #: proxy in front of it: nobody can be told from anybody.
    whose: str | None
    has_session: bool
    #: Hash of the token that was shown; None: none was asked for.
    shown: bytes | None = None

    async def may_stay(self) -> bool:
        """Whether it still has the right to read: a session may be over, a token taken away."""
        if self.has_session:
            sessions: Sessions = self.request.app.state.sessions
            return await sessions.find(self.request) is not None
        tokens = self.parts.tokens
        if self.shown is None:
            return not tokens.are_asked_for
        return Scope.READ in tokens.opened_by(self.shown)


class _TokenOrSession:
    """Lets in who shows a token, or has a session."""

    scope: Final = Scope.READ

    async def __call__(self, request: Request, parts: PartsDep, shown: ShownDep) -> Follower:
        sessions: Sessions = request.app.state.sessions
        session = await sessions.find(request) if shown is None else None
        if session is not None:
            return Follower(parts=parts, request=request, whose=session.name, has_session=True)
        await Require(self.scope)(request, parts, shown)
        known = hash_of(shown.credentials) if shown and parts.tokens.are_asked_for else None
        whose = None if known is None else known.hex()
        return Follower(parts=parts, request=request, whose=whose, has_session=False, shown=known)


class Following(StreamingResponse):
    """A stream that takes its place when it begins, and gives it back however it ends."""

    def __init__(
        self,
        place: AbstractContextManager[Listener],
        lines: Callable[[Listener], AsyncIterator[str]],
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__((), media_type="text/event-stream", headers=headers)
        self._place = place
        self._lines = lines

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        """Answer; where there is no place (NotAccepting) nothing is sent yet."""
        with self._place as listener:
            self.body_iterator = self._lines(listener)
            await super().__call__(scope, receive, send)


@router.get(
    "/events",
    summary="Follow what changes",
    openapi_extra={"x-session": True},
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A stream of events. `hello` comes first, `change` whenever something "
            "has changed.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **documented(401, 403, 422, 503),
    },
)
async def follow_events(
    who: Annotated[Follower, Security(_TokenOrSession(), scopes=[Scope.READ.value])],
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=200,
            description="The newest event that is known; those since are told at once, and where "
            "they are not remembered any more, `everything` is true.",
        ),
    ] = None,
) -> StreamingResponse:
    """
    A stream of server-sent events. A `change` names what is not as it was (targets, remediations,
    and whether Relevo's own status is): read those anew. `everything` asks to read all anew. A
    `ping` comes where there was nothing to tell for 15 s: where nothing has come for much longer,
    the stream is lost. The stream ends after an hour at most: come again with
    `Last-Event-ID`, as browsers do by themselves; it also ends with the session or the token that
    it came with.
    503 where too many follow already: 64, or 16 with one session or token.
    """
    feed = who.parts.feed
    since = _number(last_event_id, feed.life)
    return Following(feed.listening(since, whose=who.whose), lambda listener: _lines(who, listener))


async def _lines(who: Follower, listener: Listener) -> AsyncIterator[str]:
    feed, clock = who.parts.feed, who.parts.clock
    end = clock.now() + LONGEST
    # What is read after this is compared with: no change falls in between.
    while not await feed.ready(within=PING):
        yield _PING
        if clock.now() >= end or not await who.may_stay():
            return
    yield f"retry: {_RETRY_MS}\n" + _event("hello", f"{feed.life}.{feed.last}", {})
    looked, tokens = clock.now(), who.parts.tokens.hashes
    async for news in told(listener, ping=PING):
        # Before it is told: who has logged out elsewhere hears no more, and of a token that was
        # taken away nobody hears another word.
        if clock.now() - looked >= PING or who.parts.tokens.hashes is not tokens:
            looked, tokens = clock.now(), who.parts.tokens.hashes
            if not await who.may_stay():
                return
        if news is None:
            yield _PING
        else:
            number, change = news
            yield _event("change", f"{feed.life}.{number}", _of(change))
        if clock.now() >= end:
            return


def _of(change: Change) -> dict[str, Any]:
    return {
        "targets": sorted(change.targets),
        "remediations": sorted(change.remediations),
        "status": change.status,
        "everything": change.everything,
    }


def _event(name: str, event_id: str, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {json.dumps(data)}\n\n"


def _number(last_event_id: str | None, life: str) -> int | None:
    """Read the id of the newest event that is known; of another life nothing is."""
    if not last_event_id:
        return None
    told_by, _, number = last_event_id.rpartition(".")
    if told_by != life or not number.isdecimal() or len(number) > 15:
        return -1
    return int(number)
