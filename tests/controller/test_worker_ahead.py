"""Steps that are claimed ahead and have not begun: they begin as ours, once, or not at all."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.adapters.store.codec import to_ms
from app.controller.ahead import Ahead
from app.controller.returns import AGAIN
from app.controller.worker import LEASE, RETRY, Worker
from app.errors import LeaseLost, StoreUnavailable
from app.ports import Claim, Claimed
from tests.builders import at
from tests.controller.house import pass_time
from tests.controller.test_worker import Ward

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

LEASE_S = LEASE.total_seconds()
#: One that runs, and those that wait.
NAMES = ("a", "b", "c", "d")


class Crowd(Ward):
    """A ward whose worker runs one step at a time, and has claimed more than that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(parallel=1)
        #: Nothing more is claimed.
        self.is_enough: bool = False
        monkeypatch.setattr(Ahead, "room", lambda _, __: 0 if self.is_enough else 9)
        self.may = True
        self.worker = Worker(
            self.schedule,
            self.clock,
            self.step,
            self.telemetry,
            may_claim=lambda: self.may,
            parallel=1,
        )
        self.within = self.slow
        self.takes: dict[str, float] = {}

    async def slow(self, claim: Claim) -> None:
        """Take a second, or as long as is said of the target."""
        self.is_enough = True
        await pass_time(seconds=self.takes.get(claim.target, 1))

    async def all_due(self) -> None:
        """Have all of them fall due."""
        for place, name in enumerate(NAMES):
            await self.due(name, -9 + place)

    async def claimable(self) -> list[tuple[str, int]]:
        """Tell what another could claim now, and how often it was lost."""
        found = await self.store.claim(now=self.clock.now(), lease=LEASE, limit=9)
        return [(claim.target, claim.lost) for claim in found.claims]

    def ended_leases(self) -> list[str]:
        """Tell whose leases have run out by now."""
        now_ms = to_ms(self.clock.now())
        return sorted(name for name, end in self.store._running.items() if end <= now_ms)


@pytest.fixture
async def crowd(monkeypatch: pytest.MonkeyPatch) -> Crowd:
    ward = Crowd(monkeypatch)
    await ward.all_due()
    return ward


async def test_they_begin_one_after_the_other_with_the_time_of_their_beginning(
    crowd: Crowd,
) -> None:
    async with crowd.working():
        await pass_time(seconds=10)

    # `Ward.step` checks the time it is handed.
    assert crowd.ran == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]
    assert len(crowd.schedule.asked) < 20


async def test_who_may_act_no_more_begins_none_and_gives_them_back(crowd: Crowd) -> None:
    async with crowd.working():
        await pass_time(seconds=0.5)
        crowd.may = False  # the seat is lost, or something odd is waited for
        await pass_time(seconds=1)
        assert crowd.ran == [("a", 0)]
        assert await crowd.claimable() == [("b", 0), ("c", 0), ("d", 0)]


async def test_who_may_act_again_goes_on(crowd: Crowd) -> None:
    async with crowd.working():
        await pass_time(seconds=0.5)
        crowd.may = False
        await pass_time(seconds=4.5)
        crowd.may = True
        crowd.is_enough = False
        crowd.worker.wake()
        await pass_time(seconds=10)

    assert crowd.ran == [("a", 0), ("b", 5), ("c", 6), ("d", 7)]


async def test_a_leader_that_is_told_to_be_none_begins_none(crowd: Crowd) -> None:
    """By the renewal: whoever leads now has ended these leases."""
    crowd.takes["a"] = LEASE_S / 2
    crowd.schedule.renew_errors = [LeaseLost("another controller leads now")]
    async with crowd.working():
        await pass_time(minutes=2)

    assert crowd.ran == [("a", 0)]
    assert crowd.schedule.released == []


