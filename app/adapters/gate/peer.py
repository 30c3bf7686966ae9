"""Who is at the other end of a unix socket, by the kernel's word."""

import socket
import struct
from typing import Final

from aiohttp import web

#: Process, user and group.
_CREDENTIALS: Final = struct.Struct("3i")


def user_of(request: web.Request) -> int | None:
    """Tell which user's process has asked; None where that is not known."""
    ours = None if request.transport is None else request.transport.get_extra_info("socket")
    if ours is None:
        return None
    told = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[1])
