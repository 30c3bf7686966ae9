"""A recovery that does not last: its verdict turns once, and the next step knows."""

from datetime import timedelta

import pytest

from app.controller.operate import Wish
from app.domain.alert import Alert, AlertStatus
from app.domain.control import OrderKind
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.remediation import Remediation, State
from app.policies.spec import Policy, RestartRules, Rulebook, VerifyRules
from tests.builders import START, TARGET, alert, at, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine, web
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(30)]

HOUR = timedelta(hours=1)


class Ward:
    """One patient: its alert fires, and goes a moment after each restart."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._fired = 0
        self._now: Alert | None = None

    async def fire(self) -> None:
        self._fired += 1
        starts_at = START + timedelta(seconds=self._fired)
        self._now = alert(starts_at=starts_at)
        await self.house.take(self._now)

    async def quiet(self) -> None:
        assert self._now is not None
        over = alert(starts_at=self._now.starts_at, status=AlertStatus.RESOLVED)
        await self.house.take(over)

    async def restarted(self) -> None:
        """Wait for the next restart, and have the alert go after it."""
        before = len(self.house.engine.done("restart"))
        while len(self.house.engine.done("restart")) == before:
            await pass_time(seconds=1)
        await pass_time(seconds=4)
        await self.quiet()

    async def recovered(self) -> None:
        """Be healed once more, from firing to closed."""
        await self.restarted()
        await pass_time(minutes=4, seconds=30)
        assert (await self.house.story()).outcome is Outcome.RECOVERED


@pytest.fixture
async def ward(house: House) -> Ward:
    return Ward(house)


async def failures(house: House) -> int:
    return await house.store.failures.count(TARGET, now=house.clock.now(), window=HOUR)


def last_verdict(story: Remediation) -> Verdict | None:
    assert story.last_attempt is not None
    return story.last_attempt.verdict


async def test_a_relapse_turns_the_verdict_and_links_both_ways(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        (before,) = await house.stories()
        await pass_time(minutes=10)
        await ward.fire()
        await pass_time(seconds=1)
        new, old = await house.stories()
        counted = await failures(house)

    assert last_verdict(before) is Verdict.RECOVERED
    assert last_verdict(old) is Verdict.RELAPSED
    assert (old.relapsed_as, new.relapse_of) == (new.id, old.id)
    assert (old.state, old.outcome, old.closed_at) == (
        State.CLOSED,
        Outcome.RECOVERED,
        before.closed_at,
    )
    assert old.log[-1].reason is Reason.RELAPSED
    assert old.log[-1].detail == f"see {new.id}"
    assert counted == 1


async def test_it_counts_from_now_not_from_the_restart(ward: Ward) -> None:
    """The window is counted from the moment that the recovery turned out to be none."""
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        await pass_time(minutes=40)
        await ward.fire()
        await pass_time(minutes=1)
        relapsed_at = (await house.stories())[0].opened_at
        now = house.clock.now()
        count = house.store.failures.count
        within = await count(TARGET, now=now, window=timedelta(minutes=2))

    assert within == 1
    assert relapsed_at > at(45 * 60)


async def test_its_wait_is_that_after_one_failure(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        await pass_time(minutes=10)
        fired_at = (house.clock.now() - START).total_seconds()
        await ward.fire()
        await pass_time(minutes=6)

    assert house.since_start("restart") == [60, fired_at + 300]


async def test_a_second_notice_of_the_same_relapse_turns_nothing_more(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        await ward.fire()
        await pass_time(seconds=20)
        await house.take(alert(fingerprint="f2", starts_at=house.clock.now()))
        await pass_time(seconds=20)
        stories = await house.stories()

        assert await failures(house) == 1
    assert len(stories) == 2


@pytest.mark.parametrize(("minutes", "is_relapse"), [(59, True), (61, False)])
async def test_after_an_hour_it_is_no_relapse(
    ward: Ward, *, minutes: int, is_relapse: bool
) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        finished_at = (await house.story()).attempts[0].finished_at
        assert finished_at is not None
        left = finished_at + timedelta(minutes=minutes) - house.clock.now()
        await pass_time(seconds=left.total_seconds())
        fired_at = (house.clock.now() - START).total_seconds()
        await ward.fire()
        await pass_time(minutes=6)
        new, old = await house.stories()

    assert (new.relapse_of == old.id) is is_relapse
    assert last_verdict(old) is (Verdict.RELAPSED if is_relapse else Verdict.RECOVERED)
    wait = 300 if is_relapse else 60
    assert house.since_start("restart") == [60, fired_at + wait]


async def test_the_relapse_window_is_a_setting(clock: VirtualClock, engine: FakeEngine) -> None:
    rules = VerifyRules(relapse_window=timedelta(minutes=5))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=Policy(verify=rules)))
    ward = Ward(house)
    async with working(house):
        await ward.fire()
        await ward.recovered()
        await pass_time(minutes=6)
        await ward.fire()
        await pass_time(seconds=1)

    assert (await house.story()).relapse_of is None


async def test_three_relapses_in_an_hour_lead_to_a_scale_out(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        for _ in range(3):
            await ward.fire()
            await ward.recovered()
            await pass_time(seconds=10)
        assert house.engine.done("clone") == []
        await ward.fire()
        await pass_time(seconds=1)
        story = await house.story()

    # 1, 5 and 10 minutes before the restarts, then none before the clone.
    assert len(house.since_start("restart")) == 3
    assert len(house.since_start("clone")) == 1
    assert story.attempts[0].reason is Reason.WINDOW_FULL
    assert [last_verdict(one) for one in await house.stories()] == [
        None,
        *[Verdict.RELAPSED] * 3,
    ]


async def test_a_relapse_of_a_relapse_is_linked_in_a_chain(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        for _ in range(3):
            await ward.fire()
            await ward.recovered()
        third, second, first = await house.stories()

    assert (second.relapse_of, third.relapse_of) == (first.id, second.id)
    assert (first.relapsed_as, second.relapsed_as) == (second.id, third.id)
    assert first.relapse_of is None
    assert third.relapsed_as is None


async def test_a_relapse_of_a_manual_restart_counts_nothing(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await pass_time(seconds=10)
        wish = Wish(reason="now", author="anna")
        await house.operator.act(TARGET, OrderKind.RESTART, wish)
        await ward.recovered()
        fired_at = (house.clock.now() - START).total_seconds()
        await ward.fire()
        await pass_time(minutes=2)
        _, old = await house.stories()

        assert await failures(house) == 0
    assert last_verdict(old) is Verdict.RELAPSED
    assert house.since_start("restart")[-1] == fired_at + 60


async def test_another_image_has_not_relapsed(ward: Ward, engine: FakeEngine) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        engine.inside.clear()
        engine.run(container("web", 2, image_id="sha256:" + "b" * 64))
        await ward.fire()
        await pass_time(seconds=2)
        new, old = await house.stories()

        assert await failures(house) == 0
    assert new.relapse_of is None
    assert last_verdict(old) is Verdict.RECOVERED


async def test_the_same_container_made_anew_has_relapsed(ward: Ward, engine: FakeEngine) -> None:
    """Same image, same configuration: same history."""
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
        engine.inside.clear()
        engine.run(container("web", 2))
        await ward.fire()
        await pass_time(seconds=2)
        new, old = await house.stories()

    assert new.relapse_of == old.id


async def test_what_was_cancelled_has_not_relapsed(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await pass_time(seconds=10)
        await ward.quiet()
        await pass_time(seconds=10)
        await ward.fire()
        await pass_time(seconds=2)
        new, old = await house.stories()

    assert old.outcome is Outcome.CANCELLED
    assert new.relapse_of is None


async def test_it_survives_a_restart_of_the_controller(
    ward: Ward, clock: VirtualClock, engine: FakeEngine
) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await ward.recovered()
    successor = build(house.store, clock, engine)
    ward.house = successor
    async with working(successor):
        await ward.fire()
        await pass_time(seconds=2)
        new, old = await successor.stories()

    assert new.relapse_of == old.id


async def test_a_relapse_that_a_pull_finds(watched: House, alertmanager: FakeAlertmanager) -> None:
    kept = list(alertmanager.alerts)
    async with working(watched, pulling=True):
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        await pass_time(minutes=6)
        assert (await watched.story()).outcome is Outcome.RECOVERED
        alertmanager.alerts[:] = kept
        await pass_time(seconds=35)
        new, old = await watched.stories()

    assert last_verdict(old) is Verdict.RELAPSED
    assert new.relapse_of == old.id


# ------------------------------------------------------------ chronic


async def test_every_restart_that_helped_is_counted_relapsed_later_or_not(ward: Ward) -> None:
    """A leak that fills every 25 minutes never fails three times in an hour."""
    house = ward.house
    since = START - timedelta(seconds=1)
    async with working(house):
        for _ in range(6):
            await ward.fire()
            await ward.recovered()
            await pass_time(minutes=65)
        await ward.fire()
        await ward.recovered()
        await pass_time(minutes=5)
        await ward.fire()
        await pass_time(seconds=1)
        helped = await house.store.failures.recoveries(since=since)
        lately = await house.store.failures.recoveries(since=house.clock.now() - HOUR)
        counted = await failures(house)

    assert {target: len(times) for target, times in helped.items()} == {TARGET: 7}
    assert len(lately[TARGET]) == 1
    assert counted == 1


async def test_what_a_person_restarted_is_not_chronic(ward: Ward) -> None:
    house = ward.house
    async with working(house):
        await ward.fire()
        await pass_time(seconds=10)
        await house.operator.act(TARGET, OrderKind.RESTART, Wish(reason="now", author="anna"))
        await ward.recovered()

        assert await house.store.failures.recoveries(since=START) == {}


async def test_failed_restarts_are_not_chronic(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=24)

        assert await house.store.failures.recoveries(since=START) == {}


async def test_without_delays_a_leak_that_fills_within_minutes_still_ends_in_a_scale_out(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    rules = Policy(restart=RestartRules(delays=(timedelta(0),)))
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=rules))
    ward = Ward(house)
    async with working(house):
        for _ in range(3):
            await ward.fire()
            await ward.recovered()
        await ward.fire()
        await pass_time(seconds=1)

    assert len(engine.done("restart")) == 3
    assert len(engine.done("clone")) == 1
    assert web().name in engine.names()
