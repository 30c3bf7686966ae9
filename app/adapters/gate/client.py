"""
The client's side of the gate: `ContainerEngine` and `Services`.

Errors are what they are at the engine itself: types and words come over the socket. What the gate
itself adds is said as `GateRefused`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from app.adapters.engine.connection import checked_id
from app.adapters.engine.events import Told
from app.adapters.engine.swarm import checked_service_id
from app.adapters.engine.swarm_engine import SwarmEngine
from app.adapters.gate import speech, words
from app.adapters.gate.line import GateLine
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.gate import Fence
from app.domain.service import Service
from app.domain.usage import Room, Used
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, Deadline


class GateEngine:
    """`ContainerEngine` behind the gate, over a line that somebody else closes."""

    def __init__(self, line: GateLine) -> None:
        self._line = line
        #: Where the last stream of events that ended had got to.
        self._told: Told | None = None

    async def identity(self) -> EngineIdentity:
        """Ask the engine who it is."""
        found: EngineIdentity = await self._line.ask("identity")
        return found

    async def containers(self) -> tuple[Listed, ...]:
        """List all containers, running or not."""
        found: tuple[Listed, ...] = await self._line.ask("containers")
        return found

    async def inspect(self, container_id: str) -> Container:
        """Look at one container. :raises ContainerGone:"""
        found: Container = await self._line.ask("inspect", id=checked_id(container_id))
        return found

    async def restart(
        self,
        container_id: str,
        *,
        attempt_id: str,
        expected_started_at: str,
        stop_grace: timedelta,
        not_after: Deadline = NO_END,
    ) -> None:
        """Restart a container (see `ContainerEngine.restart`)."""
        await self._line.wish(
            "restart",
            speech.Restart,
            not_after=not_after,
            id=checked_id(container_id),
            attempt_id=attempt_id,
            expected_started_at=expected_started_at,
            stop_grace=stop_grace,
        )

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Start a stopped container (see `ContainerEngine.start`)."""
        await self._line.wish(
            "start",
            speech.Start,
            not_after=not_after,
            id=checked_id(container_id),
            attempt_id=attempt_id,
        )

    async def clone(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool = False,
        not_after: Deadline = NO_END,
    ) -> CloneResult:
        """
        Make another instance of a container (see `ContainerEngine.clone`).

        :param at: not sent: the clone's labels have the gate's own time
        """
        made: CloneResult = await self._line.wish(
            "clone",
            speech.Clone,
            not_after=not_after,
            id=checked_id(source_id),
            attempt_id=attempt_id,
            rules=rules,
            dry_run=dry_run,
        )
        return made

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Take a clone of ours away (see `ContainerEngine.remove_clone`)."""
        await self._line.wish(
            "remove_clone",
            speech.RemoveClone,
            not_after=not_after,
            id=checked_id(container_id),
            attempt_id=attempt_id,
        )

    async def set_aside(
        self,
        container_id: str,
        *,
        attempt_id: str,
        networks: str | None,
        expected_started_at: str,
        not_after: Deadline = NO_END,
    ) -> None:
        """Isolate or stop a container (see `ContainerEngine.set_aside`)."""
        await self._line.wish(
            "set_aside",
            speech.SetAside,
            not_after=not_after,
            id=checked_id(container_id),
            attempt_id=attempt_id,
            networks=networks,
            expected_started_at=expected_started_at,
        )

    async def bring_back(
        self,
        container_id: str,
        *,
        attempt_id: str,
        networks: str,
        ends: str | None,
        starts: bool,
        not_after: Deadline = NO_END,
    ) -> tuple[str, ...]:
        """Have a container serve again (see `ContainerEngine.bring_back`)."""
        said: tuple[str, ...] = await self._line.wish(
            "bring_back",
            speech.BringBack,
            not_after=not_after,
            id=checked_id(container_id),
            attempt_id=attempt_id,
            networks=networks,
            ends=ends,
            starts=starts,
        )
        return said

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        """Measure what a container has used (see `ContainerEngine.used`)."""
        found: Used | None = await self._line.ask("used", id=checked_id(container_id), at=at)
        return found

    async def room(self, container_id: str) -> Room:
        """Measure what there is room for (see `ContainerEngine.room`)."""
        found: Room = await self._line.ask("room", id=checked_id(container_id))
        return found

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        """Gather what a restart would destroy (see `ContainerEngine.evidence`)."""
        found: CaseFile = await self._line.ask("evidence", id=checked_id(container_id), at=at)
        return found

    async def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """
        Follow what happens to containers (see `ContainerEngine.events`).

        As over the engine's own socket it is asked from a little before, and what was told already
        is left out: the gate may be another one than told it.
        """
        told, self._told = self._told, None
        if told is None or told.last_ns != since_ns:
            told = Told(since_ns)
        try:
            # The engine's side begins after the moment that it is given.
            begin_ns = told.since_ns - 1 if since_ns else 0
            async with aclosing(self._line.lines(begin_ns)) as lines:
                async for line in lines:
                    if not line.strip():
                        continue
                    event: EngineEvent = speech.answer(line, words.EVENT)
                    if told.is_news(event):
                        yield event
        finally:
            self._told = told


class GateServices:
    """`Services` behind the gate, over a line that somebody else closes."""

    def __init__(self, line: GateLine) -> None:
        self._line = line

    async def manages(self) -> bool:
        """Tell whether the engine is a manager of a swarm."""
        return bool(await self._line.ask("manages"))

    async def services(self) -> tuple[Service, ...]:
        """List all services with their tasks."""
        found: tuple[Service, ...] = await self._line.ask("services")
        return found

    async def service(self, service_id: str) -> Service:
        """Look at one service and its tasks. :raises ServiceGone:"""
        found: Service = await self._line.ask("service", id=checked_service_id(service_id))
        return found

    async def force_update(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_template: str,
        not_after: Deadline = NO_END,
    ) -> Service:
        """Let Swarm replace all tasks of a service (see `Services.force_update`)."""
        found: Service = await self._line.wish(
            "force_update",
            speech.ForceUpdate,
            not_after=not_after,
            id=checked_service_id(service_id),
            attempt_id=attempt_id,
            expected_template=expected_template,
        )
        return found

    async def scale(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_replicas: int,
        to: int,
        not_after: Deadline = NO_END,
    ) -> Service:
        """Give a service one replica more or less (see `Services.scale`)."""
        found: Service = await self._line.wish(
            "scale",
            speech.Scale,
            not_after=not_after,
            id=checked_service_id(service_id),
            attempt_id=attempt_id,
            expected_replicas=expected_replicas,
            to=to,
        )
        return found


@asynccontextmanager
async def open_engine_behind(
    path: Path, *, label_prefix: str, fence: Callable[[], Fence]
) -> AsyncIterator[SwarmEngine]:
    """Open an engine behind a gate, with its swarm; nothing is asked before it is used."""
    line = GateLine(path, fence=fence)
    try:
        yield SwarmEngine(GateEngine(line), GateServices(line), label_prefix=label_prefix)
    finally:
        await line.close()
