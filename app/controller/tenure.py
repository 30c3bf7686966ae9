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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from app.controller.acquaintance import Acquaintance, Met
from app.controller.bell import Bell
from app.controller.memory import Memory
from app.controller.resumed import Resumed
from app.controller.seat import LOOK, Seat
from app.controller.soundness import Soundness
from app.controller.stillness import Stillness
from app.controller.timekeeper import Odd, Timekeeper
from app.errors import LeaseLost, StoreUnavailable
from app.ports import Candidate, SettableClock, Standing, Store

log: Final = structlog.get_logger("relevo.tenure")

RENEW: Final = timedelta(seconds=5)  # by the leader; others look every `LOOK`
_WAS_EMPTY: Final = "this Redis was empty: a moment, in case another controller knows it"
_BREATH_S: Final = 0.2
#: How long nothing is done after something odd.
HOLD: Final = timedelta(seconds=15)
#: A picture that is known to be incomplete, and cannot be completed, is used after this long.
_PARTIAL_AT_MOST: Final = timedelta(minutes=2)


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
        longest_wait: Callable[[], timedelta],
        is_busy: Callable[[], bool],
        own_server: bool = False,
    ) -> None:
        """
        Begin; nobody leads before `run` has met the store.

        :param life: name of this process, used once
        :param engine: name of the engine, empty while it is not known
        :param pulled_at: when everything was pulled last, by the loop's clock
        :param pull: have everything pulled now
        :param wake: something may be done again
        :param longest_wait: of all policies
        :param is_busy: steps are under way
        :param own_server: the store is a child of ours, another process at every start
        """
        self._leadership = store.leadership
        self._seat = Seat(life=life, engine=engine)
        #: What is remembered outside of the store.
        self.memory = memory
        self._clock = clock
        self._time = Timekeeper(clock, longest_wait=longest_wait, heed=self._heed)
        self._known = Acquaintance(store, memory, clock)
        self._engine = engine
        self._pull, self._wake = pull, wake
        self._stillness = Stillness(pulled_at=pulled_at, is_busy=is_busy, wake=wake)
        self._own_server, self._life, self.fence = own_server, life, self._seat.fence
        self._loop = asyncio.get_running_loop()
        self._me: Candidate | None = None
        #: Somebody has found the store to be another one than it was.
        self._doubted = Bell()
        store.leadership.on_doubt(self._doubted.ring)
        self._down: str | None = "the store has not answered yet"
        self._soundness, self._resumed = Soundness(store.health), Resumed(store.controls)

    @property
    def may_claim(self) -> bool:
        """Whether steps may be begun."""
        self._time.mind(leads=self._seat.is_ours)
        return self.leads and not self._doubts()

    @property
    def may_write(self) -> bool:
        """
        Whether anything may be written: into a store that is known, and ours.

        Who follows has the leader's time first: by another, what he takes on would be late.
        """
        return self._seat.is_settled and not self._seat.foreign

    @property
    def accepts(self) -> bool:
        """Whether alerts may be taken on: not into a store that is not known, or not ours."""
        # Now, and not with the next beat: what waited in a socket while the host slept is old.
        self._time.mind(leads=self._seat.is_ours)
        return self.may_write and (self._stillness.why is None or not self._stillness.is_lost)

    def not_after(self) -> float:
        """
        Tell until when (of the loop's clock) an action may be begun.

        :raises LeaseLost: none may
        """
        if not self.may_claim:
            raise LeaseLost("; ".join(self.view().trouble) or "another controller leads")
        return self._seat.ours_until or 0.0

    def view(self) -> TenureView:
        """Tell who acts, and why it is not us."""
        last = self._seat.last
        role: Literal["leading", "following", "waiting"]
        role = "waiting" if last is None else "leading" if self.leads else "following"
        doubts = self._doubts()
        return TenureView(
            role=role,
            trouble=doubts or self._seat.whose,
            is_ready=self.accepts and not (self.leads and doubts),
            term=last.term if last is not None else 0,
        )

    def resume(self) -> None:
        """End the hold: a person has looked."""
        self._stillness.end()

    def hold(self, why: str, span: timedelta = HOLD) -> None:
        """Have nothing done for a while, and then by a new picture."""
        self._stillness.hold(why, span, pull_first=True, at_most=span + _PARTIAL_AT_MOST)
        self._pull()

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
            is_steady = self._seat.is_ours and self._down is None and self._stillness.why is None
            wait_s = (RENEW if is_steady else LOOK).total_seconds()
            soonest = self._loop.time() + _BREATH_S
            ends = self._loop.call_later(wait_s, self._doubted.ring)
            await self._doubted.rung()
            ends.cancel()
            # Not sooner than this, whatever is in doubt: the store is asked, not hammered.
            await asyncio.sleep(soonest - self._loop.time())
            self._doubted.hush()

    async def beat(self) -> None:
        """
        Renew the seat, or look whether it is free.

        :raises StoreUnavailable:
        """
        self._time.mind(leads=self._seat.is_ours)
        if self._me is None:
            self._me = Candidate(instance=await self.memory.instance(), life=self._life)
            self._leadership.act_as(self._me)
        if self._seat.last is None:
            self._take_in(await self._known.meet())
        if self._down is not None or self._soundness.is_old:
            await self._soundness.ask()
        is_held = self._stillness.why is not None
        if self._resumed.matters(is_held=is_held) and await self._resumed.since_it_began():
            self.resume()
        # Before it is sent: others hear of newer marks while this is under way.
        sent_at, mark = self._loop.time(), self._leadership.heard
        deserted = self._seat.deserted(sent_at)
        standing = await self._leadership.lead(
            self._me, now=self._clock.now(), engine=self._engine(), deserted=deserted
        )
        self._down = None
        lost: Met | None = None
        if not self._known.recognizes(standing, known=mark):
            lost = await self._known.compare(standing, known=mark)
        before = self._seat.last
        if before is not None and not self._own_server and standing.run_id != before.run_id:
            self.hold("Redis was restarted")
        begins = standing.life == self._life and not self.leads and not self._seat.was_alive
        if lost is None and self._time.gives_up(standing.told_at, begins=begins):
            self._time.go_back()
            lost = await self._known.begin_anew(standing, "was told a time that is far ahead")
        if lost is not None:
            self._take_in(lost)
            return
        seen_at = self._loop.time()
        self._see(standing, sent_at, seen_at)
        if self._known.has_news(seen_at):
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

    @property
    def leads(self) -> bool:
        """Whether the seat is ours, be there doubts or not."""
        return self._seat.is_ours

    @property
    def speaks(self) -> bool:
        """Whether it is us who tell others: the leader whose seat is renewed."""
        return self._loop.time() <= (self._seat.ours_until or 0.0)

    def _doubts(self) -> tuple[str, ...]:
        """Say what forbids us to act whoever leads."""
        found = [] if self._down is None else [self._down]
        found += self._soundness.faults
        if self.leads and not self.speaks:
            found.append("the seat of the leader could not be renewed")
        if self._stillness.why is not None:
            found.append(self._stillness.why)
        found += self._seat.foreign
        return tuple(found)

    def _take_in(self, met: Met) -> None:
        """Take in a store that we see for the first time, or that has lost its memory."""
        self._seat.found(met.standing, self._loop.time())
        if met.lost is None:
            if met.is_first and not self._own_server:
                self._stillness.hold(_WAS_EMPTY, HOLD)
            return
        self._lose(f"Redis {met.lost}: nothing is done until everything has been pulled anew")

    def _lose(self, why: str) -> None:
        self._stillness.lose(why, HOLD)
        self._pull()

    def _see(self, standing: Standing, sent_at: float, seen_at: float) -> None:
        """Take in whose seat it is."""
        led = self._seat.is_ours
        is_alive = self._seat.see(standing, sent_at, seen_at)
        if self._seat.is_ours:
            if not led:
                self._time.begin(standing.told_at)
                log.info("leading", term=standing.term)
                self._pull()
                self._wake()
            return
        if led:
            log.warning("no longer leading", term=standing.term, leader=standing.instance)
        # What was told is as old as the renewal, which between two looks is not old.
        if is_alive:
            self._time.follow(standing.told_at)

    def _heed(self, odd: Odd) -> None:
        if odd.slept:
            self._lose(odd.why)
        else:
            self.hold(odd.why, max(odd.span, HOLD))

    def _say_down(self, why: str) -> None:
        if self._down != why:
            log.warning("not acting while the store cannot be asked", error=why)
        self._down = why
