"""One sample of each case of `python -m tests.chaos.failover`, and how it is summed up."""

import pytest

from tests.chaos.conftest import OpenHouse
from tests.chaos.failover import CASES, GOALS, Samples
from tests.chaos.figures import percentile, spread
from tests.chaos.pair import Measured, Pair
from tests.chaos.starts import Starts
from tests.stack.wait import side_by_side

#: Longer than a seat is kept for whoever does not renew it.
FROZEN_S = 22.0


@pytest.mark.stack
@pytest.mark.docker
@pytest.mark.redis
@pytest.mark.timeout(240)
async def test_another_acts_and_nothing_is_done_twice(
    open_house: OpenHouse, starts: Starts
) -> None:
    samples = Samples()

    async def pair() -> Pair:
        return Pair(await open_house(controllers=2, patients=4, stubborn=2), starts)

    def add(case: str, measured: Measured) -> None:
        assert case in CASES
        samples.add(case, measured)

    async def killed() -> None:
        add("leader killed while acting", await (await pair()).killed_acting())

    async def frozen() -> None:
        add("leader frozen for 60 s", await (await pair()).frozen(FROZEN_S))

    async def asked_to_go() -> None:
        its = await pair()
        add("leader terminated", await its.terminated())
        add("engine away for 6 s", await its.engine_back())

    await side_by_side(killed(), frozen(), asked_to_go())

    assert samples.missed() == []


def test_a_goal_that_is_missed_is_named() -> None:
    samples = Samples()
    for seconds in (1.0, 25.0):
        samples.add("leader killed, alert waits", {"acts": seconds, "doubled": 0})
    samples.add("leader terminated", {"acts": 1.0, "doubled": 1})

    killed, doubled = samples.missed()

    assert "p99 25.00 s, goal 20 s" in killed
    assert "not started exactly once" in doubled
    assert {case for case, _ in GOALS} <= set(CASES)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7
    assert spread([]) == {"count": 0}
