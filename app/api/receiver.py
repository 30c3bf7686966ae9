"""
The way in for notifications: past FastAPI's, which takes longer than all the rest of the work.

The guards around it are those of every other route (`app.api.app`), and what goes wrong is put into
the same words. Its operation is described, and its work done, by `app.api.webhooks`.
"""

from typing import Final

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from app.api.deps import Parts, Require
from app.api.deps import Scope as TokenScope
from app.api.errors import answer_of
from app.api.webhooks import raw_notification, receive_alerts

_require: Final = Require(TokenScope.INGEST)


class Receiver:
    """Takes what is posted to the receiver's path."""

    def __init__(self, app: FastAPI, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one notification, or say why not."""
        request = Request(scope, receive)
        try:
            await _require.check(request, self._parts)
            raw = await raw_notification(request)
            accepted = await receive_alerts(request, raw, self._parts)
        except Exception as exc:
            answer = await answer_of(self._app, request, exc)
            if answer is None:
                raise
            await answer(scope, receive, send)
            return
        body = accepted.model_dump_json().encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body})
