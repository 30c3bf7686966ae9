"""What happened, and why."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime

from app.api.deps import Parts, PartsDep, Scope, needs
from app.api.errors import documented
from app.api.stories import (
    ActivitiesOut,
    ActivityOut,
    RemediationDetailOut,
    RemediationOut,
    RemediationsOut,
)
from app.api.words import RemediationState
from app.errors import EngineUnavailable
from app.ports import RemediationFilter

router = APIRouter(prefix="/api/v1", tags=["history"], dependencies=[needs(Scope.READ)])

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


@router.get("/remediations", summary="List remediations", responses=documented(401, 403, 422, 503))
async def list_remediations(
    parts: PartsDep,
    target: Annotated[
        str | None,
        Query(description="`engine:slot`, or a slot alone.", examples=["host1:shop-web-1"]),
    ] = None,
    state: Annotated[
        RemediationState | None, Query(description="Only those in this state.")
    ] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(description="Opened at or after.", examples=["2026-11-22T10:00:00Z"]),
    ] = None,
    limit: Limit = 100,
) -> RemediationsOut:
    """Newest first, those kept for 30 days; case files are shown with a single one."""
    wanted = await _canonical(parts, target) if target is not None else None
    found = await parts.desk.remediations(
        RemediationFilter(target=wanted, state=state, since=since, limit=limit)
    )
    return RemediationsOut(remediations=[RemediationOut.of(record) for record in found])


@router.get(
    "/remediations/{remediation_id}",
    summary="Show one remediation",
    responses=documented(401, 403, 404, 503),
)
async def show_remediation(remediation_id: str, parts: PartsDep) -> RemediationDetailOut:
    """
    The whole story.

    Its attempts with their verdicts, its decisions with their reasons, and the case files: the
    evidence from before each action.
    """
    record = await parts.desk.remediation(remediation_id)
    if record is None:
        raise HTTPException(404, "no remediation of that id; they are kept for 30 days")
    return RemediationDetailOut.with_evidence(record, await parts.desk.case_files(record))


@router.get(
    "/activities", summary="List scaling activities", responses=documented(401, 403, 422, 503)
)
async def list_activities(
    parts: PartsDep,
    group: Annotated[
        str | None,
        Query(
            description="Only those of this group: `engine:group`, or the group alone.",
            examples=["host1:shop/web"],
        ),
    ] = None,
    limit: Limit = 100,
) -> ActivitiesOut:
    """
    Newest first.

    Each is one change of the number of instances of a group: an instance that came, or one that
    went, with its cause. The last 1000 are kept, for 30 days.
    """
    with suppress(EngineUnavailable):  # as below
        await parts.desk.engine_seen()
    found = await parts.desk.activities(group=group, limit=limit)
    return ActivitiesOut(activities=[ActivityOut.of(activity) for activity in found])


async def _canonical(parts: Parts, target: str) -> str:
    """Complete a target's name, of one that is gone as well."""
    with suppress(EngineUnavailable):  # what happened can be told without an engine
        await parts.desk.engine_seen()
    return parts.desk.canonical(target)
