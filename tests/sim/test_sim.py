"""A bounded part of what the simulator does: `make sim` does more of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import require
from tests.sim.backend_redis import stop_server
from tests.sim.mutants import plan_of
from tests.sim.mutations import MUTANTS
from tests.sim.plan import Plan, Result
from tests.sim.planting import planted
from tests.sim.points import KILLS, LEAVES, profile_of
from tests.sim.process import Ambush
from tests.sim.simulation import simulate

pytestmark = pytest.mark.timeout(120)

_COMPARED = ("daemon ", "records.note", "records.intend", "prometheus ", " posted ", "ward ")
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _server() -> object:
    yield None
    stop_server()


def said(result: Result) -> str:
    return f"{result.violation}\n{result.command}\n" + "\n".join(result.last[-20:])


@pytest.mark.parametrize("profile", ["pair", "deaths", "store", "people", "late", "surf"])
def test_no_rule_is_broken(profile: str) -> None:
    result = simulate(Plan(seed=1, hours=2.0, profile=profile))

    assert result.violation is None, said(result)
    assert result.accepted > 0


@pytest.mark.redis
@pytest.mark.parametrize("profile", ["pair", "store", "wreck"])
def test_no_rule_is_broken_with_a_real_redis(profile: str) -> None:
    require("redis")
    result = simulate(Plan(seed=2, hours=1.0, profile=profile, backend="redis"))

    assert result.violation is None, said(result)


@pytest.mark.parametrize("point", KILLS)
def test_a_process_may_die_there(point: str) -> None:
    plan = Plan(seed=1, hours=0.25, profile=profile_of(point), ambush=Ambush(point, "kill"))
    result = simulate(plan)

    assert result.violation is None, said(result)
    # The two that live until the end are counted, too.
    assert result.kills > 2 or point not in LEAVES


@pytest.mark.redis
def test_both_backends_do_the_same_where_nothing_goes_wrong() -> None:
    require("redis")
    memory, redis = (told("pair", backend) for backend in ("memory", "redis"))

    assert any("daemon start" in line for line in memory)
    assert memory == redis


def told(profile: str, backend: str) -> list[str]:
    """
    What was noted, and what the daemon and the chain did, in the order of time.

    Not the order within one moment, and not the counter of writes: Redis takes several
    notifications with one.
    """
    lines: list[str] = []
    result = simulate(Plan(seed=3, hours=2.0, profile=profile, backend=backend), tell=lines.append)
    assert result.violation is None, said(result)
    return sorted(one for one in lines if any(word in one for word in _COMPARED))


def in_another_process(plan: Plan, *, hash_seed: str) -> str:
    code = (
        "import json, sys; from tests.sim.plan import Plan\n"
        "from tests.sim.simulation import simulate\n"
        "print(simulate(Plan(**json.loads(sys.argv[1]))).digest)"
    )
    told = {"seed": plan.seed, "hours": plan.hours, "profile": plan.profile}
    answer = subprocess.run(
        [sys.executable, "-c", code, json.dumps(told)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    plan = Plan(seed=4, hours=2.0, profile="faults")

    here = simulate(plan).digest

    assert in_another_process(plan, hash_seed="0") == here
    assert in_another_process(plan, hash_seed="77") == here


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_planted_bug_is_not_out_of_date(name: str) -> None:
    with planted(name):
        pass
    assert plan_of(name, 1).mutant == name


@pytest.mark.parametrize(
    "name", ["wait_skipped", "no_settle", "no_intent", "copies_leave", "all_leave_in_a_row"]
)
def test_a_planted_bug_is_caught(name: str) -> None:
    assert any(simulate(plan_of(name, seed)).violation is not None for seed in range(1, 6))


def test_without_the_bug_that_simulation_breaks_no_rule() -> None:
    result = simulate(Plan(seed=1, hours=5.0, profile="calm"))

    assert result.violation is None, said(result)
