"""The container engine, spoken to in intentions."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Protocol

from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.fidelity import FidelityReport
from app.domain.usage import Room, Used
from app.policies.spec import ScaleOutRules

#: Tells until when (of the event loop's clock) an action may be begun, asked right before it is.
Deadline = Callable[[], float]


def NO_END() -> float:
    """Let an action be begun at any time."""
    return inf


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneResult:
    """What became of the wish for a clone."""

    report: FidelityReport
    #: The running clone; None for a dry run.
    clone: Container | None


class ContainerEngine(Protocol):
    """
    One container engine, spoken to in intentions.

    A container is named by the 64-hex id of the engine's own listing, never by anything
    that came from outside; anything else is a ValueError before a request is made.

    Every method may raise EngineUnavailable, and EngineSilent where the engine took a
    request and did not answer in time: then what was asked for may still happen.
    """

    async def identity(self) -> EngineIdentity:
        """Ask the engine who it is."""
        ...

    async def containers(self) -> tuple[Listed, ...]:
        """List all containers, running or not."""
        ...

    async def inspect(self, container_id: str) -> Container:
        """Look at one container. :raises ContainerGone:"""
        ...

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

        :param not_after: tells after which moment of the event loop's clock nothing is begun
        :raises StartedMeanwhile: somebody did
        :raises TooLate: nothing was done
        :raises ContainerGone:
        :raises EngineRefused: the engine answered an error for this container
        """
        ...

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """Start a stopped container; one that runs already is fine. Errors as `restart`."""
        ...

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
        Make another instance of a container: created, connected, started, not yet verified.

        Adopts a half-made clone of the same attempt. On any error what was made is removed
        again; the source is never touched. A dry run only reports.

        :param at: the time that the clone's labels say it was made
        :param not_after: as of `restart`
        :raises TooLate: nothing was done
        :raises CloneRefused: the report says why; never for a dry run
        :raises ContainerGone:
        :raises EngineRefused:
        """
        ...

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """
        Disconnect, stop and remove a clone of ours; one that is gone already is fine.

        Its networks go first, so that nobody is sent to it any more; it is stopped with its own
        grace, and removed with its anonymous volumes.

        :param not_after: as of `restart`
        :raises TooLate: nothing was done
        :raises EngineRefused: it is not a clone of ours, or the engine answered an error
        """
        ...

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
        Take a container out of service, and keep it: isolated, or stopped with its own grace.

        May be repeated: what a try before has done already is fine.

        :param networks: as its clone's label has them: it is taken off them all, and runs on;
            None: it is stopped, and keeps them
        :param expected_started_at: as of `restart`
        :raises StartedMeanwhile: somebody has started it since
        :raises TooLate: nothing was done
        :raises ContainerGone:
        :raises EngineRefused: also where it is on other networks than the label says
        """
        ...

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
        Have a container serve again that was set aside; may be repeated.

        It is connected as it was (aliases, static address, MAC), before it is started.

        :param networks: as its clone's label has them, those that it is to be on; empty: it is
            on them
        :param ends: ``StartedAt`` of the life that ends first, where it still lasts
        :param starts: start it where it does not run
        :return: sentences: what could not be as it was
        :raises TooLate: nothing was done
        :raises ContainerGone:
        :raises EngineRefused:
        """
        ...

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        """
        Measure what a container has used since it was started; None where it does not run.

        Takes a second or two.

        :param at: when it is measured, for the answer
        :raises ContainerGone:
        """
        ...

    async def room(self, container_id: str) -> Room:
        """
        Measure what another instance of a container would need, and what the host has free.

        Takes a few seconds: everything that runs is measured.

        :raises ContainerGone:
        """
        ...

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        """
        Gather what a restart would destroy, as it is: nothing is redacted here.

        Takes a few seconds at most; what cannot be had in that time is named in the file.

        :param at: when it is taken, for the file
        :raises ContainerGone:
        """
        ...

    def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """
        Follow what happens to containers, later than a moment of the engine's clock.

        Ends only by EngineUnavailable: begin anew from the last event's `at_ns`; none is lost
        (the engine remembers its last 256) and none comes twice.

        :param since_ns: nanoseconds since the epoch; 0: from now on
        """
        ...
