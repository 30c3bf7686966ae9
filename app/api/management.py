"""Management and metrics, at the paths that Prometheus' own tools have."""

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.api.deps import PartsDep, Require, Scope
from app.api.errors import documented
from app.api.schemas import ActingOut, PartOut, ReadyOut, ReloadedOut

router = APIRouter(tags=["management"])


@router.get("/-/healthy", response_class=PlainTextResponse)
@router.head("/-/healthy", include_in_schema=False)
async def healthy() -> PlainTextResponse:
    """Say that the process answers. Always 200."""
    return PlainTextResponse("Relevo is healthy.\n")


@router.get("/-/ready", response_model=ReadyOut, responses={503: {"model": ReadyOut}})
@router.head("/-/ready", include_in_schema=False)
async def ready(parts: PartsDep) -> JSONResponse:
    """Say whether alerts can be accepted and acted on: 503 and what is missing where not."""
    status = await parts.overview.status()
    body = ReadyOut(
        ready=status.tenure.is_ready and not status.store_trouble and not status.engine_trouble,
        store=PartOut(
            ok=not status.store_trouble,
            trouble=[*status.store_trouble, *status.store_warnings],
        ),
        container_engine=PartOut(ok=not status.engine_trouble, trouble=list(status.engine_trouble)),
        acting=ActingOut.of(status.tenure),
    )
    return JSONResponse(body.model_dump(), status_code=200 if body.ready else 503)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=documented(401, 403),
    dependencies=[Depends(Require(Scope.READ))],
)
async def metrics(parts: PartsDep) -> Response:
    """Relevo's own metrics, in Prometheus' text format."""
    await parts.gauges.measure()
    return Response(parts.telemetry.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post(
    "/-/reload",
    responses=documented(401, 403, 422),
    dependencies=[Depends(Require(Scope.ADMIN))],
)
@router.put("/-/reload", include_in_schema=False, dependencies=[Depends(Require(Scope.ADMIN))])
async def reload(parts: PartsDep) -> ReloadedOut:
    """
    Read the policy file again, and put it in force from the next step on.

    422 and a line per fault (`file:line:column`) where it is wrong; then the old one stays.
    """
    parts.reloading.reload()
    return ReloadedOut()
