"""An engine that takes requests and answers none: when it is left alone, and when no more."""

from collections.abc import AsyncIterator, Sequence

import pytest

from app.controller.tenure import HOLD
from app.errors import EngineSilent
from app.policies.spec import BrakeRules, Guards, Rulebook
from tests.builders import ENGINE, alert, container
from tests.controller.house import pass_time
from tests.controller.town import Neighbour, Town

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

HOLD_S = HOLD.total_seconds()
WAIT_S = 60
NAMES = ("w2", "w3", "w4", "w5", "w6", "w7")


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    one = Town()
    yield one
    await one.close()


async def asked(town: Town, errors: Sequence[Exception | None]) -> Neighbour:
    """One that is about to restart six containers, a second after the other."""
    for number, name in enumerate(NAMES, start=2):
        town.run(container(name, number))
    free = Guards(concurrent=6, burst=100, per_hour=100, brake=BrakeRules(targets=100))
    one = town.neighbour("anna", rulebook=Rulebook(guards=free))
    one.engine.errors = list(errors)
    await one.start()
    for name in NAMES:
        labels = {"alertname": "Ill", "engine": ENGINE, "name": name}
        await one.take(alert(fingerprint=name, labels=labels))
        await pass_time(seconds=1)
    return one


async def test_it_closes_after_the_hold_and_the_others_are_treated(town: Town) -> None:
    one = await asked(town, [EngineSilent("no answer")] * 3)

    opened = await town.until([], within=2 * WAIT_S)
    assert town.done() == []
    closed = await town.until(["anna"], within=HOLD_S + 1)
    await pass_time(seconds=30)

    # With the third; those that come after it are not asked for meanwhile.
    assert WAIT_S + 2 - len(NAMES) <= opened <= WAIT_S + 3 - len(NAMES)
    assert closed >= HOLD_S - 0.2
    assert await one.trouble() == ""
    assert [name for _, name, _ in one.engine.acts] == list(NAMES[3:])
    # Those that were never answered are looked into, fail for it, and have their next turn.
    await pass_time(minutes=7)
    assert {name for _, name, _ in one.engine.acts} == set(NAMES)


async def test_an_answer_in_between_begins_the_count_anew(town: Town) -> None:
    silent = EngineSilent("no answer")
    one = await asked(town, [silent, silent, None, silent, silent, None])

    await town.watch(seconds=WAIT_S - 1)
    for _ in range(200):
        assert town.acting() == ["anna"]
        await pass_time(milliseconds=200)

    assert one.engine.errors == []


async def test_the_next_three_open_it_again(town: Town) -> None:
    one = await asked(town, [EngineSilent("no answer")] * 6)

    for _ in range(2):
        await town.until([], within=3 * WAIT_S)
        assert "took 3 requests in a row and answered none" in await one.trouble()
        await town.until(["anna"], within=HOLD_S + 1)

    await pass_time(minutes=7)
    assert one.engine.errors == []
    assert {name for _, name, _ in one.engine.acts} == set(NAMES)
