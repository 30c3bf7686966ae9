"""One `relevo serve` of a run, with a data directory and a way to the engine of its own."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from tests.chaos.engine_proxy import EngineProxy
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

#: Whose `app` is run; another tree than this one to compare versions.
TREE: Final = Path(os.environ.get("RELEVO_CHAOS_TREE", Path(__file__).resolve().parents[2]))
#: An interpreter's start-up takes 2 s on a busy core.
STARTS_WITHIN: Final = 60.0


class Controller:
    """Start, kill, freeze it; ask it."""

    def __init__(self, home: Path, name: str, *, environment: dict[str, str]) -> None:
        """
        Prepare; nothing runs yet.

        :param environment: what `relevo serve` needs besides its address, data and engine
        """
        self.name = name
        self.data = home / f"{name}-data"
        self.proxy = EngineProxy(home / f"{name}.sock")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
        self.program = Program(
            f"relevo-{name}",
            [sys.executable, "-m", "app", "serve"],
            log=home / f"relevo-{name}.log",
            env=inherited
            | {
                "RELEVO_LISTEN": f"127.0.0.1:{self.port}",
                "RELEVO_DATA_DIR": str(self.data),
                "DOCKER_HOST": self.proxy.url,
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            cwd=TREE,
        )

    @property
    def instance(self) -> str | None:
        """By what name it holds the seat, as its memento says; None: it has none yet."""
        try:
            memento: dict[str, Any] = json.loads((self.data / "memento.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        found = memento.get("instance")
        return str(found) if found else None

    async def start(self) -> None:
        """Start it; it need not answer yet."""
        self.data.mkdir(exist_ok=True)
        await self.program.start()

    def shoot(self) -> None:
        """SIGKILL, at once."""
        if self.program.running:
            self.program.send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.program.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.program.running:
            self.program.send(signal.SIGCONT)

    async def close(self) -> None:
        """End it, and its way to the engine; not in order, which may take a stop grace."""
        if self.program.running:
            await self.program.kill()
        await self.proxy.close()

    async def ready(self, http: httpx.AsyncClient, *, within: float = STARTS_WITHIN) -> None:
        """Wait until it says that it is ready."""

        async def look() -> bool:
            assert not self.program.ended, f"{self.name} ended:\n{self.program.last_words()}"
            return (await http.get(f"{self.url}/-/ready")).status_code == 200

        await eventually(look, within=within, what=f"{self.name} is ready")

    async def get(self, http: httpx.AsyncClient, path: str) -> dict[str, Any]:
        """Ask its API."""
        answer = await http.get(f"{self.url}{path}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
