"""
At most three messages for an incident: a real controller's alerts, sent by the real Alertmanager.

The texts of docs/slack.md are what comes out here. After a change of words:

    RELEVO_WRITE_DOCS=1 pytest tests/deploy/test_slack_incidents.py
"""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from tests.builders import START
from tests.deploy.alertmanager import FASTER, Chain, running_chain
from tests.deploy.incidents import INCIDENTS, Posted, engine_news, played
from tests.deploy.slack_page import Message, compare, links, words_of

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(180)]

#: What each message is about; never more than three.
TITLES = {
    "recovered": [
        "web uses 97% of the CPU it may use (host1)",
        "web is well again: a restart has helped (host1)",
    ],
    "by-itself": [
        "api uses 97% of the CPU it may use (host1)",
        "api is well again, by itself (host1)",
    ],
    "relieved": [
        "shop uses 97% of the CPU it may use (host1)",
        "shop was scaled out: shop_new runs beside it (host1)",
        "shop is relieved: one more instance has helped (host1)",
    ],
    "escalated": [
        "mail uses 97% of the CPU it may use (host1)",
        "mail needs a person: it needs another instance, and its policy allows none (host1)",
        "mail is well again, after Relevo had given up (host1)",
    ],
    "both": [
        "search uses 97% of the CPU it may use (host1)",
        "search was scaled out: search_new runs beside it (host1)",
        "search needs a person: it still needs help, and its group has as many instances as it may "
        "(host1)",
    ],
    "unwatched": [
        "cache uses 97% of the CPU it may use (host1)",
        "Over: cache uses 97% of the CPU it may use (host1)",
    ],
    "given-up": [
        "queue uses 97% of the CPU it may use (host1)",
        "queue uses 97% of the CPU it may use (host1)",
        "Over: queue uses 97% of the CPU it may use (host1)",
    ],
}


async def test_an_incident_is_at_most_three_messages(tmp_path: Path) -> None:
    timelines = await asyncio.gather(*(played(one) for one in INCIDENTS))
    with running_chain(tmp_path) as chain:
        replay(chain, [*(one for posts in timelines for one in posts), *engine_news()])
        taken = [words_of(message) for message in chain.slack.taken]

    told = {one.kind: of(taken, one.name) for one in INCIDENTS}
    for kind, messages in told.items():
        assert [message.title for message in messages] == TITLES[kind], messages
        assert len(messages) <= 3
        assert [len(links(message)) for message in messages] == [1] * len(messages)
    rest = [one for one in taken if not any(one in messages for messages in told.values())]
    rest.sort(key=lambda one: (one.title.startswith("Over: "), one.title))
    compare(told | {"engine": rest, "both-last": told["both"][-1:]})


def of(messages: list[Message], name: str) -> list[Message]:
    """Those about one container: each message of ours names it first."""
    return [one for one in messages if one.title.removeprefix("Over: ").startswith(f"{name} ")]


def replay(chain: Chain, posts: list[Posted]) -> None:
    """Post everything at its time, so many times faster; then wait out one more round."""
    began = time.clock_gettime(time.CLOCK_REALTIME)
    pause = threading.Event()

    def real(seconds: float) -> float:
        return began + seconds / FASTER

    for one in sorted(posts, key=lambda post: post.at):
        due = real((one.at - START).total_seconds())
        pause.wait(max(0.0, due - time.clock_gettime(time.CLOCK_REALTIME)))
        chain.post_between(
            {"labels": one.labels, "annotations": one.annotations},
            real((one.starts_at - START).total_seconds()),
            real((one.ends_at - START).total_seconds()),
        )
    # What would be one message too many comes with the next round of its group.
    pause.wait(330 / FASTER)
