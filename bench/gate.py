"""
What the gate costs per action: the same action through it and over the engine's own socket.

The action is the start of a container that runs already, which costs the engine next to nothing, so
that what is left is the gate: its own look at the engine, its judgement, the journal on disk, and
two sockets in the place of one. Both take turns in one run. The gate is a process of its own, as it
is shipped.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

from app.adapters.engine.docker import DockerEngine
from app.adapters.gate.client import GateEngine
from app.ports import ContainerEngine
from tests.engine_lab import SOCKET, busybox_image, engine_lab
from tests.gate_lab import a_line, gate_folder, lenient
from tests.parts import require

#: Milliseconds that an action may cost more.
GOAL_MS = 5.0


async def measure(rounds: int, *, beside: int = 0) -> dict[str, float]:
    """
    Act by turns; return medians in milliseconds.

    :param rounds: of both; some more come before and are not counted (opening, caches)
    :param beside: other containers on the engine, which the gate counts as well
    """
    with engine_lab(busybox_image(require("docker"))) as lab, gate_folder() as folder:
        container_id = lab.run()
        for _ in range(beside):
            lab.create()
        async with (
            DockerEngine(SOCKET) as direct,
            _gate(folder) as path,
            a_line(path) as line,
        ):
            behind = GateEngine(line)
            there = len(await direct.containers())
            spent: dict[str, list[float]] = {"direct": [], "gate": []}
            for turn in range(-3, rounds):
                both: list[tuple[str, ContainerEngine]] = [("direct", direct), ("gate", behind)]
                for name, engine in both if turn % 2 else reversed(both):
                    since = perf_counter()
                    await engine.start(container_id, attempt_id=f"bench-{turn}")
                    if turn >= 0:
                        spent[name].append((perf_counter() - since) * 1000)
        flush_ms = _flush(folder)
    direct_ms, gate_ms = (statistics.median(spent[name]) for name in ("direct", "gate"))
    return {
        "rounds": float(rounds),
        "containers": float(there),
        "direct_ms": direct_ms,
        "gate_ms": gate_ms,
        "cost_ms": gate_ms - direct_ms,
        "cost_p95_ms": _p95(spent["gate"]) - direct_ms,
        "flush_ms": flush_ms,
    }


def _flush(folder: Path) -> float:
    """Measure what the disk takes to keep a line: the gate waits for that once per action."""
    spent = []
    descriptor = os.open(folder / "flush", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(50):
            since = perf_counter()
            os.write(descriptor, b"x" * 400)
            os.fdatasync(descriptor)
            spent.append((perf_counter() - since) * 1000)
    finally:
        os.close(descriptor)
    return statistics.median(spent)


def _p95(found: list[float]) -> float:
    return sorted(found)[int(len(found) * 0.95)]


@asynccontextmanager
async def _gate(folder: Path) -> AsyncIterator[Path]:
    """Run the gate as the command does, uvloop included."""
    (folder / "policies.yml").write_text(lenient())
    path = folder / "gate.sock"
    environment = os.environ | {
        "DOCKER_HOST": SOCKET,
        "RELEVO_DATA_DIR": str(folder / "data"),
        "RELEVO_POLICIES": str(folder / "policies.yml"),
        "RELEVO_GATE_SOCKET": str(path),
    }
    gate = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "gate"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert gate.stderr is not None
    while b"gate.started" not in (line := await gate.stderr.readline()):
        if not line:
            raise RuntimeError("the gate ended")
    reading = asyncio.create_task(gate.stderr.read())
    try:
        yield path
    finally:
        gate.terminate()
        await gate.wait()
        await reading


def main() -> None:
    """Measure, print, and exit 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--beside", type=int, default=0, help="other containers on the engine")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = asyncio.run(measure(args.rounds, beside=args.beside))
    if args.json:
        print(json.dumps(found))
    else:
        print(
            f"an action among {found['containers']:.0f} containers, "
            f"median of {args.rounds} by turns:"
        )
        print(f"  {found['direct_ms']:.1f} ms over the engine's own socket")
        print(f"  {found['gate_ms']:.1f} ms through the gate")
        print(f"  {found['cost_ms']:.1f} ms for the gate (goal: at most {GOAL_MS:g})")
        print(f"  {found['flush_ms']:.1f} ms of these for the disk to keep the journal's line")
        print(f"  {found['cost_p95_ms']:.1f} ms for one in twenty, at least")
    raise SystemExit(found["cost_ms"] > GOAL_MS)


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstring."""


if __name__ == "__main__":
    main()
