"""
Slack's far side: an incoming webhook that is as strict as Slack's own.

It takes what Slack takes and answers ``ok``; anything else gets Slack's own complaint, and is
remembered as such.
"""

import json
from typing import Any

from aiohttp import web

#: Slack's limits for what Alertmanager sends: attachments, and characters of one text.
_MOST_ATTACHMENTS = 20
_LONGEST_TEXT = 40_000


class FakeSlack:
    """Serves one webhook URL on loopback, and keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.url = ""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/services/T000/B000/secret", self._receive)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/services/T000/B000/secret"

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def attachments(self) -> list[dict[str, Any]]:
        """All attachments of all messages, oldest first."""
        return [one for message in self.messages for one in message["attachments"]]

    async def _receive(self, request: web.Request) -> web.Response:
        complaint = await self._complaint(request)
        if complaint is not None:
            self.complaints.append(complaint)
            return web.Response(status=400, text=complaint)
        return web.Response(text="ok")

    async def _complaint(self, request: web.Request) -> str | None:
        if request.content_type != "application/json":
            return f"invalid_payload: {request.content_type}"
        try:
            message = json.loads(await request.text())
        except ValueError:
            return "invalid_payload: not JSON"
        if not isinstance(message, dict):
            return "invalid_payload: not an object"
        attachments = message.get("attachments")
        if not message.get("text") and not attachments:
            return "no_text"
        if not isinstance(attachments, list) or len(attachments) > _MOST_ATTACHMENTS:
            return "too_many_attachments"
        for one in attachments:
            if not isinstance(one, dict) or not (one.get("text") or one.get("fallback")):
                return "no_text"
            if any(isinstance(text, str) and len(text) > _LONGEST_TEXT for text in one.values()):
                return "msg_too_long"
        self.messages.append(message)
        return None
