"""Who acts, in virtual time: one at any moment, soon again one, and nobody in doubt."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from app.controller.seat import ACTS, LOOK, TTL
from app.controller.tenure import HOLD, RENEW
from tests.builders import alert, at
from tests.controller.house import pass_time
from tests.controller.town import Town

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

#: The longest that nobody acts after the one who did is gone: a look, and one to see it.
FAILOVER: Final = (TTL + 2 * LOOK).total_seconds()
TTL_S, LOOK_S, RENEW_S = (one.total_seconds() for one in (TTL, LOOK, RENEW))
ACTS_S, HOLD_S = ACTS.total_seconds(), HOLD.total_seconds()
#: Until the first restart of an alert.
WAIT_S: Final = 60


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    one = Town()
    yield one
    await one.close()


# ---------------------------------------------------------------- one of several


async def test_one_acts_and_all_accept(town: Town) -> None:
    anna, bert, cara = (town.neighbour(name) for name in ("anna", "bert", "cara"))
    for one in (anna, bert, cara):
        await one.start()
    await pass_time(seconds=RENEW_S + LOOK_S)

    for number, one in enumerate((cara, bert, anna)):
        news = alert(fingerprint=f"f{number}", starts_at=at(RENEW_S))
        assert await one.take(news) == 1
    await town.watch(seconds=WAIT_S + 11)

    # An idle worker may be told of a follower's notice ten seconds late.
    ((who, when),) = town.done()
    assert who == "anna"
    assert WAIT_S <= when <= WAIT_S + 2 * RENEW_S + 10
    assert town.acting() == ["anna"]


async def test_each_says_who_acts(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    assert anna.house.tenure.view().role == "waiting"
    assert not anna.house.tenure.accepts
    await anna.start()
    await bert.start()
    await pass_time(seconds=RENEW_S)

    leading, following = anna.house.tenure.view(), bert.house.tenure.view()

    assert (leading.role, leading.trouble, leading.is_ready) == ("leading", (), True)
    assert (following.role, following.is_ready) == ("following", True)
    assert "another controller leads" in await bert.trouble()
    assert leading.term == following.term == 1


async def test_a_dead_leader_is_followed_within_the_ttl_and_a_look(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await pass_time(seconds=RENEW_S + LOOK_S)
    await bert.take()
    await pass_time(seconds=WAIT_S - RENEW_S - 2 * LOOK_S)
    await anna.crash()

    took = await town.until(["bert"], within=FAILOVER)
    await pass_time(seconds=10)

    # Not sooner: it might still have acted.
    assert took >= TTL_S - RENEW_S - LOOK_S
    ((who, when),) = town.done()
    assert who == "bert"
    assert WAIT_S <= when <= WAIT_S + FAILOVER + 10


async def test_a_step_that_died_with_its_leader_is_done_by_the_next(town: Town) -> None:
    """The lease of a target outlives nobody's seat."""
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await anna.take()
    await pass_time(seconds=WAIT_S - 1)
    anna.engine.goes_on.clear()
    await pass_time(seconds=2)
    assert town.done() == []
    await anna.crash()

    await town.until(["bert"], within=FAILOVER)
    await pass_time(seconds=1)

    assert [who for who, _ in town.done()] == ["bert"]


