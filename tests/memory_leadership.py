"""The seat of the leader and the store's history, in memory; and the frame around what writes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from operator import attrgetter
from typing import Any

from app.adapters.store.codec import from_ms, to_ms
from app.domain.control import Halt
from app.errors import LeaseLost, StoreRegressed
from app.ports import Candidate, Claimed, Restored, Standing


@dataclass
class Seat:
    """Who leads, and which history this is: part of the store's state."""

    epoch: str = ""
    counter: int = 0
    instance: str = ""
    life: str = ""
    term: int = 0
    beat: int = 0
    told_at: int | None = None
    engine: str = ""
    #: Whose engine it is: the instance that told its name.
    engine_of: str = ""
    run_id: str = "in-memory"
    begun_at: int | None = None
    #: How it was when somebody looked last, and what he was told.
    seen: tuple[object, Standing | None] = field(default=(None, None), compare=False, repr=False)

    def next(self) -> int:
        """Count one write."""
        self.counter += 1
        return self.counter


@dataclass
class Bearings:
    """What one controller believes of the store: as `app.adapters.store.client.Line` keeps it."""

    epoch: str = ""
    heard: int = 0
    life: str = ""
    doubt: Callable[[], None] = lambda: None


class MemoryLeadership:
    """
    See `app.ports.Leadership`.

    :param take_over: ends all leases of targets
    :param look_again: makes due, at this time, what is due later
    :param charges: attempt -> when it was charged, ms
    :param restore: takes back pause and holds that are not known
    """

    def __init__(
        self,
        seat: Callable[[], Seat],
        bearings: Bearings,
        *,
        take_over: Callable[[int], None],
        look_again: Callable[[int], None],
        charges: Callable[[], dict[str, int]],
        restore: Callable[[Halt | None, Mapping[str, Halt]], None],
    ) -> None:
        self._seat_of = seat
        self._bearings = bearings
        self._take_over = take_over
        self._look_again = look_again
        self._charges = charges
        self._restore = restore

    async def look(self) -> Standing:
        """See `app.ports.Leadership`."""
        return self._look(self._seat_of())

    def _look(self, seat: Seat) -> Standing:
        # Whoever follows looks every second, and what he sees changes far more seldom.
        standing: Standing | None
        *state, (known, standing) = seat.__dict__.values()
        if standing is None or known != state:
            told_at, begun_at = seat.told_at, seat.begun_at
            standing = Standing(
                epoch=seat.epoch,
                fence=seat.counter,
                instance=seat.instance,
                life=seat.life,
                term=seat.term,
                beat=seat.beat,
                told_at=None if told_at is None else from_ms(told_at),
                engine=seat.engine,
                run_id=seat.run_id,
                begun_at=None if begun_at is None else from_ms(begun_at),
            )
            seat.seen = (state, standing)
        return standing

    async def lead(
        self, me: Candidate, *, now: datetime, engine: str, deserted: Standing | None = None
    ) -> Standing:
        """See `app.ports.Leadership`."""
        seat = self._seat_of()
        is_other_engine = bool(seat.engine and seat.engine != engine)
        if not seat.epoch or (is_other_engine and seat.engine_of != me.instance):
            return self._look(seat)
        if seat.life != me.life:
            is_deserted = deserted is not None and (deserted.term, deserted.beat) == (
                seat.term,
                seat.beat,
            )
            if seat.instance not in ("", me.instance) and not is_deserted:
                return self._look(seat)
            seat.next()
            seat.instance, seat.life = me.instance, me.life
            seat.term += 1
            self._take_over(to_ms(now))
        seat.beat += 1
        seat.told_at = max(to_ms(now), seat.told_at or to_ms(now))
        if engine:
            seat.engine, seat.engine_of = engine, me.instance
        return self._look(seat)

    async def found(
        self,
        epoch: str,
        *,
        now: datetime,
        instead_of: str,
        is_lost: bool = True,
        restored: Restored | None = None,
    ) -> Standing:
        """See `app.ports.Leadership`."""
        seat = self._seat_of()
        if seat.epoch not in (epoch, instead_of):
            return self._look(seat)
        if seat.epoch != epoch:
            seat.epoch, seat.told_at = epoch, to_ms(now)
            seat.begun_at = to_ms(now) if is_lost else seat.begun_at
            for attempt, charged_ms in self._charges().items():
                self._charges()[attempt] = min(charged_ms, to_ms(now))
            self._look_again(to_ms(now))
        if restored is not None:
            seat.counter = max(seat.counter, restored.fence)
            for attempt, at in restored.charges.items():
                self._charges().setdefault(attempt, to_ms(at))
            self._restore(restored.pause, restored.holds)
        return self._look(seat)

    async def resign(self, me: Candidate) -> None:
        """See `app.ports.Leadership`."""
        seat = self._seat_of()
        if seat.life == me.life:
            seat.instance = seat.life = ""

    def trust(self, epoch: str, fence: int) -> None:
        """See `app.ports.Leadership`."""
        self._bearings.epoch, self._bearings.heard = epoch, fence

    def act_as(self, me: Candidate | None) -> None:
        """See `app.ports.Leadership`."""
        self._bearings.life = "" if me is None else me.life

    def hear(self, fence: int) -> None:
        """See `app.ports.Leadership`."""
        self._bearings.heard = max(self._bearings.heard, fence)

    def on_doubt(self, call: Callable[[], None]) -> None:
        """See `app.ports.Leadership`."""
        self._bearings.doubt = call

    #: See `app.ports.Leadership`. Asked with every beat, of which a simulation has millions.
    heard = property(attrgetter("_bearings.heard"))

    async def charges(self, *, since: datetime) -> Sequence[tuple[str, datetime]]:
        """See `app.ports.Leadership`."""
        oldest_ms = to_ms(since)
        found = sorted((at, attempt) for attempt, at in self._charges().items() if at > oldest_ms)
        return [(attempt, from_ms(at)) for at, attempt in found]


class Framed:
    """A part of the store within the frame: as ``lua/frame.lua`` is around every script."""

    def __init__(
        self,
        part: object,
        seat: Callable[[], Seat],
        bearings: Bearings,
        *,
        writes: Sequence[str] = (),
        leads: Sequence[str] = (),
        reads: Sequence[str] = (),
    ) -> None:
        self._part = part
        for name in (*writes, *leads, *reads):
            framed = _framed(
                getattr(part, name), seat, bearings, leads=name in leads, writes=name not in reads
            )
            setattr(self, name, framed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def _framed(
    method: Callable[..., Awaitable[Any]],
    seat_of: Callable[[], Seat],
    bearings: Bearings,
    *,
    leads: bool,
    writes: bool,
) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def call(*args: Any, **more: Any) -> Any:
        seat = seat_of()
        if bearings.epoch:
            if seat.epoch != bearings.epoch:
                bearings.doubt()
                raise StoreRegressed("it has another history")
            if seat.counter < bearings.heard:
                bearings.doubt()
                raise StoreRegressed("it is older than it was")
        if leads and bearings.life and seat.life != bearings.life:
            raise LeaseLost("another controller leads now")
        has_written, before = writes, seat.counter
        try:
            answer = await method(*args, **more)
            if isinstance(answer, Claimed) and seat.counter == before:
                has_written = False
            return answer
        finally:
            # A refusal too: the script has run to its end.
            if has_written:
                seat.next()
            bearings.heard = max(bearings.heard, seat.counter)

    return call
