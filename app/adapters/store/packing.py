"""Requests to Redis packed by hiredis, which redis-py itself has do so only where it blocks."""

from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection


def packed_by_hiredis(pool: ConnectionPool) -> None:
    """
    Have the connections of a pool pack what they send in C.

    A script call with 64 alerts has some hundred arguments, and is packed while all else waits.
    """
    kind = pool.connection_class
    pool.connection_class = type(f"Packed{kind.__name__}", (_Packed, kind), {})


class _Packed(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack one request; the name of one may be two words."""
        name, *rest = args
        words = name.split() if isinstance(name, str | bytes) else [name]
        return [hiredis.pack_command((*words, *rest))]
