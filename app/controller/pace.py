"""How fast the steps of one target may follow each other."""

import asyncio
from typing import Final

import structlog

log: Final = structlog.get_logger("relevo.worker")

#: No story needs more steps of one target in a second: a verdict, its close, the next opening,
#: and whatever notices arrive meanwhile.
MOST_STEPS: Final = 50
_SPAN_S: Final = 1.0


class Pace:
    """Counts the steps of each target in the current second."""

    def __init__(self) -> None:
        self._since = 0.0
        self._steps: dict[str, int] = {}

    def is_too_fast(self, target: str) -> bool:
        """Count one step; tell whether they make each other due: a defect, but no busy loop."""
        now = asyncio.get_running_loop().time()
        if now - self._since > _SPAN_S:
            self._since, self._steps = now, {}
        count = self._steps[target] = self._steps.get(target, 0) + 1
        if count == MOST_STEPS:
            log.error("steps follow each other without end, slowing down", target=target)
        return count >= MOST_STEPS

    async def slow_down(self) -> None:
        """Wait until the next second."""
        await asyncio.sleep(_SPAN_S)
