"""The command line: runs, the matrix of kill points, planted bugs, and one run again."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.sim.backend_redis import stop_server
from tests.sim.mutants import Fate, hunt
from tests.sim.mutations import MUTANTS
from tests.sim.plan import Plan, Result
from tests.sim.points import KILLS, profile_of
from tests.sim.pool import run_all
from tests.sim.process import Ambush
from tests.sim.profiles_rough import PROFILES
from tests.sim.report import say, table
from tests.sim.simulation import simulate

#: Long enough for several incidents, also in the profiles of the points.
_POINT_HOURS = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 where a rule was broken."""
    args = _parser().parse_args(argv)
    if os.environ.get("PYTHONHASHSEED") != "0" and argv is None:
        # Sets of texts have an order of their own in every process otherwise.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]])
    answer: int = args.do(args)
    return answer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="simulated time with faults drawn from seeds")
    _common(run)
    run.add_argument("--hours", type=float, default=100.0, help="all together")
    run.add_argument("--each", type=float, default=15.0, help="hours of one run")
    run.add_argument("--profile", default="faults", help="names, or 'all'")
    run.set_defaults(do=_run)

    matrix = commands.add_parser("matrix", help="every point at which a process may die")
    _common(matrix)
    matrix.add_argument("--points", default="all", help="names, or 'all'")
    matrix.add_argument("--seeds", type=int, default=3)
    matrix.add_argument("--what", default="kill", choices=("kill", "pause", "both"))
    matrix.add_argument("--hours", type=float, default=_POINT_HOURS)
    matrix.set_defaults(do=_matrix)

    repro = commands.add_parser("repro", help="one run again, line by line")
    repro.add_argument("--seed", type=int, required=True)
    repro.add_argument("--hours", type=float, default=15.0)
    repro.add_argument("--profile", default="faults", choices=sorted(PROFILES))
    repro.add_argument("--backend", default="memory", choices=("memory", "redis"))
    repro.add_argument("--point", choices=KILLS)
    repro.add_argument("--what", default="kill", choices=("kill", "pause"))
    repro.add_argument("--spare", type=int, default=0)
    repro.add_argument("--seconds", type=float, default=0.0)
    repro.add_argument("--mutant", choices=sorted(MUTANTS))
    repro.add_argument("--trace", action="store_true", help="print every line")
    repro.set_defaults(do=_repro)

    mutants = commands.add_parser("mutants", help="plant bugs, and see them caught")
    _common(mutants)
    mutants.add_argument("--hours", type=float, default=200.0, help="for each, at most")
    mutants.add_argument("--only", default="", help="names, with commas")
    mutants.set_defaults(do=_mutants)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--backend", default="memory", choices=("memory", "redis"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")


def _run(args: argparse.Namespace) -> int:
    names = sorted(PROFILES) if args.profile == "all" else args.profile.split(",")
    count = max(1, round(args.hours / args.each))
    plans = [
        Plan(
            seed=args.seed + number,
            hours=min(args.each, args.hours),
            profile=names[number % len(names)],
            backend=args.backend,
        )
        for number in range(count)
    ]
    return _report(run_all(plans, jobs=args.jobs), args.out)


def _matrix(args: argparse.Namespace) -> int:
    points = KILLS if args.points == "all" else tuple(args.points.split(","))
    whats = ("kill", "pause") if args.what == "both" else (args.what,)
    plans = [
        Plan(
            seed=args.seed + number,
            hours=args.hours,
            profile=profile_of(point),
            backend=args.backend,
            ambush=Ambush(point, what, 5.0 + 13.0 * (number % 6), number % 3),
        )
        for point in points
        for what in whats
        for number in range(args.seeds)
    ]
    return _report(run_all(plans, jobs=args.jobs), args.out)


def _repro(args: argparse.Namespace) -> int:
    ambush = None
    if args.point is not None:
        ambush = Ambush(args.point, args.what, args.seconds, args.spare)
    plan = Plan(
        seed=args.seed,
        hours=args.hours,
        profile=args.profile,
        backend=args.backend,
        ambush=ambush,
        mutant=args.mutant,
    )
    try:
        result = simulate(plan, tell=say if args.trace else None)
    finally:
        stop_server()
    return _report([result], None)


def _mutants(args: argparse.Namespace) -> int:
    names = args.only.split(",") if args.only else sorted(MUTANTS)
    width = max(map(len, names))
    fates: list[Fate] = []

    def told(fate: Fate) -> None:
        fates.append(fate)
        how = f"{fate.invariant or f'SURVIVES {fate.others}'}: {fate.what}"
        say(f"{fate.name:{width}}  {fate.hours:7.1f} h  {how}")
        if args.out is not None:
            args.out.write_text(json.dumps([asdict(one) for one in fates], indent=1))

    hunt(names, hours=args.hours, first_seed=args.seed, jobs=args.jobs, told=told)
    caught = sum(fate.caught for fate in fates)
    say(f"{caught} of {len(fates)} planted bugs caught")
    return 0 if caught == len(fates) else 1


def _report(results: Sequence[Result], out: Path | None) -> int:
    if out is not None:
        out.write_text(json.dumps([asdict(one) for one in results], indent=1))
    broken = [one for one in results if one.violation is not None]
    for one in broken:
        assert one.violation is not None
        say(f"\nseed {one.seed}, {one.at:.1f} s: {one.violation[0]} {one.violation[1]}")
        for line in one.last:
            say(f"    {line}")
        say(f"  {one.command}")
    say(table(results))
    return 1 if broken else 0
