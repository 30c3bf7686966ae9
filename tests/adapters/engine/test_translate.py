"""From the engine's JSON to our words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.engine import translate
from app.domain.container import Health, HealthCheck, RunState
from app.domain.target import is_safe_name
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    IMAGE_ID,
    STARTED_AT,
    event,
    inspected,
    line,
)

_SECOND = 1_000_000_000


# ---------------------------------------------------------------- the listing


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["/web"], "web", id="its-own"),
        pytest.param(["/proxy/backend", "/web"], "web", id="after-the-alias-of-a-link"),
        pytest.param(["/web", "/proxy/backend"], "web", id="before-it"),
        pytest.param([], CONTAINER_ID[:12], id="none-while-it-is-removed"),
        pytest.param(None, CONTAINER_ID[:12], id="null"),
    ],
)
def test_a_container_goes_by_its_own_name(names: list[str] | None, expected: str) -> None:
    assert translate.listed(line(Names=names)).name == expected


def test_reads_a_line_of_the_listing() -> None:
    found = translate.listed(line(State="exited", Labels={"relevo.enable": "true"}))

    assert (found.id, found.image, found.image_id) == (CONTAINER_ID, "shop/web:1", IMAGE_ID)
    assert found.state is RunState.EXITED
    assert found.labels == {"relevo.enable": "true"}


def test_a_line_without_labels_has_none() -> None:
    assert translate.listed(line(Labels=None)).labels == {}


def test_a_state_that_we_do_not_know_is_one_in_which_nothing_is_done() -> None:
    assert translate.listed(line(State="hibernating")).state is RunState.DEAD


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("Up 5 minutes (healthy)", Health.HEALTHY, id="healthy"),
        pytest.param("Up About a minute (unhealthy)", Health.UNHEALTHY, id="unhealthy"),
        pytest.param("Up 2 seconds (health: starting)", Health.STARTING, id="starting"),
        pytest.param("Up 2 seconds (starting)", Health.STARTING, id="starting-at-podman"),
        pytest.param("Up 5 minutes", Health.NONE, id="no-check"),
        pytest.param("Up 5 minutes (Paused)", Health.NONE, id="paused"),
        pytest.param("Exited (0) 3 days ago", Health.NONE, id="exited"),
        pytest.param("Up (healthy) for a while", Health.NONE, id="not-at-the-end"),
        pytest.param("", Health.NONE, id="empty"),
        pytest.param(None, Health.NONE, id="null"),
    ],
)
def test_reads_the_health_out_of_the_listings_text(status: str | None, expected: Health) -> None:
    found = translate.listed(line(Status=status))

    assert found.health is expected
    assert found.is_serving == (expected in (Health.NONE, Health.HEALTHY))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(1795372508, datetime(2026, 11, 22, 18, 35, 8, tzinfo=UTC), id="seconds"),
        pytest.param(0, None, id="zero"),
        pytest.param(None, None, id="null"),
        pytest.param(10**30, None, id="beyond-all-time"),
        pytest.param("2026-11-22", None, id="a-text"),
        pytest.param(True, None, id="not-a-number"),
    ],
)
def test_reads_when_a_listed_container_was_created(told: object, expected: datetime | None) -> None:
    assert translate.listed(line(Created=told)).created_at == expected


def test_a_line_that_says_neither_has_neither() -> None:
    found = translate.listed(line())

    assert (found.health, found.created_at) == (Health.NONE, None)


# ---------------------------------------------------------------- inspect


def test_reads_an_inspected_container() -> None:
    seen = translate.container(
        inspected(
            RestartCount=4,
            State={
                "Status": "restarting",
                "ExitCode": 137,
                "OOMKilled": True,
                "Health": {"Status": "unhealthy"},
            },
            Config={"StopTimeout": 25},
            NetworkSettings={"Networks": {"front": {}, "back": {}}},
        )
    )

    assert (seen.name, seen.started_at, seen.restart_count) == ("web", STARTED_AT, 4)
    assert (seen.exit_code, seen.oom_killed) == (137, True)
    assert (seen.state, seen.health) == (RunState.RESTARTING, Health.UNHEALTHY)
    assert (seen.stop_grace, seen.networks) == (timedelta(seconds=25), ("front", "back"))
    assert not seen.is_running


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({}, timedelta(seconds=10), id="dockers-default"),
        pytest.param({"StopTimeout": None}, timedelta(seconds=10), id="null"),
        pytest.param({"StopTimeout": 0}, timedelta(0), id="kill-at-once"),
        pytest.param({"StopTimeout": 240}, timedelta(minutes=4), id="minutes"),
        pytest.param({"StopTimeout": -1}, timedelta(hours=1), id="for-ever-is-an-hour"),
    ],
)
def test_reads_the_stop_grace(told: dict[str, Any], expected: timedelta) -> None:
    assert translate.container(inspected(Config=told)).stop_grace == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"Healthcheck": None}, None, id="null"),
        pytest.param({"Healthcheck": {"Test": ["NONE"]}}, None, id="switched-off"),
        pytest.param({"Healthcheck": {"Test": []}}, None, id="nothing-to-run"),
        pytest.param({"Healthcheck": {"Interval": 5 * _SECOND}}, None, id="no-test"),
        pytest.param(
            {"Healthcheck": {"Test": ["CMD", "true"]}},
            HealthCheck(
                interval=timedelta(seconds=30),
                timeout=timedelta(seconds=30),
                retries=3,
                start_period=timedelta(0),
            ),
            id="dockers-defaults",
        ),
        pytest.param(
            {
                "Healthcheck": {
                    "Test": ["CMD", "true"],
                    "Interval": _SECOND // 2,
                    "Timeout": 2 * _SECOND,
                    "Retries": 5,
                    "StartPeriod": 90 * _SECOND,
                    "StartInterval": _SECOND,
                }
            },
            HealthCheck(
                interval=timedelta(milliseconds=500),
                timeout=timedelta(seconds=2),
                retries=5,
                start_period=timedelta(seconds=90),
            ),
            id="its-own",
        ),
    ],
)
def test_reads_the_health_check(told: dict[str, Any], expected: HealthCheck | None) -> None:
    assert translate.container(inspected(Config=told)).health_check == expected


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        pytest.param(None, Health.NONE, id="no-check"),
        pytest.param({"Status": "starting"}, Health.STARTING, id="starting"),
        pytest.param({"Status": "none"}, Health.NONE, id="none"),
        pytest.param({"Status": "dizzy"}, Health.NONE, id="a-word-that-we-do-not-know"),
    ],
)
def test_reads_the_health(health: dict[str, str] | None, expected: Health) -> None:
    assert translate.container(inspected(State={"Health": health})).health is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            "2026-11-22T18:35:08.434770276Z",
            datetime(2026, 11, 22, 18, 35, 8, 434770, tzinfo=UTC),
            id="to-the-nanosecond",
        ),
        pytest.param(
            "2026-11-22T19:35:08+01:00", datetime(2026, 11, 22, 18, 35, 8, tzinfo=UTC), id="zone"
        ),
        pytest.param("2026-11-22T18:35:08", None, id="without-a-zone"),
        pytest.param("0001-01-01T00:00:00Z", None, id="never"),
        pytest.param("soon", None, id="no-moment"),
        pytest.param(None, None, id="null"),
    ],
)
def test_reads_when_a_container_was_created(told: object, expected: datetime | None) -> None:
    assert translate.container(inspected(Created=told)).created_at == expected


# ---------------------------------------------------------------- events


def test_reads_an_event() -> None:
    found = translate.event(event("die", at_ns=7, exitCode="137", image="shop/web:1"))

    assert (found.action, found.at_ns, found.name) == ("die", 7, "web")
    assert found.container_id == CONTAINER_ID
    assert found.attributes == {"name": "web", "exitCode": "137", "image": "shop/web:1"}


def test_a_health_event_says_how_it_is() -> None:
    found = translate.event(event("health_status: unhealthy", health_status="a label of that name"))

    assert found.action == "health_status"
    assert found.attributes["health_status"] == "unhealthy"


def test_what_was_executed_is_left_out() -> None:
    found = translate.event(event("exec_create: login --password=x"))

    assert found.action == "exec_create"
    assert found.attributes == {"name": "web"}


def test_an_event_without_a_name_goes_by_the_id() -> None:
    told = event("die") | {"Actor": {"ID": CONTAINER_ID, "Attributes": None}}

    assert translate.event(told).name == CONTAINER_ID[:12]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(event("pull") | {"Type": "image"}, id="of-an-image"),
        pytest.param(event("die") | {"Actor": {"ID": "web"}}, id="of-no-full-id"),
        pytest.param(event("die") | {"Actor": {"ID": 7}}, id="of-a-number"),
        pytest.param(event("die") | {"timeNano": 0}, id="at-no-time"),
        pytest.param(event("die") | {"timeNano": "7"}, id="at-a-text"),
        pytest.param({}, id="empty"),
        pytest.param([], id="a-list"),
    ],
)
def test_what_is_no_event_is_an_error(told: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        translate.event(told)


# ---------------------------------------------------------------- units and names


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("1970-01-01T00:00:01.000000001Z", 1_000_000_001, id="all-digits"),
        pytest.param("1970-01-01T00:00:01.5Z", 1_500_000_000, id="one-digit"),
        pytest.param("1970-01-01T00:00:01Z", 1_000_000_000, id="none"),
        pytest.param("1970-01-01T01:00:01.25+01:00", 1_250_000_000, id="zone"),
        pytest.param("2026-11-22T18:35:07.607354907Z", 1795372507607354907, id="today"),
    ],
)
def test_reads_a_moment_to_the_nanosecond(written: str, expected: int) -> None:
    assert translate.unix_nanoseconds(written) == expected


@pytest.mark.parametrize("written", ["", "soon", "2026-11-22", "2026-11-22T18:35:07.1", "x.5Z"])
def test_what_is_no_moment_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match=r"moment|isoformat"):
        translate.unix_nanoseconds(written)


@pytest.mark.parametrize(
    ("grace", "expected"),
    [
        pytest.param(timedelta(seconds=7), 7, id="whole"),
        pytest.param(timedelta(milliseconds=500), 1, id="half-a-second-is-not-none"),
        pytest.param(timedelta(0), 0, id="none"),
        pytest.param(timedelta(seconds=-3), 0, id="never-negative"),
    ],
)
def test_says_a_grace_in_whole_seconds(grace: timedelta, expected: int) -> None:
    assert translate.whole_seconds(grace) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("vm", "vm", id="as-it-is"),
        pytest.param("host-1.example.com", "host-1.example.com", id="full-name"),
        pytest.param("my host", "my-host", id="space"),
        pytest.param("a/../b:c?d=1#e", "a-..-b-c-d-1-e", id="path"),
        pytest.param("_hidden", "hidden", id="leading-sign"),
        pytest.param("größe", "gr-e", id="umlauts"),
        pytest.param("日本", "engine", id="nothing-left"),
        pytest.param("", "engine", id="empty"),
        pytest.param("x\n", "x", id="line-end"),
        pytest.param("x" * 300, "x" * 63, id="too-long"),
    ],
)
def test_makes_an_engines_name_safe(host: str, expected: str) -> None:
    name = translate.safe_engine_name(host)

    assert name == expected
    assert is_safe_name(name)
