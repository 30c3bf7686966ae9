"""Who hears of what: the shipped routes, by Alertmanager's own tool."""

import subprocess

import pytest

from tests.deploy.places import ALERTMANAGER, load_yaml
from tests.parts import require

CONFIG = ALERTMANAGER / "alertmanager.yml"
CONTAINER = {"engine": "h1", "name": "web", "group": "web"}


def test_configuration_and_templates_are_valid() -> None:
    done = subprocess.run(
        [require("amtool"), "check-config", CONFIG], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout
    assert "1 templates" in done.stdout


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (
            {"alertname": "ContainerHighCPU", "severity": "critical", **CONTAINER},
            "relevo,slack-incidents",
        ),
        (
            {"alertname": "ContainerHighMemory", "severity": "critical", **CONTAINER},
            "relevo,slack-incidents",
        ),
        # Somebody else's rule about a container.
        (
            {"alertname": "MyOwnRule", "severity": "critical", "name": "web"},
            "relevo,slack-incidents",
        ),
        # ... which nobody acts on: Alertmanager itself tells its end.
        ({"alertname": "MyOwnRule", "severity": "warning", "name": "web"}, "slack"),
        # A container that Relevo does not look after: so is its end.
        (
            {
                "alertname": "ContainerHighCPU",
                "severity": "critical",
                "relevo_care": "none",
                **CONTAINER,
            },
            "relevo,slack",
        ),
        # Of that label only this word means anything.
        (
            {
                "alertname": "ContainerHighCPU",
                "severity": "critical",
                "relevo_care": "full",
                **CONTAINER,
            },
            "relevo,slack-incidents",
        ),
        (
            {"alertname": "RelevoOver", "severity": "info", "relevo_care": "none", **CONTAINER},
            "slack-incidents",
        ),
        ({"alertname": "HostIsFull", "severity": "critical"}, "relevo,slack"),
        ({"alertname": "DiskFull", "severity": "warning"}, "slack"),
        ({"alertname": "NoSeverity"}, "slack"),
        # Relevo's own are never a symptom, whatever severity they have.
        ({"alertname": "RelevoDown", "severity": "warning"}, "slack"),
        ({"alertname": "RelevoManyContainersFailing", "severity": "critical"}, "slack"),
        ({"alertname": "RelevoEscalated", "severity": "critical", **CONTAINER}, "slack-incidents"),
        ({"alertname": "RelevoScaledOut", "severity": "info", **CONTAINER}, "slack-incidents"),
        ({"alertname": "RelevoChronic", "severity": "warning", **CONTAINER}, "slack-incidents"),
        ({"alertname": "RelevoAtWork", "severity": "info", **CONTAINER}, "slack-incidents"),
        ({"alertname": "RelevoOver", "severity": "info", **CONTAINER}, "slack-incidents"),
        # Nobody, and nobody else.
        ({"alertname": "RelevoWatchdog", "severity": "none"}, "nobody"),
        ({"alertname": "RelevoWatchdog", "severity": "critical"}, "nobody"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_routes(labels: dict[str, str], receivers: str) -> None:
    done = subprocess.run(
        [
            *(require("amtool"), "config", "routes", "test", f"--config.file={CONFIG}"),
            f"--verify.receivers={receivers}",
            *(f"{name}={value}" for name, value in labels.items()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == [receivers]


def test_the_route_to_relevo_is_fast_and_the_receiver_its_own() -> None:
    config = load_yaml(CONFIG)
    (route,) = [r for r in config["route"]["routes"] if r["receiver"] == "relevo"]
    assert route["group_by"] == ["alertname", "engine", "name"]
    assert route["group_wait"] == "0s"
    assert route["group_interval"] == "30s"
    assert route["continue"] is True
    receivers = {receiver.pop("name"): receiver for receiver in config["receivers"]}
    assert receivers["nobody"] == {}
    (webhook,) = receivers["relevo"].pop("webhook_configs")
    assert receivers["relevo"] == {}
    assert webhook == {
        "url": "http://relevo:5000/api/v1/webhooks/alertmanager",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": "/run/secrets/relevo_token_ingest"}},
    }
    (slack,) = receivers["slack"]["slack_configs"]
    (incidents,) = receivers["slack-incidents"]["slack_configs"]
    assert slack == {**incidents, "send_resolved": True}
    assert incidents["send_resolved"] is False
    assert slack["api_url_file"] == "/run/secrets/slack_url"
    assert config["route"]["group_by"] == ["engine", "group"]
