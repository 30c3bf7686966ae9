"""An engine that takes requests and answers none: after three it is left alone, and then not."""

from itertools import count
from typing import Final

import pytest

from app.controller.hand import _MOST_SILENT
from tests.chaos.conftest import OpenHouse
from tests.chaos.engine_proxy import Phase
from tests.chaos.house import WAIT_S
from tests.chaos.starts import Starts
from tests.chaos.visits import AFTER_HOLD, LONG_DUE, Visit
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]

SAYS: Final = f"took {_MOST_SILENT} requests in a row and answered none"


async def test_after_three_requests_without_an_answer_nobody_asks_for_a_while(
    open_house: OpenHouse, starts: Starts
) -> None:
    house = await open_house(patients=_MOST_SILENT + 1, stubborn=0)
    visit, (*first, last) = Visit(house, starts), house.patients
    proxy = house.controllers[0].proxy
    cut = count(1)

    def hang_up() -> bool:
        """Forwarded, so that the engine does it, and then cut off."""
        if next(cut) < _MOST_SILENT:
            proxy.trap(Phase.FORWARDED, hang_up)
        return False

    async def says_so() -> bool:
        return any(SAYS in one for one in (await visit.status())["acting"]["trouble"])

    proxy.trap(Phase.FORWARDED, hang_up)
    alerts = [house.pager.fire(house.labels(patient)) for patient in first]
    await eventually(says_so, within=4 * WAIT_S, what="the engine is left alone")
    assert len(proxy.writes) == _MOST_SILENT
    for alert in alerts:
        house.pager.resolve(alert)

    alert = house.pager.fire(house.labels(last))
    await visit.is_left_alone(last, 0, during=LONG_DUE)

    # It closes again by itself, and what was done is adopted.
    await visit.restarted(last, within=AFTER_HOLD)
    assert not await says_so()
    house.pager.resolve(alert)
    for patient in house.patients:
        ended = await visit.ends(patient, within=60)
        assert [one["verdict"] for one in ended["attempts"]] == ["recovered"]
        assert visit.starts(patient) == 1
