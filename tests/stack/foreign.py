"""
Somebody else's monitoring: a Prometheus and an Alertmanager as they are after some years.

Configured as the samples of their Debian packages teach it, in two ways of indenting, with comments
between; a job for the host, rules about it and one about containers that was copied from the net.
The processes are real, their own receiver is a fake over a real socket.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx

from tests.deploy.far_sides import FarSide
from tests.parts import require
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

REPOSITORY = Path(__file__).resolve().parents[2]

PROMETHEUS_YML = """\
# Sample config for Prometheus.

global:
  scrape_interval:     1s # By default, scrape targets every 15 seconds.
  evaluation_interval: 1s # By default, scrape targets every 15 seconds.

  # Attach these labels to any time series or alerts.
  external_labels:
      monitor: 'example'

# Alertmanager configuration
alerting:
  alertmanagers:
  - static_configs:
    - targets: ['localhost:{alertmanager}']

rule_files:
  # - "first_rules.yml"
  - "rules/*.yml"

scrape_configs:
  # The job name is added as a label `job=<job_name>` to any timeseries scraped from this config.
  - job_name: 'prometheus'
    # metrics_path defaults to '/metrics'
    static_configs:
      - targets: ['localhost:{prometheus}']

  - job_name: node
    # If prometheus-node-exporter is installed, grab stats about the local machine.
    static_configs:
      - targets: ['localhost:{node}']
"""

RULES_YML = """\
groups:
- name: host
  rules:
  - alert: HostOutOfMemory
    expr: node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.001
    for: 2m
    labels: {severity: warning}
- name: containers
  rules:
  - alert: ContainerHighCpuUtilization
    expr: >-
      (sum(rate(container_cpu_usage_seconds_total{container!=""}[5m])) by (pod, container)
      / sum(container_spec_cpu_quota{container!=""}/container_spec_cpu_period{container!=""})
      by (pod, container) * 100) > 80
    for: 2m
    labels: {severity: warning}
"""

ALERTMANAGER_YML = """\
global:
  # The smarthost and SMTP sender used for mail notifications.
  smtp_smarthost: 'localhost:25'
  smtp_from: 'alertmanager@example.org'

# The root route on which each incoming alert enters.
route:
  group_by: ['alertname', 'cluster', 'service']
  group_wait: 1s
  group_interval: 5m
  repeat_interval: 3h

  # A default receiver
  receiver: team-X

  # The child route trees.
  routes:
  # This routes performs a regular expression match on alert labels.
  - match_re:
      service: ^(foo1|foo2|baz)$
    receiver: team-Y
    routes:
    - match:
        severity: critical
      receiver: team-Y
  - match:
      service: files
    receiver: team-Y

inhibit_rules:
- source_match:
    severity: 'critical'
  target_match:
    severity: 'warning'
  equal: ['alertname', 'cluster', 'service']

receivers:
- name: 'team-X'
  webhook_configs:
  - url: '{people}/x'
- name: 'team-Y'
  webhook_configs:
  - url: '{people}/y'
"""


class Foreign:
    """Their programs, in a directory of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = {n: free_port() for n in ("prometheus", "alertmanager", "node")}
        self.prometheus_url = f"http://127.0.0.1:{self.ports['prometheus']}"
        self.alertmanager_url = f"http://127.0.0.1:{self.ports['alertmanager']}"
        self.prometheus_yml = home / "prometheus" / "prometheus.yml"
        self.alertmanager_yml = home / "alertmanager" / "alertmanager.yml"
        self.people = FarSide(judge=lambda *_: "", status=200, answer=b"ok")
        self.prometheus = self._program("prometheus", *self._prometheus())
        self.alertmanager = self._program("alertmanager", *self._alertmanager())
        self.node = self._program(
            "node", require("node-exporter"), f"--web.listen-address=127.0.0.1:{self.ports['node']}"
        )

    def _program(self, name: str, *argv: str) -> Program:
        return Program(name, argv, log=self.home / f"{name}.log")

    def _prometheus(self) -> tuple[str, ...]:
        return (
            require("prometheus"),
            f"--config.file={self.prometheus_yml}",
            f"--storage.tsdb.path={self.home}/prometheus/data",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}",
        )

    def _alertmanager(self) -> tuple[str, ...]:
        return (
            require("alertmanager"),
            f"--config.file={self.alertmanager_yml}",
            f"--storage.path={self.home}/alertmanager/data",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
            "--cluster.listen-address=",
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.http = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
            sides = stack.enter_context(ExitStack())
            sides.enter_context(self.people)
            (self.home / "prometheus" / "rules").mkdir(parents=True)
            (self.home / "alertmanager").mkdir()
            self.write()
            for program in (self.node, self.alertmanager, self.prometheus):
                stack.push_async_callback(program.stop)
                await program.start()
            for url in (self.prometheus_url, self.alertmanager_url):
                await eventually(partial(self._ready, url), within=30, what=f"{url} is up")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def write(self) -> None:
        """Write their files as they were before anybody has heard of Relevo."""
        ports = {name: str(port) for name, port in self.ports.items()}
        text = PROMETHEUS_YML
        for name, port in ports.items():
            text = text.replace(f"{{{name}}}", port)
        self.prometheus_yml.write_text(text, encoding="utf-8")
        rules = self.prometheus_yml.parent / "rules" / "theirs.yml"
        rules.write_text(RULES_YML, encoding="utf-8")
        people = ALERTMANAGER_YML.replace("{people}", self.people.url)
        self.alertmanager_yml.write_text(people, encoding="utf-8")

    @property
    def options(self) -> tuple[str, ...]:
        """Where they are, as `relevo connect` is told."""
        return (
            *("--prometheus-url", self.prometheus_url),
            *("--alertmanager-url", self.alertmanager_url),
        )

    async def _ready(self, url: str) -> bool:
        return (await self.http.get(f"{url}/-/ready")).status_code == 200

    async def ask(self, url: str, path: str, **params: str) -> Any:
        """Ask one of them."""
        answer = await self.http.get(f"{url}{path}", params=params)
        answer.raise_for_status()
        return answer.json()


def command(
    *words: str, cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 90
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would, with nobody's own settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RELEVO_", "DOCKER_"))}
    return subprocess.run(
        words,
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def relevo(
    *words: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the relevo command likewise."""
    return command(sys.executable, "-m", "app", *words, cwd=cwd, environment=environment)
