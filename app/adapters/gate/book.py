"""The policy file as the gate reads it: anew whenever it is another file, at every action."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from app.adapters.policy_file import load_rulebook
from app.errors import BadConfiguration
from app.policies.spec import Rulebook

log: Final = structlog.get_logger("relevo.gate.policies")

#: A file that nobody has changed for so long is whole, and how often it is looked whether it is.
_RESTS_S: Final = 0.2
_LOOKS: Final = 10

_Mark = tuple[int, int, int, int]


class Book:
    """
    The rulebook that holds now.

    :raises BadConfiguration: at the start, where the file is wrong
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mark = _mark(path)
        self._book = load_rulebook(path)
        self._complaint: str | None = None

    async def current(self) -> Rulebook:
        """
        Return it as the file has it; one that is wrong is left alone, and said.

        One that is being written is waited for: half of it may be a file as well, without what
        protects somebody.
        """
        mark = _mark(self._path)
        if mark == self._mark:
            return self._book
        for _ in range(_LOOKS):
            before = mark
            await asyncio.sleep(_RESTS_S)
            if (mark := _mark(self._path)) == before:
                break
        else:
            return self._book
        try:
            self._book = await asyncio.to_thread(load_rulebook, self._path)
        except BadConfiguration as exc:
            if str(exc) != self._complaint:
                self._complaint = str(exc)
                log.error("the policy file is wrong, the one before holds", error=str(exc))
        else:
            self._mark, self._complaint = mark, None
            log.info("policy file read")
        return self._book


def _mark(path: Path | None) -> _Mark | None:
    """Tell one content of the file from another without reading it; None: there is none."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    # (The last of them cannot be set: a copy may have the time of what it is a copy of.)
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns
