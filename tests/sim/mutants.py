"""Plants each bug, and simulates until it is caught."""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from tests.sim.mutations import MUTANTS
from tests.sim.pool import begin
from tests.sim.process import Ambush
from tests.sim.simulation import Plan, simulate, stop_server

_EACH_H = 10.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a planted bug."""

    name: str
    caught: bool
    #: Simulated until then.
    hours: float
    invariant: str = ""
    what: str = ""
    command: str = ""


def plan_of(name: str, seed: int) -> Plan:
    """The simulation that should find it."""
    mutant = MUTANTS[name]
    ambush = None
    if mutant.point is not None:
        ambush = Ambush(mutant.point, mutant.what, mutant.seconds, seed % 2)
    return Plan(
        seed=seed,
        hours=_EACH_H,
        profile=mutant.profile,
        backend=mutant.backend,
        ambush=ambush,
        mutant=name,
    )


def chase(name: str, *, hours: float, first_seed: int) -> Fate:
    """Simulate with one bug until it is caught."""
    done, seed = 0.0, first_seed
    while done < hours:
        try:
            result = simulate(plan_of(name, seed))
        except (LookupError, AttributeError) as exc:
            return Fate(name, False, done, "out of date", str(exc))
        done += result.hours
        if result.violation is not None:
            return Fate(name, True, done, *result.violation, result.command)
        seed += 1
    return Fate(name, False, done)


def hunt(names: Sequence[str], *, hours: float, first_seed: int, jobs: int) -> list[Fate]:
    """Chase all of them."""
    one = partial(chase, hours=hours, first_seed=first_seed)
    if jobs <= 1:
        try:
            return [one(name) for name in names]
        finally:
            stop_server()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=begin) as pool:
        fates = []
        for fate in pool.map(one, names):
            fates.append(fate)
            sys.stderr.write(f"{fate.name}: {fate.invariant or 'survives'}\n")
        return fates
