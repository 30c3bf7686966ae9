"""What containers used in the last hour: as Prometheus tells, else as we have measured it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from app.controller.picture import Census
from app.domain.usage import Reading, Used
from app.errors import EngineUnavailable, RelevoError, SourceUnavailable
from app.policies.membership import Member
from app.ports import Clock, ContainerEngine, UsageSource

log: Final = structlog.get_logger("relevo.samples")

SPAN: Final = timedelta(hours=1)
#: Between two readings of ours. A reading costs the engine 5 ms: 50 containers, a hundredth of a
#: core.
EVERY: Final = timedelta(seconds=30)
#: Between two of Prometheus', which scrapes as often.
_STEP: Final = timedelta(seconds=15)
#: Two at a time: steps and verdicts ask the same engine.
_AT_ONCE: Final = 2
#: Containers that are measured by us; who has more has a Prometheus.
MOST: Final = 200
_NOT_SCRAPED: Final = "Prometheus has no samples of it: does it scrape the collector?"
_KEPT: Final = SPAN // EVERY + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one container used in the last hour."""

    #: Oldest first.
    readings: tuple[Reading, ...]
    source: Literal["prometheus", "own"]
    #: Why there is nothing, or not all, in one sentence; None where there is.
    missing: str | None = None


class Samples:
    """Remembers what opted-in containers used; bounded in time and number."""

    def __init__(
        self, engine: ContainerEngine, census: Census, clock: Clock, usage: UsageSource | None
    ) -> None:
        """
        Begin.

        :param usage: who remembers already; None: we measure and remember
        """
        self._engine = engine
        self._census = census
        self._clock = clock
        self._usage = usage
        self._kept: dict[str, deque[Reading]] = {}
        #: The newest reading of each, which the next is the difference to.
        self._last: dict[str, Used] = {}

    async def of(self, target: str) -> Curve:
        """Tell what a target used; never raises, what is missing is part of the answer."""
        if self._usage is None:
            return self._own(target)
        roster = self._census.last
        member = self._member(target)
        if roster is None or member is None:
            return Curve(readings=(), source="prometheus", missing="no such container now")
        now = self._clock.now()
        try:
            found = await self._usage.usage(
                engine=roster.engine,
                container=member.listed.name,
                since=now - SPAN,
                until=now,
                step=_STEP,
            )
        except SourceUnavailable as exc:
            return Curve(readings=(), source="prometheus", missing=str(exc))
        missing = None if found else _NOT_SCRAPED
        return Curve(readings=found, source="prometheus", missing=missing)

    async def run(self) -> None:
        """Measure, until cancelled; where somebody else remembers, there is nothing to do."""
        while True:
            if self._usage is None:
                try:
                    await self.measure()
                except Exception as exc:
                    # The boundary: a curve is not worth a controller.
                    log.error("not measured", exc_info=exc)
            await asyncio.sleep(EVERY.total_seconds())

    async def measure(self) -> None:
        """Take one reading of every opted-in container that runs."""
        try:
            roster = await self._census.roster()
        except EngineUnavailable:
            return
        targets = roster.targets()[:MOST]
        self._forget({str(one.target) for one in targets})
        slots = asyncio.Semaphore(_AT_ONCE)

        async def take(member: Member) -> None:
            async with slots:
                await self._measure(member)

        await asyncio.gather(*(take(one) for one in targets if one.listed.is_running))

    async def _measure(self, member: Member) -> None:
        target = str(member.target)
        try:
            used = await self._engine.used(member.listed.id, at=self._clock.now())
        except RelevoError as exc:
            log.debug("no reading", target=target, error=str(exc))
            return
        before = self._last.pop(target, None)
        if used is None:
            return
        self._last[target] = used
        kept = self._kept.setdefault(target, deque(maxlen=_KEPT))
        kept.append(
            Reading(at=used.at, cpu_cores=_cores(before, used), memory_bytes=used.memory_bytes)
        )

    def _own(self, target: str) -> Curve:
        horizon = self._clock.now() - SPAN
        readings = tuple(one for one in self._kept.get(target, ()) if one.at > horizon)
        missing = None
        if not readings:
            missing = (
                "nothing was measured yet: without a Prometheus (RELEVO_PROMETHEUS_URL) Relevo "
                f"itself reads up to {MOST} containers, every {EVERY.total_seconds():g} s"
            )
        return Curve(readings=readings, source="own", missing=missing)

    def _member(self, target: str) -> Member | None:
        roster = self._census.last
        found: Iterable[Member] = roster.targets() if roster is not None else ()
        return next((one for one in found if str(one.target) == target), None)

    def _forget(self, present: set[str]) -> None:
        for gone in self._kept.keys() - present:
            del self._kept[gone]
            self._last.pop(gone, None)


def _cores(before: Used | None, used: Used) -> float | None:
    """Cores in use between two readings of the same life."""
    if before is None or before.started_at != used.started_at or used.at <= before.at:
        return None
    spent = used.cpu_seconds - before.cpu_seconds
    return max(0.0, spent) / (used.at - before.at).total_seconds()
