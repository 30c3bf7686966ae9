"""A part of the bench run alone: ``python -m bench.PART [--quick] [--json]``."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from bench.figures import Figure, Found, written
from bench.goals import missed, table

#: Measures one part; ``quick`` is for developing on a busy machine: fewer and shorter rounds.
Measure = Callable[[bool], Coroutine[Any, Any, Found]]


def quiet() -> None:
    """Keep the lines of the controllers that run within the bench out of its figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def alone(measure: Measure, doc: str | None) -> None:
    """Measure, print, and exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    quiet()
    found = asyncio.run(measure(args.quick))
    if args.json:
        print(json.dumps({"goals": found.goals, "figures": written(found.figures)}))
    else:
        print(details(found))
        own = "\n".join(
            line for line in table(found.goals).splitlines() if not line.endswith("not measured")
        )
        print(own)
    sys.exit(bool(missed(found.goals)))


def details(found: Found) -> str:
    """Write every figure with its spread, and what is missing."""
    lines = []
    for name, one in sorted(found.figures.items()):
        if isinstance(one, Figure):
            spread = f"{one.low:,.4g} to {one.high:,.4g} in {one.rounds} rounds"
            lines.append(f"  {name:<44} {one.median:>12,.4g}   ({spread})")
        else:
            lines.append(f"  {name:<44} {one:>12,.4g}")
    lines += [f"  missing: {what}" for what in found.missing]
    return "\n".join(lines)
