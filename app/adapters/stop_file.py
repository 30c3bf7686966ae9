"""
The STOP file: while it is in the data directory nothing is changed.

The gate looks for it itself. Without a gate, as in development, this is around the engine.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.gate import Bar
from app.domain.usage import Room, Used
from app.errors import GateRefused, TooLate
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, ContainerEngine, Deadline


def is_there(file: Path) -> bool:
    """Tell whether everything is to stop; what keeps us from looking counts as a yes."""
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


@asynccontextmanager
async def stoppable(
    opening: AbstractAsyncContextManager[ContainerEngine], file: Path
) -> AsyncIterator[ContainerEngine]:
    """Open an engine that changes nothing while a file is there."""
    async with opening as engine:
        yield StoppableEngine(engine, file)


class StoppableEngine:
    """
    `ContainerEngine` that changes nothing while the STOP file is there, and looks all the same.

    Also the next step of what is under way is not taken; whoever goes on with it finds it so.
    Each action may raise GateRefused, as behind a gate.
    """

    def __init__(self, engine: ContainerEngine, file: Path) -> None:
        self._engine, self._file = engine, file

    def _unless_stopped(self, not_after: Deadline) -> Deadline:
        said = f"the STOP file is there: {self._file}"
        if is_there(self._file):
            raise GateRefused(Bar.STOP, said)

        def unless_stopped() -> float:
            if is_there(self._file):
                raise TooLate(said)
            return not_after()

        return unless_stopped

    async def restart(
        self,
        container_id: str,
        *,
        attempt_id: str,
        expected_started_at: str,
        stop_grace: timedelta,
        not_after: Deadline = NO_END,
    ) -> None:
        """See `ContainerEngine.restart`."""
        await self._engine.restart(
            container_id,
            attempt_id=attempt_id,
            expected_started_at=expected_started_at,
            stop_grace=stop_grace,
            not_after=self._unless_stopped(not_after),
        )

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """See `ContainerEngine.start`."""
        unless_stopped = self._unless_stopped(not_after)
        await self._engine.start(container_id, attempt_id=attempt_id, not_after=unless_stopped)

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
        """See `ContainerEngine.clone`; a dry run changes nothing, and is not refused."""
        return await self._engine.clone(
            source_id,
            attempt_id=attempt_id,
            rules=rules,
            at=at,
            dry_run=dry_run,
            not_after=not_after if dry_run else self._unless_stopped(not_after),
        )

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        """See `ContainerEngine.remove_clone`."""
        unless_stopped = self._unless_stopped(not_after)
        await self._engine.remove_clone(
            container_id, attempt_id=attempt_id, not_after=unless_stopped
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
        """See `ContainerEngine.set_aside`."""
        await self._engine.set_aside(
            container_id,
            attempt_id=attempt_id,
            networks=networks,
            expected_started_at=expected_started_at,
            not_after=self._unless_stopped(not_after),
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
        """See `ContainerEngine.bring_back`."""
        return await self._engine.bring_back(
            container_id,
            attempt_id=attempt_id,
            networks=networks,
            ends=ends,
            starts=starts,
            not_after=self._unless_stopped(not_after),
        )

    # ------------------------------------------------------------------ what only looks

    async def identity(self) -> EngineIdentity:
        """See `ContainerEngine.identity`."""
        return await self._engine.identity()

    async def containers(self) -> tuple[Listed, ...]:
        """See `ContainerEngine.containers`."""
        return await self._engine.containers()

    async def inspect(self, container_id: str) -> Container:
        """See `ContainerEngine.inspect`."""
        return await self._engine.inspect(container_id)

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        """See `ContainerEngine.used`."""
        return await self._engine.used(container_id, at=at)

    async def room(self, container_id: str) -> Room:
        """See `ContainerEngine.room`."""
        return await self._engine.room(container_id)

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        """See `ContainerEngine.evidence`."""
        return await self._engine.evidence(container_id, at=at)

    def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        """See `ContainerEngine.events`."""
        return self._engine.events(since_ns=since_ns)
