"""Write down one decision: history and next due time, then log and metric."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from app.controller.entry import answered, consumed, entry_of
from app.controller.observe import Seen
from app.controller.telemetry import Telemetry
from app.controller.teller import Teller
from app.domain.activity import ActivityStatus
from app.domain.audit import AuditEntry
from app.domain.decision import (
    Action,
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Hold,
    Idle,
    Reason,
    Refuse,
    Restart,
    Verdict,
    Wait,
    Watch,
)
from app.domain.remediation import Attempt, Remediation
from app.domain.target import TargetId
from app.policies import story, trail
from app.policies.activities import activity_of
from app.ports import Claim, Clock, Entry, Records

log: Final = structlog.get_logger("relevo.decision")


class Notebook:
    """What a step leaves behind. The store first; log and metrics decide nothing."""

    def __init__(
        self,
        records: Records,
        clock: Clock,
        telemetry: Telemetry,
        *,
        tell: Callable[[], None],
        teller: Teller,
    ) -> None:
        """
        Begin.

        :param tell: something has happened that people may be told of
        """
        self._tell = tell
        self._teller = teller
        self._records = records
        self._clock = clock
        self._telemetry = telemetry
        #: What was said last of each target: a poll that changes nothing is no news.
        self._said: dict[str, tuple[str, Reason]] = {}

    async def action(
        self, claim: Claim, decision: Decision, remediation: Remediation, seen: Seen
    ) -> None:
        """Write down an action that the engine has answered; look at its effect soon."""
        now = self._clock.now()
        due = now + min(seen.policy.verify.poll, seen.policy.verify.deadline)
        record = replace(remediation, next_at=due)
        attempt = record.open_attempt
        activity = None
        if attempt is not None and attempt.action is Action.SCALE_OUT:
            activity = activity_of(record, attempt, ActivityStatus.IN_PROGRESS)
        entry = Entry(
            remediation=record,
            due=due,
            listed=seen.newly_listed,
            activity=activity,
            # Only what the engine has not answered yet needs its slot.
            freed=attempt.id if attempt is not None and attempt.acted_at is not None else None,
            answered_order=answered(decision, seen),
            consumed=consumed(decision, claim, seen),
        )
        await self._write(claim, entry, seen, now=now)
        if attempt is not None:
            engine = TargetId.parse(claim.target).engine
            self._telemetry.attempting(engine, record.container, attempt.action)
        if attempt is not None and len(record.attempts) == 1:
            waited = attempt.intent_at - record.needed_since
            self._telemetry.action_seconds.observe(max(0.0, waited.total_seconds()))
        self._say(claim.target, decision, record, seen)

    async def decision(
        self,
        claim: Claim,
        decision: Decision,
        remediation: Remediation | None,
        seen: Seen,
        *,
        now: datetime,
    ) -> None:
        """Write down what was decided, and when to look again."""
        attempt = remediation.last_attempt if remediation is not None else None
        entry = entry_of(decision, remediation, seen, claim, now=now)
        order = seen.observation.order
        told: tuple[AuditEntry, ...] = ()
        if order is not None and entry.answered_order is not None:
            told = trail.of_order(claim.target, order, decision, entry.remediation, at=now)
        await self._write(claim, entry, seen, now=now, told=told)
        opened = seen.observation.remediation is None and entry.remediation is not None
        if opened or isinstance(decision, Escalate | Confirm | Conclude | Close):
            self._tell()
        if isinstance(decision, Conclude) and attempt is not None:
            assert remediation is not None  # it has the attempt
            self._count(decision.verdict, remediation, attempt, now=now)
        self._say(claim.target, decision, remediation, seen)

    async def _write(
        self,
        claim: Claim,
        entry: Entry,
        seen: Seen,
        *,
        now: datetime,
        told: tuple[AuditEntry, ...] = (),
    ) -> None:
        before = (seen.observation.remediation, seen.observation.previous)
        entry = self._teller.told(entry, before, now=now)
        entry = replace(entry, audit=(*told, *entry.audit))
        await self._records.note(claim, entry, now=now)
        self._teller.written(entry)

    def _count(
        self, verdict: Verdict, remediation: Remediation, attempt: Attempt, *, now: datetime
    ) -> None:
        engine = TargetId.parse(remediation.target).engine
        self._telemetry.attempted(engine, remediation.container, attempt.action, verdict)
        since = attempt.acted_at or attempt.intent_at
        self._telemetry.verdict_seconds.labels(action=attempt.action).observe(
            (now - since).total_seconds()
        )

    def _say(
        self, target: str, decision: Decision, remediation: Remediation | None, seen: Seen
    ) -> None:
        name = story.decision_name(decision)
        self._telemetry.decisions.labels(decision=name, reason=decision.reason).inc()
        is_news = self._said.get(target) != (name, decision.reason)
        if isinstance(decision, Close | Idle):
            self._said.pop(target, None)
        else:
            self._said[target] = (name, decision.reason)
        if not is_news:
            return
        facts: dict[str, object] = {"reason": str(decision.reason), "target": target}
        facts["failures"] = seen.observation.failures
        if remediation is not None:
            facts["remediation"] = remediation.id
            facts["state"] = str(remediation.state)
        if isinstance(decision, Wait | Hold | Watch):
            facts["until"] = decision.until.isoformat(timespec="seconds")
        if isinstance(decision, Conclude):
            facts["verdict"] = str(decision.verdict)
            facts["evidence"] = decision.evidence
        if isinstance(decision, Close):
            facts["outcome"] = str(decision.outcome)
        if isinstance(decision, Escalate | Refuse | Hold | Restart) and decision.detail:
            facts["detail"] = decision.detail
        if seen.observation.sickness.doubt is not None and isinstance(decision, Hold | Watch):
            facts["doubt"] = seen.observation.sickness.doubt
        attempt = remediation.last_attempt if remediation is not None else None
        if attempt is not None and attempt.is_open:
            facts["attempt"] = attempt.id
            if attempt.error is not None:
                facts["error"] = attempt.error
        # The whole line is the event: decision=wait reason=backoff target=…
        log.info("decision", decision=name, **facts)
