"""Records that end whoever reads them for a step, and the rule that this ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.sim.loop import VirtualLoop
from tests.sim.process import Dead, Process

#: As app/controller/worker.py: after so many times the story is taken out of the round.
_MOST = 2


class Poison:
    """Which targets are poison, until when, and how often each has struck in a row."""

    def __init__(self, loop: VirtualLoop, fail: Callable[[str, str], None]) -> None:
        self._loop = loop
        self._fail = fail
        self.until: dict[str, float] = {}
        self._struck: dict[str, int] = {}

    def strikes(self, target: str) -> bool:
        """Whether reading this ends the reader; the rule counts."""
        if self.until.get(target, -1.0) <= self._loop.now:
            return False
        count = self._struck[target] = self._struck.get(target, 0) + 1
        if count > _MOST:
            self._fail("P1", f"the step of {target} has ended {count} processes in a row")
        return True

    def noted(self, target: str) -> None:
        """See a step come to its end, or its story buried."""
        self._struck.pop(target, None)


class PoisonedRecords:
    """`Records` of one process; told of each note that was written."""

    def __init__(
        self,
        poison: Poison,
        process: Process,
        records: Any,
        noted: Callable[[Process, Any], None],
    ) -> None:
        self._poison = poison
        self._process = process
        self._records = records
        self._noted = noted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def read(self, target: str, **more: Any) -> Any:
        """Read, and maybe die of it. Whoever buries a story does not read all this."""
        dossier = await self._records.read(target, **more)
        task = asyncio.current_task()
        # One without a story is given back without a note: nothing to count by.
        is_step = task is not None and task.get_name() == f"step {target}"
        if is_step and dossier.remediation is not None and self._poison.strikes(target):
            self._process.kill(f"of what it read of {target}")
            raise Dead
        return dossier

    async def note(self, claim: Any, entry: Any, **more: Any) -> None:
        """Write, and tell of it."""
        await self._records.note(claim, entry, **more)
        self._poison.noted(claim.target)
        self._noted(self._process, entry.remediation)
