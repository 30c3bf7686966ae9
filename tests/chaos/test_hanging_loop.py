"""The event loop of the controller that leads hangs, its process alive: the other one goes on."""

import signal
from pathlib import Path
from typing import Final

import pytest

from app.controller.seat import TTL
from app.controller.tenure import RENEW
from tests.chaos.conftest import OpenHouse
from tests.chaos.house import WAIT_S
from tests.chaos.starts import Starts
from tests.chaos.visits import Visit
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]

#: Longer than a seat lasts that nobody renews, a look at it, and what a restart takes.
HANGS_S: Final = 25
#: Python runs it at every start: SIGUSR1 then has the main thread wait, and no other.
CUSTOMIZE: Final = f"""
import signal, threading

def hang_on(*_):
    threading.Event().wait({HANGS_S})

signal.signal(signal.SIGUSR1, hang_on)
"""


async def test_a_leader_that_hangs_is_followed_and_does_nothing_when_it_wakes(
    open_house: OpenHouse, starts: Starts, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CUSTOMIZE, encoding="utf-8")
    house = await open_house(
        controllers=2, patients=1, stubborn=0, environment={"PYTHONPATH": str(tmp_path)}
    )
    visit, (patient,) = Visit(house, starts), house.patients
    leader = await house.leader()
    assert leader is not None
    (other,) = (one for one in house.controllers if one is not leader)
    of_other = house.controllers.index(other)
    alert = house.pager.fire(house.labels(patient))
    await visit.waits(patient)

    leader.program.send(signal.SIGUSR1)

    async def told() -> bool:
        log = leader.program.log.read_text(encoding="utf-8")
        return "the event loop hangs" in log and "in hang_on" in log

    await eventually(told, within=10, what="the log says where it hangs")
    await visit.restarted(patient, within=TTL.total_seconds() + 2 * RENEW.total_seconds())
    house.pager.resolve(alert)
    assert (len(leader.proxy.writes), len(other.proxy.writes)) == (0, 1)
    assert (await visit.status(of_other))["acting"]["role"] == "leading"

    async def awake() -> bool:
        number = house.controllers.index(leader)
        return bool((await visit.status(number))["acting"]["role"] == "following")

    await eventually(awake, within=HANGS_S, what="it follows when it wakes")
    await visit.is_left_alone(patient, 1, during=WAIT_S)
    assert (await visit.ends(patient))["outcome"] == "recovered"
    assert leader.proxy.writes == []
