"""The Lua scripts: a file each, found through the package's resources."""

import re
from importlib import resources
from typing import Final

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

#: ``-- include story``: that file's text in place of the line, for scripts that write alike.
_INCLUDE: Final = re.compile(r"^-- include (\w+)$", re.MULTILINE)


def load_script(client: Redis, name: str) -> AsyncScript:
    """
    Return the script ``lua/<name>.lua``, ready to call.

    redis-py calls it by its hash and sends the text again by itself when the server
    has forgotten it (after a restart or SCRIPT FLUSH).
    """
    return client.register_script(script_text(name))


def script_text(name: str) -> str:
    """Text of ``lua/<name>.lua`` with what it includes."""
    return _INCLUDE.sub(lambda line: script_text(line[1]), _read(name))


def _read(name: str) -> str:
    source = resources.files(__package__).joinpath("lua", f"{name}.lua")
    return source.read_text(encoding="utf-8")
