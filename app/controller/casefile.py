"""The case file: what an action is about to destroy, kept from before it."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from app.errors import RelevoError
from app.policies.redaction import fit_to_keep
from app.ports import CaseFiles, Clock, ContainerEngine

log: Final = structlog.get_logger("relevo.casefile")

#: An ill container is not kept waiting for its file.
_TAKES: Final = timedelta(seconds=6)


class Clerk:
    """Takes and keeps case files; never stands in the way of an action."""

    def __init__(self, engine: ContainerEngine, files: CaseFiles, clock: Clock) -> None:
        self._engine = engine
        self._files = files
        self._clock = clock

    async def take(self, container_id: str, attempt_id: str) -> None:
        """Take the file of a container before an attempt on it; what fails is only logged."""
        try:
            async with asyncio.timeout(_TAKES.total_seconds()):
                file = await self._engine.evidence(container_id, at=self._clock.now())
                await self._files.keep(attempt_id, fit_to_keep(file))
        except Exception as exc:  # noqa: BLE001 - nothing here may keep the action from being done
            log.warning("no case file", attempt=attempt_id, error=_said(exc))


def _said(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "too slow"
    return str(exc) if isinstance(exc, RelevoError) else f"{type(exc).__name__}: {exc}"
