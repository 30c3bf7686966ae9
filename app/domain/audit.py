"""What was done to containers, by whom and why: one line each, never changed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Trigger


class AuditKind(StrEnum):
    """What a line says."""

    #: An action is about to be carried out.
    INTENT = "intent"
    #: The engine has answered, or the action was seen to have happened.
    ACTED = "acted"
    #: An attempt has its verdict, or its verdict has turned.
    OUTCOME = "outcome"
    #: A person wants something.
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line."""

    at: datetime
    kind: AuditKind
    #: ``engine:slot``; None for what concerns the whole engine.
    target: str | None = None
    remediation: str | None = None
    attempt: str | None = None
    action: Action | None = None
    #: The container acted on, 64 hexadecimal digits.
    container_id: str | None = None
    trigger: Trigger | None = None
    #: Of what a person wants: which order, who, and why.
    order: str | None = None
    author: str | None = None
    why: str | None = None
    verdict: Verdict | None = None
    #: Why the step was taken; of an outcome: why this verdict.
    reason: Reason | None = None
    #: Evidence, or the engine's refusal.
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line as it is kept."""

    #: Grows by one with every line.
    number: int
    #: Digest of the line before, and of this one.
    chain: str
    entry: AuditEntry
