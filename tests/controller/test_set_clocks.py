"""Somebody sets the clock of a controller while it leads: nothing early, nothing twice."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from app.controller.tenure import HOLD, RENEW
from app.domain.decision import Verdict
from app.domain.remediation import State
from app.policies.spec import BrakeRules, Guards, Policy, RestartRules, Rulebook, ScaleOutRules
from tests.builders import ENGINE, START, alert, container, listed_alert
from tests.controller.house import pass_time
from tests.controller.town import Neighbour, Town
from tests.fakes import FakeAlertmanager

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

HOLD_S, RENEW_S = HOLD.total_seconds(), RENEW.total_seconds()
#: Until the first restart of an alert; the longest wait that a shipped policy knows.
WAIT_S: Final = 60
LONGEST_S: Final = 600
#: When the clock is set: between two beats, as neither step nor beat is under way then.
SET_AT: Final = 22.2


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    one = Town()
    yield one
    await one.close()


def set_clock(one: Neighbour, by: timedelta) -> None:
    """Set the clock of its host, which stays awake: `HostClock.suspend` without the sleep."""
    one.clock._wrong += by


async def led(town: Town) -> Neighbour:
    """One that leads, asks an Alertmanager that lists the alert, and has another beside it."""
    source = FakeAlertmanager(up_since=START - timedelta(days=1), alerts=[listed_alert()])
    anna = town.neighbour("anna", alerts=source)
    await anna.start()
    await town.neighbour("bert", alerts=source).start()
    return anna


@pytest.mark.parametrize("hours", [0.02, 1, 24])
async def test_set_forward_it_does_nothing_until_every_wait_is_over(
    town: Town, hours: float
) -> None:
    anna = await led(town)
    jump = timedelta(hours=hours)
    await pass_time(seconds=SET_AT)

    set_clock(anna, jump)
    await town.until([], within=RENEW_S + 0.2)

    assert f"set forward by {jump.total_seconds():.0f} s" in await anna.trouble()
    # As long as the wait that a due time may be early by; the time before it is noticed is none.
    held = min(jump.total_seconds(), LONGEST_S)
    assert held - 0.2 <= await town.until(["anna"], within=held + RENEW_S) <= held + RENEW_S
    assert town.done() == []
    # The wait began before, and is over since; nobody else has taken the seat meanwhile.
    await town.watch(seconds=60)
    ((who, when),) = town.done()
    assert who == "anna"
    assert when >= max(WAIT_S, SET_AT + held)


async def test_a_jump_gives_no_more_than_one_budget(town: Town) -> None:
    """Charges of the last hour are older than that at once, by the clock that was set."""
    names = [f"w{number}" for number in range(2, 10)]
    for number, name in enumerate(names, start=2):
        town.run(container(name, number))
    once = Policy(
        restart=RestartRules(delays=(timedelta(0),), max_failed=50),
        scale_out=ScaleOutRules(enabled=False),
    )
    guards = Guards(concurrent=9, burst=2, per_hour=2, brake=BrakeRules(targets=100))
    anna = town.neighbour("anna", rulebook=Rulebook(defaults=once, guards=guards))
    await anna.start()
    await anna.take(
        *(
            alert(fingerprint=name, labels={"alertname": "Ill", "engine": ENGINE, "name": name})
            for name in names
        )
    )
    await pass_time(seconds=SET_AT)
    assert len(town.done()) == guards.per_hour

    set_clock(anna, timedelta(hours=2))
    await town.watch(seconds=3500 - SET_AT)

    # Of one true hour; without a jump it is one budget.
    assert len(town.done()) == 2 * guards.per_hour


@pytest.mark.parametrize("hours", [-0.05, -1, -24])
async def test_set_back_it_makes_no_wait_longer_by_as_much(town: Town, hours: float) -> None:
    anna = await led(town)
    await pass_time(seconds=SET_AT)

    set_clock(anna, timedelta(hours=hours))
    await town.watch(seconds=WAIT_S + HOLD_S + 2 * RENEW_S)

    # Once, by the one who led. A jump that is given in to begins the wait anew at most.
    ((who, when),) = town.done()
    assert who == "anna"
    assert WAIT_S <= when <= SET_AT + RENEW_S + HOLD_S + WAIT_S + 1
    # A time that is far ahead of the host's is nobody's for ever.
    assert abs(anna.clock.ahead()) <= timedelta(minutes=10)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_verdict_is_reached_in_its_time(town: Town, hours: float) -> None:
    """The alert goes on after the restart: a failure, and no sooner than after its deadline."""
    anna = await led(town)
    await pass_time(seconds=WAIT_S + SET_AT)
    ((_, acted_at),) = town.done()

    set_clock(anna, timedelta(hours=hours))
    await town.watch(seconds=acted_at + 179 - (WAIT_S + SET_AT))
    early = (await anna.house.story()).attempts[-1].verdict
    await town.watch(seconds=LONGEST_S)

    assert early is None
    story = await anna.house.story()
    assert story.attempts[0].verdict is Verdict.SYMPTOM_PERSISTS
    assert story.state in (State.WAITING, State.VERIFYING)
    # The next one: three minutes and the second delay after the first.
    assert all(when >= acted_at + 180 + 300 for _, when in town.done()[1:])


async def test_a_step_that_is_under_way_then_does_not_wait_for_the_old_time(town: Town) -> None:
    source = FakeAlertmanager(up_since=START - timedelta(days=1), alerts=[listed_alert()])
    anna = town.neighbour("anna", alerts=source)
    await anna.start()
    await anna.take()
    # A step begins at this very moment: it plans its next look by the time that was.
    await pass_time(seconds=70)
    ((_, acted_at),) = town.done()

    set_clock(anna, -timedelta(hours=1))
    await town.watch(seconds=LONGEST_S)

    assert acted_at == pytest.approx(WAIT_S, abs=1)
    assert (await anna.house.story()).attempts[0].verdict is Verdict.SYMPTOM_PERSISTS
