"""Real Redis servers for tests, on unix sockets in temporary directories."""

import socket
import subprocess
import time
from pathlib import Path

#: Longer than any start seen on a loaded machine.
_START_S = 20.0


class RedisServer:
    """One server process that a test may stop, kill and start again."""

    def __init__(self, program: str, directory: Path, *options: str) -> None:
        self._program = program
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> "RedisServer":
        """Start it and wait until it answers."""
        self._directory.mkdir(exist_ok=True)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._program, "--port", "0", "--unixsocket", str(self.socket)),
                    *("--dir", str(self._directory), "--save", "", *self._options),
                ],
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < give_up, "Redis does not answer"
            time.sleep(0.005)
        return self

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1)
            try:
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
