"""
Forty engines with fifty containers each on one process: its memory, its CPU, and a dead one.

    python -m bench.fleet [--quick]

The engines answer from memory, behind the port; everything else is real: the controllers with all
their loops, and Redis, in which each has a namespace of its own. The shipped configuration has one
engine; only this bench wires forty.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
import uvloop

from app.adapters.clock import LoopClock
from app.adapters.store.opening import open_store
from app.domain.alert import Alert, AlertStatus
from bench import rigs
from bench.figures import Figure, Found
from bench.part import alone
from bench.process import cpu_s, rss_mb
from tests.builders import container
from tests.controller.house import House, build
from tests.fakes import FakeEngine

ENGINES: Final = 40
CONTAINERS: Final = 50
_DEAD: Final = timedelta(seconds=30)


def _house(number: int, clock: LoopClock, store: object) -> House:
    engine = FakeEngine(clock, hostname=f"host{number}")
    for n in range(1, CONTAINERS + 1):
        labels = {
            "relevo.enable": "true",
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": f"web{n}",
            "com.docker.compose.container-number": "1",
        }
        engine.run(container(f"shop-web{n}-1", n, labels=labels))
    return build(store, clock, engine, life=f"life{number}")  # type: ignore[arg-type]


@asynccontextmanager
async def _running(url: str) -> AsyncIterator[Sequence[House]]:
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        houses = []
        for number in range(ENGINES):
            store = await stack.enter_async_context(open_store(url, namespace=f"h{number}:"))
            houses.append(_house(number, clock, store))
        tasks = []
        for house in houses:
            await house.tenure.beat()
            loops = (house.worker.run, house.tenure.run, *house.controller.loops)
            tasks += [asyncio.create_task(loop()) for loop in loops]
        try:
            yield houses
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _taken_ms(houses: Sequence[House], turn: int) -> list[float]:
    """Hand each controller an alert; return how long it takes until each has a story of it."""
    took = []
    for house in houses:
        name = f"shop-web{turn}-1"
        alert = Alert(
            fingerprint=f"{turn:016x}",
            status=AlertStatus.FIRING,
            labels={"alertname": "Fleet", "name": name},
            alert_annotations={"relevo_settle": "4m"},
            starts_at=house.clock.now(),
        )
        since = time.perf_counter()
        await house.take(alert)
        target = f"{house.engine.hostname}:shop-web{turn}-1"
        async with asyncio.timeout(20):
            while not await _is_open(house, target):  # noqa: ASYNC110 - the store is asked
                await asyncio.sleep(0.001)
        took.append((time.perf_counter() - since) * 1000)
    return took


async def _is_open(house: House, target: str) -> bool:
    window = timedelta(hours=1)
    dossier = await house.store.records.read(
        target, group=target, now=house.clock.now(), window=window, brake_window=window
    )
    return dossier.remediation is not None


async def _inside(url: str, seconds: float) -> dict[str, float]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    async with _running(url) as houses:
        await asyncio.sleep(5)
        before, since = cpu_s(os.getpid()), time.monotonic()
        await asyncio.sleep(seconds)
        idle = (cpu_s(os.getpid()) - before) / (time.monotonic() - since) * 100
        memory = rss_mb(os.getpid())
        alive = await _taken_ms(houses[1:], 1)
        houses[0].engine.hangs = _DEAD
        beside = await _taken_ms(houses[1:], 2)
    return {
        "rss_mb": memory,
        "cpu_percent": idle,
        "alive_ms": Figure.of(alive).median,
        "beside_ms": Figure.of(beside).median,
        "beside_high_ms": max(beside),
    }


async def measure(quick: bool) -> Found:
    """Run them in a process of their own, so that only they are counted."""
    found = Found()
    seconds = 10.0 if quick else 45.0
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        async with rigs.redis(Path(folder)) as socket:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.fleet", "inside", f"unix://{socket}", str(seconds)),
                stdout=subprocess.PIPE,
                cwd=rigs.ROOT,
            )
            out, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the fleet ended")
    told = json.loads(out.decode().splitlines()[-1])
    found.goals["fleet40_rss_mb"] = told["rss_mb"]
    found.goals["fleet40_cpu_percent"] = told["cpu_percent"]
    found.goals["fleet40_dead_delay_ms"] = max(0.0, told["beside_ms"] - told["alive_ms"])
    for name in ("alive_ms", "beside_ms", "beside_high_ms"):
        found.figures[f"fleet40_{name}"] = told[name]
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        print(json.dumps(uvloop.run(_inside(sys.argv[2], float(sys.argv[3])))))
    else:
        alone(measure, __doc__)
