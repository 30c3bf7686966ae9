"""
A way to the real engine that can be closed: a socket in front of its socket, with a switch.

It understands just enough to know a request that starts a container, and can act at the moment when
such a request is about to be forwarded, was forwarded, or was answered.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from app.adapters.clock import LoopClock

ENGINE: Final = Path("/var/run/docker.sock")
_CHUNK: Final = 65536
_WRITE: Final = re.compile(rb"POST (?:/v[\d.]+)?/containers/([0-9a-f]{64})/(restart|start)[ ?]")


class Mode(StrEnum):
    """What becomes of what is sent."""

    PASS = "pass"
    #: Nobody listens.
    REFUSE = "refuse"
    #: Taken, and never forwarded: a daemon that hangs.
    HANG = "hang"
    #: Forwarded, and never answered: the engine acts, and nobody hears of it.
    MUTE = "mute"
    #: Forwarded some seconds late.
    LATE = "late"


class Phase(StrEnum):
    """Of a request that starts a container."""

    BEFORE = "before"
    FORWARDED = "forwarded"
    ANSWERED = "answered"


#: Called in the very moment; answers whether the request goes on.
Trap = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Write:
    """A request that starts a container, as it was forwarded."""

    at: datetime
    container_id: str
    verb: str


@dataclass(eq=False)
class _Link:
    """One connection of the client's."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    #: A request that starts a container is under way on it.
    writing: bool = False
    #: Something of it was swallowed: it can never be right again.
    spoilt: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """End both halves without a word."""
        self.gone.set()
        for half in (self.near, self.far):
            if half is not None:
                half.transport.abort()


class EngineProxy:
    """See the module."""

    def __init__(self, path: Path, engine: Path = ENGINE) -> None:
        self.path = path
        self.mode = Mode.PASS
        #: How late is `Mode.LATE`, seconds.
        self.late = 2.0
        self.writes: list[Write] = []
        self._engine = engine
        self._clock = LoopClock()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._traps: dict[Phase, Trap] = {}

    @property
    def url(self) -> str:
        """As DOCKER_HOST wants it."""
        return f"unix://{self.path}"

    async def open(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def close(self) -> None:
        """Listen no more, and cut what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        for link in tuple(self._links):
            link.cut()

    async def switch(self, mode: Mode) -> None:
        """From now on do this; what was swallowed on the way stays lost."""
        before, self.mode = self.mode, mode
        if mode is Mode.REFUSE:
            await self.close()
            return
        if before is Mode.REFUSE:
            await self.open()
        for link in tuple(self._links):
            if link.spoilt:
                link.cut()

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        for link in tuple(self._links):
            link.cut()

    def trap(self, phase: Phase, action: Trap | None) -> None:
        """Call this, once, when a request that starts a container comes to this phase."""
        if action is None:
            self._traps.pop(phase, None)
        else:
            self._traps[phase] = action

    def _spring(self, phase: Phase) -> bool:
        action = self._traps.pop(phase, None)
        return action is None or action()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(near=writer)
        self._links.add(link)
        try:
            far_reader, link.far = await asyncio.open_unix_connection(self._engine)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forth(link, reader, link.far))
                both.create_task(self._back(link, far_reader, writer))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.cut()

    async def _forth(
        self, link: _Link, reader: asyncio.StreamReader, far: asyncio.StreamWriter
    ) -> None:
        """Bring to the engine what the client says."""
        while data := await reader.read(_CHUNK):
            write = _WRITE.match(data)
            if write is not None and not self._spring(Phase.BEFORE):
                link.cut()
                return
            if self.mode is Mode.HANG:
                link.spoilt = True
                await link.gone.wait()
                return
            if self.mode is Mode.LATE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(link.gone.wait(), self.late)
                if link.gone.is_set() or reader.at_eof():
                    return
            if write is not None:
                link.writing = True
                container_id, verb = (part.decode() for part in write.groups())
                self.writes.append(Write(self._clock.now(), container_id, verb))
            far.write(data)
            await far.drain()
            if write is not None and not self._spring(Phase.FORWARDED):
                link.cut()
                return
        far.close()

    async def _back(
        self, link: _Link, far_reader: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        """Bring to the client what the engine says."""
        while data := await far_reader.read(_CHUNK):
            if self.mode in (Mode.HANG, Mode.MUTE):
                link.spoilt = True
                continue
            if link.spoilt:
                return
            near.write(data)
            await near.drain()
            if link.writing:
                link.writing = False
                if not self._spring(Phase.ANSWERED):
                    link.cut()
                    return
        near.close()
