"""
How often a notification asks Redis: what Redis is told while one body after the other is taken.

Redis says itself what it is told (MONITOR). Counted is everything that comes between a body's
sending and its answer, but for the scripts of steps, which begin at once, beside the answer.
"""

import asyncio
from hashlib import sha1
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx
from redis.asyncio import Redis

from app.adapters.store.scripts import script_text
from bench.figures import Figure, Found
from bench.load import Sender
from bench.rigs import Rig

_LUA: Final = Path(str(resources.files("app.adapters.store") / "lua"))
#: Ends the listening; nobody else says it.
_END: Final = "relevo-bench-end"
#: What steps and the leader's seat run, whoever has sent something.
_OF_STEPS: Final = {"claim", "read", "note", "requeue", "renew", "lead", "control"}
#: Longer than a storm is looked at together with others: the next body comes alone.
_QUIET_S: Final = 2.5


async def count(found: Found, rig: Rig, socket: Path, sender: Sender, *, bodies: int) -> None:
    """
    Hand in bodies of 1 and of 64 alerts, each alone; keep what each asked of Redis.

    :param socket: of the Redis of the Relevo that is `rig`
    """
    told: dict[int, list[float]] = {1: [], 64: []}
    took: dict[int, list[float]] = {1: [], 64: []}
    headers = {"Authorization": f"Bearer {sender.token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=20) as http:
        for _ in range(bodies):
            for size in told:
                body = sender.body(size)
                await asyncio.sleep(_QUIET_S)
                heard, spent = await _heard(http, rig.url, body, socket)
                told[size].append(float(sum(name not in _OF_STEPS for name in heard)))
                took[size].append(spent)
    for size, calls in told.items():
        found.figures[f"body_of_{size}_calls"] = Figure.of(calls)
        found.figures[f"body_of_{size}_alone_ms"] = Figure.of(took[size])
    found.take("batch64_round_trips", Figure.of(told[64]))


async def _heard(
    http: httpx.AsyncClient, url: str, body: bytes, socket: Path
) -> tuple[list[str], float]:
    """Hand in a body; return what Redis was told meanwhile, and the milliseconds it took."""
    scripts = [path.stem for path in _LUA.glob("*.lua")]
    names = {sha1(script_text(name).encode()).hexdigest(): name for name in scripts}
    heard: list[str] = []
    listener: Redis = Redis(unix_socket_path=str(socket))
    speaker: Redis = Redis(unix_socket_path=str(socket))
    try:
        await speaker.ping()  # opened before anybody listens
        async with listener.monitor() as monitor:
            since = perf_counter()
            answer = await http.post(url, content=body)
            spent = (perf_counter() - since) * 1000
            answer.raise_for_status()
            await speaker.echo(_END)
            while True:
                line = await monitor.next_command()
                said = line["command"]
                if _END in said:
                    return heard, spent
                if line["client_type"] != "lua":  # what a script asks is no round trip
                    words = said.split()
                    is_script = words[0].upper() == "EVALSHA"
                    heard.append(names.get(words[1], words[1]) if is_script else words[0])
    finally:
        await speaker.aclose()
        await listener.aclose()
