"""Notifications in."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

import pydantic_core
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError

from app.api.body import body_of, check_json, read_body
from app.api.deps import Parts, Scope, get_parts, needs
from app.api.errors import documented
from app.api.faults import first_fault
from app.api.notification import WebhookIn
from app.api.reading import Reading
from app.api.schemas import Accepted
from app.controller.intake import Unreadable
from app.domain.alert import Alert

#: Where notifications are posted.
PATH: Final = "/api/v1/webhooks/alertmanager"

# What is posted comes by app/api/receiver.py; this route is what the document knows of it.
router = APIRouter(tags=["receiver"])


@dataclass(frozen=True, slots=True)
class Notification:
    """What was sent, each alert read by itself."""

    alerts: list[Alert | Unreadable]
    truncated: int


async def raw_notification(request: Request) -> bytes:
    """Read the body: 415, 413, 400 for what does not come whole."""
    check_json(request)
    return await read_body(request)


def _parsed(raw: bytes) -> Notification:
    """Read what was sent: 400 for what is no JSON, 422 for a wrong envelope."""
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
    PATH,
    summary="Take on the alerts of one notification",
    status_code=202,
    response_model=Accepted,
    responses=documented(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=body_of(WebhookIn),
    dependencies=[needs(Scope.INGEST)],
)
async def receive_alerts(
    request: Request,
    raw: Annotated[bytes, Depends(raw_notification)],
    parts: Annotated[Parts, Depends(get_parts)],
) -> Accepted:
    """
    Answers once they are stored durably, before anything is restarted. A 503 makes
    Alertmanager send the notification again; taking an alert twice is harmless. One alert
    that cannot be read is set aside and counted, and its neighbours are taken.
    """
    reading: Reading = request.app.state.reading
    async with reading.turn(raw) as is_large:
        if not is_large:
            return await _accept(parts, _parsed(raw))
        return await _accept(parts, await asyncio.to_thread(_parsed, raw))


async def _accept(parts: Parts, payload: Notification) -> Accepted:
    with parts.telemetry.accept_seconds.time():
        return Accepted.of(await parts.intake.take(payload.alerts, truncated=payload.truncated))
