"""One process of ours: started with a log of its own, stopped by its process id."""

import asyncio
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

#: A program gets this long for its own orderly end, then it is killed.
_PATIENCE = 15.0
# If the test run itself is killed, the kernel takes its programs along.
_ORPHANS_DIE = (path, "--pdeathsig", "KILL") if (path := shutil.which("setpriv")) else ()


def free_port() -> int:
    """Find a port that is free on the loopback address right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """Start, stop, kill, freeze, start again."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = [*_ORPHANS_DIE, *map(str, argv)]
        self._env = env
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Started, and not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def ended(self) -> bool:
        """Started, and ended by itself or by us."""
        return self._process is not None and self._process.returncode is not None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; its output is added to the log."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops it in order
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask it to end, and insist."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)  # a frozen process hears no other signal
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """End it without a chance to say goodbye."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])
