"""Claims that are given back, and those that could not be while the store was away."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from app.errors import LeaseLost, Transient
from app.ports import Claim, Clock, Schedule

log: Final = structlog.get_logger("relevo.worker")

#: A step that fails is repeated after this long; one that cannot tell why, when its lease ends.
AGAIN: Final = timedelta(seconds=5)


class Returns:
    """Gives claims back. Whatever ends in an orderly way has ended nobody, now or later."""

    def __init__(self, schedule: Schedule, clock: Clock) -> None:
        self._schedule = schedule
        self._clock = clock
        #: Target -> its claim, whether what was lost is forgotten with it, and how long it waits.
        self._owed: dict[str, tuple[Claim, bool, timedelta]] = {}

    async def give_back(self, claim: Claim, wait: timedelta, *, forget_lost: bool = True) -> None:
        """Have a step repeated after so long; where that cannot be told now, it is told later."""
        try:
            await self._schedule.requeue(
                claim, due=self._clock.now() + wait, forget_lost=forget_lost
            )
        except LeaseLost as exc:
            log.debug("claim not given back", target=claim.target, error=str(exc))
        except Transient:
            self.owe(claim, timedelta(0) if forget_lost else AGAIN, forget_lost=forget_lost)

    async def release(self, claims: Sequence[Claim], wait: timedelta = timedelta(0)) -> None:
        """Give back what has not begun; where that cannot be told now, it is told later."""
        if not claims:
            return
        try:
            await self._schedule.release(claims, due=self._clock.now() + wait)
        except LeaseLost as exc:
            log.debug("claims not given back", number=len(claims), error=str(exc))
        except Transient:
            for claim in claims:
                self.owe(claim)

    def owe(self, claim: Claim, wait: timedelta = AGAIN, *, forget_lost: bool = False) -> None:
        """Give it back when debts are settled; of two claims of a target, the later one."""
        older = self._owed.get(claim.target)
        if older is None or older[0].fence <= claim.fence:
            self._owed[claim.target] = claim, forget_lost, wait

    async def settle(self, *, at_end: bool = False) -> None:
        """
        Give back what ended while the store was away: nobody has died of it.

        One call for all of a kind; where the store is still away, the others stay owed.

        :param at_end: nobody here will want them: whoever comes next has them at once
        """
        kinds: dict[tuple[bool, timedelta], list[Claim]] = {}
        for claim, forget_lost, wait in self._owed.values():
            kind = forget_lost, timedelta(0) if at_end else wait
            kinds.setdefault(kind, []).append(claim)
        for (forget_lost, wait), claims in kinds.items():
            due = self._clock.now() + wait
            try:
                await self._schedule.release(claims, due=due, forget_lost=forget_lost)
            except LeaseLost as exc:
                log.debug("claims not given back", number=len(claims), error=str(exc))
            except Transient:
                return
            for claim in claims:
                # Meanwhile a later one may be owed.
                if self._owed[claim.target][0] is claim:
                    del self._owed[claim.target]
