"""
Following what happens to containers, across cuts.

The engine numbers its events by the nanosecond, but publishes those that happen at the same
time in any order (20.10, eight containers renamed in a loop: 2 to 8 % came after a later one,
up to 13 ms late), and with ``since`` it plays back its memory only as far as the first older
one. To go on exactly where a stream ended is to lose what was published late. So it is asked
from a little before, and what was told already is left out.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator

import structlog
from aiohttp import StreamReader

from app.adapters.engine import translate
from app.adapters.engine.connection import EngineConnection
from app.domain.container import EngineEvent
from app.errors import EngineUnavailable

#: What the engine is asked for. Not exec_*: each health check is three of them.
ACTIONS = ("create", "start", "stop", "die", "kill", "oom", "pause", "unpause", "restart",
           "rename", "destroy", "health_status")  # fmt: skip
_FILTERS = json.dumps({"type": ["container"], "event": ACTIONS})
#: How much later an event may be published than one that happened after it.
_LATE_NS = 1_000_000_000
#: How many events are known again: all that the engine plays back (it remembers 256), and more.
_KNOWN = 1024
#: No event is that long: it carries labels and a few words. In bytes.
_LONGEST = 1 << 20

_log = structlog.get_logger(__name__)


class Events:
    """The events of one engine."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        #: Where the last stream that ended had got to.
        self._told: Told | None = None
        self._has_complained = False

    async def follow(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """
        Tell each event once, until the engine is away (see `ContainerEngine.events`).

        Whoever stops earlier should close it (`contextlib.aclosing`); the connection ends then.
        """
        told, self._told = self._told, None
        if told is None or told.last_ns != since_ns:
            told = Told(since_ns or await self._now())
        try:
            while True:
                params = {"since": _seconds(told.since_ns), "filters": _FILTERS}
                async with self._connection.streaming("events", params) as stream:
                    rest = b""
                    # Silence is normal, but so long a one is looked into: opened anew.
                    while (chunk := await self._heard(stream)) is not None:
                        *lines, rest = (rest + chunk).split(b"\n")
                        if len(rest) > _LONGEST:
                            rest = b""
                        for line in lines:
                            event = self._read(line)
                            if event is not None and told.is_news(event):
                                yield event
        finally:
            self._told = told

    async def _now(self) -> int:
        """Ask for the engine's clock."""
        async with self._connection.reading() as client:
            return translate.unix_nanoseconds((await client.system.info())["SystemTime"])

    async def _heard(self, stream: StreamReader) -> bytes | None:
        """Wait for the next piece; None after a long silence."""
        try:
            async with asyncio.timeout(self._connection.bounds.silence.total_seconds()):
                chunk = await stream.readany()
        except TimeoutError:
            return None
        if not chunk:
            self._connection.renegotiate()
            raise EngineUnavailable("the engine ended the stream of events")
        return chunk

    def _read(self, line: bytes) -> EngineEvent | None:
        if not line.strip():
            return None
        try:
            return translate.event(json.loads(line))
        except translate.UNREADABLE as exc:
            if not self._has_complained:
                self._has_complained = True
                trouble = f"{type(exc).__name__}: {exc}"
                _log.warning("engine.event_unreadable", trouble=trouble, line=repr(line[:200]))
            return None


class Told:
    """
    Which events were told, and from when on to ask for more.

    :param from_ns: what happened until then is not wanted
    """

    def __init__(self, from_ns: int) -> None:
        #: Of the event that was told last, which need not be the latest.
        self.last_ns = from_ns
        self._from_ns = from_ns
        self._keys: deque[tuple[int, str, str]] = deque(maxlen=_KNOWN)

    @property
    def since_ns(self) -> int:
        """From when on to ask."""
        if not self._keys:
            return self._from_ns + 1
        early_ns = self.last_ns - _LATE_NS
        # Nothing from before the beginning, unless the engine's clock was set back behind it.
        return max(early_ns, self._from_ns + 1) if self.last_ns > self._from_ns else early_ns

    def is_news(self, event: EngineEvent) -> bool:
        """Whether it was not told yet; from now on it was."""
        key = (event.at_ns, event.container_id, event.action)
        if key in self._keys:
            return False
        self._keys.append(key)
        self.last_ns = event.at_ns
        return True


def _seconds(nanoseconds: int) -> str:
    """Say a moment as the engine wants it: ``1795372508.447482060``."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
