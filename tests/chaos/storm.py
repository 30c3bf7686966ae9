"""
Ten thousand alerts: from three senders within a minute, and in one request.

    python -m tests.chaos.storm [--alerts 10000] [--seconds 60] [--containers 36] [--out FILE]

A real controller with the shipped guards, a real Redis, real containers. Every sender sends every
alert, in groups of up to 300, and tries again after a 5xx; whoever got a 2xx must find his alerts
in the store. Exit code 1 where something is lost or a goal is missed.
"""

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.adapters.clock import LoopClock
from tests.chaos.figures import percentile, table, tell
from tests.chaos.house import House, Plan
from tests.chaos.pager import WEBHOOK, Alert, notification
from tests.chaos.starts import Starts
from tests.stack.containers import ensure_image

#: reliability.md, S9 and F37.
GOALS: Final = {
    "accept p99, s": 1.0,
    "lost": 0,
    "refused for good": 0,
    "restarts beyond the budget": 0,
    "RSS peak, MiB": 256.0,
    "loop lag p99, s": 0.25,
}
BURST: Final = 3
PER_HOUR: Final = 30
_BURST_SPAN: Final = timedelta(hours=1) * BURST / PER_HOUR
_LARGEST_GROUP: Final = 300
#: How long actions are counted after the last alert was taken.
_WATCHED_S: Final = 12.0
_LAG: Final = "relevo_event_loop_lag_seconds"
#: Only the wait differs from what is shipped: a minute's storm is to meet the budget.
POLICY: Final = {
    "version": 1,
    "defaults": {"restart": {"delays": ["2s"]}, "scale_out": {"enabled": False}},
    "guards": {"deploy_hold": "0s"},
}


@dataclass(kw_only=True)
class Heard:
    """How the controller answered."""

    #: Seconds from each request to its 2xx; what was refused before is not in it.
    accepted_s: list[float] = field(default_factory=list)
    #: Requests that were answered 5xx, or not at all, and sent again.
    again: Counter[str] = field(default_factory=Counter)
    #: Answered with anything else: Alertmanager would drop them.
    refused: int = 0
    #: Fingerprints of alerts that were answered 2xx.
    fingerprints: set[str] = field(default_factory=set)


def made(house: House, number: int, *, began: datetime) -> list[Alert]:
    """Make that many alerts, several on each container."""
    patients = house.patients
    return [
        Alert(
            labels=house.labels(patients[n % len(patients)], f"Storm{n}"),
            starts_at=began,
        )
        for n in range(number)
    ]


async def send(http: httpx.AsyncClient, url: str, alerts: Sequence[Alert], heard: Heard) -> None:
    """Send a group until it is taken, as Alertmanager does."""
    # Made before the time is taken: it is the sender's own.
    body = json.dumps(notification(alerts, group="storm")).encode()
    pause = 0.5
    while True:
        began = time.perf_counter()
        try:
            answer = await http.post(
                f"{url}{WEBHOOK}", content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as exc:
            status, why = 599, type(exc).__name__
        else:
            status, why = answer.status_code, f"{answer.status_code}: {answer.text[:200]}"
        if status < 300:
            heard.accepted_s.append(time.perf_counter() - began)
            heard.fingerprints.update(alert.fingerprint for alert in alerts)
            return
        if status < 500:
            heard.refused += 1
            return
        heard.again[why] += 1
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 4)


async def one_sender(
    house: House, alerts: Sequence[Alert], over_s: float, random: Random, heard: Heard
) -> None:
    """Send all alerts, in groups at random moments, some groups at once."""
    async with (
        httpx.AsyncClient(timeout=10) as http,
        asyncio.TaskGroup() as sending,
    ):
        began = asyncio.get_running_loop().time()
        sent = 0
        while sent < len(alerts):
            group = alerts[sent : sent + random.randint(1, _LARGEST_GROUP)]
            due = began + over_s * sent / len(alerts)
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            sending.create_task(send(http, house.controllers[0].url, group, heard))
            sent += len(group)


async def stored(house: House) -> set[str]:
    """Read the fingerprints of all alerts that the store holds."""
    found: set[str] = set()
    async with house.redis.admin() as client:
        async for key in client.scan_iter("{relevo}:alerts:*", count=1000):
            found.update(map(str, await client.hkeys(key)))
    return found


