"""
How fast alerts are taken: Relevo beside its peers, by turns, everything durable.

    python -m bench.ingest [--quick]

Rows 1 to 4 of the goals: one alert at 16 connections, fsync always against each second, latency
against a raw call of the same script, and 64 alerts in one body.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import raw_script, rigs, round_trips
from bench.figures import Figure, Found, ratio
from bench.load import FEW_PER_TARGET, PER_TARGET, Load, Sender
from bench.part import alone
from bench.process import fsync_ms
from bench.rigs import Place, Rig
from bench.tools import Missing

#: Containers that the alerts are about: a busy host's.
_CONTAINERS: Final = 20


@dataclass(frozen=True, slots=True)
class _Shape:
    """One way to send."""

    rig: str
    connections: int
    alerts: int = 1
    #: Different alerts of each container.
    per_target: int = PER_TARGET
    #: Seconds: some need longer than a round to be through with one request.
    at_least_s: float = 0

    @property
    def name(self) -> str:
        """Name of its figures."""
        return f"{self.rig}_c{self.connections}" + ("" if self.alerts == 1 else f"_x{self.alerts}")


#: A raw call of the script, one connection: no receiver, but it takes its turn beside ours.
_RAW: Final = _Shape("raw_evalsha", 1)
_SHAPES: Final = (
    _Shape("bare", 16),
    _Shape("fastapi", 16),
    _Shape("flask", 16),
    _Shape("adnanh", 16),
    _Shape("adnanh_async", 16),
    _Shape("relevo", 16),
    _Shape("everysec", 16),
    _Shape("relevo", 64),
    _Shape("everysec", 64),
    _RAW,
    _Shape("relevo", 1),
    # Sixteen such bodies at once would take Flask longer than a round, and it gains nothing by
    # them: two cores are busy with the scripts of two.
    _Shape("flask", 2, alerts=64, at_least_s=4),
    _Shape("relevo", 16, alerts=10),
    _Shape("relevo", 16, alerts=64),
    # What a container's number of alerts makes of it: a step reads all that is known of its target.
    _Shape("few", 1, per_target=FEW_PER_TARGET),
    _Shape("few", 16, per_target=FEW_PER_TARGET),
)


@asynccontextmanager
async def _everything(
    place: Place, missing: list[str], *, quick: bool
) -> AsyncIterator[tuple[dict[str, Rig], Path]]:
    """Start all of them; what cannot be started is named. Yields Relevo's Redis as well."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        always = await enter(rigs.redis(place.home))
        everysec = await enter(rigs.redis(place.home, fsync="everysec", name="redis-everysec"))
        found = {
            "relevo": await enter(rigs.relevo(place, always)),
            "everysec": await enter(rigs.relevo(place, everysec, name="relevo-everysec")),
            "bare": await enter(rigs.ceiling(place, "bare")),
        }
        peers = {"flask": rigs.workshop(place), "adnanh": rigs.adnanh(place, waits=True)}
        if not quick:
            few = await enter(rigs.redis(place.home, name="redis-few"))
            found["few"] = await enter(rigs.relevo(place, few, name="relevo-few"))
            found["fastapi"] = await enter(rigs.ceiling(place, "fastapi"))
            peers["adnanh_async"] = rigs.adnanh(place, waits=False)
        for name, peer in peers.items():
            try:
                found[name] = await enter(peer)
            except Missing as exc:
                missing.append(str(exc))
        yield found, always


