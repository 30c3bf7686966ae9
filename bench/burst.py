"""
A real Alertmanager with 2,000 groups at once: how long until all are delivered, and what is lost.

    python -m bench.burst [--quick]

Each receiver has an Alertmanager of its own, which is told of 2,000 new alerts, a group each, with
no wait. By turns: Relevo, a receiver that does nothing, adnanh/webhook, Flask.
"""

import asyncio
import json
import re
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx
from redis.asyncio import Redis

from bench import rigs
from bench.chain import alertmanager
from bench.figures import Figure, Found, ratio
from bench.load import ALERT
from bench.part import alone
from bench.process import fsync_ms
from bench.rigs import Place
from bench.tools import Missing

_CONTAINERS: Final = 20
#: Alertmanager's own counts; one more attempt has ended, one more has failed.
_ENDED: Final = re.compile(
    r'^alertmanager_notification_latency_seconds_count\{integration="webhook"\} (\S+)', re.M
)
_FAILED: Final = re.compile(
    r'^alertmanager_notification_requests_failed_total\{integration="webhook"\} (\S+)', re.M
)


async def _delivered(http: httpx.AsyncClient, url: str) -> int:
    page = (await http.get(f"{url}/metrics")).text
    ended, failed = _ENDED.search(page), _FAILED.search(page)
    return int(float(ended[1])) - int(float(failed[1])) if ended and failed else 0


async def _burst_s(url: str, place: Place, groups: int, turn: int) -> float:
    """Post new alerts, a group each; return the seconds until the last one was delivered."""
    labels = ALERT["labels"]
    assert isinstance(labels, dict)
    now = datetime.now(UTC)  # noqa: TID251 - Alertmanager's clock is this one
    alerts = [
        {
            "labels": labels
            | {
                "alertname": f"Burst{turn}x{n}",
                "engine": place.engine,
                "name": place.names[n % len(place.names)],
            },
            "annotations": ALERT["annotations"],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
        }
        for n in range(groups)
    ]
    body = json.dumps(alerts).encode()
    async with httpx.AsyncClient(timeout=60) as http:
        before = await _delivered(http, url)
        since = perf_counter()
        answer = await http.post(
            f"{url}/api/v2/alerts", content=body, headers={"Content-Type": "application/json"}
        )
        answer.raise_for_status()
        async with asyncio.timeout(180):
            while await _delivered(http, url) < before + groups:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        return perf_counter() - since


async def _kept(socket: Path) -> int:
    client: Redis = Redis(unix_socket_path=str(socket))
    try:
        keys = [key async for key in client.scan_iter("*{relevo}:alerts:*")]
        return sum([await client.hlen(key) for key in keys])
    finally:
        await client.aclose()


async def measure(quick: bool) -> Found:
    """Burst by turns; after the last one all of Relevo's alerts must be in its store."""
    found = Found()
    groups, rounds = (400, 5) if quick else (2000, 5)
    took: defaultdict[str, list[float]] = defaultdict(list)
    disk: list[float] = []
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        home = Path(folder)
        with rigs.patients(_CONTAINERS, home) as place:
            async with AsyncExitStack() as stack:
                enter = stack.enter_async_context
                socket = await enter(rigs.redis(home))
                there = {
                    "relevo": await enter(rigs.relevo(place, socket)),
                    "null": await enter(rigs.ceiling(place, "bare")),
                }
                peers = {"adnanh": rigs.adnanh(place, waits=True), "flask": rigs.workshop(place)}
                for name, peer in peers.items():
                    try:
                        there[name] = await enter(peer)
                    except Missing as exc:
                        found.missing.append(str(exc))
                urls = {
                    name: await enter(alertmanager(place, name, rig.url))
                    for name, rig in there.items()
                }
                for turn in range(rounds):
                    disk.append(await asyncio.to_thread(fsync_ms, home))
                    for name in urls if turn % 2 else reversed(urls):
                        took[name].append(await _burst_s(urls[name], place, groups, turn))
                found.goals["burst_lost"] = float(groups * rounds - await _kept(socket))
    for name, one in took.items():
        found.figures[f"burst_{name}_s"] = Figure.of(one)
    found.figures["burst_raw_fsync_ms"] = Figure.of(disk)
    found.figures["burst_groups"] = float(groups)
    found.take("burst_vs_null", ratio(took["relevo"], took["null"]))
    for name, key in (("adnanh", "burst_vs_adnanh"), ("flask", "burst_vs_flask_shell")):
        if name in took:
            found.take(key, ratio(took[name], took["relevo"]))
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
