"""Requests packed in C are those that redis-py itself would send."""

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from app.adapters.store.client import connect

ARGS = (
    ("GET", "key"),
    ("CLIENT INFO",),
    (b"SCRIPT LOAD", "return 1"),
    ("EVALSHA", "0" * 40, 2, "näme", "\u2028", b"\x00\xff\r\n", 7, -1, 1 << 60, ""),
)


def made(redis: Redis) -> AbstractConnection:
    """A connection that has not connected."""
    connection = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    assert isinstance(connection, AbstractConnection)
    return connection


@pytest.mark.parametrize("args", ARGS, ids=lambda args: str(args[0]))
@pytest.mark.parametrize("url", ["redis://localhost", "unix:///nowhere", "rediss://localhost"])
def test_the_bytes_are_the_same(url: str, args: tuple[bytes | str | int, ...]) -> None:
    ours = made(connect(url))
    theirs = made(Redis.from_url(url, protocol=2))

    assert type(ours) is not type(theirs)
    assert b"".join(ours.pack_command(*args)) == b"".join(theirs.pack_command(*args))


def test_half_a_surrogate_is_refused_before_anything_is_sent() -> None:
    connection = made(connect("redis://localhost"))

    with pytest.raises(ValueError, match="surrogates"):
        connection.pack_command("SET", "key", "\ud800")
