"""A step that ends its worker, again and again: the story is taken out of the round."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.telemetry import Telemetry
from app.controller.teller import Teller
from app.domain.decision import Reason
from app.policies import story
from app.ports import Claim, Entry, Records, Schedule

log: Final = structlog.get_logger("relevo.poison")

#: How long it is left alone before it is tried once more.
_LEFT_ALONE: Final = timedelta(minutes=15)


class Gravedigger:
    """Buries stories: with as little code as can be, since something in them ended the step."""

    def __init__(
        self,
        records: Records,
        schedule: Schedule,
        telemetry: Telemetry,
        *,
        tell: Callable[[], None],
        teller: Teller,
    ) -> None:
        """
        Begin.

        :param tell: something has happened that people may be told of
        """
        self._records = records
        self._schedule = schedule
        self._telemetry = telemetry
        self._tell = tell
        self._teller = teller

    async def bury(self, claim: Claim, now: datetime) -> None:
        """
        Quarantine the open story of a target, if there is one, and leave the target alone.

        :raises LeaseLost:
        :raises StoreUnavailable:
        """
        self._telemetry.poisoned.inc()
        log.error(
            "its step ended its worker again",
            reason=str(Reason.POISON),
            target=claim.target,
            lost=claim.lost,
        )
        until = now + _LEFT_ALONE
        record = await self._records.remediation_of(claim.target)
        if record is None:
            await self._schedule.requeue(claim, due=until)
            return
        buried = story.buried(record, now=now, until=until)
        attempt = record.open_attempt
        entry = Entry(
            remediation=buried,
            due=until,
            freed=attempt.id if attempt is not None else None,
            back=True,
        )
        entry = self._teller.told(entry, [record], now=now)
        await self._records.note(claim, entry, now=now)
        self._teller.written(entry)
        self._telemetry.decisions.labels(decision="escalate", reason=Reason.POISON).inc()
        self._tell()
