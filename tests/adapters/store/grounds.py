"""One store that several controllers share, and that may lose its memory."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from copy import deepcopy
from typing import Protocol, cast

from redis.asyncio import Redis

from app.adapters.store import open_store
from app.ports import Store
from tests.adapters.store.asking import everything
from tests.adapters.store.server import RedisServer
from tests.memory_store import MemoryStore, make_view


class Ground(Protocol):
    """What two kinds of store have in common for a test that is not a controller."""

    async def controller(self) -> Store:
        """Open the store once more, as another controller does."""
        ...

    async def keep(self) -> object:
        """Copy all that it holds."""
        ...

    async def back(self, copy: object) -> None:
        """Be what it was when this copy was made."""
        ...

    async def empty(self) -> None:
        """Hold nothing."""
        ...

    async def told(self) -> object:
        """All that it holds, to compare; copies of the same are equal."""
        ...


class MemoryGround:
    """See `Ground`."""

    def __init__(self) -> None:
        self._memory = MemoryStore()

    async def controller(self) -> Store:
        """See `Ground`."""
        return make_view(lambda: self._memory)

    async def keep(self) -> object:
        """See `Ground`."""
        return deepcopy(self._memory)

    async def back(self, copy: object) -> None:
        """See `Ground`."""
        assert isinstance(copy, MemoryStore)
        self._memory = copy

    async def empty(self) -> None:
        """See `Ground`."""
        self._memory = MemoryStore()

    async def told(self) -> object:
        """See `Ground`."""
        return _plain(self._memory)


class RedisGround:
    """See `Ground`; a namespace of a server."""

    def __init__(self, stack: AsyncExitStack, server: RedisServer, namespace: str) -> None:
        self._stack = stack
        self._url = server.url
        self._namespace = namespace
        self._admin: Redis = Redis.from_url(server.admin, protocol=2)
        stack.push_async_callback(self._admin.aclose)

    async def controller(self) -> Store:
        """See `Ground`."""
        return await self._stack.enter_async_context(
            open_store(self._url, namespace=self._namespace)
        )

    async def keep(self) -> object:
        """See `Ground`."""
        return {name: await self._admin.dump(name) for name in await self._names()}

    async def back(self, copy: object) -> None:
        """See `Ground`."""
        await self.empty()
        for name, dumped in cast("Mapping[bytes, bytes]", copy).items():
            await self._admin.restore(name, 0, dumped)

    async def empty(self) -> None:
        """See `Ground`."""
        for name in await self._names():
            await self._admin.delete(name)

    async def told(self) -> object:
        """See `Ground`."""
        found = await everything(self._admin, f"{self._namespace}*")
        return {name: value for name, value in found.items() if b":handed:" not in name}

    async def _names(self) -> list[bytes]:
        return cast("list[bytes]", await self._admin.keys(f"{self._namespace}*"))


def _plain(value: object) -> object:
    """Values all the way down: parts of the memory store compare by identity."""
    if isinstance(value, Mapping):
        return {repr(key): _plain(one) for key, one in value.items()}
    if type(value).__module__.startswith("tests.") and hasattr(value, "__dict__"):
        return {
            name: _plain(one)
            for name, one in vars(value).items()
            if name != "_store"  # leads back to where we come from
        }
    return repr(value)
