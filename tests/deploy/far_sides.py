"""Strict fakes of what Alertmanager talks to, over real sockets: Relevo's webhook and Slack."""

import json
import re
import threading
import unicodedata
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
SLACK_COLORS = {"good", "warning", "danger"}
#: Slack cuts a message at 40,000 characters, and advises 4,000 (here: of what it shows, which is
#: without escapes). At 1,024 of a title Alertmanager cuts, be it through an escape.
SLACK_LONGEST = {"title": 1_000, "title_link": 2_000, "fallback": 1_000, "text": 20_000}
SLACK_SHOWS = 4_000


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
    """
    Slack's incoming webhook: only fields that Slack knows, and a text that says something.

    Stricter than Slack in what it would show: no text that is longer than Slack advises, nothing
    that shouts, no link but the title's, no character that turns a line around.
    """

    def judge(path: str, headers: dict[str, str], body: Any) -> str:
        if path != "/services/T0/B0/secret":
            return f"no_team {path}"
        if not headers.get("content-type", "").startswith("application/json"):
            return f"invalid_payload {headers.get('content-type')}"
        if not isinstance(body, dict) or set(body) - SLACK_MESSAGE:
            return f"invalid_payload {body}"
        if body.get("link_names"):
            return "link_names: every @word would call somebody"
        if len(body.get("attachments", ())) != 1:
            return f"invalid_payload {body}"
        (attachment,) = body["attachments"]
        if set(attachment) - SLACK_ATTACHMENT:
            return f"invalid_attachments {attachment}"
        for name in ("title", "title_link", "text", "fallback", "color"):
            if not isinstance(attachment.get(name), str) or not attachment[name].strip():
                return f"no_text in {name}: {attachment}"
        if "<no value>" in json.dumps(body):
            return f"a template found nothing: {attachment}"
        return _of_words(attachment)

    return FarSide(judge, 200, b"ok")


def _of_words(attachment: dict[str, Any]) -> str:
    for name, most in SLACK_LONGEST.items():
        if len(attachment[name]) > most:
            return f"msg_too_long: {name}, {len(attachment[name])} characters"
    shown = re.sub(r"&\w+;", "?", attachment["text"])
    if len(shown) > SLACK_SHOWS:
        return f"more than anybody reads: {len(shown)} characters"
    if attachment["color"] not in SLACK_COLORS:
        return f"invalid color {attachment['color']}"
    if not re.fullmatch(r"https?://[^\s<>|\"]+", attachment["title_link"]):
        return f"invalid title_link {attachment['title_link']}"
    for name in ("title", "text", "fallback"):
        text = attachment[name]
        if re.search(r"[<>]", text):
            return f"a link, a mention or half of one in {name}: {text}"
        if re.search(r"&(?!amp;|lt;|gt;)", text):
            return f"not escaped in {name}: {text}"
        if "`" in text or "://" in text:
            return f"code, or what Slack makes a link of, in {name}: {text}"
        if any(unicodedata.category(one) in {"Cf", "Cc", "Co"} for one in text.replace("\n", "")):
            return f"characters that nobody sees in {name}: {text!r}"
    if attachment["text"].count("*") % 2:
        return f"bold that does not end: {attachment['text']}"
    return ""
