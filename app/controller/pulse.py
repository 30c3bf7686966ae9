"""The event loop's own pulse: a loop that hangs can neither act in time nor say so."""

import asyncio
import faulthandler
import sys
import threading
from typing import Final

import structlog

from app.controller.telemetry import Telemetry

log: Final = structlog.get_logger("relevo.pulse")

_EVERY_S: Final = 0.5
#: A loop that has not moved for this long hangs: a leader that cannot renew is as good as gone.
_HANGS_S: Final = 2.0


class Pulse:
    """
    Measures how late the loop wakes, and has a thread look whether it wakes at all.

    A leader whose loop has hung is kept from acting by the age of its last renewal, see `Tenure`.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._moved = threading.Event()
        self._over = threading.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()
        try:
            while True:
                asked = loop.time() + _EVERY_S
                await asyncio.sleep(_EVERY_S)
                self._moved.set()
                self._telemetry.loop_lag_seconds.observe(max(0.0, loop.time() - asked))
        finally:
            self._over.set()
            self._moved.set()

    def _watch(self) -> None:
        """Say where a loop hangs while it does: afterwards nobody can tell."""
        while not self._over.is_set():
            self._moved.clear()
            if self._moved.wait(_EVERY_S + _HANGS_S):
                self._over.wait(_EVERY_S)
                continue
            log.error("the event loop hangs, its stack goes to standard error")
            faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            self._moved.wait()
