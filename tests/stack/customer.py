"""
The customers of a service under test: a fixed rate of requests, each counted, none given up early.

    customer.py URL --rate 30 --later 10

Runs in a container. Each request goes to one of all addresses that the name has at that moment. One
that fails is tried once more, at another address if there is one; only when that fails as well it
has failed. SIGUSR1: the later rate from now on. Prints one JSON line a second.
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONNECT_TIMEOUT = 1.0
#: Longer than any balancer's own: what it still tries to serve is not lost.
ANSWER_TIMEOUT = 12.0
#: In flight all together; what would be more is shed. Bounds what a slow instance can pile up: with
#: 0.1 cores and 6 ms each it needs 1.6 s for these, less than a balancer waits for an answer.
MOST_IN_FLIGHT = 24
#: Time between two lines of the report, in seconds.
_REPORTS_EVERY = 1.0


@dataclass(slots=True)
class Second:
    """What came to its end since the last line."""

    #: Instance -> requests that it answered.
    answered: Counter[str] = field(default_factory=Counter)
    #: Requests that needed their second try.
    retried: int = 0
    #: Requests whose second try failed as well.
    failed: int = 0
    #: Requests that were not even sent.
    shed: int = 0
    #: Why tries failed.
    why: Counter[str] = field(default_factory=Counter)


async def addresses(host: str, port: int) -> list[str]:
    """All addresses of a name; none where it has none right now."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[4][0]) for address in found})


async def ask(address: str, port: int) -> str:
    """Send one request; return which instance answered. :raises OSError, ValueError, KeyError:"""
    async with asyncio.timeout(CONNECT_TIMEOUT):
        reader, writer = await asyncio.open_connection(address, port)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            writer.write(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")
            answer = await reader.read(-1)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status:
        raise ValueError(status.decode() or "no answer")
    return str(json.loads(body)["instance"])


class Customers:
    """Sends at a fixed rate, whatever becomes of the answers."""

    def __init__(self, host: str, port: int, *, rate: float, later: float) -> None:
        self._host = host
        self._port = port
        self._rate = rate
        self._later = later
        self._second = Second()
        self._running: set[asyncio.Task[None]] = set()
        self._random = random.Random()

    def ease(self) -> None:
        """From now on the later rate."""
        self._rate = self._later

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report())
            group.create_task(self._send())

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if len(self._running) >= MOST_IN_FLIGHT:
                self._second.shed += 1
            else:
                task = asyncio.create_task(self._one())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            # After a stall (a stopped machine) go on from now: no burst of what was missed.
            due = max(due + 1 / self._rate, loop.time() - 0.2)
            await asyncio.sleep(due - loop.time())

    async def _one(self) -> None:
        first = await self._try()
        if first is None:
            return
        self._second.retried += 1
        if await self._try(not_at=first) is not None:
            self._second.failed += 1

    async def _try(self, *, not_at: str = "") -> str | None:
        """Answer the address that failed; None: it did not."""
        known = await addresses(self._host, self._port)
        others = [address for address in known if address != not_at] or known
        if not others:
            self._second.why["no address"] += 1
            return "nowhere"
        address = self._random.choice(others)
        try:
            instance = await ask(address, self._port)
        except (OSError, ValueError, KeyError) as exc:  # TimeoutError is an OSError
            self._second.why[f"{type(exc).__name__}: {exc}"] += 1
            return address
        self._second.answered[instance] += 1
        return None

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORTS_EVERY)
            second, self._second = self._second, Second()
            line = {
                "answered": dict(second.answered),
                "retried": second.retried,
                "failed": second.failed,
                "shed": second.shed,
                "why": dict(second.why),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


async def serve(customers: Customers) -> None:
    """Run until SIGTERM; as process 1 it gets no default handler."""
    task = asyncio.create_task(customers.run())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGUSR1, customers.ease)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def main() -> None:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(description="A fixed rate of requests, each counted.")
    parser.add_argument("url", help="such as http://web:8000")
    parser.add_argument("--rate", type=float, required=True, help="a second")
    parser.add_argument("--later", type=float, required=True, help="a second, from SIGUSR1 on")
    arguments = parser.parse_args()
    url = urlsplit(arguments.url)
    customers = Customers(
        url.hostname or "localhost", url.port or 80, rate=arguments.rate, later=arguments.later
    )
    asyncio.run(serve(customers))


if __name__ == "__main__":
    main()
