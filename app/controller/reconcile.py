"""One step of one target: observe, decide, act, note."""

from dataclasses import replace
from datetime import datetime

from app.controller.act import Actor
from app.controller.note import Notebook
from app.controller.observe import Observer, Seen
from app.domain.decision import (
    Conclude,
    Decision,
    Hold,
    Reason,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Wait,
)
from app.domain.remediation import Action, Remediation
from app.errors import CoolingDown
from app.policies import ladder, story
from app.policies.spec import Patience
from app.ports import Claim, Clock


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
        seen = await self._observer.observe(claim, now=now)
        decision = ladder.next_step(seen.observation, seen.policy, self._patience, now=now)
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
        try:
            outcome = await self._actor.act(claim, decision, seen)
        except CoolingDown as exc:
            await self._write_down(claim, Hold(exc.until, Reason.COOLDOWN), seen, now)
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
        if record is None and isinstance(decision, Wait | Hold) and observation.container:
            record = story.opened(observation, decision, policy=seen.policy.name, now=now)
        if record is not None:
            record = story.advanced(record, observation, decision, now=now)
        if isinstance(decision, Conclude) and record is not None:
            attempt = record.last_attempt
            assert attempt is not None  # it is the attempt that was concluded
            if attempt.action is Action.SCALE_OUT and not story.is_up(record):
                await self._actor.remove_clone(attempt, seen)
        await self._notebook.decision(claim, decision, record, seen, now=now)


def _with(seen: Seen, remediation: Remediation) -> Seen:
    return replace(seen, observation=replace(seen.observation, remediation=remediation))
