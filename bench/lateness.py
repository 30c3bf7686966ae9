"""
How late due steps begin: 1, 1,000 and 10,000 due at the same instant, and polling beside it.

    python -m bench.lateness [--quick]

The real worker over a real Redis that syncs every write. A step here only notes when it began, so
that what is measured is the claiming: what a step itself takes is in `bench.decisions`. When it
began is read from the machine's clock, since a loop's own stands still while it is busy.

Beside it stands what no worker can go below on this machine: the bare calls that claim so many.
"""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, perf_counter
from typing import Final

import uvloop
from redis.asyncio import Redis

from app.adapters.clock import LoopClock
from app.adapters.store.codec import from_ms, to_ms_up
from app.adapters.store.keys import Keys
from app.adapters.store.opening import open_store
from app.controller.ahead import MOST_AT_ONCE
from app.controller.telemetry import Telemetry
from app.controller.worker import LEASE, Worker
from app.ports import Claim, Store
from bench import rigs
from bench.figures import Figure, Found, percentile, ratio
from bench.part import alone

_SIZES: Final = (1, 1_000, 10_000)
#: One due step by itself is measured so many times in a round: a percentile needs many.
_TURNS: Final = {1: 20}
#: From writing them down to the instant at which they begin to be due.
_AHEAD: Final = timedelta(milliseconds=500)
#: Steps that fall due one after the other within a second, for who looks once in a second.
_SPREAD: Final = 100
_LOOK: Final = timedelta(seconds=1)
#: As the controller has it once it runs.
_COLLECTED: Final = (10_000, 20, 20)

Step = Callable[[Claim, datetime], Awaitable[None]]
Loop = Callable[[Step], Awaitable[None]]


class _Bench:
    """A store, and the loops that are to run what is due in it."""

    def __init__(self, store: Store, client: Redis) -> None:
        self._store, self._client = store, client
        self._clock = LoopClock()
        self._loop = asyncio.get_running_loop()

    async def late(self, over: Sequence[timedelta], work: Loop) -> list[float]:
        """
        Have one step fall due at each of these times; return how late they began, milliseconds.

        :param work: runs what is due, by the step it is given, until cancelled
        """
        names = {f"host:t{n}": place for n, place in enumerate(over)}
        begin = self._clock.now() + _AHEAD
        due_ms = {name: to_ms_up(begin + place) for name, place in names.items()}
        # The loop's clock counts as the machine's does, and both are read at one instant here.
        off = self._loop.time() - self._clock.now().timestamp()
        due = {name: from_ms(ms).timestamp() + off for name, ms in due_ms.items()}
        late: list[float] = []
        done = asyncio.Event()

        async def step(claim: Claim, _: datetime) -> None:
            late.append((monotonic() - due[claim.target]) * 1000)
            if len(late) == len(due):
                done.set()

        await self._fill(due_ms)
        working = asyncio.ensure_future(work(step))
        try:
            async with asyncio.timeout(60):
                await done.wait()
        finally:
            working.cancel()
            await asyncio.wait({working})
            await self._empty()
        return late

    async def _fill(self, due_ms: dict[str, int]) -> None:
        names = list(due_ms)
        for start in range(0, len(names), 5_000):
            chunk = {name: due_ms[name] for name in names[start : start + 5_000]}
            await self._client.zadd(Keys().due, chunk)

    async def _empty(self) -> None:
        await self._client.delete(Keys().running, Keys().leases, Keys().due)

    async def worker(self, step: Step) -> None:
        """Run what is due as the controller does."""
        await Worker(self._store.schedule, self._clock, step, Telemetry()).run()

    async def polling(self, step: Step) -> None:
        """Run what is due as one does who looks each second."""
        while True:
            now = self._clock.now()
            claimed = await self._store.schedule.claim(now=now, lease=LEASE, limit=MOST_AT_ONCE)
            for claim in claimed.claims:
                await step(claim, now)
            await asyncio.sleep(_LOOK.total_seconds())

    async def floor(self, number: int) -> float:
        """Return what the calls take that claim so many, one after the other, milliseconds."""
        now = self._clock.now()
        await self._fill({f"host:t{n}": to_ms_up(now) - 1 for n in range(number)})
        since = perf_counter()
        left = number
        while left:
            room = min(left, MOST_AT_ONCE)
            left -= len((await self._store.schedule.claim(now=now, lease=LEASE, limit=room)).claims)
        took = (perf_counter() - since) * 1000
        await self._empty()
        return took


async def _found(rounds: int) -> Found:
    found = Found()
    late: dict[int, list[float]] = {size: [] for size in _SIZES}
    floors: dict[int, list[float]] = {size: [] for size in _SIZES}
    polled: list[float] = []
    spread: list[float] = []
    second = [timedelta(seconds=n / _SPREAD) for n in range(_SPREAD)]
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        async with (
            rigs.redis(Path(folder)) as socket,
            open_store(f"unix://{socket}") as store,
        ):
            client: Redis = Redis(unix_socket_path=str(socket))
            try:
                bench = _Bench(store, client)
                gc.collect()
                gc.freeze()
                gc.set_threshold(*_COLLECTED)
                for _ in range(rounds):
                    for size in _SIZES:
                        turns = _TURNS.get(size, 1)
                        values: list[float] = []
                        bare: list[float] = []
                        for _ in range(turns):
                            values += await bench.late([timedelta(0)] * size, bench.worker)
                            bare.append(await bench.floor(size))
                        late[size].append(percentile(values, 0.99))
                        floors[size].append(percentile(bare, 0.99))
                    spread.append(percentile(await bench.late(second, bench.worker), 0.99))
                    polled.append(percentile(await bench.late(second, bench.polling), 0.99))
            finally:
                await client.aclose()
    for size in _SIZES:
        found.take(f"late_p99_ms_{size}", Figure.of(late[size]))
        found.figures[f"late_floor_ms_{size}"] = Figure.of(floors[size])
    found.figures["spread_p99_ms"] = Figure.of(spread)
    found.figures["polling_p99_ms"] = Figure.of(polled)
    found.take("late_vs_polling", ratio(polled, spread))
    return found


async def measure(quick: bool) -> Found:
    """Measure in a loop such as the controller has."""
    # uvloop, as it is shipped; the bench's own loop waits in the meantime.
    return await asyncio.to_thread(uvloop.run, _found(2 if quick else 7))


if __name__ == "__main__":
    alone(measure, __doc__)
