"""A way to a server that forgets its connections, as a NAT does, or Wi-Fi that has gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Forgetful:
    """
    Carries bytes until it forgets: then those who are connected hear nothing more, not even an end.

    So do those who come while it does not remember.
    """

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._port = 0
        self._lines: set[_Line] = set()
        self._carries = True
        #: What has gone by, each as often: of answers, and of requests.
        self.answered = b""
        self.asked = b""
        self._gone_by = asyncio.Condition()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    def forget(self) -> None:
        """Carry nothing more, of anybody."""
        self._carries = False
        for line in self._lines:
            line.carries = False

    def remember(self) -> None:
        """Carry for who comes from now on."""
        self._carries = True

    async def has_carried(self, answer: bytes, times: int) -> None:
        """Wait until something was answered so often."""
        async with asyncio.timeout(60), self._gone_by:
            await self._gone_by.wait_for(lambda: self.answered.count(answer) >= times)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Forgetful"]:
        """Listen on loopback."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for line in self._lines:
                line.end()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(self._carries)
        self._lines.add(line)
        far_reader, far_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        line.ends = (writer, far_writer)
        await asyncio.gather(
            self._carry(line, reader, far_writer, asks=True),
            self._carry(line, far_reader, writer, asks=False),
        )

    async def _carry(
        self,
        line: "_Line",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        asks: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not line.carries:
                    continue
                async with self._gone_by:
                    if asks:
                        self.asked += data
                    else:
                        self.answered += data
                    self._gone_by.notify_all()
                writer.write(data)
                await writer.drain()
            if line.carries:
                writer.close()


class _Line:
    def __init__(self, carries: bool) -> None:
        self.carries = carries
        self.ends: tuple[asyncio.StreamWriter, ...] = ()

    def end(self) -> None:
        for one in self.ends:
            one.close()
