"""The places of services: found by the ids that stand for them, changed, and waited for."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

import structlog

from app.domain.container import Container
from app.domain.service import Service, ServiceMode
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    ServiceChanged,
    ServiceGone,
    StartedMeanwhile,
)
from app.policies import swarm
from app.ports import Deadline, Services

#: Between two looks at the tasks of an update.
_LOOK_S: Final = 0.5
#: A node becomes a manager, or is one no more, once in its life; asked again after this.
_ASKED_FOR_S: Final = 60.0
#: Managers that cannot agree may take long to say so: not asked again before this.
_AGAIN_S: Final = 5.0

log: Final = structlog.get_logger(__name__)


class Places:
    """Services in the words for containers, errors included."""

    def __init__(self, services: Services, *, label_prefix: str) -> None:
        self._services = services
        self._prefix = label_prefix
        self._manages = False
        self._asked_at: float | None = None
        #: As they were told last; None: never.
        self._told: tuple[Service, ...] | None = None
        #: Why they could not be told, and when; None: they were.
        self._untold: tuple[str, float] | None = None

    @property
    def is_untold(self) -> bool:
        """Whether the managers could not be asked the last time."""
        return self._untold is not None

    def forget(self) -> None:
        """Ask anew whether there is a swarm to manage."""
        self._asked_at = None

    async def services(self) -> tuple[Service, ...]:
        """
        List all services; none where the engine manages no swarm.

        :raises EngineUnavailable: also where the managers cannot agree
        """
        loop = asyncio.get_running_loop()
        if self._untold is not None and loop.time() - self._untold[1] < _AGAIN_S:
            raise EngineUnavailable(self._untold[0])
        try:
            self._told = await self._asked(loop.time())
        except EngineUnavailable as exc:
            if self._untold is None:
                log.warning("services cannot be asked", error=str(exc))
            self._untold = str(exc), loop.time()
            raise
        self._untold = None
        return self._told

    async def told(self) -> tuple[Service, ...]:
        """
        List all services; while the managers cannot agree as they were then.

        Where they never could the tasks stay what they are, and are left alone: whatever else is
        on the engine needs no manager.
        """
        try:
            return await self.services()
        except EngineUnavailable:
            return self._told or ()

    async def _asked(self, now: float) -> tuple[Service, ...]:
        if self._asked_at is None or now - self._asked_at > _ASKED_FOR_S:
            self._manages = await self._services.manages()
            self._asked_at = now
        if not self._manages:
            return ()
        try:
            return await self._services.services()
        except EngineRefused as exc:
            # A proxy that lets containers through and services not: their tasks are left alone.
            self._manages = False
            log.warning("services are not driven", error=str(exc))
            return ()

    async def find(self, container_id: str) -> tuple[Service, str] | None:
        """
        Find the service and the place that an id stands for; None: it is a container's own.

        :raises EngineUnavailable: it is a place, and the managers cannot agree
        """
        found = self._found(await self.told(), container_id)
        if found is not None and self._untold is not None:
            raise EngineUnavailable(self._untold[0])
        return found

    def _found(
        self, services: tuple[Service, ...], container_id: str
    ) -> tuple[Service, str] | None:
        for service in services:
            for place in swarm.places(service):
                if (
                    service.mode is not ServiceMode.JOB
                    and swarm.place_id(service, place) == container_id
                ):
                    return service, place
        return None

    async def own_id(self, container_id: str) -> str:
        """Return the id by which an engine knows a container. :raises ContainerGone:"""
        found = await self.find(container_id)
        if found is None:
            return container_id
        task = swarm.task_in(*found)
        if task is None or task.container_id is None:
            raise ContainerGone(f"{found[0].name}.{found[1]} has no container at the moment")
        return task.container_id

    def container(self, service: Service, place: str) -> Container:
        """Describe a place. :raises ContainerGone:"""
        wanted = swarm.place_id(service, place)
        for one in swarm.containers_of(service, prefix=self._prefix):
            if one.id == wanted:
                return one
        raise ContainerGone(f"{service.name} has no task in place {place} any more")

    async def force(self, service: Service, attempt_id: str, not_after: Deadline) -> Service:
        """Have all tasks replaced. :raises StartedMeanwhile: somebody else has"""
        with _in_our_words():
            return await self._services.force_update(
                service.id,
                attempt_id=attempt_id,
                expected_template=service.template,
                not_after=not_after,
            )

    async def one_more(self, service: Service, attempt_id: str, not_after: Deadline) -> Service:
        """Add a replica. :raises StartedMeanwhile: somebody else has changed their number"""
        return await self._scale(service, 1, attempt_id, not_after)

    async def one_less(self, service: Service, attempt_id: str, not_after: Deadline) -> None:
        """Take a replica that we added back, where there is one. Errors as of `one_more`."""
        # Another name than that of the attempt that added it, which is on the service.
        name = f"{attempt_id}.in"
        if service.added > 0 and service.attempt_id != name:
            await self._scale(service, -1, name, not_after)

    async def arrived(self, service: Service, place: str, *, within: timedelta) -> None:
        """
        Wait until Swarm has replaced all tasks, or at least the one in a place.

        A task that fails is for the verdict to find, where Swarm does not mind.

        :raises EngineRefused: Swarm has given the update up
        :raises EngineSilent: it has not come round to the place yet
        """
        is_there = False

        def is_over(seen: Service) -> bool:
            nonlocal is_there
            given_up = swarm.failed_update(seen)
            if given_up is not None:
                raise EngineRefused(500, given_up)
            is_there = swarm.has_arrived(seen, place)
            # It has not been given up before that: a task may run for a moment and then fail.
            if swarm.is_being_replaced(seen):
                return False
            return is_there or swarm.failure_in(seen, place) is not None

        try:
            await self._until(service, is_over, within=within)
        except EngineSilent:
            if not is_there:
                raise

    async def added(self, service: Service, *, within: timedelta) -> Container:
        """
        Wait until the replica that was added last runs.

        :raises EngineRefused: it ends at once, or there is no node for it
        :raises EngineSilent: it is still on its way
        """
        trouble: str | None = None

        def is_over(seen: Service) -> bool:
            nonlocal trouble
            trouble = swarm.trouble_of_the_newest(seen)
            place = swarm.newest_place(seen)
            is_there = place is not None and len(swarm.places(seen)) >= (seen.replicas or 0)
            return is_there and trouble is None and swarm.has_arrived(seen, place or "")

        try:
            seen = await self._until(service, is_over, within=within)
        except EngineSilent as exc:
            if trouble is not None:
                raise EngineRefused(500, trouble) from exc
            raise
        return self.container(seen, swarm.newest_place(seen) or "")

    async def _scale(
        self, service: Service, by: int, attempt_id: str, not_after: Deadline
    ) -> Service:
        replicas = service.replicas or 0
        with _in_our_words():
            return await self._services.scale(
                service.id,
                attempt_id=attempt_id,
                expected_replicas=replicas,
                to=replicas + by,
                not_after=not_after,
            )

    async def _until(
        self, service: Service, is_over: Callable[[Service], bool], *, within: timedelta
    ) -> Service:
        seen = service
        try:
            async with asyncio.timeout(within.total_seconds()):
                while not is_over(seen):
                    await asyncio.sleep(_LOOK_S)
                    with suppress(EngineUnavailable), _in_our_words():
                        seen = await self._services.service(service.id)
        except TimeoutError as exc:
            raise EngineSilent(f"Swarm is still at it after {within.total_seconds():g} s") from exc
        return seen


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except ServiceGone as exc:
        raise ContainerGone(str(exc)) from exc
    except ServiceChanged as exc:
        raise StartedMeanwhile(str(exc)) from exc
