"""Carry out one decision: the only side effect of a step, and its intent before it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from app.controller.blame import Blame
from app.controller.casefile import Clerk
from app.controller.last_look import LastLook
from app.controller.observe import Seen
from app.controller.witness import Witness
from app.domain.activity import ActivityStatus
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
from app.domain.remediation import Attempt, Remediation, Trigger
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    StartedMeanwhile,
)
from app.policies import attempts, guards, story
from app.policies.activities import activity_of
from app.policies.recovery import CLONE_TAKES, ENGINE_SLACK
from app.policies.spec import Policy
from app.ports import NO_END, Claim, Clock, ContainerEngine, Cooldown, Limits, Records

log: Final = structlog.get_logger("relevo.act")

#: Beyond what the engine may take: after this another worker may look into an action
#: whose end nobody wrote down.
_LEASE_SLACK: Final = timedelta(seconds=15)

#: Actions in a row that were not answered, before others wait.
_MOST_SILENT: Final = 3

ActionDecision = Restart | ScaleOut | Resume | StartStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action came to."""

    remediation: Remediation
    #: The attempt is over at once: nothing was done, or the engine refused.
    conclusion: Conclude | None = None


class Actor:
    """Acts on containers through the engine; writes the intent first."""

    def __init__(
        self,
        engine: ContainerEngine,
        records: Records,
        last_look: LastLook,
        clerk: Clerk,
        witness: Witness,
        clock: Clock,
        *,
        not_after: Callable[[], float] = lambda: NO_END,
        doubt: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """
        Begin.

        :param not_after: until when an action may be begun; raises LeaseLost where none may
        :param doubt: called with the reason when the engine does not answer any more
        """
        self._not_after = not_after
        self._doubt = doubt
        self._silent = 0
        self._engine = engine
        self._records = records
        self._last_look = last_look
        self._clerk = clerk
        self._witness = witness
        self._clock = clock
        self._blame = Blame(engine)
        self._scaling = asyncio.Lock()

    async def act(self, claim: Claim, decision: ActionDecision, seen: Seen) -> Outcome:
        """
        Write the intent, keep the evidence, then act.

        :raises LeaseLost: somebody else has the step; nothing was done
        :raises CoolingDown: the group was scaled out a moment ago; nothing was done
        :raises OutOfBudget: too much was done lately; nothing was done
        :raises GroupBusy: too many of the group are out; nothing was done
        :raises NoRoom: others have scaled out meanwhile; nothing was done
        :raises StoreUnavailable: the intent could not be written; nothing was done
        """
        if isinstance(decision, ScaleOut):
            # One after the other, each counted from what the engine has by then.
            async with self._scaling:
                await self._last_look.room(seen)
                return await self._act(claim, decision, seen)
        return await self._act(claim, decision, seen)

    async def _act(self, claim: Claim, decision: ActionDecision, seen: Seen) -> Outcome:
        observation = seen.observation
        assert observation.remediation is not None
        assert observation.container is not None
        self._not_after()
        now = self._clock.now()
        begun = attempts.begun(observation.remediation, observation, decision, now=now)
        attempt = begun.open_attempt
        assert attempt is not None
        record = story.logged(begun, decision, now=now, detail=attempt.ordered)
        grace = _stop_grace(observation, seen.policy)
        is_scale_out = attempt.action is Action.SCALE_OUT
        takes = (CLONE_TAKES if is_scale_out else grace + ENGINE_SLACK) + _LEASE_SLACK
        activity = cooldown = None
        if is_scale_out:
            activity = activity_of(record, attempt, ActivityStatus.IN_PROGRESS)
            if attempt.trigger is not Trigger.MANUAL:  # a person knows of the last one
                cooldown = Cooldown(
                    group=record.group,
                    attempt_id=attempt.id,
                    until=now + seen.policy.scale_out.cooldown,
                )
        await self._records.intend(
            claim,
            record,
            now=now,
            lease=takes,
            limits=_limits(record, attempt, seen, takes),
            activity=activity,
            cooldown=cooldown,
        )
        if isinstance(decision, Restart | ScaleOut):
            # Only now that it is sure to be used; a second try would find our own traces.
            await self._clerk.take(attempt.container_id, attempt.id)
            changed = await self._last_look.changes(record, attempt, seen)
            if changed is not None:
                return Outcome(remediation=record, conclusion=changed)
        with self._witness.acting(attempt.container_id):
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
        self._not_after()
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
            self._silent = 0
        except EngineRefused as exc:
            if await self._blame.is_the_engines(attempt.container_id, exc):
                return Outcome(
                    remediation=record,
                    conclusion=Conclude(
                        Verdict.INFRASTRUCTURE, Reason.ENGINE_DOWN, f"the engine is ill: {exc}"
                    ),
                )
            refused = attempts.acted(
                record, now=self._clock.now(), error=str(exc), error_status=exc.status
            )
            return Outcome(remediation=refused)
        except EngineSilent as exc:
            # Unknown, not failed: the engine may still be at it. Recovery looks at the container.
            self._count_silence()
            unknown = attempts.acted(record, now=self._clock.now(), error=str(exc))
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
        return Outcome(
            remediation=attempts.acted(record, now=self._clock.now(), container=container)
        )

    async def _call(
        self, attempt: Attempt, decision: ActionDecision, policy: Policy, grace: timedelta
    ) -> Container:
        if attempt.action is Action.SCALE_OUT:
            result = await self._engine.clone(
                attempt.container_id,
                attempt_id=attempt.id,
                rules=policy.scale_out,
                at=self._clock.now(),
                not_after=self._not_after(),
            )
            assert result.clone is not None
            return result.clone
        if isinstance(decision, StartStopped):
            await self._engine.start(
                attempt.container_id, attempt_id=attempt.id, not_after=self._not_after()
            )
        else:
            await self._engine.restart(
                attempt.container_id,
                attempt_id=attempt.id,
                expected_started_at=attempt.started_before,
                stop_grace=grace,
                not_after=self._not_after(),
            )
        try:
            return await self._engine.inspect(attempt.container_id)
        except (EngineUnavailable, EngineRefused) as exc:
            # It is done; only what came of it could not be seen.
            raise EngineSilent(f"done, and then not seen: {exc}") from exc

    def _count_silence(self) -> None:
        """Stop asking an engine that takes requests and answers none of them."""
        self._silent += 1
        if self._silent >= _MOST_SILENT:
            self._silent = 0
            self._doubt(f"the engine took {_MOST_SILENT} requests in a row and answered none")


def _limits(record: Remediation, attempt: Attempt, seen: Seen, takes: timedelta) -> Limits:
    rules, group = seen.book.guards, seen.observation.group
    takes_one_out = attempt.action is Action.RESTART and group.instances > 1
    return Limits(
        attempt_id=attempt.id,
        concurrent=rules.concurrent,
        waiting_since=None if attempt.trigger is Trigger.MANUAL else record.needed_since,
        forget_after=3 * seen.policy.verify.poll,
        spacing=guards.spacing(seen.policy, attempt.trigger),
        burst=rules.burst,
        burst_span=guards.burst_span(rules),
        per_hour=rules.per_hour,
        hour=timedelta(hours=1),
        group=group.id if takes_one_out else None,
        out_of_group=guards.out_of_group(group.instances),
        # Until it serves again, which is noticed by a look at its verification.
        out_for=takes + seen.policy.verify.deadline,
    )


def _stop_grace(observation: Observation, policy: Policy) -> timedelta:
    if policy.restart.stop_grace is not None:
        return policy.restart.stop_grace
    assert observation.container is not None
    return observation.container.stop_grace
