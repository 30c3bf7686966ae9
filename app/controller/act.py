"""Carry out one decision: the only side effect of a step, and its intent before it."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from app.controller.casefile import Clerk
from app.controller.hand import ActionDecision, Hand, Outcome
from app.controller.last_look import LastLook
from app.controller.observe import Seen
from app.controller.witness import Witness
from app.domain.activity import ActivityStatus
from app.domain.decision import (
    Action,
    Restart,
    ScaleOut,
)
from app.domain.observation import Observation
from app.domain.remediation import Attempt, Remediation, Trigger
from app.policies import attempts, guards, story
from app.policies.activities import activity_of
from app.policies.recovery import BEGINS_WITHIN, CLONE_TAKES, ENGINE_SLACK
from app.policies.spec import Policy
from app.ports import (
    Claim,
    Clock,
    Cooldown,
    Limits,
    Records,
)

log: Final = structlog.get_logger("relevo.act")

#: Beyond what the engine may take: after this another worker may look into an action
#: whose end nobody wrote down.
_LEASE_SLACK: Final = timedelta(seconds=15)


class Actor:
    """Acts on containers through the engine; writes the intent first."""

    def __init__(
        self,
        hand: Hand,
        records: Records,
        last_look: LastLook,
        clerk: Clerk,
        witness: Witness,
        clock: Clock,
    ) -> None:
        self._hand = hand
        self._records = records
        self._last_look = last_look
        self._clerk = clerk
        self._witness = witness
        self._clock = clock
        self._scaling = asyncio.Lock()

    async def act(self, claim: Claim, decision: ActionDecision, seen: Seen) -> Outcome:
        """
        Write the intent, keep the evidence, then act.

        :raises LeaseLost: somebody else has the step; nothing was done
        :raises CoolingDown: the group was scaled out a moment ago; nothing was done
        :raises OutOfBudget: too much was done lately; nothing was done
        :raises GroupBusy: too many of the group are out; nothing was done
        :raises NoRoom: others have scaled out meanwhile, or the host is full; nothing was done
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
        self._hand.check()
        now, begun_at = self._clock.now(), asyncio.get_running_loop().time()
        begun = attempts.begun(observation.remediation, observation, decision, now=now)
        attempt = begun.open_attempt
        assert attempt is not None
        said = decision.detail if isinstance(decision, Restart) else None
        record = story.logged(begun, decision, now=now, detail=attempt.ordered or said)
        grace = _stop_grace(observation, seen.policy)
        is_scale_out = attempt.action is Action.SCALE_OUT
        takes = (
            BEGINS_WITHIN + (CLONE_TAKES if is_scale_out else grace + ENGINE_SLACK) + _LEASE_SLACK
        )
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
            return await self._hand.carry_out(
                record, attempt, decision, seen.policy, grace, begun_at=begun_at
            )

    async def remove_clone(self, attempt: Attempt, seen: Seen) -> None:
        """
        Remove the clone of a scale-out that came to nothing, if there is one.

        :raises EngineUnavailable: it may still be there; the step is repeated
        :raises LeaseLost: it is still there, whole or half gone; the step is repeated
        """
        fresh = seen.observation.group.fresh_clone
        clone_id = attempt.clone_id or (fresh.id if fresh is not None else None)
        if clone_id is not None:
            await self._hand.remove_clone(attempt, clone_id)


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
