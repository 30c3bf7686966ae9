"""Waiting for something to become true: polled, with a deadline, never by a fixed sleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import httpx

_T = TypeVar("_T")

#: Between two looks: far below every duration that is measured here, and cheap on two cores.
POLL = 0.2


class NeverHappened(AssertionError):
    """What a test waited for did not happen in time."""


async def eventually(look: Callable[[], Awaitable[_T | None]], *, within: float, what: str) -> _T:
    """
    Look again and again until there is something; return it.

    An answer of None, False or an empty one means not yet; so does a far side that does not answer.

    :param within: seconds
    :raises NeverHappened:
    """
    deadline = time.monotonic() + within
    seen: object = None
    while True:
        try:
            found = await look()
            if found:
                return found
            seen = found
        except (OSError, httpx.HTTPError) as exc:
            seen = exc
        if time.monotonic() > deadline:
            raise NeverHappened(f"not within {within:g} s: {what}; last seen: {seen!r}")
        await asyncio.sleep(POLL)


async def side_by_side(*stories: Coroutine[Any, Any, object]) -> None:
    """Let several stories run at once, each to its end: one that fails ends no other."""
    ended = await asyncio.gather(*stories, return_exceptions=True)
    failed = [one for one in ended if isinstance(one, BaseException)]
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {len(stories)} stories", failed)


async def always(
    look: Callable[[], Awaitable[object]], *, during: float, until: Callable[[], bool] | None = None
) -> None:
    """Look again and again for a while; what `look` raises is the finding."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline and not (until is not None and until()):
        await look()
        await asyncio.sleep(POLL)
