"""A step that ends its worker, again and again: the story is taken out of the round."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.telemetry import Telemetry
from app.controller.teller import Teller
from app.domain.container import RunState
from app.domain.decision import Reason
from app.domain.remediation import Action, Remediation
from app.errors import Unreadable
from app.policies import story
from app.ports import Claim, ContainerEngine, Deadline, Entry, Records, Schedule

log: Final = structlog.get_logger("relevo.poison")

#: What our own restart may have left behind.
_STOPPED: Final = (RunState.EXITED, RunState.CREATED)
#: How long it is left alone before it is tried once more.
LEFT_ALONE: Final = timedelta(minutes=15)


class Gravedigger:
    """Buries stories: with as little code as can be, since something in them ended the step."""

    def __init__(
        self,
        records: Records,
        schedule: Schedule,
        telemetry: Telemetry,
        engine: ContainerEngine,
        *,
        not_after: Deadline,
        tell: Callable[[], None],
        teller: Teller,
    ) -> None:
        """
        Begin.

        :param not_after: until when an action may be begun
        :param tell: something has happened that people may be told of
        """
        self._records = records
        self._schedule = schedule
        self._telemetry = telemetry
        self._engine = engine
        self._not_after = not_after
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
        until = now + LEFT_ALONE
        record = await self._record(claim.target)
        if record is None:
            await self._schedule.requeue(claim, due=until)
            return
        is_up = await self._bring_up(record)
        buried = story.buried(record, now=now, until=until)
        attempt = record.open_attempt
        entry = Entry(
            remediation=buried,
            due=until,
            freed=attempt.id if attempt is not None else None,
            back=is_up,
        )
        entry = self._teller.told(entry, [record], now=now)
        await self._records.note(claim, entry, now=now)
        self._teller.written(entry)
        self._telemetry.decisions.labels(decision="escalate", reason=Reason.POISON).inc()
        self._tell()

    async def _record(self, target: str) -> Remediation | None:
        try:
            return await self._records.remediation_of(target)
        except Unreadable as exc:
            # Maybe it is the record that is poison.
            log.error("its story cannot be read", target=target, error=str(exc))
            return None

    async def _bring_up(self, record: Remediation) -> bool:
        """Start a container that may be down by our own hand; tell whether it runs."""
        attempt = record.open_attempt
        if attempt is None or attempt.action is Action.SCALE_OUT:
            return True
        try:
            container = await self._engine.inspect(attempt.container_id)
            if container.state in _STOPPED and not attempt.started_again:
                await self._engine.start(
                    container.id, attempt_id=attempt.id, not_after=self._not_after
                )
                return True
        except Exception as exc:  # noqa: BLE001 - maybe it is the container that is poison
            log.error("not brought up", target=record.target, error=str(exc))
            return False
        return container.is_running
