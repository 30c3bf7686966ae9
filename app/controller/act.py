"""Carry out one decision: the only side effect of a step, and its intent before it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from app.controller.observe import Seen
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Container
from app.domain.decision import (
    Action,
    Conclude,
    Reason,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Verdict,
)
from app.domain.observation import Observation
from app.domain.remediation import Attempt, Remediation
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    StartedMeanwhile,
)
from app.policies import story
from app.policies.recovery import CLONE_TAKES, ENGINE_SLACK
from app.policies.spec import Policy
from app.ports import Claim, Clock, ContainerEngine, Cooldown, Records

log: Final = structlog.get_logger("relevo.act")

#: Beyond what the engine may take: after this another worker may look into an action
#: whose end nobody wrote down.
_LEASE_SLACK: Final = timedelta(seconds=15)

ActionDecision = Restart | ScaleOut | Resume | StartStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action came to."""

    remediation: Remediation
    #: The attempt is over at once: nothing was done, or the engine refused.
    conclusion: Conclude | None = None


class Actor:
    """Acts on containers through the engine; writes the intent first."""

    def __init__(self, engine: ContainerEngine, records: Records, clock: Clock) -> None:
        self._engine = engine
        self._records = records
        self._clock = clock

    async def act(self, claim: Claim, decision: ActionDecision, seen: Seen) -> Outcome:
        """
        Write the intent, then act.

        :raises LeaseLost: somebody else has the step; nothing was done
        :raises CoolingDown: the group was scaled out a moment ago; nothing was done
        :raises StoreUnavailable: the intent could not be written; nothing was done
        """
        observation = seen.observation
        assert observation.remediation is not None
        now = self._clock.now()
        record = story.intended(observation.remediation, observation, decision, now=now)
        attempt = record.open_attempt
        assert attempt is not None
        grace = _stop_grace(observation, seen.policy)
        if attempt.action is Action.SCALE_OUT:
            await self._records.intend(
                claim,
                record,
                now=now,
                lease=CLONE_TAKES + _LEASE_SLACK,
                activity=activity_of(record, attempt, ActivityStatus.IN_PROGRESS),
                cooldown=Cooldown(
                    group=record.group,
                    attempt_id=attempt.id,
                    until=now + seen.policy.scale_out.cooldown,
                ),
            )
        else:
            await self._records.intend(
                claim, record, now=now, lease=grace + ENGINE_SLACK + _LEASE_SLACK
            )
        return await self._carry_out(record, attempt, decision, seen.policy, grace)

    async def remove_clone(self, attempt: Attempt, seen: Seen) -> None:
        """
        Remove the clone of a scale-out that came to nothing, if there is one.

        :raises EngineUnavailable: it may still be there; the step is repeated
        """
        fresh = seen.observation.group.fresh_clone
        clone_id = attempt.clone_id or (fresh.id if fresh is not None else None)
        if clone_id is None:
            return
        try:
            await self._engine.remove_clone(clone_id, attempt_id=attempt.id)
        except ContainerGone:
            return
        except EngineRefused as exc:
            # Its verdict must not wait for it: the clone is counted, and shown, as long as it is.
            log.warning("clone left behind", attempt=attempt.id, clone=clone_id, error=str(exc))

    async def _carry_out(
        self,
        record: Remediation,
        attempt: Attempt,
        decision: ActionDecision,
        policy: Policy,
        grace: timedelta,
    ) -> Outcome:
        # The clock is read after the call: it may have taken a stop grace of minutes.
        try:
            container = await self._call(attempt, decision, policy, grace)
        except EngineRefused as exc:
            refused = story.acted(
                record, now=self._clock.now(), error=str(exc), error_status=exc.status
            )
            return Outcome(remediation=refused)
        except EngineSilent as exc:
            # Unknown, not failed: the engine may still be at it. Recovery looks at the container.
            unknown = story.acted(record, now=self._clock.now(), error=str(exc))
            return Outcome(remediation=unknown)
        except EngineUnavailable as exc:
            # It never heard of it. A dead engine is nobody's failed restart.
            return Outcome(
                remediation=record,
                conclusion=Conclude(
                    Verdict.INFRASTRUCTURE, Reason.ENGINE_DOWN, f"nothing was done: {exc}"
                ),
            )
        except StartedMeanwhile:
            return Outcome(
                remediation=record,
                conclusion=Conclude(
                    Verdict.CANCELLED,
                    Reason.RESTARTED_MEANWHILE,
                    "somebody else restarted it a moment before; nothing was done",
                ),
            )
        except CloneRefused as exc:
            return Outcome(
                remediation=record,
                conclusion=Conclude(Verdict.CANCELLED, Reason.SCALE_OUT_FAILED, str(exc)),
            )
        except ContainerGone:
            return Outcome(
                remediation=record,
                conclusion=Conclude(
                    Verdict.VANISHED, Reason.NO_SUCH_TARGET, "the container is gone"
                ),
            )
        return Outcome(remediation=story.acted(record, now=self._clock.now(), container=container))

    async def _call(
        self, attempt: Attempt, decision: ActionDecision, policy: Policy, grace: timedelta
    ) -> Container:
        if attempt.action is Action.SCALE_OUT:
            result = await self._engine.clone(
                attempt.container_id,
                attempt_id=attempt.id,
                rules=policy.scale_out,
                at=self._clock.now(),
            )
            assert result.clone is not None
            return result.clone
        if isinstance(decision, StartStopped):
            await self._engine.start(attempt.container_id, attempt_id=attempt.id)
        else:
            await self._engine.restart(
                attempt.container_id,
                attempt_id=attempt.id,
                expected_started_at=attempt.started_before,
                stop_grace=grace,
            )
        return await self._engine.inspect(attempt.container_id)


def activity_of(
    remediation: Remediation,
    attempt: Attempt,
    status: ActivityStatus,
    *,
    cause: str | None = None,
) -> Activity:
    """Describe a scale-out as a scaling activity; its id is the attempt's."""
    because = f"{remediation.target} needed relief: {attempt.reason}"
    return Activity(
        id=attempt.id,
        group=remediation.group,
        kind=ActivityKind.SCALE_OUT,
        cause=because if cause is None else f"{because}; {cause}",
        status=status,
        container=attempt.clone,
        started_at=attempt.intent_at,
        finished_at=attempt.finished_at,
    )


def _stop_grace(observation: Observation, policy: Policy) -> timedelta:
    if policy.restart.stop_grace is not None:
        return policy.restart.stop_grace
    assert observation.container is not None
    return observation.container.stop_grace
