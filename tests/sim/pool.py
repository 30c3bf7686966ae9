"""Many runs, over several processes; each has a server of its own."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.util import Finalize

from tests.sim.backend_redis import stop_server
from tests.sim.plan import Plan, Result
from tests.sim.simulation import simulate

_TELLS_EVERY_S = 10.0


def run_all(plans: Sequence[Plan], *, jobs: int) -> list[Result]:
    """Run all plans, in order; tell how far it is."""
    results: list[Result] = []
    began = told = time.monotonic()
    for result in _results(plans, jobs):
        results.append(result)
        if result.violation is not None:
            sys.stderr.write(f"{': '.join(result.violation)}\n  {result.command}\n")
        now = time.monotonic()
        if now - told > _TELLS_EVERY_S or result.violation is not None:
            told = now
            hours = sum(one.hours for one in results)
            broken = sum(one.violation is not None for one in results)
            sys.stderr.write(
                f"{len(results)}/{len(plans)} runs, {hours:.0f} h in {now - began:.0f} s, "
                f"{broken} broken"
                "\n"
            )
    return results


def _results(plans: Sequence[Plan], jobs: int) -> Iterator[Result]:
    if jobs <= 1 or len(plans) == 1:
        try:
            yield from map(simulate, plans)
        finally:
            stop_server()
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=begin) as pool:
        yield from pool.map(simulate, plans)


def begin() -> None:
    """Have the server of a worker process end with it."""
    Finalize(None, stop_server, exitpriority=10)
