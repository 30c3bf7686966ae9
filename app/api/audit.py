"""What was done to containers, by whom and why: lines that nobody can change unseen."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, Field

from app.api.deps import PartsDep, Scope, needs
from app.api.errors import documented
from app.api.schemas import Moment
from app.api.shape import Shape
from app.domain.audit import AuditKind, AuditMark, AuditText, compact
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Trigger

router = APIRouter(prefix="/api/v1/audit", tags=["audit"], dependencies=[needs(Scope.ADMIN)])

_ID: Final = r"^[0-9]{1,15}-[0-9]{1,15}$"


class AuditEntryOut(Shape):
    """What a line says; what it has nothing to say of is left out."""

    at: Moment
    kind: AuditKind
    target: Annotated[str | None, Field(description="Absent: it concerns the whole engine.")] = None
    remediation: str | None = None
    attempt: Annotated[str | None, Field(description="Or the activity, of an instance.")] = None
    action: Action | None = None
    container_id: str | None = None
    trigger: Trigger | None = None
    order: Annotated[str | None, Field(description="What a person wants.")] = None
    author: Annotated[str | None, Field(description="Who wants it, by his own word.")] = None
    why: str | None = None
    scope: Annotated[
        Scope | None, Field(description="The widest that the token opens which was shown.")
    ] = None
    address: Annotated[
        str | None, Field(description="Where the request came from, as the server has seen it.")
    ] = None
    verdict: Verdict | None = None
    reason: Reason | None = None
    detail: str | None = None


class AuditLineOut(Shape):
    """One line, and what it is chained with."""

    id: Annotated[str, Field(description="Milliseconds since 1970, and the number of the line.")]
    chain: Annotated[
        str,
        Field(
            description="SHA-1, in hexadecimal digits, of the chain of the line before (empty for "
            "the first), a line feed, the id, a line feed, and the entry as compact JSON."
        ),
    ]
    entry: Annotated[
        AuditEntryOut | None, Field(description="Null where it cannot be read: see `text`.")
    ]
    text: Annotated[
        str | None, Field(description="What is there instead of an entry; null: an entry is.")
    ] = None


class AuditOut(Shape):
    """Lines, the oldest first."""

    lines: list[AuditLineOut]
    next: Annotated[
        str | None, Field(description="Ask for what is `after` this; null: that was all.")
    ]


class AuditMarkOut(Shape):
    """A line that was there when this Relevo looked last; it is kept outside of the store."""

    id: str
    chain: str
    is_there: Annotated[bool, Field(description="As it was, or given way to younger ones.")]


class AuditCheckOut(Shape):
    """Whether the audit is what was written."""

    whole: Annotated[bool, Field(description="Nothing is missing or changed.")]
    lines: Annotated[int, Field(description="That were looked at.")]
    first: Annotated[
        int,
        Field(description="Number of the oldest line: the newest 100,000 are kept. 0: no line."),
    ]
    head: Annotated[str | None, Field(description="Id of the newest line; null: none.")]
    chain: Annotated[str | None, Field(description="Its chain: keep it elsewhere.")]
    broken_at: Annotated[
        int | None,
        Field(description="The first line that was changed, or that follows a missing one."),
    ]
    losses: Annotated[
        list[int],
        Field(description="Lines that tell of lost ones: the store was once an older one."),
    ]
    known: AuditMarkOut | None


@router.get(
    "",
    summary="Read the audit",
    response_model=AuditOut,
    responses=documented(401, 403, 422, 503),
)
async def read_audit(
    parts: PartsDep,
    after: Annotated[
        str | None,
        Query(
            description="Only what comes after this line; wins over `since`.",
            pattern=_ID,
            examples=["1795341600000-1"],
        ),
    ] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(description="Written at or after.", examples=["2026-11-22T10:00:00Z"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 1000,
) -> Response:
    """
    Every action with its intent before it, its answer and its verdict; every order of a person
    with author, scope and address, refused ones too. The newest 100,000 lines are kept.
    """
    found = await parts.auditor.texts(since=since, after=after, limit=limit + 1)
    lines = found[:limit]
    told = {
        "lines": [_line(one) for one in lines],
        "next": lines[-1].id if len(found) > limit else None,
    }
    # As they were written, to the letter: whoever has the lines can work out the chain.
    return Response(compact(told), media_type="application/json")


@router.get(
    "/verify", summary="Is the audit what was written?", responses=documented(401, 403, 503)
)
async def verify_audit(parts: PartsDep) -> AuditCheckOut:
    """
    Works the chain out again, and looks for the line that was remembered outside of the store.

    Whoever can write to the store can write a chain anew; not into what you have kept of it.
    """
    audited = await parts.auditor.verify()
    check, known = audited.check, audited.known
    head = check.head or AuditMark()
    return AuditCheckOut(
        whole=audited.is_whole,
        lines=check.lines,
        first=check.first,
        head=head.id if check.head else None,
        chain=head.chain if check.head else None,
        broken_at=check.broken_at,
        losses=list(check.losses),
        known=(
            AuditMarkOut(id=known.id, chain=known.chain, is_there=audited.holds_known is True)
            if known is not None
            else None
        ),
    )


def _line(one: AuditText) -> dict[str, Any]:
    line: dict[str, Any] = {"id": one.id, "chain": one.chain}
    try:
        entry = json.loads(one.text)
    except (ValueError, RecursionError):
        entry = None
    # What would read otherwise was not written by us: told as it is, for the chain to fit.
    if not isinstance(entry, dict) or compact(entry) != one.text:
        return line | {"entry": None, "text": one.text}
    return line | {"entry": entry}