async def test_what_another_has_by_now_does_not_begin(crowd: Crowd) -> None:
    """Its fence is another: told by the renewal, before it would have begun."""
    crowd.takes["a"] = LEASE_S / 2
    async with crowd.working():
        await pass_time(seconds=1)
        # Nobody's lost lease: the other one goes on with them.
        taken = await crowd.store.claim(now=at(LEASE_S), lease=LEASE, limit=3, here=NAMES)
        assert [one.target for one in taken.claims] == ["a", "b", "c"]
        await pass_time(seconds=LEASE_S)

    assert crowd.ran == [("a", 0), ("d", LEASE_S / 2)]


async def test_their_leases_are_held_while_they_wait(crowd: Crowd) -> None:
    crowd.takes["a"] = 10 * LEASE_S
    async with crowd.working():
        await pass_time(seconds=9.9 * LEASE_S)
        assert await crowd.claimable() == []
        # All of them with one call.
        assert len(crowd.schedule.renewed) == pytest.approx(30, abs=1)
        await pass_time(seconds=LEASE_S)

    late = 10 * LEASE_S
    assert crowd.ran == [("a", 0), ("b", late), ("c", late + 1), ("d", late + 2)]


async def test_what_could_not_be_renewed_does_not_begin_and_is_given_back(crowd: Crowd) -> None:
    crowd.takes["a"] = LEASE_S - 5
    crowd.schedule.renew_errors = [StoreUnavailable("down")] * 99
    async with crowd.working():
        await pass_time(seconds=LEASE_S - 4.5)
        assert crowd.ran == [("a", 0)]
        crowd.is_enough = False
        crowd.schedule.renew_errors = []
        crowd.worker.wake()
        await pass_time(seconds=LEASE_S)

    # Its own lease was about to end; nobody has died of it, and none was counted as lost.
    again = LEASE_S - 5 + AGAIN.total_seconds()
    assert crowd.ran[1:] == [("b", again), ("c", again + 1), ("d", again + 2)]
    assert crowd.store._lost == {}


@pytest.mark.parametrize("is_long", [False, True], ids=["a-short-step", "a-long-one"])
async def test_stopping_gives_them_back_at_once(crowd: Crowd, is_long: bool) -> None:
    crowd.takes["a"] = 1000 if is_long else 3
    async with crowd.working() as task:
        await pass_time(seconds=2)
        crowd.worker.stop()
        await pass_time(seconds=0.001)
        assert await crowd.claimable() == [("b", 0), ("c", 0), ("d", 0)]
        assert not task.done()
        task.cancel() if is_long else await task

    assert crowd.ran == [("a", 0)]


async def test_stopping_while_the_store_is_away_is_not_held_up(crowd: Crowd) -> None:
    async def release(claims: list[Claim], **how: Any) -> None:
        raise StoreUnavailable("down")

    crowd.schedule.release = release  # type: ignore[method-assign, assignment]
    async with crowd.working() as task:
        await pass_time(seconds=0.5)
        crowd.worker.stop()
        await task

    assert crowd.ran == [("a", 0)]
    # Their leases bring them back.
    assert await crowd.claimable() == []
    await pass_time(seconds=LEASE_S)
    assert crowd.ended_leases() == ["b", "c", "d"]


async def test_what_a_claim_brings_after_the_stop_is_given_back(crowd: Crowd) -> None:
    claim = crowd.schedule.claim

    async def stopped_meanwhile(**how: Any) -> Claimed:
        claimed = await claim(**how)
        crowd.worker.stop()
        return claimed

    crowd.schedule.claim = stopped_meanwhile  # type: ignore[method-assign]
    async with crowd.working() as task:
        await task

    assert crowd.ran == []
    assert await crowd.claimable() == [(name, 0) for name in NAMES]


async def test_whoever_dies_leaves_them_to_their_leases(crowd: Crowd) -> None:
    async with crowd.working() as task:
        await pass_time(seconds=0.5)
        task.cancel()
        await asyncio.wait([task])
        assert len(asyncio.all_tasks()) == 1
        assert await crowd.claimable() == []
        await pass_time(seconds=LEASE_S)

    assert crowd.ran == [("a", 0)]
    assert crowd.ended_leases() == list(NAMES)


