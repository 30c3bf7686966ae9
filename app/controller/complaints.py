"""Steps that fail, as they are counted and logged: only a changed failure is news."""

from typing import Final

import structlog

from app.controller.telemetry import Telemetry

log: Final = structlog.get_logger("relevo.worker")


class Complaints:
    """Knows what each target's last step failed with."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._last: dict[str, str] = {}

    def say(self, what: str, exc: Exception, *, unexpected: bool = False) -> None:
        """Count a failure, and log it where it is another than the last of the same."""
        error = f"{type(exc).__name__}: {exc}"
        self._telemetry.step_errors.labels(error=type(exc).__name__).inc()
        if self._last.get(what) == error:
            log.debug("step failed again", what=what, error=error)
            return
        self._last[what] = error
        if unexpected:
            log.error("step failed unexpectedly, will be repeated", what=what, exc_info=exc)
        else:
            log.warning("step failed, will be repeated", what=what, error=error)

    def over(self, what: str) -> None:
        """Take what did not fail: if it does again, that is news."""
        self._last.pop(what, None)
