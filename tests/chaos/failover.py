"""
How long nobody acts when the one that acts is gone.

    python -m tests.chaos.failover [--samples 50] [--pairs 4] [--out FILE]

Pairs of controllers, each on a Redis of its own and the real engine; the time is from the fault to
the first restart that the engine tells of. Exit code 1 where a goal is missed or a container was
started twice.
"""

import argparse
import asyncio
import json
import secrets
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.chaos.figures import percentile, spread, table, tell
from tests.chaos.house import House, Plan
from tests.chaos.pair import Measured, Pair
from tests.chaos.starts import Starts
from tests.stack.containers import ensure_image

#: A look of the engine's events, and a poll of the controllers, beside the 2 s or 20 s.
Case = Callable[[Pair], Awaitable[Measured]]

#: How long the leader is frozen.
FROZEN_S: Final = 60.0

#: Case -> what is done, and which share of the samples it gets.
CASES: Final[dict[str, tuple[Case, float]]] = {
    "leader killed, alert waits": (Pair.killed_waiting, 0.5),
    "leader killed while acting": (Pair.killed_acting, 0.5),
    "leader terminated": (Pair.terminated, 1.0),
    "same instance restarted": (Pair.restarted, 0.5),
    "leader frozen for 60 s": (lambda pair: pair.frozen(FROZEN_S), 0.2),
    "Redis restarted": (Pair.redis_restarted, 0.5),
    "engine away for 6 s": (Pair.engine_back, 0.5),
}
#: (case, figure) -> p99 at most, seconds.
GOALS: Final = {
    ("leader killed, alert waits", "takes the seat"): 20.0,
    ("leader killed while acting", "takes the seat"): 20.0,
    ("leader killed, alert waits", "acts"): 20.0,
    # Between intent and request nobody can tell whether the engine heard: what it may take is
    # waited for (20 s, stop grace, 30 s) after the seat has passed on.
    ("leader killed while acting", "acts"): 75.0,
    ("leader terminated", "takes the seat"): 2.0,
    ("leader terminated", "acts"): 2.0,
    ("same instance restarted", "acts"): 5.0,
    ("leader frozen for 60 s", "acts"): 20.0,
    ("Redis restarted", "accepts"): 2.0,
    ("Redis restarted", "acts"): 20.0,
    ("engine away for 6 s", "accepts"): 2.0,
    ("engine away for 6 s", "acts"): 20.0,
}


class Samples:
    """What was measured: (case, figure) -> values."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failed: list[str] = []

    def add(self, case: str, measured: Measured) -> None:
        """Keep one sample."""
        for figure, value in measured.items():
            self.values[case, figure].append(value)

    def missed(self) -> list[str]:
        """Say which goals were missed."""
        said = list(self.failed)
        for (case, figure), values in self.values.items():
            if figure == "doubled" and any(values):
                said.append(f"{case}: {int(sum(values))} containers not started exactly once")
            goal = GOALS.get((case, figure))
            if goal is not None and (worst := percentile(values, 0.99)) > goal:
                said.append(f"{case}: {figure}: p99 {worst:.2f} s, goal {goal:g} s")
        return said


async def run(args: argparse.Namespace) -> Samples:
    """Measure in several pairs side by side."""
    await ensure_image()
    label = f"relevo-chaos-{secrets.token_hex(4)}"
    todo: list[str] = []
    for name in args.only or CASES:
        todo += [name] * max(1, round(args.samples * CASES[name][1]))
    samples = Samples()
    async with Starts(label) as starts:

        async def work() -> None:
            house = House(Plan(controllers=2, label=label, patients=4, stubborn=2))
            async with house:
                pair = Pair(house, starts)
                while todo:
                    case = todo.pop(0)
                    try:
                        samples.add(case, await CASES[case][0](pair))
                    except AssertionError as exc:
                        samples.failed.append(f"{case}: {exc}\n{house.last_words()}")
                        return  # its logs are kept
                    tell(f"{case}: {len(todo)} to go")
            house.remove_traces()

        await asyncio.gather(*(work() for _ in range(args.pairs)))
    if todo:
        samples.failed.append(f"{len(todo)} samples were not taken")
    return samples


def main() -> None:
    """Measure, print, and exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--only", nargs="*", choices=sorted(CASES))
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args()
    samples = asyncio.run(run(args))
    figures = {f"{case}: {figure}": spread(v) for (case, figure), v in samples.values.items()}
    rows: list[list[object]] = [["case", "seconds until it", "n", "p50", "p99", "max", "goal"]]
    for (case, figure), values in samples.values.items():
        told = spread(values)
        goal = GOALS.get((case, figure), "0" if figure == "doubled" else "")
        rows.append(
            [case, figure, told["count"], told["p50"], told["p99"], told["max"], goal],
        )
    tell(table(rows))
    missed = samples.missed()
    for line in missed:
        tell(line)
    if args.out is not None:
        found = {"figures": figures, "missed": missed}
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(missed))


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstring."""


if __name__ == "__main__":
    main()
