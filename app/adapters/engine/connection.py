"""
One connection to a Docker engine: built late, bounded in time, with our errors.

The only place that knows how aiodocker and aiohttp fail. What it hands out is aiodocker's
own client, whose answers are untyped JSON; `translate` gives them a shape.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
from aiodocker import Docker, DockerError

from app.adapters.engine.translate import UNREADABLE
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    LeaseLost,
    TooLate,
)
from app.ports import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long the engine may take. aiodocker's own default is: for ever."""

    #: To connect. A local socket does at once or not at all; this is for tcp:// engines.
    connect: timedelta = timedelta(seconds=5)
    #: To list and to inspect, which read its memory. Longer, and it is stuck.
    read: timedelta = timedelta(seconds=10)
    #: To compare a container's layer with its image, which takes long where much was written.
    changes: timedelta = timedelta(seconds=30)
    #: Beyond the stop grace, until a container is down, or up again. (`semantics.md` 3: no
    #: answer within stop grace + 30 s is a verdict of its own.)
    slack: timedelta = timedelta(seconds=30)
    #: To create (which fills anonymous volumes from the image), to connect to a network, to
    #: start (which mounts, connects and spawns), to kill and delete: on a busy disk, each.
    step: timedelta = timedelta(seconds=60)
    #: To gather the evidence from before an action, which waits for it: all parts together.
    #: (20.10 needs a second for the stats, before API 1.41 two; 30 ms for all the rest.)
    evidence: timedelta = timedelta(seconds=4)
    #: To measure one of all containers; the engine needs a second or two. Longer, and it is stuck.
    reading: timedelta = timedelta(seconds=4)
    #: To measure everything that runs, fifty at a time.
    room: timedelta = timedelta(seconds=10)
    #: How long the stream of events may be silent until it is opened anew. A connection whose
    #: other end is gone without a word (tcp:// only) looks like a quiet engine; whatever lies
    #: between may forget an idle one, often after four minutes. Costs one request.
    silence: timedelta = timedelta(minutes=2)


#: aiodocker's own status for "cannot connect"; no HTTP status is that high.
_NO_CONNECTION = 900
#: How Docker and Podman word the 404 of a container; their other 404s speak of other things.
_NO_SUCH = "no such container"
_ID = re.compile(r"[0-9a-f]{64}")
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_NETWORK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_SCHEMES = ("unix://", "tcp://", "http://", "https://")


def in_time(not_after: Deadline) -> None:
    """
    Go on only before a moment of the event loop's clock: called right before a request.

    :raises TooLate: it has passed
    """
    late = asyncio.get_running_loop().time() - not_after()
    if late > 0:
        raise TooLate(f"{late:.1f} s too late to begin")


def still_ours(not_after: Deadline, what_stands: str) -> None:
    """
    Go on only in time, where something was done already.

    :param what_stands: how it is left for whoever goes on with it
    :raises LeaseLost: it is too late
    """
    try:
        in_time(not_after)
    except TooLate as exc:
        raise LeaseLost(f"{what_stands}: {exc}") from exc


def checked_id(container_id: str) -> str:
    """
    Return a container id that may become part of a request.

    aiodocker pastes it into a path in which yarl resolves ``..``: the "container" ``prune?``
    would turn a restart into ``POST /containers/prune?/restart`` and delete every stopped
    container; and the engine itself takes a prefix of an id for the id.

    :raises ValueError: it is not 64 lower-case hexadecimal digits
    """
    if not isinstance(container_id, str) or _ID.fullmatch(container_id) is None:
        raise ValueError("a container is named by its full id: 64 lower-case hexadecimal digits")
    return container_id


def checked_image_id(image_id: str) -> str:
    """Return an image id that may become part of a request, else ValueError."""
    if _IMAGE_ID.fullmatch(image_id) is None:
        raise ValueError("an image is named by its id: sha256: and 64 hexadecimal digits")
    return image_id


def checked_network_id(network_id: str) -> str:
    """
    Return a network's id that may become part of a request, else ValueError.

    Not always 64 digits: Swarm's own ids have 25 letters and digits.
    """
    if _NETWORK_ID.fullmatch(network_id) is None:
        raise ValueError("a network's id holds letters, digits, '_', '.' and '-' only")
    return network_id


