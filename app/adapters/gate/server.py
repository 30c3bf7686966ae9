"""
The gate's socket: HTTP on a unix socket, one path for each intention, and nothing else.

aiohttp.web and not FastAPI: it tells which process has connected, and is in memory already for the
engine's socket. An answer that takes longer than a moment begins with white space, so that who
waits knows that we live: JSON does not mind.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

import structlog
from aiohttp import web

from app.adapters.gate import speech, words
from app.adapters.gate.intentions import Intentions, Question, Wish
from app.adapters.gate.peer import user_of
from app.adapters.gate.tickets import Tickets
from app.domain.container import EngineEvent
from app.errors import EngineSilent, EngineUnavailable
from app.ports import ContainerEngine

#: A container's networks with all their aliases have some kilobytes.
_LARGEST: Final = 256 * 1024
#: To send a request that small.
_READ_WITHIN_S: Final = 5.0
#: Who asks gives us up after some of these.
_BREATH_S: Final = 2.0
#: Questions and wishes at once: the collector asks for ninety containers at a time.
_AT_ONCE: Final = 250
#: Streams of events at once: one for each controller, and those that it has given up.
_STREAMS: Final = 8


log: Final = structlog.get_logger("relevo.gate")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """
    Answers on the gate's socket.

    :param users: numbers of the users whose processes may connect
    """

    def __init__(
        self, offered: Intentions, engine: ContainerEngine, *, users: frozenset[int]
    ) -> None:
        self._offered, self._engine, self._users = offered, engine, users
        self.tickets = Tickets()
        #: Whoever follows the events.
        self._streams: set[asyncio.Task[None]] = set()
        self._under_way = 0
        #: Kept here: the loop itself does not.
        self._tasks: set[asyncio.Task[bytes]] = set()

    def app(self) -> web.Application:
        """Make the application: a path for each word, POST only."""
        app = web.Application(client_max_size=_LARGEST, middlewares=[self._for_friends_only])
        handlers: dict[str, _Handler] = {
            words.EVENTS: self._events,
            words.EXTEND: self._extend,
            words.ABANDON: self._abandon,
        }
        handlers |= {word: self._asking(one) for word, one in self._offered.questions.items()}
        handlers |= {word: self._wishing(one) for word, one in self._offered.wishes.items()}
        for word, handler in handlers.items():
            app.router.add_post(speech.PATH + word, handler)
        app.on_shutdown.append(self._hang_up)
        return app

    @web.middleware
    async def _for_friends_only(
        self, request: web.Request, handler: _Handler
    ) -> web.StreamResponse:
        user = user_of(request)
        if user not in self._users:
            log.warning("turned away", user=user)
            return web.Response(status=403)
        try:
            return await handler(request)
        except web.HTTPException as exc:
            # No words of the library's, and nothing of what was sent.
            return web.Response(status=exc.status)

    # ------------------------------------------------------------------ words

    def _asking(self, question: Question) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await _body(request)

            async def work() -> bytes:
                asked = speech.heard(raw, question.takes)
                return speech.told(await question.answer(asked), question.gives)

            task = self._begin(_named(work, EngineUnavailable))
            try:
                return await self._patiently(request, task)
            finally:
                task.cancel()

        return handle

    def _wishing(self, wish: Wish) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await _body(request)
            try:
                asked = speech.heard(raw, wish.takes)
                ticket = self.tickets.issue(asked.ticket, asked.not_after)
            except ValueError as exc:
                return _json(speech.refused(exc))

            async def work() -> bytes:
                return speech.told(await wish.carry_out(asked, ticket), wish.gives)

            # Gone on with whoever listens: until the deadline that nobody extends any more.
            task = ticket.task = self._begin(_named(work, EngineSilent))
            task.add_done_callback(lambda _: self.tickets.end(asked.ticket))
            return await self._patiently(request, task)

        return handle

    async def _extend(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = speech.heard(await _body(request), words.EXTENDED)
        except ValueError as exc:
            return _json(speech.refused(exc))
        ticket = self.tickets.get(asked.ticket)
        if ticket is not None:
            ticket.extend(float("inf") if asked.not_after is None else asked.not_after)
        return _json(speech.told(None, words.NOTHING))

    async def _abandon(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = speech.heard(await _body(request), words.ABANDONED)
        except ValueError as exc:
            return _json(speech.refused(exc))
        ticket = self.tickets.get(asked.ticket)

        async def work() -> bytes:
            if ticket is not None:
                await ticket.abandon()
            return speech.told(None, words.NOTHING)

        return await self._patiently(request, self._begin(work))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = speech.heard(await _body(request), words.SINCE)
        except ValueError as exc:
            return _json(speech.refused(exc))
        if len(self._streams) >= _STREAMS:
            return _json(speech.refused(EngineUnavailable("too many streams of events")))
        stream = web.StreamResponse()
        own = asyncio.create_task(self._followed(request, stream, asked.since_ns))
        self._streams.add(own)
        try:
            await asyncio.wait({own})
        finally:
            own.cancel()
            self._streams.discard(own)
        return stream

    async def _hang_up(self, _: web.Application) -> None:
        """End the streams: they have no end of their own, and the process has."""
        for stream in self._streams:
            stream.cancel()

    async def _followed(
        self, request: web.Request, stream: web.StreamResponse, since_ns: int
    ) -> None:
        with suppress(ConnectionError):
            await stream.prepare(request)
            await self._follow(stream, since_ns)

    async def _follow(self, stream: web.StreamResponse, since_ns: int) -> None:
        """Write a line for each event, and an empty one where there is none for a while."""
        async with aclosing(self._engine.events(since_ns=since_ns)) as events:
            coming: asyncio.Task[EngineEvent] | None = None
            try:
                while True:
                    if coming is None:
                        coming = asyncio.ensure_future(anext(events))
                    done, _ = await asyncio.wait({coming}, timeout=_BREATH_S)
                    if not done:
                        await stream.write(b"\n")
                        continue
                    try:
                        line = speech.told(coming.result(), words.EVENT)
                    except EngineUnavailable as exc:
                        await stream.write(speech.refused(exc) + b"\n")
                        return
                    finally:
                        coming = None
                    await stream.write(line + b"\n")
            finally:
                if coming is not None:
                    coming.cancel()
                    await asyncio.wait({coming})

    # ------------------------------------------------------------------ answering

    def _begin(self, work: Callable[[], Awaitable[bytes]]) -> asyncio.Task[bytes]:
        async def counted() -> bytes:
            if self._under_way >= _AT_ONCE:
                return speech.refused(EngineUnavailable("the gate is asked too much at once"))
            self._under_way += 1
            try:
                return await work()
            finally:
                self._under_way -= 1

        task = asyncio.create_task(counted())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _patiently(
        self, request: web.Request, task: asyncio.Task[bytes]
    ) -> web.StreamResponse:
        """Answer at once, or with signs of life until there is an answer."""
        done, _ = await asyncio.wait({task}, timeout=_BREATH_S)
        if done:
            return _json(_result(task))
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        with suppress(ConnectionError):
            await stream.prepare(request)
            while not done:
                await stream.write(b" ")
                done, _ = await asyncio.wait({task}, timeout=_BREATH_S)
            await stream.write(_result(task))
        return stream


def _named(
    work: Callable[[], Awaitable[bytes]], otherwise: type[EngineUnavailable]
) -> Callable[[], Awaitable[bytes]]:
    """Answer errors as well; one that nobody foresaw as `otherwise`."""

    async def guarded() -> bytes:
        try:
            return await work()
        except Exception as exc:  # noqa: BLE001 - the boundary: logged, and told by its name
            try:
                return speech.refused(exc)
            except KeyError:
                log.error("unexpected", exc_info=exc)
                return speech.refused(otherwise(f"the gate failed: {type(exc).__name__}"))

    return guarded


def _result(task: asyncio.Task[bytes]) -> bytes:
    if task.cancelled():
        return speech.refused(EngineSilent("it was ended before it was through"))
    return task.result()


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            return await request.read()
    except TimeoutError as exc:
        raise web.HTTPRequestTimeout from exc
