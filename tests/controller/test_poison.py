"""A step that ends its worker again and again is taken out of the round, and told."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import pytest
from structlog.testing import capture_logs

from app.controller.returns import AGAIN
from app.controller.worker import LEASE
from app.domain.alert import AlertStatus
from app.domain.casefile import CaseFile
from app.domain.container import Container
from app.domain.decision import Reason, Verdict
from app.domain.remediation import State
from app.errors import EngineUnavailable, LeaseLost, StoreUnavailable
from app.policies import story
from app.ports import Claim
from tests.builders import START, TARGET, alert, at, attempt, container, remediation
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.controller.town import FakeSink, known
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

LEASE_S, AGAIN_S = LEASE.total_seconds(), AGAIN.total_seconds()
LEFT_ALONE: Final = timedelta(minutes=15)


@dataclass
class PoisonousEngine(FakeEngine):
    """One whose answers about a container break whoever reads them."""

    #: Names of containers.
    poison: set[str] = field(default_factory=set)
    #: When one was asked for, in seconds since the start.
    asked: list[float] = field(default_factory=list)

    async def inspect(self, container_id: str) -> Container:
        """See `app.ports.ContainerEngine`."""
        found = await super().inspect(container_id)
        if found.name in self.poison:
            self.asked.append((self.clock.now() - START).total_seconds())
            raise ZeroDivisionError(found.name)
        return found

    async def evidence(self, container_id: str, *, at: object) -> CaseFile:
        """See `app.ports.ContainerEngine`."""
        raise EngineUnavailable("no evidence to be had")


@dataclass
class Grave:
    """A controller whose container is poison."""

    house: House
    engine: PoisonousEngine
    sink: FakeSink


@pytest.fixture
async def grave() -> Grave:
    clock = VirtualClock()
    engine = PoisonousEngine(clock)
    engine.run(web())
    sink = FakeSink()
    return Grave(build(make_store(known(MemoryStore())), clock, engine, sink=sink), engine, sink)


async def claimed(house: House, *, lost: int = 2) -> Claim:
    """Claim a step as one whose lease ran out so often."""
    await house.tenure.beat()
    await house.take(alert())
    found = await house.store.schedule.claim(now=house.clock.now(), lease=LEASE, limit=9)
    for _ in range(lost):
        await pass_time(seconds=LEASE_S)
        await house.tenure.beat()
        found = await house.store.schedule.claim(now=house.clock.now(), lease=LEASE, limit=9)
    (claim,) = found.claims
    assert claim.lost == lost
    return claim


async def test_the_story_is_quarantined_and_told_after_the_second_lost_lease(
    grave: Grave,
) -> None:
    house = grave.house
    with capture_logs() as logs:
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=59)
            opened = await house.story()
            assert opened.state is State.WAITING
            grave.engine.poison.add("web")
            await pass_time(seconds=2 * LEASE_S + 3)
            found = await house.story()

    assert (found.id, found.state, found.reason) == (opened.id, State.QUARANTINED, Reason.POISON)
    assert found.next_action is None
    assert found.quarantined_at is not None
    assert found.next_at == found.quarantined_at + LEFT_ALONE
    assert found.log[-1].reason is Reason.POISON
    assert grave.engine.acts == []
    assert house.telemetry.registry.get_sample_value("relevo_poisoned_total") == 1
    assert [line["target"] for line in logs if line.get("reason") == "poison"] == [TARGET]


async def test_it_is_tried_once_more_after_a_while_and_then_left_alone_again(
    grave: Grave,
) -> None:
    house = grave.house
    grave.engine.poison.add("web")
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(minutes=40)

    # Two tries, the burial in place of the third, a quarter of an hour.
    round_s = 2 * LEASE_S + LEFT_ALONE.total_seconds()
    tries = [n * round_s + part for n in range(3) for part in (0, LEASE_S)]
    asked = grave.engine.asked
    assert [when for when in asked if all(abs(when - one) > 2 for one in tries)] == []
    assert len(asked) >= 4


async def test_no_pull_digs_it_up_not_even_that_of_the_next_controller(grave: Grave) -> None:
    engine = grave.engine
    with capture_logs():
        async with working(grave.house):
            await grave.house.take(alert())
            await pass_time(seconds=59)
            engine.poison.add("web")
            await pass_time(seconds=2 * LEASE_S + 3)
            assert (await grave.house.story()).state is State.QUARANTINED
            asked = len(engine.asked)
        async with working(grave.house, pulling=True):
            await pass_time(minutes=5)
        assert len(engine.asked) == asked

        successor = build(grave.house.store, grave.house.clock, engine, life="another-life")
        async with working(successor, pulling=True):
            await pass_time(minutes=5)
            assert len(engine.asked) == asked
            await pass_time(minutes=10)

    assert len(engine.asked) > asked  # after a quarter of an hour


async def test_what_is_no_poison_any_more_goes_on_by_itself(grave: Grave) -> None:
    house = grave.house
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=59)
            grave.engine.poison.add("web")
            await pass_time(seconds=2 * LEASE_S + 3)
            assert (await house.story()).state is State.QUARANTINED
            grave.engine.poison.clear()
            await house.take(alert(status=AlertStatus.RESOLVED))
            await pass_time(minutes=40)

    assert (await house.story()).state is State.CLOSED


async def test_neighbours_are_not_touched(grave: Grave) -> None:
    house, engine = grave.house, grave.engine
    engine.run(container("db", 2))
    labels = {"alertname": "ContainerHighCPU", "engine": "host1", "name": "db"}
    engine.poison.add("db")
    engine.evidence = FakeEngine.evidence.__get__(engine)  # type: ignore[method-assign]
    with capture_logs():
        async with working(house):
            await house.take(alert(), alert(fingerprint="f2", labels=labels))
            await pass_time(seconds=70)

    assert [(what, name) for what, name, _ in engine.acts] == [("restart", "web")]


async def test_an_attempt_under_way_is_unknown_and_gives_its_slot_back(grave: Grave) -> None:
    house = grave.house
    claim = await claimed(house)
    now = house.clock.now()
    under_way = remediation(attempts=(attempt(),), state=State.VERIFYING)
    buried = story.buried(under_way, now=now, until=now + LEFT_ALONE)

    (ended,) = buried.attempts
    assert (ended.verdict, ended.verdict_reason) == (Verdict.UNKNOWN, Reason.POISON)
    assert ended.finished_at == now
    assert ended.evidence
    assert buried.open_attempt is None
    assert claim.lost == 2


async def test_what_breaks_its_burial_does_not_keep_it_from_being_buried(grave: Grave) -> None:
    """Poison in the midst of a verification: the container is looked at for it, too."""
    house = grave.house
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=70)
            assert len(grave.engine.done("restart")) == 1
            grave.engine.poison.add("web")
            await pass_time(minutes=6)
            found = await house.story()

    assert (found.state, found.reason) == (State.QUARANTINED, Reason.POISON)
    assert found.attempts[-1].verdict is Verdict.UNKNOWN
    assert len(grave.engine.done("restart")) == 1


async def test_without_a_story_the_target_is_left_alone(grave: Grave) -> None:
    house = grave.house
    claim = await claimed(house)
    bury = house.worker._bury
    assert bury is not None

    with capture_logs():
        await bury(claim, house.clock.now())

    assert list(await house.stories()) == []
    now = house.clock.now()
    schedule = house.store.schedule
    early = await schedule.claim(now=now + LEFT_ALONE / 2, lease=LEASE, limit=9)
    assert (early.claims, early.next_due) == ((), now + LEFT_ALONE)
    (again,) = (await schedule.claim(now=now + LEFT_ALONE, lease=LEASE, limit=9)).claims
    assert again.lost == 0


async def test_who_lost_the_step_meanwhile_buries_nothing(grave: Grave) -> None:
    house = grave.house
    grave.engine.poison.add("web")
    async with working(house):
        grave.engine.poison.clear()
        await house.take(alert())
        await pass_time(seconds=5)
    before = await house.story()
    bury = house.worker._bury
    assert bury is not None
    old = Claim(target=TARGET, fence=1, lost=2)

    with capture_logs(), pytest.raises(LeaseLost):
        await bury(old, house.clock.now())

    assert await house.story() == before


async def test_news_of_it_wakes_it_sooner(grave: Grave) -> None:
    """A person who restarts it, or an alert that ends, is not kept waiting for a quarter hour."""
    house = grave.house
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=59)
            grave.engine.poison.add("web")
            await pass_time(seconds=2 * LEASE_S + 3)
            grave.engine.poison.clear()
            asked = house.clock.now()
            await house.take(alert(status=AlertStatus.RESOLVED))
            await pass_time(seconds=11)
            overdue = await house.store.schedule.overdue(now=house.clock.now())

    assert overdue == timedelta(0)
    assert asked < at(200)


async def test_a_store_that_is_away_for_a_moment_hides_no_poison(grave: Grave) -> None:
    """It is asked for the story again, and not a quarter of an hour later."""
    house = grave.house
    real = house.store.records.remediation_of
    asked: list[float] = []

    async def remediation_of(target: str) -> object:
        asked.append((house.clock.now() - START).total_seconds())
        if len(asked) == 1:
            raise StoreUnavailable("Redis gave no answer in time")
        return await real(target)

    house.store.records.remediation_of = remediation_of  # type: ignore[method-assign, assignment]
    grave.engine.poison.add("web")
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=2 * LEASE_S + AGAIN_S + 3)

    assert asked == [2 * LEASE_S, 2 * LEASE_S + AGAIN_S]


async def test_failures_that_are_not_its_own_never_count(grave: Grave) -> None:
    """A store that is down for long has every step given back: nothing of that is poison."""
    house = grave.house
    real = house.store.records.read
    down = True

    async def read(*args: object, **more: object) -> object:
        if down:
            raise StoreUnavailable("Redis gave no answer in time")
        return await real(*args, **more)  # type: ignore[arg-type]

    house.store.records.read = read  # type: ignore[method-assign, assignment]
    with capture_logs():
        async with working(house):
            await house.take(alert())
            await pass_time(minutes=10)
            down = False
            await pass_time(seconds=AGAIN_S + 1)
            found = await house.story()

    assert found.state is State.VERIFYING  # long ill by then: restarted at once
    assert house.telemetry.registry.get_sample_value("relevo_poisoned_total") == 0
