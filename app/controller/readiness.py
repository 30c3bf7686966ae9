"""Whether a container could be scaled out: asked before it is needed, remembered a while."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.domain.decision import Reason
from app.domain.fidelity import Fate, FidelityItem, FidelityReport
from app.domain.observation import Refusal
from app.domain.usage import Room
from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.policies import capacity
from app.policies.spec import Reserve, ScaleOutRules
from app.ports import ContainerEngine

log: Final = structlog.get_logger("relevo.readiness")

#: What a container writes into its layer changes the answer, slowly.
_MAX_AGE: Final = timedelta(minutes=1)
_CAP: Final = 10_000
#: One request asks twice: what is in the way, and for the report.
_ROOM_AGE: Final = timedelta(seconds=10)
#: The field of the report, in Docker's words.
_NEEDS: Final = {
    Reason.NO_MEMORY_HEADROOM: "HostConfig.Memory",
    Reason.NO_CPU_HEADROOM: "HostConfig.NanoCpus",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    #: None: the engine could not say.
    report: FidelityReport | None
    #: By the loop's clock.
    at: float


class Readiness:
    """Dry runs of clones."""

    def __init__(self, engine: ContainerEngine) -> None:
        self._engine = engine
        self._answers: dict[tuple[str, ScaleOutRules], _Answer] = {}
        #: What the host had free, and when by the loop's clock; of the container asked for last.
        self._rooms: dict[str, tuple[Room, float]] = {}

    async def report(
        self, container_id: str, rules: ScaleOutRules, *, now: datetime
    ) -> FidelityReport | None:
        """Tell what a clone would share with its source; None where the engine cannot say now."""
        key = (container_id, rules)
        known = self._answers.get(key)
        asked_at = asyncio.get_running_loop().time()
        if known is not None and asked_at - known.at < _MAX_AGE.total_seconds():
            return known.report
        report: FidelityReport | None = None
        try:
            result = await self._engine.clone(
                container_id, attempt_id="dry-run", rules=rules, at=now, dry_run=True
            )
            report = result.report
        except (EngineUnavailable, EngineRefused, ContainerGone) as exc:
            # Remembered as well: asking takes up to half a minute where the engine is slow.
            log.warning("no dry run of a clone", container=container_id, error=str(exc))
        if len(self._answers) >= _CAP:
            self._answers.clear()
        self._answers[key] = _Answer(report, asked_at)
        return report

    async def full_report(
        self, container_id: str, rules: ScaleOutRules, reserve: Reserve, *, now: datetime
    ) -> FidelityReport | None:
        """The same, and whether the host has room for it: that takes some seconds more."""
        report = await self.report(container_id, rules, now=now)
        short = None if report is None else await self._shortage(container_id, reserve)
        if report is None or short is None:
            return report
        item = FidelityItem(
            field=_NEEDS[short.reason],
            fate=Fate.REFUSED,
            detail=short.detail,
            reason=short.reason,
        )
        return replace(report, items=(*report.items, item))

    async def refusal(
        self,
        container_id: str,
        rules: ScaleOutRules,
        *,
        now: datetime,
        reserve: Reserve | None = None,
    ) -> Refusal | None:
        """
        Tell why no faithful clone can be made; None when one can, or nobody can say now.

        :param reserve: ask as well whether the host has room beyond it
        """
        if reserve is None:
            report = await self.report(container_id, rules, now=now)
        else:
            report = await self.full_report(container_id, rules, reserve, now=now)
        if report is None or not report.is_refused:
            return None
        first = report.refusals[0]
        word = first.reason or Reason.SCALE_OUT_FAILED
        return Refusal(
            reason=Reason(word), detail="; ".join(item.detail for item in report.refusals[:3])
        )

    async def _shortage(self, container_id: str, reserve: Reserve) -> Refusal | None:
        known = self._rooms.get(container_id)
        asked_at = asyncio.get_running_loop().time()
        if known is None or asked_at - known[1] >= _ROOM_AGE.total_seconds():
            try:
                known = (await self._engine.room(container_id), asked_at)
            except (EngineUnavailable, EngineRefused, ContainerGone) as exc:
                # Asked again right before a clone is made: then nothing is done without an answer.
                log.warning("room not measured", container=container_id, error=str(exc))
                return None
            self._rooms = {container_id: known}
        return capacity.shortage(known[0], reserve)
