"""What the collector reads, through the gate."""

from app.adapters.engine.connection import checked_id
from app.adapters.engine.stats import Allowance, Usage
from app.adapters.gate.line import GateLine
from app.domain.container import EngineIdentity, Listed


class GateReader:
    """`ContainerReader` behind the gate, over a line of its own, which it closes."""

    def __init__(self, line: GateLine) -> None:
        self._line = line

    async def close(self) -> None:
        """Close the line. Harmless when it was never opened, or twice."""
        await self._line.close()

    async def host(self) -> EngineIdentity:
        """Ask the engine who it is."""
        found: EngineIdentity = await self._line.ask("identity")
        return found

    async def running(self) -> tuple[Listed, ...]:
        """List the containers that run, paused ones included."""
        found: tuple[Listed, ...] = await self._line.ask("running")
        return found

    async def usage(self, container_id: str) -> Usage | None:
        """Measure one container; None where it does not run."""
        found: Usage | None = await self._line.ask("usage", id=checked_id(container_id))
        return found

    async def allowance(self, container_id: str) -> Allowance:
        """Look up what one container may use."""
        found: Allowance = await self._line.ask("allowance", id=checked_id(container_id))
        return found
