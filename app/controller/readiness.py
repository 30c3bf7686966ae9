"""Whether a container could be scaled out: asked before it is needed, remembered a while."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.domain.decision import Reason
from app.domain.fidelity import FidelityReport
from app.domain.observation import Refusal
from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.policies.spec import ScaleOutRules
from app.ports import ContainerEngine

log: Final = structlog.get_logger("relevo.readiness")

#: What a container writes into its layer changes the answer, slowly.
_MAX_AGE: Final = timedelta(minutes=1)
_CAP: Final = 10_000


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

    async def refusal(
        self, container_id: str, rules: ScaleOutRules, *, now: datetime
    ) -> Refusal | None:
        """Tell why no faithful clone can be made; None when one can, or nobody can say now."""
        report = await self.report(container_id, rules, now=now)
        if report is None or not report.is_refused:
            return None
        first = report.refusals[0]
        word = first.reason or Reason.SCALE_OUT_FAILED
        return Refusal(
            reason=Reason(word), detail="; ".join(item.detail for item in report.refusals[:3])
        )
