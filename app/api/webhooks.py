"""Notifications in."""

from typing import Annotated

import pydantic_core
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError

from app.api.body import read_body
from app.api.deps import Parts, Require, Scope, get_parts
from app.api.errors import documented, first_fault
from app.api.notification import WebhookIn
from app.api.schemas import Accepted

router = APIRouter(prefix="/api/v1/webhooks", tags=["receiver"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": WebhookIn.model_json_schema()}},
    }
}


async def notification(request: Request) -> WebhookIn:
    """Read the body: 415, 413, 400 for what is no JSON, 422 for a wrong envelope."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(415, "send application/json")
    raw = await read_body(request)
    try:
        # NaN is no JSON; deep nesting ends in the parser's own recursion limit.
        parsed = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        raise HTTPException(400, "the body is not JSON") from exc
    try:
        return WebhookIn.model_validate(parsed)
    except ValidationError as exc:
        raise HTTPException(
            422, first_fault(list(exc.errors(include_url=False, include_input=False)))
        ) from exc


@router.post(
    "/alertmanager",
    status_code=202,
    response_model=Accepted,
    responses=documented(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=_BODY,
    dependencies=[Depends(Require(Scope.INGEST))],
)
async def receive_alerts(
    payload: Annotated[WebhookIn, Depends(notification)],
    parts: Annotated[Parts, Depends(get_parts)],
) -> Accepted:
    """
    Take on the alerts of one notification.

    Answers once they are stored durably, before anything is restarted. A 503 makes
    Alertmanager send the notification again; taking an alert twice is harmless. One alert
    that cannot be read is set aside and counted, and its neighbours are taken.
    """
    with parts.telemetry.accept_seconds.time():
        return Accepted.of(
            await parts.intake.take(payload.read_alerts(), truncated=payload.truncated_alerts)
        )
