"""Real Redis servers for tests, on unix sockets in temporary directories."""

import socket
import subprocess
import time
from hashlib import sha256
from pathlib import Path

#: Longer than any start seen on a loaded machine.
_START_S = 20.0


PASSWORD = "f00d"
USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"


def users(keys: str) -> list[str]:
    """
    The users as they are shipped, with their password, and one more for the test.

    :param keys: pattern in place of Relevo's own: tests share a server
    """
    hashed = sha256(PASSWORD.encode()).hexdigest()
    shipped = [
        line.replace("#PASSWORD", f"#{hashed}").replace("~{relevo}:*", f"~{keys}")
        for line in USERS.read_text().splitlines()
        if line.startswith("user ") and not line.startswith("user default ")
    ]
    return ["user default on nopass ~* &* +@all", *shipped]


class RedisServer:
    """One server process that a test may stop, kill and start again."""

    def __init__(
        self, program: str, directory: Path, *options: str, keys: str | None = None
    ) -> None:
        """
        Set up a server.

        :param keys: the keys that Relevo's own user has there; None: who comes may do everything
        """
        if keys is not None:
            directory.mkdir(exist_ok=True)
            file = directory / "users.acl"
            file.write_text("".join(f"{line}\n" for line in users(keys)))
            options = (*options, "--aclfile", str(file))
        self._is_locked = keys is not None
        self._program = program
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"

    @property
    def url(self) -> str:
        """For Relevo."""
        return f"unix://relevo@{self.socket}?password={PASSWORD}" if self._is_locked else self.admin

    @property
    def admin(self) -> str:
        """For who may do everything."""
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
                # One that lets in nobody without a name answers as well.
                return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
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
