"""How Relevo is."""

from fastapi import APIRouter, Depends

from app import __version__
from app.api.deps import PartsDep, Require, Scope
from app.api.errors import documented
from app.api.schemas import (
    ActingOut,
    AsideOut,
    BrakeOut,
    BudgetOut,
    HaltOut,
    PartOut,
    PrecisionOut,
    StatusOut,
)

router = APIRouter(prefix="/api/v1", tags=["status"], dependencies=[Depends(Require(Scope.READ))])


@router.get("/status", responses=documented(401, 403))
async def show_status(parts: PartsDep) -> StatusOut:
    """Show what this Relevo is doing. Answers also while its store or engine is down."""
    status = await parts.overview.status()
    return StatusOut(
        version=__version__,
        engine=status.engine,
        mode=status.mode,
        now=parts.clock.now(),
        store=PartOut(
            ok=not status.store_trouble,
            trouble=[*status.store_trouble, *status.store_warnings],
        ),
        container_engine=PartOut(ok=not status.engine_trouble, trouble=list(status.engine_trouble)),
        acting=ActingOut.of(status.tenure),
        targets=dict(status.states),
        failing_targets=status.failing_targets,
        pause=HaltOut.of(status.pause) if status.pause is not None else None,
        holds={target: HaltOut.of(halt) for target, halt in sorted(status.holds.items())},
        brake=BrakeOut(engaged_at=status.brake.engaged_at, failing=status.brake.failing),
        budget_left=BudgetOut(burst=status.budget_left[0], hour=status.budget_left[1]),
        precision=PrecisionOut(
            would_have_acted=status.precision.would_have_acted,
            passed_by_itself=status.precision.passed_by_itself,
            still_needed=status.precision.still_needed,
        ),
        not_taken=[
            AsideOut(at=one.at, reason=one.reason, detail=one.detail) for one in status.asides
        ],
    )
