"""Plants each bug, and simulates until it is caught."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

from tests.sim.backend_redis import stop_server
from tests.sim.mutations import MUTANTS
from tests.sim.plan import Plan, Result
from tests.sim.pool import begin
from tests.sim.process import Ambush
from tests.sim.simulation import simulate


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
    #: Rules that the bug breaks: one of these must catch it.
    rules: tuple[str, ...] = ()
    #: Rules that were broken too, and count for nothing: of another kind, or without the bug.
    others: tuple[str, ...] = ()


def plan_of(name: str, seed: int) -> Plan:
    """The simulation that should find it."""
    mutant = MUTANTS[name]
    ambush = None
    if mutant.point is not None:
        ambush = Ambush(mutant.point, mutant.what, mutant.seconds, seed % 2)
    return Plan(
        seed=seed,
        hours=mutant.hours,
        profile=mutant.profile,
        backend=mutant.backend,
        ambush=ambush,
        mutant=name,
    )


def chase(name: str, *, hours: float, first_seed: int) -> Fate:
    """Simulate with one bug until a rule that it breaks catches it."""
    rules = MUTANTS[name].rules
    done, seed, others = 0.0, first_seed, set[str]()
    while done < hours:
        plan = plan_of(name, seed)
        try:
            result = simulate(plan)
        except (LookupError, AttributeError) as exc:
            return Fate(name, False, done, "out of date", str(exc), rules=rules)
        done += result.hours
        seed += 1
        if result.violation is None:
            continue
        rule, what = result.violation
        if rule in rules and not _is_broken_anyway(plan, result):
            also = tuple(sorted(others))
            return Fate(name, True, done, rule, what, result.command, rules, also)
        others.add(rule)
    return Fate(name, False, done, rules=rules, others=tuple(sorted(others)))


def _is_broken_anyway(plan: Plan, result: Result) -> bool:
    """Whether the same run finds the same without the bug: then nothing was caught."""
    hours = min(plan.hours, result.at / 3600 + 0.2)
    alone = simulate(replace(plan, mutant=None, hours=hours))
    return alone.violation is not None and alone.violation == result.violation


def hunt(
    names: Sequence[str],
    *,
    hours: float,
    first_seed: int,
    jobs: int,
    told: Callable[[Fate], None],
) -> None:
    """Chase all of them, and tell what became of each."""
    one = partial(chase, hours=hours, first_seed=first_seed)
    if jobs <= 1:
        try:
            for name in names:
                told(one(name))
        finally:
            stop_server()
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=begin) as pool:
        for fate in pool.map(one, names):
            told(fate)
