"""What the witness makes of events as a real Docker tells them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.controller.witness import Witness
from app.domain.container import EngineEvent
from app.domain.remediation import Remediation
from app.errors import StoreUnavailable
from tests.builders import START, alert, at, compose, event, hex_id
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine, LivelyEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

WEB = hex_id(1)


async def shown(witness: Witness, *events: EngineEvent) -> None:
    for one in events:
        await witness.see(one)


@pytest.fixture
def witness(house: House) -> Witness:
    return house.witness


@pytest.fixture
async def lively(clock: VirtualClock) -> LivelyEngine:
    fake = LivelyEngine(clock)
    fake.run(web())
    return fake


@dataclass
class TornEngine(FakeEngine):
    """An engine whose stream of events is cut, and which notes from where it is asked again."""

    asked: list[int] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)

    async def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        self.asked.append(since_ns)
        self.opened.append((self.clock.now() - START).total_seconds())
        async for one in super().events(since_ns=since_ns):
            yield one


@asynccontextmanager
async def following(house: House) -> AsyncIterator[None]:
    task = asyncio.create_task(house.witness.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# ------------------------------------------------------------ whose doing


async def test_docker_stop_is_a_persons_doing(witness: Witness) -> None:
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("die", after=2, exitCode="0"),
        event("stop", after=2),
    )

    assert witness.human(WEB) == "somebody stopped it at 10:00:02 UTC"


async def test_a_stop_that_needs_force_is_a_persons_doing(witness: Witness) -> None:
    """SIGTERM is ignored, SIGKILL comes after the grace."""
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("kill", after=11, signal="9"),
        event("die", after=11, exitCode="137"),
        event("stop", after=11),
    )

    assert witness.human(WEB) is not None


async def test_a_stop_by_a_signal_of_the_images_own_is_a_persons_doing(witness: Witness) -> None:
    """Apache's STOPSIGNAL is SIGWINCH: nobody would take that for the end but for the stop."""
    await shown(
        witness,
        event("kill", after=1, signal="28"),
        event("die", after=1, exitCode="0"),
        event("stop", after=1),
    )

    assert witness.human(WEB) is not None


@pytest.mark.parametrize("signal", ["9", "15", "2", "3", "SIGKILL", "SIGTERM"])
async def test_docker_kill_is_a_persons_doing(witness: Witness, signal: str) -> None:
    """No ``stop`` follows a ``docker kill``."""
    await shown(
        witness,
        event("kill", after=1, signal=signal),
        event("die", after=1, exitCode="137"),
    )

    assert witness.human(WEB) is not None


async def test_a_kill_that_is_told_after_the_death_that_it_caused(witness: Witness) -> None:
    """Docker sends the signal first and tells of it then: the death may be told sooner."""
    await shown(
        witness,
        event("die", after=1, exitCode="137"),
        event("kill", after=1.01, signal="9"),
    )

    assert witness.human(WEB) is not None


@pytest.mark.parametrize("signal", ["1", "10", "12", "SIGHUP", "SIGUSR1"])
async def test_a_signal_to_reload_is_no_stop(witness: Witness, signal: str) -> None:
    await shown(
        witness,
        event("kill", after=1, signal=signal),
        event("die", after=300, exitCode="1"),
    )

    assert witness.human(WEB) is None


async def test_a_signal_that_was_survived_explains_no_crash_of_later(witness: Witness) -> None:
    """``docker kill -s INT`` is some programs' way to reload."""
    await shown(
        witness,
        event("kill", after=1, signal="2"),
        event("die", after=3600, exitCode="1"),
    )

    assert witness.human(WEB) is None


async def test_a_crash_is_nobodys_doing(witness: Witness) -> None:
    await shown(witness, event("die", after=1, exitCode="1"))

    assert witness.human(WEB) is None


async def test_out_of_memory_is_nobodys_doing(witness: Witness) -> None:
    await shown(witness, event("oom", after=1), event("die", after=1, exitCode="137"))

    assert witness.human(WEB) is None


async def test_docker_restart_leaves_nothing_stopped(witness: Witness) -> None:
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("die", after=2, exitCode="0"),
        event("stop", after=2),
        event("start", after=3),
        event("restart", after=3),
    )

    assert witness.human(WEB) is None


