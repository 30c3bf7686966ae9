"""A line to the gate: what is asked, what is wished, and that we are still there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
from pydantic import TypeAdapter

from app.adapters.gate import speech, words
from app.domain.gate import Fence
from app.errors import EngineSilent, EngineUnavailable, LeaseLost
from app.ports import Deadline

#: A gate that lives says so every two seconds.
_PATIENCE: Final = timedelta(seconds=10)
_CONNECT_S: Final = 5.0
#: How often the gate is told that we are still there, and until when we may act.
_EXTEND_S: Final = 1.0
#: Behind the gate there may be a stream of events that is silent for long; the gate is not.
_LONGEST_LINE: Final = 1 << 20


def no_fence() -> Fence:
    """Act in nobody's tenure: there is one controller, and no store."""
    return Fence()


class GateLine:
    """
    A line to the gate: asks, wishes, and reads the answer.

    Opens nothing until it is used; `close` it in the same loop.

    :param fence: in which tenure we act
    :param patience: how long the gate may give no sign of life
    """

    def __init__(
        self,
        path: Path,
        *,
        fence: Callable[[], Fence] = no_fence,
        patience: timedelta = _PATIENCE,
    ) -> None:
        self._path, self._fence, self._patience = path, fence, patience
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connection. Harmless when it was never opened, or twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, word: str, **asked: Any) -> Any:
        """Ask something. :raises EngineUnavailable: also where the gate is away"""
        takes, gives = words.QUESTIONS[word]
        kind = speech.About if asked else speech.Nothing
        return await self._said(word, takes.dump_json(kind(**asked)), gives, acting=False)

    async def wish(
        self, word: str, kind: type[speech.Act], *, not_after: Deadline, **wished: Any
    ) -> Any:
        """
        Have something done.

        :raises EngineSilent: the gate has heard it, and gave no answer
        :raises EngineUnavailable: it has not
        """
        takes, gives = words.WISHES[word]
        ticket = uuid4().hex
        asked = kind(
            **wished,
            fence=self._fence(),
            sent_at=asyncio.get_running_loop().time(),
            not_after=_finite(not_after()),
            ticket=ticket,
        )
        try:
            raw = takes.dump_json(asked)
        except ValueError as exc:
            raise ValueError("what is asked for is not text that can be sent") from exc
        async with self._staying(ticket, not_after):
            return await self._said(word, raw, gives, acting=True)

    async def lines(self, since_ns: int) -> AsyncGenerator[bytes, None]:
        """Follow the stream of events, line by line. :raises EngineUnavailable: it has ended"""
        raw = words.SINCE.dump_json(speech.Since(since_ns=since_ns))
        rest = b""
        try:
            async with self._posted(words.EVENTS, raw) as answer:
                while chunk := await answer.content.readany():
                    *found, rest = (rest + chunk).split(b"\n")
                    if len(rest) > _LONGEST_LINE:
                        rest = b""
                    for line in found:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise EngineUnavailable(f"the stream from the gate broke off: {exc}") from exc
        raise EngineUnavailable("the gate ended the stream of events")

    # ------------------------------------------------------------------ while it acts

    @asynccontextmanager
    async def _staying(self, ticket: str, not_after: Deadline) -> AsyncIterator[None]:
        """Keep the gate told that we are here; where we are cancelled, have it end the action."""
        telling = asyncio.create_task(self._telling(ticket, not_after))
        try:
            yield
        except asyncio.CancelledError:
            await _to_its_end(self._abandon(ticket))
            raise
        finally:
            telling.cancel()

    async def _telling(self, ticket: str, not_after: Deadline) -> None:
        while True:
            await asyncio.sleep(_EXTEND_S)
            try:
                until = _finite(not_after())
            except LeaseLost:
                until = 0.0
            raw = words.EXTENDED.dump_json(speech.Extend(ticket=ticket, not_after=until))
            with suppress(EngineUnavailable):
                await self._said(words.EXTEND, raw, words.NOTHING, acting=False)

    async def _abandon(self, ticket: str) -> None:
        raw = words.ABANDONED.dump_json(speech.Abandon(ticket=ticket))
        with suppress(EngineUnavailable):
            await self._said(words.ABANDON, raw, words.NOTHING, acting=False)

    # ------------------------------------------------------------------ the socket

    async def _said(self, word: str, raw: bytes, gives: TypeAdapter[Any], *, acting: bool) -> Any:
        silence = EngineSilent if acting else EngineUnavailable
        try:
            async with self._posted(word, raw) as answer:
                heard = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise EngineUnavailable(f"the gate does not answer: {exc}") from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            said = str(exc) or type(exc).__name__
            raise silence(f"no answer from the gate: {said}") from exc
        return speech.answer(heard, gives)

    @asynccontextmanager
    async def _posted(self, word: str, raw: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_S, sock_read=self._patience.total_seconds()
            )
            connector = aiohttp.UnixConnector(str(self._path), limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        # (The host's name is nobody's: the path of the socket is the address.)
        async with self._session.post(f"http://gate{speech.PATH}{word}", data=raw) as answer:
            if answer.status != 200:
                raise EngineUnavailable(_turned_away(answer.status))
            yield answer


def _turned_away(status: int) -> str:
    if status == 403:
        return "the gate turns this user away: RELEVO_GATE_USERS must name it"
    return f"the gate answers {status}: it may be of another version"


def _finite(moment: float) -> float | None:
    return None if moment == inf else max(moment, 0.0)


async def _to_its_end(work: Any) -> None:
    """Do something although we are cancelled, and even if we are once more."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
