"""
From the instant of a fault to the container's new start, through the real chain in real time.

    python -m bench.fault [--quick]

Prometheus scrapes and evaluates each second, Alertmanager waits for nothing, the policy's delay is
none. A container's figure turns bad somewhere in Prometheus' second: the way is over with the
engine's `start` event. Each round has a container and a group of rules of its own: where in its
second Prometheus evaluates a group is a matter of its name, not to be one of luck for the median.

Between Alertmanager and Relevo a pipe notes when a notice passes (0.1 ms), and the engine's own
events say when it was asked and when it was through. So the way is told in parts: fault to scrape,
scrape to the rule's evaluation, from there to Relevo, Relevo until it asks the engine (its share),
and the engine.
"""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench import rigs
from bench.chain import alertmanager, prometheus
from bench.engine import QUICK_TO_END
from bench.figures import Figure, Found
from bench.part import alone
from bench.rigs import Place
from bench.tools import need
from tests.engine_lab import EngineLab, busybox_image, engine_lab
from tests.stack.program import free_port

#: Acts at once, and is never in the way of the next round.
_POLICIES: Final = {
    "version": 1,
    "defaults": {
        "restart": {"delays": ["0s"], "window": "4h"},
        "verify": {"deadline": "10s", "settle": "5s", "poll": "1s"},
        "scale_out": {"enabled": False},
    },
    "guards": {
        "concurrent": 20,
        "burst": 100,
        "per_hour": 10_000,
        "deploy_hold": "0s",
        "brake": {"targets": 100},
    },
}
_WITHIN_S: Final = 30
#: Of a second: however many rounds there are, their instants lie evenly in it.
_GOLDEN: Final = 0.618034


def _now_ms() -> float:
    """On the clock that the engine and Prometheus read as well."""
    return time.time_ns() / 1e6


@dataclass(slots=True)
class _Instants:
    """What happened when, by container; milliseconds since epoch."""

    fault: dict[str, float] = field(default_factory=dict)
    scraped: dict[str, float] = field(default_factory=dict)
    noticed: dict[str, float] = field(default_factory=dict)
    evaluated: dict[str, float] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)


class _Chain:
    """The ends of the chain that are the bench's own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.at = _Instants()
        self.ill: str | None = None
        self.began = asyncio.Event()

    def page(self) -> bytes:
        """The figures that Prometheus scrapes."""
        if self.ill is not None:
            self.at.scraped.setdefault(self.ill, _now_ms())
        lines = (
            f'container_fault{{engine="{self._place.engine}",name="{name}"}} {name == self.ill:d}'
            for name in self._place.names
        )
        return "\n".join([*lines, ""]).encode()

    async def scrape(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a scrape."""
        await reader.readuntil(b"\r\n\r\n")
        body = self.page()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    def passes(self, said: bytes) -> None:
        """Note a notice on its way to Relevo, given all that its connection has said so far."""
        name = self.ill
        if name is None or name in self.at.evaluated:
            return
        # Alertmanager's writes end anywhere, so a name and its start may come one after the other.
        _, found, since = said.partition(name.encode())
        if not found:
            return
        self.at.noticed.setdefault(name, _now_ms())
        starts, ends, _ = since.partition(b'"startsAt":"')[2].partition(b'"')
        if ends:
            self.at.evaluated[name] = datetime.fromisoformat(starts.decode()).timestamp() * 1000

    def happens(self, event: Mapping[str, Any]) -> None:
        """Note what the engine has done."""
        name, at = event["Actor"]["Attributes"]["name"], event["timeNano"] / 1e6
        if name not in self.at.fault:
            return
        if event["Action"] == "kill":
            self.at.asked.setdefault(name, at)
        elif event["Action"] == "start":
            self.at.started.setdefault(name, at)
            self.began.set()


