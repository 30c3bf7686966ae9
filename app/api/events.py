"""What has changed, as it happens: server-sent events."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from app.api.deps import Parts, PartsDep, Require, Scope, ShownDep
from app.api.errors import documented
from app.api.sessions import COOKIE, Sessions
from app.controller.feed import Change, Feed, Listener, told
from app.errors import NotAccepting

router = APIRouter(prefix="/api/v1", tags=["events"])

#: Proxies cut connections that are silent for a minute, some after half of that.
PING: Final = timedelta(seconds=15)
#: Then it ends, and a browser comes again by itself: with a session that may be over by now.
LONGEST: Final = timedelta(hours=1)
#: Milliseconds until a browser comes again.
_RETRY_MS: Final = 2000
_EXAMPLE: Final = (
    "retry: 2000\nevent: hello\nid: 5f0c.7\ndata: {}\n\n"
    'event: change\nid: 5f0c.8\ndata: {"targets": ["host1:web"], '
    '"remediations": ["web-mwro18g0"], "status": true, "everything": false}\n\n'
    "event: ping\ndata: {}\n\n"
)


async def _may_read(request: Request, parts: PartsDep, shown: ShownDep) -> None:
    """Let in who shows a token, or has a session: a browser's EventSource sends no header."""
    sessions: Sessions = request.app.state.sessions
    if shown is None and sessions.find(request.cookies.get(COOKIE)) is not None:
        return
    await Require(Scope.READ)(parts, shown)


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
    request: Request,
    parts: PartsDep,
    shown: ShownDep,
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
    `Last-Event-ID`, as browsers do by themselves. 503 where too many follow already.
    """
    await _may_read(request, parts, shown)
    feed = parts.feed
    if not feed.has_room:
        raise NotAccepting("too many follow already, or Relevo is shutting down")
    since = _number(last_event_id, feed.life)

    async def stream() -> AsyncIterator[str]:
        # Only now: an answer that is never begun must not stay among those who listen.
        with feed.listening(since) as listener:
            async for line in _lines(parts, feed, listener):
                yield line

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


async def _lines(parts: Parts, feed: Feed, listener: Listener) -> AsyncIterator[str]:
    # What is read after this is compared with: no change falls in between.
    await feed.ready()
    yield f"retry: {_RETRY_MS}\n" + _event("hello", f"{feed.life}.{feed.last}", {})
    end = parts.clock.now() + LONGEST
    async for news in told(listener, ping=PING):
        if news is None:
            # An event, not a comment: a browser's script hears of no comments, and has to know
            # that a quiet stream is not a dead one. Without an id: it is no news.
            yield "event: ping\ndata: {}\n\n"
        else:
            number, change = news
            yield _event("change", f"{feed.life}.{number}", _of(change))
        if parts.clock.now() >= end:
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
