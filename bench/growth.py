"""
How cost grows: windows, claims, alerts and decisions, from few to very many.

    python -m bench.growth [--quick]

Real Redis, real scripts, over a unix socket. What Redis does is timed by Redis itself (its own
count of time spent in commands), so that neither the socket nor a busy client is measured.
"""

import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Final

from redis.asyncio import Redis

from app.adapters.store.codec import to_ms
from app.adapters.store.keys import Keys
from app.adapters.store.opening import open_store
from app.domain.target import TargetId
from app.policies.roster import Roster
from app.ports import Notice, Schedule, Store
from bench import decisions, rigs
from bench.figures import Figure, Found, ratio
from bench.part import alone
from tests.builders import listed

_NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
_WINDOWS: Final = (3, 1_000, 100_000)
_PENDING: Final = (10, 1_000, 100_000, 1_000_000)
_TARGETS: Final = (10, 1_000, 100_000)
#: Of all targets so many take a step in each round.
_STEPPED: Final = 500
#: On one engine. The store knows of more: those that were there within a month.
_CONTAINERS: Final = 1_000
_LEASE: Final = timedelta(minutes=10)


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Store, Redis]]:
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        async with (
            rigs.redis(Path(folder), fsync="everysec") as socket,
            open_store(f"unix://{socket}") as store,
        ):
            client: Redis = Redis(unix_socket_path=str(socket))
            try:
                yield store, client
            finally:
                await client.aclose()


async def _spent_us(
    client: Redis, work: Callable[[], Awaitable[object]], commands: tuple[str, ...]
) -> float:
    """Microseconds that Redis says it has spent in these commands meanwhile."""
    await client.config_resetstat()
    await work()
    stats = await client.info("commandstats")
    return float(
        sum(stats[f"cmdstat_{one}"]["usec"] for one in commands if f"cmdstat_{one}" in stats)
    )


async def windows(found: Found, sizes: tuple[int, ...], rounds: int) -> None:
    """Count in a window: by itself, and as a step does it."""
    async with _opened() as (store, client):
        keys = Keys()
        for size in sizes:
            members = [(f"a{n}", to_ms(_NOW) - n % 3_000_000) for n in range(size)]
            for start in range(0, size, 5000):
                chunk = dict(members[start : start + 5000])
                await client.zadd(keys.failures(f"host:w{size}"), chunk)
        costs: dict[int, list[float]] = {size: [] for size in sizes}
        reads: dict[int, list[float]] = {size: [] for size in sizes}
        hour = timedelta(hours=1)
        for _ in range(rounds):
            for size in sizes:

                async def ask(target: str = f"host:w{size}") -> None:
                    for _ in range(200):
                        await store.failures.count(target, now=_NOW, window=hour)

                async def read(target: str = f"host:w{size}") -> None:
                    for _ in range(200):
                        await store.records.read(
                            target, group=target, now=_NOW, window=hour, brake_window=hour
                        )

                costs[size].append(await _spent_us(client, ask, ("zcount",)) / 200)
                reads[size].append(await _spent_us(client, read, ("evalsha", "eval")) / 200)
    for size in sizes:
        found.figures[f"window_{size}_us"] = Figure.of(costs[size])
        found.figures[f"window_{size}_with_its_target_us"] = Figure.of(reads[size])
    found.take("window_us", Figure.of(costs[sizes[-1]]))
    # The count is never made alone: it is a part of the call that reads all of a target.
    found.take("window_growth", ratio(reads[sizes[-1]], reads[sizes[0]]))


async def claims(found: Found, sizes: tuple[int, ...], rounds: int) -> None:
    """Claim 256 due ones while so many are pending later, each number beside the others in turn."""
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-bench-"))
        socket = await stack.enter_async_context(rigs.redis(Path(folder), fsync="everysec"))
        client: Redis = Redis(unix_socket_path=str(socket))
        stack.push_async_callback(client.aclose)
        stores: dict[int, tuple[Store, Keys]] = {}
        for size in sizes:
            store = await stack.enter_async_context(
                open_store(f"unix://{socket}", namespace=f"{size}:")
            )
            stores[size] = store, Keys(f"{size}:")
            for start in range(0, size, 10_000):
                later = to_ms(_NOW) + 10**9
                names = range(start, min(start + 10_000, size))
                await client.zadd(stores[size][1].due, {f"host:p{n}": later + n for n in names})
        for turn in range(rounds + 1):
            for size, (store, keys) in stores.items():
                due = {f"host:d{turn}-{n}": to_ms(_NOW) - 1 for n in range(256)}
                await client.zadd(keys.due, due)

                async def claim(schedule: Schedule = store.schedule) -> None:
                    await schedule.claim(now=_NOW, lease=_LEASE, limit=256)

                costs[size].append(await _spent_us(client, claim, ("evalsha", "eval")) / 256)
                await client.delete(keys.running, keys.leases)
    for size in sizes:
        costs[size].pop(0)  # its first call loads the script
        found.figures[f"claim_{size}_us"] = Figure.of(costs[size])
    found.take("claim_us", Figure.of(costs[sizes[-1]]))
    found.take("claim_growth", ratio(costs[sizes[-1]], costs[sizes[0]]))


