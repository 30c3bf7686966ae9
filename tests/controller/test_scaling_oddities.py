"""Clones at awkward moments: outages, wrong clocks, other people's containers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Health, RunState
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.remediation import State
from app.errors import OrderRefused
from app.policies.spec import Policy, Rulebook, Strategy
from tests.builders import START, TARGET, alert, at, container, listed_alert, remediation
from tests.controller.house import build, pass_time, working
from tests.controller.test_scale_out_in_time import spends
from tests.controller.test_scaling import (
    AFTER,
    ANNA,
    CANCELLED,
    SUCCESSFUL,
    Stage,
    clone,
    crashing,
    only,
    told,
)
from tests.controller.test_set_clocks import set_clock
from tests.controller.town import Town
from tests.fakes import FakeAlertmanager, web
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


# ---------------------------------------------------------------- outages


async def test_what_would_be_called_off_is_not_begun_and_costs_no_budget(stage: Stage) -> None:
    """A cover, and nobody can tell whether it is needed: for an hour nothing is charged."""
    source = FakeAlertmanager(up_since=at(-3600), down=True)
    house = build(make_store(stage.memory), stage.clock, stage.engine, alerts=source)
    stage.has(clone(), reason=Reason.COVER)

    async with working(house, leaving=True):
        await pass_time(hours=1)
        assert house.controller.departures.stays[TARGET].reason is Reason.NO_FRESH_DATA
        assert await stage.ends() == []
        assert list(await stage.memory.charged(since=START)) == []
        source.down = False
        await pass_time(minutes=1)

    assert told(await only(stage)) == (SUCCESSFUL, Reason.COVER_OVER, "web_new1")


async def test_one_that_serves_again_after_an_outage_stays(stage: Stage) -> None:
    """It was leaving because it was down; by the time that somebody goes on it is needed."""
    ill = stage.has(clone(state=RunState.EXITED))
    engine = crashing(stage)
    engine.before = asyncio.CancelledError()
    async with stage.works(seconds=1):
        assert len(await stage.memory.scaling.under_way()) == 1
    stage.crash()
    stage.engine.run(replace(ill, state=RunState.RUNNING))

    async with working(stage.house) as house:
        await house.take(alert())
    async with stage.works(seconds=30):
        pass

    assert stage.gone() == []
    ended = await only(stage)
    assert told(ended) == (CANCELLED, Reason.NEEDED, "web_new1")
    assert "serves again" in ended.cause


async def test_a_slot_that_two_claim_for_long_keeps_nothing_under_way_for_ever(
    stage: Stage,
) -> None:
    stage.has(clone())
    twin = {"relevo.enable": "true", "com.docker.swarm.task.name": "web.x"}

    async with stage.works(seconds=AFTER + 10):
        stage.engine.run(container("another", 77, labels=twin))
        await pass_time(minutes=10)
        assert len(await stage.memory.scaling.under_way()) == 1
        await pass_time(minutes=10)

    assert await stage.memory.scaling.under_way() == []
    ended = await only(stage)
    assert told(ended) == (CANCELLED, Reason.AMBIGUOUS_TARGET, "web_new1")
    assert "two containers claim" in ended.cause
    assert stage.gone() == []


# ---------------------------------------------------------------- the last that serves


@pytest.mark.parametrize("seconds", [65, 45], ids=["while-it-restarts", "and-then-it-restarts"])
async def test_nobody_is_ordered_away_beside_an_original_that_we_restart(
    stage: Stage, seconds: float
) -> None:
    """The engine lists that as running, for as long as its grace to stop lasts."""
    stage.has(clone())
    stage.engine.takes = timedelta(seconds=60)

    async with stage.works(seconds=1) as house:
        await house.take(alert())
        await pass_time(seconds=seconds - 1)
        if seconds > 60:
            with pytest.raises(OrderRefused) as no:
                await house.operator.scale_in(TARGET, ANNA)
            assert no.value.reason is Reason.LAST_INSTANCE
        else:
            await house.operator.scale_in(TARGET, ANNA)
        await pass_time(seconds=100)

    assert stage.house.since_start("restart") == [121]
    assert stage.gone() == []
    called_off = [told(one) for one in await stage.ends()]
    assert called_off == [(CANCELLED, Reason.LAST_INSTANCE, "web_new1")][: seconds < 60]


async def test_a_useless_clone_stays_while_nobody_else_is_healthy(stage: Stage) -> None:
    stage.rulebook = Rulebook(defaults=Policy(strategy=Strategy.SCALE_FIRST))
    stage.engine.run(web(health=Health.UNHEALTHY))
    name = "web_new101"
    stage.engine.uses["web"] = spends(stage.clock, cores=1.0, bytes_a_second=50_000)
    stage.engine.uses[name] = spends(stage.clock, cores=0.0, bytes_a_second=0)

    async with stage.works() as house:
        await house.take(alert())
        await pass_time(minutes=5)
        story = await house.story()
        assert story.attempts[0].verdict is Verdict.NO_TRAFFIC
        assert "stays while nobody else" in str(story.attempts[0].evidence)
        assert story.state is State.QUARANTINED
        await pass_time(hours=1)

    assert stage.engine.names() == {"web", name}
    (made,) = await stage.memory.activities()
    assert made.status is ActivityStatus.FAILED


# ---------------------------------------------------------------- somebody else's


async def test_with_our_label_and_no_record_it_is_not_ours(stage: Stage) -> None:
    """The store has lost nothing: it would know of one that we had made."""
    async with stage.works(minutes=11):
        one = clone(created_at=stage.clock.now(), state=RunState.EXITED)
        stage.engine.run(one)
        await pass_time(hours=3)
        assert stage.stays() is Reason.NO_CLONE
        with pytest.raises(OrderRefused, match="web_new1 has our label") as no:
            await stage.house.operator.scale_in(TARGET, ANNA)

    assert no.value.reason is Reason.NO_CLONE
    assert stage.engine.acts == []


@pytest.mark.parametrize("minutes", [-60, 9], ids=["before", "in-the-middle-of-it"])
async def test_one_that_a_store_may_have_forgotten_has_its_grace(
    stage: Stage, minutes: float
) -> None:
    stage.engine.run(clone(created_at=at(60 * minutes)))

    async with stage.works(hours=2):
        pass

    assert told(await only(stage)) == (SUCCESSFUL, Reason.QUIET, "web_new1")


# ---------------------------------------------------------------- a clock that was wrong


def closed_in_a_day(stage: Stage) -> None:
    stage.has(clone())
    story = remediation(
        state=State.CLOSED,
        outcome=Outcome.RECOVERED,
        opened_at=at(86_000),
        closed_at=at(86_400),
    )
    stage.memory._write(TARGET, story)


def made_in_a_day(stage: Stage) -> None:
    stage.has(clone(), seconds=86_400)


def failed_in_a_day(stage: Stage) -> None:
    one = stage.has(clone())
    failed = Activity(
        id="web-x.in",
        group=TARGET,
        kind=ActivityKind.SCALE_IN,
        cause="quiet",
        status=ActivityStatus.FAILED,
        container=one.name,
        started_at=at(86_400),
        finished_at=at(86_400),
    )
    stage.memory.write_activity(failed)


@pytest.mark.parametrize("tomorrow", [closed_in_a_day, made_in_a_day, failed_in_a_day])
async def test_what_lies_a_day_ahead_keeps_nobody_for_a_day(
    stage: Stage, tomorrow: Callable[[Stage], None]
) -> None:
    tomorrow(stage)

    async with stage.works(seconds=AFTER - 1):
        assert stage.gone() == []
        await pass_time(seconds=60)

    assert stage.engine.names() == {"web"}


async def test_a_drain_that_began_tomorrow_is_as_long_as_any(stage: Stage) -> None:
    stage.has(clone())
    async with stage.works(seconds=AFTER + 10):
        pass
    (begun,) = await stage.memory.scaling.under_way()
    stage.memory.write_activity(replace(begun, started_at=begun.started_at + timedelta(days=1)))
    stage.crash()

    async with stage.works(seconds=40):
        pass

    assert stage.engine.names() == {"web"}


async def test_set_right_again_a_scale_out_is_judged_and_followed_in_its_time() -> None:
    """A day ahead it scaled out; what it told then is a wait of ten minutes, not of a day."""
    town = Town()
    source = FakeAlertmanager(up_since=START - timedelta(days=3), alerts=[listed_alert()])
    book = Rulebook(defaults=Policy(strategy=Strategy.SCALE_FIRST))
    anna = town.neighbour("anna", alerts=source, rulebook=book, ahead=timedelta(days=1))
    await anna.start()
    await anna.take()
    await pass_time(minutes=5)
    assert len(town.done("clone")) == 1

    set_clock(anna, -timedelta(days=1))
    await pass_time(minutes=20)

    first, second = (seconds for _, seconds in town.done("clone"))
    assert 600 <= second - first <= 1000
    await town.close()
