"""
The services of the swarm that an engine manages.

Swarm has no partial update: the whole specification is read, changed and written back, with the
version that was read. What is not ours in it goes back untouched, fields that we have never heard
of included.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiodocker import Docker

from app.adapters.engine import swarm_translate as translate
from app.adapters.engine.connection import EngineConnection, in_time
from app.adapters.engine.translate import Json, readable
from app.domain.service import Service, ServiceMode
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    ServiceChanged,
    ServiceGone,
)
from app.policies.swarm import is_half_deployed
from app.ports import NO_END, Deadline

_ID = re.compile(r"[0-9a-z]{25}")
#: Writes that lose against somebody else's, before we leave it to them. Swarm's own progress
#: with an update is a change as well, and comes a few times a second at most.
_TRIES = 5
#: Swarm's word for a version that is not the newest; the status is 500, as for everything.
_OUT_OF_SEQUENCE = "update out of sequence"

#: Managers that cannot agree (500 as well; 503 is the engine that is no manager at all): the
#: request may have been taken down by then.
_LEADERLESS = ("does not have a leader", "deadline exceeded", "lost leadership", "raft: ")

#: Changes a specification in place; called anew after each read.
_Change = Callable[[Service, translate.Spec], None]


def checked_service_id(service_id: str) -> str:
    """Return a service's id that may become part of a request, else ValueError."""
    if not isinstance(service_id, str) or _ID.fullmatch(service_id) is None:
        raise ValueError("a service is named by its id: 25 lower-case letters and digits")
    return service_id


class SwarmServices:
    """
    `Services` over aiodocker.

    :param connection: of an engine; closed by whoever opened it
    :param label_prefix: of the labels that we put on services
    """

    def __init__(self, connection: EngineConnection, *, label_prefix: str = "relevo") -> None:
        self._connection = connection
        self._prefix = label_prefix

    async def manages(self) -> bool:
        """Tell whether the engine is a manager of a swarm."""
        async with self._connection.reading() as client:
            info = await client.system.info()
            return bool((info.get("Swarm") or {}).get("ControlAvailable"))

    async def services(self) -> tuple[Service, ...]:
        """List all services with their tasks: two requests."""
        async with self._asking("the swarm") as client:
            found = await client._query_json("services")
            tasks = await client._query_json("tasks")
            of: dict[str, list[Json]] = {}
            for task in tasks or ():
                of.setdefault(task.get("ServiceID") or "", []).append(task)
            return tuple(self._read(one, of.get(one["ID"], ())) for one in found or ())

    async def service(self, service_id: str) -> Service:
        """Look at one service and its tasks. :raises ServiceGone:"""
        checked_service_id(service_id)
        async with self._asking(service_id) as client:
            found = await client._query_json(f"services/{service_id}")
            filters = json.dumps({"service": [service_id]})
            tasks = await client._query_json("tasks", params={"filters": filters})
            return self._read(found, tasks or ())

    async def force_update(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_template: str,
        not_after: Deadline = NO_END,
    ) -> Service:
        """Let Swarm replace all tasks of a service (`Services.force_update`)."""

        def change(service: Service, spec: translate.Spec) -> None:
            if service.mode is ServiceMode.JOB:
                raise EngineRefused(409, f"{service.name} is a job: it would run again")
            if service.template != expected_template:
                raise ServiceChanged(f"somebody else updated {service.name} meanwhile")
            with readable():
                spec["TaskTemplate"]["ForceUpdate"] = service.forced + 1

        return await self._written(service_id, attempt_id, change, not_after)

    async def scale(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_replicas: int,
        to: int,
        not_after: Deadline = NO_END,
    ) -> Service:
        """Give a service another number of replicas (`Services.scale`)."""

        def change(service: Service, spec: translate.Spec) -> None:
            if service.replicas is None or service.declared is None:
                raise EngineRefused(409, f"{service.name} is {service.mode}: it has no replicas")
            if service.replicas != expected_replicas:
                raise ServiceChanged(
                    f"{service.name} has {service.replicas} replicas, not {expected_replicas}: "
                    "somebody else scaled it meanwhile"
                )
            if to < service.declared:
                raise ServiceChanged(
                    f"{service.name} is declared with {service.declared} replicas, {to} are fewer"
                )
            with readable():
                spec["Mode"]["Replicated"]["Replicas"] = to
            translate.remember(spec, prefix=self._prefix, declared=service.declared, scaled_to=to)

        return await self._written(service_id, attempt_id, change, not_after)

    # ------------------------------------------------------------------ read, change, write

    async def _written(
        self, service_id: str, attempt_id: str, change: _Change, not_after: Deadline
    ) -> Service:
        checked_service_id(service_id)
        for _ in range(_TRIES):
            async with self._asking(service_id) as client:
                found = await client._query_json(f"services/{service_id}")
                seen = self._read(found, ())
            if seen.attempt_id == attempt_id:
                break  # by us, a moment or a life ago
            # The decision holds for what was seen when it was made: asked with every read.
            if is_half_deployed(seen):
                state = "" if seen.update is None else seen.update.state
                raise ServiceChanged(f"a deploy of {seen.name} is not through: {state}")
            spec: translate.Spec = found["Spec"]
            change(seen, spec)
            translate.sign(spec, prefix=self._prefix, attempt_id=attempt_id)
            if await self._write(service_id, seen.version, spec, not_after):
                break
        else:
            raise ServiceChanged(f"{seen.name} was changed {_TRIES} times while we tried to")
        try:
            return await self.service(service_id)
        except (EngineUnavailable, EngineRefused) as exc:
            # It is done; only what came of it could not be seen.
            raise EngineSilent(f"done, and then not seen: {exc}") from exc

    async def _write(
        self, service_id: str, version: int, spec: translate.Spec, not_after: Deadline
    ) -> bool:
        """Write a specification; False where somebody else was faster."""
        try:
            async with self._asking(service_id, acting=True) as client:
                in_time(not_after)
                await client._query_json(
                    f"services/{service_id}/update",
                    "POST",
                    params={"version": str(version)},
                    data=spec,
                )
        except EngineRefused as exc:
            if _OUT_OF_SEQUENCE in str(exc):
                return False
            raise
        return True

    @asynccontextmanager
    async def _asking(self, service_id: str, *, acting: bool = False) -> AsyncIterator[Docker]:
        """As `EngineConnection.about`, for a service."""
        within = self._connection.bounds.step if acting else None
        try:
            async with self._connection.about(service_id, within=within, acting=acting) as client:
                yield client
        except ContainerGone as exc:
            raise ServiceGone(str(exc)) from exc
        except EngineRefused as exc:
            if exc.status == 404:
                raise ServiceGone(str(exc)) from exc
            if exc.status == 503:
                raise EngineUnavailable(str(exc)) from exc
            if any(word in str(exc).lower() for word in _LEADERLESS):
                raise (EngineSilent if acting else EngineUnavailable)(str(exc)) from exc
            raise

    def _read(self, found: Json, tasks: Sequence[Json]) -> Service:
        return translate.service(found, tasks, prefix=self._prefix)
