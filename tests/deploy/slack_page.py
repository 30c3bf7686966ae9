"""What docs/slack.md shows of each message, and whether that is what Slack was sent."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.deploy.places import ROOT

PAGE = ROOT / "docs/slack.md"
_BLOCK = re.compile(r"<!-- messages: ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)
#: Ids of stories are made of time and chance; ends are told in real time.
_LINK_ID = re.compile(r"(/remediations/[\w-]+)-[0-9a-z]+$")
_SINCE = re.compile(r"since \d\d:\d\d:\d\d UTC")


@dataclass(frozen=True)
class Message:
    """One message as people see it."""

    color: str
    title: str
    link: str
    text: str


def words_of(message: Mapping[str, Any]) -> Message:
    """Read what was sent as Slack shows it."""
    (one,) = message["attachments"]
    # The fake engine numbers its clones by all that it ever made.
    one = {
        name: re.sub(r"_new\d+", "_new", text)
        for name, text in one.items()
        if isinstance(text, str)
    }
    return Message(one["color"], shown(one["title"]), one["title_link"], shown(one["text"]).strip())


def shown(text: str) -> str:
    """Undo the escapes, as Slack does."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def links(message: Message) -> list[str]:
    """All that can be tapped."""
    return [message.link, *re.findall(r"\w+://\S+|<[^>]*\|", message.title + message.text)]


def rendered(messages: Sequence[Message]) -> str:
    """The block of the page for some messages."""
    colors = {"danger": "red", "warning": "yellow", "good": "green"}
    parts = []
    for one in messages:
        link = _LINK_ID.sub(r"\1-…", one.link)
        text = _SINCE.sub("since 10:05:00 UTC", one.text)
        parts.append(f"[{colors[one.color]}] {one.title}\n  -> {link}\n{text}\n")
    return "```text\n" + "\n".join(parts) + "```"


def compare(told: Mapping[str, Sequence[Message]]) -> None:
    """
    Hold the page against what was sent; with ``RELEVO_WRITE_DOCS`` set, write it.

    :raises AssertionError: the page says something else
    """
    page = PAGE.read_text(encoding="utf-8")
    blocks = {name: rendered(messages) for name, messages in told.items()}
    shown_there = set(_BLOCK.findall(page))
    assert shown_there <= blocks.keys(), shown_there

    def block(found: re.Match[str]) -> str:
        return f"<!-- messages: {found[1]} -->\n{blocks[found[1]]}\n<!-- end -->"

    new = _BLOCK.sub(block, page)
    if os.environ.get("RELEVO_WRITE_DOCS"):
        PAGE.write_text(new, encoding="utf-8")
    assert new == page or os.environ.get("RELEVO_WRITE_DOCS"), (
        "docs/slack.md shows other messages than were sent (RELEVO_WRITE_DOCS=1 rewrites it)"
    )
