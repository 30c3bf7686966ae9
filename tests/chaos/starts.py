"""What the engine says that it did: every start of a container of ours, from its own events."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

_EPOCH = datetime.fromtimestamp(0, UTC)
#: A line of an event carries all labels of its container.
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a container."""

    at: datetime
    container_id: str
    #: start, restart, kill, die, stop, …
    what: str


Listener = Callable[[Event], None]


class Starts:
    """
    Follows the engine's events from before the first container on.

    Asking afterwards would not do: the engine remembers its last 256 events.

    :param label: only containers that carry it
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._listeners: list[Listener] = []
        #: Whether the follower has ended before it was told to: then its count proves nothing.
        self.broken = False

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *("docker", "events", "--format", "{{json .}}", "--filter", "type=container"),
            *("--filter", f"label={self._label}"),
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._reading is not None
        self._reading.cancel()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        with suppress(asyncio.CancelledError):
            await self._reading

    def listen(self, listener: Listener) -> None:
        """Tell this one of every event from now on."""
        self._listeners.append(listener)

    def of(self, container_id: str, what: str = "start") -> list[datetime]:
        """When this happened to a container."""
        return [event.at for event in self._events[container_id] if event.what == what]

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            event = Event(
                at=_EPOCH + timedelta(microseconds=told["timeNano"] // 1000),
                container_id=told["id"],
                what=told["Action"],
            )
            self._events[event.container_id].append(event)
            for listener in self._listeners:
                listener(event)
        self.broken = True