async def test_one_that_is_claimed_twice_begins_once(crowd: Crowd) -> None:
    """Its lease has run out here, and the next call gives it out again."""
    crowd.takes["a"] = 1
    async with crowd.working():
        await pass_time(seconds=0.5)
        # As a store does whose clock was set: all leases have ended.
        crowd.store.take_over(0)
        crowd.is_enough = False
        crowd.within = lambda _: pass_time(seconds=1)
        crowd.worker.wake()
        await pass_time(seconds=60)

    begun = [target for target, _ in crowd.ran]
    # The one that ran meanwhile and those that were held back, once more.
    assert sorted(begun) == ["a", "a", "b", "c", "c", "d", "d"]
    # Each by its last claim, which alone may be noted.
    assert sorted(target for target, _ in crowd.ended) == list(NAMES)


async def test_a_step_that_cancels_itself_stops_no_other(crowd: Crowd) -> None:
    async def cancels(claim: Claim) -> None:
        crowd.is_enough = True
        if claim.target == "a":
            raise asyncio.CancelledError

    crowd.within = cancels
    async with crowd.working():
        await pass_time(seconds=5)

    assert [target for target, _ in crowd.ran] == list(NAMES)


async def test_of_many_suspects_one_at_a_time_is_leased() -> None:
    """If that one ends its worker as well, nobody else is counted with it."""
    ward = Ward()
    for name in NAMES:
        await ward.due(name, 0)
    await ward.store.claim(now=at(0), lease=LEASE, limit=9)
    await pass_time(seconds=LEASE_S)
    held: list[dict[str, int]] = []

    async def look(_: Claim) -> None:
        held.append(dict(ward.store._leases))
        await pass_time(seconds=0.01)

    ward.within = look
    async with ward.working():
        await pass_time(seconds=5)

    assert [list(one) for one in held] == [[name] for name in NAMES]
    assert ward.schedule.released == []


@pytest.mark.parametrize("dies_after", [0, 0.001, 0.1, 0.5, 7])
async def test_who_dies_of_one_suspect_leaves_no_other_to_be_counted(dies_after: float) -> None:
    ward = Ward()
    names = [f"n{number:03}" for number in range(300)]
    await ward.store.nudge(names, now=at(0))
    await ward.store.claim(now=at(0), lease=LEASE, limit=1000)
    await pass_time(seconds=LEASE_S)
    killed: list[str] = []

    async def kills(claim: Claim) -> None:
        killed.append(claim.target)
        await pass_time(seconds=9)

    ward.within = kills
    async with ward.working() as task:
        await pass_time(seconds=dies_after)
        asked = len(ward.schedule.asked)
        # As one that was killed: it gives back nothing.
        task.cancel()
        await asyncio.wait([task])
    await pass_time(seconds=LEASE_S)
    for _ in range(3):
        await ward.store.claim(now=ward.clock.now(), lease=LEASE, limit=64)
        await pass_time(seconds=1)

    # Nothing is claimed without a pause meanwhile.
    assert asked <= 3 + dies_after / 0.1
    assert len(killed) <= 1
    assert set(ward.store._lost) == set(names)
    assert [name for name, lost in ward.store._lost.items() if lost > 1] == killed


async def test_many_suspects_and_fresh_ones_all_come_to_their_end() -> None:
    ward = Ward()
    names = [f"n{number:03}" for number in range(100)]
    await ward.store.nudge(names, now=at(0))
    await ward.store.claim(now=at(0), lease=LEASE, limit=1000)
    await pass_time(seconds=LEASE_S)
    fresh = [f"f{number:03}" for number in range(100)]
    await ward.store.nudge(fresh, now=ward.clock.now())
    async with ward.working():
        await pass_time(seconds=60)

    assert sorted(target for target, _ in ward.ended) == [*fresh, *names]
    # Those that are no suspects wait for none of them.
    assert max(since for target, since in ward.ended if target in fresh) <= LEASE_S + 0.5
    assert ward.store._lost == {}