async def _alerts(found: Found, sizes: tuple[int, ...], rounds: int) -> None:
    """Keep an alert, with so many targets known: the store's part, and finding whose it is."""
    kept: dict[int, list[float]] = {}
    whose: dict[int, list[float]] = {}
    for size in sizes:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        listing = tuple(
            listed(f"shop-web-{n}", n, labels=decisions.compose_labels(n))
            for n in range(1, size + 1)
        )
        roster = Roster("host1", listing, prefix="relevo")
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        if size == sizes[-1]:
            found.goals["growth_target_kb"] = used / size / 1000
        alerts = [decisions.alert_of(1 + n * (size - 1) // 500, _NOW) for n in range(500)]
        kept[size], whose[size] = [], []
        async with _opened() as (store, client):
            targets = [str(TargetId("host1", f"shop-web-{n}")) for n in range(1, size + 1)]
            for start in range(0, size, 10_000):
                later = to_ms(_NOW) + 10**9
                await client.zadd(Keys().due, dict.fromkeys(targets[start : start + 10_000], later))
            for turn in range(rounds):
                since = process_time()
                for one in alerts:
                    roster.resolve(one.labels, target_labels=("name",))
                whose[size].append((process_time() - since) * 1e6 / len(alerts))
                at = _NOW + timedelta(seconds=turn)
                notices = [
                    Notice(target=f"host1:shop-web-{n}", alert=one) for n, one in enumerate(alerts)
                ]

                async def accept(notices: list[Notice] = notices, at: datetime = at) -> None:
                    await store.inbox.accept(notices, (), now=at)

                kept[size].append(
                    await _spent_us(client, accept, ("evalsha", "eval")) / len(alerts)
                )
    both = {
        size: [a + b for a, b in zip(sorted(kept[size]), sorted(whose[size]), strict=True)]
        for size in sizes
    }
    for size in sizes:
        found.figures[f"alert_{size}_targets_us"] = Figure.of(both[size])
        found.figures[f"alert_{size}_targets_kept_us"] = Figure.of(kept[size])
        found.figures[f"alert_{size}_targets_whose_us"] = Figure.of(whose[size])
    found.take("growth_alert", ratio(both[sizes[-1]], both[sizes[0]]))


async def _decisions(found: Found, sizes: tuple[int, ...], rounds: int) -> None:
    """Decide, with so many targets known; an engine has a thousand containers at most."""
    costs = {}
    await decisions.measure(targets=10, rounds=rounds)  # nothing is opened for the first time
    for size in sizes:
        told = await decisions.measure(
            targets=size,
            # Of a few each round is short.
            rounds=rounds * max(1, _STEPPED // 5 // size),
            stepped=min(size, _STEPPED),
            containers=min(size, _CONTAINERS),
        )
        costs[size] = told["cpu_ms"]
        found.figures[f"decision_{size}_targets_ms"] = told["cpu_ms"]
        found.figures[f"decision_{size}_targets_wall_ms"] = told["wall_ms"]
    found.goals["growth_decision"] = costs[sizes[-1]] / costs[sizes[0]]


async def _crowded(found: Found) -> None:
    """Decide on an engine with ten times as many: its listing is read whole, once a second."""
    told = await decisions.measure(targets=10 * _CONTAINERS, rounds=3, stepped=_STEPPED // 5)
    found.figures[f"decision_{10 * _CONTAINERS}_containers_ms"] = told["cpu_ms"]


async def measure(quick: bool) -> Found:
    """Measure all four; ``quick`` leaves out the largest."""
    found = Found()
    rounds = 5 if quick else 11
    await windows(found, _WINDOWS, rounds)
    await claims(found, _PENDING[:3] if quick else _PENDING, rounds)
    await _alerts(found, _TARGETS[:2] if quick else _TARGETS, rounds)
    await _decisions(found, _TARGETS[:2] if quick else _TARGETS, 5)
    if not quick:
        await _crowded(found)
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
