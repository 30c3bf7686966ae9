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
DB = {"engine": "h1", "name": "db", "group": "db", "target": "h1:db", "severity": "warning"}
WEB = {
    "engine": "h1",
    "name": "shop_web_2",
    "group": "shop-web",
    "target": "h1:shop-web-2",
    "severity": "warning",
}
#: As Relevo posts them.
ESCALATED = {
    "labels": {"alertname": "RelevoEscalated", **DB},
    "annotations": {
        "summary": "db needs a person: both would write to the same volume or folder",
        "description": (
            "db on h1 is quarantined. It has needed help since 10:00 UTC (ContainerHighCPU). "
            "Why it stopped: 3 failed restarts within 1h, now 97% of 0.50 cores."
        ),
        "relevo_did": "restarted it at 10:01, 10:08 and 10:21, none helped",
        "relevo_next": "nothing: db stays quarantined until a person releases it",
        "relevo_decide": "mount it read-only; then release it (relevo release h1:db)",
        "relevo_url": "https://relevo.example/remediations/r-1",
    },
}
SCALED_OUT = {
    "labels": {"alertname": "RelevoScaledOut", **WEB},
    "annotations": {
        "summary": "shop_web_2 was scaled out: shop-web-3 runs beside it",
        "description": "shop_web_2 on h1: 3 failed restarts within 1h (ContainerHighCPU).",
        "relevo_did": "restarted it at 10:01, 10:08 and 10:21; started shop-web-3 at 10:26",
        "relevo_next": "watches whether the alerts of the group end within 10m",
        "relevo_url": "https://relevo.example/remediations/r-2",
    },
}
CHRONIC = {
    "labels": {"alertname": "RelevoChronic", **WEB},
    "annotations": {
        "summary": "shop_web_2 needed 6 restarts in 24h, and each helped",
        "description": "Restarts cure shop_web_2 on h1, but not for long: 6 in 24h.",
        "relevo_next": "restarts it again when it needs it",
        "relevo_decide": "look for what fills up over time: memory, files, connections, a queue",
    },
}
BRAKE = {
    "labels": {"alertname": "RelevoBrake", "engine": "h1", "severity": "warning"},
    "annotations": {
        "summary": "Relevo has stopped acting: 5 containers failed within 1h",
        "description": "Restarts of 5 of 12 containers on h1 did not help within 1h.",
        "relevo_did": "froze every automatic action at 10:30",
        "relevo_next": "goes on when at most one of them is left and 10m have passed",
        "relevo_decide": "look at the host first; resume when the cause is gone (relevo resume)",
        "relevo_url": "https://relevo.example/",
    },
}
MANY_FAILING = {
    "labels": {"alertname": "RelevoManyContainersFailing", "engine": "h1", "severity": "warning"},
    "annotations": {
        "summary": "4 containers had a failed restart within the last 1h",
        "description": "4 different containers on h1 were restarted and it did not help.",
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
    chain.slack.wait(lambda _: len(chain.slack.taken) >= 3)
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
    (over,) = [a for a in chain.words("Over: shop_web_2") if a["title"].startswith("Over: ")]
    assert over["color"] == "good"
    assert chain.words("RelevoWatchdog") == []
    assert "RelevoWatchdog" not in str(chain.relevo.taken)
    assert "RelevoEscalated" not in str(chain.relevo.taken)


def test_what_slack_is_told(chain: Chain) -> None:
    chain.post(CPU)
    chain.slack.wait(lambda taken: taken)
    (cpu,) = chain.words("97%")
    assert cpu["title"] == "shop_web_2 uses 97% of the CPU it may use (h1)"
    assert cpu["color"] == "danger"
    # The page of the target, which Relevo knows as project-service-number.
    assert cpu["title_link"] == "http://localhost:5000/targets/h1:shop-web-2"
    assert "now 97% of 0.50 cores" in cpu["text"]
    assert "<http://localhost:5000/targets/h1:shop-web-2|" in cpu["text"]


RED, YELLOW = "danger", "warning"
HOME = "http://localhost:5000"


@pytest.mark.parametrize(
    ("alert", "color", "page"),
    [
        pytest.param(ESCALATED, RED, "https://relevo.example/remediations/r-1", id="escalated"),
        pytest.param(SCALED_OUT, YELLOW, "https://relevo.example/remediations/r-2", id="scaled"),
        # Relevo does not know its own address: the page of the target, at the configured one.
        pytest.param(CHRONIC, YELLOW, f"{HOME}/targets/h1%3Ashop-web-2", id="chronic"),
        pytest.param(BRAKE, RED, "https://relevo.example/", id="brake"),
        pytest.param(MANY_FAILING, YELLOW, f"{HOME}/", id="many-failing"),
    ],
)
def test_what_slack_is_told_of_relevos_own(
    chain: Chain, alert: dict[str, dict[str, str]], color: str, page: str
) -> None:
    chain.post(alert)
    chain.slack.wait(lambda taken: taken)

    (message,) = [message["attachments"][0] for message in chain.slack.taken]
    said = alert["annotations"]
    assert message["title"] == message["fallback"] == said["summary"] + " (h1)"
    assert message["color"] == color
    assert message["title_link"] == page
    lines = [said["description"]]
    for key, words in (("did", "Relevo"), ("next", "Next"), ("decide", "You can")):
        if f"relevo_{key}" in said:
            lines.append(f"{words}: {said[f'relevo_{key}']}")
    if page != f"{HOME}/":
        lines.append(f"<{page}|The whole story>")
    assert message["text"].split("\n") == [*lines, ""]


def test_one_incident_is_one_message(chain: Chain) -> None:
    """Several containers of a group, and what Relevo says of it, come together."""
    second = {**CPU, "labels": {**CPU["labels"], "name": "shop_web_3"}}
    elsewhere = {**CPU, "labels": {**CPU["labels"], "engine": "h2"}}
    chain.post(CPU, second, elsewhere)
    chain.slack.wait(lambda taken: len(taken) >= 2)
    (together,) = chain.words("2 alerts")
    assert together["title"] == "2 alerts for shop-web on h1"
    # To Relevo they go one by one.
    chain.relevo.wait(lambda taken: len(taken) == 3)
    assert all(len(notice["alerts"]) == 1 for notice in chain.relevo.taken)
    # Relevo's own outcome joins the same group, and its story is what the title leads to.
    chain.post(SCALED_OUT)
    chain.slack.wait(lambda _: chain.words("3 alerts"))
    (together,) = chain.words("3 alerts")
    assert together["title"] == "3 alerts for shop-web on h1"
    assert together["title_link"] == SCALED_OUT["annotations"]["relevo_url"]
    assert together["color"] == RED
    for alert in (CPU, SCALED_OUT):
        said = alert["annotations"]
        assert f"*{said['summary']}*\n{said['description']}\n" in together["text"]
    # What a person has to decide is not one of many.
    needs = {**ESCALATED, "labels": {**ESCALATED["labels"], **WEB}}
    chain.post(needs)
    chain.slack.wait(lambda _: chain.words("4 alerts"))
    (urgent,) = chain.words("4 alerts")
    assert urgent["title"] == f"{needs['annotations']['summary']} (h1), 4 alerts"
    assert urgent["title_link"] == needs["annotations"]["relevo_url"]
    chain.post(CPU, second, needs, SCALED_OUT, over=True)
    chain.slack.wait(lambda _: chain.words("Over: db needs a person"))


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
