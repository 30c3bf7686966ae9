"""
What a scale-out costs beyond the engine's own work, from decision to a running, connected clone.

    python -m bench.scale_out [--rounds 21]

Needs the Docker engine. A container on two networks is cloned by the real adapter: looked at,
planned, created, connected, started, looked at again. Beside it the same container is made by bare
requests: create, connect, start. Both take turns in one run, each first in every other round, so
that a busy machine slows both.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter

import aiohttp

from app.adapters.engine.docker import DockerEngine
from app.policies.spec import ScaleOutRules
from tests.engine_lab import SOCKET, EngineLab, busybox_image, engine_lab
from tests.parts import require

#: What it may cost, as a multiple of the bare requests.
GOAL = 1.3
#: Any will do: the requests are made of what this version knows.
_API = "http://docker/v1.41"
_AT = datetime(2026, 11, 22, 3, tzinfo=UTC)


async def measure(rounds: int) -> dict[str, float]:
    """
    Scale out by turns; return medians in milliseconds, and their ratio.

    :param rounds: of both; one more comes before and is not counted (opening, caches)
    """
    with engine_lab(busybox_image(require("docker"))) as lab:
        front, back = lab.network("front"), lab.network("back")
        source_id = lab.run("--network", front, "--network-alias", "web", name="web")
        lab.connect(back, source_id, "--alias", "api")
        path = SOCKET.removeprefix("unix://")
        async with (
            DockerEngine(SOCKET) as engine,
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        ):

            async def ours(turn: int) -> str:
                result = await engine.clone(
                    source_id, attempt_id=f"bench-{turn}", rules=ScaleOutRules(), at=_AT
                )
                assert result.clone is not None
                assert set(result.clone.networks) == {front, back}
                return result.clone.id

            async def bare(turn: int) -> str:
                return await _bare(session, lab, turn, front=front, back=back)

            spent: dict[str, list[float]] = {"ours": [], "bare": []}
            for turn in range(rounds + 1):
                both = [("ours", ours), ("bare", bare)]
                for name, make in both if turn % 2 else reversed(both):
                    spent[name].append(await _timed(make, turn, session))
    ours_ms, bare_ms = (statistics.median(spent[name][1:]) for name in ("ours", "bare"))
    return {
        "rounds": float(rounds),
        "ours_ms": ours_ms,
        "bare_ms": bare_ms,
        "ratio": ours_ms / bare_ms,
        "spread": statistics.stdev(spent["ours"][1:]) / ours_ms,
    }


async def _timed(
    make: Callable[[int], Awaitable[str]], turn: int, session: aiohttp.ClientSession
) -> float:
    since = perf_counter()
    made = await make(turn)
    spent_ms = (perf_counter() - since) * 1000
    await _ask(session, "DELETE", f"/containers/{made}?force=1&v=1")
    return spent_ms


async def _bare(
    session: aiohttp.ClientSession, lab: EngineLab, turn: int, *, front: str, back: str
) -> str:
    body = {
        "Image": lab.image,
        "Cmd": ["sleep", "600"],
        # By its label the lab removes it, whatever happens.
        "Labels": {"relevo-lab": lab.mark},
        "HostConfig": {"NetworkMode": front},
        "NetworkingConfig": {"EndpointsConfig": {front: {"Aliases": ["web"]}}},
    }
    created = await _ask(session, "POST", f"/containers/create?name={lab.name(f'b{turn}')}", body)
    made = str(created["Id"])
    connection = {"Container": made, "EndpointConfig": {"Aliases": ["api"]}}
    await _ask(session, "POST", f"/networks/{back}/connect", connection)
    await _ask(session, "POST", f"/containers/{made}/start")
    return made


async def _ask(
    session: aiohttp.ClientSession, method: str, path: str, body: object = None
) -> dict[str, object]:
    async with session.request(method, _API + path, json=body) as answer:
        answer.raise_for_status()
        return dict(await answer.json()) if answer.status == 201 else {}


def main() -> None:
    """Measure, print, and exit 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = asyncio.run(measure(args.rounds))
    if args.json:
        print(json.dumps(found))
    else:
        print(f"scale-out to a running, connected clone, median of {args.rounds} rounds by turns:")
        print(f"  {found['ours_ms']:.0f} ms (spread {found['spread']:.0%})")
        print(f"  {found['bare_ms']:.0f} ms for create, connect and start by bare requests")
        print(f"  {found['ratio']:.2f} times that (goal: at most {GOAL})")
    raise SystemExit(found["ratio"] > GOAL)


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the docstring."""


if __name__ == "__main__":
    main()
