"""wrk on one address of a test's own network: a bounded rate, until it is told to stop."""

import asyncio
import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.parts import require

_SCRIPT = Path(__file__).with_name("load.lua")
#: Each asks, waits 50 ms (load.lua), asks again: 120 requests a second at most.
CONNECTIONS = 6
#: It ends by itself after this, whatever becomes of the test.
_AT_MOST_S = 150
#: Longer than any balancer tries: what takes so long is lost.
_PATIENCE_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the requests."""

    requests: int
    #: Not answered, or not with success.
    lost: int
    slowest_ms: int

    def __str__(self) -> str:
        return f"{self.lost} of {self.requests} lost (slowest {self.slowest_ms} ms)"


class Wrk:
    """Sends requests, without ever asking twice."""

    def __init__(self, url: str) -> None:
        self._argv = [
            *(require("wrk"), "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{_AT_MOST_S}s", "--timeout", f"{_PATIENCE_S}s"),
            *("--script", str(_SCRIPT), url),
        ]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def result(self) -> Sent:
        """Stop it, and ask what became of its requests."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        out, _ = await self._process.communicate()
        line = next(line for line in reversed(out.decode().splitlines()) if line.startswith("{"))
        told = json.loads(line)
        lost = sum(told[what] for what in ("connect", "read", "write", "status", "timeout"))
        return Sent(requests=told["requests"], lost=lost, slowest_ms=told["slowest_ms"])
