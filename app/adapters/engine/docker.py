"""The container engine, spoken to directly over its socket."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from app.adapters.engine import evidence, offstage, queries, removal, room, translate
from app.adapters.engine.clones import Clones
from app.adapters.engine.connection import Bounds, EngineConnection, checked_id, in_time
from app.adapters.engine.events import Events
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed, RunState
from app.domain.usage import Room, Used
from app.errors import EngineRefused, StartedMeanwhile
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, Deadline


class DockerEngine:
    """
    `ContainerEngine` over aiodocker.

    Opens nothing until it is used, inside whatever loop runs then; `close` it (or use it as
    an async context manager) in the same loop.

    :param url: ``unix:///path`` or ``tcp://host:port``, as in DOCKER_HOST
    :param label_prefix: of the labels that clones carry, and ``{prefix}.stateless``
    :param bounds: how long the engine may take for each kind of call
    :param proc: where this host's kernel tells of itself, asked where the engine is on it
    """

    def __init__(
        self,
        url: str,
        *,
        label_prefix: str = "relevo",
        bounds: Bounds | None = None,
        proc: Path = Path("/proc"),
    ) -> None:
        self._connection = EngineConnection(url, bounds)
        self._prefix = label_prefix
        self._proc = proc
        self._clones = Clones(self._connection, label_prefix=label_prefix)
        self._events = Events(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Harmless when it was never opened, or twice."""
        await self._connection.close()

    async def identity(self) -> EngineIdentity:
        """Ask the engine who it is. Its name is made safe (`translate.safe_engine_name`)."""
        self._connection.renegotiate()
        async with self._connection.reading() as client:
            info = await client.system.info()
            return translate.identity(info, api_version=self._connection.api_version)

    async def containers(self) -> tuple[Listed, ...]:
        """List all containers, running or not."""
        return await queries.listing(self._connection)

    async def inspect(self, container_id: str) -> Container:
        """Look at one container. :raises ContainerGone:"""
        return await queries.container(self._connection, container_id)

    async def restart(
        self,
        container_id: str,
        *,
        attempt_id: str,
        expected_started_at: str,
        stop_grace: timedelta,
        not_after: Deadline = NO_END,
    ) -> None:
        """
        Restart a container if nobody else started it since `expected_started_at`.

        The engine knows no conditional restart: between the look and the request lies about
        a millisecond. `attempt_id` is for engines that keep a journal.

        :raises EngineRefused: status 409 where it is paused: engine 20.10 would kill it
            (a frozen process cannot stop) and let it run again, against whoever paused it
        """
        seen = await self.inspect(container_id)
        if seen.started_at != expected_started_at:
            raise StartedMeanwhile(
                f"{seen.name} was started at {seen.started_at}, not at {expected_started_at}"
            )
        if seen.state is RunState.PAUSED:
            raise EngineRefused(409, f"{seen.name} is paused")
        async with self._connection.about(
            container_id, within=stop_grace + self._connection.bounds.slack, acting=True
        ) as client:
            in_time(not_after)
            await client.containers.container(container_id).restart(
                t=translate.whole_seconds(stop_grace)
            )

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Start a stopped container; one that runs already (304) is fine."""
        checked_id(container_id)
        async with self._connection.about(
            container_id, within=self._connection.bounds.step, acting=True
        ) as client:
            in_time(not_after)
            await client.containers.container(container_id).start()

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
        Make another instance of a container (`ContainerEngine.clone` says what is promised).

        Where the engine was told and is silent (EngineSilent), removing what was made is tried
        once; what then comes to be after all carries the attempt's label, and the same attempt
        adopts it.
        """
        return await self._clones.make(
            source_id,
            attempt_id=attempt_id,
            rules=rules,
            at=at,
            dry_run=dry_run,
            not_after=not_after,
        )

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """
        Take a clone of ours away (`ContainerEngine.remove_clone` says what is promised).

        :raises EngineRefused: status 403 where it has no label ``clone-of``
        :raises LeaseLost: it was begun and is not finished: the same call goes on with it
        """
        await removal.remove(
            self._connection, container_id, label_prefix=self._prefix, not_after=not_after
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
        """
        Isolate or stop a container (`ContainerEngine.set_aside` says what is promised).

        :raises EngineRefused: status 409 where it is paused
        :raises LeaseLost: it was begun and is not finished: the same call goes on with it
        """
        await offstage.set_aside(
            self._connection,
            container_id,
            networks=networks,
            expected_started_at=expected_started_at,
            not_after=not_after,
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
        """
        Have a container serve again (`ContainerEngine.bring_back` says what is promised).

        :raises EngineRefused: status 409 where it is paused
        :raises LeaseLost: it was begun and is not finished: the same call goes on with it
        """
        return await offstage.bring_back(
            self._connection,
            container_id,
            networks=networks,
            ends=ends,
            starts=starts,
            not_after=not_after,
        )

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        """
        Measure what a container has used since it was started.

        None also where the engine counts no CPU time, and where it was started anew meanwhile.
        """
        return await room.used(self._connection, container_id, at=at)

    async def room(self, container_id: str) -> Room:
        """
        Measure what another instance would need and what is free, within `Bounds.room`.

        :raises EngineUnavailable: also where too few containers could be measured
        """
        return await room.room(self._connection, container_id, proc=self._proc)

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        """
        Gather what a restart would destroy, within `Bounds.evidence`.

        :raises ContainerGone:
        :raises EngineUnavailable: not one part was to be had
        """
        return await evidence.gather(self._connection, container_id, at=at)

    def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """
        Follow what happens to containers (`ContainerEngine.events` says what is promised).

        Of an engine that was started anew, or that has seen 256 others in the meantime (also of
        images, networks, and three for each health check), what happened before is not known.
        """
        return self._events.follow(since_ns=since_ns)
