"""The shipped Prometheus configuration in a real Prometheus: labels, tokens, and what it sends."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.places import DURATION, PROMETHEUS
from tests.parts import require

TOKEN = "0123456789abcdef"
#: A minute is one second.
FASTER = 60
#: Ours says whose engine it is; cAdvisor does not know. (cores in use of the one core allowed)
OURS = 'cpu="total",engine="ours",id="/docker/a",name="web",image="i"'
CADVISOR = 'cpu="total",id="/docker/b",name="web",image="i"'


@dataclass
class Surroundings:
    """Everything that Prometheus talks to, on one port: both exporters, and Alertmanager."""

    alerts: dict[tuple[str, ...], Any] = field(default_factory=dict)
    authorized: set[str | None] = field(default_factory=set)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Make the server's half."""
        around = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/metrics/containers":
                    used = time.monotonic()
                    self._answer(
                        "# TYPE container_cpu_usage_seconds_total counter\n"
                        f"container_cpu_usage_seconds_total{{{OURS}}} {used * 0.9}\n"
                        f"container_cpu_usage_seconds_total{{{CADVISOR}}} {used * 0.95}\n"
                    )
                elif self.path == "/metrics":
                    around.authorized.add(self.headers.get("Authorization"))
                    self._answer("relevo_failing_targets 5\n")
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body if self.path == "/api/v2/alerts" else ():
                    labels = alert["labels"]
                    around.alerts[labels["alertname"], labels.get("engine", "")] = alert
                self._answer("")

            def _answer(self, text: str) -> None:
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output quiet."""

        return Handler


@pytest.fixture
def around() -> Iterator[tuple[Surroundings, str]]:
    """What surrounds Prometheus, and its address."""
    surroundings = Surroundings()
    server = ThreadingHTTPServer(("127.0.0.1", 0), surroundings.handler())
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield surroundings, f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def faster(duration: re.Match[str]) -> str:
    """One duration, divided."""
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[duration[2]]
    return f"{round(int(duration[1]) * seconds * 1000 / FASTER)}ms"


@pytest.fixture
def prometheus(tmp_path: Path, around: tuple[Surroundings, str]) -> Iterator[httpx.Client]:
    """The shipped files with other addresses, shorter waits, and a target that has an engine."""
    program = require("prometheus")
    _, address = around
    etc = tmp_path / "etc"
    shutil.copytree(PROMETHEUS, etc)
    (tmp_path / "token").write_text(TOKEN + "\n")
    (etc / "targets" / "containers.yml").write_text(
        f'- targets: ["{address}"]\n  labels: {{engine: "by-target"}}\n'
    )
    for name in ("prometheus.yml", "alert_rules.yml"):
        file = etc / name
        file.write_text(DURATION.sub(faster, file.read_text()))
    config = (etc / "prometheus.yml").read_text()
    for host in ("relevo:5000", "alertmanager:9093", "node-exporter:9100", "localhost:9090"):
        assert host in config
        config = config.replace(host, address)
    config = config.replace("/run/secrets/relevo_token_read", str(tmp_path / "token"))
    (etc / "prometheus.yml").write_text(config)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{probe.getsockname()[1]}"
    log = tmp_path / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={etc / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={own}",
                # The watchdog fires before Alertmanager's address is known, and is sent again.
                "--rules.alert.resend-delay=1s",
            ],
            stdout=sink,
            stderr=sink,
        )
    try:
        with httpx.Client(base_url=f"http://{own}", timeout=5, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


def test_alerts_reach_alertmanager_with_the_engine_they_belong_to(
    prometheus: httpx.Client, around: tuple[Surroundings, str]
) -> None:
    surroundings, _ = around
    wanted = {
        # A label of the series stays; where it has none the target's is taken.
        ("ContainerHighCPU", "ours"),
        ("ContainerHighCPU", "by-target"),
        ("RelevoWatchdog", ""),
        ("RelevoManyContainersFailing", ""),
    }
    end = time.monotonic() + 30
    while not wanted <= set(surroundings.alerts) and time.monotonic() < end:
        time.sleep(0.05)
    assert wanted <= set(surroundings.alerts)
    alert = surroundings.alerts["ContainerHighCPU", "ours"]
    assert alert["labels"]["name"] == "web"
    assert alert["labels"]["severity"] == "critical"
    assert alert["annotations"]["relevo_settle"] == "4000ms"
    assert re.search(r"now \d\d(\.\d+)?% of 1\.00 cores", alert["annotations"]["description"])
    assert f"Bearer {TOKEN}" in surroundings.authorized
    # Every job finds its target (at this pace not before an absence has become an alert).
    while down(prometheus) and time.monotonic() < end:
        time.sleep(0.05)
    assert down(prometheus) == []
    rules = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    errors = [
        rule["lastError"] for group in rules for rule in group["rules"] if "lastError" in rule
    ]
    assert errors == []


def down(prometheus: httpx.Client) -> list[str]:
    """What fires now about somebody who does not answer."""
    alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    return [a["labels"]["alertname"] for a in alerts if a["labels"]["alertname"].endswith("Down")]
