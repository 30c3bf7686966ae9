"""How Relevo is."""

from fastapi import APIRouter, Depends

from app import __version__
from app.api.deps import PartsDep, Require, Scope
from app.api.errors import documented
from app.api.schemas import PartOut, StatusOut

router = APIRouter(prefix="/api/v1", tags=["status"], dependencies=[Depends(Require(Scope.READ))])


@router.get("/status", responses=documented(401, 403))
async def show_status(parts: PartsDep) -> StatusOut:
    """Show what this Relevo is doing. Answers also while its store or engine is down."""
    status = await parts.desk.status()
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
        targets=dict(status.states),
        failing_targets=status.failing_targets,
    )
