"""Load for receivers of alerts: wrk with notices that are all new, authenticated."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.tools import need

_SCRIPT: Final = Path(__file__).with_name("notice.lua")
#: Different alerts of one target, which keeps a thousand at most: five times as many as any rules
#: have for one container. They come again, newer each time: none is one that the store was told.
PER_TARGET: Final = 50
#: As many as a host's rules have for one container, more or less.
FEW_PER_TARGET: Final = 8

#: 13 labels and 4 annotations, as rules over container metrics have them: 2 kB.
ALERT: Final = {
    "status": "firing",
    "labels": {
        "alertname": "ContainerHighCPU",
        "severity": "warning",
        "engine": "@ENGINE@",
        "name": "@NAME@",
        "job": "containers",
        "instance": "container-metrics:5001",
        "image": "registry.example/shop/web:2026-11-20-7f3c9a1",
        "container_label_com_docker_compose_project": "shop",
        "container_label_com_docker_compose_service": "web",
        "container_label_com_docker_compose_container_number": "1",
        "container_label_org_opencontainers_image_version": "2026.11.20",
        "datacentre": "eu-central-1a",
        "team": "shop-backend",
    },
    "annotations": {
        "summary": "A container uses 97 % of the CPU that it may have",
        "description": (
            "For five minutes the container has used more than nine tenths of what its limit "
            "gives it. Requests to it wait. " + "It was restarted by nobody so far. " * 24
        ),
        "runbook_url": "https://runbooks.example/containers/high-cpu#what-to-do",
        "relevo_settle": "4m",
    },
    "startsAt": "@AT@",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph?g0.expr=container_cpu_usage_ratio+%3E+0.9&g0.tab=1",
    "fingerprint": "@FINGERPRINT@",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What became of one run."""

    requests: int
    seconds: float
    #: Not answered with success, or not at all: such a run measures nothing.
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(kw_only=True)
class Sender:
    """Sends notices about these containers; each alert is newer than all before."""

    names: Sequence[str]
    engine: str
    token: str
    #: Where the alert's text is put for wrk to read.
    home: Path
    _sent: int = 0
    _second: int = field(default_factory=lambda: int(time.time()) - 86_400)  # noqa: TID251

    def body(self, alerts: int) -> bytes:
        """Make one body, as those that `send` sends."""
        text = json.dumps(ALERT).replace("@ENGINE@", self.engine)
        told = []
        for number in range(self._sent, self._sent + alerts):
            at = datetime.fromtimestamp(self._second + number / 1000, UTC)
            one = text.replace("@FINGERPRINT@", f"{number % (len(self.names) * PER_TARGET):016x}")
            one = one.replace("@NAME@", self.names[number % len(self.names)])
            told.append(json.loads(one.replace("@AT@", at.isoformat())))
        self._sent += alerts
        return json.dumps({"version": "4", "groupKey": "{}:{}", "alerts": told}).encode()

    async def send(
        self,
        url: str,
        *,
        connections: int,
        seconds: float,
        alerts: int = 1,
        per_target: int = PER_TARGET,
    ) -> Load:
        """
        Send as fast as it is answered, for so many whole seconds.

        :param alerts: in one body
        :param per_target: so many different ones has each container; then they begin anew, each
            with a later start
        :raises RuntimeError: something was refused, or got no answer
        """
        text = self.home / "alert.json"
        text.write_text(json.dumps(ALERT).replace("@ENGINE@", self.engine), encoding="utf-8")
        environment = {
            "NOTICE": str(text),
            "ALERTS": str(alerts),
            "NAMES": ",".join(self.names),
            "POOL": str(len(self.names) * per_target),
            "FIRST": str(self._sent),
            "SECOND": str(self._second),
            "TOKEN": self.token,
        }
        process = await asyncio.create_subprocess_exec(
            *(need("wrk"), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{max(1, round(seconds))}s", "--timeout", "10s"),
            *("--script", str(_SCRIPT), url),
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        line = next((one for one in out.decode().splitlines() if one.startswith("{")), None)
        if line is None:
            raise RuntimeError(f"wrk: {out.decode().strip()}")
        told = json.loads(line)
        # Some were under way as it ended.
        self._sent += (told["requests"] + 2 * connections) * alerts
        load = Load(
            requests=told["requests"],
            seconds=told["us"] / 1e6,
            failed=told["errors"] + told["refused"],
            p50_ms=told["p50_us"] / 1000,
            p99_ms=told["p99_us"] / 1000,
        )
        if load.failed or not load.requests:
            raise RuntimeError(f"{url}: {load.failed} of {load.requests} requests failed")
        return load
