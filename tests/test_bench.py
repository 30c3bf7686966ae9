"""
What is promised of costs holds, as ratios and loosely; `make bench` shows the figures.

Each test compares two costs of one run, in CPU time or in Redis' own count: never a time by itself.
"""

import json
import time
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from app.api.webhooks import _parsed
from app.policies.roster import Roster
from bench import decisions, growth, notices, reading
from bench.figures import Figure, Found, ratio, written
from bench.goals import GOALS, missed, table
from bench.load import ALERT
from tests.builders import listed
from tests.parts import require

#: What issue and documents know them by.
PROMISED = {
    *("ingest_vs_bare", "ingest_vs_flask_shell", "ingest_vs_adnanh", "always_vs_everysec_c16"),
    *("p50_c1_vs_raw_evalsha", "p99_over_p50_c16", "batch64_vs_flask_shell", "burst_vs_null"),
    *("window_growth", "claim_growth", "late_p99_ms_1000", "restart_vs_raw"),
    *("restart20_vs_sequential", "scale_out_vs_docker_run", "rss_mb", "start_ms"),
    *("idle_cpu_percent", "relief_scale_first_s", "fleet40_rss_mb", "fleet40_cpu_percent"),
}
#: Goals are missed by far before a test says so: it must never fail for a busy machine.
LOOSELY = 4.0


async def test_a_decision_costs_no_more_among_thousands_of_targets() -> None:
    few = await decisions.measure(targets=10, rounds=20)
    many = await decisions.measure(targets=5_000, rounds=4, stepped=50)

    assert many["least_cpu_ms"] < LOOSELY * few["least_cpu_ms"]


async def test_what_people_ask_grows_no_faster_than_what_they_are_told() -> None:
    few = await reading.measure(targets=50, rounds=5)
    many = await reading.measure(targets=500, rounds=3)

    grown = {path: many[path].least_cpu_ms / few[path].least_cpu_ms for path in reading.ASKED}
    # Ten times as many take ten times as long at most, and the question itself is the same.
    assert {path for path, times in grown.items() if times >= 15} == set()


async def test_a_notice_costs_a_few_raw_calls_of_its_script_and_a_full_body_one() -> None:
    require("redis")
    cost = await notices.measure(rounds=5)

    assert cost.one_us < 3 * LOOSELY * cost.raw_us
    # 64 alerts in one body: an eighth of what 64 bodies cost, more or less.
    assert cost.body_us < LOOSELY / 8 * 64 * cost.one_us
    assert cost.body_calls == 1


def test_every_promised_goal_is_in_the_table() -> None:
    keys = [goal.key for goal in GOALS]

    assert set(keys) >= PROMISED
    assert len(keys) == len(set(keys))
    text = table({"rss_mb": 81.0, "start_ms": 699.0})
    assert next(line.split()[-1] for line in text.splitlines() if " MB " in line) == "MISSED"
    assert missed({"rss_mb": 81.0, "start_ms": 699.0, "ingest_vs_bare": 0.29}) == (
        "ingest_vs_bare",
        "rss_mb",
    )


def test_ratios_are_taken_round_by_round() -> None:
    found = Found()
    found.take("claim_growth", ratio([1, 20, 3], [1, 10, 2]))

    assert found.goals == {"claim_growth": 1.5}
    assert written(found.figures) == {
        "claim_growth": {"median": 1.5, "low": 1, "high": 2, "rounds": 3, "each": [1, 2, 1.5]}
    }
    assert Figure.of([3.0]).high == 3.0


async def test_claims_cost_no_more_where_many_are_pending() -> None:
    require("redis")
    found = Found()
    await growth.claims(found, (10, 100_000), rounds=5)

    assert found.goals["claim_growth"] < LOOSELY


async def test_a_window_costs_no_more_where_it_holds_many() -> None:
    require("redis")
    found = Found()
    await growth.windows(found, (3, 20_000), rounds=5)

    assert found.goals["window_growth"] < LOOSELY


def test_whose_an_alert_is_costs_no_more_among_many() -> None:
    def cost(size: int) -> float:
        """Least of several: whatever else runs here only adds to it."""
        all_of_them = tuple(
            listed(f"shop-web-{n}", n, labels=decisions.compose_labels(n)) for n in range(1, size)
        )
        roster = Roster("host1", all_of_them, prefix="relevo")
        alerts = [decisions.alert_of(1 + n % (size - 1), datetime.now(UTC)) for n in range(500)]  # noqa: TID251
        spent = []
        for _ in range(7):
            since = time.process_time()
            for one in alerts:
                roster.resolve(one.labels, target_labels=("name",))
            spent.append(time.process_time() - since)
        return min(spent)

    assert cost(10_000) < LOOSELY * cost(10)


@pytest.mark.parametrize("alerts", [1, 64])
def test_reading_a_notification_costs_little_more_than_parsing_it(alerts: int) -> None:
    text = json.dumps(ALERT).replace("@AT@", "2026-11-22T12:00:00Z")
    raw = json.dumps({"version": "4", "alerts": [json.loads(text)] * alerts}).encode()
    plain: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])

    def least(read: object) -> float:
        spent = []
        for _ in range(7):
            since = time.process_time()
            for _ in range(200 // alerts + 1):
                read(raw)  # type: ignore[operator]
            spent.append(time.process_time() - since)
        return min(spent)

    assert least(_parsed) < 4 * LOOSELY * least(plain.validate_json)
