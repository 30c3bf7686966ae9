"""
Requests at the gate's socket, by somebody who owns the controller.

What its words may do to the engine is tried by `tests.adapters.gate.test_random`, whose client is
used here as well; beside it come words that are none, and bodies that are no JSON. No answer is a
5xx, nothing is asked of the engine that is not listed, nothing is touched that has not opted in.
"""

import asyncio
import json
from random import Random
from typing import Final

import aiohttp

from app.adapters.engine.endpoints import is_listed
from app.adapters.gate import speech, words
from tests.adapters.gate.host import Host, a_host
from tests.adapters.gate.test_random import CLOSED, LARGE, OPEN, Owned, populate
from tests.fuzz import soup
from tests.fuzz.tally import Tally
from tests.gate_lab import a_gate, gate_folder

_AT_ONCE: Final = 8
_WITHIN_S: Final = 60.0
_WORDS: Final = (*words.WISHES, *words.QUESTIONS, words.EXTEND, words.ABANDON)
_METHODS: Final = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW")
_STATUSES: Final = (200, 400, 404, 405, 408, 413)

Said = tuple[str, str, bytes]


def said(chance: Random, owned: Owned, number: int) -> Said:
    """Make a request: method, path, body."""
    word, body = owned.request(number)
    kind = chance.random()
    if kind < 0.3:
        return "POST", f"{speech.PATH}{word}", json.dumps(body).encode()
    if kind < 0.5 and isinstance(body, dict):
        raw = soup.written(soup.spoilt(chance, body))
        return "POST", f"{speech.PATH}{word}", raw
    if kind < 0.8:
        raw = soup.mutated(chance, json.dumps(body).encode())
        return chance.choice(_METHODS), f"{speech.PATH}{chance.choice(_WORDS)}", raw
    odd = soup.text(chance).encode("utf-8", "replace").decode()[:200]
    path = chance.choice((speech.PATH + odd, "/" + odd, "/v1.41/containers/json", "/info"))
    return chance.choice(_METHODS), path, b"{}"


async def fault_of(session: aiohttp.ClientSession, request: Said) -> str | None:
    """Send a request; say what is wrong with its answer."""
    method, path, raw = request
    url = f"http://gate{path.replace('#', '%23')}"
    try:
        async with asyncio.timeout(_WITHIN_S), session.request(method, url, data=raw) as answer:
            told = await answer.read()
    except (aiohttp.InvalidURL, aiohttp.ClientResponseError, ValueError):
        return None  # our own client does not send it
    if answer.status not in _STATUSES:
        return f"answers {answer.status}"
    if answer.status == 200 and method == "POST" and set(json.loads(told)) - {"value", "error"}:
        return "answers in a form of its own"
    return None


def harm(host: Host) -> str | None:
    """Say what was done to a host that nobody may do."""
    unlisted = [one for one in host.requests if not is_listed(*one)]
    if unlisted:
        return f"asked the engine for {unlisted[0]}"
    closed = [act for act in host.acts if any(one in act for one in CLOSED)]
    if closed:
        return f"did {closed[0]} to what has not opted in, or is protected"
    if host.overlaps:
        return f"two at once on {host.overlaps[0]}"
    if any(one not in host.containers for one in (*OPEN, *CLOSED)):
        return "removed what is no clone"
    return None


def fuzz(tally: Tally, cases: int) -> None:
    """Talk to a gate."""
    asyncio.run(_said(tally, cases))


async def _said(tally: Tally, cases: int) -> None:
    with gate_folder() as folder:
        async with (
            a_host() as host,
            a_gate(host.url, folder, policies=LARGE) as path,
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path), limit=0)) as session,
        ):
            populate(host)
            numbers = tally.numbers(cases)

            async def speak() -> None:
                for number in numbers:
                    chance = tally.chance(number)
                    request = said(chance, Owned(host, chance), number)
                    tally.cases += 1
                    try:
                        fault = await fault_of(session, request) or harm(host)
                    except (OSError, TimeoutError, aiohttp.ClientError) as exc:
                        fault = f"{type(exc).__name__}: {exc}"
                    tally.outcomes["fault" if fault else "kept out, or done"] += 1
                    host.requests.clear()
                    if fault is not None:
                        tally.find(number, fault, request)

            async with asyncio.TaskGroup() as speakers:
                for _ in range(_AT_ONCE):
                    speakers.create_task(speak())
