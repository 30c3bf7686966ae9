"""A thousand alerts in seconds: the small version of `python -m tests.chaos.storm`."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.storm import beyond_budget, lag_p99, missed, storm
from tests.parts import require
from tests.stack.containers import ensure_image

#: On a machine that is busy with other tests the times say little: they are for the command.
TIMES = ("accept p99, s", "loop lag p99, s")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.stack
@pytest.mark.docker
@pytest.mark.redis
@pytest.mark.timeout(120)
@pytest.mark.parametrize("over_s", [5.0, None], ids=["three senders", "one request"])
async def test_every_alert_that_was_taken_is_kept(over_s: float | None) -> None:
    for part in ("docker", "redis", "busybox"):
        require(part)
    await ensure_image()

    found = await storm(alerts=1000, over_s=over_s, containers=4, senders=3)

    assert found["accepted"] == found["stored"] == 1000
    assert [one for one in missed(found) if not one.startswith(TIMES)] == []
    assert found["sent again"] == 0
    assert found["restarts"] > 0


def at(*minutes: float) -> list[datetime]:
    return [NOON + timedelta(minutes=one) for one in minutes]


@pytest.mark.parametrize(
    ("restarts", "beyond"),
    [
        (at(), 0),
        (at(0, 0, 0), 0),
        (at(0, 0, 0, 5), 1),
        (at(0, 0, 0, 6), 0),
        (at(0, 1, 2, 3, 4), 2),
        (at(*(n * 2 for n in range(31))), 1),
    ],
)
def test_the_budget_is_counted_in_any_span(restarts: list[datetime], beyond: int) -> None:
    assert beyond_budget(restarts) == beyond


def test_the_lag_is_the_bound_of_what_was_added() -> None:
    inf = float("inf")
    before = {0.1: 5.0, 1.0: 10.0, inf: 10.0}
    assert lag_p99(before, {0.1: 105.0, 1.0: 110.0, inf: 110.0}) == 0.1
    assert lag_p99(before, {0.1: 5.0, 1.0: 110.0, inf: 110.0}) == 1.0
    assert lag_p99({}, {}) is None
