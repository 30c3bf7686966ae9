"""
What a question costs whoever asks: all targets, the status, the metrics.

    python -m bench.reading [--targets 500] [--rounds 9]

Over a real socket, from a real Redis (append-only file, fsync always) with the real scripts. The
engine answers from memory: its listing is shared by all who ask within a second. Every target has
an open story, the worst there is to read.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import httpx
import uvicorn

from app.adapters.clock import LoopClock
from app.adapters.policy_file import parse_rulebook
from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from app.api.app import create_app
from app.api.deps import Parts, Tokens
from bench.decisions import alert_of, claimed, compose_labels
from tests.builders import container
from tests.controller.house import House, build
from tests.engine_lab import until
from tests.fakes import FakeEngine

#: What an answer may take, of 500 targets.
GOAL_MS = 100.0
ASKED = ("/api/v1/targets", "/api/v1/status", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One answer, in milliseconds: medians."""

    wall_ms: float
    #: Of controller and client, which are one process here.
    cpu_ms: float
    #: Of all rounds: whatever else runs here only adds to it.
    least_cpu_ms: float


async def measure(targets: int, rounds: int) -> dict[str, Took]:
    """
    Ask each question by turns; return what each took.

    :param rounds: of all questions; one more comes before and is not counted (opening, caches)
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-bench-")))
        store = await stack.enter_async_context(
            open_store(await stack.enter_async_context(embedded_server(home)))
        )
        clock = LoopClock()
        engine = FakeEngine(clock)
        for number in range(1, targets + 1):
            engine.run(container(f"shop-web-{number}", number, labels=compose_labels(number)))
        house = build(store, clock, engine)
        began = clock.now()
        for start in range(0, targets, 500):
            last = min(start + 500, targets)
            await house.take(*(alert_of(n, began) for n in range(start + 1, last + 1)))
        for claim in await claimed(house.store.schedule, clock, targets):
            await house.controller.step(claim, clock.now())
        client = await stack.enter_async_context(_served(house))
        wall: dict[str, list[float]] = {path: [] for path in ASKED}
        cpu: dict[str, list[float]] = {path: [] for path in ASKED}
        for _ in range(rounds + 1):
            for path in ASKED:
                spent, since = process_time(), perf_counter()
                answer = await client.get(path)
                cpu[path].append((process_time() - spent) * 1000)
                wall[path].append((perf_counter() - since) * 1000)
                answer.raise_for_status()
        listed = (await client.get("/api/v1/targets")).json()["targets"]
        if [one["state"] for one in listed] != ["waiting"] * targets:
            raise SystemExit("not every target has its story")
        return {
            path: Took(
                wall_ms=statistics.median(wall[path][1:]),
                cpu_ms=statistics.median(cpu[path][1:]),
                least_cpu_ms=min(cpu[path][1:]),
            )
            for path in ASKED
        }


@asynccontextmanager
async def _served(house: House) -> AsyncIterator[httpx.AsyncClient]:
    parts = Parts(
        intake=house.intake,
        desk=house.desk,
        overview=house.overview,
        operator=house.operator,
        auditor=house.controller.auditor,
        gauges=house.gauges,
        reloading=house.reloading,
        parse=parse_rulebook,
        telemetry=house.telemetry,
        clock=house.clock,
        tokens=Tokens({}),
        board=house.controller.board,
        feed=house.controller.feed,
        samples=house.controller.samples,
    )
    config = uvicorn.Config(create_app(parts), port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(config)

    async def started() -> bool:
        return server.started

    serving = asyncio.create_task(server.serve())
    try:
        await until(started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        await serving


def main() -> None:
    """Measure, print, and exit 1 where the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    found = asyncio.run(measure(args.targets, args.rounds))
    print(f"one answer, {args.targets} targets, median of {args.rounds} (goal: {GOAL_MS:.0f} ms):")
    for path, took in found.items():
        print(f"  {took.wall_ms:6.1f} ms, {took.cpu_ms:6.1f} ms CPU  {path}")
    raise SystemExit(any(took.wall_ms >= GOAL_MS for took in found.values()))


if __name__ == "__main__":
    main()
