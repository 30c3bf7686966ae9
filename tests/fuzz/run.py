"""The runner: which parts, how many cases, one table, and the figures as JSON."""

import argparse
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import structlog

from tests.fuzz.parts import Missing
from tests.fuzz.tally import MOST_TOLD, Tally, tell

Part = Callable[[Tally, int], None]

#: Part -> its share of the cases, by what a case of it costs and how much there is to get wrong.
SHARES: Final[Mapping[str, float]] = {
    "store": 0.32,
    "engine": 0.29,
    "names": 0.27,
    "bodies": 0.06,
    "gate": 0.03,
    "policies": 0.01,
    "guided": 0.015,
    "api": 0.005,
}


def part(name: str) -> Part:
    """Find a part by its name."""
    found: Part = import_module(f"tests.fuzz.parts.{name}").fuzz
    return found


def run(name: str, cases: int, *, seed: int, only: int | None = None) -> dict[str, Any]:
    """
    Run one part.

    :returns: its figures: ``part``, ``cases``, ``seconds``, ``per_second``, ``findings`` (with
        ``what``, ``sample``, ``seed``, ``number``), ``outcomes``; or ``missing``: what it needs
    """
    tally = Tally(part=name, seed=seed, only=only)
    before = time.perf_counter()
    try:
        part(name)(tally, cases)
    except Missing as exc:
        return {"part": name, "cases": 0, "missing": str(exc), "findings": [], "seconds": 0.0}
    took = time.perf_counter() - before
    return {
        "part": name,
        "cases": tally.cases,
        "seconds": round(took, 1),
        "per_second": round(tally.cases / took, 1),
        "findings": [asdict(one) for one in tally.findings],
        "told": [str(one) for one in tally.findings],
        "kinds": dict(tally.kinds.most_common(MOST_TOLD)),
        "outcomes": dict(tally.outcomes.most_common(20)),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Write the results for people."""
    lines = [f"{'part':<10}{'cases':>10}{'seconds':>10}{'cases/s':>10}  findings"]
    for one in results:
        found = one.get("missing") or f"{len(one['findings'])}"
        rate = one.get("per_second", 0)
        lines.append(
            f"{one['part']:<10}{one['cases']:>10,}{one['seconds']:>10,.1f}{rate:>10,.0f}  {found}"
        )
    total = sum(one["cases"] for one in results)
    took = sum(one["seconds"] for one in results)
    number = sum(len(one["findings"]) for one in results)
    lines.append(f"{'all':<10}{total:>10,}{took:>10,.1f}{total / (took or 1):>10,.0f}  {number}")
    return "\n".join(lines)


def quiet() -> None:
    """What is wrong with what was sent is logged a hundred thousand times otherwise."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
    )
    logging.disable(logging.CRITICAL)


def main() -> None:
    """The command."""
    reading = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    reading.add_argument("--cases", type=int, default=20_000, help="of all parts together")
    reading.add_argument("--seed", type=int, default=1)
    reading.add_argument("--part", choices=[*SHARES], action="append", help="only this part")
    reading.add_argument("--only", type=int, help="repeat one case of a part, by its number")
    reading.add_argument("--out", type=Path, help="write the figures there, as JSON")
    told = reading.parse_args()
    names = told.part or [*SHARES]
    share = sum(SHARES[name] for name in names)
    quiet()
    results = []
    for name in names:
        cases = max(1, round(told.cases * SHARES[name] / share))
        if told.only is not None:
            cases = max(cases, told.only + 1)
        tell(f"{name}: {cases:,} cases, seed {told.seed}")
        results.append(run(name, cases, seed=told.seed, only=told.only))
        for finding in results[-1].pop("told", ()):
            tell(finding)
    sys.stdout.write(f"{table(results)}\n")
    if told.out is not None:
        figures = {
            "command": f"make fuzz N={told.cases} SEED={told.seed}",
            "python": platform.python_version(),
            "cases": sum(one["cases"] for one in results),
            "findings": sum(len(one["findings"]) for one in results),
            "parts": results,
        }
        told.out.write_text(json.dumps(figures, indent=1, ensure_ascii=True) + "\n")
    sys.exit(1 if any(one["findings"] for one in results) else 0)
