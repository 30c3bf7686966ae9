"""
A swarm of one node or two for tests: engines of its own, beside the one that everybody uses.

Each runs in namespaces of its own (network, mounts, processes): no bridge, no rule of a firewall,
no port is shared with the first engine, and whatever it started ends with it. Two of them are
joined by a cable (a pair of veth) that nobody else can see.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine_lab import busybox_image, run_docker
from tests.parts import missing, require

#: It answers after two seconds on an idle machine.
_STARTS_WITHIN = 60.0
#: Its own orderly end: the containers get one second each.
_ENDS_WITHIN = 20.0
#: Of the manager and of the worker, on the cable between them.
_ADDRESSES = ("10.215.0.1", "10.215.0.2")
#: What its nodes have in common: where its networks are, and how much of the past it keeps.
_INIT = ("--default-addr-pool", "10.214.0.0/16", "--task-history-limit", "3")

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
    """One node of it; services are made on a manager."""

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
    with _engine(busybox) as engine:
        engine.answers(docker)
        node = SwarmLab(docker, engine.socket, busybox_image(docker, host=engine.socket))
        node.do("swarm", "init", "--advertise-addr", "127.0.0.1", *_INIT)
        yield node


@dataclass(frozen=True)
class TwoNodes:
    """A manager, a worker, and the cable between them."""

    manager: SwarmLab
    worker: SwarmLab
    _cable: Callable[[str], None]

    def node(self, one: SwarmLab) -> str:
        """Return the id that a node has in the swarm."""
        return one.do("info", "--format", "{{.Swarm.NodeID}}")

    def is_ready(self, one: SwarmLab) -> bool:
        """Tell whether the manager hears of a node; its word is some seconds old."""
        said = self.manager.do("node", "inspect", "-f", "{{.Status.State}}", self.node(one))
        return said == "ready"

    def cut(self) -> None:
        """Let nothing through; what runs on the worker runs on."""
        self._cable("down")

    def mend(self) -> None:
        """Let everything through again."""
        self._cable("up")


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start two engines, make them a swarm of a manager and a worker, and leave nothing behind."""
    docker, busybox = require("docker"), require("busybox")
    _can_be_joined(busybox)
    with _engine(busybox) as first, _engine(busybox) as second:
        first.answers(docker)
        second.answers(docker)
        near, far = _ADDRESSES
        cable = _join(first, second, busybox)
        manager, worker = (
            SwarmLab(docker, one.socket, busybox_image(docker, host=one.socket))
            for one in (first, second)
        )
        # Who is silent for three beats is down: of five seconds each, where nobody says so. Fewer
        # than two, and a busy machine loses a node that nobody has cut off.
        manager.do("swarm", "init", "--advertise-addr", near, *_INIT, "--dispatcher-heartbeat=2s")
        token = manager.do("swarm", "join-token", "-q", "worker")
        worker.do("swarm", "join", "--token", token, "--advertise-addr", far, f"{near}:2377")
        try:
            yield TwoNodes(manager, worker, cable)
        finally:
            # The other one is asked in a moment: they end side by side.
            _ask_to_end(first.process)


@dataclass(frozen=True)
class _Engine:
    """An engine on its way, or there."""

    home: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return f"unix://{self.home}/docker.sock"

    def answers(self, docker: str) -> None:
        """Wait until it does; fail with its last words where it does not."""
        until = time.monotonic() + _STARTS_WITHIN
        while self.process.poll() is None and time.monotonic() < until:
            try:
                run_docker(docker, "-H", self.socket, "version")
            except RuntimeError:
                time.sleep(0.1)
            else:
                return
        log = (self.home / "log").read_text(encoding="utf-8", errors="replace")
        words = "\n".join(log.splitlines()[-12:])
        pytest.fail(f"the engine of the swarm does not answer:\n{words}", pytrace=False)


@contextmanager
def _engine(busybox: str) -> Iterator[_Engine]:
    """Begin to start an engine; it has ended afterwards, and its files are gone."""
    dockerd = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if dockerd is None or os.geteuid() != 0:
        pytest.skip("missing part: an engine of our own (dockerd, and root)")
    # Not pytest's tmp_path: the address of a unix socket may have 108 characters at most.
    home = Path(tempfile.mkdtemp(prefix="relevo-swarm-"))
    argv = [
        *_ORPHANS_DIE,
        *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *("sh", "-c", _SCRIPT, "sh", busybox),
        *(dockerd, "--host", f"unix://{home}/docker.sock"),
        *("--data-root", f"{home}/data", "--exec-root", f"{home}/exec"),
        *("--pidfile", f"{home}/docker.pid", "--config-file", f"{home}/daemon.json"),
        *("--bip", "10.213.0.1/24", "--shutdown-timeout", "5"),
    ]
    (home / "daemon.json").write_text("{}", encoding="utf-8")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        yield _Engine(home, process)
    finally:
        _end(process)
        shutil.rmtree(home, ignore_errors=True)


def _can_be_joined(busybox: str) -> None:
    """Skip where there can be no cable: a kernel without veth, a busybox without `ip`."""
    try:
        _run("unshare", "--net", busybox, "ip", "link", "add", "cable", "type", "veth")
        _run("nsenter", "--version")
    except (OSError, subprocess.CalledProcessError) as exc:
        missing("veth", f"two engines cannot be joined ({exc})")


def _join(first: _Engine, second: _Engine, busybox: str) -> Callable[[str], None]:
    """Lay a cable between the networks of two engines; return what takes it ``down`` or ``up``."""

    def on(engine: _Engine, *command: str) -> None:
        _run("nsenter", "--target", str(engine.process.pid), "--net", busybox, *command)

    # The kernel names the other end, and no engine has any veth before its first container.
    on(first, "ip", "link", "add", "cable", "type", "veth")
    on(first, "ip", "link", "set", "veth0", "netns", str(second.process.pid))
    for engine, end, address in zip((first, second), ("cable", "veth0"), _ADDRESSES, strict=True):
        on(engine, "ifconfig", end, address, "netmask", "255.255.255.0", "up")
    return lambda how: on(first, "ip", "link", "set", "cable", how)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    # `unshare` only waits; the engine is its child.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if process.poll() is None:
        # Both may have ended since.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text(encoding="utf-8").split():
                os.kill(int(child), signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    _ask_to_end(process)
    try:
        process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        # And with it, by the kernel, everything that lives in its namespaces.
        process.kill()
        process.wait()
