"""Between our side and an engine: a proxy over unix sockets that cuts, or falls silent."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class CuttingProxy:
    """Passes bytes on, until told otherwise."""

    url: str
    _engine: str
    #: How many connections there were.
    count: int = 0
    #: Bytes of answers that are passed on before all connections are cut; None: no end.
    cut_after: int | None = None
    #: How a request begins whose answer gets lost; the engine does what it asks for.
    lose_answer_to: bytes | None = None
    #: … unless it begins so.
    but_not: bytes | None = None
    #: Whether that connection then stays open, instead of being cut.
    silently: bool = False
    #: Whether nobody is let through any more once an answer got lost.
    for_good: bool = False
    #: One for each connection that is open.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _mute: set[asyncio.Task[None]] = field(default_factory=set)
    _losing: set[asyncio.Task[None]] = field(default_factory=set)
    _closed: bool = False

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self.tasks)

    def cut(self) -> None:
        """End all connections at once, in the middle of whatever they carry."""
        for task in self.tasks:
            task.cancel()

    def fall_silent(self) -> None:
        """Leave all connections open and carry nothing any more: what is half-open looks so."""
        self._mute |= self.tasks

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        task = asyncio.current_task()
        assert task is not None
        if self._closed:
            writer.transport.abort()
            return
        self.count += 1
        self.tasks.add(task)
        engine = None
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                from_engine, engine = await asyncio.open_unix_connection(self._engine)
                asking = asyncio.create_task(self._carry(reader, engine, task))
                answering = asyncio.create_task(self._carry(from_engine, writer, task, answer=True))
                try:
                    await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    asking.cancel()
                    answering.cancel()
                    await asyncio.gather(asking, answering, return_exceptions=True)
        finally:
            self.tasks.discard(task)
            self._mute.discard(task)
            self._losing.discard(task)
            for side in (writer, engine):
                if side is not None:
                    side.transport.abort()

    def _is_to_be_lost(self, request: bytes) -> bool:
        return (
            self.lose_answer_to is not None
            and request.startswith(self.lose_answer_to)
            and (self.but_not is None or not request.startswith(self.but_not))
        )

    def _lose(self, connection: asyncio.Task[None]) -> None:
        if self.for_good:
            self._closed = True
            self.cut()
        elif self.silently:
            self._mute.add(connection)
        else:
            connection.cancel()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        connection: asyncio.Task[None],
        *,
        answer: bool = False,
    ) -> None:
        with suppress(ConnectionError):
            while chunk := await source.read(1024):
                if connection in self._mute:
                    continue
                if not answer and self._is_to_be_lost(chunk):
                    self.lose_answer_to = None
                    self._losing.add(connection)
                if answer and connection in self._losing:
                    self._lose(connection)
                    continue
                if answer and self.cut_after is not None:
                    self.cut_after -= len(chunk)
                    if self.cut_after < 0:
                        self.cut_after = None
                        # Half of what has come, so that it ends within a line.
                        sink.write(chunk[: len(chunk) // 2])
                        await sink.drain()
                        self.cut()
                        return
                sink.write(chunk)
                await sink.drain()


@asynccontextmanager
async def cutting_proxy(engine: str) -> AsyncIterator[CuttingProxy]:
    """Open a proxy to an engine's unix socket (a URL) on a socket of its own."""
    folder = Path(tempfile.mkdtemp(prefix="relevo-"))
    proxy = CuttingProxy(f"unix://{folder}/docker.sock", engine.removeprefix("unix://"))
    server = await asyncio.start_unix_server(proxy.serve, str(folder / "docker.sock"))
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
        shutil.rmtree(folder)
