"""
Who acts, on which store: the seat of the leader, and holding still where that is in doubt.

Any controller accepts alerts; the one that has the seat acts. A seat that its holder does not
renew passes on after a while that each measures by its own monotonic clock, so that no two
machines' clocks are compared. Those who follow set their clock by the leader's: one time for all.

A store that was emptied, or is an older copy of itself, is noticed by the counter that every
write leaves a mark in (see ``lua/frame.lua``) and that we remember outside of it: nothing is done
until everything has been pulled anew and a while has passed.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from app.controller.acquaintance import Acquaintance, Met
from app.controller.memory import Memory
from app.controller.seat import LOOK, Seat
from app.controller.soundness import Soundness
from app.controller.stillness import Stillness
from app.errors import LeaseLost, StoreUnavailable
from app.ports import Candidate, SettableClock, Standing, Store

log: Final = structlog.get_logger("relevo.tenure")

#: How often the leader renews.
RENEW: Final = timedelta(seconds=5)
_BREATH: Final = timedelta(milliseconds=200)
#: How long nothing is done after something odd.
HOLD: Final = timedelta(seconds=15)
#: The leader's clock and ours differ by the time between two looks anyway.
_CLOSE: Final = timedelta(seconds=2)
#: A picture that is known to be incomplete, and cannot be completed, is used after this long.
_PARTIAL_AT_MOST: Final = timedelta(minutes=2)
_SUSPENDED: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenureView:
    """Who acts, and why it is not us."""

    #: ``leading``, ``following``, or ``waiting`` for the store.
    role: Literal["leading", "following", "waiting"]
    #: Why nothing is done at the moment, a sentence each; empty for a leader that acts.
    trouble: tuple[str, ...]
    #: Alerts are taken on, and acted on by whoever leads.
    is_ready: bool
    #: Which one since the beginning the present tenure is; 0 while it is not known.
    term: int


class Tenure:
    """See the module."""

    def __init__(
        self,
        store: Store,
        memory: Memory,
        clock: SettableClock,
        *,
        life: str,
        engine: Callable[[], str],
        pulled_at: Callable[[], float | None],
        pull: Callable[[], None],
        wake: Callable[[], None],
        own_server: bool = False,
    ) -> None:
        """
        Begin; nobody leads before `run` has met the store.

        :param life: name of this process, used once
        :param engine: name of the engine, empty while it is not known
        :param pulled_at: when everything was pulled last, by the loop's clock
        :param pull: have everything pulled now
        :param wake: something may be done again
        :param own_server: the store is a child of ours, another process at every start
        """
        self._leadership = store.leadership
        self._seat = Seat(life=life)
        self._memory = memory
        self._clock = clock
        self._known = Acquaintance(store, memory, clock, life=life)
        self._engine = engine
        self._pull, self._wake = pull, wake
        self._stillness = Stillness(pulled_at=pulled_at, wake=wake)
        self._own_server, self._life = own_server, life
        self._loop = asyncio.get_running_loop()
        self._me: Candidate | None = None
        #: Somebody has found the store to be another one than it was.
        self._doubted = asyncio.Event()
        store.leadership.on_doubt(self._doubted.set)
        self._down: str | None = "the store has not answered yet"
        self._soundness = Soundness(store.health)

    # ------------------------------------------------------------------ what others ask

    @property
    def may_claim(self) -> bool:
        """Whether steps may be begun."""
        return self.leads and not self._doubts()

    @property
    def accepts(self) -> bool:
        """Whether alerts may be taken on: not into a store that is not known, or not ours."""
        if self._seat.last is None or self._foreign():
            return False
        return self._stillness.why is None or not self._stillness.is_lost

    def not_after(self) -> float:
        """
        Tell until when (of the loop's clock) an action may be begun.

        :raises LeaseLost: none may
        """
        if not self.may_claim:
            raise LeaseLost("; ".join(self.view().trouble) or "another controller leads")
        until = self._seat.ours_until
        assert until is not None
        return until

    @property
    def memento_trouble(self) -> str | None:
        """Why an older store would not be known after a restart; None: it would."""
        return self._memory.trouble

    def view(self) -> TenureView:
        """Tell who acts, and why it is not us."""
        last = self._seat.last
        role: Literal["leading", "following", "waiting"]
        role = "waiting" if last is None else "leading" if self.leads else "following"
        return TenureView(
            role=role,
            trouble=self._doubts() or self._whose(),
            is_ready=self.accepts and not (self.leads and self._doubts()),
            term=last.term if last is not None else 0,
        )

    def resume(self) -> None:
        """End the hold: a person has looked."""
        self._stillness.end()

    def hold(self, why: str, span: timedelta = HOLD) -> None:
        """Have nothing done for a while."""
        self._stillness.hold(why, span)

    def distrust(self, why: str) -> None:
        """Have nothing done until everything has been pulled, or that has failed for a while."""
        self._stillness.hold(why, timedelta(0), pull_first=True, at_most=_PARTIAL_AT_MOST)
        self._pull()

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Keep or seek the seat until cancelled."""
        while True:
            try:
                await self.beat()
            except StoreUnavailable as exc:
                self._say_down(str(exc))
            except Exception as exc:
                # The boundary: a controller that cannot keep its seat must at least say so.
                log.error("tenure", exc_info=exc)
                self._say_down(f"{type(exc).__name__}: {exc}")
            is_steady = self.leads and self._down is None and self._stillness.why is None
            wait = RENEW if is_steady else LOOK
            await self._sleep(wait)

    async def _sleep(self, wait: timedelta) -> None:
        # Not sooner than this, whatever is in doubt: the store is asked, not hammered.
        await asyncio.sleep(_BREATH.total_seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((wait - _BREATH).total_seconds()):
                await self._doubted.wait()
        self._doubted.clear()

    async def beat(self) -> None:
        """
        Renew the seat, or look whether it is free.

        :raises StoreUnavailable:
        """
        self._mind_the_clock()
        if self._me is None:
            self._me = Candidate(instance=await self._memory.instance(), life=self._life)
            self._leadership.act_as(self._me)
        if self._seat.last is None:
            self._take_in(await self._known.meet())
        await self._soundness.ask(anew=self._down is not None)
        # Before it is sent: others hear of newer marks while this is under way.
        sent_at, mark = self._loop.time(), self._leadership.heard
        deserted = self._seat.deserted(sent_at)
        standing = await self._leadership.lead(
            self._me, now=self._clock.now(), engine=self._engine(), deserted=deserted
        )
        self._down = None
        met = await self._known.compare(standing, known=mark)
        self._mind_the_server(standing)
        if met.lost is not None:
            self._take_in(met)
            return
        self._see(standing, sent_at)
        await self._known.keep()

    async def resign(self) -> None:
        """Leave the seat; whoever follows may take it at once. Nothing is claimed after this."""
        self._seat.leave()
        if self._me is None:
            return
        try:
            await self._leadership.resign(self._me)
        except StoreUnavailable as exc:
            log.warning("seat not left, it passes on after a while", error=str(exc))

    # ------------------------------------------------------------------ its parts

    @property
    def leads(self) -> bool:
        """Whether the seat is ours, be there doubts or not."""
        return self._seat.is_ours

    def _doubts(self) -> tuple[str, ...]:
        """Say what forbids us to act whoever leads."""
        found = [] if self._down is None else [self._down]
        found += self._soundness.faults
        until = self._seat.ours_until
        if self.leads and (until is None or self._loop.time() > until):
            found.append("the seat of the leader could not be renewed")
        if self._stillness.why is not None:
            found.append(self._stillness.why)
        found += self._foreign()
        return tuple(found)

    def _take_in(self, met: Met) -> None:
        """Take in a store that we see for the first time, or that has lost its memory."""
        self._seat.found(met.standing, self._loop.time())
        if met.lost is None:
            return
        self._stillness.lose(
            f"Redis {met.lost}: nothing is done until everything has been pulled anew",
            HOLD,
        )
        self._pull()

    def _see(self, standing: Standing, sent_at: float) -> None:
        """Take in whose seat it is."""
        led = self.leads
        is_alive = self._seat.see(standing, sent_at)
        if self.leads:
            if not led:
                log.info("leading", term=standing.term)
                self._wake()
            return
        if led:
            log.warning("no longer leading", term=standing.term, leader=standing.instance)
        told_at = standing.told_at
        # What was told is as old as the renewal, which between two looks is not old.
        if is_alive and told_at is not None and abs(told_at - self._clock.now()) > _CLOSE:
            self._clock.set_to(told_at)

    def _mind_the_server(self, standing: Standing) -> None:
        last = self._seat.last
        if last is not None and not self._own_server and standing.run_id != last.run_id:
            self.hold("Redis was restarted")

    def _mind_the_clock(self) -> None:
        slept = self._clock.slept()
        if slept > _SUSPENDED:
            self._clock.set_to(self._clock.now() + slept)
            self.hold(f"this host was suspended for {slept.total_seconds():.0f} s")

    def _foreign(self) -> tuple[str, ...]:
        last, engine = self._seat.last, self._engine()
        if last is None or not engine or last.engine in ("", engine):
            return ()
        return (
            f"this Redis belongs to the engine {last.engine!r} and this is {engine!r}: "
            "give each engine a Redis of its own (RELEVO_REDIS_URL)",
        )

    def _whose(self) -> tuple[str, ...]:
        if self.leads:
            return ()
        last = self._seat.last
        if last is None or not last.instance:
            return ("nobody has the seat of the leader yet",)
        return (f"another controller leads ({last.instance}); this one stands by",)

    def _say_down(self, why: str) -> None:
        if self._down != why:
            log.warning("not acting while the store cannot be asked", error=why)
        self._down = why
