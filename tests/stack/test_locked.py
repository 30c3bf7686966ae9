"""The judge of `docker inspect` sees each fault, and finds none in a stack that is sound."""

import copy
from typing import Any

import pytest

from tests.stack.faulty import Spoil, Stack, spoilt
from tests.stack.locked import OWN, faults

SECRET = "5ec2e7" * 8


def _container(service: str) -> dict[str, Any]:
    """As the engine would tell of one that is sound, with what is looked at."""
    own = service in OWN
    networks = {"gate": ["none"], "redis": ["store"], "relevo": ["front", "store"]}
    labels = {"com.docker.compose.service": service, "relevo.enable": "false"}
    if own:
        for name in ("title", "description", "licenses", "version"):
            labels[f"org.opencontainers.image.{name}"] = "x"
    mounts: list[dict[str, Any]] = [
        {"Type": "volume", "Source": "/volumes/data", "Destination": "/data", "RW": True}
    ]
    if own:
        mounts.append(
            {
                "Type": "volume",
                "Source": "/volumes/gate-socket",
                "Destination": "/run/relevo",
                "RW": service == "gate",
            }
        )
    if service == "gate":
        socket = "/run/docker.sock"
        mounts.append({"Type": "bind", "Source": socket, "Destination": socket, "RW": True})
    if service == "node-exporter":
        mounts.append({"Type": "bind", "Source": "/", "Destination": "/host", "RW": False})
    published = {} if service in {"gate", "redis"} else {"1/tcp": [{"HostIp": "127.0.0.1"}]}
    return {
        "Config": {
            "User": "10001:10001" if own else "999:1000",
            "Labels": labels,
            "Env": ["PATH=/bin"],
            "Cmd": [service],
            "Healthcheck": {"Test": ["CMD", "true"]},
        },
        "HostConfig": {
            "GroupAdd": ["107"] if service == "gate" else None,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": None,
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Devices": None,
            "DeviceCgroupRules": None,
            "IpcMode": "private",
            "UTSMode": "",
            "UsernsMode": "",
            "PidMode": "host" if service == "node-exporter" else "",
            "PidsLimit": 256,
            "Memory": 1 if own or service == "node-exporter" else 0,
            "Tmpfs": {"/tmp": ""},
            "Init": True if own else None,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
            "NetworkMode": "none" if service == "gate" else "front",
            "PublishAllPorts": False,
            "PortBindings": published,
        },
        "Mounts": mounts,
        "NetworkSettings": {
            "Ports": published,
            "Networks": {name: {} for name in networks.get(service, ["front"])},
        },
    }


def sound() -> Stack:
    services = ("redis", "prometheus", "alertmanager", "node-exporter", *sorted(OWN))
    networks = [{"Name": "front", "Internal": False}, {"Name": "store", "Internal": True}]
    return {"networks": networks} | {each: _container(each) for each in services}


def judged(stack: Stack) -> list[str]:
    containers = [each for service, each in stack.items() if service != "networks"]
    return faults(containers, stack["networks"], secrets=[SECRET])


def test_a_sound_stack_has_none() -> None:
    assert judged(sound()) == []


@pytest.mark.parametrize(
    ("service", "spoil", "word"), spoilt(SECRET), ids=lambda each: each if type(each) is str else ""
)
def test_each_fault_is_seen_and_nothing_else(service: str, spoil: Spoil, word: str) -> None:
    stack = copy.deepcopy(sound())
    spoil(stack)

    found = judged(stack)

    assert found, word
    assert all(line.startswith(f"{service}: ") for line in found), found
    assert any(word in line for line in found), found
