"""What became of notifications, and how that is told: in numbers, and in lines of the log."""

import asyncio
import math
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter

from app.controller.telemetry import Telemetry
from app.domain.decision import Reason
from app.errors import StoreUnavailable

log: Final = structlog.get_logger("relevo.intake")

#: For so long the notifications of a storm share a line, in seconds.
_SHARED_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the alerts of one notification."""

    #: Firing ones that are kept, those known already included.
    accepted: int = 0
    resolved: int = 0
    stale: int = 0
    #: Not for us: another engine, not opted in, no such container, our own outcome.
    skipped: int = 0
    #: Unreadable, kept aside.
    set_aside: int = 0


class Counting:
    """Counts notifications, and writes a line for each; in a storm one for all of a second."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        #: Found once: there are a handful.
        self._series: dict[str, Counter] = {}
        self._untold: Tally[str] = Tally()
        self._reasons: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: Notifications that were sent away since the last line that said so, and its time.
        self._refused = 0
        self._refused_at = -math.inf

    def count(self, counts: Counts, skipped: Sequence[Reason], *, in_storm: bool) -> None:
        """
        Count one notification, and tell of it.

        :param skipped: why alerts of it are not for us, each
        """
        self._inc("accepted", counts.accepted)
        self._inc("resolved", counts.resolved)
        self._inc("stale", counts.stale, Reason.STALE)
        self._inc("set_aside", counts.set_aside)
        for reason in skipped:
            self._telemetry.skipped(reason)
        reasons = {*skipped, Reason.STALE} if counts.stale else set(skipped)
        if not in_storm:
            log.info("notification", **_words(counts), reasons=_listed(reasons))
            return
        self._untold["notifications"] += 1
        self._untold.update(_words(counts))
        self._reasons |= reasons
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SHARED_S, self.tell)

    def refuse(self, number: int, exc: StoreUnavailable) -> None:
        """Count alerts that could not be kept; a line a second tells of their notifications."""
        self._telemetry.alerts.labels(result="refused", reason=Reason.STORE_DOWN).inc(number)
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._refused_at < _SHARED_S:
            return
        reason, refused = str(Reason.STORE_DOWN), self._refused
        log.warning("refused", reason=reason, error=str(exc), notifications=refused)
        self._refused, self._refused_at = 0, now

    def tell(self) -> None:
        """Write the line of those that have none yet."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        log.info("notifications", **self._untold, reasons=_listed(self._reasons))
        self._untold.clear()
        self._reasons.clear()

    def _inc(self, result: str, number: int, reason: str = "") -> None:
        series = self._series.get(result)
        if series is None:  # it is there from the first notification on, with whatever number
            series = self._telemetry.alerts.labels(result=result, reason=reason)
            self._series[result] = series
        if number:
            series.inc(number)


def _words(counts: Counts) -> dict[str, int]:
    return {
        "accepted": counts.accepted,
        "resolved": counts.resolved,
        "stale": counts.stale,
        "skipped": counts.skipped,
        "set_aside": counts.set_aside,
    }


def _listed(reasons: set[Reason] | set[str]) -> str | None:
    return ",".join(sorted(reasons)) or None
