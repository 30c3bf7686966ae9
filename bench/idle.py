"""
What Relevo costs while nothing happens: its start, its memory, its CPU, and the collector's.

    python -m bench.idle [--quick]

The shipped processes with 20 containers that may be acted on; the collector with 200 as well. They
have the packages that the image has, and find them compiled, as there (`bench.shipped`).
"""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import rigs
from bench.figures import Figure, Found
from bench.part import alone
from bench.process import cpu_s, rss_mb
from bench.rigs import Place
from bench.shipped import Shipped, shipped
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

_FEW, _MANY = 20, 200


def _ready(port: int) -> bool:
    """Ask for readiness over a socket of its own; nothing is imported or pooled for that."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            line.sendall(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Started:
    """A controller that is ready."""

    pid: int
    #: From the command to the first answer that it is ready; of these, on a processor.
    took_ms: float
    cpu_ms: float


@asynccontextmanager
async def _started(place: Place, redis: Path, what: Shipped, turn: int) -> AsyncIterator[_Started]:
    """Start it as `relevo serve` does, wait until it says that it is ready, and end it after."""
    folder = place.home / f"start-{turn}"
    folder.mkdir()
    port = free_port()
    program = Program(
        "start",
        [*what.python, "-m", "app", "serve"],
        log=folder / "log",
        env=what.over(rigs.settings(place, redis, folder, port)),
        cwd=rigs.ROOT,
    )
    since = time.perf_counter()
    await program.start()
    try:
        while not await asyncio.to_thread(_ready, port):
            if program.ended or time.perf_counter() - since > 60:
                raise RuntimeError(program.last_words())
            await asyncio.sleep(0.002)
        took = time.perf_counter() - since
        yield _Started(program.pid, took * 1000, cpu_s(program.pid) * 1000)
    finally:
        await program.stop()


async def _collector(place: Place, what: Shipped, seconds: float) -> dict[str, float]:
    """Run the collector for a while, from after its second sweep on."""
    port = free_port()
    folder = place.home / f"collect-{len(place.names)}"
    folder.mkdir()
    environment = what.over(rigs.settings(place, folder / "none", folder, port))
    environment["RELEVO_COLLECT_LISTEN"] = f"127.0.0.1:{port}"
    program = Program(
        "collect",
        [*what.python, "-m", "app", "collect"],
        log=folder / "log",
        env=environment,
        cwd=rigs.ROOT,
    )
    await program.start()
    try:
        async with httpx.AsyncClient(timeout=10) as http:

            async def swept() -> bool:
                page = await http.get(f"http://127.0.0.1:{port}/metrics/containers")
                return "relevo_collector_last_sweep_timestamp_seconds{" in page.text

            await eventually(swept, within=180, what="the collector has looked at all")
            before = cpu_s(program.pid)
            await asyncio.sleep(seconds)
            return {
                "cpu_percent": (cpu_s(program.pid) - before) / seconds * 100,
                "rss_mb": rss_mb(program.pid),
            }
    finally:
        await program.stop()


async def measure(quick: bool) -> Found:
    """Measure; the sweeps of the collector are 15 s apart, so whole ones are waited for."""
    found = Found()
    seconds = 15.0 if quick else 45.0
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        home = Path(folder)
        what = shipped(home / "shipped")
        with rigs.patients(_FEW, home) as place:
            async with rigs.redis(home) as redis:
                # The first compiles, and finds an empty Redis: it holds still for 15 s on purpose.
                async with _started(place, redis, what, 0):
                    pass
                starts = []
                for turn in range(1, 4 if quick else 10):
                    async with _started(place, redis, what, turn) as one:
                        starts.append(one)
                found.take("start_ms", Figure.of([one.took_ms for one in starts]))
                found.figures["start_cpu_ms"] = Figure.of([one.cpu_ms for one in starts]).median
                async with _started(place, redis, what, 10) as one:
                    await asyncio.sleep(5)  # what is done once, after the start, is not idling
                    before = cpu_s(one.pid)
                    few = await _collector(place, what, seconds)
                    spent = cpu_s(one.pid) - before
                    own = cpu_s(one.pid)
                    await asyncio.sleep(seconds)
                    controller = (cpu_s(one.pid) - own) / seconds * 100
                    found.goals["rss_mb"] = rss_mb(one.pid)
                    found.figures["controller_cpu_s_while_collected"] = spent
                    found.figures["controller_cpu_percent"] = controller
        for name, value in few.items():
            found.figures[f"collector_{_FEW}_{name}"] = value
        found.goals["idle_cpu_percent"] = controller + few["cpu_percent"]
        if not quick:
            with rigs.patients(_MANY, home) as place:
                for name, value in (await _collector(place, what, seconds)).items():
                    found.figures[f"collector_{_MANY}_{name}"] = value
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
