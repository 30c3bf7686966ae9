"""What arrives while Redis is busy leaves together, and everybody hears of his own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.adapters.store.client import Line, connect
from app.adapters.store.inbox import RedisInbox
from app.adapters.store.keys import MOST, Keys
from app.domain.alert import Alert
from app.errors import NotAccepting, StoreUnavailable
from app.ports import Aside, Notice, Taken
from tests.adapters.store.builders import START, alert, at, notice
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
async def line(server: RedisServer) -> AsyncIterator[Line]:
    redis = connect(server.url)
    yield Line(redis, Keys())
    await redis.aclose()


@pytest.fixture
async def inbox(line: Line) -> AsyncIterator[RedisInbox]:
    inbox = RedisInbox(line)
    yield inbox
    await inbox.aclose()


async def script_calls(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


async def test_many_calls_at_once_are_few_for_redis(inbox: RedisInbox, line: Line) -> None:
    await inbox.accept([notice()], (), now=START)
    before = await script_calls(line.redis)

    answers = await asyncio.gather(
        *(inbox.accept([notice(f"f{n % 50}")], (), now=START) for n in range(100))
    )

    # f1 was known; of each other pair of twins the second one is.
    expected = [Taken.ACCEPTED if n < 50 and n != 1 else Taken.DUPLICATE for n in range(100)]
    assert [taken for (taken,) in answers] == expected
    assert await script_calls(line.redis) - before <= 2


async def test_a_call_that_is_cancelled_takes_nobody_along(inbox: RedisInbox) -> None:
    calls = [asyncio.create_task(inbox.accept([notice(f"f{n}")], (), now=START)) for n in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [(Taken.ACCEPTED,), (Taken.ACCEPTED,)]


async def test_an_alert_that_cannot_be_kept_takes_nobody_along(inbox: RedisInbox) -> None:
    half_a_pair = Alert(
        fingerprint="f1",
        status=alert().status,
        labels={"name": "\ud83d"},
        alert_annotations={},
        starts_at=START,
    )

    bad, good = await asyncio.gather(
        inbox.accept([Notice(target="host:web", alert=half_a_pair)], (), now=START),
        inbox.accept([notice("f2")], (), now=START),
        return_exceptions=True,
    )

    assert isinstance(bad, ValueError)
    assert good == (Taken.ACCEPTED,)


async def test_everybody_hears_of_a_failure(inbox: RedisInbox, server: RedisServer) -> None:
    await inbox.accept([notice()], (), now=START)
    server.kill()

    answers = await asyncio.gather(
        *(inbox.accept([notice(f"f{n}")], (), now=START) for n in range(5)),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
    server.start()
    assert await inbox.accept([notice("f9")], (), now=at(1)) == (Taken.ACCEPTED,)


async def test_more_than_can_wait_is_refused(line: Line) -> None:
    inbox = RedisInbox(line, most_waiting=3)

    answers = await asyncio.gather(
        *(inbox.accept([notice(f"f{n}")], (), now=START) for n in range(5)),
        return_exceptions=True,
    )

    assert answers[:3] == [(Taken.ACCEPTED,)] * 3
    assert [type(answer) for answer in answers[3:]] == [NotAccepting] * 2


async def test_what_is_put_aside_waits_and_leaves_like_a_notice(line: Line) -> None:
    asides = [Aside(at=START, reason="set_aside", detail=str(n), excerpt="") for n in range(300)]
    await RedisInbox(line).accept([notice()], (), now=START)
    before = await script_calls(line.redis)

    inbox = RedisInbox(line)
    await asyncio.gather(*(inbox.accept((), asides, now=START) for _ in range(4)))
    calls = await script_calls(line.redis) - before
    small = RedisInbox(line, most_waiting=500)
    answers = await asyncio.gather(
        *(small.accept((), asides, now=START) for _ in range(3)), return_exceptions=True
    )

    assert calls == 4, "two of them are more than leaves at once"
    assert [type(one) for one in answers] == [tuple, NotAccepting, NotAccepting]


async def test_of_very_many_asides_the_newest_are_kept(line: Line) -> None:
    asides = [Aside(at=START, reason="set_aside", detail=str(n), excerpt="") for n in range(1500)]

    await RedisInbox(line).accept((), asides, now=START)

    kept = await line.redis.zrange(line.keys.asides, 0, -1)
    assert len(kept) == MOST
    assert b'"1499"' in kept[-1]
    assert b'"500"' in kept[0]


async def test_a_single_large_call_is_never_too_much(line: Line) -> None:
    inbox = RedisInbox(line, most_waiting=3)

    taken = await inbox.accept([notice(f"f{n}") for n in range(5)], (), now=START)

    assert taken == (Taken.ACCEPTED,) * 5


async def test_closing_waits_for_what_was_taken_on(inbox: RedisInbox) -> None:
    call = asyncio.create_task(inbox.accept([notice()], (), now=START))
    await asyncio.sleep(0)

    await inbox.aclose()

    assert await call == (Taken.ACCEPTED,)
