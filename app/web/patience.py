"""How long a request may take to arrive: uvicorn itself waits for ever."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the connection, or a request's first byte, to its last, in seconds. Longer than a body may
#: take (`app.api.body`), so that a slow one is told why before it is cut off.
ARRIVES_WITHIN: Final = 15.0
#: Request line and headers, in bytes; proxies in between allow 8 to 32 KiB.
MAX_HEAD: Final = 16 * 1024


class PatientHttp(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with an end to its patience."""

    _cut_off: asyncio.TimerHandle | None = None
    _head = 0
    _reads_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless its head has no end."""
        if self._cut_off is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # whatever it is, it has ended uvicorn's own wait for the next request
        if self._reads_head:
            self._head += len(data)
        super().data_received(data)
        if self._reads_head and self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response(f"Request line and headers are larger than {MAX_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        """From here on it is the body."""
        self._reads_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it has come; how long the answer takes is ours to bound."""
        self._arrived()
        self._head, self._reads_head = 0, True
        super().on_message_complete()

    def _wait(self) -> None:
        self._arrived()
        self._cut_off = self.loop.call_later(ARRIVES_WITHIN, self._cut)

    def _arrived(self) -> None:
        if self._cut_off is not None:
            self._cut_off.cancel()
            self._cut_off = None

    def _cut(self) -> None:
        self._cut_off = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
