"""
What the engine's work costs through Relevo: a restart, twenty of them, a scale-out.

    python -m bench.engine [--quick]

Real containers that end at once. By turns: the real adapter, the engine's socket by bare requests,
and the `docker` command.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter

import aiohttp

from app.adapters.engine.docker import DockerEngine
from app.policies.spec import ScaleOutRules
from bench.figures import Figure, Found, ratio
from bench.part import alone
from bench.tools import need
from tests.engine_lab import SOCKET, EngineLab, busybox_image, engine_lab
from tests.stack.containers import docker

_API = "http://docker/v1.41"
_AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
#: Ends at once when it is told to: otherwise its grace is measured.
QUICK_TO_END = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done")
_TOGETHER = 20
_GRACE = timedelta(seconds=10)


def _attempt() -> str:
    return f"bench-{secrets.token_hex(4)}"


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    since = perf_counter()
    await work()
    return (perf_counter() - since) * 1000


async def _by_turns(
    ways: Sequence[tuple[str, Callable[[], Awaitable[object]]]],
    rounds: int,
    *,
    after: Callable[[], Awaitable[object]] | None = None,
) -> dict[str, list[float]]:
    """Run each way in each round, first in every other one; the first round is not counted."""
    spent: dict[str, list[float]] = {name: [] for name, _ in ways}
    for turn in range(-1, rounds):
        for name, work in ways if turn % 2 else reversed(ways):
            took = await _timed(work)
            if after is not None:
                await after()
            if turn >= 0:
                spent[name].append(took)
    return spent


async def _restarts(
    found: Found, lab: EngineLab, engine: DockerEngine, http: aiohttp.ClientSession, rounds: int
) -> None:
    one = lab.run("--network", "none", command=QUICK_TO_END)

    began = ""

    async def look() -> None:
        nonlocal began
        began = (await engine.inspect(one)).started_at

    async def ours() -> None:
        await engine.restart(
            one, attempt_id=_attempt(), expected_started_at=began, stop_grace=_GRACE
        )

    async def raw() -> None:
        async with http.post(f"{_API}/containers/{one}/restart?t=10") as answer:
            answer.raise_for_status()

    async def command() -> None:
        await docker("restart", "-t", "10", one)

    await look()
    spent = await _by_turns([("ours", ours), ("raw", raw), ("cli", command)], rounds, after=look)
    for name, took in spent.items():
        found.figures[f"restart_{name}_ms"] = Figure.of(took)
    found.take("restart_vs_raw", ratio(spent["ours"], spent["raw"]))


async def _twenty(found: Found, lab: EngineLab, engine: DockerEngine, rounds: int) -> None:
    many = [lab.run("--network", "none", command=QUICK_TO_END) for _ in range(_TOGETHER)]

    began: dict[str, str] = {}

    async def look() -> None:
        for one in many:
            began[one] = (await engine.inspect(one)).started_at

    async def restart(one: str) -> None:
        await engine.restart(
            one, attempt_id=_attempt(), expected_started_at=began[one], stop_grace=_GRACE
        )

    async def together() -> None:
        await asyncio.gather(*map(restart, many))

    async def in_turn() -> None:
        for one in many:
            await restart(one)

    await look()
    ways = [("together", together), ("in_turn", in_turn)]
    spent = await _by_turns(ways, rounds, after=look)
    for name, took in spent.items():
        found.figures[f"restart20_{name}_ms"] = Figure.of(took)
    found.take("restart20_vs_sequential", ratio(spent["together"], spent["in_turn"]))


async def _clones(found: Found, lab: EngineLab, engine: DockerEngine, rounds: int) -> None:
    front = lab.network("front")
    source = lab.run("--network", front, command=QUICK_TO_END, name="web")
    kept = lab.ids()

    async def ours() -> None:
        made = await engine.clone(source, attempt_id=_attempt(), rules=ScaleOutRules(), at=_AT)
        if made.clone is None:
            raise RuntimeError("no clone was made")

    async def command() -> None:
        label = ("--label", f"relevo-lab={lab.mark}")
        await docker("run", "-d", *label, "--network", front, lab.image, *QUICK_TO_END)

    async def away() -> None:
        await docker("rm", "-f", "-v", *(lab.ids() - kept))

    spent = await _by_turns([("ours", ours), ("cli", command)], rounds, after=away)
    for name, took in spent.items():
        found.figures[f"scale_out_{name}_ms"] = Figure.of(took)
    found.take("scale_out_vs_docker_run", ratio(spent["ours"], spent["cli"]))


async def measure(quick: bool) -> Found:
    """Measure all three."""
    found = Found()
    rounds = 5 if quick else 11
    with engine_lab(busybox_image(need("docker"))) as lab:
        connector = aiohttp.UnixConnector(SOCKET.removeprefix("unix://"))
        async with (
            DockerEngine(SOCKET) as engine,
            aiohttp.ClientSession(connector=connector) as http,
        ):
            await _restarts(found, lab, engine, http, rounds)
            await _clones(found, lab, engine, rounds)
            await _twenty(found, lab, engine, 3 if quick else 5)
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
