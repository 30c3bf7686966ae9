"""What has changed is told to whoever watches: all of it, soon, and bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from app.controller.feed import EVERY, MOST_LISTENERS, MOST_OF_ONE, Feed
from app.controller.listener import Change, Listener
from app.domain.control import Brake, Halt
from app.errors import NotAccepting, StoreUnavailable
from tests.builders import START, alert, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = pytest.mark.looptime

SOON = timedelta(seconds=3)


@pytest.fixture
async def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def house(memory: MemoryStore) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    made = build(make_store(memory), clock, engine)
    await made.tenure.beat()
    return made


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[Feed]:
    feed = house.controller.feed
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(listener: Listener) -> Change | None:
    news = await listener.next(within=SOON)
    return None if news is None else news[1]


async def test_a_story_that_begins_is_told_within_two_looks(house: House) -> None:
    async with watched(house) as feed, working(house):
        with feed.listening() as listener:
            await feed.ready()
            await house.take(alert())
            begin = house.clock.now()
            change = await told(listener)

    assert change is not None
    assert change.targets == {"host1:web"}
    assert change.remediations == {(await house.story()).id}
    assert change.status
    assert not change.everything
    assert house.clock.now() - begin <= 2 * EVERY


async def test_nothing_is_told_of_polls_that_change_nothing(house: House) -> None:
    async with watched(house) as feed, working(house):
        await house.take(alert())
        await pass_time(minutes=1, seconds=20)  # restarted, and polled every 15 s from now on
        with feed.listening() as listener:
            await feed.ready()
            await pass_time(seconds=1)
            while await told(listener) is not None:
                pass
            assert await listener.next(within=timedelta(seconds=60)) is None


@pytest.mark.parametrize("what", ["pause", "brake", "hold", "store", "engine", "another"])
async def test_relevo_itself_is_watched_too(house: House, memory: MemoryStore, what: str) -> None:
    halt = Halt(reason="r", author="a", since=START)
    async with watched(house) as feed:
        with feed.listening() as listener:
            await feed.ready()
            match what:
                case "pause":
                    await house.store.controls.set_pause(halt)
                case "brake":
                    await house.store.controls.set_brake(Brake(engaged_at=START))
                case "hold":
                    await house.store.controls.set_hold("host1:web", halt)
                case "engine":
                    house.engine.down = True
                case "store":
                    memory.remediations = _fail  # type: ignore[assignment, method-assign]
                case _:
                    house.engine.run(container("other", 2))
            change = await told(listener)

    assert change is not None
    assert change.status == (what in ("pause", "brake", "store", "engine"))
    assert change.targets == ({"host1:web"} if what == "hold" else _new(what))
    assert change.everything == (what == "another")


def _new(what: str) -> set[str]:
    return {"host1:other"} if what == "another" else set()


async def _fail(*_: object) -> None:
    raise StoreUnavailable("connection refused")


async def test_what_a_slow_one_has_missed_is_told_once(house: House) -> None:
    halt = Halt(reason="r", author="a", since=START)
    async with watched(house) as feed:
        with feed.listening() as listener:
            await feed.ready()
            await house.store.controls.set_pause(halt)
            await pass_time(seconds=3)
            await house.store.controls.set_hold("host1:web", halt)
            await pass_time(seconds=3)

            assert await told(listener) == Change(targets=frozenset({"host1:web"}), status=True)
            assert await told(listener) is None


async def test_who_comes_back_is_told_what_happened_meanwhile(house: House) -> None:
    halt = Halt(reason="r", author="a", since=START)
    async with watched(house) as feed:
        with feed.listening():  # somebody else stays
            await feed.ready()
            known = feed.last
            await house.store.controls.set_hold("host1:web", halt)
            await pass_time(seconds=3)
            with feed.listening(known) as back:
                assert await told(back) == Change(targets=frozenset({"host1:web"}))
            with feed.listening(feed.last) as up_to_date:
                assert await told(up_to_date) is None


@pytest.mark.parametrize("known", [-1, 10**9])
async def test_who_was_away_too_long_reads_everything(house: House, known: int) -> None:
    async with watched(house) as feed:
        with feed.listening(known) as listener:
            change = await told(listener)

    assert change is not None
    assert change.everything


async def test_what_happened_while_nobody_watched_is_not_made_up(house: House) -> None:
    async with watched(house) as feed:
        with feed.listening():
            await feed.ready()
            known = feed.last
        await pass_time(seconds=3)
        with feed.listening(known) as listener:
            change = await told(listener)

    assert change is not None
    assert change.everything


async def test_nobody_looks_while_nobody_watches(house: House) -> None:
    asked = 0
    listing = house.engine.containers

    async def counted() -> object:
        nonlocal asked
        asked += 1
        return await listing()

    house.engine.containers = counted  # type: ignore[method-assign, assignment]
    async with watched(house) as feed:
        await pass_time(minutes=10)
        before = asked
        with feed.listening():
            await pass_time(seconds=10)
        during = asked
        await pass_time(minutes=10)

    assert before == 0
    assert 5 <= during <= 15
    assert asked <= during + 1


async def test_so_many_may_watch_and_no_more(house: House) -> None:
    feed = house.controller.feed
    listening = [feed.listening() for _ in range(MOST_LISTENERS)]
    for one in listening:
        one.__enter__()
    with pytest.raises(NotAccepting), feed.listening():
        pass
    listening[0].__exit__(None, None, None)
    with feed.listening():
        pass


async def test_nobody_takes_all_places(house: House) -> None:
    feed = house.controller.feed
    with ExitStack() as stack:
        for _ in range(MOST_OF_ONE):
            stack.enter_context(feed.listening(whose="ana"))
        with pytest.raises(NotAccepting, match="16 follow"), feed.listening(whose="ana"):
            pass
        for _ in range(MOST_OF_ONE + 1):
            stack.enter_context(feed.listening())
        with feed.listening(whose="bo"):
            pass
    with feed.listening(whose="ana"):
        pass


async def test_who_waits_for_a_first_look_waits_so_long_and_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(house) as feed:
        look = feed._look

        async def fail() -> object:
            raise RuntimeError("odd")

        monkeypatch.setattr(feed, "_look", fail)
        with feed.listening():
            begin = house.clock.now()
            assert not await feed.ready(within=timedelta(seconds=7))
            assert house.clock.now() - begin == timedelta(seconds=7)
            monkeypatch.setattr(feed, "_look", look)
            assert await feed.ready(within=timedelta(seconds=7))


async def test_at_the_end_everybody_is_let_go(house: House) -> None:
    feed = house.controller.feed
    async with watched(house):
        with feed.listening() as listener:
            waiting = asyncio.create_task(listener.next(within=timedelta(hours=1)))
            await feed.ready()
            feed.close()
            assert await waiting is None
            assert listener.is_over
    with pytest.raises(NotAccepting), feed.listening():
        pass


async def test_a_look_that_fails_ends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(house) as feed:
        with feed.listening() as listener:
            await feed.ready()
            look = feed._look

            async def fail() -> object:
                raise RuntimeError("odd")

            monkeypatch.setattr(feed, "_look", fail)
            await pass_time(seconds=3)
            monkeypatch.setattr(feed, "_look", look)
            await house.store.controls.set_pause(Halt(reason="r", author="a", since=START))
            change = await told(listener)

    assert change == Change(status=True)


async def test_a_halt_that_ends_by_itself_is_told(house: House) -> None:
    ends = house.clock.now() + timedelta(seconds=20)
    await house.store.controls.set_pause(
        Halt(reason="r", author="a", since=START, until=ends - timedelta(seconds=10))
    )
    await house.store.controls.set_hold(
        "host1:web", Halt(reason="r", author="a", since=START, until=ends)
    )
    async with watched(house) as feed:
        with feed.listening() as listener:
            await feed.ready()
            first = await listener.next(within=timedelta(seconds=15))
            second = await listener.next(within=timedelta(seconds=15))
            assert await listener.next(within=timedelta(seconds=60)) is None

    assert first is not None
    assert first[1] == Change(status=True)
    assert second is not None
    assert second[1] == Change(targets=frozenset({"host1:web"}))
