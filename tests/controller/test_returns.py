"""What could not be given back is given back later, with few calls."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.controller.returns import AGAIN, Returns
from app.errors import StoreUnavailable
from app.ports import Claim
from tests.builders import START
from tests.controller.house import VirtualClock

pytestmark = pytest.mark.looptime


class Told:
    """A schedule that notes what it is told, and does not answer so often."""

    def __init__(self) -> None:
        self.silent = 0
        self.calls: list[tuple[list[Claim], timedelta, bool]] = []

    async def requeue(self, claim: Claim, **_: Any) -> None:
        """See `app.ports.Schedule`."""
        raise StoreUnavailable("down")

    async def release(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool = False
    ) -> None:
        """See `app.ports.Schedule`."""
        self.calls.append((list(claims), due - START, forget_lost))
        if self.silent:
            self.silent -= 1
            raise StoreUnavailable("down")


NONE = timedelta(0)
ENDED = [Claim(target=f"e{n}", fence=1) for n in range(64)]
AHEAD = [Claim(target=f"a{n}", fence=2) for n in range(500)]


async def owing() -> tuple[Returns, Told]:
    told: Any = Told()
    returns = Returns(told, VirtualClock())
    for claim in ENDED:
        await returns.give_back(claim, AGAIN)
    for claim in AHEAD:
        returns.owe(claim)
    return returns, told


async def test_all_of_a_kind_are_given_back_with_one_call_and_once() -> None:
    returns, told = await owing()

    await returns.settle()
    await returns.settle()

    assert told.calls == [(ENDED, NONE, True), (AHEAD, AGAIN, False)]


async def test_at_the_end_they_are_due_at_once() -> None:
    returns, told = await owing()

    await returns.settle(at_end=True)

    assert told.calls == [(ENDED, NONE, True), (AHEAD, NONE, False)]


async def test_a_store_that_is_silent_is_asked_once_and_all_stays_owed() -> None:
    returns, told = await owing()
    told.silent = 1

    await returns.settle()
    assert len(told.calls) == 1
    await returns.settle()

    assert told.calls[1:] == [(ENDED, NONE, True), (AHEAD, AGAIN, False)]


@pytest.mark.parametrize("fences", [(3, 7), (7, 3)])
async def test_of_two_claims_of_a_target_the_later_is_owed(fences: tuple[int, int]) -> None:
    told: Any = Told()
    returns = Returns(told, VirtualClock())
    for fence in fences:
        returns.owe(Claim(target="a", fence=fence))

    await returns.settle()

    assert told.calls == [([Claim(target="a", fence=7)], AGAIN, False)]