def peak_mib(pid: int) -> float:
    """Tell the most memory that a process has had at once."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


async def lag(house: House) -> dict[float, float]:
    """Read the histogram of the event loop's lag: bound -> count up to it."""
    answer = await house.http.get(f"{house.controllers[0].url}/metrics", timeout=30)
    return {
        float(sample.labels["le"]): float(sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == f"{_LAG}_bucket"
    }


def lag_p99(before: dict[float, float], after: dict[float, float]) -> float | None:
    """Tell the bound below which 99 of 100 delays lie; None: not measured."""
    if not after:
        return None
    grown = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    total = grown[float("inf")]
    return min(bound for bound, count in grown.items() if count >= 0.99 * total)


def beyond_budget(restarts: Sequence[datetime]) -> int:
    """Count the restarts that were more than any span of the budget allows."""
    ordered = sorted(restarts)
    in_a_row = [
        n
        for n in range(len(ordered))
        # As the engine tells of it, which is a moment after it was charged.
        if n >= BURST and ordered[n] - ordered[n - BURST] < _BURST_SPAN - timedelta(seconds=5)
    ]
    return max(len(in_a_row), len(ordered) - PER_HOUR)


async def storm(
    *, alerts: int, over_s: float | None, containers: int, senders: int, seed: str = "1"
) -> dict[str, Any]:
    """
    Let it come, and tell what became of it.

    :param over_s: how long it takes; None: one request
    """
    label = f"relevo-chaos-{secrets.token_hex(4)}"
    heard = Heard()
    async with Starts(label) as starts:
        house = House(
            Plan(label=label, patients=containers, stubborn=0, policy=POLICY, time_factor=1)
        )
        async with house:
            controller = house.controllers[0]
            pid = controller.program.pid
            clock = LoopClock()
            idle_mib, before = peak_mib(pid), await lag(house)
            batch = made(house, alerts, began=clock.now())
            house.pager.list_only(batch)
            began = time.perf_counter()
            if over_s is None:
                async with httpx.AsyncClient(timeout=10) as http:
                    await send(http, controller.url, batch, heard)
            else:
                await asyncio.gather(
                    *(
                        one_sender(house, batch, over_s, Random(f"{seed}/{n}"), heard)
                        for n in range(senders)
                    )
                )
            took_s = time.perf_counter() - began
            # Actions go on: the budget is watched for another while.
            await asyncio.sleep(_WATCHED_S)
            kept = await stored(house)
            after = await lag(house)
            restarts = [at for one in house.patients for at in starts.of(one.id)[1:]]
            for why, count in heard.again.most_common():
                tell(f"sent again {count} times: {why}")
            found: dict[str, Any] = {
                "alerts": alerts,
                "requests": len(heard.accepted_s),
                "sent again": heard.again.total(),
                "refused for good": heard.refused,
                "took, s": round(took_s, 1),
                "accept p50, s": round(percentile(heard.accepted_s, 0.5), 4),
                "accept p99, s": round(percentile(heard.accepted_s, 0.99), 4),
                "accept max, s": round(max(heard.accepted_s), 4),
                "accepted": len(heard.fingerprints),
                "stored": len(kept & heard.fingerprints),
                "lost": len(heard.fingerprints - kept),
                "restarts": len(restarts),
                "restarts beyond the budget": beyond_budget(restarts),
                "RSS before, MiB": round(idle_mib, 1),
                "RSS peak, MiB": round(peak_mib(pid), 1),
                "loop lag p99, s": lag_p99(before, after),
            }
        house.remove_traces()
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """Say which goals were missed, and what was not measured."""
    said = []
    for what, goal in GOALS.items():
        value = found[what]
        if value is None:
            said.append(f"{what}: not measured, the controller has no such metric")
        elif value > goal:
            said.append(f"{what}: {value}, goal {goal}")
    return said


async def both(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run the two parts, one after the other."""
    await ensure_image()
    return {
        f"{args.alerts} alerts, 3 senders, {args.seconds:g} s": await storm(
            alerts=args.alerts, over_s=args.seconds, containers=args.containers, senders=3
        ),
        f"{args.alerts} alerts in one request": await storm(
            alerts=args.alerts, over_s=None, containers=args.containers, senders=1
        ),
    }


def main() -> None:
    """Measure, print, and exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--containers", type=int, default=36)
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args()
    found = asyncio.run(both(args))
    parts = list(found)
    rows: list[list[object]] = [["what", *parts, "goal"]]
    rows += [
        [what, *(found[part][what] for part in parts), GOALS.get(what, "")]
        for what in found[parts[0]]
    ]
    tell(table(rows))
    faults = [f"{part}: {said}" for part in parts for said in missed(found[part])]
    for line in faults:
        tell(line)
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(faults))


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstring."""


if __name__ == "__main__":
    main()
