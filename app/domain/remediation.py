"""The whole story of one target, from its first alert to closed or quarantined."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.decision import Action as Action  # part of the story's words
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.usage import SideBySide


class State(StrEnum):
    """State of a target; a remediation has the same ones without ``ok``, and ``closed``."""

    OK = "ok"
    WAITING = "waiting"
    ACTING = "acting"
    VERIFYING = "verifying"
    SETTLING = "settling"
    COOLDOWN = "cooldown"
    HELD = "held"
    QUARANTINED = "quarantined"
    CLOSED = "closed"


class Trigger(StrEnum):
    """Who made an attempt."""

    AUTOMATIC = "automatic"
    #: An operator, through Relevo.
    MANUAL = "manual"
    #: Somebody else, past Relevo.
    FOREIGN = "foreign"
    #: Nobody: observe mode wrote down what would have been done.
    REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to remediate, from its intent to its verdict."""

    #: Unique for ever: the remediation's id and a number.
    id: str
    action: Action
    #: Why it was made.
    reason: Reason
    #: The container acted on, 64 hexadecimal digits.
    container_id: str
    #: Its ``StartedAt`` before the action.
    started_before: str
    #: When the intent was written, before the action.
    intent_at: datetime
    #: When the engine had answered, or the action was seen to have happened.
    acted_at: datetime | None = None
    #: ``StartedAt`` after the action.
    started_after: str | None = None
    #: The engine's own restarts of it right after the action (an action resets the count).
    restarts_after: int = 0
    #: The engine refused, or gave no answer: its words.
    error: str | None = None
    #: Status of the engine's refusal, where it answered one; None for silence.
    error_status: int | None = None
    #: Found stopped after our own restart, and started (at most once).
    started_again: bool = False
    #: Name and id of the clone that a scale-out made.
    clone: str | None = None
    clone_id: str | None = None
    verdict: Verdict | None = None
    #: Why the verdict: the word, and one sentence of evidence.
    verdict_reason: Reason | None = None
    evidence: str | None = None
    finished_at: datetime | None = None
    trigger: Trigger = Trigger.AUTOMATIC
    #: Of a manual attempt: who ordered it, and why.
    ordered: str | None = None
    #: Of a scale-out: what source and clone had used when the clone was warm.
    beside: SideBySide | None = None
    #: Of a rehearsal: the trouble passed by itself; None until that is known.
    passed: bool | None = None

    @property
    def is_open(self) -> bool:
        """No verdict yet."""
        return self.verdict is None

    @property
    def is_failed_restart(self) -> bool:
        """It counts: a restart of ours, of our own accord, on the ladder, that did not help."""
        return (
            self.verdict is not None
            and self.verdict.counts
            and self.trigger is Trigger.AUTOMATIC
            and self.action is not Action.SCALE_OUT
            and self.reason is not Reason.UNDER_COVER
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One decision as it was taken; kept so that every action and non-action is explained."""

    at: datetime
    decision: str
    reason: Reason
    until: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """See the module."""

    id: str
    #: ``engine:slot``.
    target: str
    #: ``engine:group``.
    group: str
    #: The container's name at the last look, for people.
    container: str
    #: Image and configuration: a change starts a new history.
    incarnation: str
    #: Name of the policy that covers it: that of the alert that opened it.
    policy: str
    state: State
    #: Why it is in this state.
    reason: Reason
    opened_at: datetime
    #: Names of the alerts that it was opened for.
    alerts: tuple[str, ...]
    #: What the next delay counts from: receipt of the first notice, then the last verdict.
    needed_since: datetime
    #: ``StartedAt`` when the pending step was planned.
    planned_started_at: str
    #: The engine's own restarts of it at that time: more of them are no person's doing.
    planned_restarts: int = 0
    #: When it is looked at next, or acted; None when closed.
    next_at: datetime | None = None
    #: What is planned for `next_at`, where that is an action.
    next_action: Action | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    attempts: tuple[Attempt, ...] = ()
    #: The symptom has been absent without interruption since then.
    absent_since: datetime | None = None
    #: In how many looks in a row it was absent.
    absent_looks: int = 0
    #: The symptom cannot be told since then.
    unknown_since: datetime | None = None
    #: Last time this remediation scaled out, once the clone was up.
    scaled_out_at: datetime | None = None
    #: Its ladder has ended then; what a person does after that does not begin it anew.
    quarantined_at: datetime | None = None
    #: A person has called it off: it ends with its alerts, and nothing is done until then.
    called_off: str | None = None
    #: Id of the remediation whose recovery did not last, and which this one follows.
    relapse_of: str | None = None
    #: Id of the remediation that this one's relapse has opened.
    relapsed_as: str | None = None
    log: tuple[LogEntry, ...] = ()

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that has no verdict yet."""
        last = self.last_attempt
        return last if last is not None and last.is_open else None

    @property
    def last_attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def is_closed(self) -> bool:
        """Whether the story is over."""
        return self.state is State.CLOSED
