"""The shipped Prometheus configuration and rules, by Prometheus' own tools and our promises."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.places import DURATION, PROMETHEUS, load_yaml
from tests.parts import require

RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
PROMISED = {
    "ContainerHighCPU",
    "ContainerHighMemory",
    "RelevoWatchdog",
    "RelevoManyContainersFailing",
    "RelevoDown",
    "RelevoStuck",
    "RelevoStoreDown",
    "RelevoEngineDown",
    "RelevoNotActing",
    "RelevoPullStale",
    "RelevoEventsLost",
    "RelevoBudgetSpent",
    "RelevoOldClones",
    "RelevoReloadFailed",
    "RelevoTokenRefused",
    "RelevoCollectorDown",
}


def run(*command: str | Path) -> str:
    """Run a tool; its whole output is the failure's message."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def alerts() -> dict[str, Any]:
    """The shipped alerts by name."""
    groups = load_yaml(PROMETHEUS / "alert_rules.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def recordings() -> dict[str, str]:
    """The shipped recording rules by name."""
    groups = load_yaml(PROMETHEUS / "alert_rules.yml")["groups"]
    return {rule["record"]: rule["expr"] for g in groups for rule in g["rules"] if "record" in rule}


def test_configuration_is_valid(tmp_path: Path) -> None:
    promtool = require("promtool")
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    token = tmp_path / "token"
    token.write_text("t")
    config = tmp_path / "prometheus.yml"
    text = config.read_text()
    assert "/run/secrets/relevo_token_read" in text
    config.write_text(text.replace("/run/secrets/relevo_token_read", str(token)))
    assert "rules found" in run(promtool, "check", "config", config)


def test_rules_are_valid() -> None:
    run(require("promtool"), "check", "rules", PROMETHEUS / "alert_rules.yml")


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_do_what_they_say(file: Path) -> None:
    run(require("promtool"), "test", "rules", file)


def test_every_rule_has_a_test() -> None:
    tested = "".join(path.read_text() for path in RULE_TESTS)
    assert [name for name in (*alerts(), *recordings()) if name not in tested] == [
        # An intermediate, seen through the utilisation.
        "relevo:container_cpu_cores:rate1m"
    ]


def test_the_promised_alerts_are_there_and_explain_themselves() -> None:
    shipped = alerts()
    assert set(shipped) == PROMISED
    for name, rule in shipped.items():
        assert {"summary", "description"} <= set(rule["annotations"]), name
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, name
        # What is critical goes to Relevo: only ever about containers.
        assert (rule["labels"]["severity"] == "critical") == name.startswith("Container"), name
    assert shipped["RelevoWatchdog"]["labels"]["severity"] == "none"


def test_times_are_the_promised_ones() -> None:
    config = load_yaml(PROMETHEUS / "prometheus.yml")
    assert config["global"]["scrape_interval"] == config["global"]["evaluation_interval"] == "15s"
    cpu, memory = alerts()["ContainerHighCPU"], alerts()["ContainerHighMemory"]
    assert (cpu["for"], cpu["annotations"]["relevo_settle"]) == ("1m", "4m")
    assert (memory["for"], memory["annotations"]["relevo_settle"]) == ("5m", "6m")
    assert "[1m]" in recordings()["relevo:container_cpu_cores:rate1m"]


def test_the_container_series_have_one_target() -> None:
    config = load_yaml(PROMETHEUS / "prometheus.yml")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"relevo", "relevo-containers", "node", "prometheus", "alertmanager"}
    containers = jobs["relevo-containers"]
    assert containers["metrics_path"] == "/metrics/containers"
    assert containers["honor_labels"] is True
    assert containers["honor_timestamps"] is False
    (source,) = containers["file_sd_configs"]
    (file,) = source["files"]
    assert load_yaml(PROMETHEUS / file) == [{"targets": ["container-metrics:5001"]}]
    assert jobs["relevo"]["authorization"] == {"credentials_file": "/run/secrets/relevo_token_read"}


def test_durations_are_plain_enough_to_be_scaled() -> None:
    """`make demo` divides every duration token: none may be written as 1m30s, or inside a name."""
    for path in (PROMETHEUS / "prometheus.yml", PROMETHEUS / "alert_rules.yml"):
        for line in path.read_text().splitlines():
            code = line.split("#")[0]
            assert not [token for token in ("@ start", "[1m:") if token in code], line
            if "for:" in code or "_interval:" in code or "relevo_settle:" in code:
                assert DURATION.search(code), line
    for name, expr in recordings().items():
        if name != "relevo:container_cpu_cores:rate1m":
            assert "[1m]" not in expr, name


def test_no_gauge_is_read_without_a_bridge() -> None:
    """A scrape that is missed empties instant selectors, and with them the alert."""
    gauges = (
        "container_spec_",
        "container_memory_",
        "container_start_time_",
        "machine_",
        "relevo_container_cpus",
        "relevo_failing_targets",
        "relevo_overdue_seconds",
        "relevo_store_up",
        "relevo_engine_up",
        "relevo_acting",
        "relevo_pull_",
        "relevo_events_up",
        "relevo_budget_left",
        "relevo_config_",
    )
    exprs = list(recordings().values()) + [rule["expr"] for rule in alerts().values()]
    for expr in exprs:
        plain = expr.replace("max_over_time(relevo_container_care", "")
        assert "relevo_container_care" not in plain, expr
        for gauge in gauges:
            for before in expr.replace("relevo:container_memory_", "").split(gauge)[:-1]:
                assert before.endswith("last_over_time("), expr
