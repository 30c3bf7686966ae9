"""Far sides that misbehave, on real unix sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class LossyLine:
    """Stands between client and server; loses answers when told to, after they were given."""

    def __init__(self, path: Path, server: Path) -> None:
        #: Where clients connect.
        self.path = path
        self._server = server
        #: How many answers are still to be lost, with their connection.
        self.lose = 0
        #: How many pass before, while some are to be lost.
        self.spare = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        upwards = asyncio.create_task(_pump(reader, to_server))
        try:
            while answer := await from_server.read(65536):
                if self.lose and not self.spare:
                    self.lose -= 1
                    break
                self.spare = max(0, self.spare - 1) if self.lose else 0
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # the test is over
        finally:
            upwards.cancel()
            for one in (to_server, writer):
                one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()  # the server hears that the client has left


@asynccontextmanager
async def lossy_line(path: Path, server: Path) -> AsyncIterator[LossyLine]:
    line = LossyLine(path, server)
    async with await asyncio.start_unix_server(line.serve, path):
        yield line


@asynccontextmanager
async def same_answer(path: Path, answer: bytes) -> AsyncIterator[None]:
    """Answer whatever is asked with the same bytes; with none: not at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while await reader.read(65536):
                writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield
