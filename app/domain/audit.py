"""What was done to containers, by whom and why: one line each, never changed."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha1
from typing import Any

from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Trigger


class AuditKind(StrEnum):
    """What a line says."""

    #: An action is about to be carried out.
    INTENT = "intent"
    #: The engine has answered, or the action was seen to have happened.
    ACTED = "acted"
    #: An attempt has its verdict, or its verdict has turned; or an order was carried out.
    OUTCOME = "outcome"
    #: A person wants something.
    ORDER = "order"
    #: A person wanted something and was refused, at once or when it was to be carried out.
    REFUSED = "refused"
    #: Lines that were there before are not there any more.
    LOST = "lost"


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
    #: What the token that was shown opens, the widest scope; None where none is asked for.
    scope: str | None = None
    #: Where the request came from, an IP address as the server has seen it.
    address: str | None = None
    verdict: Verdict | None = None
    #: Why the step was taken; of an outcome: why this verdict; of a refusal: its word.
    reason: Reason | None = None
    #: Evidence, or the engine's refusal, or what was in the way.
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMark:
    """A place in the audit: what the next line is chained to."""

    #: Of the line there, ``ms-number``: milliseconds since the epoch, and its number.
    id: str = "0-0"
    #: Digest of the line before it, and of it.
    chain: str = ""

    @property
    def number(self) -> int:
        """Number of the line there; 0: before the first."""
        return int(self.id.partition("-")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditText:
    """One line as it is kept; what it says may be unreadable."""

    id: str
    chain: str
    #: JSON of the entry.
    text: str

    @property
    def number(self) -> int:
        """Grows by one with every line."""
        return self.mark.number

    @property
    def mark(self) -> AuditMark:
        """The place of this line."""
        return AuditMark(id=self.id, chain=self.chain)

    def follows(self, before: AuditMark) -> bool:
        """Tell whether it is the line after that one, as it was written."""
        link = link_of(before.chain, self.id, self.text)
        return self.number == before.number + 1 and self.chain == link


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line that was read."""

    #: Grows by one with every line.
    number: int
    #: Digest of the line before, and of this one.
    chain: str
    entry: AuditEntry


def compact(value: Any) -> str:
    """Write JSON as it is kept: without blanks, letters as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def link_of(before: str, line_id: str, text: str) -> str:
    """
    Chain a line to the one before, as ``tell.lua`` does.

    :param before: the chain of the line before; empty for the first one
    """
    whole = f"{before}\n{line_id}\n{text}".encode("utf-8", "surrogatepass")
    # Redis' Lua has no other digest.
    return sha1(whole).hexdigest()  # noqa: S324
