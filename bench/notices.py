"""
What taking on a notice costs this process: alone, 64 in a body, and beside a raw script call.

    python -m bench.notices [--rounds 9]

In one process, without HTTP: reading the body, finding whose each alert is, keeping it in a real
Redis. CPU time, so that neither the disk nor a busy machine is measured; all three take turns, and
of each the least is told, since whatever else runs here only adds to it.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Final

from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.adapters.clock import LoopClock
from app.adapters.store import open_store
from app.api.webhooks import _parsed
from bench import raw_script, rigs
from bench.decisions import compose_labels
from bench.load import ALERT
from tests.builders import container
from tests.controller.house import House, build
from tests.fakes import FakeEngine

#: Containers that the alerts are about.
_TARGETS: Final = 20
_BODY: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds of CPU, and calls."""

    #: A body with one alert.
    one_us: float
    #: A body with 64.
    body_us: float
    #: A call of the script that keeps one, with the same arguments, and nothing else.
    raw_us: float
    #: Calls of scripts for one body of 64.
    body_calls: int


class _Bodies:
    """Makes bodies, each alert newer than all before."""

    def __init__(self) -> None:
        self._number = 0
        self._first = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - compared with nothing
        self._text = json.dumps(ALERT).replace("@ENGINE@", "host1")

    def one(self, size: int) -> bytes:
        """A body with so many alerts."""
        alerts = []
        for _ in range(size):
            self._number += 1
            at = self._first + timedelta(milliseconds=self._number)
            alert = self._text.replace("@AT@", at.isoformat())
            alert = alert.replace("@FINGERPRINT@", f"{self._number % 2000:016x}")
            alerts.append(alert.replace("@NAME@", f"shop-web-{self._number % _TARGETS + 1}"))
        return f'{{"version":"4","alerts":[{",".join(alerts)}]}}'.encode()


async def _take(house: House, raw: bytes) -> None:
    counts = await house.intake.take(_parsed(raw).alerts)
    if counts.skipped or counts.set_aside:
        raise RuntimeError(f"not all were taken on: {counts}")


async def _spent_us(work: Callable[[], Awaitable[object]]) -> float:
    since = process_time()
    await work()
    return (process_time() - since) * 1e6


async def measure(rounds: int) -> Cost:
    """Take turns; see the module."""
    async with AsyncExitStack() as stack:
        # Lines of the log are not written here, and not counted.
        stack.enter_context(capture_logs())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-bench-")))
        socket = await stack.enter_async_context(rigs.redis(home, fsync="everysec"))
        store = await stack.enter_async_context(open_store(f"unix://{socket}"))
        client: Redis = Redis(unix_socket_path=str(socket))
        stack.push_async_callback(client.aclose)
        clock = LoopClock()
        engine = FakeEngine(clock)
        for number in range(1, _TARGETS + 1):
            engine.run(container(f"shop-web-{number}", number, labels=compose_labels(number)))
        house = build(store, clock, engine)
        await house.tenure.beat()
        bodies = _Bodies()
        digest, keys, args = raw_script.call()
        await client.script_load(raw_script.TEXT)

        async def ones() -> None:
            for raw in singles:
                await _take(house, raw)

        async def whole() -> None:
            await _take(house, together)

        async def plain() -> None:
            for _ in range(_BODY):
                await client.evalsha(digest, len(keys), *keys, *args)

        one, body, raw = [], [], []
        for _ in range(rounds + 1):
            singles = [bodies.one(1) for _ in range(_BODY)]
            together = bodies.one(_BODY)
            one.append(await _spent_us(ones) / _BODY)
            body.append(await _spent_us(whole))
            raw.append(await _spent_us(plain) / _BODY)
        together = bodies.one(_BODY)
        await client.config_resetstat()
        await whole()
        stats = await client.info("commandstats")
    calls = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))
    return Cost(one_us=min(one), body_us=min(body), raw_us=min(raw), body_calls=calls)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    cost = asyncio.run(measure(parser.parse_args().rounds))
    print(f"  {cost.one_us:6.0f} µs CPU for a body of one, {cost.one_us / cost.raw_us:.1f} × raw")
    print(f"  {cost.raw_us:6.0f} µs for a raw call of the script")
    share = cost.body_us / (_BODY * cost.one_us)
    print(f"  {cost.body_us:6.0f} µs for a body of {_BODY}: {share:.0%} of as many bodies")
    print(f"  {cost.body_calls:6d} calls to Redis for it")


if __name__ == "__main__":
    main()