async def test_a_restarted_controller_goes_on_at_once(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await pass_time(seconds=30)

    await anna.restart()

    assert town.acting() == ["anna"]
    assert anna.house.tenure.view().term == 2
    await town.watch(seconds=60)
    assert town.acting() == ["anna"]


async def test_a_leader_that_leaves_is_followed_within_a_look(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await pass_time(seconds=30)

    await anna.leave()

    assert await town.until(["bert"], within=LOOK_S + 0.2) <= LOOK_S + 0.2
    assert not anna.house.tenure.may_claim


async def test_one_that_is_new_takes_a_free_seat_at_once(town: Town) -> None:
    # The seat is this engine's, as somebody else has said: who has not seen it leaves it alone.
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await pass_time(seconds=30)
    await anna.leave()

    await bert.start()

    assert await town.until(["bert"], within=LOOK_S / 5) <= LOOK_S / 5


async def test_an_engine_that_hangs_keeps_nobody_from_meeting_the_store(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    bert.engine.hangs = timedelta(minutes=1)
    await bert.start()

    await pass_time(seconds=LOOK_S + 0.2)

    assert "another controller leads" in "; ".join(bert.house.tenure.view().trouble)
    assert bert.house.tenure.view().role == "following"


async def test_one_that_left_does_not_come_back(town: Town) -> None:
    anna = town.neighbour("anna")
    await anna.start()
    await pass_time(seconds=1)
    await anna.house.tenure.resign()

    await pass_time(minutes=1)

    assert town.acting() == []


async def test_who_cannot_renew_stops_before_another_may_begin(town: Town) -> None:
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await pass_time(seconds=30)
    anna.is_cut = True

    until = await town.until([], within=ACTS_S)
    before = await town.until(["bert"], within=FAILOVER)

    assert until <= ACTS_S
    assert before >= TTL_S - ACTS_S - LOOK_S
    assert "cut off" in await anna.trouble()
    anna.is_cut = False
    await town.watch(seconds=60)
    assert town.acting() == ["bert"]
    assert anna.house.tenure.view().role == "following"


async def test_a_deadline_is_handed_to_every_action(town: Town) -> None:
    """Whatever is asked of the engine later than this is refused by our own side of it."""
    anna = town.neighbour("anna")
    await anna.start()
    await pass_time(seconds=30.05)
    renewed = anna.house.tenure.not_after() - ACTS_S

    await anna.stop("tenure")
    await pass_time(seconds=1)

    assert anna.house.tenure.not_after() == renewed + ACTS_S


@pytest.mark.parametrize("seed", range(6))
async def test_never_two_at_once_and_soon_again_one(town: Town, seed: int) -> None:
    dice = random.Random(seed)
    names = ("anna", "bert", "cara")
    everybody = [town.neighbour(name) for name in names]
    for one in everybody:
        await one.start()
    for _ in range(40):
        one = dice.choice(everybody)
        what = dice.choice(("cut", "heal", "crash", "restart", "leave", "frozen"))
        if what in ("crash", "leave", "restart") and one.runs:
            if what == "leave" and not one.is_cut:
                await one.leave()
            else:
                await one.crash()
        if not one.runs and what in ("restart", "heal"):
            await one.restart()
        one.is_cut = what == "cut"
        await town.watch(seconds=dice.uniform(0.1, 20))

    for one in everybody:
        one.is_cut = False
        if not one.runs:
            await one.restart()
    await town.watch(seconds=FAILOVER + HOLD_S)
    assert len(town.acting()) == 1


# ---------------------------------------------------------------- a woken old leader


async def test_a_leader_that_wakes_does_not_do_what_it_was_about_to(town: Town) -> None:
    """Frozen between its last look and its request: the seat has passed, and so has the time."""
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await bert.start()
    await anna.take()
    await pass_time(seconds=WAIT_S - 1)
    anna.engine.goes_on.clear()
    await pass_time(seconds=2)
    await anna.stop("tenure")
    await town.until(["bert"], within=FAILOVER + RENEW_S)
    await pass_time(seconds=5)
    assert [who for who, _ in town.done()] == ["bert"]

    anna.engine.goes_on.set()
    anna.go_on()
    await town.watch(seconds=100)

    assert [who for who, _ in town.done()] == ["bert"]
    assert town.acting() == ["bert"]
    anna.check()


async def test_one_that_wakes_too_late_does_nothing_though_nobody_followed(town: Town) -> None:
    anna = town.neighbour("anna")
    await anna.start()
    await anna.take()
    await pass_time(seconds=WAIT_S - 1)
    anna.engine.goes_on.clear()
    await pass_time(seconds=2)
    await anna.stop("tenure")
    await pass_time(seconds=ACTS_S + 1)
    assert town.acting() == []

    anna.engine.goes_on.set()
    await pass_time(seconds=1)
    assert town.done() == []

    anna.go_on()
    await pass_time(seconds=30)
    assert [who for who, _ in town.done()] == ["anna"]


async def test_a_former_leader_that_claims_is_told_and_lives_on(town: Town) -> None:
    """It was away for so short that its own clock still lets it; the store does not."""
    anna, bert = town.neighbour("anna"), town.neighbour("bert")
    await anna.start()
    await anna.stop("tenure")
    await bert.start()
    left = await bert.house.store.leadership.look()
    town.memory.seat.instance, town.memory.seat.life = "", ""
    await bert.house.tenure.beat()
    assert town.memory.seat.term == left.term + 1
    await bert.take()
    await pass_time(seconds=1)

    anna.house.worker.wake()
    await pass_time(seconds=1)
    anna.check()

    anna.go_on()
    await pass_time(seconds=WAIT_S + 10)
    assert [who for who, _ in town.done()] == ["bert"]


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_follower_goes_by_the_leaders_clock(town: Town, hours: int) -> None:
    anna = town.neighbour("anna")
    bert = town.neighbour("bert", ahead=timedelta(hours=hours))
    await anna.start()
    await bert.start()

    await pass_time(seconds=RENEW_S + LOOK_S)

    assert abs(bert.clock.now() - anna.clock.now()) <= 2 * LOOK


@pytest.mark.parametrize("minutes", [-5, 5, 180])
async def test_a_takeover_makes_nothing_due_early(town: Town, minutes: int) -> None:
    anna = town.neighbour("anna")
    bert = town.neighbour("bert", ahead=timedelta(minutes=minutes))
    await anna.start()
    await bert.start()
    await anna.take()
    await pass_time(seconds=20)
    await anna.crash()

    await town.until(["bert"], within=FAILOVER)
    await pass_time(minutes=1)

    ((who, when),) = town.done()
    assert who == "bert"
    assert WAIT_S - 2 <= when <= WAIT_S + 2


async def test_a_leader_whose_host_is_hours_behind_does_nothing_early(town: Town) -> None:
    """It gives up the times that the store was told, and looks at everything anew."""
    anna = town.neighbour("anna")
    bert = town.neighbour("bert", ahead=timedelta(hours=-3))
    await anna.start()
    await bert.start()
    await anna.take()
    await pass_time(seconds=20)
    await anna.crash()

    await pass_time(minutes=4)

    assert {who for who, _ in town.done()} <= {"bert"}
    assert len(town.done()) <= 1
    assert all(when >= WAIT_S - 2 for _, when in town.done())


async def test_a_controller_that_is_behind_the_last_leader_does_not_sleep_on(town: Town) -> None:
    """The leader's clock was ahead; what it has planned is done in its time."""
    ahead = timedelta(minutes=5)
    anna = town.neighbour("anna", ahead=ahead)
    await anna.start()
    await anna.take(alert(starts_at=at(ahead.total_seconds())))
    await pass_time(seconds=10)
    await anna.crash()
    bert = town.neighbour("bert")
    await bert.start()

    await town.until(["bert"], within=FAILOVER)

    # The time since its last renewal is lost to it.
    assert bert.clock.now() - town.clock.now() >= ahead - (TTL + RENEW + 2 * LOOK)
    await pass_time(seconds=WAIT_S + TTL_S)
    assert [who for who, _ in town.done()] == ["bert"]


async def test_a_time_that_is_hours_ahead_is_not_taken_over(town: Town) -> None:
    """A host whose clock was wrong once must not have all wrong for ever."""
    anna = town.neighbour("anna", ahead=timedelta(hours=2))
    await anna.start()
    await anna.take()
    await pass_time(seconds=10)
    await anna.crash()
    bert = town.neighbour("bert")
    await bert.start()

    await town.until(["bert"], within=FAILOVER + 2 * HOLD_S)

    assert abs(bert.clock.now() - town.clock.now()) <= 2 * LOOK
