"""Write down one decision: history and next due time, then log and metric."""

from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from app.controller.act import activity_of
from app.controller.observe import Seen
from app.controller.telemetry import Telemetry
from app.domain.activity import Activity, ActivityStatus
from app.domain.decision import (
    Action,
    Adopt,
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Hold,
    Idle,
    Reason,
    Verdict,
    Wait,
    Watch,
)
from app.domain.remediation import Attempt, Remediation
from app.policies import story
from app.policies.spec import Policy
from app.ports import Claim, Clock, Cooldown, Entry, Records

log: Final = structlog.get_logger("relevo.decision")


class Notebook:
    """What a step leaves behind. The store first; log and metrics decide nothing."""

    def __init__(self, records: Records, clock: Clock, telemetry: Telemetry) -> None:
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
        due = now + seen.policy.verify.poll
        record = replace(remediation, next_at=due)
        attempt = record.open_attempt
        activity = None
        if attempt is not None and attempt.action is Action.SCALE_OUT:
            activity = activity_of(record, attempt, ActivityStatus.IN_PROGRESS)
        entry = Entry(remediation=record, due=due, listed=seen.newly_listed, activity=activity)
        await self._records.note(claim, entry, now=now)
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
        entry = Entry(
            remediation=remediation,
            due=_due(decision, seen.policy, now=now),
            listed=seen.newly_listed,
            failed_attempt=_failed(decision, attempt),
            window=seen.policy.restart.window,
            consumed=_consumed(decision, claim, seen),
            over=seen.known if _is_over(decision) else (),
            activity=_activity(decision, remediation, attempt, now=now),
            cooldown=_cooldown(decision, remediation, attempt, seen.policy, now=now),
        )
        await self._records.note(claim, entry, now=now)
        if isinstance(decision, Conclude) and attempt is not None:
            self._count(decision.verdict, attempt, now=now)
        self._say(claim.target, decision, remediation, seen)

    def _count(self, verdict: Verdict, attempt: Attempt, *, now: datetime) -> None:
        self._telemetry.attempts.labels(action=attempt.action, verdict=verdict).inc()
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
        if isinstance(decision, Escalate):
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


#: Ends of a story that say nothing of its alerts: they may be those of the next container.
_NEXT_MAY_BE_ILL: Final = (Reason.NEW_INCARNATION, Reason.NO_SUCH_TARGET)


def _is_over(decision: Decision) -> bool:
    """Tell whether the target's alerts are over with this decision, and may be forgotten."""
    if isinstance(decision, Close):
        return decision.reason not in _NEXT_MAY_BE_ILL
    return isinstance(decision, Idle)


def _due(decision: Decision, policy: Policy, *, now: datetime) -> datetime | None:
    """Tell when to look again; None: only when something new arrives."""
    match decision:
        case Wait(until=until) | Hold(until=until) | Watch(until=until):
            return until
        case Close(reason=Reason.NEW_INCARNATION):
            return now
        case Close(reason=Reason.NO_SUCH_TARGET):
            # It may be between two lives: a deploy removes a container before it makes the next.
            return now + policy.verify.deadline
        case Close() | Idle():
            return None
        case _:
            return now


def _failed(decision: Decision, attempt: Attempt | None) -> str | None:
    """Name the attempt that is a failed restart; a scale-out never is one."""
    if not isinstance(decision, Conclude) or attempt is None:
        return None
    if attempt.action is Action.SCALE_OUT or not decision.verdict.counts:
        return None
    return attempt.id


def _consumed(decision: Decision, claim: Claim, seen: Seen) -> tuple[str, ...]:
    """List the targets whose failures are over: relieved by a clone, or of an older image."""
    if isinstance(decision, Confirm):
        return seen.observation.group.originals
    if isinstance(decision, Close) and decision.reason is Reason.NEW_INCARNATION:
        return (claim.target,)
    return ()


def _activity(
    decision: Decision,
    remediation: Remediation | None,
    attempt: Attempt | None,
    *,
    now: datetime,
) -> Activity | None:
    if remediation is None or attempt is None or attempt.action is not Action.SCALE_OUT:
        return None
    if isinstance(decision, Adopt):
        return activity_of(remediation, attempt, ActivityStatus.IN_PROGRESS)
    if isinstance(decision, Confirm):
        done = activity_of(remediation, attempt, ActivityStatus.SUCCESSFUL)
        return replace(done, finished_at=now)
    if isinstance(decision, Conclude) and not story.is_up(remediation):
        cancelled = decision.verdict is Verdict.CANCELLED
        status = ActivityStatus.CANCELLED if cancelled else ActivityStatus.FAILED
        return activity_of(remediation, attempt, status, cause=decision.evidence)
    return None


def _cooldown(
    decision: Decision,
    remediation: Remediation | None,
    attempt: Attempt | None,
    policy: Policy,
    *,
    now: datetime,
) -> Cooldown | None:
    """Start the group's cooldown when the clone is up; lift it when no clone came of it."""
    if remediation is None or attempt is None or attempt.action is not Action.SCALE_OUT:
        return None
    until: datetime | None
    if isinstance(decision, Confirm):
        until = now + policy.scale_out.cooldown
    elif isinstance(decision, Conclude) and not story.is_up(remediation):
        until = None
    else:
        return None
    return Cooldown(group=remediation.group, attempt_id=attempt.id, until=until)
