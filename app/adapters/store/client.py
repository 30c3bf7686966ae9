"""
The connection to Redis: our own timeouts, few retries, and our own errors.

redis-py's defaults (ten retries, five seconds each) would keep a webhook waiting for longer
than Alertmanager does: a PING to a closed port took 4.1 s.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from app.adapters.store.codec import text
from app.adapters.store.keys import SCHEMA, Keys
from app.adapters.store.packing import packed_by_hiredis
from app.errors import BadConfiguration, LeaseLost, StoreRegressed, StoreUnavailable

#: To connect, and to get one answer. An append with fsync takes milliseconds; the slowest
#: seen while a disk was rewriting its log was below a second.
_CONNECT_S: Final = 0.5
_ANSWER_S: Final = 1.0
#: For the whole call, its one repetition included: the caller's 503 leaves within 2 s.
_CALL_S: Final = 1.5
#: Connections at once; beyond that a call fails instead of queueing unseen.
_CONNECTIONS: Final = 64


def connect(url: str) -> Redis:
    """
    Make a client; it connects with its first call. Replies are bytes.

    :param url: ``redis://``, ``rediss://`` or ``unix://``
    :raises BadConfiguration: no such URL
    """
    try:
        client: Redis = Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=_ANSWER_S,
            max_connections=_CONNECTIONS,
            # One more try: after a restart of the server every pooled connection is dead.
            # All scripts may be applied twice.
            retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
            # RESP2 and no names spare three requests per connection, and a handshake for
            # notices of a cloud service.
            protocol=2,
            driver_info=None,
        )
    except ValueError as exc:
        # The URL may hold a password, so it is not repeated here.
        raise BadConfiguration(f"RELEVO_REDIS_URL: {exc}") from exc
    packed_by_hiredis(client.connection_pool)
    return client


class Line:
    """
    One client, the names of its keys, and the version of what it finds there.

    Every request goes through `answering`. The version is read with the first one that is
    answered, so that a Redis which is not up yet keeps nobody from starting.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis: Final = redis
        self.keys: Final = keys
        self._is_ours = False
        #: Name of the history that this one is; empty: nobody has told yet, any will do.
        self.epoch = ""
        #: Who we are while we lead; empty: we do what anybody may.
        self.life = ""
        #: The server was restarted, and whoever leads has not looked at it yet.
        self.is_new = False
        #: Of the server's process that was looked at last, empty where it does not tell; None:
        #: none was.
        self.run_id: str | None = None
        #: Texts of the scripts that this client calls.
        self.scripts: list[str] = []
        self._heard = 0
        #: Called where the store turns out to be another one, or a restarted one.
        self.doubt: Callable[[], None] = lambda: None

    @property
    def heard(self) -> int:
        """The highest counter that the store has told: a lower one is an older store."""
        return self._heard

    def hear(self, counter: int) -> None:
        """Keep the counter that came with an answer."""
        self._heard = max(self._heard, counter)

    def trust(self, epoch: str, counter: int) -> None:
        """From now on, this is the store."""
        self.epoch = epoch
        self._heard = counter

    async def meet(self, run_id: str) -> None:
        """Take in which process the server is; one that we do not know is sent all scripts."""
        if self.is_new or run_id != self.run_id:
            for script in self.scripts:
                await self.redis.script_load(script)
        self.is_new, self.run_id = False, run_id

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """
        Ask Redis inside of this.

        :raises StoreUnavailable: for whatever went wrong; it may have been applied nevertheless
        :raises StoreRegressed: it is not the store that it was; nothing was written
        :raises LeaseLost: another controller leads; nothing was written
        """
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(_CALL_S):
                if not self._is_ours:
                    await self._check_schema()
                yield
        except (RedisError, OSError) as exc:
            if isinstance(exc, ResponseError) and str(exc).startswith("LOST "):
                self.doubt()
                raise StoreRegressed(f"Redis has lost what it kept: {str(exc)[5:]}") from exc
            if isinstance(exc, ResponseError) and str(exc).startswith("NOTLEADING"):
                raise LeaseLost("another controller leads now") from exc
            raise StoreUnavailable(_sentence(exc)) from exc
        except RuntimeError as exc:
            # uvloop says so when it writes to a connection that the server has closed.
            if "closed" not in str(exc):
                raise
            raise StoreUnavailable(f"Redis closed the connection: {exc}") from exc
        if task and task.cancelling() > cancels:
            # redis-py sends within asyncio.wait_for, which in Python 3.11 drops a cancellation
            # that comes as the sending ends (cpython#86296): a loop would never stop.
            raise asyncio.CancelledError

    async def _check_schema(self) -> None:
        """Refuse what a newer Relevo has written: we would misread it, and write over it."""
        found = await self.redis.hget(self.keys.meta, "schema")
        if found is None:
            await self.redis.hsetnx(self.keys.meta, "schema", str(SCHEMA))
            found = await self.redis.hget(self.keys.meta, "schema")
        version = text(found or b"", key=self.keys.meta)
        if not version.isdecimal() or int(version) > SCHEMA:
            raise StoreUnavailable(
                f"this Redis holds version {version!r} of Relevo's data and this Relevo knows "
                f"{SCHEMA}: run the newer Relevo, or set RELEVO_REDIS_URL to another Redis"
            )
        self._is_ours = True


def _sentence(exc: Exception) -> str:
    match exc:
        case AuthenticationError() | NoPermissionError():
            return f"Redis does not let us in; check RELEVO_REDIS_URL and the user's rights: {exc}"
        case BusyLoadingError():
            return "Redis is still loading its data"
        case OutOfMemoryError():
            return "Redis is full: raise its maxmemory"
        case ReadOnlyError():
            return "Redis is a read-only replica: RELEVO_REDIS_URL must lead to the primary"
        case TimeoutError() | OSError() if "imeout" in str(exc) or not str(exc):
            return "Redis gave no answer in time"
        case ConnectionError() | OSError():
            return f"Redis cannot be reached: {exc}"
    text = str(exc)
    if "MISCONF" in text:
        return f"Redis cannot write to its disk: {text}"
    if "OOM " in text:
        return "Redis is full: raise its maxmemory"
    if "READONLY" in text:
        return "Redis is a read-only replica: RELEVO_REDIS_URL must lead to the primary"
    return f"Redis answered an error: {text}"
