"""
A Docker daemon of a test's own, beside the one that is there: it may be restarted.

It has a network namespace of its own: a daemon that is told to use no bridge removes `docker0`,
and that one belongs to the other. Its containers have no network.
"""

import json
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Final, Self

from tests.stack.containers import DockerFailed, docker
from tests.stack.program import Program
from tests.stack.wait import eventually

_STARTS_WITHIN: Final = 60.0


class SecondEngine:
    """Start it, stop it in order, start it again."""

    def __init__(self, dockerd: str, unshare: str) -> None:
        """Prepare; nothing runs yet."""
        # Short, and on a disk: overlay2 needs a file system that is none of its own.
        self.home = Path(mkdtemp(prefix="relevo-dockerd-"))
        self.socket = self.home / "docker.sock"
        self.url = f"unix://{self.socket}"
        settings = self.home / "daemon.json"
        settings.write_text(json.dumps({}), encoding="utf-8")
        self._program = Program(
            "dockerd",
            [
                *(unshare, "--net", dockerd, "--config-file", settings, "--host", self.url),
                *("--data-root", self.home / "data", "--exec-root", self.home / "exec"),
                *("--pidfile", self.home / "dockerd.pid"),
                *("--bridge", "none", "--iptables=false", "--ip-forward=false"),
                # Where a containerd of the host's is used, the other daemon's things are in it.
                *("--containerd-namespace", "relevo-test"),
                *("--containerd-plugins-namespace", "relevo-test-plugins"),
            ],
            log=self.home / "dockerd.log",
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._program.running:
            await self.start()
        if listed := await self.docker("ps", "--all", "--quiet"):
            await self.docker("rm", "--force", *listed.split())
        await self.stop()
        shutil.rmtree(self.home)

    async def docker(self, *argv: str) -> str:
        """Run a docker command on it; return what it printed."""
        return await docker("--host", self.url, *argv)

    async def load(self, image: str) -> None:
        """Give it an image of the other engine."""
        archive = str(self.home / "image.tar")
        await docker("--host", "unix:///var/run/docker.sock", "save", "--output", archive, image)
        await self.docker("load", "--input", archive)
        os.unlink(archive)

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await self._program.start()

        async def answers() -> bool:
            assert not self._program.ended, f"dockerd ended:\n{self._program.last_words(30)}"
            try:
                return bool(await self.docker("version", "--format", "{{.Server.Version}}"))
            except DockerFailed:
                return False

        await eventually(answers, within=_STARTS_WITHIN, what="the second engine answers")

    async def stop(self) -> None:
        """Stop it in order: it stops all of its containers."""
        await self._program.stop()
