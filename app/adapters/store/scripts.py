"""The Lua scripts: a file each, found through the package's resources, run within a frame."""

import re
from collections.abc import Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, Final

from redis.exceptions import ConnectionError, NoScriptError

from app.adapters.store.arguments import Piece
from app.adapters.store.client import Line
from app.adapters.store.codec import unreadable

#: ``-- include story``: that file's text in place of the line, for scripts that write alike.
_INCLUDE: Final = re.compile(r"^-- include (\w+)$", re.MULTILINE)
#: Where ``frame.lua`` has the script that it is around.
_PLACE: Final = "-- script\n"


class Script:
    """
    One script within ``lua/frame.lua``; called inside of `Line.answering`.

    It is called by its hash. A server that was looked at knows it; one that does not was
    restarted since then (or somebody has said SCRIPT FLUSH), and nothing that only the leader may
    do is done before he has looked again.

    :param leads: only the leader may do this
    :param writes: it leaves a mark in the store's counter
    """

    def __init__(self, line: Line, name: str, *, leads: bool = False, writes: bool = True) -> None:
        self._line = line
        self._text = script_text(name)
        self._hash = sha1(self._text.encode(), usedforsecurity=False).hexdigest()
        line.scripts.append(self._text)
        self._leads = leads
        self._writes = int(writes)

    async def __call__(self, *, keys: Sequence[str], args: Sequence[Piece]) -> Any:
        """
        Run it.

        :raises redis.exceptions.RedisError: see `Line.answering`
        :raises Unreadable: the store's counter is no number
        """
        line = self._line
        acts = self._leads and line.life != ""
        if acts and line.is_new:
            raise ConnectionError("Redis was restarted; looking at it first")
        keys = [*keys, line.keys.meta, line.keys.fence, line.keys.leader]
        life = line.life if acts else ""
        args = [*args, line.epoch, line.heard, life, self._writes]
        try:
            found = await self._run(keys, args)
        except NoScriptError:
            line.is_new = line.run_id is not None
            line.doubt()
            if acts and line.is_new:
                raise ConnectionError("Redis was restarted; looking at it first") from None
            await line.redis.script_load(self._text)
            found = await self._run(keys, args)
        # Where the counter is no number the answer has neither.
        if len(found) != 2 or not isinstance(found[0], int):
            raise unreadable(line.keys.fence, ValueError("it is no number"))
        counter, answer = found
        line.hear(counter)
        return answer

    async def _run(self, keys: Sequence[str], args: Sequence[Piece]) -> Any:
        return await self._line.redis.evalsha(self._hash, len(keys), *keys, *args)


def script_text(name: str) -> str:
    """Text of ``lua/<name>.lua`` with what it includes, in its frame."""
    return _read("frame").replace(_PLACE, included(name), 1)


def included(name: str) -> str:
    """Text of ``lua/<name>.lua`` with what it includes."""
    return _INCLUDE.sub(lambda line: included(line[1]), _read(name))


def _read(name: str) -> str:
    source = resources.files(__package__).joinpath("lua", f"{name}.lua")
    return source.read_text(encoding="utf-8")
