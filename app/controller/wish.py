"""What a person asks for, in the words of each part that has to know."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.audit import AuditEntry, AuditKind
from app.domain.control import Halt, OrderKind
from app.domain.remediation import Remediation
from app.errors import OrderConflict
from app.policies import attempts, story
from app.ports import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants something, why, and whether it is only asked about."""

    reason: str
    author: str
    #: Caller's own name for the request; the same one again is answered the same.
    key: str | None = None
    dry_run: bool = False
    #: What the token that was shown opens; None where none is asked for.
    scope: str | None = None
    #: Where the request came from; None: not over the network.
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order that was placed, or would be."""

    remediation: str
    attempt: str | None
    dry_run: bool = False
    #: Of the dry run of a scale-in: name of the instance that would leave.
    container: str | None = None


def planned(target: str, record: Remediation | None, now: datetime, *, dry_run: bool) -> Placed:
    """Name the attempt before it is made; ``m`` keeps it apart from one of Relevo's own."""
    remediation = record.id if record is not None else story.new_id(target, now=now)
    number = attempts.next_number(record) if record is not None else 1
    return Placed(remediation=remediation, attempt=f"{remediation}.{number}m", dry_run=dry_run)


def told_of(what: str, wish: Wish, at: datetime, target: str | None = None) -> AuditEntry:
    """Say in the audit what a person wants, or has stopped, or lets go on."""
    return AuditEntry(
        at=at,
        kind=AuditKind.ORDER,
        target=target,
        order=what,
        author=wish.author,
        why=wish.reason,
        scope=wish.scope,
        address=wish.address,
    )


def halt_of(wish: Wish, now: datetime, lasts: timedelta | None) -> Halt:
    """Say what a person has stopped, until he lets it go on or for a time."""
    until = None if lasts is None else now + lasts
    return Halt(reason=wish.reason, author=wish.author, since=now, until=until)


def digest_of(wish: Wish, target: str, kind: OrderKind) -> str:
    """Tell one request from another, under whatever key it comes."""
    asked = json.dumps([target, kind, wish.reason])
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def answered_again(reply: Reply, digest: str) -> Placed:
    """
    Answer a request as it was answered before.

    :raises OrderConflict: its key was used for another request
    """
    if reply.digest != digest:
        raise OrderConflict("this Idempotency-Key was used for another request")
    answer = json.loads(reply.answer)
    return Placed(remediation=answer["remediation"], attempt=answer["attempt"])
