"""
An engine that manages a swarm: services in the place of their containers.

To the controller a place of a service is a container (see `app.policies.swarm`). What it asks of
one is asked of the service here; of every other container, of the engine itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from app.adapters.engine.connection import Bounds, EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.adapters.engine.swarm import SwarmServices
from app.adapters.engine.swarm_places import Places
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.usage import Room, Used
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineUnavailable,
    StartedMeanwhile,
)
from app.policies import swarm
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, ContainerEngine, Deadline, Services


class SwarmEngine:
    """`ContainerEngine` that drives services; on an engine without a swarm it changes nothing."""

    def __init__(
        self,
        engine: ContainerEngine,
        services: Services,
        *,
        label_prefix: str = "relevo",
        bounds: Bounds | None = None,
    ) -> None:
        self._engine = engine
        self._places = Places(services, label_prefix=label_prefix)
        self._prefix = label_prefix
        self._bounds = bounds or Bounds()

    async def identity(self) -> EngineIdentity:
        """Ask the engine who it is."""
        self._places.forget()
        return await self._engine.identity()

    async def containers(self) -> tuple[Listed, ...]:
        """List all containers, and of services their places on all nodes."""
        listing = await self._engine.containers()
        return swarm.with_services(listing, await self._places.told(), prefix=self._prefix)

    async def inspect(self, container_id: str) -> Container:
        """
        Look at one container, or place.

        :raises ContainerGone:
        :raises EngineUnavailable: also for a place, or a task, whose managers cannot agree
        """
        found = await self._places.find(container_id)
        if found is None:
            seen = await self._engine.inspect(container_id)
            if self._places.is_untold and swarm.SERVICE_ID in seen.labels:
                raise EngineUnavailable(f"the service of {seen.name} cannot be asked")
            return seen
        return self._places.container(*found)

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
        Restart a container; for a place, force an update of its service, and wait for its task.

        :raises StartedMeanwhile: also where Swarm is replacing tasks already
        :raises EngineRefused: also where Swarm gave the update up
        """
        found = await self._places.find(container_id)
        if found is None:
            await self._engine.restart(
                container_id,
                attempt_id=attempt_id,
                expected_started_at=expected_started_at,
                stop_grace=stop_grace,
                not_after=not_after,
            )
            return
        service, place = found
        if service.attempt_id != attempt_id:
            seen = self._places.container(service, place)
            if seen.started_at != expected_started_at or swarm.is_being_replaced(service):
                raise StartedMeanwhile(f"Swarm has replaced {seen.name}, or does so just now")
        service = await self._places.force(service, attempt_id, not_after)
        await self._places.arrived(service, place, within=stop_grace + self._bounds.slack)

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Start a stopped container. A place is filled by Swarm; where it is not, update it."""
        found = await self._places.find(container_id)
        if found is None:
            await self._engine.start(container_id, attempt_id=attempt_id, not_after=not_after)
        elif not swarm.has_arrived(*found):
            service = await self._places.force(found[0], attempt_id, not_after)
            await self._places.arrived(service, found[1], within=self._bounds.step)

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
        """Clone a container; of a place, give its service one more replica and wait for it."""
        found = await self._places.find(source_id)
        if found is None:
            return await self._engine.clone(
                source_id,
                attempt_id=attempt_id,
                rules=rules,
                at=at,
                dry_run=dry_run,
                not_after=not_after,
            )
        service, _ = found
        report = swarm.fidelity(service, rules.source)
        if dry_run:
            return CloneResult(report=report, clone=None)
        if report.is_refused:
            raise CloneRefused("; ".join(item.detail for item in report.refusals), report)
        try:
            if service.attempt_id != attempt_id:
                service = await self._places.one_more(service, attempt_id, not_after)
        except StartedMeanwhile as exc:
            raise CloneRefused(str(exc)) from exc
        try:
            clone = await self._places.added(service, within=self._bounds.step)
        except EngineRefused:
            # Nothing that was made stays, however late it is by now: it is this attempt's own.
            with suppress(EngineUnavailable, EngineRefused, StartedMeanwhile, ContainerGone):
                await self._places.one_less(service, attempt_id, NO_END)
            raise
        return CloneResult(report=report, clone=clone)

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Remove a clone; of a service, one of the replicas that we added: Swarm chooses which."""
        found = await self._places.find(container_id)
        if found is None:
            await self._engine.remove_clone(
                container_id, attempt_id=attempt_id, not_after=not_after
            )
            return
        try:
            await self._places.one_less(found[0], attempt_id, not_after)
        except StartedMeanwhile as exc:
            raise EngineRefused(409, str(exc)) from exc

    async def set_aside(
        self,
        container_id: str,
        *,
        attempt_id: str,
        networks: str | None,
        expected_started_at: str,
        not_after: Deadline = NO_END,
    ) -> None:
        """Isolate or stop a container. :raises EngineRefused: also for a place: Swarm fills it"""
        if await self._places.find(container_id) is not None:
            raise EngineRefused(403, "Swarm would fill the place of a task that is taken away")
        await self._engine.set_aside(
            container_id,
            attempt_id=attempt_id,
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
        """Have a container serve again; no place is ever set aside."""
        return await self._engine.bring_back(
            container_id,
            attempt_id=attempt_id,
            networks=networks,
            ends=ends,
            starts=starts,
            not_after=not_after,
        )

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        """Measure what a container has used; None for a task on another node."""
        try:
            return await self._engine.used(await self._places.own_id(container_id), at=at)
        except ContainerGone:
            if await self._places.find(container_id) is None:
                raise
            return None

    async def room(self, container_id: str) -> Room:
        """Measure what there is room for. For a task on another node: Swarm's business."""
        try:
            return await self._engine.room(await self._places.own_id(container_id))
        except ContainerGone:
            if await self._places.find(container_id) is None:
                raise
            return Room(
                memory=1,
                cpus=1.0,
                free_memory=1,
                free_cpus=1.0,
                needs_memory=0,
                needs_cpus=0.0,
            )

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        """Gather what a restart would destroy. :raises ContainerGone: also on another node"""
        return await self._engine.evidence(await self._places.own_id(container_id), at=at)

    def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """Follow what happens to containers; to those of services it is Swarm's own doing."""
        return self._engine.events(since_ns=since_ns)


@asynccontextmanager
async def open_engine(url: str, *, label_prefix: str) -> AsyncIterator[SwarmEngine]:
    """Open an engine with its swarm, where it manages one; nothing is asked before it is used."""
    async with DockerEngine(url, label_prefix=label_prefix) as engine:
        # Its own: services are read for long where there are many, and nobody waits behind that.
        connection = EngineConnection(url)
        try:
            services = SwarmServices(connection, label_prefix=label_prefix)
            yield SwarmEngine(engine, services, label_prefix=label_prefix)
        finally:
            await connection.close()
