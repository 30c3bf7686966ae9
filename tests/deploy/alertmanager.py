"""The shipped Alertmanager configuration in a real Alertmanager, with strict far sides."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.far_sides import FarSide, relevo, slack
from tests.deploy.places import ALERTMANAGER, DURATION
from tests.parts import require

TOKEN = "0123456789abcdef"
#: The shipped waits are people's; here they pass a hundred times faster.
FASTER = 100


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

    def post_between(self, alert: dict[str, Any], starts: float, ends: float) -> None:
        """Post an alert with its begin and end, in seconds since the epoch."""
        times = {"startsAt": starts, "endsAt": ends}
        body = {**alert} | {
            name: datetime.fromtimestamp(at, UTC).isoformat() for name, at in times.items()
        }
        self.api.post("/api/v2/alerts", json=[body]).raise_for_status()

    def words(self, name: str) -> list[dict[str, str]]:
        """Slack's messages that mention a text."""
        found = [message["attachments"][0] for message in self.slack.taken]
        return [a for a in found if name in a["title"] + a["text"]]


@contextmanager
def running_chain(tmp_path: Path) -> Iterator[Chain]:
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