class _Rounds:
    """What the rounds have found, by the name of a shape."""

    def __init__(self) -> None:
        self.rates: defaultdict[str, list[float]] = defaultdict(list)
        self.p50: defaultdict[str, list[float]] = defaultdict(list)
        self.p99: defaultdict[str, list[float]] = defaultdict(list)
        self.disk: list[float] = []

    def keep(self, shape: _Shape, load: Load, done: int) -> None:
        """:param done: requests that were carried out, which may be fewer than answered"""
        self.rates[shape.name].append(done / load.seconds * shape.alerts)
        self.p50[shape.name].append(load.p50_ms)
        self.p99[shape.name].append(load.p99_ms)

    def tell(self, found: Found) -> None:
        """Sum them up."""
        kinds = (("alerts_per_s", self.rates), ("p50_ms", self.p50), ("p99_ms", self.p99))
        for kind, figures in kinds:
            for name, one in figures.items():
                found.figures[f"{name}_{kind}"] = Figure.of(one)
        found.figures["raw_fsync_ms"] = Figure.of(self.disk)
        _compare(found, self.rates, self.p50, self.p99)


async def _send(sender: Sender, rig: Rig, shape: _Shape, seconds: float) -> tuple[Load, int]:
    """Send in one way; return what became of it, and how many requests were carried out."""
    before = _ran(rig)
    load = await sender.send(
        rig.url,
        connections=shape.connections,
        seconds=max(seconds, shape.at_least_s),
        alerts=shape.alerts,
        per_target=shape.per_target,
    )
    # The asynchronous one answers before it runs.
    return load, _ran(rig) - before if shape.rig == "adnanh_async" else load.requests


async def measure(quick: bool) -> Found:
    """Send by turns; see the module."""
    rounds, seconds = (5, 1.0) if quick else (7, 2.0)
    found, kept = Found(), _Rounds()
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        home = Path(folder)
        with rigs.patients(_CONTAINERS, home) as place:
            sender = Sender(names=place.names, engine=place.engine, token=place.token, home=home)
            async with _everything(place, found.missing, quick=quick) as (there, socket):
                shapes = [one for one in _SHAPES if one is _RAW or one.rig in there]
                shapes = [one for one in shapes if one.alerts != 10 or not quick]
                for turn in range(-1, rounds):  # the first: opening, caches
                    disk = await asyncio.to_thread(fsync_ms, home)
                    for shape in shapes if turn % 2 else reversed(shapes):
                        if shape is _RAW:
                            raw = await raw_script.measure(socket, calls=500 if quick else 1000)
                            if turn >= 0:
                                kept.p50[shape.rig].append(raw)
                            continue
                        load, done = await _send(sender, there[shape.rig], shape, seconds)
                        if turn >= 0:
                            kept.keep(shape, load, done)
                    if turn >= 0:
                        kept.disk.append(disk)
                bodies = 3 if quick else 9
                await round_trips.count(found, there["relevo"], socket, sender, bodies=bodies)
    kept.tell(found)
    return found


def _compare(
    found: Found,
    rates: dict[str, list[float]],
    p50: dict[str, list[float]],
    p99: dict[str, list[float]],
) -> None:
    pairs = {
        "ingest_vs_bare": ("relevo_c16", "bare_c16"),
        "ingest_vs_flask_shell": ("relevo_c16", "flask_c16"),
        "ingest_vs_adnanh": ("relevo_c16", "adnanh_c16"),
        "ingest_vs_fastapi": ("relevo_c16", "fastapi_c16"),
        "always_vs_everysec_c16": ("relevo_c16", "everysec_c16"),
        "always_vs_everysec_c64": ("relevo_c64", "everysec_c64"),
        "batch64_vs_flask_shell": ("relevo_c16_x64", "flask_c2_x64"),
    }
    for key, (ours, theirs) in pairs.items():
        if ours in rates and theirs in rates:
            found.take(key, ratio(rates[ours], rates[theirs]))
    found.take("p50_c1_vs_raw_evalsha", ratio(p50["relevo_c1"], p50[_RAW.rig]))
    found.take("p99_over_p50_c16", ratio(p99["relevo_c16"], p50["relevo_c16"]))
    found.take("batch64_alerts_per_s", Figure.of(rates["relevo_c16_x64"]))


def _ran(rig: Rig) -> int:
    """Count how often a rig's script has run."""
    return rig.ran.stat().st_size if rig.ran is not None and rig.ran.exists() else 0


if __name__ == "__main__":
    alone(measure, __doc__)
