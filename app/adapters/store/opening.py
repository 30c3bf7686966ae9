"""Open the store: one client, all parts, one version of what it holds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from app.adapters.store.audit import RedisAudit
from app.adapters.store.casefiles import RedisCaseFiles
from app.adapters.store.client import Line, connect
from app.adapters.store.control import RedisControls
from app.adapters.store.facts import RedisFacts
from app.adapters.store.health import RedisHealth
from app.adapters.store.history import RedisHistory
from app.adapters.store.inbox import RedisInbox
from app.adapters.store.keys import Keys
from app.adapters.store.leadership import RedisLeadership
from app.adapters.store.orders import RedisOrders
from app.adapters.store.outbox import RedisOutbox
from app.adapters.store.records import RedisRecords
from app.adapters.store.scaling import RedisScaling
from app.adapters.store.schedule import RedisSchedule
from app.adapters.store.window import RedisFailureWindow
from app.ports import Store


@asynccontextmanager
async def open_store(redis_url: str, *, namespace: str = "") -> AsyncIterator[Store]:
    """
    Open the store that lives in a Redis; closing waits for what was taken on.

    Redis need not answer yet: until it does, every call raises StoreUnavailable.

    :param redis_url: ``redis://``, ``rediss://`` or ``unix://``
    :param namespace: keeps two Relevos, or two tests, in one Redis apart
    :raises BadConfiguration: no such URL
    """
    async with AsyncExitStack() as stack:
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        yield await stack.enter_async_context(assemble(redis, namespace=namespace))


@asynccontextmanager
async def assemble(redis: Redis, *, namespace: str = "") -> AsyncIterator[Store]:
    """Open the store over a client that somebody else closes; see `open_store`."""
    line = Line(redis, Keys(namespace))
    inbox = RedisInbox(line)
    try:
        yield Store(
            inbox=inbox,
            schedule=RedisSchedule(line),
            records=RedisRecords(line),
            failures=RedisFailureWindow(line),
            history=RedisHistory(line),
            controls=RedisControls(line),
            orders=RedisOrders(line),
            casefiles=RedisCaseFiles(line),
            facts=RedisFacts(line),
            health=RedisHealth(line),
            leadership=RedisLeadership(line),
            outbox=RedisOutbox(line),
            audit=RedisAudit(line),
            scaling=RedisScaling(line),
        )
    finally:
        await inbox.aclose()
