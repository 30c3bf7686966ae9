"""What is promised of the cost of a decision holds; `make bench` shows the figures."""

from bench.decisions import GOAL_MS, measure


async def test_a_decision_among_a_thousand_targets_is_cheap() -> None:
    found = await measure(targets=1000, rounds=2)

    assert found["cpu_ms"] < GOAL_MS
