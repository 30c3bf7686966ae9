"""Several ways of the same story, side by side in one lab: they take the time of one."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.parts import missing
from tests.stack.example import make_images
from tests.stack.lab import Lab


@dataclass(slots=True)
class Scene:
    """The lab, and what became of each way."""

    lab: Lab
    #: Way -> why it cannot be had; empty: it can.
    missing: Mapping[str, str]
    told: Mapping[str, asyncio.Task[str]]

    async def print_what_is_told(self, way: str, *, part: str) -> None:
        """
        Wait for a way's end, and print its numbers.

        :param part: what is missing where the way cannot be had
        """
        if self.missing[way]:
            missing(part, self.missing[way])
        try:
            said = await self.told[way]
        except AssertionError as exc:
            exc.add_note(self.lab.story())
            raise
        sys.stdout.write(f"\n{way}: {said}\n")


@asynccontextmanager
async def side_by_side(
    request: pytest.FixtureRequest,
    play: Callable[[Lab, str], Coroutine[Any, Any, str]],
    *,
    images: Mapping[str, str],
    **lab_options: Any,
) -> AsyncIterator[Scene]:
    """
    Begin all ways that can be had.

    :param play: one of them; returns its numbers
    :param images: what each needs, in the words of deploy/airgap/images.sh
    :param lab_options: as of `Lab`
    """
    # One after the other: two that make the same image would be in each other's way.
    complaints = {way: await make_images(what) for way, what in images.items()}
    failed_before = request.session.testsfailed
    home = Path(mkdtemp(prefix="relevo-lab-"))
    async with Lab(home, **lab_options) as lab:
        told = {
            way: asyncio.create_task(play(lab, way))
            for way, complaint in complaints.items()
            if not complaint
        }
        yield Scene(lab, complaints, told)
        for task in told.values():
            task.cancel()
        await asyncio.gather(*told.values(), return_exceptions=True)
    if request.session.testsfailed == failed_before:
        lab.remove_traces()
