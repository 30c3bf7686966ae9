"""How Relevo is."""

from fastapi import APIRouter

from app import __version__
from app.api.deps import PartsDep, Scope, needs
from app.api.errors import documented
from app.api.schemas import (
    ActingOut,
    AsideOut,
    BrakeOut,
    BudgetOut,
    HaltOut,
    MessagesOut,
    PartOut,
    PrecisionOut,
    StatusOut,
)

router = APIRouter(prefix="/api/v1", tags=["status"], dependencies=[needs(Scope.READ)])


@router.get("/status", summary="Show what Relevo is doing", responses=documented(401, 403, 503))
async def show_status(parts: PartsDep) -> StatusOut:
    """At a glance. Answers also while the store or the engine is down, and says so."""
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
        label_typos=list(status.label_typos),
        messages=(
            MessagesOut(pending=told.pending, trouble=told.trouble)
            if (told := status.deliveries) is not None
            else None
        ),
    )
