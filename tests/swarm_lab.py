"""
A swarm of one node for tests: an engine of its own, beside the one that everybody uses.

It runs in namespaces of its own (network, mounts, processes): no bridge, no rule of a firewall,
no port is shared with the first engine, and whatever it started ends with it.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine_lab import busybox_image, run_docker
from tests.parts import require

#: It answers after two seconds on an idle machine.
_STARTS_WITHIN = 60.0
#: Its own orderly end: the containers get one second each.
_ENDS_WITHIN = 20.0

# If the test run itself is killed, the kernel takes the engine along, and all that it started.
_ORPHANS_DIE = (path, "--pdeathsig", "KILL") if (path := shutil.which("setpriv")) else ()

# Another engine's containerd, where there is one at the usual place, must not be found: it would
# start our containers in namespaces of its own.
_SCRIPT = """
mount --make-rprivate /
if [ -d /run/containerd ]; then mount -t tmpfs none /run/containerd; fi
"$1" ifconfig lo 127.0.0.1 up
shift
exec "$@"
"""


@dataclass(frozen=True)
class SwarmLab:
    """A manager without workers."""

    docker: str
    socket: str
    image: str

    def do(self, *command: str) -> str:
        """Run a docker command on it."""
        return run_docker(self.docker, "-H", self.socket, *command)

    def service(self, name: str, *options: str, command: tuple[str, ...] = ("sleep", "600")) -> str:
        """Create a service; return its id."""
        return self.do(
            *("service", "create", "--detach", "--quiet", "--name", name),
            # `sleep` as process 1 does not listen to SIGTERM.
            *("--stop-signal", "KILL", "--no-resolve-image", *options, self.image, *command),
        )

    def spec(self, service: str) -> dict[str, Any]:
        """Return the whole specification of a service, as the engine writes it."""
        (seen,) = json.loads(self.do("service", "inspect", service))
        return dict(seen["Spec"])

    def remove(self, *services: str) -> None:
        """Remove services."""
        if services:
            self.do("service", "rm", *services)


@contextmanager
def swarm_lab() -> Iterator[SwarmLab]:
    """Start an engine, make it a swarm, and leave nothing of it behind."""
    docker, busybox = require("docker"), require("busybox")
    dockerd = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if dockerd is None or os.geteuid() != 0:
        pytest.skip("missing part: an engine of our own (dockerd, and root)")
    # Not pytest's tmp_path: the address of a unix socket may have 108 characters at most.
    home = Path(tempfile.mkdtemp(prefix="relevo-swarm-"))
    socket = f"unix://{home}/docker.sock"
    argv = [
        *_ORPHANS_DIE,
        *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *("sh", "-c", _SCRIPT, "sh", busybox),
        *(dockerd, "--host", socket, "--data-root", f"{home}/data", "--exec-root", f"{home}/exec"),
        *("--pidfile", f"{home}/docker.pid", "--config-file", f"{home}/daemon.json"),
        *("--bip", "10.213.0.1/24", "--shutdown-timeout", "5"),
    ]
    (home / "daemon.json").write_text("{}", encoding="utf-8")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        _answers(docker, socket, process, home / "log")
        run_docker(
            docker,
            *("-H", socket, "swarm", "init", "--advertise-addr", "127.0.0.1"),
            *("--default-addr-pool", "10.214.0.0/16", "--task-history-limit", "3"),
        )
        yield SwarmLab(docker=docker, socket=socket, image=busybox_image(docker, host=socket))
    finally:
        _end(process)
        shutil.rmtree(home, ignore_errors=True)


def _answers(docker: str, socket: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        try:
            run_docker(docker, "-H", socket, "version")
        except RuntimeError:
            time.sleep(0.1)
        else:
            return
    words = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
    pytest.fail(f"the engine of the swarm does not answer:\n{words}", pytrace=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    # `unshare` only waits; the engine is its child.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if process.poll() is None:
        for child in children.read_text(encoding="utf-8").split():
            os.kill(int(child), signal.SIGTERM)
    try:
        process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        # And with it, by the kernel, everything that lives in its namespaces.
        process.kill()
        process.wait()