async def test_events_that_come_late_do_not_stop_what_was_started_since(witness: Witness) -> None:
    """Docker publishes what happens at the same time in any order."""
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("start", after=2.01),
        event("die", after=1.99, exitCode="0"),
        event("stop", after=2),
    )

    assert witness.human(WEB) is None


async def test_a_crash_after_a_start_is_not_the_stop_of_before_it(witness: Witness) -> None:
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("die", after=2, exitCode="0"),
        event("stop", after=2),
        event("start", after=60),
        event("die", after=90, exitCode="1"),
    )

    assert witness.human(WEB) is None


async def test_a_daemon_that_restarts_leaves_those_that_it_starts_again_unblamed(
    witness: Witness,
) -> None:
    """Going down it ends every container as a stop does; coming up it starts them."""
    for number in (1, 2):
        await shown(
            witness,
            event("kill", number, after=1, signal="15"),
            event("die", number, after=2, exitCode="0"),
            event("stop", number, after=2),
        )
    await shown(witness, event("start", 1, after=20), event("start", 2, after=21))

    assert [witness.human(hex_id(number)) for number in (1, 2)] == [None, None]


async def test_what_is_gone_is_forgotten(witness: Witness) -> None:
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("die", after=2),
        event("stop", after=2),
        event("destroy", after=3),
    )

    assert witness.human(WEB) is None


async def test_our_own_restart_is_no_persons(witness: Witness) -> None:
    with witness.acting(WEB):
        await shown(
            witness,
            event("kill", after=1, signal="15"),
            event("kill", after=11, signal="9"),
            event("die", after=11, exitCode="137"),
            event("stop", after=11),
        )
        stopped = witness.human(WEB)

    assert stopped is None


async def test_what_is_told_a_little_after_our_action_is_ours_too(witness: Witness) -> None:
    with witness.acting(WEB):
        pass
    await pass_time(seconds=2)
    await shown(
        witness,
        event("kill", after=1, signal="15"),
        event("die", after=1),
        event("stop", after=1),
    )
    echo = witness.human(WEB)
    await pass_time(seconds=5)
    await shown(witness, event("stop", after=9))

    assert echo is None
    assert witness.human(WEB) is not None


async def test_our_action_on_one_does_not_excuse_what_happens_to_another(witness: Witness) -> None:
    with witness.acting(hex_id(2)):
        await shown(witness, event("kill", signal="15"), event("die"), event("stop"))

    assert witness.human(WEB) is not None


async def test_two_actions_at_once_are_ours_until_both_are_over(witness: Witness) -> None:
    with witness.acting(WEB):
        with witness.acting(WEB):
            pass
        await pass_time(seconds=6)
        await shown(witness, event("stop"))

    assert witness.human(WEB) is None


# ------------------------------------------------------------ deploys


async def test_a_removal_and_a_new_name_in_a_compose_project_are_a_deploy(witness: Witness) -> None:
    labels = compose("shop", "db", 1)
    await shown(
        witness, event("destroy", 7, after=1, labels=labels), event("rename", 8, labels=labels)
    )

    assert [change.project for change in witness.changes] == ["shop", "shop"]
    assert witness.changes[0].at == at(1)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {**compose("shop", "web", 2), "relevo.clone-of": "shop-web-1"},
        {**compose("shop", "web", 1), "com.docker.compose.oneoff": "True"},
    ],
    ids=["no-project", "our-clone", "one-off-run"],
)
async def test_what_is_no_deploy(witness: Witness, labels: dict[str, str]) -> None:
    await shown(witness, event("destroy", 7, labels=labels))

    assert witness.changes == ()


async def test_starts_and_stops_are_no_deploy(witness: Witness) -> None:
    labels = compose("shop", "web", 1)
    for action in ("create", "kill", "die", "stop", "start", "restart", "health_status"):
        await witness.see(event(action, labels=labels))

    assert witness.changes == ()


async def test_changes_of_long_ago_are_forgotten(witness: Witness) -> None:
    labels = compose("shop", "db", 1)
    await shown(
        witness, event("destroy", 7, labels=labels), event("destroy", 8, after=3600, labels=labels)
    )

    assert [change.at for change in witness.changes] == [at(3600)]


# ------------------------------------------------------------ the stream


