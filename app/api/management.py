"""Management and metrics, at the paths that Prometheus' own tools have."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.api.caller import CallerDep
from app.api.deps import PartsDep, Scope, needs
from app.api.errors import documented
from app.api.schemas import ActingOut, PartOut, ReadyOut, ReloadedOut
from app.errors import BadConfiguration

router = APIRouter(tags=["management"])


@router.get("/-/healthy", summary="Is the process alive?", response_class=PlainTextResponse)
@router.head("/-/healthy", include_in_schema=False)
async def check_health() -> PlainTextResponse:
    """Says that the process answers. Always 200, and needs no token."""
    return PlainTextResponse("Relevo is healthy.\n")


@router.get(
    "/-/ready",
    summary="Can alerts be accepted and acted on?",
    response_model=ReadyOut,
    responses={503: {"model": ReadyOut, "description": "Not now: `trouble` says why."}},
)
@router.head("/-/ready", include_in_schema=False)
async def check_readiness(parts: PartsDep) -> JSONResponse:
    """Says whether alerts can be accepted and acted on, and what is missing; needs no token."""
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
    summary="Relevo's own metrics",
    response_class=PlainTextResponse,
    responses=documented(401, 403, 503),
    dependencies=[needs(Scope.READ)],
)
async def read_metrics(parts: PartsDep) -> Response:
    """In Prometheus' text format; docs/metrics.md lists them."""
    await parts.gauges.measure()
    return Response(parts.telemetry.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post(
    "/-/reload",
    summary="Read the policy file again",
    responses=documented(401, 403, 422, 503),
    dependencies=[needs(Scope.ADMIN)],
)
@router.put("/-/reload", include_in_schema=False, dependencies=[needs(Scope.ADMIN)])
async def reload_policies(parts: PartsDep, caller: CallerDep) -> ReloadedOut:
    """
    What it says is in force from the next step on.

    422 and a line per fault (`file:line:column`) where it is wrong; then the old one stays.
    """
    refused = None
    try:
        parts.reloading.reload()
    except BadConfiguration as exc:
        refused = str(exc)
        raise
    finally:
        await parts.auditor.tell_of_reload(
            scope=caller.scope, address=caller.address, refused=refused
        )
    return ReloadedOut()
