"""
How often verdicts are true, measured: every profile, many times, on the real chain.

    python -m tests.stack.verdict_accuracy --rounds 10
    python -m tests.stack.verdict_accuracy --only quiet-90s --only fast-leak --copies 5

Needs Docker, Prometheus, Alertmanager and Redis, like the tests of this folder; one round takes
about five minutes on two cores. Every container that was judged is added to a file of samples,
so that rounds can be run one by one; the report is about all of the file. Where a verdict is wrong,
all that the chain knows of that container is kept beside it.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.stack.profiles import PROFILES, Profile
from tests.stack.profiles_faults import SEQUENCES, Fault
from tests.stack.profiles_report import inserted, report
from tests.stack.profiles_visit import BEDS, Chart, Judgement, attend, endure
from tests.stack.profiles_ward import Clinic

REPOSITORY = Path(__file__).resolve().parents[2]


class Samples:
    """A file with one line of JSON for each container, and evidence beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, chart: Chart) -> None:
        """Keep one more."""
        record = asdict(chart)
        witnesses = record.pop("witnesses")
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")
        if witnesses is not None:
            number = len(self._path.read_text(encoding="utf-8").splitlines())
            evidence = self._path.with_name(f"{self._path.stem}-{number}-{chart.profile}.json")
            evidence.write_text(
                json.dumps({**record, "witnesses": witnesses}, indent=1), encoding="utf-8"
            )

    def all(self) -> list[Chart]:
        """Everything kept so far."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            judgements = [
                Judgement(**{**one, "accepts": tuple(one["accepts"])})
                for one in record.pop("judgements")
            ]
            found.append(Chart(**record, judgements=judgements))
        return found


def say(line: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


async def in_a_lab(
    samples: Samples, todo: Sequence[Profile] | Sequence[Fault], arguments: argparse.Namespace
) -> None:
    """Go through profiles, or faults, in a lab of their own."""
    home = Path(tempfile.mkdtemp(prefix="relevo-lab-"))
    lab = Clinic(home, keeps_all=arguments.evidence)
    charts: list[Chart] = []
    async with lab:
        profiles = [one for one in todo if isinstance(one, Profile)]
        faults = [one for one in todo if isinstance(one, Fault)]
        charts += await attend(lab, profiles, beds=arguments.beds)
        charts += await endure(lab, faults, copies=arguments.fault_copies)
    for chart in charts:
        samples.add(chart)
        for wrong in chart.wrong:
            say(f"WRONG {chart.profile}: {wrong}")
        if chart.void:
            say(f"void {chart.profile}: {chart.void}")
    if any(chart.wrong or chart.void for chart in charts):
        say(f"logs and data: {home}")
    else:
        lab.remove_traces()


async def one_round(samples: Samples, arguments: argparse.Namespace) -> None:
    """Everything once: the profiles in one lab, the faults in another beside it."""
    only = set(arguments.only)
    profiles = [p for p in PROFILES if not only or p.name in only]
    faults = [f for faults in SEQUENCES for f in faults if not only or f.name in only]
    async with asyncio.TaskGroup() as group:
        if profiles:
            group.create_task(in_a_lab(samples, profiles * arguments.copies, arguments))
        if faults:
            group.create_task(in_a_lab(samples, faults, arguments))


def main() -> int:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description="How often verdicts are true.")
    parser.add_argument("--rounds", type=int, default=1, help="0: only report")
    parser.add_argument("--copies", type=int, default=2, help="of each profile in a round")
    parser.add_argument("--fault-copies", type=int, default=2, help="of each faulty chain's")
    parser.add_argument("--evidence", action="store_true", help="keep it of right verdicts, too")
    parser.add_argument("--beds", type=int, default=BEDS, help="containers at once in a lab")
    parser.add_argument("--only", action="append", default=[], help="a profile, or a fault")
    parser.add_argument(
        "--samples",
        type=Path,
        default=REPOSITORY / ".cache" / "verdicts" / "samples.jsonl",
        help="file that samples are added to (default: %(default)s)",
    )
    parser.add_argument("--write", type=Path, help="document to put the report into")
    arguments = parser.parse_args()
    samples = Samples(arguments.samples)
    for number in range(1, arguments.rounds + 1):
        began = time.monotonic()
        asyncio.run(one_round(samples, arguments))
        say(f"round {number} of {arguments.rounds}: {time.monotonic() - began:.0f} s")
    measured = report(samples.all())
    sys.stdout.write(f"{measured}\n")
    if arguments.write is not None:
        document = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(inserted(document, measured), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
