"""The machine that the demo runs on: its Docker engine, free ports, and pages on loopback."""

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

#: One docker command; an engine of a busy machine may think for a while.
_COMMAND_S = 60.0
#: One page of a part of the stack.
_PAGE_S = 5.0


class Failed(Exception):
    """Something that the demo needs did not work; the message is for the visitor."""


def run(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, within: float = _COMMAND_S
) -> str:
    """Run a command and return what it printed. :raises Failed:"""
    try:
        done = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=within, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Failed(f"{' '.join(argv[:3])}: {exc}") from exc
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed(f"{' '.join(argv[:3])}: {words[-1] if words else 'failed'}")
    return done.stdout.strip()


def docker(*argv: str) -> str:
    """Run a docker command. :raises Failed:"""
    path = shutil.which("docker")
    if path is None:
        raise Failed("no docker command: `make demo` installs one, or see deploy/airgap/engine.sh")
    return run([path, *argv])


def compose(file: Path, *argv: str, env: Mapping[str, str]) -> str:
    """Run Compose, whichever is here: the plug-in, or docker-compose 1.29. :raises Failed:"""
    path = shutil.which("docker") or "docker"
    try:
        run([path, "compose", "version"])
        command = [path, "compose"]
    except Failed:
        found = shutil.which("docker-compose")
        if found is None:
            raise Failed("neither `docker compose` nor docker-compose is installed") from None
        command = [found]
    return run([*command, "--file", str(file), *argv], env=env, within=120)


def inspect(container: str) -> dict[str, Any]:
    """All that the engine knows of a container. :raises Failed:"""
    found: dict[str, Any] = json.loads(docker("inspect", "--type", "container", container))[0]
    return found


def listed(kind: str, *filters: str) -> list[str]:
    """Ids of containers (running or not), networks or volumes with all of these labels."""
    flags = ["--all"] if kind == "container" else []
    wanted = [part for each in filters for part in ("--filter", f"label={each}")]
    return docker(kind, "ls", *flags, "--quiet", *wanted).split()


def moment(text: str) -> datetime:
    """Read a time as Docker, Alertmanager and Relevo write it: up to nine digits, Z or +00:00."""
    head, _, rest = text.replace("Z", "+00:00").partition(".")
    if not rest:
        return datetime.fromisoformat(head)
    digits = rest.partition("+")[0]
    return datetime.fromisoformat(f"{head}.{digits[:6]:0<6}+00:00")


def happened(since: datetime, container: str, event: str) -> list[datetime]:
    """When something happened to a container, by the engine's own record."""
    lines = docker(
        *("events", "--since", since.isoformat(), "--until", "0s", "--format", "{{json .}}"),
        *("--filter", f"container={container}", "--filter", f"event={event}"),
    ).splitlines()
    zero = datetime.fromtimestamp(0, UTC)
    nanoseconds = [int(json.loads(line)["timeNano"]) for line in lines]
    return [zero + timedelta(microseconds=each // 1000) for each in nanoseconds]


def free_ports(count: int) -> list[int]:
    """Find ports on loopback that nobody uses right now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def page(url: str, *, token: str = "", **parameters: str) -> Any:
    """Ask for a JSON page. :raises OSError, ValueError: no answer, or not a good one"""
    if parameters:
        url = f"{url}?{urlencode(parameters)}"
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    # No proxy of the environment stands between us and our own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_PAGE_S) as answer:
        return json.loads(answer.read())
