"""
The open-loop client of the demo: a fixed rate of requests, whatever becomes of the answers.

People do not click more slowly because a server is slow; so neither does this. Each request goes
to one of *all* addresses that the name has at that moment, picked at random: only a client that
looks at all of them gives a second instance its share of the load.

    client.py URL [--rate 60]      sends until stopped; one JSON line a second about the last second
    client.py URL --probe          asks every address of the name once, and prints who answered
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import statistics
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: A new name lookup this often: an address that came or went is noticed at once.
LOOKUP_EVERY = 0.25
#: Own patience; what takes longer has failed.
CONNECT_TIMEOUT = 0.5
ANSWER_TIMEOUT = 3.0
#: In flight at one address; what would be more is shed. Bounds what a slow instance can pile up.
MOST_IN_FLIGHT = 16


@dataclass(slots=True)
class Second:
    """What happened since the last report."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    shed: int = 0
    latencies: list[float] = field(default_factory=list)


async def addresses(host: str, port: int) -> list[str]:
    """Look up all addresses of a name; none where it has none right now."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[4][0]) for address in found})


async def ask(address: str, port: int, path: str) -> tuple[str, int]:
    """
    Send one request to one address; return which instance answered, and its count.

    :raises OSError, ValueError, TimeoutError: no answer, or not a good one
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        reader, writer = await asyncio.open_connection(address, port)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
        raise ValueError("no answer" if not head else f"answered {head[:40]!r}")
    told = json.loads(body)
    return str(told["instance"]), int(told["served"])


class Client:
    """Sends requests at a fixed rate."""

    def __init__(self, host: str, port: int, *, rate: float) -> None:
        self._host = host
        self._port = port
        self._rate = rate
        self._known: list[str] = []
        self._in_flight: Counter[str] = Counter()
        self._second = Second()
        self._running: set[asyncio.Task[None]] = set()
        self._random = random.Random()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_up())
            group.create_task(self._report())
            group.create_task(self._send())

    async def _look_up(self) -> None:
        while True:
            self._known = await addresses(self._host, self._port)
            await asyncio.sleep(LOOKUP_EVERY)

    async def _send(self) -> None:
        begun, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - begun) * self._rate)
            # After a stall (a stopped machine) go on from now: no burst of what was missed.
            sent = max(sent, due - int(self._rate))
            while sent < due:
                sent += 1
                self._send_one()
            await asyncio.sleep(begun + (sent + 1) / self._rate - time.monotonic())

    def _send_one(self) -> None:
        if not self._known:
            self._second.failed += 1
            return
        address = self._random.choice(self._known)
        if self._in_flight[address] >= MOST_IN_FLIGHT:
            self._second.shed += 1
            return
        self._in_flight[address] += 1
        task = asyncio.create_task(self._one(address))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, address: str) -> None:
        begun = time.monotonic()
        try:
            instance, _ = await ask(address, self._port, "/")
        except (OSError, ValueError, KeyError):  # TimeoutError is an OSError
            self._second.failed += 1
        else:
            self._second.answered[instance] += 1
            self._second.latencies.append(time.monotonic() - begun)
        finally:
            self._in_flight[address] -= 1

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            second, self._second = self._second, Second()
            median = statistics.median(second.latencies) if second.latencies else None
            line = {
                "addresses": self._known,
                "answered": dict(second.answered),
                "failed": second.failed,
                "shed": second.shed,
                "median_ms": None if median is None else round(median * 1000),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


async def probe(host: str, port: int) -> dict[str, dict[str, str | int]]:
    """Ask every address of the name once."""
    found: dict[str, dict[str, str | int]] = {}
    for address in await addresses(host, port):
        try:
            instance, served = await ask(address, port, "/served")
        except (OSError, ValueError, KeyError) as exc:
            found[address] = {"error": str(exc) or type(exc).__name__}
        else:
            found[address] = {"instance": instance, "served": served}
    return found


async def serve_until_told(client: Client) -> None:
    """Run a client until SIGTERM; as process 1 it gets no default handler."""
    task = asyncio.create_task(client.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def main() -> None:
    """Send, or probe."""
    parser = argparse.ArgumentParser(description="A fixed rate of requests to all instances.")
    parser.add_argument("url", help="such as http://web:8000")
    parser.add_argument("--rate", type=float, default=60.0, help="a second (default: %(default)g)")
    parser.add_argument("--probe", action="store_true", help="ask each address once")
    arguments = parser.parse_args()
    url = urlsplit(arguments.url)
    host, port = url.hostname or "localhost", url.port or 80
    if arguments.probe:
        sys.stdout.write(json.dumps(asyncio.run(probe(host, port))) + "\n")
    else:
        asyncio.run(serve_until_told(Client(host, port, rate=arguments.rate)))


if __name__ == "__main__":
    main()
