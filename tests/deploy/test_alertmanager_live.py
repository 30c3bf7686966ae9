"""The shipped Alertmanager configuration in a real Alertmanager: who gets which words."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.far_sides import FarSide, relevo, slack
from tests.deploy.places import ALERTMANAGER, DURATION
from tests.parts import require

TOKEN = "0123456789abcdef"
#: The shipped waits are people's; here they pass a hundred times faster.
FASTER = 100
CPU = {
    "labels": {
        "alertname": "ContainerHighCPU",
        "severity": "critical",
        "engine": "h1",
        "name": "shop_web_2",
        "group": "shop-web",
        "container_label_com_docker_compose_project": "shop",
        "container_label_com_docker_compose_service": "web",
    },
    "annotations": {
        "summary": "shop_web_2 uses 97% of the CPU it may use",
        "description": "Container shop_web_2 on h1 has used more than 80%, now 97% of 0.50 cores.",
        "relevo_settle": "4m",
    },
}
ESCALATED = {
    "labels": {
        "alertname": "RelevoEscalated",
        "severity": "critical",
        "engine": "h1",
        "name": "db",
        "group": "db",
    },
    "annotations": {
        "summary": "db stays ill after 3 restarts",
        "description": "It has a writable volume, so no second instance may be started.",
        "relevo_did": "restarted it at 10:00, 10:08 and 10:21",
        "relevo_next": "nothing until somebody decides",
        "relevo_decide": "relevo release db, or relevo restart db --reason ...",
        "relevo_url": "https://relevo.example/remediations/r-1",
    },
}
HOSTILE = {
    "labels": {
        "alertname": "Strange & <!channel>",
        "severity": "critical",
        "engine": "h2",
        "name": "x|y> <!here>",
    },
    "annotations": {"relevo_url": "javascript:alert(1)"},
}
WATCHDOG = {"labels": {"alertname": "RelevoWatchdog", "severity": "none"}}
DOWN = {
    "labels": {"alertname": "RelevoDown", "severity": "warning", "job": "relevo"},
    "annotations": {"summary": "Relevo is down", "description": "Nothing is healed."},
}


@dataclass
class Chain:
    """A running Alertmanager and its two far sides."""

    api: httpx.Client
    relevo: FarSide
    slack: FarSide

    def post(self, *alerts: dict[str, Any], over: bool = False) -> None:
        """Fire alerts, or say that they are over."""
        ends = datetime.fromtimestamp(time.clock_gettime(time.CLOCK_REALTIME), UTC)
        if not over:
            ends += timedelta(minutes=10)
        body = [{**alert, "endsAt": ends.isoformat()} for alert in alerts]
        self.api.post("/api/v2/alerts", json=body).raise_for_status()

    def words(self, name: str) -> list[dict[str, str]]:
        """Slack's messages that mention a text."""
        found = [message["attachments"][0] for message in self.slack.taken]
        return [a for a in found if name in a["title"] + a["text"]]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """The shipped files, with other addresses and paths, and shorter waits."""
    program = require("alertmanager")
    with relevo(TOKEN) as webhook, slack() as messages:
        shutil.copytree(ALERTMANAGER, tmp_path / "etc")
        (tmp_path / "token").write_text(TOKEN + "\n")
        (tmp_path / "slack").write_text(messages.url + "/services/T0/B0/secret")
        config = tmp_path / "etc" / "alertmanager.yml"
        text = config.read_text()
        for old, new in (
            ("http://relevo:5000", webhook.url),
            ("/run/secrets/relevo_token_ingest", str(tmp_path / "token")),
            ("/run/secrets/slack_url", str(tmp_path / "slack")),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        config.write_text(re.sub(DURATION, faster, text))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        log = tmp_path / "log"
        with log.open("w") as sink:
            process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.path={tmp_path / 'data'}",
                    f"--web.listen-address={address}",
                    "--cluster.listen-address=",
                ],
                stdout=sink,
                stderr=sink,
            )
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=5, trust_env=False) as api:
                ready(api, process, log)
                yield Chain(api, webhook, messages)
                # A template that fails, a receiver that refuses: Alertmanager counts both.
                for line in api.get("/metrics").text.splitlines():
                    if line.startswith("alertmanager_notifications_failed_total{"):
                        assert line.endswith(" 0"), f"{line}\n{log.read_text()}"
                assert webhook.refused == []
                assert messages.refused == []
        finally:
            process.terminate()
            process.wait(10)


