"""One step of one target: observe, decide, act, note."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from app.controller.act import Actor
from app.controller.note import Notebook
from app.controller.observe import Observer, Seen
from app.domain.decision import (
    CallOff,
    Conclude,
    Decision,
    Hold,
    Reason,
    Refuse,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
)
from app.domain.observation import Refusal
from app.domain.remediation import Remediation
from app.errors import (
    CoolingDown,
    EngineUnavailable,
    GroupBusy,
    NoRoom,
    OutOfBudget,
    RelevoError,
)
from app.policies import attempts, ladder, orders, story
from app.policies.scale_out_verdict import serves_alone
from app.policies.spec import Patience
from app.ports import Claim, Clock

#: The host is full: no clone, until that changes.
_HEADROOM: Final = (Reason.NO_MEMORY_HEADROOM, Reason.NO_CPU_HEADROOM)


class Reconciler:
    """Runs steps. Holds nothing between two of them: all state is in the store."""

    def __init__(
        self,
        observer: Observer,
        actor: Actor,
        notebook: Notebook,
        clock: Clock,
        *,
        patience: Patience,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._actor = actor
        self._notebook = notebook
        self._patience = patience

    async def step(self, claim: Claim, now: datetime) -> None:
        """
        Run one step of a claimed target.

        :raises LeaseLost: another worker has it; its word counts
        :raises StoreUnavailable: the step is repeated once its lease has run out
        """
        seen = await self._observer.observe(claim.target, now=now)
        await self._carry_out(claim, self._decide(seen, now), seen, now)

    def _decide(self, seen: Seen, now: datetime) -> Decision:
        return ladder.next_step(
            seen.observation, seen.policy, self._patience, now=now, rules=seen.book.guards
        )

    async def _carry_out(self, claim: Claim, decision: Decision, seen: Seen, now: datetime) -> None:
        match decision:
            case Restart() | ScaleOut() | Resume() | StartStopped():
                await self._act(claim, decision, seen, now)
            case _:
                await self._write_down(claim, decision, seen, now)

    async def _act(
        self,
        claim: Claim,
        decision: Restart | ScaleOut | Resume | StartStopped,
        seen: Seen,
        now: datetime,
    ) -> None:
        observation = seen.observation
        if observation.remediation is None:  # ordered by a person, where nothing is open
            begun = story.opened(observation, decision, policy=seen.policy.name, now=now)
            acting = _with(seen, begun)
        else:
            acting = seen
        try:
            outcome = await self._actor.act(claim, decision, acting)
        except (CoolingDown, OutOfBudget, GroupBusy, NoRoom, EngineUnavailable) as exc:
            if isinstance(exc, NoRoom) and exc.reason in _HEADROOM:
                # Asked right before it, as it takes seconds: the ladder says what follows from it.
                seen = _refused(seen, exc)
                await self._carry_out(claim, self._decide(seen, now), seen, now)
            else:
                await self._write_down(claim, _put_off(exc, seen, now=now), seen, now)
            return
        if outcome.conclusion is None:
            await self._notebook.action(claim, decision, outcome.remediation, seen)
            return
        # Later than the step itself: the engine has been asked in between.
        await self._write_down(
            claim, outcome.conclusion, _with(seen, outcome.remediation), self._clock.now()
        )

    async def _write_down(
        self, claim: Claim, decision: Decision, seen: Seen, now: datetime
    ) -> None:
        observation = seen.observation
        record = observation.remediation
        if record is None and story.opens(decision, observation) and observation.container:
            record = story.opened(observation, decision, policy=seen.policy.name, now=now)
        if record is not None:
            record = story.advanced(record, observation, decision, now=now)
        if isinstance(decision, Conclude | CallOff) and record is not None:
            attempt = record.last_attempt
            ended = attempt is not None and attempt.finished_at == now
            stays = attempts.is_up(record) and serves_alone(observation)
            if attempt is not None and ended and attempts.leaves(record) and not stays:
                await self._actor.remove_clone(attempt, seen)
        await self._notebook.decision(claim, decision, record, seen, now=now)


def _put_off(exc: RelevoError, seen: Seen, *, now: datetime) -> Decision:
    """Say why an action was not begun: looked at again later, but a person is not kept waiting."""
    poll_at = now + seen.policy.verify.poll
    until = poll_at
    match exc:
        case CoolingDown():
            reason, until = Reason.COOLDOWN, exc.until
        case OutOfBudget():
            # Asked at every poll: a slot is free long before its lease ends, and who does not ask
            # for a while loses his place.
            reason, until = Reason.BUDGET, min(exc.until, poll_at)
        case GroupBusy():
            reason, until = Reason.MIN_HEALTHY, min(exc.until, poll_at)
        case NoRoom():
            reason = Reason(exc.reason)
        case _:
            reason = Reason.ENGINE_DOWN
    if orders.is_open(seen.observation) and reason is not Reason.ENGINE_DOWN:
        return Refuse(reason, str(exc))
    return Hold(until, reason)


def _refused(seen: Seen, exc: NoRoom) -> Seen:
    refusal = Refusal(reason=Reason(exc.reason), detail=str(exc))
    group = replace(seen.observation.group, refusal=refusal)
    return replace(seen, observation=replace(seen.observation, group=group))


def _with(seen: Seen, remediation: Remediation) -> Seen:
    return replace(seen, observation=replace(seen.observation, remediation=remediation))
