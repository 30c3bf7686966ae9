"""The one Docker daemon of the simulated host: what it is asked for happens, whoever has left."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.domain.container import Container, EngineEvent, RunState
from app.errors import ContainerGone, EngineRefused
from tests.builders import ENGINE, START, hex_id
from tests.sim.loop import VirtualLoop
from tests.sim.trace import Trace
from tests.sim.traffic import Traffic

_EPOCH_NS = int(START.timestamp()) * 1_000_000_000
_REMEMBERED = 256
_COMPOSE = "com.docker.compose."
_NUMBER = f"{_COMPOSE}container-number"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a container, and who caused it."""

    at: float
    container_id: str
    name: str
    #: Attempt of ours, or the word for who else.
    by: str
    ours: bool
    #: ``StartedAt`` before it.
    before: str


@dataclass(slots=True)
class Temper:
    """How the daemon treats requests at the moment, chances from 0 to 1."""

    down: bool = False
    #: Reads are taken and never answered.
    hangs: bool = False
    refuse: float = 0.0
    #: It stops the container, and cannot start it.
    half: float = 0.0
    #: It does the work and gives no answer.
    silent: float = 0.0
    crash_after: float = 0.0
    slow: float = 0.0


class Daemon:
    """Containers, and what is done to them."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace) -> None:
        self._loop = loop
        self._random = random
        self._trace = trace
        self.inside: dict[str, Container] = {}
        self.traffic = Traffic()
        self.temper = Temper()
        self.starts: list[Start] = []
        #: Names -> since when their container has them.
        self.named_at: dict[str, float] = {}
        #: Containers that a person has stopped, since when.
        self.stopped: dict[str, float] = {}
        #: Container -> attempt, of requests that write and are under way.
        self.under_way: dict[str, str] = {}
        #: Containers that have left by our hand, and the attempt or departure that it was.
        self.removed: dict[str, str] = {}
        self.on_started: Callable[[Container, bool], None] = lambda one, ours: None
        #: Called with every start for an attempt of ours: attempt, name, group of a new clone.
        self.on_began: Callable[[str, str, str], None] = lambda attempt, name, group: None
        self.on_gone: Callable[[Container], None] = lambda one: None
        self._history: deque[EngineEvent] = deque(maxlen=_REMEMBERED)
        self._listeners: list[asyncio.Queue[EngineEvent | None]] = []
        self._numbers = 1000
        self._told_ns = 0
        self._nanos = 0

    # ------------------------------------------------------------ looking

    @property
    def now(self) -> float:
        """The true time, in seconds since the start."""
        return self._loop.now

    def moment(self) -> datetime:
        """The daemon's clock."""
        return START + timedelta(seconds=self._loop.now)

    def named(self, name: str) -> Container | None:
        """Find a container."""
        for one in self.inside.values():
            if one.name == name:
                return one
        return None

    def look(self, container_id: str) -> Container:
        """Inspect one. :raises ContainerGone:"""
        if container_id not in self.inside:
            raise ContainerGone(container_id)
        return self.inside[container_id]

    def next_number(self, one: Container) -> dict[str, str]:
        """Label the next instance of a container's compose service, if it has one."""
        service = one.labels.get(f"{_COMPOSE}service")
        others = [c for c in self.inside.values() if c.labels.get(f"{_COMPOSE}service") == service]
        numbers = [int(other.labels.get(_NUMBER, 0)) for other in others]
        return {_NUMBER: str(max(numbers) + 1)} if service else {}

    def listen(self, since_ns: int) -> "asyncio.Queue[EngineEvent | None]":
        """Follow the events; None in the queue is the end of the stream."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        if since_ns:
            for event in self._history:
                if event.at_ns > since_ns:
                    queue.put_nowait(event)
        self._listeners.append(queue)
        return queue

    def cut_streams(self) -> None:
        """End all streams of events."""
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()

    def leave(self, queue: "asyncio.Queue[EngineEvent | None]") -> None:
        """Follow no more."""
        if queue in self._listeners:
            self._listeners.remove(queue)

    # ------------------------------------------------------------ what happens to containers

    def put(self, one: Container) -> Container:
        """Have a container as it is now."""
        before = self.inside.get(one.id)
        if before is None or before.name != one.name:
            self.named_at[one.name] = self._loop.now
        self.inside[one.id] = one
        return one

    def new_id(self) -> str:
        """An id that was never used."""
        self._numbers += 1
        return hex_id(self._numbers)

    def tell(self, one: Container, action: str, **more: str) -> None:
        """Tell of an event."""
        self._told_ns = max(self._told_ns + 1, _EPOCH_NS + int(self._loop.now * 1e9))
        attributes = {**one.labels, "image": one.image, "name": one.name, **more}
        event = EngineEvent(
            at_ns=self._told_ns,
            container_id=one.id,
            name=one.name,
            action=action,
            attributes=attributes,
        )
        self._history.append(event)
        for queue in self._listeners:
            queue.put_nowait(event)

    def end(self, container_id: str, *, signal: str | None, exit_code: int) -> None:
        """Have it end: told to, or by itself."""
        one = self.inside[container_id]
        if one.state is not RunState.RUNNING:
            return
        if signal is not None:
            self.tell(one, "kill", signal=signal)
        one = self.put(replace(one, state=RunState.EXITED, exit_code=exit_code))
        self.tell(one, "die", exitCode=str(exit_code))
        self._trace.add("daemon", "die", f"{one.name} {exit_code}")

    def begin(self, container_id: str, by: str, *, ours: bool) -> None:
        """Start it."""
        one = self.inside[container_id]
        self._nanos += 1
        before = one.started_at
        self.stopped.pop(container_id, None)
        started = f"{self.moment():%Y-%m-%dT%H:%M:%S}.{self._nanos:09d}Z"
        one = self.put(
            replace(one, state=RunState.RUNNING, started_at=started, exit_code=0, oom_killed=False)
        )
        self.starts.append(Start(self._loop.now, one.id, one.name, by, ours, before))
        self._trace.add("daemon", "start", f"{one.name} by {by}")
        self.tell(one, "start")
        if ours:
            self.on_began(by, one.name, _group(one) if "relevo.clone-of" in one.labels else "")
        self.on_started(one, ours)
        if ours and self._random.random() < self.temper.crash_after:
            self._loop.later(self._random.uniform(1, 20), self._crash, one.id, one.started_at)

    def _crash(self, container_id: str, started_at: str) -> None:
        one = self.inside.get(container_id)
        if one is not None and one.started_at == started_at:
            self.end(container_id, signal=None, exit_code=3)

    def remove(self, container_id: str) -> None:
        """Take it away."""
        one = self.inside.pop(container_id, None)
        if one is None:
            return
        if one.state is RunState.RUNNING:
            self.tell(one, "kill", signal="9")
            self.tell(one, "die", exitCode="137")
        self._trace.add("daemon", "destroy", one.name)
        self.tell(one, "destroy")
        self.on_gone(one)

    # ------------------------------------------------------------ requests

    def request(self, work: Any) -> "asyncio.Task[Any]":
        """Do something to its end, whether or not somebody waits for it; in the world's name."""
        return self._loop.create_task(work, context=Context())

    def silences(self) -> bool:
        """Whether the next request is done and not answered."""
        return self._random.random() < self.temper.silent

    def may_refuse(self) -> None:
        """Refuse what is asked for, or not. :raises EngineRefused:"""
        if self._random.random() < self.temper.refuse:
            raise EngineRefused(500, "driver failed")

    async def restart(
        self, container_id: str, attempt: str, stops_in: float, phase: Callable[[str], None]
    ) -> None:
        """Stop it, start it; as the daemon does, step by step."""
        one = self.look(container_id)
        self.may_refuse()
        self.under_way[container_id] = attempt
        try:
            if self._random.random() < self.temper.slow:
                stops_in += self._random.uniform(2, 15)
            self.tell(one, "kill", signal="15")
            phase("stopping")
            await asyncio.sleep(stops_in)
            if container_id not in self.inside:
                raise ContainerGone(container_id)
            if self.inside[container_id].state is RunState.RUNNING:
                self.end(container_id, signal=None, exit_code=143)
            self.tell(one, "stop")
            await asyncio.sleep(0.2)
            if container_id not in self.inside:
                raise ContainerGone(container_id)
            if self._random.random() < self.temper.half:
                raise EngineRefused(500, "cannot start it: port is in use")
            if self.inside[container_id].state is not RunState.RUNNING:
                self.begin(container_id, attempt, ours=True)
            self.tell(self.inside[container_id], "restart")
            phase("started")
        finally:
            self.under_way.pop(container_id, None)
        await asyncio.sleep(0.1)

    async def start(self, container_id: str, attempt: str, phase: Callable[[str], None]) -> None:
        """Start what is stopped."""
        self.look(container_id)
        self.may_refuse()
        await asyncio.sleep(0.2)
        if container_id in self.inside and self.inside[container_id].state is not RunState.RUNNING:
            self.begin(container_id, attempt, ours=True)
        phase("started")
        await asyncio.sleep(0.1)

    async def create(self, source: Container, attempt: str, labels: dict[str, str]) -> Container:
        """Create a clone of a container."""
        if self._random.random() < self.temper.refuse:
            raise EngineRefused(500, "no space left on device")
        number = 1
        while self.named(f"{source.name}_new{number}") is not None:
            number += 1
        clone = replace(
            source,
            id=self.new_id(),
            name=f"{source.name}_new{number}",
            labels=labels,
            state=RunState.CREATED,
            started_at="0001-01-01T00:00:00Z",
            created_at=self.moment(),
        )
        await asyncio.sleep(0.2)
        self.put(clone)
        self._trace.add("daemon", "create", clone.name)
        self.tell(clone, "create")
        return clone


def _group(one: Container) -> str:
    project, service = (one.labels.get(f"com.docker.compose.{k}") for k in ("project", "service"))
    return (
        f"{ENGINE}:{project}/{service}" if service else f"{ENGINE}:{one.labels['relevo.clone-of']}"
    )