def faster(duration: re.Match[str]) -> str:
    """One duration, divided."""
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[duration[2]]
    return f"{round(int(duration[1]) * seconds * 1000 / FASTER)}ms"


def ready(api: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it answers."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if api.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def test_who_hears_of_what_and_of_its_end(chain: Chain) -> None:
    chain.post(WATCHDOG, CPU, ESCALATED, DOWN)

    chain.relevo.wait(lambda taken: taken)
    chain.slack.wait(lambda _: chain.words("97%") and chain.words("db") and chain.words("down"))
    assert [alert["labels"] for n in chain.relevo.taken for alert in n["alerts"]] == [CPU["labels"]]
    assert chain.relevo.taken[0]["alerts"][0]["annotations"] == CPU["annotations"]

    # What Relevo asks: its own alerts by receiver, the watchdog without.
    listed = chain.api.get("/api/v2/alerts", params={"receiver": "relevo"}).json()
    assert [alert["labels"]["alertname"] for alert in listed] == ["ContainerHighCPU"]
    alive = chain.api.get("/api/v2/alerts", params={"filter": "alertname=RelevoWatchdog"}).json()
    assert [alert["receivers"] for alert in alive] == [[{"name": "nobody"}]]

    chain.post(CPU, ESCALATED, DOWN, over=True)
    chain.relevo.wait(lambda taken: taken[-1]["status"] == "resolved")
    chain.slack.wait(lambda taken: sum("Over" in m["attachments"][0]["title"] for m in taken) >= 3)
    (over,) = [a for a in chain.words("97%") if a["title"].startswith("Over: ")]
    assert over["color"] == "good"
    assert chain.words("RelevoWatchdog") == []
    assert "RelevoWatchdog" not in str(chain.relevo.taken)
    assert "RelevoEscalated" not in str(chain.relevo.taken)


def test_what_slack_is_told(chain: Chain) -> None:
    chain.post(CPU, ESCALATED)
    chain.slack.wait(lambda taken: len(taken) >= 2)
    (cpu,) = chain.words("97%")
    assert cpu["title"] == "shop_web_2 uses 97% of the CPU it may use (h1)"
    assert cpu["color"] == "danger"
    # The page of the target, which Relevo knows as project-service-number.
    assert cpu["title_link"] == "http://localhost:5000/targets/h1:shop-web-2"
    assert "now 97% of 0.50 cores" in cpu["text"]
    assert "<http://localhost:5000/targets/h1:shop-web-2|" in cpu["text"]

    (escalated,) = chain.words("db stays ill")
    assert escalated["title_link"] == "https://relevo.example/remediations/r-1"
    for words in ("writable volume", "10:08", "until somebody decides", "relevo release db"):
        assert words in escalated["text"]


def test_one_incident_is_one_message(chain: Chain) -> None:
    """Several containers of a group, and what Relevo says of it, come together."""
    second = {**CPU, "labels": {**CPU["labels"], "name": "shop_web_3"}}
    ours = {
        "labels": {
            "alertname": "RelevoScaledOut",
            "engine": "h1",
            "group": "shop-web",
            "name": "shop_web_2",
        },
        "annotations": {"summary": "shop-web has 3 instances now"},
    }
    elsewhere = {**CPU, "labels": {**CPU["labels"], "engine": "h2"}}
    chain.post(CPU, second, elsewhere)
    chain.slack.wait(lambda taken: len(taken) >= 2)
    (together,) = chain.words("2 alerts")
    assert together["title"] == "2 alerts for shop-web on h1"
    # To Relevo they go one by one.
    chain.relevo.wait(lambda taken: len(taken) == 3)
    assert all(len(notice["alerts"]) == 1 for notice in chain.relevo.taken)
    # Relevo's own outcome joins the same group.
    chain.post(ours)
    chain.slack.wait(lambda _: any("3 instances" in a["text"] for a in chain.words("3 alerts")))


def test_strangers_cannot_shout_or_link(chain: Chain) -> None:
    chain.post(HOSTILE)
    chain.slack.wait(lambda taken: taken)
    (message,) = chain.slack.taken
    (attachment,) = message["attachments"]
    text = attachment["title"] + attachment["text"] + attachment["fallback"]
    assert "<!" not in text
    assert "Strange &amp; &lt;!channel&gt;" in text
    assert "javascript" not in str(message)
    assert re.fullmatch(r"http://localhost:5000/targets/h2:[\w%+.-]+", attachment["title_link"])
