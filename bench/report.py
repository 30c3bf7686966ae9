"""
The whole bench: every part in one run, one table at the end, and the same as JSON.

    python -m bench.report [--quick] [--only ingest,engine] [--out FILE]

Where a part cannot run here, the others do, and the table says what was not measured. Exit code 1
where a goal is missed. A quick run leaves out what takes minutes by itself, unless it is named.
"""

import argparse
import asyncio
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.figures import Found, written
from bench.goals import missed, table
from bench.part import Measure, details, quiet

PARTS: Final = (
    *("ingest", "burst", "growth", "lateness", "engine", "idle", "fleet"),
    *("fault", "relief", "ladder"),
)
#: Not in a quick run: two minutes for one figure.
LONG: Final = ("ladder",)
#: Of goals of their own, each with a command of its own; here only where they are named.
OTHERS: Final = ("decisions", "reading", "scale_out", "gate", "notices")
_RESULTS: Final = Path(__file__).with_name("results")


def run(part: str, quick: bool) -> Found:
    """Run one part; what keeps it from running is said, and ends nothing else."""
    try:
        if part in OTHERS:
            return _by_its_command(part)
        measure: Measure = importlib.import_module(f"bench.{part}").measure
        return asyncio.run(measure(quick))
    except Exception as exc:  # noqa: BLE001 - the boundary between parts
        traceback.print_exc()
        return Found(missing=[f"{part}: {exc}"])
    except BaseException as exc:
        # How the labs of the tests say that a part is not here.
        if type(exc).__name__ not in ("Skipped", "Failed"):
            raise
        return Found(missing=[f"{part}: {exc}"])


def _by_its_command(part: str) -> Found:
    """Run a part that prints its own table and knows its own goals."""
    done = subprocess.run([sys.executable, "-m", f"bench.{part}"], check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"ended with {done.returncode}")
    return Found(missing=[f"{part}: misses its own goal, see above"] if done.returncode else [])


def main() -> None:
    """Run all, print the table, write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    several = f"parts, comma-separated: {', '.join((*PARTS, *OTHERS))}"
    parser.add_argument("--only", default="", help=several)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    wanted = tuple(filter(None, args.only.split(",")))
    if unknown := set(wanted) - {*PARTS, *OTHERS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    quiet()
    found = Found()
    took: dict[str, float] = {}
    for part in wanted or [one for one in PARTS if not (args.quick and one in LONG)]:
        print(f"--- {part}", flush=True)
        since = time.monotonic()
        one = run(part, args.quick)
        took[part] = round(time.monotonic() - since, 1)
        print(details(one), flush=True)
        found.add(one)
    if args.quick and not wanted:
        found.missing += [f"{part}: not in a quick run; ONLY={part} has it run" for part in LONG]
    print()
    print(table(found.goals))
    for what in found.missing:
        print(f"missing: {what}")
    now = datetime.now(UTC)  # noqa: TID251 - names the file
    out = args.out or _RESULTS / f"{now:%Y-%m-%d-%H%M}{'-quick' if args.quick else ''}.json"
    out.parent.mkdir(exist_ok=True)
    result = {
        "goals": {key: round(value, 4) for key, value in found.goals.items()},
        "missed": missed(found.goals),
        "figures": written(found.figures),
        "missing": found.missing,
        "quick": args.quick,
        "seconds": took,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
        "at": now.isoformat(timespec="seconds"),
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {out}")
    sys.exit(bool(missed(found.goals)))


if __name__ == "__main__":
    main()
