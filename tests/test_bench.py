"""What is promised of the cost of a decision holds; `make bench` shows the figures."""

from bench import decisions, reading


async def test_a_decision_among_a_thousand_targets_is_cheap() -> None:
    found = await decisions.measure(targets=1000, rounds=2)

    assert found["cpu_ms"] < decisions.GOAL_MS


async def test_five_hundred_targets_are_told_in_time() -> None:
    found = await reading.measure(targets=500, rounds=3)

    assert {path for path, took in found.items() if took.cpu_ms >= reading.GOAL_MS} == set()
