"""What happened, and why."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime

from app.api.deps import PartsDep, Require, Scope
from app.api.errors import documented
from app.api.schemas import ActivitiesOut, ActivityOut, RemediationOut, RemediationsOut
from app.domain.remediation import State
from app.ports import RemediationFilter

router = APIRouter(prefix="/api/v1", tags=["history"], dependencies=[Depends(Require(Scope.READ))])

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


@router.get("/remediations", responses=documented(401, 403, 422, 503))
async def list_remediations(
    parts: PartsDep,
    target: Annotated[str | None, Query(description="``engine:slot``, or a slot alone.")] = None,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Opened at or after.")] = None,
    limit: Limit = 100,
) -> RemediationsOut:
    """List remediations, newest first."""
    wanted = parts.desk.canonical(target) if target is not None else None
    found = await parts.desk.remediations(
        RemediationFilter(target=wanted, state=state, since=since, limit=limit)
    )
    return RemediationsOut(remediations=[RemediationOut.of(record) for record in found])


@router.get("/remediations/{remediation_id}", responses=documented(401, 403, 404, 503))
async def show_remediation(remediation_id: str, parts: PartsDep) -> RemediationOut:
    """Show one remediation: its attempts with their verdicts, its decisions with their reasons."""
    record = await parts.desk.remediation(remediation_id)
    if record is None:
        raise HTTPException(404, "no remediation of that id; they are kept for 30 days")
    return RemediationOut.of(record)


@router.get("/activities", responses=documented(401, 403, 422, 503))
async def list_activities(
    parts: PartsDep,
    group: Annotated[str | None, Query(description="Only those of this group.")] = None,
    limit: Limit = 100,
) -> ActivitiesOut:
    """List scaling activities, newest first."""
    found = await parts.desk.activities(group=group, limit=limit)
    return ActivitiesOut(activities=[ActivityOut.of(activity) for activity in found])
