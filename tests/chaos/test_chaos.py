"""A few cycles of random faults: the small version of `python -m tests.chaos.run`."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.chaos import faults
from tests.chaos.conftest import OpenHouse
from tests.chaos.cycles import Cycles, Report
from tests.chaos.episodes import Episode
from tests.chaos.house import DEADLINE_S, WAIT_S, House, Patient
from tests.chaos.judge import judge
from tests.chaos.pager import Alert
from tests.chaos.run import FATAL
from tests.chaos.starts import Starts

#: Faults after which nothing has to be waited for: the others take half a minute each.
QUICK = [
    "kill",
    "kill-during-request",
    "kill-after-answer",
    "terminate",
    "redis-killed",
    "engine-refuses",
    "answer-dropped",
]
#: From one restart to the next of the same alert.
_TURN = WAIT_S + DEADLINE_S
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.stack
@pytest.mark.docker
@pytest.mark.redis
@pytest.mark.timeout(240)
async def test_whatever_dies_each_need_is_one_restart(
    open_house: OpenHouse, starts: Starts
) -> None:
    async def cycles(number: int) -> Report:
        house = await open_house(controllers=2, patients=4, stubborn=1)
        return await Cycles(house, starts, seed=f"test/{number}", kinds=QUICK).run(2)

    reports = await asyncio.gather(*(cycles(number) for number in range(2)))

    for report in reports:
        broken = [one.said for one in report.broken if one.kind in FATAL]
        assert broken == [], report.said
    assert sum(report.starts for report in reports) > 0


def test_every_fault_is_drawn() -> None:
    assert set(QUICK) < set(faults.PLAIN)
    assert set(faults.ALL) == {*faults.PLAIN, *faults.FORGETFUL}


# ------------------------------------------------------------------ what counts as broken


class Events:
    """Starts of one container at seconds after noon; its admission is the first."""

    broken = False

    def __init__(self, *at: float) -> None:
        self._at = [NOON - timedelta(minutes=1), *(NOON + timedelta(seconds=s) for s in at)]

    def of(self, _: str) -> list[datetime]:
        return self._at


class Home:
    """A house with one container."""

    engine = "here"
    patients = (Patient(name="p", id="1" * 64, stubborn=False),)


def episode(began_s: float = 0, end_taken_s: float | None = None, **more: Any) -> Episode:
    began = NOON + timedelta(seconds=began_s)
    alert = Alert(labels={"name": "p"}, starts_at=began)
    alert.firing_taken["a"] = began
    if end_taken_s is not None:
        alert.resolved_taken["a"] = NOON + timedelta(seconds=end_taken_s)
    return Episode(patient=Home.patients[0], cycle=1, needs=1, alert=alert, began_at=began, **more)


def story(*intents_s: float, state: str = "closed") -> dict[str, Any]:
    attempts = [
        {
            "trigger": "automatic",
            "action": "restart",
            "started_at": (NOON + timedelta(seconds=at)).isoformat(),
        }
        for at in intents_s
    ]
    return {"target": "here:p", "state": state, "attempts": attempts}


def broken(
    events: Events, *episodes: Episode, stories: list[dict[str, Any]], forgot_s: float | None = None
) -> list[str]:
    forgot = [] if forgot_s is None else [NOON + timedelta(seconds=forgot_s)]
    found = judge(cast(House, Home()), cast(Starts, events), episodes, stories, forgot)
    return [one.kind for one in found]


@pytest.mark.parametrize(
    ("starts", "told", "stories", "expected"),
    [
        pytest.param((5,), 6, [story(4.9)], [], id="one need, one restart"),
        pytest.param((5,), None, [story(4.9)], [], id="its end was not told yet"),
        pytest.param((5, 5 + _TURN), None, [story(4.9, 15)], [], id="a second one, in its time"),
        pytest.param((5, 4 + _TURN), None, [story(4.9, 14)], ["early"], id="a bit early"),
        pytest.param(
            (5, 8), None, [story(4.9, 7.9)], ["duplicate"], id="without a verdict in between"
        ),
        pytest.param((5, 30), None, [story(4.9)], ["duplicate"], id="two starts for one attempt"),
        pytest.param(
            (5, 20), 6, [story(4.9, 19.9)], ["duplicate"], id="begun after its end was taken"
        ),
        pytest.param((5, 20), 6, [story(4.9, 7)], [], id="begun before, and held up"),
        pytest.param((-3,), None, [story(-4)], ["duplicate"], id="nobody had asked for it"),
        pytest.param((5,), 6, [story(4.9, state="verifying")], ["lost"], id="never terminal"),
    ],
)
def test_the_engine_is_compared_with_the_need(
    starts: tuple[float, ...],
    told: float | None,
    stories: list[dict[str, Any]],
    expected: list[str],
) -> None:
    assert broken(Events(*starts), episode(end_taken_s=told), stories=stories) == expected


def test_what_a_store_forgot_is_not_held_against_its_records() -> None:
    """A restart that it no longer knows; and one for an alert whose end it no longer knows."""
    assert broken(Events(5), episode(end_taken_s=6), stories=[], forgot_s=8) == []
    assert broken(Events(5, 40), episode(end_taken_s=6), stories=[], forgot_s=8) == ["needless"]


def test_an_alert_that_came_to_nothing_is_lost() -> None:
    stuck = episode(stuck="fires for 240 s")
    assert broken(Events(), stuck, stories=[]) == ["lost"]
    dropped = episode(end_taken_s=6)
    dropped.alert.dropped["a"] = 429
    assert broken(Events(5), dropped, stories=[story(4.9)]) == ["dropped"]
