"""Whether a running stack is locked down: what the engine says of it, and what is tried inside."""

import asyncio
import copy
import json
import os
import re
from pathlib import Path
from typing import Any

from tests.stack.containers import docker
from tests.stack.faulty import Stack, spoilt
from tests.stack.locked import faults, service_of

_PROJECT = "label=com.docker.compose.project"
#: Made by airgap/secrets.sh: tokens, passwords, and the hash that Redis is told.
_SECRET = re.compile("[0-9a-f]{64}")

#: Run in the controller's container: what the gate's socket answers to the engine's own requests.
_ASK_THE_GATE = """
import http.client, socket
for method, path in {requests!r}:
    line = http.client.HTTPConnection("gate", timeout=5)
    line.sock = socket.socket(socket.AF_UNIX)
    line.sock.connect("/run/relevo/gate.sock")
    line.request(method, path, body="{{}}", headers={{"Content-Type": "application/json"}})
    print(line.getresponse().status)
"""
_THE_ENGINES = (
    ("GET", "/version"),
    ("GET", "/v1.41/containers/json"),
    ("POST", "/v1.41/containers/create"),
    ("POST", "/v1.41/containers/prune"),
)


async def look(project: str, secrets: Path) -> list[str]:
    """
    Return what is not locked down in a running stack, a line for each.

    :param project: its Compose project
    :param secrets: the folder of its secrets
    """
    stack, known = await _read(project), _values(secrets)
    assert {"gate", "relevo", "collector", "redis"} <= stack.keys(), stack.keys()
    # Four tokens, three passwords (Grafana's in two forms), a hash.
    assert len(known) >= 7, f"only {len(known)} secrets are known"
    found = _judged(stack, known)
    if not found:
        # The judge is no good if it does not see these in the very words of this engine.
        found = [
            f"overlooked: {service}: {word}"
            for service, spoil, word in spoilt(known[0])
            if word not in "".join(_judged(_spoilt(stack, spoil), known))
        ]
    return found + await _tried(stack)


def _judged(stack: Stack, secrets: list[str]) -> list[str]:
    containers = [each for service, each in stack.items() if service != "networks"]
    return faults(containers, stack["networks"], secrets=secrets)


def _spoilt(stack: Stack, spoil: Any) -> Stack:
    other = copy.deepcopy(stack)
    spoil(other)
    return other


async def _read(project: str) -> Stack:
    wanted = ("--quiet", "--no-trunc", "--filter", f"{_PROJECT}={project}")
    containers, networks = await asyncio.gather(
        docker("container", "ls", *wanted), docker("network", "ls", *wanted)
    )
    told, places = await asyncio.gather(
        docker("container", "inspect", *containers.split()),
        docker("network", "inspect", *networks.split()),
    )
    return {"networks": json.loads(places)} | {service_of(each): each for each in json.loads(told)}


def _values(secrets: Path) -> list[str]:
    """What nobody may read in any other place. (Of the URL of Grafana: the password as %xx.)"""
    texts = [path.read_text(encoding="utf-8") for path in sorted(secrets.iterdir())]
    found = {value for text in texts for value in _SECRET.findall(text)}
    return sorted(found | {text for text in texts if "%" in text})


async def _tried(stack: Stack) -> list[str]:
    """What the processes inside can do that they should not."""
    (socket,) = [one["Source"] for one in stack["gate"]["Mounts"] if one["Source"].endswith("sock")]
    # By any of its names; where the whole host is to be seen, below that as well.
    names = {socket, "/var/run/docker.sock", "/run/docker.sock"}
    names |= {f"/host{os.path.realpath(name)}" for name in names}
    # One command for each container, and not all at once: meanwhile the story goes on.
    script = "; ".join(
        (
            *(f"if test -w {name}; then echo uses the socket; fi" for name in sorted(names)),
            "if touch /written 2>&-; then echo writes to its root; fi",
            "ls /sys/class/net",
        )
    )
    found = []
    for service, inside in (
        # (The gate may use the socket: what is tried would be seen in the others as well.)
        ("gate", {"uses the socket", "lo"}),
        ("relevo", {"lo", "eth0", "eth1"}),
        ("collector", {"lo", "eth0"}),
        ("redis", {"lo", "eth0"}),
        ("node-exporter", {"lo", "eth0"}),
    ):
        told = await docker("exec", stack[service]["Id"], "sh", "-c", script)
        if set(told.splitlines()) != inside:
            found.append(f"{service}: {told.splitlines()}")
    answers = await docker(
        *("exec", stack["relevo"]["Id"], "/opt/relevo/bin/python", "-c"),
        _ASK_THE_GATE.format(requests=_THE_ENGINES),
    )
    if answers.split() != ["404"] * len(_THE_ENGINES):
        found.append(f"relevo: the gate answers the engine's own requests: {answers.split()}")
    return found
