"""What is told of notifications: a line each, in a storm one for a second; the numbers always."""

import pytest
from structlog.testing import capture_logs

from app.controller.counts import Counting, Counts
from app.controller.telemetry import Telemetry
from app.domain.decision import Reason
from app.errors import StoreUnavailable
from tests.controller.house import pass_time

ONE = Counts(accepted=2, stale=1, skipped=1)
FOREIGN = (Reason.OTHER_ENGINE,)


def counted(telemetry: Telemetry) -> float | None:
    return telemetry.registry.get_sample_value(
        "relevo_alerts_total", {"result": "accepted", "reason": ""}
    )


def test_each_has_a_line_of_its_own() -> None:
    telemetry = Telemetry()
    counting = Counting(telemetry)

    with capture_logs() as lines:
        for _ in range(2):
            counting.count(ONE, FOREIGN, in_storm=False)
        counting.tell()

    assert [line["event"] for line in lines] == ["notification", "notification"]
    assert (lines[0]["accepted"], lines[0]["reasons"]) == (2, "other_engine,stale")
    assert counted(telemetry) == 4


def test_a_series_is_there_from_the_first_notification_on() -> None:
    telemetry = Telemetry()

    Counting(telemetry).count(Counts(resolved=1), (), in_storm=False)

    assert counted(telemetry) == 0


@pytest.mark.looptime
async def test_those_of_a_storm_share_a_line_each_second() -> None:
    telemetry = Telemetry()
    counting = Counting(telemetry)

    with capture_logs() as lines:
        for second in range(2):
            for _ in range(60 + second):
                counting.count(ONE, FOREIGN, in_storm=True)
            await pass_time(seconds=1.5)

    assert [line["event"] for line in lines] == ["notifications", "notifications"]
    assert [line["notifications"] for line in lines] == [60, 61]
    assert (lines[1]["accepted"], lines[1]["reasons"]) == (122, "other_engine,stale")
    assert counted(telemetry) == 242


@pytest.mark.looptime
async def test_what_is_not_told_yet_is_told_before_the_end() -> None:
    counting = Counting(Telemetry())

    with capture_logs() as lines:
        counting.count(ONE, (), in_storm=True)
        counting.tell()
        counting.tell()
        await pass_time(seconds=5)

    assert [line["notifications"] for line in lines] == [1]


@pytest.mark.looptime
async def test_a_line_a_second_tells_of_what_is_sent_away() -> None:
    telemetry = Telemetry()
    counting = Counting(telemetry)

    with capture_logs() as lines:
        for _ in range(3):
            for _ in range(50):
                counting.refuse(2, StoreUnavailable("away"))
            await pass_time(seconds=1.5)

    assert [line["notifications"] for line in lines] == [1, 50, 50]
    refused = {"result": "refused", "reason": "store_down"}
    assert telemetry.registry.get_sample_value("relevo_alerts_total", refused) == 300
