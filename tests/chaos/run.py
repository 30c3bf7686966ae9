"""
Random faults on real processes, counted by the engine's own events.

    python -m tests.chaos.run [--cycles 500] [--jobs 6] [--seed 1] [--out FILE]

Each cycle is one alert or more in flight and one fault at a random moment, in one of several houses
(a Redis, two controllers, containers on the real engine). Lost is an alert that was answered 2xx
and came to nothing; a duplicate is a restart that nothing called for. Exit code 1 on any of them.
"""

import argparse
import asyncio
import json
import secrets
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.adapters.clock import LoopClock
from tests.chaos import faults
from tests.chaos.cycles import Cycles, Report
from tests.chaos.figures import spread, table, tell
from tests.chaos.house import House, Plan
from tests.chaos.starts import Starts
from tests.stack.containers import ensure_image

#: Kinds of a broken promise that fail a run. Only told are restarts that came early, by less than
#: two controllers' clocks may differ, and those that a store had forgotten to be needless.
FATAL: Final = ("lost", "duplicate", "dropped")
_TOLD_EVERY_S: Final = 60.0


async def one_house(
    seed: str,
    cycles: int,
    starts: Starts,
    *,
    label: str,
    controllers: int,
    kinds: Sequence[str],
    running: list[Report],
) -> Report:
    """Run the cycles of one house, and take it down."""
    house = House(Plan(controllers=controllers, label=label))
    try:
        async with house:
            its = Cycles(house, starts, seed=seed, kinds=kinds)
            running.append(its.report)
            report = await its.run(cycles)
    except BaseException:
        sys.stderr.write(f"house {seed}\n{house.last_words()}\n")
        raise
    if not any(one.kind in FATAL for one in report.broken):
        house.remove_traces()
    return report


async def progress(running: Sequence[Report], cycles: int) -> None:
    """Say every now and then how far it is."""
    while True:
        await asyncio.sleep(_TOLD_EVERY_S)
        tell(f"{sum(report.cycles for report in running)} of {cycles} cycles")


async def run(args: argparse.Namespace) -> list[Report]:
    """Run all houses side by side, and print what is of interest."""
    await ensure_image()
    label = f"relevo-chaos-{secrets.token_hex(4)}"
    share = [args.cycles // args.jobs + (n < args.cycles % args.jobs) for n in range(args.jobs)]
    wanted = range(args.jobs) if args.house is None else [args.house]
    running: list[Report] = []
    async with Starts(label) as starts:

        async def house(number: int) -> Report:
            # Every other one forgets, so that the others are judged by their records, too.
            kinds = args.faults or list(faults.PLAIN if number % 2 else faults.ALL)
            if args.plain:
                kinds = [kind for kind in kinds if kind in faults.PLAIN]
            seed = f"{args.seed}/{number}"
            report = await one_house(
                seed,
                share[number],
                starts,
                label=label,
                controllers=args.controllers,
                kinds=kinds,
                running=running,
            )
            tell(f"house {seed}: {report.cycles} cycles, {len(report.broken)} broken")
            return report

        telling = asyncio.create_task(progress(running, args.cycles))
        try:
            return await asyncio.gather(*(house(number) for number in wanted))
        finally:
            telling.cancel()


def summary(reports: Sequence[Report], took_s: float) -> dict[str, object]:
    """Sum up, for people and for machines."""
    drawn: Counter[str] = sum((one.faults for one in reports), Counter())
    broken = Counter(fault.kind for one in reports for fault in one.broken)
    return {
        "cycles": sum(one.cycles for one in reports),
        "alerts": sum(one.alerts for one in reports),
        "restarts": sum(one.starts for one in reports),
        "escalated": sum(one.escalated for one in reports),
        "lost": broken["lost"],
        "duplicate": broken["duplicate"],
        "dropped": broken["dropped"],
        "early": broken["early"],
        "needless": broken["needless"],
        "treated_s": spread([value for one in reports for value in one.treated_s]),
        "took_s": round(took_s, 1),
        "faults": dict(sorted(drawn.items())),
        "broken": [
            {"house": one.seed, "cycle": fault.cycle, "kind": fault.kind, "said": fault.said}
            for one in reports
            for fault in one.broken
        ],
    }


def show(found: dict[str, object], reports: Sequence[Report], args: argparse.Namespace) -> None:
    """Print the table, and each broken promise with its way back."""
    words = ("cycles", "alerts", "restarts", "lost", "duplicate", "dropped", "early", "needless")
    rows: list[list[object]] = [["what", "figure"]]
    rows += [[word, found[word]] for word in (*words, "escalated", "treated_s", "took_s")]
    rows += [[f"fault {name}", count] for name, count in dict(found["faults"]).items()]  # type: ignore[call-overload]
    tell(table(rows))
    for report in reports:
        for fault in report.broken:
            done = report.said.get(fault.cycle, "") if fault.cycle is not None else ""
            number = report.seed.rpartition("/")[2]
            tell(f"{fault.kind}: {fault.said}\n  house {report.seed}, cycle {fault.cycle}: {done}")
            tell(f"  logs: {report.home}; again: {again(args)} --house {number}")


def again(args: argparse.Namespace) -> str:
    """Write the command that draws the same faults."""
    words = ["python", "-m", "tests.chaos.run", "--seed", args.seed]
    words += ["--cycles", str(args.cycles), "--jobs", str(args.jobs)]
    words += ["--controllers", str(args.controllers)]
    words += ["--plain"] if args.plain else []
    words += ["--faults", *args.faults] if args.faults else []
    return shlex.join(words)


def main() -> None:
    """Run, print, and exit 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=6, help="houses side by side")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--house", type=int, help="only this one of them")
    parser.add_argument("--controllers", type=int, default=2, choices=(1, 2))
    parser.add_argument("--plain", action="store_true", help="no fault that makes Redis forget")
    parser.add_argument("--faults", nargs="*", choices=sorted(faults.ALL), help="only these")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args()

    async def timed() -> tuple[list[Report], float]:
        clock = LoopClock()
        began = clock.now()
        return await run(args), (clock.now() - began).total_seconds()

    reports, took_s = asyncio.run(timed())
    found = summary(reports, took_s)
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    show(found, reports, args)
    raise SystemExit(any(found[kind] for kind in FATAL))


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstring."""


if __name__ == "__main__":
    main()
