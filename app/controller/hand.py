"""Our hand at the engine: one request, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from app.controller.blame import Blame
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
from app.domain.gate import Bar
from app.domain.remediation import Attempt, Remediation
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    GateRefused,
    LeaseLost,
    StartedMeanwhile,
    TooLate,
)
from app.policies import attempts
from app.policies.recovery import BEGINS_WITHIN
from app.policies.spec import Policy
from app.ports import NO_END, Clock, ContainerEngine, Deadline

log: Final = structlog.get_logger("relevo.hand")

#: Actions in a row that were not answered, before others wait.
_MOST_SILENT: Final = 3

#: What the gate refuses for, and will not for ever: what is down by our hand is owed its start.
_PASSES: Final = frozenset({Bar.STOP, Bar.BUSY})

ActionDecision = Restart | ScaleOut | Resume | StartStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action came to."""

    remediation: Remediation
    #: The attempt is over at once: nothing was done, or the engine refused.
    conclusion: Conclude | None = None


class Hand:
    """
    Asks the engine for actions.

    :param not_after: until when an action may be begun; raises LeaseLost where none may
    :param doubt: called with the reason when the engine does not answer any more
    """

    def __init__(
        self,
        engine: ContainerEngine,
        clock: Clock,
        *,
        not_after: Deadline = NO_END,
        doubt: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._not_after = not_after
        self._doubt = doubt
        self._silent = 0
        self._blame = Blame(engine)

    def check(self) -> None:
        """Go on only where actions may be begun. :raises LeaseLost:"""
        self._not_after()

    async def carry_out(
        self,
        record: Remediation,
        attempt: Attempt,
        decision: ActionDecision,
        policy: Policy,
        grace: timedelta,
        *,
        begun_at: float,
    ) -> Outcome:
        """
        Ask the engine for the action of an attempt.

        :param begun_at: when its intent was written, by the loop's clock
        """
        # Recovery waits from the intent: what is begun much later would not be over by then.
        latest = begun_at + BEGINS_WITHIN.total_seconds()
        # The clock is read after the call: it may have taken a stop grace of minutes.
        try:
            container = await self._call(
                attempt, decision, policy, grace, within=lambda: min(latest, self._deadline())
            )
            self._silent = 0
        except GateRefused as exc:
            if isinstance(decision, StartStopped) and exc.reason in _PASSES:
                return Outcome(remediation=attempts.owed(record))
            return Outcome(
                remediation=record,
                conclusion=Conclude(
                    Verdict.CANCELLED,
                    _word_of_the_gate(exc),
                    f"not let through: {exc}; nothing was done",
                ),
            )
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
            if isinstance(decision, StartStopped):
                return Outcome(remediation=attempts.owed(record))
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
        except TooLate as exc:
            if isinstance(decision, StartStopped):
                return Outcome(remediation=attempts.owed(record))
            return Outcome(
                remediation=record,
                conclusion=Conclude(
                    Verdict.CANCELLED, Reason.INTERRUPTED, f"{exc}; nothing was done"
                ),
            )
        except CloneRefused as exc:
            return Outcome(
                remediation=record,
                conclusion=Conclude(Verdict.CANCELLED, _word_of(exc), str(exc)),
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
        self,
        attempt: Attempt,
        decision: ActionDecision,
        policy: Policy,
        grace: timedelta,
        *,
        within: Deadline,
    ) -> Container:
        if attempt.action is Action.SCALE_OUT:
            result = await self._engine.clone(
                attempt.container_id,
                attempt_id=attempt.id,
                rules=policy.scale_out,
                at=self._clock.now(),
                not_after=within,
            )
            assert result.clone is not None
            return result.clone
        if isinstance(decision, StartStopped):
            await self._engine.start(attempt.container_id, attempt_id=attempt.id, not_after=within)
        else:
            await self._engine.restart(
                attempt.container_id,
                attempt_id=attempt.id,
                expected_started_at=attempt.started_before,
                stop_grace=grace,
                not_after=within,
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

    async def remove_clone(self, attempt: Attempt, clone_id: str) -> None:
        """
        Remove the clone of a scale-out that came to nothing.

        :raises EngineUnavailable: it may still be there; the step is repeated
        :raises LeaseLost: it is there, perhaps off its networks or stopped already; whoever
            repeats the step goes on with it
        """
        try:
            await self._engine.remove_clone(
                clone_id, attempt_id=attempt.id, not_after=self._deadline
            )
        except ContainerGone:
            return
        except EngineRefused as exc:
            # Its verdict must not wait for it: the clone is counted, and shown, as long as it is.
            log.warning("clone left behind", attempt=attempt.id, clone=clone_id, error=str(exc))

    def _deadline(self) -> float:
        try:
            return self._not_after()
        except LeaseLost as exc:
            raise TooLate(str(exc)) from exc


def _word_of(exc: CloneRefused) -> Reason:
    """Find the word of the report for why there was no clone after all."""
    refusals = exc.report.refusals if exc.report is not None else ()
    word = refusals[0].reason if refusals else None
    return Reason.SCALE_OUT_FAILED if word is None else Reason(word)


def _word_of_the_gate(exc: GateRefused) -> Reason:
    """Find our own word for why the gate refused, where we have one."""
    try:
        return Reason(exc.reason)
    except ValueError:
        return Reason.GATE
