"""Whoever would lead looks at his engine first, and leads all the same where that fails."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.controller.first_look import lead
from app.errors import EngineUnavailable

pytestmark = pytest.mark.looptime


class Looks:
    """A census whose look ends so, and a tenure that says that it runs."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.has_run = False

    async def roster(self) -> None:
        if self.error is None:
            await asyncio.Event().wait()  # an engine that does not answer
        else:
            raise self.error

    async def run(self) -> None:
        self.has_run = True


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (None, []),
        (EngineUnavailable("down"), []),
        (ZeroDivisionError("odd"), ["first look"]),
    ],
    ids=["silent", "away", "odd"],
)
async def test_a_look_that_fails_keeps_nobody_from_the_seat(
    error: Exception | None, logged: list[str]
) -> None:
    looks: Any = Looks(error)
    with capture_logs() as logs:
        await lead(looks, looks)

    assert looks.has_run
    assert [line["what"] for line in logs if line["log_level"] == "error"] == logged