class EngineConnection:
    """
    A connection to one engine, made on first use inside the running loop.

    The API version is negotiated, never pinned (engines have dropped old ones), and again
    after every failure: what answers next may be another version.

    :param url: ``unix:///path/to/socket`` or ``tcp://host:port``; ValueError for anything else
    """

    def __init__(self, url: str, bounds: Bounds | None = None) -> None:
        if not url.startswith(_SCHEMES):
            raise ValueError("an engine's address starts with unix:// or tcp://")
        self._url = url
        self.bounds = bounds or Bounds()
        self._client: Docker | None = None
        self._streams: set[aiohttp.StreamReader] = set()

    async def close(self) -> None:
        """Close what is open, streams that are read included. Harmless when nothing is."""
        client, self._client = self._client, None
        # aiohttp closes their connections, but leaves whoever reads waiting for ever.
        for stream in self._streams:
            stream.set_exception(aiohttp.ClientConnectionError("closed by us"))
        if client is not None:
            await client.close()

    @property
    def is_local(self) -> bool:
        """Whether it goes to a socket of this host (the engine may still be in a machine in it)."""
        return self._url.startswith("unix://")

    @property
    def api_version(self) -> tuple[int, int]:
        """The negotiated version of the API, such as (1, 41); after a call that succeeded."""
        found = (
            re.fullmatch(r"v(\d{1,4})\.(\d{1,4})", self._client.api_version)
            if self._client
            else None
        )
        if found is None:
            raise EngineUnavailable("the engine has not told its API version")
        return int(found[1]), int(found[2])

    def renegotiate(self) -> None:
        """Forget the API version; the next call asks for it."""
        if self._client is not None:
            self._client.api_version = "auto"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Docker]:
        """
        Ask the engine something that concerns no single container.

        Every failure is the engine's: `EngineUnavailable`.
        """
        async with self._translated(self.bounds.read, acting=False) as client:
            try:
                yield client
            except DockerError as exc:
                if exc.status != _NO_CONNECTION:
                    self.renegotiate()
                    raise EngineUnavailable(f"the engine answers {exc}") from exc
                raise

    @asynccontextmanager
    async def about(
        self, container_id: str, *, within: timedelta | None = None, acting: bool = False
    ) -> AsyncIterator[Docker]:
        """
        Ask or tell the engine something about one container.

        :param within: how long the whole may take; None: as long as a look
        :param acting: the request changes something, so no answer means *unknown*
        :raises EngineUnavailable: it cannot be reached, or was only asked and is silent
        :raises EngineSilent: it was told something and is silent
        :raises ContainerGone: 404 for the container itself
        :raises EngineRefused: any other status; 304 (nothing to do) is no error
        """
        await self._negotiate()
        async with self._translated(within or self.bounds.read, acting=acting) as client:
            try:
                yield client
            except DockerError as exc:
                if exc.status == _NO_CONNECTION:
                    raise
                if exc.status == 400 and "client version" in exc.message:
                    # The engine was exchanged for one that does not speak our version.
                    self.renegotiate()
                    raise EngineUnavailable(exc.message) from exc
                # Starting a container whose network was deleted is a 404 as well.
                if exc.status == 404 and (not acting or _NO_SUCH in exc.message.lower()):
                    raise ContainerGone(f"{container_id[:12]}: {exc.message}") from exc
                raise EngineRefused(exc.status, f"{container_id[:12]}: {exc.message}") from exc

    @asynccontextmanager
    async def streaming(
        self, path: str, params: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """
        Ask for an answer that has no end; closed with the block, at once.

        To get its beginning is bounded like a look; reading on is not. Every failure of the
        engine within the block is `EngineUnavailable`.
        """
        async with AsyncExitStack() as stack:
            async with self.reading() as client:
                # aiodocker's own `events` has a task that, once ended, never runs again and
                # whose error comes out of `close`.
                answer = await stack.enter_async_context(client._query(path, params=dict(params)))
                stack.callback(answer.close)
            self._streams.add(answer.content)
            stack.callback(self._streams.discard, answer.content)
            try:
                yield answer.content
            except (aiohttp.ClientError, OSError) as exc:
                self.renegotiate()
                raise EngineUnavailable(f"the connection to the engine is lost: {exc}") from exc

    async def _negotiate(self) -> None:
        """
        Agree on a version before anything is asked about a container.

        aiodocker does it as part of the first request; there a sick engine's 5xx would be
        taken for an answer about the container.
        """
        if self._client is None or self._client.api_version == "auto":
            async with self.reading() as client:
                await client.version()

    @asynccontextmanager
    async def _translated(self, within: timedelta, *, acting: bool) -> AsyncIterator[Docker]:
        try:
            async with asyncio.timeout(within.total_seconds()):
                yield self._opened()
        except aiohttp.ConnectionTimeoutError as exc:
            self.renegotiate()
            raise EngineUnavailable("no connection to the engine in time") from exc
        except TimeoutError as exc:
            self.renegotiate()
            silence = EngineSilent if acting else EngineUnavailable
            raise silence(f"no answer from the engine within {within.total_seconds():g} s") from exc
        except DockerError as exc:
            self.renegotiate()
            # aiodocker says 900 both for "nobody listens" and for "hung up in mid-answer".
            # In the second case the engine may well have begun.
            begun = acting and not isinstance(exc.__context__, aiohttp.ClientConnectorError)
            raise (EngineSilent if begun else EngineUnavailable)(exc.message) from exc
        except (aiohttp.ClientError, OSError, *UNREADABLE) as exc:
            # The latter: what answers is no engine, or a proxy that speaks for it.
            self.renegotiate()
            silence = EngineSilent if acting else EngineUnavailable
            raise silence(f"no answer that can be read: {exc}") from exc

    def _opened(self) -> Docker:
        if self._client is None:
            # No total here: each call has its own bound. Without url, aiodocker looks for
            # sockets and fails with an AssertionError where it finds none.
            self._client = Docker(
                url=self._url,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self.bounds.connect.total_seconds()
                ),
            )
        return self._client
