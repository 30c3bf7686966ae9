"""The start of whoever would lead: he looks at his engine first."""

import asyncio
from typing import Final

import structlog

from app.controller.picture import Census
from app.controller.seat import LOOK
from app.controller.tenure import Tenure
from app.errors import EngineUnavailable

log: Final = structlog.get_logger("relevo.worker")


async def lead(census: Census, tenure: Tenure) -> None:
    """
    Keep or seek the seat until cancelled.

    Whoever has not seen his engine leaves the seat to others, and asks again a second later. So
    the engine is looked at first, and not waited for where it does not answer in that time.
    """
    try:
        async with asyncio.timeout(LOOK.total_seconds()):
            await census.roster()
    except (EngineUnavailable, TimeoutError):
        pass
    except Exception as exc:
        log.error("step failed unexpectedly, will be repeated", what="first look", exc_info=exc)
    await tenure.run()
