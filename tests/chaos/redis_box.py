"""A Redis of a run's own, as Relevo ships it: killed, frozen, rolled back, emptied."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.parts import require
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

_STARTS_WITHIN: Final = 20.0


class RedisBox:
    """One server, and its directory."""

    def __init__(self, home: Path, *options: str) -> None:
        """
        Prepare; nothing runs yet.

        :param options: more of them, or others, for the server
        """
        self.home = home
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._copies = 0
        self._program = Program(
            "redis",
            [
                require("redis"),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(home)),
                *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
                *("--maxmemory-policy", "noeviction"),
                *options,
            ],
            log=home.with_suffix(".log"),
        )

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[Redis]:
        """Give a connection to it for once."""
        client: Redis = Redis(port=self.port, decode_responses=True, socket_timeout=5)
        try:
            yield client
        finally:
            await client.aclose()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.home.mkdir(exist_ok=True)
        await self._program.start()
        await self.answers()

    async def answers(self) -> None:
        """Wait until it answers, and has loaded what it keeps."""

        async def look() -> bool:
            assert not self._program.ended, self._program.last_words()
            async with self.admin() as client:
                try:
                    return bool(await client.ping())
                except RedisError:
                    return False

        await eventually(look, within=_STARTS_WITHIN, what="Redis answers")

    async def stop(self) -> None:
        """Stop it in order."""
        await self._program.stop()

    async def kill(self) -> None:
        """End it without a chance to say goodbye; what it answered is in the page cache."""
        await self._program.kill()

    async def freeze(self, seconds: float) -> None:
        """Stop its process for a while: connections stay, and nobody answers."""
        self._program.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._program.send(signal.SIGCONT)

    def copy(self) -> Path:
        """Copy what it has on disk now; a torn tail is what a power cut leaves, too."""
        self._copies += 1
        target = self.home.with_name(f"{self.home.name}-copy-{self._copies}")
        shutil.copytree(self.home, target)
        return target

    async def roll_back(self, copy: Path) -> None:
        """Kill it, and start it with an earlier copy: it has lost what came after."""
        await self.kill()
        shutil.rmtree(self.home)
        shutil.copytree(copy, self.home)
        await self.start()

    async def replace(self) -> None:
        """Kill it, and start it with an empty directory: a new volume."""
        await self.kill()
        shutil.rmtree(self.home)
        await self.start()

    async def flush(self) -> None:
        """Delete all keys of the running server."""
        async with self.admin() as client:
            await client.flushall()

    async def leader(self) -> str | None:
        """Instance that holds the seat, as the store has it; None: nobody, or no answer."""
        async with self.admin() as client:
            try:
                found = await client.hget("{relevo}:leader", "instance")
            except (RedisError, OSError):
                return None
        return str(found) if found else None
