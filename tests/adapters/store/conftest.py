"""One behavioural suite over two stores: in memory, and a real Redis that it starts itself."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from app.adapters.store import open_store
from app.ports import Store
from tests.adapters.store.server import RedisServer
from tests.memory_store import make_store
from tests.parts import require


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory whose name leaves room for that of a socket (108 bytes in all)."""
    with TemporaryDirectory(prefix="relevo-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def shared_server(short_dir: Path) -> Iterator[RedisServer]:
    """
    The server of all tests that leave it as it is; each uses its own namespace.

    Relevo is there as the user that it is shipped with.
    """
    server = RedisServer(require("redis"), short_dir / "shared", keys="*{relevo}:*").start()
    yield server
    refused = denied(server)
    server.kill()
    assert refused == []


def denied(server: RedisServer) -> list[object]:
    """What a server did not let somebody do."""
    with BlockingRedis.from_url(server.admin, protocol=2) as client:
        return [(one["username"], one["object"], one["reason"]) for one in client.acl_log()]


@pytest.fixture
def server(short_dir: Path) -> Iterator[RedisServer]:
    """A server of one test, set up as Relevo ships it."""
    directory = short_dir / uuid4().hex[:8]
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    server = RedisServer(require("redis"), directory, *durable, keys="{relevo}:*").start()
    yield server
    server.kill()


@pytest.fixture
def namespace() -> str:
    return f"{uuid4().hex}:"


@pytest.fixture
async def redis_store(shared_server: RedisServer, namespace: str) -> AsyncIterator[Store]:
    """An empty store in the shared server."""
    async with open_store(shared_server.url, namespace=namespace) as store:
        yield store


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def store(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Store]:
    """An empty store of either kind."""
    if request.param == "memory":
        yield make_store()
        return
    # Asked for here and not as an argument: the memory store needs no server.
    server: RedisServer = request.getfixturevalue("shared_server")
    async with open_store(server.url, namespace=namespace) as store:
        yield store


@pytest.fixture
async def own_store(server: RedisServer) -> AsyncIterator[Store]:
    async with open_store(server.url) as store:
        yield store


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    """What an operator does to the server."""
    async with Redis.from_url(server.admin, protocol=2) as client:
        yield client
