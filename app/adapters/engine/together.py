"""Several questions at the same time."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*questions: Coroutine[Any, Any, Any]) -> list[Any]:
    """
    Ask several things at the same time; return the answers in order.

    The first error is raised, and then nothing is asked any more.
    """
    tasks = [asyncio.create_task(one) for one in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
