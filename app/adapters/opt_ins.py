"""Whom the policy file opts in, for the collector, which has no other use of it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from app.adapters.policy_file import load_rulebook
from app.errors import BadConfiguration
from app.policies.spec import Enable

_log: Final = structlog.get_logger(__name__)


class OptIns:
    """
    Reads the file whenever it is another one; a wrong one changes nothing, as in the controller.

    Nobody has to ask, unlike there: taken for one that Relevo does not look after, a container
    would have its alerts' ends told twice; the other way round only once too few.

    :param path: None: there is none, or nobody has said where, which looks the same from here
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        #: Its entries ``enable``; None: nobody knows them.
        self.enable: tuple[Enable, ...] | None = None
        #: The file that was read last: when it or its mode was changed, its size, which one.
        self._read: tuple[int, int, int] | None = None
        self._trouble: str | None = None

    async def run(self, *, every: timedelta) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(every.total_seconds())
            await self.look()

    async def look(self) -> None:
        """Read the file where it has changed. Never raises: the measuring goes on without it."""
        if self._path is None:
            return
        # A large file takes seconds.
        trouble = await asyncio.to_thread(self._look, self._path)
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble is not None:
                _log.warning("collector.policies_unread", error=trouble)

    def _look(self, path: Path) -> str | None:
        """Tell what is wrong with it; None: nothing."""
        try:
            found = path.stat()
        except OSError as exc:
            self._read = None
            return f"{path}: cannot be read: {exc.strerror or exc}"
        # Before it is read: what is written meanwhile makes it another one at the next look.
        mark = (found.st_ctime_ns, found.st_size, found.st_ino)
        if mark == self._read:
            return self._trouble
        try:
            self.enable = load_rulebook(path).enable
        except BadConfiguration as exc:
            self._read = mark
            return str(exc)
        except Exception as exc:  # noqa: BLE001 -- a file nobody foresaw
            return f"{path}: {type(exc).__name__}: {exc}"
        self._read = mark
        return None
