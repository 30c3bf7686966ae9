"""What the simulator needs of a store, and the one in memory."""

import copy
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from app.errors import StoreUnavailable
from app.ports import Claimed, Store
from tests.memory_leadership import MemoryLeadership
from tests.memory_store import MemoryStore, make_view
from tests.sim.loop import VirtualLoop
from tests.sim.weather import Failed, Wire


class Backend(Protocol):
    """One store that all controllers share."""

    wire: Wire

    async def view(self) -> Store:
        """The store as a new controller process reaches it."""
        ...

    async def truth(self) -> Store:
        """The store as it is, for the checker: never out of reach."""
        ...

    def snapshot(self) -> object:
        """Keep a copy of everything."""
        ...

    def restore(self, snapshot: object) -> None:
        """Be what it was."""
        ...

    def empty(self) -> None:
        """Forget everything."""
        ...

    def restart(self) -> None:
        """Be another server process, with all data."""
        ...

    def close(self) -> None:
        """End."""
        ...


class MemoryBackend:
    """`tests.memory_store`, shared; faults come between."""

    def __init__(self, wire: Wire, _loop: VirtualLoop) -> None:
        self.wire = wire
        self._memory = MemoryStore()
        self._lives = 0
        #: The memory as it is now; asked for with every call.
        self._now: Callable[[], MemoryStore] = partial(attrgetter("_memory"), self)

    async def view(self) -> Store:
        store = make_view(self._now)
        once = _ClaimOnce(lambda: self._memory._leases)
        parts = {
            one.name: _Faulty(getattr(store, one.name), self.wire, once) for one in fields(store)
        }
        return Store(**parts)

    async def truth(self) -> Store:
        return make_view(self._now)

    def snapshot(self) -> object:
        return copy.deepcopy(self._memory)

    def restore(self, snapshot: object) -> None:
        run_id = self._memory.seat.run_id
        self._memory = copy.deepcopy(snapshot)  # type: ignore[assignment]
        self._memory.seat.run_id = run_id

    def empty(self) -> None:
        run_id = self._memory.seat.run_id
        self._memory = MemoryStore()
        self._memory.seat.run_id = run_id

    def restart(self) -> None:
        self._lives += 1
        self._memory.seat.run_id = f"in-memory-{self._lives}"

    def close(self) -> None:
        """Nothing to close."""


class _ClaimOnce:
    """What ``lua/claim.lua`` remembers: a call whose answer was lost is answered the same."""

    def __init__(self, leases: Callable[[], dict[str, int]]) -> None:
        self._leases = leases
        self.unheard: list[Any] = []

    def has_suspect(self) -> bool:
        """Tell whether one of those that will be given out again has to run alone."""
        leases = self._leases()
        return any(one.lost and leases.get(one.target) == one.fence for one in self.unheard)

    def add(self, claimed: Claimed) -> Claimed:
        """Give out again what was never heard of."""
        if not self.unheard:
            return claimed
        leases = self._leases()
        again = tuple(one for one in self.unheard if leases.get(one.target) == one.fence)
        self.unheard.clear()
        known = {one.target for one in claimed.claims}
        return Claimed(
            claims=(*(one for one in again if one.target not in known), *claimed.claims),
            next_due=claimed.next_due,
        )


class _Faulty:
    """A part of the store behind the wire."""

    def __init__(self, part: Any, wire: Wire, once: _ClaimOnce) -> None:
        self._part = part
        self._wire = wire
        self._once = once

    #: As of `tests.sim.process.Port`.
    heard = property(attrgetter("_part.heard"))

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._part, method)
        if isinstance(self._part, MemoryLeadership) and not inspect.iscoroutinefunction(found):
            if inspect.ismethod(found):
                setattr(self, method, found)
            return found  # of what the process itself believes
        wire = self._wire
        through = self._claim if method == "claim" else wire.carry

        async def carried(args: Any, more: Any) -> Any:
            try:
                return await through(partial(found, *args, **more))
            except Failed as exc:
                raise StoreUnavailable(f"Redis: {exc.word}") from exc

        def call(*args: Any, **more: Any) -> Any:
            if wire.weather.is_fair:
                return found(*args, **more)  # as `carry` does then, for less
            return carried(args, more)

        def claim(*args: Any, **more: Any) -> Any:
            return carried(args, more)

        answers = claim if method == "claim" else call
        answers.is_awaited = True  # type: ignore[attr-defined]
        setattr(self, method, answers)
        return answers

    async def _claim(self, apply: Callable[..., Awaitable[Claimed]]) -> Claimed:
        heard: list[Claimed] = []

        async def claim() -> Claimed:
            if self._once.has_suspect():
                claimed = await partial(apply, has_suspect=True)()
            else:
                claimed = await apply()
            claimed = self._once.add(claimed)
            self._once.unheard.extend(claimed.claims)
            heard.append(claimed)
            return claimed

        answer: Claimed = await self._wire.carry(claim)
        self._once.unheard.clear()
        return answer
