"""
The loop: claim what is due, run a step, idle until the next.

* Fair: the longest due first; a target that waits delays no other, since a wait is a due
  time in the store and not a sleep in here.
* Stingy: one step of a target at a time; a second worker is kept off by the lease.
* Stopping: claims nothing more, lets running steps end, cancels those that do not.

It knows nothing of remediation: it is handed a step.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.bell import Bell
from app.controller.telemetry import Telemetry
from app.errors import LeaseLost, Transient
from app.ports import Claim, Clock, Schedule

log: Final = structlog.get_logger("relevo.worker")

#: Insurance, not a schedule: a missed wake-up or a write by another replica is noticed
#: within this time at the latest.
MAX_IDLE: Final = timedelta(seconds=10)
#: A step without an action takes as long as its slowest look; an action extends its lease.
LEASE: Final = timedelta(seconds=30)
#: Steps at once: enough that slow restarts of some do not delay the looks at others.
PARALLEL: Final = 64
#: How soon a store that did not answer is asked again.
RETRY: Final = timedelta(seconds=1)
#: No story needs more steps of one target in a second: a verdict, its close, the next opening,
#: and whatever notices arrive meanwhile.
MOST_STEPS: Final = 50
#: Where the steps of more targets raise, it is what they share that is ill.
_MOST_POISON: Final = 3
#: How soon a step is tried that has to run alone.
_NEXT_SUSPECT: Final = timedelta(milliseconds=200)
_PACE: Final = timedelta(seconds=1)
_PACED_TARGETS: Final = 100_000

#: A step that fails is repeated after this long; one that cannot tell why, when its lease ends.
AGAIN: Final = timedelta(seconds=5)
#: Whoever had the step has died with it, or the step itself, this often in a row: it is poison.
MOST_LOST: Final = 2

Step = Callable[[Claim, datetime], Awaitable[None]]


def _always() -> bool:
    return True


class Worker:
    """See the module."""

    def __init__(
        self,
        schedule: Schedule,
        clock: Clock,
        step: Step,
        telemetry: Telemetry,
        *,
        bury: Step | None = None,
        may_claim: Callable[[], bool] = _always,
        parallel: int = PARALLEL,
        lease: timedelta = LEASE,
    ) -> None:
        """
        Begin.

        :param bury: runs instead of the step where that is poison
        :param may_claim: whether it is us who act, and now
        """
        self._schedule = schedule
        self._clock = clock
        self._step = step
        self._telemetry = telemetry
        self._bury = bury
        self._may_claim = may_claim
        self._parallel = parallel
        self._lease = lease
        self._wakeup = Bell()
        self._stopping = False
        #: Since when, and how many steps of each target were run in the current second.
        self._pace: dict[str, tuple[float, int]] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Targets whose step runs here.
        self._at: set[str] = set()
        #: A step that has ended its worker before runs alone among its like: if it does so again,
        #: it is known which one it was.
        self._suspect: str | None = None
        #: How often in a row the step of a target has raised what nobody expected.
        self._raised: dict[str, int] = {}
        #: Claims that could not be given back while the store was away, and whether what was lost
        #: is forgotten with it.
        self._owed: dict[str, tuple[Claim, bool]] = {}
        #: What each target's last step failed with: only a changed failure is news.
        self._failures: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether steps are under way."""
        return bool(self._running)

    def wake(self) -> None:
        """Look at the schedule now: something new may be due."""
        self._wakeup.ring()

    def stop(self) -> None:
        """Claim nothing more; `run` returns once the running steps have ended."""
        self._stopping = True
        self._wakeup.ring()

    async def run(self) -> None:
        """Run until stopped or cancelled."""
        try:
            while not self._stopping:
                self._wakeup.hush()
                wait = await self._claim()
                await self._idle(wait)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            # Copied: a task takes itself out of the set as it ends.
            running = tuple(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _claim(self) -> timedelta:
        """Start what is due; answer how long nothing else will be."""
        free = self._parallel - len(self._running)
        if free <= 0:
            return MAX_IDLE  # a step that ends wakes us
        if not self._may_claim():
            return MAX_IDLE  # whoever changes that wakes us
        await self._settle_debts()
        now = self._clock.now()
        try:
            claimed = await self._schedule.claim(now=now, lease=self._lease, limit=free)
        except Transient as exc:
            self._failed("the schedule", exc)
            return RETRY
        except LeaseLost as exc:
            log.info("nothing claimed", why=str(exc))
            return RETRY
        self._failures.pop("the schedule", None)
        for claim in claimed.claims:
            task = asyncio.create_task(self._guarded(claim, now), name=f"step {claim.target}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        if claimed.next_due is None:
            return MAX_IDLE
        return min(claimed.next_due - self._clock.now(), MAX_IDLE)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        # Its note may have made a target due sooner than what we are waiting for.
        self._wakeup.ring()

    async def _idle(self, wait: timedelta) -> None:
        if wait <= timedelta(0) or self._stopping:
            await asyncio.sleep(0)
            return
        await self._wakeup.wait(wait)

    async def _guarded(self, claim: Claim, now: datetime) -> None:
        """Run one step; one bad target cannot end the loop. Its lease brings it back."""
        if claim.target in self._at:
            # Its lease could not be renewed, and ran out: the step itself goes on.
            await self._give_back(claim, AGAIN)
            return
        is_suspect = claim.lost > 0
        if is_suspect and self._suspect is not None:
            await self._give_back(claim, _NEXT_SUSPECT, forget_lost=False)
            return
        self._at.add(claim.target)
        self._suspect = claim.target if is_suspect else self._suspect
        try:
            await self._run(claim, now)
        finally:
            self._at.discard(claim.target)
            if self._suspect == claim.target:
                self._suspect = None

    async def _run(self, claim: Claim, now: datetime) -> None:
        await self._not_too_fast(claim.target)
        renewing = asyncio.create_task(self._renew(claim), name=f"lease of {claim.target}")
        try:
            is_poison = self._bury is not None and self._is_poison(claim)
            await (self._bury if self._bury and is_poison else self._step)(claim, now)
        except asyncio.CancelledError:
            if self._stopping:
                # Cut off by a shutdown: whoever comes next need not wait for the lease.
                await self._give_back(claim, timedelta(0))
            raise
        except LeaseLost as exc:
            log.info("step not done", target=claim.target, why=str(exc))
            await self._give_back(claim, AGAIN)
        except Transient as exc:
            self._failed(claim.target, exc)
            await self._give_back(claim, AGAIN)
        except Exception as exc:  # noqa: BLE001 - the boundary: logged, counted, repeated
            self._failed(claim.target, exc, unexpected=True)
            self._raised[claim.target] = self._raised.get(claim.target, 0) + 1
            await self._give_back(claim, self._lease, forget_lost=False)
        else:
            self._failures.pop(claim.target, None)
            self._raised.pop(claim.target, None)
        finally:
            renewing.cancel()

    def _is_poison(self, claim: Claim) -> bool:
        """Tell whether it is this step that ends its worker, or raises, and not all of them do."""
        raised = sum(count >= MOST_LOST for count in self._raised.values())
        has_raised = self._raised.get(claim.target, 0) >= MOST_LOST
        return claim.lost >= MOST_LOST or (has_raised and raised <= _MOST_POISON)

    async def _give_back(self, claim: Claim, wait: timedelta, *, forget_lost: bool = True) -> None:
        """Have a step repeated; where that cannot be told now, it is told later."""
        try:
            await self._schedule.requeue(
                claim, due=self._clock.now() + wait, forget_lost=forget_lost
            )
        except LeaseLost as exc:
            log.debug("claim not given back", target=claim.target, error=str(exc))
        except Transient:
            self._owed[claim.target] = claim, forget_lost

    async def _settle_debts(self) -> None:
        """Give back what ended while the store was away: nobody has died of it."""
        owed, self._owed = self._owed, {}
        for claim, forget_lost in owed.values():
            wait = timedelta(0) if forget_lost else AGAIN
            await self._give_back(claim, wait, forget_lost=forget_lost)

    async def _renew(self, claim: Claim) -> None:
        """Hold the lease for as long as the step runs: an engine may take minutes to answer."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await self._schedule.renew(claim, now=self._clock.now(), lease=self._lease)
            except LeaseLost:
                return  # the step will be told when it writes
            except Transient as exc:
                log.debug("lease not renewed", target=claim.target, error=str(exc))

    async def _not_too_fast(self, target: str) -> None:
        """Slow down a target whose steps make each other due: a defect, but not a busy loop."""
        now = asyncio.get_running_loop().time()
        since, count = self._pace.get(target, (now, 0))
        if now - since > _PACE.total_seconds():
            since, count = now, 0
        self._pace[target] = (since, count + 1)
        if count + 1 == MOST_STEPS:
            log.error("steps follow each other without end, slowing down", target=target)
        if count + 1 >= MOST_STEPS:
            await asyncio.sleep(_PACE.total_seconds())
        if len(self._pace) > _PACED_TARGETS:
            self._pace.clear()

    def _failed(self, what: str, exc: Exception, *, unexpected: bool = False) -> None:
        error = f"{type(exc).__name__}: {exc}"
        self._telemetry.step_errors.labels(error=type(exc).__name__).inc()
        if self._failures.get(what) == error:
            log.debug("step failed again", what=what, error=error)
            return
        self._failures[what] = error
        if unexpected:
            log.error("step failed unexpectedly, will be repeated", what=what, exc_info=exc)
        else:
            log.warning("step failed, will be repeated", what=what, error=error)
