"""The evidence from engines that are slow, sick, or give only some of it."""

import asyncio
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.engine.connection import Bounds
from app.adapters.engine.docker import DockerEngine
from app.domain.casefile import CaseFile, HealthProbe
from app.errors import ContainerGone, EngineUnavailable
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    inspected,
)
from tests.adapters.engine.test_stats import stats

AT = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
PATH = f"GET /containers/{CONTAINER_ID}"
STATE, LOGS, TOP, STATS = f"{PATH}/json", f"{PATH}/logs", f"{PATH}/top", f"{PATH}/stats"
GONE = Reply(status=404, body={"message": f"No such container: {CONTAINER_ID}"})
TROUBLES = [
    pytest.param(Reply(status=500, body={"message": "driver failed"}), id="500"),
    pytest.param(Reply(status=403, body="Forbidden"), id="a-socket-proxy"),
    pytest.param(Reply(hangs=True), id="silent"),
    pytest.param(Reply(breaks=True), id="hung-up"),
]
#: What each part's sentence begins with.
WORDS = {STATE: "The state and the health log", LOGS: "The log", TOP: "The processes",
         STATS: "The stats"}  # fmt: skip


def frame(text: bytes, *, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


def probe(number: int, output: str = "") -> dict[str, Any]:
    return {"Start": f"start-{number}", "ExitCode": number, "Output": output}


def full(daemon: FakeDaemon) -> None:
    """Let the daemon give everything."""
    health = {"Status": "unhealthy", "Log": [probe(n, f"said {n}") for n in range(7)]}
    state = {"Status": "running", "ExitCode": 137, "OOMKilled": True, "Health": health}
    daemon.answer(STATE, Reply(body=inspected(RestartCount=4, State=state)))
    daemon.answer(LOGS, Reply(pieces=(frame(b"one\n"), frame(b"two\n", stream=2))))
    rows = [["root", "1", "sleep 600"], ["root", "7", "sh"]]
    daemon.answer(TOP, Reply(body={"Titles": ["UID", "PID", "CMD"], "Processes": rows}))
    daemon.answer(STATS, Reply(body=stats()))


async def gather(engine: DockerEngine) -> CaseFile:
    return await engine.evidence(CONTAINER_ID, at=AT)


async def test_gathers_everything(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    full(daemon)

    found = await gather(impatient)

    assert (found.container_id, found.container, found.taken_at) == (CONTAINER_ID, "web", AT)
    assert (found.state, found.started_at) == ("running", STARTED_AT)
    assert (found.exit_code, found.oom_killed, found.restart_count) == (137, True, 4)
    assert found.logs == ("one", "two")
    assert found.process_titles == ("UID", "PID", "CMD")
    assert found.processes == (("root", "1", "sleep 600"), ("root", "7", "sh"))
    assert found.stats["cpu_seconds"] == 1.5
    assert found.health_log[0] == HealthProbe(started_at="start-2", exit_code=2, output="said 2")
    assert [one.exit_code for one in found.health_log] == [2, 3, 4, 5, 6]
    assert (found.missing, found.is_cut) == ((), False)


async def test_asks_for_no_more_than_it_keeps(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    full(daemon)

    await gather(impatient)

    assert daemon.acts == []
    asked = [one.rpartition("/")[2] for one in daemon.requests if CONTAINER_ID in one]
    assert sorted(asked) == [
        "json",
        "logs?stdout=1&stderr=1&tail=200",
        "stats?stream=0&one-shot=1",
        "top",
    ]


async def test_an_engine_before_one_shot_is_asked_without_it(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.api_version = "1.40"
    full(daemon)

    await gather(impatient)

    assert f"GET /v1.40/containers/{CONTAINER_ID}/stats?stream=0" in daemon.requests


# ---------------------------------------------------------------- parts that are missing


@pytest.mark.parametrize("part", WORDS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_part_that_fails_is_named_and_the_others_are_there(
    impatient: DockerEngine, daemon: FakeDaemon, part: str, trouble: Reply
) -> None:
    full(daemon)
    daemon.answer(part, trouble)

    found = await gather(impatient)

    (sentence,) = found.missing
    assert sentence.startswith(f"{WORDS[part]} could not be read: ")
    assert sentence.endswith(".")
    assert bool(found.logs) == (part != LOGS)
    assert bool(found.processes) == (part != TOP)
    assert bool(found.stats) == (part != STATS)
    assert bool(found.health_log) == (part != STATE)
    assert found.container == (CONTAINER_ID[:12] if part == STATE else "web")


@pytest.mark.parametrize(
    ("part", "body"),
    [
        pytest.param(STATE, {"Id": CONTAINER_ID}, id="half-a-look"),
        pytest.param(STATE, {"State": "ill", "Name": 7}, id="another-shape"),
        pytest.param(STATE, [], id="a-list"),
        pytest.param(TOP, [1, 2], id="processes-as-a-list"),
        pytest.param(TOP, {"Titles": 7, "Processes": [7]}, id="processes-of-another-kind"),
        pytest.param(STATS, [1], id="stats-as-a-list"),
        pytest.param(STATS, "<html>", id="not-an-engine"),
        pytest.param(STATS, {"read": "0001-01-01T00:00:00Z"}, id="it-has-stopped"),
        pytest.param(STATS, None, id="removed-in-the-meantime"),
    ],
)
async def test_an_answer_of_another_shape_is_a_missing_part(
    impatient: DockerEngine, daemon: FakeDaemon, part: str, body: object
) -> None:
    full(daemon)
    daemon.answer(part, Reply(body=body))

    found = await gather(impatient)

    assert [sentence.startswith(WORDS[part]) for sentence in found.missing] == [True]


async def test_nothing_to_tell_is_not_missing(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    full(daemon)
    daemon.answer(STATE, Reply(body=inspected()))
    daemon.answer(LOGS, Reply(pieces=()))
    daemon.answer(TOP, Reply(body={"Titles": None, "Processes": None}))

    found = await gather(impatient)

    assert (found.health_log, found.logs, found.processes) == ((), (), ())
    assert found.missing == ()


async def test_a_log_that_breaks_off_keeps_what_came(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    full(daemon)
    for reply in (
        Reply(pieces=(frame(b"one\n"), frame(b"two\n")[:10]), stays=True),
        Reply(pieces=(frame(b"one\n"), frame(b"two\n")[:10]), breaks=True),
    ):
        daemon.answer(LOGS, reply)

        found = await gather(impatient)

        assert found.logs == ("one", "tw")
        (sentence,) = found.missing
        assert sentence.startswith("The log's newest lines could not be read: ")


async def test_only_a_look_that_says_so_means_that_it_is_gone(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    full(daemon)
    for part in (LOGS, TOP, STATS):
        daemon.answer(part, GONE)
    assert len((await gather(impatient)).missing) == 3

    daemon.answer(STATE, GONE)
    with pytest.raises(ContainerGone):
        await gather(impatient)


# ---------------------------------------------------------------- as a whole


@pytest.mark.parametrize(
    "reply",
    [pytest.param(Reply(hangs=True), id="silent"), pytest.param(Reply(breaks=True), id="x")],
)
async def test_an_engine_that_answers_nothing_is_unavailable(
    impatient: DockerEngine, daemon: FakeDaemon, reply: Reply
) -> None:
    for part in WORDS:
        daemon.answer(part, reply)

    with pytest.raises(EngineUnavailable):
        await gather(impatient)


async def test_an_engine_that_refuses_everything_has_answered(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    for part in WORDS:
        daemon.answer(part, Reply(status=500, body={"message": "driver failed"}))

    assert len((await gather(impatient)).missing) == 4


async def test_all_of_it_is_bounded_by_one_bound(daemon: FakeDaemon) -> None:
    full(daemon)
    daemon.answer("GET /version", Reply(hangs=True))
    bounds = Bounds(evidence=timedelta(milliseconds=400))
    async with DockerEngine(daemon.url, bounds=bounds) as engine:
        began = time.monotonic()
        with pytest.raises(EngineUnavailable):
            await gather(engine)

    assert 0.3 < time.monotonic() - began < 2


async def test_the_parts_are_gathered_at_the_same_time(daemon: FakeDaemon) -> None:
    full(daemon)
    for part in (STATE, TOP, STATS):
        daemon.answer(part, Reply(hangs=True))
    bounds = Bounds(evidence=timedelta(seconds=1))
    async with DockerEngine(daemon.url, bounds=bounds) as engine:
        began = time.monotonic()
        found = await gather(engine)

    assert 0.9 < time.monotonic() - began < 2
    assert found.logs == ("one", "two")
    assert len(found.missing) == 3
    assert all("no answer in time" in sentence for sentence in found.missing)


async def test_cancelling_it_leaves_nothing(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    full(daemon)
    daemon.answer(LOGS, Reply(pieces=(), stays=True))
    ours = asyncio.all_tasks()
    gathering = asyncio.create_task(gather(impatient))
    while daemon.streams == 0:  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0.01)

    gathering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathering

    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - ours}  # type: ignore[union-attr]
    assert not [name for name in names if "_tried" in name]


# ---------------------------------------------------------------- kept small


async def test_what_is_too_long_is_cut(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    full(daemon)
    assert not (await gather(impatient)).is_cut

    health = {"Status": "unhealthy", "Log": [probe(1, "o" * 1001)]}
    daemon.answer(STATE, Reply(body=inspected(State={"Health": health})))
    found = await gather(impatient)
    assert found.is_cut
    assert found.health_log[0].output == "o" * 1000

    full(daemon)
    daemon.answer(LOGS, Reply(pieces=(frame(b"x" * 2001 + b"\n"),)))
    found = await gather(impatient)
    assert found.is_cut
    assert found.logs == ("x" * 2000,)

    full(daemon)
    rows = [["root", str(number), "c" * 1001] for number in range(300)]
    daemon.answer(TOP, Reply(body={"Titles": ["UID", "PID", "CMD"], "Processes": rows}))
    found = await gather(impatient)
    assert found.is_cut
    assert len(found.processes) == 200
    assert found.processes[0][2] == "c" * 1000
