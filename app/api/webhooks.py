"""Notifications in."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

import pydantic_core
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError

from app.api.body import body_of, read_body
from app.api.deps import Parts, Scope, get_parts, needs
from app.api.errors import documented
from app.api.faults import first_fault
from app.api.notification import WebhookIn
from app.api.schemas import Accepted
from app.controller.intake import Unreadable
from app.domain.alert import Alert

router = APIRouter(prefix="/api/v1/webhooks", tags=["receiver"])

#: Larger bodies are read beside the event loop, where others and the leader's seat need it:
#: 10,000 alerts take a fifth of a second.
_AT_ONCE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Notification:
    """What was sent, each alert read by itself."""

    alerts: list[Alert | Unreadable]
    truncated: int


async def notification(request: Request) -> Notification:
    """Read the body: 415, 413, 400 for what is no JSON, 422 for a wrong envelope."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(415, "send application/json")
    raw = await read_body(request)
    if len(raw) <= _AT_ONCE:
        return _parsed(raw)
    return await asyncio.to_thread(_parsed, raw)


def _parsed(raw: bytes) -> Notification:
    try:
        # NaN is no JSON; deep nesting ends in the parser's own recursion limit.
        parsed = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        raise HTTPException(400, "the body is not JSON") from exc
    try:
        envelope = WebhookIn.model_validate(parsed)
    except ValidationError as exc:
        raise HTTPException(
            422, first_fault(list(exc.errors(include_url=False, include_input=False)))
        ) from exc
    return Notification(envelope.read_alerts(), envelope.truncated_alerts)


@router.post(
    "/alertmanager",
    summary="Take on the alerts of one notification",
    status_code=202,
    response_model=Accepted,
    responses=documented(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=body_of(WebhookIn),
    dependencies=[needs(Scope.INGEST)],
)
async def receive_alerts(
    payload: Annotated[Notification, Depends(notification)],
    parts: Annotated[Parts, Depends(get_parts)],
) -> Accepted:
    """
    Answers once they are stored durably, before anything is restarted. A 503 makes
    Alertmanager send the notification again; taking an alert twice is harmless. One alert
    that cannot be read is set aside and counted, and its neighbours are taken.
    """
    with parts.telemetry.accept_seconds.time():
        return Accepted.of(await parts.intake.take(payload.alerts, truncated=payload.truncated))