async def test_who_may_act_no_more_while_a_claim_hangs_does_not_spin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(parallel=1)
    asked: list[float] = []
    may, hangs = True, False
    claim = ward.schedule.claim

    def may_claim() -> bool:
        asked.append(ward.since_start())
        return may

    async def hang(**how: Any) -> Claimed:
        if hangs:
            await pass_time(seconds=5)
        return await claim(**how)

    async def slow(_: Claim) -> None:
        await pass_time(seconds=1)

    ward.schedule.claim = hang  # type: ignore[method-assign]
    ward.within = slow
    ward.worker = Worker(
        ward.schedule, ward.clock, ward.step, ward.telemetry, may_claim=may_claim, parallel=1
    )
    names = [f"n{number:03}" for number in range(101)]
    await ward.store.nudge(names, now=at(0))
    worker = ward.worker
    monkeypatch.setattr(worker._ahead, "room", lambda _: 101)
    async with ward.working():
        await pass_time(seconds=0.5)
        assert len(worker._ahead.waiting) == 100
        hangs = True
        worker.wake()
        await pass_time(seconds=0.1)
        may = False
        asked.clear()
        await pass_time(seconds=4)
        assert len(asked) < 10
        assert len(ward.ran) == 1
        await pass_time(seconds=2)

    assert len(asked) < 20
    assert sorted(ward.schedule.released) == names[1:]


async def test_a_suspect_whose_lease_ran_out_under_it_is_not_convicted() -> None:
    """Its worker lives: the store was away for longer than the lease."""
    ward = Ward()
    await ward.due("a", 0)
    await ward.store.claim(now=at(0), lease=LEASE, limit=9)
    await pass_time(seconds=LEASE_S)
    counted: list[int] = []

    async def slow(claim: Claim) -> None:
        counted.append(claim.lost)
        await pass_time(seconds=20 if len(counted) == 1 else 0)

    ward.within = slow
    async with ward.working():
        await pass_time(seconds=5)
        ward.store.take_over(0)
        ward.worker.wake()
        await pass_time(seconds=60)

    assert counted[0] == 1
    assert max(counted) == 1
    assert ward.store._lost == {}


async def test_debts_are_settled_at_an_orderly_end(crowd: Crowd) -> None:
    release = crowd.schedule.release

    async def fails(claims: list[Claim], **how: Any) -> None:
        raise StoreUnavailable("down")

    crowd.takes["a"] = 3
    crowd.schedule.release = fails  # type: ignore[method-assign, assignment]
    async with crowd.working() as task:
        await pass_time(seconds=0.5)
        crowd.worker.stop()
        await pass_time(seconds=1)
        crowd.schedule.release = release  # type: ignore[method-assign]
        await task

    assert await crowd.claimable() == [("b", 0), ("c", 0), ("d", 0)]


async def test_a_renewal_that_fails_oddly_is_logged_and_repeated(crowd: Crowd) -> None:
    crowd.takes["a"] = 3 * LEASE_S
    crowd.schedule.renew_errors = [ZeroDivisionError("odd")]
    with capture_logs() as logs:
        async with crowd.working():
            await pass_time(seconds=2 * LEASE_S)
            assert await crowd.claimable() == []

    assert [line["what"] for line in logs if line["log_level"] == "error"] == ["leases"]
    assert len(crowd.schedule.renewed) >= 4


async def test_a_renewal_without_an_answer_is_repeated_soon(crowd: Crowd) -> None:
    crowd.takes["a"] = 3 * LEASE_S
    crowd.schedule.renew_errors = [StoreUnavailable("down")]
    async with crowd.working():
        await pass_time(seconds=LEASE_S / 3 + RETRY.total_seconds() + 0.5)

    assert crowd.schedule.renewed == [LEASE_S / 3, LEASE_S / 3 + RETRY.total_seconds()]
