"""
The loop: claim what is due, run a step, idle until the next.

* Fair: the longest due first; a target that waits delays no other, since a wait is a due
  time in the store and not a sleep in here.
* Stingy: one step of a target at a time; a second worker is kept off by the lease.
* Never late to stop: what is claimed and has not begun begins only while we may act and its
  lease is sure; it is given back otherwise.
* Stopping: claims nothing more, gives back what has not begun, lets running steps end, cancels
  those that do not.

It knows nothing of remediation: it is handed a step.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.ahead import Ahead
from app.controller.bell import Bell
from app.controller.complaints import Complaints
from app.controller.pace import Pace
from app.controller.returns import AGAIN, Returns
from app.controller.strikes import Strikes
from app.controller.suspects import Suspects
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
#: Share of a lease for which it is relied on: clocks may run at different speed.
_SURE: Final = 2 / 3
#: Steps that one runs before others have a turn.
_BREATH: Final = 64

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
        self._bury = bury
        self._may_claim = may_claim
        self._parallel = parallel
        self._lease = lease
        self._wakeup = Bell()
        self._stopping = False
        self._pace, self._complaints, self._strikes = Pace(), Complaints(telemetry), Strikes()
        self._suspects, self._returns = Suspects(), Returns(schedule, clock)
        self._ahead = Ahead(parallel)
        #: Each runs one step after the other.
        self._running: set[asyncio.Task[None]] = set()
        #: Claims whose step runs here, by target.
        self._at: dict[str, Claim] = {}
        self._renewing: asyncio.Task[None] | None = None
        #: `_begin` is called with the loop's next turn.
        self._is_looked_after = False

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
            # At once: whoever comes next need not wait for our steps, nor for a lease.
            await self._returns.release(self._drop())
            if self._running:
                await asyncio.wait(self._running)
            # Whatever ends in an orderly way leaves nothing to be counted as lost.
            await self._returns.settle(at_end=True)
        finally:
            self._drop()
            # Copied: a task takes itself out of the set as it ends.
            running = tuple(self._running)
            if self._renewing is not None:
                running = *running, self._renewing
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _claim(self) -> timedelta:
        """Have what is due wait for its turn; answer how long nothing else will be."""
        if not self._may_claim():
            # Whoever changes that wakes us. What waits is not ours to begin.
            await self._returns.release(self._drop())
            return MAX_IDLE
        self._begin()
        await self._returns.settle()
        room = self._ahead.room(len(self._at))
        if room <= 0:
            return MAX_IDLE  # a step that ends wakes us
        now, sure_until = self._clock.now(), self._sure_until()
        try:
            claimed = await self._schedule.claim(
                now=now,
                lease=self._lease,
                limit=room,
                has_suspect=bool(self._suspects),
                here=tuple(self._at),
            )
        except Transient as exc:
            self._complaints.say("the schedule", exc)
            return RETRY
        except LeaseLost as exc:
            log.info("nothing claimed", why=str(exc))
            self._drop()
            return RETRY
        self._complaints.over("the schedule")
        mine, is_full = claimed.claims, len(claimed.claims) >= room
        self._suspects.forget(self._ahead.outdate(mine))
        self._suspects.see(mine, at=self._at)
        self._ahead.put(mine, is_full=is_full, running=len(self._at), until=sure_until)
        self._begin()
        if self._ahead.has_more:
            return timedelta(0)
        if claimed.next_due is None:
            return MAX_IDLE
        return min(claimed.next_due - self._clock.now(), MAX_IDLE)

    def _drop(self) -> list[Claim]:
        """Have nothing wait any more; return what did."""
        dropped = self._ahead.clear()
        self._suspects.forget(dropped)
        return dropped

    def _begin(self) -> None:
        """Have one more run what waits, where all that do are busy with a step."""
        self._is_looked_after = False
        if not self._ahead.waiting or self._stopping:
            return
        if not self._may_claim():
            self._wakeup.ring()  # `run` gives back what waits
            return
        if len(self._running) == len(self._at) < self._parallel:
            task = asyncio.create_task(self._work(), name="step")
            self._running.add(task)
            task.add_done_callback(self._ended)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="leases")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wakeup.ring()
        self._begin()

    async def _idle(self, wait: timedelta) -> None:
        if wait <= timedelta(0) or self._stopping:
            await asyncio.sleep(0)
            return
        await self._wakeup.wait(wait, exactly=True)

    async def _work(self) -> None:
        """Run what waits, a step after the other, until nothing does."""
        me, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert me is not None
        count = 0
        while (claim := self._next(loop.time())) is not None:
            if not self._is_looked_after:
                # While this step waits for something, another one runs.
                self._is_looked_after = True
                loop.call_soon(self._begin)
            me.set_name(f"step {claim.target}")
            await self._guarded(claim)
            # Its note may have made a target due sooner than what we are waiting for.
            self._wakeup.ring()
            count += 1
            if count % _BREATH == 0:
                await asyncio.sleep(0)  # steps that wait for nothing would keep all others waiting

    def _next(self, now: float) -> Claim | None:
        """Take the next claim whose step may begin; None: none does, at this time of the loop."""
        while not self._stopping and self._ahead.waiting:
            if not self._may_claim():
                self._wakeup.ring()
                break
            claim, until = self._ahead.take()
            if now < until:
                return claim
            # Its lease could not be renewed, and may be over: not begun, and no fault of its own.
            self._suspects.forget([claim])
            self._returns.owe(claim)
        return None

    async def _guarded(self, claim: Claim) -> None:
        """Run one step; one bad target cannot end the loop. Its lease brings it back."""
        if claim.target in self._at:
            # Its lease could not be renewed, and ran out: the step itself goes on.
            self._returns.owe(claim, forget_lost=True)
            return
        self._at[claim.target] = claim
        try:
            if self._pace.is_too_fast(claim.target):
                await self._pace.slow_down()
            is_poison = self._bury is not None and self._strikes.is_poison(claim)
            await (self._bury if self._bury and is_poison else self._step)(claim, self._clock.now())
            self._complaints.over(claim.target)
            self._strikes.over(claim.target)
        except asyncio.CancelledError:
            if self._stopping:
                # Cut off by a shutdown: whoever comes next need not wait for the lease.
                await self._returns.give_back(claim, timedelta(0))
            raise
        except LeaseLost as exc:
            log.info("step not done", target=claim.target, why=str(exc))
            await self._returns.give_back(claim, AGAIN)
        except Transient as exc:
            self._complaints.say(claim.target, exc)
            await self._returns.give_back(claim, AGAIN)
        except Exception as exc:  # noqa: BLE001 - the boundary: logged, counted, repeated
            self._complaints.say(claim.target, exc, unexpected=True)
            self._strikes.add(claim.target)
            await self._returns.give_back(claim, self._lease, forget_lost=False)
        finally:
            del self._at[claim.target]
            self._suspects.forget([claim])

    def _sure_until(self) -> float:
        """Until when a lease that is asked for now may be relied on, by the loop's clock."""
        sure = _SURE * self._lease.total_seconds()
        return asyncio.get_running_loop().time() + sure

    async def _renew(self) -> None:
        """Hold the leases of all that runs or waits: an engine may take minutes to answer."""
        third = self._lease.total_seconds() / 3
        wait = third
        while True:
            await asyncio.sleep(wait)
            wait = third
            waiting = self._ahead.all()
            held = [*self._at.values(), *waiting]
            if not held:
                return  # begun anew with the next step
            sure_until = self._sure_until()
            try:
                gone = await self._schedule.renew(held, now=self._clock.now(), lease=self._lease)
            except LeaseLost:
                self._drop()  # steps that run will be told when they write
            except Transient as exc:
                log.debug("leases not renewed", number=len(held), error=str(exc))
                wait = RETRY.total_seconds()
            except Exception as exc:  # noqa: BLE001 - the boundary: logged, counted, repeated
                self._complaints.say("leases", exc, unexpected=True)
            else:
                self._complaints.over("leases")
                self._suspects.forget(self._ahead.drop(gone))
                self._ahead.extend(waiting, until=sure_until)
