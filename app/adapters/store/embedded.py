"""
A Redis-compatible server as a child process, where no other is given.

One data directory belongs to one Relevo and to one server, each with a lock of its own. The
server holds its lock itself (the descriptor is handed down to it), so even one that
outlived a killed Relevo keeps a second from writing into the same files.
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog

from app.adapters.store.child import ServerProcess
from app.adapters.store.server_program import find_server
from app.errors import BadConfiguration

log: Final = structlog.get_logger("relevo.store")

#: How long the server of a killed Relevo may take to end; it has nothing left to write.
_ORPHAN_ENDS: Final = timedelta(seconds=10)
#: Between two looks at what another process does.
_LOOK_S: Final = 0.02
#: Linux allows 107 bytes for the path of a socket, macOS 103.
_LONGEST_SOCKET: Final = 100


@asynccontextmanager
async def embedded_server(
    data_dir: Path, *, program: Sequence[str] | None = None
) -> AsyncIterator[str]:
    """
    Run a server for as long as this is open; yield the URL of its unix socket.

    It ends with this process, however that ends, and is started again when it ends by
    itself. On Linux "this process" is the thread that opened it: open it from one that lasts.

    :param data_dir: where the append-only file, the log and the locks are; made if missing
    :param program: command of the server; found by itself where not given
    :raises BadConfiguration: the directory is in use or cannot be written, or no server starts
    """
    command = program or await find_server()
    data_dir = _made(data_dir)
    async with AsyncExitStack() as stack:
        stack.enter_context(closing(_lock_for_us(data_dir)))
        lock = stack.enter_context(closing(await _lock_for_server(data_dir)))
        socket = stack.enter_context(_socket_in(data_dir))
        _remember(lock, socket)
        server = ServerProcess(command, data_dir=data_dir, socket=socket, lock=lock.fileno())
        await stack.enter_async_context(server)
        yield f"unix://{quote(str(socket))}"


def _made(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return data_dir.resolve()
    except OSError as exc:
        raise BadConfiguration(f"RELEVO_DATA_DIR: cannot use {data_dir}: {exc}") from exc


def _open(path: Path) -> FileIO:
    try:
        return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    except OSError as exc:
        raise BadConfiguration(f"RELEVO_DATA_DIR: cannot write {path}: {exc}") from exc


def _has_locked(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_for_us(data_dir: Path) -> FileIO:
    file = _open(data_dir / "relevo.lock")
    if not _has_locked(file):
        file.close()
        raise BadConfiguration(
            f"another Relevo is using {data_dir}: stop it, or set RELEVO_DATA_DIR to another "
            "directory"
        )
    return file


async def _lock_for_server(data_dir: Path) -> FileIO:
    """Take the lock that the server will hold; one of a killed Relevo is asked to leave."""
    file = _open(data_dir / "server.lock")
    if _has_locked(file):
        return file
    socket = file.read(4096).decode(errors="replace")
    log.warning("the server of an earlier run is still there, ending it", socket=socket)
    try:
        async with asyncio.timeout(_ORPHAN_ENDS.total_seconds()):
            await _ask_to_end(socket)
            while True:
                if _has_locked(file):
                    return file
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as exc:
        file.close()
        raise BadConfiguration(
            f"a server of an earlier Relevo still uses {data_dir} and does not end: find it "
            f"with 'fuser {data_dir / 'server.lock'}' and stop it"
        ) from exc
    except BaseException:
        file.close()
        raise


async def _ask_to_end(socket: str) -> None:
    # On Linux it was told by the kernel already; elsewhere nobody else would tell it.
    with suppress(OSError, ValueError):
        reader, writer = await asyncio.open_unix_connection(socket)
        with closing(writer):
            writer.write(b"SHUTDOWN NOSAVE\r\n")
            await reader.read()


def _remember(lock: FileIO, socket: Path) -> None:
    """Leave a note where the server can be asked to end."""
    os.ftruncate(lock.fileno(), 0)
    os.pwrite(lock.fileno(), os.fsencode(socket), 0)


@contextmanager
def _socket_in(data_dir: Path) -> Iterator[Path]:
    """Name the socket: in the data directory, or in a short one where that name is too long."""
    socket = data_dir / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET:
        yield socket
        return
    with tempfile.TemporaryDirectory(prefix="relevo-") as short:
        yield Path(short) / "redis.sock"
