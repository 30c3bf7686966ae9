"""The services of a swarm, driven instead of their containers."""

from typing import Protocol

from app.domain.service import Service
from app.ports.engine import NO_END, Deadline


class Services(Protocol):
    """
    The swarm that an engine manages, spoken to in intentions.

    A service is named by the id of the engine's own listing, never by anything that came from
    outside; anything else is a ValueError before a request is made.

    What we did is written on the service itself, in the very change that does it: the attempt
    (``{prefix}.attempt``), and while there are more replicas than its owner declared, how many
    those were (``{prefix}.replicas``) and how many we made of them (``{prefix}.scaled-to``).
    Everything else of it stays as it is.

    Every method may raise EngineUnavailable, also where the engine is no manager (any more) or the
    managers cannot agree, and EngineSilent where the engine took a request
    and did not answer in time: then what was asked for may still happen; the attempt's label
    tells.
    """

    async def manages(self) -> bool:
        """Tell whether the engine is a manager of a swarm: whether anything here can be asked."""
        ...

    async def services(self) -> tuple[Service, ...]:
        """List all services with their tasks, on whichever node they are."""
        ...

    async def service(self, service_id: str) -> Service:
        """Look at one service and its tasks. :raises ServiceGone:"""
        ...

    async def force_update(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_template: str,
        not_after: Deadline = NO_END,
    ) -> Service:
        """
        Let Swarm replace all tasks of a service by its own update rules, if nobody else has.

        Returns once Swarm knows; the tasks tell what comes of it. Harmless when repeated: an
        attempt that is on the service already has been carried out.

        :param expected_template: `Service.template` when it was decided
        :param not_after: as of `ContainerEngine.restart`
        :return: the service as it is then
        :raises ServiceChanged: somebody else has; or a deploy of it is not through; or it changes
            faster than we can write. Nothing was done
        :raises TooLate: nothing was done
        :raises ServiceGone:
        :raises EngineRefused: the engine answered an error for this service, or it is a job
        """
        ...

    async def scale(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_replicas: int,
        to: int,
        not_after: Deadline = NO_END,
    ) -> Service:
        """
        Give a service another number of replicas, if nobody else has.

        Which task goes when there are fewer is Swarm's choice. Repeated, and errors, as of
        `force_update`.

        :param expected_replicas: how many it had when it was decided
        :param to: how many it is to have
        :raises ServiceChanged: also where its owner wants more than that
        :raises EngineRefused: also where it is not replicated
        """
        ...