@asynccontextmanager
async def _pipe(to: str, passes: Callable[[bytes], None]) -> AsyncIterator[str]:
    """Hand on what is sent there, and say so before; yield the address to send to."""
    far = urlsplit(to)

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[bytes], None]
    ) -> None:
        said = b""
        while sent := await reader.read(1 << 16):
            said += sent
            seen(said)
            writer.write(sent)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(far.hostname, far.port)
        both = (copy(reader, there[1], passes), copy(there[0], writer, lambda _: None))
        await asyncio.gather(*both, return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield far._replace(netloc=f"127.0.0.1:{port}").geturl()


@asynccontextmanager
async def _events(
    lab: EngineLab, happens: Callable[[Mapping[str, Any]], None]
) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(need("docker"), "events", "--format", "{{json .}}"),
        *("--filter", f"label=relevo-lab={lab.mark}"),
        *("--filter", "event=kill", "--filter", "event=start"),
        stdout=subprocess.PIPE,
    )
    stream = process.stdout
    assert stream is not None

    async def read() -> None:
        async for line in stream:
            happens(json.loads(line))

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
        await reading


@asynccontextmanager
async def _chain(place: Place, lab: EngineLab) -> AsyncIterator[_Chain]:
    chain = _Chain(place)
    policies = place.home / "at-once.yml"
    policies.write_text(json.dumps(_POLICIES), encoding="utf-8")
    scraped = await asyncio.start_server(chain.scrape, "127.0.0.1", 0)
    port = scraped.sockets[0].getsockname()[1]
    groups = [
        {
            "name": f"fault-{name}",
            "rules": [
                {
                    "alert": "Fault",
                    "expr": f'container_fault{{name="{name}"}} == 1',
                    "labels": {"severity": "critical"},
                    "annotations": {"relevo_settle": "5s"},
                }
            ],
        }
        for name in place.names
    ]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(scraped)
        redis = await enter(rigs.redis(place.home))
        # Each is told where the other is.
        relevo_port = free_port()
        hook = await enter(_pipe(rigs.hook_at(relevo_port), chain.passes))
        am = await enter(alertmanager(place, "fault", hook))
        prom = await enter(prometheus(place, scraped=f"127.0.0.1:{port}", told=am, groups=groups))
        more = {
            "RELEVO_POLICIES": str(policies),
            "RELEVO_ALERTMANAGER_URL": am,
            "RELEVO_PROMETHEUS_URL": prom,
        }
        await enter(rigs.relevo(place, redis, port=relevo_port, more=more))
        await enter(_events(lab, chain.happens))
        # Prometheus has scraped and evaluated each group once, the engine's listing is known.
        await asyncio.sleep(3)
        yield chain


def _spans(at: _Instants, name: str) -> dict[str, float]:
    """The parts of one way, in milliseconds."""
    return {
        "scrape": at.scraped[name] - at.fault[name],
        "rule": at.evaluated[name] - at.scraped[name],
        "alertmanager": at.noticed[name] - at.evaluated[name],
        "controller": at.asked[name] - at.noticed[name],
        "engine": at.started[name] - at.asked[name],
        "all": at.started[name] - at.fault[name],
    }


async def _round(chain: _Chain, name: str, turn: int) -> dict[str, float]:
    # Anywhere within Prometheus' second, and all over it: by the golden section.
    phase = turn * _GOLDEN % 1
    await asyncio.sleep(1 + (phase - _now_ms() / 1000) % 1)
    chain.began.clear()
    chain.at.fault[name] = _now_ms()
    chain.ill = name
    async with asyncio.timeout(_WITHIN_S):
        await chain.began.wait()
    chain.ill = None
    return _spans(chain.at, name)


async def measure(quick: bool) -> Found:
    """Let one container after the other fall ill; see the module."""
    found = Found()
    rounds = 8 if quick else 25
    spans: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder,
        engine_lab(busybox_image(need("docker"))) as lab,
    ):
        place = rigs.place(lab, Path(folder), rounds + 1, command=QUICK_TO_END)
        async with _chain(place, lab) as chain:
            for turn, name in enumerate(place.names):
                one = await _round(chain, name, turn)
                if turn:  # not the first: opening, caches
                    spans.append(one)
    _tell(found, spans)
    return found


def _tell(found: Found, spans: Sequence[Mapping[str, float]]) -> None:
    for part in ("scrape", "rule", "alertmanager", "controller", "engine"):
        found.figures[f"fault_{part}_ms"] = Figure.of([one[part] for one in spans])
    found.take("fault_to_restart_s", Figure.of([one["all"] / 1000 for one in spans]))
    found.take("controller_share_ms", Figure.of([one["controller"] for one in spans]))


if __name__ == "__main__":
    alone(measure, __doc__)
