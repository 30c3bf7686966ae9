"""The faster copy of the shipped configuration: what must be scaled is, and nothing else."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.demo import scale
from deploy.demo.wiring import Wiring
from tests.parts import require

DEPLOY = scale.REPOSITORY / "deploy"


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    scale.write_copy(tmp_path / "faster", factor=20)
    return tmp_path / "faster"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("1m", "3s", id="a-minute"),
        pytest.param("15s", "750ms", id="below-a-second"),
        pytest.param("1h30m", "4m30s", id="two-units"),
        pytest.param("30s", "1s500ms", id="not-whole-seconds"),
        pytest.param("0s", "0s", id="nothing-stays-nothing"),
        pytest.param("2ms", "1ms", id="no-shorter-than-programs-know"),
    ],
)
def test_divides_a_duration(written: str, expected: str) -> None:
    assert scale.scaled(written, 20) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("rate(x[1m])", "rate(x[3s])", id="range"),
        pytest.param("max_over_time(x[1h:1m])", "max_over_time(x[3m:3s])", id="subquery"),
        pytest.param("x offset 10m", "x offset 30s", id="offset"),
        pytest.param("x offset -1h30m", "x offset -4m30s", id="negative-offset"),
        pytest.param("job:x:rate1m > 0.8", "job:x:rate1m > 0.8", id="a-name-is-no-duration"),
        pytest.param('x{a="[5m]"}[5m]', 'x{a="[5m]"}[15s]', id="text-is-no-duration"),
        pytest.param(r'x{a="\"[5m]"}', r'x{a="\"[5m]"}', id="text-with-quotes"),
        pytest.param("x[1m] # as [5m]\n/ y[1m]", "x[3s] # as [5m]\n/ y[3s]", id="comment"),
    ],
)
def test_divides_inside_promql(written: str, expected: str) -> None:
    assert scale.scaled_promql(written, 20) == expected


def test_scales_what_nobody_has_thought_of_yet() -> None:
    document = {"brand_new_patience": "10m", "list": ["1h", "web"], "deep": {"every": "1m"}}

    scale.scale_document(document, 20)

    assert document == {"brand_new_patience": "30s", "list": ["3m", "web"], "deep": {"every": "3s"}}


def test_leaves_the_outside_world_its_time() -> None:
    document = {
        "http_timeout": "10s",
        "stop_grace": "30s",
        "labels": {"tier": "1d"},
        "summary": "for 5m now",
        "resolve_timeout": "5m",
    }

    scale.scale_document(document, 20)

    assert document == {
        "http_timeout": "10s",
        "stop_grace": "30s",
        "labels": {"tier": "1d"},
        "summary": "for 5m now",
        "resolve_timeout": "15s",
    }


def test_the_rules_are_the_shipped_ones_but_for_time(copy: Path) -> None:
    shipped = load(DEPLOY / "prometheus" / "alert_rules.yml")
    faster = load(copy / "prometheus" / "alert_rules.yml")
    by_name = {
        rule["alert"]: rule
        for group in faster["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    assert by_name["ContainerHighCPU"]["for"] == "3s"
    assert by_name["ContainerHighCPU"]["annotations"]["relevo_settle"] == "12s"
    assert by_name["ContainerHighMemory"]["for"] == "15s"
    names = [
        [
            rule.get("alert", rule.get("record"))
            for group in rules["groups"]
            for rule in group["rules"]
        ]
        for rules in (shipped, faster)
    ]
    assert names[0] == names[1]
    expressions = [rule["expr"] for group in faster["groups"] for rule in group["rules"]]
    assert not any("m]" in text for text in expressions)
    # 1m, 2m, 5m and 10m.
    ranges = {found for text in expressions for found in re.findall(r"\[([0-9a-z]+)\]", text)}
    assert ranges == {"3s", "6s", "15s", "30s"}


def test_the_policies_are_all_durations_of_the_brief(copy: Path) -> None:
    policies = load(copy / "relevo" / "policies.yml")

    assert policies["defaults"]["restart"]["delays"] == ["3s", "15s", "30s"]
    assert policies["defaults"]["restart"]["window"] == "3m"
    assert policies["defaults"]["verify"]["deadline"] == "9s"
    assert policies["defaults"]["scale_out"]["cooldown"] == "30s"
    assert policies["guards"]["brake"]["thaw"] == "30s"
    assert policies["guards"]["per_hour"] == 600
    # A reserve, a number of instances and a stop grace are no waits.
    assert "stop_grace" not in policies["defaults"]["restart"]


def test_a_policy_file_that_says_something_keeps_it(tmp_path: Path) -> None:
    shipped = tmp_path / "policies.yml"
    shipped.write_text(
        "version: 1\n"
        "defaults: {restart: {delays: [2m], stop_grace: 30s, max_failed: 1}}\n"
        "guards: {per_hour: 6}\n",
        encoding="utf-8",
    )

    policies = scale.policies(shipped, 20)

    assert policies["defaults"]["restart"]["delays"] == ["6s"]
    assert policies["defaults"]["restart"]["stop_grace"] == "30s"
    assert policies["defaults"]["restart"]["max_failed"] == 1
    assert policies["guards"]["per_hour"] == 120


def test_the_policies_are_accepted(copy: Path) -> None:
    from app.adapters.policy_file import load_rulebook

    rulebook = load_rulebook(copy / "relevo" / "policies.yml")

    assert rulebook.guards.per_hour == 600
    assert rulebook.pull.total_seconds() == 1.5


def test_prometheus_accepts_it(copy: Path, tmp_path: Path) -> None:
    # promtool looks for the files of secrets, which are elsewhere in a container.
    scale.write_copy(copy, factor=20, wiring=wiring(tmp_path))

    answer = subprocess.run(
        [require("promtool"), "check", "config", copy / "prometheus" / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_alertmanager_accepts_it(copy: Path) -> None:
    answer = subprocess.run(
        [require("amtool"), "check-config", copy / "alertmanager" / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


def wiring(home: Path, **hosts: str | None) -> Wiring:
    token = home / "token"
    token.write_text("secret", encoding="utf-8")
    return Wiring(
        hosts={
            "relevo:5000": "127.0.0.1:1",
            "container-metrics:5001": "127.0.0.1:2",
            "alertmanager:9093": "127.0.0.1:3",
            "localhost:9090": "127.0.0.1:4",
            "prometheus:9090": "127.0.0.1:4",
            "node-exporter:9100": None,
            **hosts,
        },
        files={
            "/run/secrets/relevo_token_read": str(token),
            "/run/secrets/relevo_token_ingest": None,
            "/run/secrets/slack_url": str(token),
        },
    )


def test_moves_hosts_and_secrets(tmp_path: Path) -> None:
    scale.write_copy(tmp_path, wiring=wiring(tmp_path))

    prometheus = load(tmp_path / "prometheus" / "prometheus.yml")
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    assert jobs["relevo"]["static_configs"] == [{"targets": ["127.0.0.1:1"]}]
    assert jobs["relevo"]["authorization"]["credentials_file"] == str(tmp_path / "token")
    assert "node" not in jobs
    containers = load(tmp_path / "prometheus" / "targets" / "containers.yml")
    assert containers[0]["targets"] == ["127.0.0.1:2"]
    receivers = {
        receiver["name"]: receiver
        for receiver in load(tmp_path / "alertmanager" / "alertmanager.yml")["receivers"]
    }
    webhook = receivers["relevo"]["webhook_configs"][0]
    assert webhook["url"] == "http://127.0.0.1:1/api/v1/webhooks/alertmanager"
    assert "authorization" not in webhook["http_config"]
    assert receivers["slack"]["slack_configs"][0]["api_url_file"] == str(tmp_path / "token")


def test_the_dashboards_look_back_less_far_and_lead_to_this_relevo(tmp_path: Path) -> None:
    scale.write_copy(tmp_path, wiring=wiring(tmp_path), external_url="http://here:1")

    shipped = (DEPLOY / "grafana" / "dashboards" / "container.json").read_text(encoding="utf-8")
    faster = (tmp_path / "grafana" / "dashboards" / "container.json").read_text(encoding="utf-8")
    assert "[2m]" in shipped
    assert "[2m]" not in faster
    assert "[6s]" in faster
    assert "http://here:1" in faster
    assert scale.SHIPPED_URL not in faster
    sources = load(tmp_path / "grafana" / "provisioning" / "datasources" / "prometheus.yml")
    assert sources["datasources"][0]["url"] == "http://127.0.0.1:4"
    # The smallest step of a graph, as often as there is a sample.
    assert sources["datasources"][0]["jsonData"]["timeInterval"] == "750ms"


def test_an_address_that_nobody_mentioned_is_an_error(tmp_path: Path) -> None:
    incomplete = Wiring(hosts={"relevo:5000": "127.0.0.1:1"}, files={})

    with pytest.raises(KeyError):
        scale.write_copy(tmp_path, wiring=incomplete)
