"""A person's wish that is refused is told in the audit, as one that is granted is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog

from app.controller.wish import Wish, told_of
from app.domain.audit import AuditKind
from app.domain.reason import Reason
from app.errors import OrderConflict, OrderRefused, StoreUnavailable
from app.ports import Audit, Clock

log: Final = structlog.get_logger("relevo.operator")


@asynccontextmanager
async def answerable(
    audit: Audit, clock: Clock, what: str, wish: Wish, target: str
) -> AsyncIterator[None]:
    """Carry out a wish inside of this; a dry run asks, and is told nowhere."""
    try:
        yield
    except (OrderConflict, OrderRefused) as exc:
        if wish.dry_run:
            raise
        log.info("order refused", order=what, target=target, author=wish.author, why=str(exc))
        line = replace(
            told_of(what, wish, clock.now(), target),
            kind=AuditKind.REFUSED,
            reason=Reason(exc.reason) if isinstance(exc, OrderRefused) else None,
            detail=str(exc),
        )
        try:
            await audit.tell(line)
        except StoreUnavailable as lost:
            # He is told that it is refused, and why, whether or not that can be written down.
            log.warning("refusal not told in the audit", error=str(lost))
        raise
