"""Where the gate listens: a unix socket for its owner and group, and who is at the other end."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from app.adapters.gate.server import Server
from app.errors import BadConfiguration


@asynccontextmanager
async def listening(path: Path, server: Server, *, grace_s: float) -> AsyncIterator[None]:
    """
    Listen within the block; then end what is under way, within `grace_s` seconds.

    :raises BadConfiguration: the address cannot be listened on
    """
    # (Nothing is unpacked: what is small on its way may be large then, and nobody packs it.)
    runner = web.AppRunner(server.app(), access_log=None, handle_signals=False,
                           shutdown_timeout=grace_s, auto_decompress=False)  # fmt: skip
    await runner.setup()
    try:
        try:
            ours = _bound(path)
        except OSError as exc:
            raise BadConfiguration(
                f"RELEVO_GATE_SOCKET: cannot listen on {path}: {exc}; its directory must be there, "
                "writable, and the path shorter than 108 bytes"
            ) from exc
        await web.SockSite(runner, ours).start()
        try:
            yield
        finally:
            # Who comes now finds nobody, and not somebody who does not answer.
            await asyncio.to_thread(path.unlink, missing_ok=True)
    finally:
        await runner.cleanup()
        for task in server.tickets.tasks:
            task.cancel()
        await asyncio.gather(*server.tickets.tasks, return_exceptions=True)


def _bound(path: Path) -> socket.socket:
    """Bind a socket that from its first moment only owner and group may use."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("something else is there")
        path.unlink()  # of a gate before: the journal's lock says that there is no other
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        ours.bind(str(path))
    except OSError:
        ours.close()
        raise
    finally:
        os.umask(before)
    return ours
