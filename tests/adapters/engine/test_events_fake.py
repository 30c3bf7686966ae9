"""Following the events of engines that end, fall silent, or talk nonsense."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from app.adapters.engine.docker import DockerEngine
from app.domain.container import EngineEvent
from app.errors import EngineUnavailable
from tests.adapters.engine.fake_daemon import FakeDaemon, Reply, event
from tests.engine_lab import until

EVENTS = "GET /events"
_SECOND = 10**9
#: The engine's clock when it is asked.
NOW = 1795372507 * _SECOND + 607354907
INFO = Reply(body={"Name": "host1", "SystemTime": "2026-11-22T18:35:07.607354907Z"})


def lines(*events: dict[str, object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def happened(*actions: str, at_ns: int = NOW) -> bytes:
    """Events one nanosecond after the other."""
    return lines(*(event(action, at_ns=at_ns + n) for n, action in enumerate(actions)))


async def told(
    engine: DockerEngine, count: int | None = None, *, since_ns: int = NOW
) -> list[EngineEvent]:
    """Follow the events up to so many, or to the end."""
    found: list[EngineEvent] = []
    async with aclosing(engine.events(since_ns=since_ns)) as events:
        try:
            async for one in events:
                found.append(one)
                if len(found) == count:
                    break
        except EngineUnavailable:
            if count is not None:
                raise
    return found


def asked_since(daemon: FakeDaemon) -> list[str]:
    """From when on events were asked for, in order."""
    return [
        parse_qs(urlsplit(one.partition(" ")[2]).query)["since"][0]
        for one in daemon.requests
        if "/events?" in one
    ]


# ---------------------------------------------------------------- what is asked and told


async def test_asks_for_what_matters_and_tells_it(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    told_lines = happened("kill", "die", "health_status: unhealthy")
    daemon.answer(EVENTS, Reply(pieces=(told_lines,), stays=True))

    found = await told(impatient, 3, since_ns=7 * _SECOND + 8)

    assert [one.action for one in found] == ["kill", "die", "health_status"]
    assert [one.at_ns for one in found] == [NOW, NOW + 1, NOW + 2]
    assert asked_since(daemon) == ["7.000000009"]
    (query,) = (urlsplit(one).query for one in daemon.requests if "/events?" in one)
    filters = json.loads(parse_qs(query)["filters"][0])
    assert filters["type"] == ["container"]
    assert {"start", "die", "oom", "health_status"} < set(filters["event"])
    assert not [action for action in filters["event"] if action.startswith("exec")]


async def test_from_now_on_is_by_the_engines_clock(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer("GET /info", INFO)
    daemon.answer(EVENTS, Reply(pieces=(happened("die", at_ns=NOW + 5),), stays=True))

    await told(impatient, 1, since_ns=0)

    assert asked_since(daemon) == ["1795372507.607354908"]


@pytest.mark.parametrize("size", [1, 10, 100, 5000])
async def test_lines_come_in_any_pieces(
    impatient: DockerEngine, daemon: FakeDaemon, size: int
) -> None:
    stream = happened("kill") if size == 1 else happened("kill", "die", "stop")
    pieces = tuple(stream[begin : begin + size] for begin in range(0, len(stream), size))
    daemon.answer(EVENTS, Reply(pieces=pieces))

    assert len(await told(impatient)) == stream.count(b"\n")


GARBAGE = (
    b"\n", b"   \r\n", b"{\n", b"null\n", b"7\n", b"[]\n", b"{}\n", b"\xff\xfe\x00\n",
    b'"' + b"x" * 100 + b'"\n', b"[" * 100_000 + b"\n", b"y" * (2 << 20) + b"\n",
    lines(event("die") | {"Actor": None}), lines(event("die") | {"Actor": {"ID": "web"}}),
    lines(event("die") | {"timeNano": "soon"}), lines(event("die") | {"Action": 7}),
    lines(event("die") | {"Type": "network"}),
)  # fmt: skip


async def test_garbage_is_skipped_and_said_once(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    pieces = (happened("kill"), *GARBAGE, happened("die", at_ns=NOW + 9))
    daemon.answer(EVENTS, Reply(pieces=pieces))

    with capture_logs() as logs:
        found = await told(impatient)

    assert [one.action for one in found] == ["kill", "die"]
    assert [log["event"] for log in logs] == ["engine.event_unreadable"]


# ---------------------------------------------------------------- ends


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(pieces=()), id="ended"),
        pytest.param(Reply(pieces=(), breaks=True), id="hung-up"),
        pytest.param(Reply(breaks=True), id="hung-up-before-it-answered"),
        pytest.param(Reply(hangs=True), id="silent"),
        pytest.param(Reply(status=500, body={"message": "x"}), id="500"),
        pytest.param(Reply(status=404, body={"message": "x"}), id="404"),
        pytest.param(Reply(status=400, body={"message": "bad filter"}), id="400"),
        pytest.param(Reply(status=403, body="Forbidden"), id="a-socket-proxy"),
    ],
)
@pytest.mark.parametrize("since_ns", [0, NOW])
async def test_ends_by_saying_that_the_engine_is_away(
    impatient: DockerEngine, daemon: FakeDaemon, reply: Reply, since_ns: int
) -> None:
    daemon.answer("GET /info", INFO)
    daemon.answer(EVENTS, reply)

    with pytest.raises(EngineUnavailable):
        await told(impatient, 1, since_ns=since_ns)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=503, body={"message": "x"}), id="503"),
        pytest.param(Reply(body={"Name": "x"}), id="without-a-clock"),
        pytest.param(Reply(body={"SystemTime": "soon"}), id="with-an-odd-one"),
    ],
)
async def test_an_engine_that_cannot_tell_the_time_is_away(
    impatient: DockerEngine, daemon: FakeDaemon, reply: Reply
) -> None:
    daemon.answer("GET /info", reply)

    with pytest.raises(EngineUnavailable):
        await told(impatient, 1, since_ns=0)


@pytest.mark.parametrize("since_ns", [0, NOW])
async def test_an_engine_that_is_not_there_is_away(tmp_path: Path, since_ns: int) -> None:
    async with DockerEngine(f"unix://{tmp_path}/none.sock") as engine:
        for _ in range(3):
            with pytest.raises(EngineUnavailable):
                await told(engine, 1, since_ns=since_ns)


async def test_a_connection_that_breaks_in_mid_line_ends_it(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    pieces = (happened("kill"), happened("die")[:50])
    daemon.answer(EVENTS, Reply(pieces=pieces, breaks=True))

    assert [one.action for one in await told(impatient)] == ["kill"]


async def test_closing_the_engine_ends_it(daemon: FakeDaemon) -> None:
    daemon.answer(EVENTS, Reply(pieces=(), stays=True))
    engine = DockerEngine(daemon.url)
    following = asyncio.create_task(told(engine, 1))
    await until(lambda: is_open(daemon))

    await engine.close()

    with pytest.raises(EngineUnavailable):
        await following


# ---------------------------------------------------------------- across a cut


async def test_what_was_published_late_is_neither_lost_nor_told_twice(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    """Events of the same moment come in any order, also on both sides of a cut."""
    first = [event("kill", at_ns=NOW + 10), event("die", at_ns=NOW + 30)]
    late, after = event("rename", at_ns=NOW + 20), event("start", at_ns=NOW + 40)
    again = [*first, late, after]
    daemon.answer(
        EVENTS, Reply(pieces=(lines(*first),)), Reply(pieces=(lines(*again),)), Reply(pieces=())
    )

    before_cut = await told(impatient)
    after_cut = await told(impatient, since_ns=before_cut[-1].at_ns)

    assert [one.action for one in (*before_cut, *after_cut)] == ["kill", "die", "rename", "start"]


async def test_asks_from_a_little_before_but_not_from_before_the_beginning(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    soon, later = NOW + 10, NOW + 60 * _SECOND
    daemon.answer(
        EVENTS,
        Reply(pieces=(happened("kill", at_ns=soon),)),
        Reply(pieces=(happened("die", at_ns=later),)),
        Reply(pieces=()),
    )

    await told(impatient, since_ns=NOW)
    await told(impatient, since_ns=soon)
    await told(impatient, since_ns=later)

    assert asked_since(daemon) == [
        "1795372507.607354908",
        "1795372507.607354908",
        "1795372566.607354907",
    ]


async def test_somebody_elses_place_is_taken_as_it_is(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer(EVENTS, Reply(pieces=(happened("kill", at_ns=NOW + 10),)))
    await told(impatient, since_ns=NOW)

    await told(impatient, since_ns=5 * _SECOND)

    assert asked_since(daemon)[1] == "5.000000001"


async def test_goes_on_after_the_engines_clock_was_set_back(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    an_hour = 3600 * _SECOND
    daemon.answer(EVENTS, Reply(pieces=(happened("die", at_ns=NOW - an_hour),)), Reply(pieces=()))

    (found,) = await told(impatient, since_ns=NOW)
    await told(impatient, since_ns=found.at_ns)

    assert asked_since(daemon)[1] == "1795368906.607354907"


async def test_a_long_silence_is_looked_into_and_told_nobody(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    kill, die = event("kill", at_ns=NOW + 1), event("die", at_ns=NOW + 2)
    daemon.answer(
        EVENTS,
        Reply(pieces=(lines(kill),), stays=True),
        Reply(pieces=(lines(kill),), stays=True),
        Reply(pieces=(lines(kill, die),), stays=True),
    )

    found = await told(impatient, 2)

    assert [one.action for one in found] == ["kill", "die"]
    assert len(asked_since(daemon)) == 3


async def test_an_engine_that_died_in_silence_is_away(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer(EVENTS, Reply(pieces=(), stays=True), Reply(hangs=True))

    with pytest.raises(EngineUnavailable):
        await told(impatient, 1)


# ---------------------------------------------------------------- leaves nothing behind


async def is_open(daemon: FakeDaemon) -> bool:
    return daemon.streams > 0


async def is_closed(daemon: FakeDaemon) -> bool:
    return daemon.streams == 0


async def test_closing_it_closes_the_connection(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer(EVENTS, Reply(pieces=(happened("kill"),), stays=True))
    tasks = asyncio.all_tasks()
    events = impatient.events(since_ns=NOW)
    await anext(events)
    assert daemon.streams == 1

    await events.aclose()

    await until(lambda: is_closed(daemon))
    assert len(asyncio.all_tasks()) <= len(tasks) + 1  # the fake's own, of its connection


@pytest.mark.parametrize("hears", [True, False], ids=["in-mid-stream", "before-the-first"])
async def test_cancelling_it_closes_the_connection(
    impatient: DockerEngine, daemon: FakeDaemon, hears: bool
) -> None:
    pieces = (happened("kill"),) if hears else ()
    daemon.answer(EVENTS, Reply(pieces=pieces, stays=True))
    following = asyncio.create_task(told(impatient, 2))
    await until(lambda: is_open(daemon))

    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following

    await until(lambda: is_closed(daemon))


async def test_cancelling_it_while_it_is_opened_leaves_nothing(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer(EVENTS, Reply(hangs=True))
    following = asyncio.create_task(told(impatient, 1))
    await asyncio.wait_for(daemon.asked.wait(), 5)

    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following


async def test_many_cuts_leave_no_connection(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.answer(EVENTS, Reply(pieces=(happened("kill"),), stays=True))

    for _ in range(150):  # more than aiohttp's limit of 100
        assert len(await told(impatient, 1, since_ns=5)) == 1

    await until(lambda: is_closed(daemon))


async def test_two_may_follow_at_once(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    pieces = (happened("kill"), happened("die", at_ns=NOW + 1))
    daemon.answer(EVENTS, Reply(pieces=pieces, stays=True))

    both = await asyncio.gather(told(impatient, 2), told(impatient, 2))

    assert [len(found) for found in both] == [2, 2]
