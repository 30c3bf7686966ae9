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
    flags = ["--all", "--no-trunc"] if kind == "container" else []
    wanted = [part for each in filters for part in ("--filter", f"label={each}")]
    return docker(kind, "ls", *flags, "--quiet", *wanted).split()


def moment(text: str) -> datetime:
    """Read a time as Docker, Alertmanager and Relevo write it: up to nine digits, Z or +00:00."""
    head, _, rest = text.replace("Z", "+00:00").partition(".")
    if not rest:
        return datetime.fromisoformat(head)
    digits = rest.partition("+")[0]
    return datetime.fromisoformat(f"{head}.{digits[:6]:0<6}+00:00")


class EventLog:
    """
    The engine's own record of what happened to containers, taken down from now on.

    Asking afterwards (``docker events --since``) would not do: the engine remembers its last 256
    events, and each health check makes three.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to listen, from a moment ago on."""
        path = shutil.which("docker") or "docker"
        with self._path.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(path, "events", "--since", "1s", "--format", "{{json .}}"),
                    *("--filter", "type=container", "--filter", "event=restart"),
                ],
                stdout=out,
                stderr=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """Listen no more."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def restarts(self, container: str) -> list[datetime]:
        """When a container was restarted through the engine's API."""
        events = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        zero = datetime.fromtimestamp(0, UTC)
        return [
            zero + timedelta(microseconds=event["timeNano"] // 1000)
            for event in events
            if event["id"] == container
        ]


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
