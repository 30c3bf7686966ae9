"""
A corner of the real engine for tests: busybox containers, networks and an image of our own.

Everything carries the label ``relevo-lab=<random>`` and a name that begins with it, and is
removed by that label; nothing else on the engine is touched. No registry is needed: the image
is imported from the host's static busybox (2 MB, a fifth of a second) and stays for later runs.
"""

import asyncio
import hashlib
import io
import itertools
import json
import secrets
import socket
import subprocess
import tarfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiodocker import Docker

from tests.parts import require

SOCKET = "unix:///var/run/docker.sock"
LABEL = "relevo-lab"

_APPLETS = ("cat", "chmod", "mkdir", "nslookup", "rm", "sh", "sleep", "touch", "true")

#: Attempts of this process: who finds a clone with the id of its own attempt takes it for its own,
#: and others may be testing on the same engine.
ATTEMPT: Final = f"01J{secrets.token_hex(6)}"
ANOTHER_ATTEMPT: Final = f"01K{secrets.token_hex(6)}"


@dataclass
class EngineLab:
    """What one test has on the engine. Removed by `close`, whatever became of it."""

    docker: str
    image: str
    mark: str = field(default_factory=lambda: f"lab{secrets.token_hex(4)}")
    _networks: list[str] = field(default_factory=list)
    _volumes: list[str] = field(default_factory=list)

    def run(self, *options: str, command: Sequence[str] = ("sleep", "600"), name: str = "") -> str:
        """Start a container; return its full id. `name` gets the lab's mark in front."""
        return self._docker("run", "-d", *self._tags(name), *options, self.image, *command)

    def create(
        self, *options: str, command: Sequence[str] = ("sleep", "600"), name: str = ""
    ) -> str:
        """Create a container without starting it; return its full id."""
        return self._docker("create", *self._tags(name), *options, self.image, *command)

    async def make(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container by the engine's own API; return its full id."""
        marked = {"Image": self.image, "Labels": {LABEL: self.mark}, **body}
        async with Docker(url=SOCKET) as client:
            return (await client.containers.create(marked, name=self.name(name))).id

    def network(self, name: str, *options: str) -> str:
        """Make a network; return its full name."""
        full = self.name(name)
        self._docker("network", "create", "--label", f"{LABEL}={self.mark}", *options, full)
        self._networks.append(full)
        return full

    def volume(self, name: str) -> str:
        """Make a named volume; return its full name."""
        full = self.name(name)
        self._docker("volume", "create", "--label", f"{LABEL}={self.mark}", full)
        self._volumes.append(full)
        return full

    def connect(self, network: str, container: str, *options: str) -> None:
        """Connect a container to a network."""
        self._docker("network", "connect", *options, network, container)

    def name(self, name: str) -> str:
        """Return a name that is the lab's own."""
        return f"{self.mark}-{name}"

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine says of a container."""
        (seen,) = json.loads(self._docker("inspect", "--type", "container", container))
        return dict(seen)

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container; return what it printed."""
        return self._docker("exec", container, *command)

    def do(self, *command: str) -> str:
        """Run any docker command on what the lab made."""
        return self._docker(*command)

    def ids(self) -> set[str]:
        """Return the ids of all containers of the lab (clones inherit its label)."""
        return set(self._docker("ps", "-a", "-q", "--no-trunc", "-f", self._marked).split())

    def close(self) -> None:
        """Remove everything that carries the lab's mark."""
        # Side by side: the client removes one after the other, a fifth of a second each.
        with ThreadPoolExecutor(max_workers=4) as workers:
            list(workers.map(lambda one: self._docker("rm", "-f", "-v", one), self.ids()))
        if self._networks and (left := self._docker("network", "ls", "-q", "-f", self._marked)):
            self._docker("network", "rm", *left.split())
        if self._volumes:
            self._docker("volume", "rm", "-f", *self._volumes)

    @property
    def _marked(self) -> str:
        return f"label={LABEL}={self.mark}"

    def _tags(self, name: str) -> tuple[str, ...]:
        return ("--name", self.name(name or secrets.token_hex(3)), "-l", f"{LABEL}={self.mark}")

    def _docker(self, *arguments: str) -> str:
        return run_docker(self.docker, *arguments)


def run_docker(docker: str, *arguments: str, given: bytes | None = None) -> str:
    """Run the docker client; its complaint is the error's message."""
    done = subprocess.run(
        [docker, *arguments], input=given, capture_output=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments[:3])} …: {done.stderr.decode().strip()}")
    return done.stdout.decode().strip()


def busybox_image(docker: str, *, changes: Sequence[str] = (), host: str = "") -> str:
    """
    Import the host's busybox as an image, where it is not there yet; return its tag.

    The tag is made of the content: every import is a new image, and would leave one without
    a name behind.

    :param changes: Dockerfile lines, such as ``ENTRYPOINT ["/entry"]``
    :param host: of another engine than the usual one
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _add(tar, "bin/busybox", Path(require("busybox")).read_bytes(), mode=0o755)
        for applet in _APPLETS:
            _link(tar, f"bin/{applet}", "busybox")
        _add(tar, "etc/passwd", b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        _add(tar, "etc/app.conf", b"of the image\n")
        _folder(tar, "tmp", mode=0o1777)
    lines = ("ENV PATH=/bin", *changes)
    content = hashlib.sha256(archive.getvalue() + "\n".join(lines).encode())
    tag = f"relevo-lab:{content.hexdigest()[:12]}"
    on = ("-H", host) if host else ()
    if not run_docker(docker, *on, "images", "-q", tag):
        options = [part for line in lines for part in ("--change", line)]
        run_docker(docker, *on, "import", *options, "-", tag, given=archive.getvalue())
    return tag


def _add(tar: tarfile.TarFile, path: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, path: str, target: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _folder(tar: tarfile.TarFile, path: str, *, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


@contextmanager
def engine_lab(image: str) -> Iterator[EngineLab]:
    """Open a lab, and leave nothing of it behind."""
    lab = EngineLab(docker=require("docker"), image=image)
    try:
        yield lab
    finally:
        lab.close()


def labels(prefix: str, **values: str) -> tuple[str, ...]:
    """Return ``-l prefix.key=value`` options for the docker client."""
    return tuple(
        part for key, value in values.items() for part in ("-l", f"{prefix}.{key}={value}")
    )


async def until(is_so: Callable[[], Awaitable[bool]], *, within: float = 10) -> None:
    """Wait until something is so, looking every 20 ms; fail after `within` seconds."""
    async with asyncio.timeout(within):
        for pause in itertools.repeat(0.02):
            if await is_so():
                return
            await asyncio.sleep(pause)


def free_ports(count: int) -> int:
    """Return the first of so many neighbouring ports of loopback that are free at this moment."""
    # Below those that connections take for themselves.
    for first in range(20000, 32000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")