async def test_a_cut_stream_is_taken_up_at_the_last_event(clock: VirtualClock) -> None:
    engine = TornEngine(clock)
    house = build(make_store(), clock, engine)
    async with following(house):
        # The one that is told last is not the latest.
        engine.happen(event("start", 2, after=0.013))
        engine.happen(event("start", 1, after=0.012))
        engine.happen(None)
        await pass_time(seconds=5)

    last = event("start", 1, after=0.012).at_ns
    began = event("start", after=-600).at_ns
    assert engine.asked == [began, last]


async def test_a_stream_without_news_is_taken_up_where_it_began(clock: VirtualClock) -> None:
    engine = TornEngine(clock)
    house = build(make_store(), clock, engine)
    async with following(house):
        await pass_time(minutes=30)
        engine.happen(None)
        await pass_time(seconds=5)

    assert len(set(engine.asked)) == 1


async def test_an_engine_that_is_away_is_asked_less_and_less_often(clock: VirtualClock) -> None:
    engine = TornEngine(clock)
    engine.down = True
    house = build(make_store(), clock, engine)
    async with following(house):
        await pass_time(minutes=2)

    assert engine.opened == [0, 1, 3, 7, 15, 31, 61, 91]


async def test_trouble_is_told_once_and_so_is_its_end(clock: VirtualClock) -> None:
    engine = TornEngine(clock)
    engine.down = True
    house = build(make_store(), clock, engine)
    with capture_logs() as logs:
        async with following(house):
            await pass_time(minutes=2)
            down = house.witness.trouble
            engine.down = False
            await pass_time(minutes=2)

    assert down == "cannot connect"
    assert house.witness.trouble is None
    assert [line["event"] for line in logs] == ["engine events are missed", "engine events arrive"]


async def test_a_quiet_stream_is_up(house: House) -> None:
    async with following(house):
        before = house.witness.trouble
        await pass_time(seconds=6)

        assert before == "not connected yet"
        assert house.witness.trouble is None


class Odd(MemoryStore):
    """A store that fails in a way that nobody has foreseen, once."""

    asked = 0

    async def remediation_of(self, target: str) -> Remediation | None:
        self.asked += 1
        if self.asked == 1:
            raise KeyError(target)
        return await super().remediation_of(target)


async def test_an_error_that_nobody_foresaw_ends_no_watching(clock: VirtualClock) -> None:
    engine = TornEngine(clock)
    engine.run(web())
    house = build(make_store(Odd()), clock, engine)
    await house.take(alert())
    with capture_logs() as logs:
        async with following(house):
            engine.happen(event("die", after=1))
            await pass_time(seconds=2)
            engine.happen(event("stop", after=1.1))
            await pass_time(seconds=2)

    assert "event not understood" in [line["event"] for line in logs]
    assert house.witness.human(WEB) is not None
    assert engine.asked[1] == event("die", after=1).at_ns


# ------------------------------------------------------------ nudges


async def test_what_happens_to_a_target_in_trouble_has_it_looked_at(
    house: House, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.inside.clear()
        await house.witness.see(event("destroy", after=30))
        house.worker.wake()
        await pass_time(seconds=2)
        story = await house.story()

    assert story.is_closed


async def test_what_happens_to_a_target_in_trouble_wakes_the_worker(
    clock: VirtualClock, lively: LivelyEngine
) -> None:
    """Its container crashes while its restart is verified: the verdict is there at once."""
    house = build(make_store(), clock, lively)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=62)
        lively.crash("web")
        await pass_time(seconds=2)
        story = await house.story()

    assert story.attempts[0].verdict is not None


async def test_what_happens_to_a_healthy_target_is_no_news(house: House) -> None:
    await house.take(alert(labels={"alertname": "X", "name": "nobody"}))
    await house.witness.see(event("die"))

    assert await house.store.schedule.overdue(now=at(60)) == timedelta(0)


async def test_a_container_that_nobody_knows_is_no_news(house: House) -> None:
    await house.witness.see(event("die", 99))

    assert await house.store.schedule.overdue(now=at(60)) == timedelta(0)


async def test_a_store_that_does_not_answer_stops_nobody_from_watching(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    house = build(make_store(Deaf()), clock, engine)
    await house.take(alert())
    await shown(house.witness, event("kill", signal="15"), event("die"), event("stop"))

    assert house.witness.human(WEB) is not None


class Deaf(MemoryStore):
    """A store that takes alerts on and then answers nothing about them."""

    async def remediation_of(self, target: str) -> Remediation | None:
        raise StoreUnavailable("connection refused")
