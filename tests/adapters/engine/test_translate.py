"""From the engine's JSON to our words."""

from datetime import timedelta
from typing import Any

import pytest

from app.adapters.engine import translate
from app.domain.container import Health, HealthCheck, RunState
from app.domain.target import is_safe_name
from tests.adapters.engine.fake_daemon import CONTAINER_ID, IMAGE_ID, STARTED_AT, inspected, line

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


# ---------------------------------------------------------------- units and names


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
