"""Strict fakes of what Alertmanager talks to, over real sockets: Relevo's webhook and Slack."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: What Slack's incoming webhooks know of an attachment (of what Alertmanager may send).
SLACK_ATTACHMENT = {
    "title", "title_link", "pretext", "text", "fallback", "callback_id", "color", "mrkdwn_in",
    "footer", "image_url", "thumb_url", "fields", "actions",
}  # fmt: skip
SLACK_MESSAGE = {"channel", "username", "icon_emoji", "icon_url", "link_names", "attachments"}


@dataclass
class FarSide:
    """One server: what it accepted, and why it refused what it refused."""

    #: (path, headers, body) -> why not; empty: accepted.
    judge: Callable[[str, dict[str, str], Any], str]
    status: int
    answer: bytes
    taken: list[Any] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body, why = None, ""
                try:
                    body = json.loads(self.rfile.read(length))
                except ValueError as exc:
                    why = f"no JSON: {exc}"
                why = why or far.judge(self.path, headers, body)
                with far.changed:
                    if why:
                        far.refused.append(why)
                    else:
                        far.taken.append(body)
                    far.changed.notify_all()
                answer = why.encode() if why else far.answer
                self.send_response(400 if why else far.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def wait(self, found: Callable[[list[Any]], object], seconds: float = 15) -> None:
        """Until what was taken satisfies; all that came is the failure's message."""
        with self.changed:
            came = self.changed.wait_for(lambda: found(self.taken), timeout=seconds)
        assert came, f"taken: {json.dumps(self.taken, indent=1)}\nrefused: {self.refused}"


def relevo(token: str) -> FarSide:
    """Relevo's webhook: bearer token, version 4, every alert whole."""

    def judge(path: str, headers: dict[str, str], body: Any) -> str:
        if path != "/api/v1/webhooks/alertmanager":
            return f"no such path {path}"
        if headers.get("authorization") != f"Bearer {token}":
            return f"wrong authorization {headers.get('authorization')}"
        if headers.get("content-type") != "application/json":
            return f"wrong content type {headers.get('content-type')}"
        if body.get("version") != "4" or body.get("receiver") != "relevo":
            return f"wrong envelope {body}"
        for alert in body["alerts"]:
            if not {"status", "labels", "annotations", "startsAt", "fingerprint"} <= set(alert):
                return f"incomplete alert {alert}"
        return ""

    return FarSide(judge, 202, b"{}")


def slack() -> FarSide:
    """Slack's incoming webhook: only fields that Slack knows, and a text that says something."""

    def judge(path: str, headers: dict[str, str], body: Any) -> str:
        if path != "/services/T0/B0/secret":
            return f"no_team {path}"
        if not headers.get("content-type", "").startswith("application/json"):
            return f"invalid_payload {headers.get('content-type')}"
        if set(body) - SLACK_MESSAGE or len(body.get("attachments", ())) != 1:
            return f"invalid_payload {body}"
        (attachment,) = body["attachments"]
        if set(attachment) - SLACK_ATTACHMENT:
            return f"invalid_attachments {attachment}"
        for name in ("title", "title_link", "text", "fallback", "color"):
            if not attachment.get(name, "").strip():
                return f"no_text in {name}: {attachment}"
        if "<no value>" in json.dumps(body):
            return f"a template found nothing: {attachment}"
        return ""

    return FarSide(judge, 200, b"ok")
