"""compose.yaml: valid for Compose 1.29 and today's specification, and as careful as promised."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deploy.places import DEPLOY, ROOT, load_yaml, strings
from tests.parts import require

COMPOSE = DEPLOY / "compose.yaml"
SERVICES = load_yaml(COMPOSE)["services"]
ADDRESSES = ("redis://redis:6379/0", "http://grafana:3000")
OWN = ("relevo", "collector", "gate")
PORTS = {
    "RELEVO_PORT": ("relevo", 5000),
    "COLLECTOR_PORT": ("collector", 5001),
    "PROMETHEUS_PORT": ("prometheus", 9090),
    "ALERTMANAGER_PORT": ("alertmanager", 9093),
    "NODE_EXPORTER_PORT": ("node-exporter", 9100),
    "GRAFANA_PORT": ("grafana", 3000),
}


def resolved(*profiles: str, **environment: str) -> Any:
    """The file as docker-compose 1.29 understands it."""
    program = require("docker-compose")
    command = [program, "--file", str(COMPOSE)]
    for profile in profiles:
        command += ["--profile", profile]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [*command, "config"],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A variable that is missing is a warning there.
    assert done.stderr == ""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(done.stdout)


def test_valid_for_the_published_specification() -> None:
    schema = json.loads((Path(__file__).parent / "fixtures" / "compose-spec.json").read_text())
    content = load_yaml(COMPOSE)
    jsonschema.Draft202012Validator(schema).validate(content)
    # Compose 1.29 refuses the one, 2.x warns about the other.
    assert not {"name", "version"} & set(content)


def test_valid_for_compose_1_29() -> None:
    config = resolved()
    assert {"redis", "prometheus", "alertmanager", "node-exporter", "relevo", "collector"} <= set(
        config["services"]
    )
    environment = config["services"]["relevo"]["environment"]
    # What is not set outside is not set inside: an empty value would be a value.
    assert environment["RELEVO_ENGINE_NAME"] is None
    assert environment["RELEVO_EXTERNAL_URL"] == "http://localhost:5000"
    assert environment["RELEVO_TIME_FACTOR"] == "1"


def test_every_name_of_a_file_and_every_port_can_be_changed(tmp_path: Path) -> None:
    free = {name: str(20000 + number) for number, name in enumerate(PORTS)}
    config = resolved(
        "grafana",
        **free,
        RELEVO_CONFIG_DIR=str(tmp_path / "config"),
        RELEVO_SECRETS_DIR=str(tmp_path / "secrets"),
        DOCKER_GID="4711",
        RELEVO_ENGINE_NAME="h1",
        RELEVO_TIME_FACTOR="20",
    )
    for name, (service, port) in PORTS.items():
        assert config["services"][service]["ports"] == [f"127.0.0.1:{free[name]}:{port}/tcp"]
    for secret in config["secrets"].values():
        assert secret["file"].startswith(str(tmp_path / "secrets"))
    for service in ("prometheus", "alertmanager", "relevo", "grafana"):
        mounts = config["services"][service]["volumes"]
        assert any(str(tmp_path / "config" / service) in str(mount) for mount in mounts), mounts
    assert config["services"]["gate"]["group_add"] == ["4711"]
    for service in ("relevo", "collector"):
        assert config["services"][service]["environment"]["RELEVO_ENGINE_NAME"] == "h1"
        assert config["services"][service]["environment"]["RELEVO_TIME_FACTOR"] == "20"


def test_cadvisor_takes_the_collectors_place_and_never_stands_beside_it() -> None:
    collector, cadvisor = SERVICES["collector"], SERVICES["cadvisor"]
    assert cadvisor["profiles"] == ["cadvisor"]
    assert collector["networks"] == cadvisor["networks"]
    assert collector["networks"] == {"relevo": {"aliases": ["container-metrics"]}}
    # Both at once would ask for the same port of the host: the second does not start.
    assert collector["ports"] == cadvisor["ports"]
    assert {"--port=5001", "--prometheus_endpoint=/metrics/containers"} <= set(cadvisor["command"])
    config = resolved("cadvisor", RELEVO_COLLECTOR_REPLICAS="0")
    assert config["services"]["collector"]["deploy"]["replicas"] == 0


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_bound_to_loopback_and_never_healed(name: str) -> None:
    service = SERVICES[name]
    if name not in OWN:
        assert re.fullmatch(r"[a-z./-]+:v?\d[\w.-]*", service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:${"), port
    assert service["labels"]["relevo.enable"] == "false"
    assert service["restart"] == "unless-stopped"
    if name == "gate":
        assert service["network_mode"] == "none"
        assert "ports" not in service
    else:
        places = {"redis": {"store"}, "relevo": {"relevo", "store"}}
        assert set(service["networks"]) == places.get(name, {"relevo"})
    if name != "cadvisor":
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]
        assert not service.get("privileged")
    assert service["healthcheck"]["test"][0] == "CMD"
    # (Of a running stack: tests/stack/locked.py.)
    assert service["pids_limit"]
    if name not in {"cadvisor", "grafana"}:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
        assert service["read_only"] is True
        assert service["tmpfs"]


def test_nobody_but_the_controller_reaches_the_store() -> None:
    networks = load_yaml(COMPOSE)["networks"]
    assert networks == {"relevo": None, "store": {"internal": True}}


@pytest.mark.parametrize("name", OWN)
def test_our_own_processes_can_write_nothing_but_their_data(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["tmpfs"]
    assert service["mem_limit"]
    assert service["pids_limit"]


def test_only_who_must_sees_the_socket_and_only_its_own_secrets() -> None:
    with_socket = {
        name
        for name, service in SERVICES.items()
        if any("docker.sock" in volume for volume in service.get("volumes", []))
    }
    assert with_socket == {"gate"}
    assert {name for name, service in SERVICES.items() if "group_add" in service} == {"gate"}
    # Where the gate listens the others can make nothing: a socket of their own, say.
    assert "gate-socket:/run/relevo" in SERVICES["gate"]["volumes"]
    for name in ("relevo", "collector"):
        assert "gate-socket:/run/relevo:ro" in SERVICES[name]["volumes"]
        assert not any("gate-data" in volume for volume in SERVICES[name]["volumes"])
    paths = {SERVICES[name]["environment"]["RELEVO_GATE_SOCKET"] for name in OWN}
    assert len(paths) == 1
    seen = {name: set(service.get("secrets", ())) for name, service in SERVICES.items()}
    assert {name: secrets for name, secrets in seen.items() if secrets} == {
        "prometheus": {"relevo_token_read"},
        "alertmanager": {"relevo_token_ingest", "slack_url"},
        "redis": {"redis_acl"},
        "relevo": {
            "relevo_token_ingest",
            "relevo_token_read",
            "relevo_token_operate",
            "relevo_token_admin",
            "relevo_redis_url",
            "relevo_grafana_url",
        },
        "grafana": {"grafana_password"},
    }
    # Never through the environment, where `docker inspect` shows it.
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if key == "RELEVO_GRAFANA_URL_FILE":
                assert value is None  # passed on where it is set: a file's name, by compose.sh
            elif re.search("TOKEN|PASSWORD|REDIS|GRAFANA", key):
                # The gate is told where they are, and no way in.
                bare = key.endswith("_URL") and value in ADDRESSES
                assert bare or value.startswith("/run/secrets/"), key


def test_redis_forgets_nothing_that_was_accepted() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert option in command
    assert "ports" not in SERVICES["redis"]


def test_addresses_agree_with_the_configuration() -> None:
    alertmanager = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    prometheus = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for secret in re.findall(r"/run/secrets/(\w+)", alertmanager):
        assert secret in SERVICES["alertmanager"]["secrets"]
    for secret in re.findall(r"/run/secrets/(\w+)", prometheus):
        assert secret in SERVICES["prometheus"]["secrets"]
    environment = SERVICES["relevo"]["environment"]
    assert environment["RELEVO_PROMETHEUS_URL"] == "http://prometheus:9090"
    assert environment["RELEVO_ALERTMANAGER_URL"] == "http://alertmanager:9093"
    assert "--cluster.listen-address=" in SERVICES["alertmanager"]["command"]
    for secret in strings(environment):
        if secret.startswith("/run/secrets/"):
            assert secret.removeprefix("/run/secrets/") in SERVICES["relevo"]["secrets"]


def test_the_builder_sees_no_secret() -> None:
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    assert next(line for line in rules if line and not line.startswith(("#", "!"))) == "*"
    assert [line for line in rules if line.startswith("!")] == [
        "!app",
        "!requirements.lock",
        "!pyproject.toml",
        "!deploy",
        "!deploy/docker",
    ]


def test_the_image_is_what_compose_expects() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for line in (
        "ARG PYTHON_IMAGE=python:3.11-slim",
        "USER 10001:10001",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["relevo"]',
        "VOLUME /data",
    ):
        assert line in dockerfile.splitlines()
    assert "--require-hashes" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f'org.opencontainers.image.version="{project["version"]}"' in dockerfile
