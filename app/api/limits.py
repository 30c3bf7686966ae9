"""How many requests are handled at once: one too many is sent away, and costs nothing."""

from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import RETRY_AFTER, problem

log: Final = structlog.get_logger("relevo.api")

#: The receiver has its own places: who looks at pages keeps no alert out. Alertmanager sends all
#: its groups at once, each on a connection of its own, and what was sent away half a second later
#: and later still. They leave for the store together and their bytes are bounded: many cost little.
MOST_NOTIFICATIONS: Final = 2048
#: As many as there are connections to the store; a page asks for three things at once.
MOST_OTHERS: Final = 64
#: Of bodies that come or are being handled, of either kind: eight of the largest. A slow one takes
#: what it has sent and no place, so that a crowd of them keeps nobody out.
MOST_BYTES: Final = 32 * 1024 * 1024
_RECEIVER: Final = "/api/v1/webhooks/"
#: Last as long as somebody follows, and have a bound of their own (`app.controller.feed`).
_STREAMS: Final = "/api/v1/events"
#: Asked by who would restart or alert on us: they are told how it is, however full it is.
_ALWAYS: Final = ("/-/healthy", "/-/ready", "/metrics")
_OURS: Final = "something in Relevo itself went wrong; its log says what"
_SAID: Final = "too many requests are being handled: send it again"


class _Full(HTTPException):
    """There is no place for it."""

    def __init__(self) -> None:
        super().__init__(503, _SAID, RETRY_AFTER)


class Bounded:
    """Handles so many requests at once, by what they are for; others are answered 503 at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._room = {True: MOST_NOTIFICATIONS, False: MOST_OTHERS}
        self._bytes = {True: MOST_BYTES, False: MOST_BYTES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, once all of it is there."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path == _STREAMS or path in _ALWAYS:
            await self._app(scope, receive, send)
            return
        receives, held, is_in = path.startswith(_RECEIVER), 0, False

        def enter() -> None:
            nonlocal is_in
            if not is_in and self._room[receives] < 1:
                raise _Full
            self._room[receives] -= not is_in
            is_in = True

        async def receiving() -> Message:
            nonlocal held
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                if size > self._bytes[receives]:
                    raise _Full
                held += size
                self._bytes[receives] -= size
                if not message.get("more_body", False):
                    enter()
            return message

        try:
            if scope["method"] in ("GET", "HEAD"):
                enter()
            await self._app(scope, receiving, send)
        except _Full as exc:  # where nobody within has put it into words
            await problem(exc.status_code, exc.detail, RETRY_AFTER)(scope, receive, send)
        finally:
            self._room[receives] += is_in
            self._bytes[receives] += held


class Untraced:
    """
    Answers what nobody has caught with a problem document that tells nothing of its insides.

    The log has it. An answer that has begun cannot be taken back: its connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as exc:
            if scope["type"] != "http" or has_begun:
                raise
            log.error("request failed", path=scope["path"], exc_info=exc)
            await problem(500, _OURS)(scope, receive, send)
