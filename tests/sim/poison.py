"""Records that end whoever reads them for a step, and the rule that this ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from app.domain.remediation import Remediation
from tests.sim.loop import VirtualLoop
from tests.sim.process import Dead, Process

#: As app/controller/worker.py: after so many times the story is taken out of the round.
_MOST = 2
#: As app/controller/poison.py: how long it is out of the round; and until its next step.
_LEFT_ALONE_S = 15 * 60.0 + 60.0


class Poison:
    """Which targets are poison, until when, and how often each has struck in a row."""

    def __init__(self, loop: VirtualLoop, fail: Callable[[str, str], None]) -> None:
        self._loop = loop
        self._fail = fail
        self.until: dict[str, float] = {}
        #: The story that was read, and how often in a row that ended whoever read it.
        self._struck: dict[str, tuple[Remediation, int]] = {}
        self._buried_at: dict[str, float] = {}

    def strikes(self, story: Remediation) -> bool:
        """Whether reading this ends the reader; the rule counts."""
        target = story.target
        if self.until.get(target, -1.0) <= self._loop.now:
            return False
        last, count = self._struck.get(target, (story, 0))
        # Whoever buried it may have been ended by another story before it could say so.
        count = count + 1 if story == last else 1
        self._struck[target] = (story, count)
        if count > _MOST:
            self._fail("P1", f"the step of {target} has ended {count} processes in a row")
        return True

    def is_left_alone(self, target: str) -> bool:
        """Tell whether its steps were lost so often, for whatever cause, that nobody tries."""
        return self._loop.now - self._buried_at.get(target, -1e9) < _LEFT_ALONE_S

    def claimed(self, claim: Any) -> None:
        """See a step that begins."""
        if claim.lost >= _MOST:
            self._buried_at[claim.target] = self._loop.now

    def noted(self, target: str) -> None:
        """See a step come to its end, or its story buried."""
        self._struck.pop(target, None)


class CountedSchedule:
    """`Schedule` of one process; told of each step that begins."""

    def __init__(self, poison: Poison, schedule: Any) -> None:
        self._poison = poison
        self._schedule = schedule

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._schedule, name)
        setattr(self, name, found)  # calls, which are always the same
        return found

    async def claim(self, **more: Any) -> Any:
        """Claim, and tell of it."""
        claimed = await self._schedule.claim(**more)
        for claim in claimed.claims:
            self._poison.claimed(claim)
        return claimed


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
        found = getattr(self._records, name)
        setattr(self, name, found)  # calls, which are always the same
        return found

    async def read(self, target: str, **more: Any) -> Any:
        """Read, and maybe die of it. Whoever buries a story does not read all this."""
        dossier = await self._records.read(target, **more)
        task = asyncio.current_task()
        # One without a story is given back without a note: nothing to count by.
        is_step = task is not None and task.get_name() == f"step {target}"
        story = dossier.remediation
        if is_step and story is not None and self._poison.strikes(story):
            self._process.kill(f"of what it read of {target}")
            raise Dead
        return dossier

    async def note(self, claim: Any, entry: Any, **more: Any) -> None:
        """Write, and tell of it."""
        await self._records.note(claim, entry, **more)
        self._poison.noted(claim.target)
        self._noted(self._process, entry.remediation)
