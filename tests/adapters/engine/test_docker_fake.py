"""What the adapter makes of an engine that is slow, sick, gone, or asked for the wrong thing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.engine.connection import checked_image_id, checked_network_id
from app.adapters.engine.docker import DockerEngine
from app.domain.container import Health
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    StartedMeanwhile,
)
from app.policies.spec import ScaleOutRules
from app.ports import ContainerEngine
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    fake_daemon,
    inspected,
    line,
)
from tests.adapters.engine.hostile import HOSTILE

INSPECT = f"GET /containers/{CONTAINER_ID}/json"
RESTART = f"POST /containers/{CONTAINER_ID}/restart"
START = f"POST /containers/{CONTAINER_ID}/start"
GONE = Reply(status=404, body={"message": f"No such container: {CONTAINER_ID}"})


async def restart(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.restart(
        container_id,
        attempt_id="01J",
        expected_started_at=STARTED_AT,
        stop_grace=timedelta(0),
    )


async def start(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.start(container_id, attempt_id="01J")


async def inspect(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.inspect(container_id)


async def clone(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.clone(
        container_id, attempt_id="01J", rules=ScaleOutRules(), at=datetime(2026, 11, 22, tzinfo=UTC)
    )


async def evidence(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.evidence(container_id, at=datetime(2026, 11, 22, tzinfo=UTC))


async def remove_clone(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.remove_clone(container_id, attempt_id="01J")


async def used(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.used(container_id, at=datetime(2026, 11, 22, tzinfo=UTC))


async def room(engine: DockerEngine, *, container_id: str = CONTAINER_ID) -> None:
    await engine.room(container_id)


#: Checked by mypy: the adapter keeps the port's promises, by name and by type.
_PORT: type[ContainerEngine] = DockerEngine

Call = Callable[..., Awaitable[None]]
CALLS: tuple[Call, ...] = (inspect, restart, start, clone, remove_clone, evidence, used, room)


# ---------------------------------------------------------------- names never become requests


@pytest.mark.parametrize("call", CALLS)
async def test_no_hostile_name_becomes_a_request(
    impatient: DockerEngine, daemon: FakeDaemon, call: Call
) -> None:
    for name in HOSTILE:
        with pytest.raises(ValueError, match="64 lower-case"):
            await call(impatient, container_id=name)

    assert daemon.requests == []


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(set(HOSTILE)) > 500


@pytest.mark.parametrize("name", [None, 64, b"a" * 64, ["a"] * 64])
async def test_nothing_but_a_text_is_an_id(
    impatient: DockerEngine, daemon: FakeDaemon, name: object
) -> None:
    with pytest.raises(ValueError, match="64 lower-case"):
        await impatient.inspect(name)  # type: ignore[arg-type]

    assert daemon.requests == []


def test_no_hostile_name_passes_for_an_image_or_a_network() -> None:
    for name in HOSTILE:
        with pytest.raises(ValueError, match="image"):
            checked_image_id(f"sha256:{name}")
        with pytest.raises(ValueError, match="network"):
            checked_network_id(f"/{name}")


def test_the_ids_of_swarms_networks_pass() -> None:
    assert checked_network_id("x5pq0a1b2c3d4e5f6g7h8i9j0") == "x5pq0a1b2c3d4e5f6g7h8i9j0"


# ---------------------------------------------------------------- restart


async def test_restart_looks_first_and_gives_the_grace_in_seconds(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected())
    daemon.answer(RESTART, Reply(status=204))

    await impatient.restart(
        CONTAINER_ID,
        attempt_id="01J",
        expected_started_at=STARTED_AT,
        stop_grace=timedelta(seconds=6, milliseconds=100),
    )

    assert daemon.acts == [f"{RESTART}?t=7"]


async def test_a_container_that_somebody_else_started_is_left_alone(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected(State={"StartedAt": "2026-11-22T03:00:00.123456788Z"}))

    with pytest.raises(StartedMeanwhile):
        await restart(impatient)

    assert daemon.acts == []


async def test_a_paused_container_is_left_alone(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected(State={"Status": "paused"}))

    with pytest.raises(EngineRefused, match="paused"):
        await restart(impatient)

    assert daemon.acts == []


async def test_an_action_without_answer_is_unknown_and_not_failed(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected())
    daemon.answer(RESTART, Reply(hangs=True))

    with pytest.raises(EngineSilent):
        await restart(impatient)

    assert len(daemon.acts) == 1


async def test_the_stop_grace_prolongs_the_wait_for_an_answer(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected())
    daemon.answer(RESTART, Reply(hangs=True, status=204))
    asyncio.get_running_loop().call_later(0.6, daemon.release)

    await impatient.restart(
        CONTAINER_ID,
        attempt_id="01J",
        expected_started_at=STARTED_AT,
        stop_grace=timedelta(seconds=5),
    )


async def test_a_connection_lost_in_mid_action_is_unknown_as_well(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected())
    daemon.answer(RESTART, Reply(breaks=True))

    with pytest.raises(EngineSilent):
        await restart(impatient)


@pytest.mark.parametrize("call", [restart, start])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(GONE, ContainerGone, id="gone"),
        pytest.param(
            Reply(status=404, body={"message": "network shop not found"}),
            EngineRefused,
            id="its-network-is-gone",
        ),
        pytest.param(Reply(status=500, body={"message": "driver failed"}), EngineRefused, id="500"),
        pytest.param(Reply(status=409, body={"message": "is paused"}), EngineRefused, id="409"),
        pytest.param(Reply(status=403, body="Forbidden"), EngineRefused, id="a-socket-proxy"),
        pytest.param(Reply(status=500, body=["?"]), EngineSilent, id="an-answer-of-another-shape"),
    ],
)
async def test_an_action_says_whether_trying_again_can_help(
    impatient: DockerEngine, daemon: FakeDaemon, call: Call, reply: Reply, error: type[Exception]
) -> None:
    daemon.knows(inspected())
    daemon.answer(RESTART, reply)
    daemon.answer(START, reply)

    with pytest.raises(error) as caught:
        await call(impatient)

    assert type(caught.value) is error
    if isinstance(caught.value, EngineRefused):
        assert caught.value.status == reply.status


async def test_starting_what_runs_already_is_fine(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer(START, Reply(status=304))

    await start(impatient)


# ---------------------------------------------------------------- looking


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(GONE, ContainerGone, id="gone"),
        pytest.param(Reply(status=404, body="what?"), ContainerGone, id="gone-in-other-words"),
        pytest.param(Reply(status=500, body={"message": "x"}), EngineRefused, id="500"),
        pytest.param(Reply(hangs=True), EngineUnavailable, id="silent"),
        pytest.param(Reply(breaks=True), EngineUnavailable, id="hung-up"),
        pytest.param(Reply(body={"Id": CONTAINER_ID}), EngineUnavailable, id="half-an-answer"),
        pytest.param(Reply(body="<html>"), EngineUnavailable, id="not-an-engine"),
    ],
)
async def test_a_look_that_fails_says_why(
    impatient: DockerEngine, daemon: FakeDaemon, reply: Reply, error: type[Exception]
) -> None:
    daemon.answer(INSPECT, reply)

    with pytest.raises(error) as caught:
        await impatient.inspect(CONTAINER_ID)

    assert type(caught.value) is error


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=500, body={"message": "x"}), id="500"),
        pytest.param(Reply(status=404, body={"message": "x"}), id="404"),
        pytest.param(Reply(status=403, body="Forbidden"), id="a-socket-proxy"),
        pytest.param(Reply(hangs=True), id="silent"),
        pytest.param(Reply(body=[{"no": "id"}]), id="not-a-listing"),
        pytest.param(Reply(body={"message": "x"}), id="not-a-list"),
    ],
)
async def test_an_engine_that_cannot_list_is_unavailable(
    impatient: DockerEngine, daemon: FakeDaemon, reply: Reply
) -> None:
    daemon.answer("GET /containers/json", reply)

    with pytest.raises(EngineUnavailable):
        await impatient.containers()


async def test_a_listing_tells_health_and_age(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    told = line(Status="Up 3 hours (unhealthy)", Created=1795372508)
    daemon.answer("GET /containers/json", Reply(body=[told]))

    (found,) = await impatient.containers()

    assert found.health is Health.UNHEALTHY
    assert found.created_at == datetime(2026, 11, 22, 18, 35, 8, tzinfo=UTC)


async def test_lists_stopped_containers_too(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.answer("GET /containers/json", Reply(body=[line(State="exited")]))

    (found,) = await impatient.containers()

    assert found.id == CONTAINER_ID
    assert daemon.requests[-1] == "GET /v1.41/containers/json?all=1"


async def test_tells_who_the_engine_is(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    info = {"Name": "my host", "ServerVersion": "29.1", "NCPU": 2, "MemTotal": 1024}
    daemon.answer("GET /info", Reply(body=info))
    daemon.api_version = "1.56"

    who = await impatient.identity()

    assert (who.name, who.version, who.api_version) == ("my-host", "29.1", (1, 56))
    assert (who.cpus, who.memory_bytes) == (2, 1024)


# ---------------------------------------------------------------- the connection


@pytest.mark.parametrize("call", CALLS)
async def test_an_engine_that_is_not_there_is_unavailable(tmp_path: Path, call: Call) -> None:
    async with DockerEngine(f"unix://{tmp_path}/none.sock") as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await call(engine)

    assert not isinstance(caught.value, EngineSilent)


async def test_an_action_that_could_not_be_told_has_not_begun() -> None:
    async with fake_daemon() as daemon:
        daemon.keeps_alive = False
        daemon.knows(inspected())
        engine = DockerEngine(daemon.url)
        await engine.inspect(CONTAINER_ID)

    async with engine:
        with pytest.raises(EngineUnavailable) as caught:
            await start(engine)

    assert not isinstance(caught.value, EngineSilent)


async def test_an_engine_over_tcp_that_is_not_there_is_unavailable() -> None:
    async with DockerEngine("tcp://127.0.0.1:1") as engine:
        with pytest.raises(EngineUnavailable):
            await engine.containers()


@pytest.mark.parametrize("url", ["", "/var/run/docker.sock", "npipe://x", "ftp://host"])
def test_an_address_of_another_kind_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="unix://"):
        DockerEngine(url)


async def test_agrees_on_a_version_once(impatient: DockerEngine, daemon: FakeDaemon) -> None:
    daemon.api_version = "1.44"
    daemon.knows(inspected())

    await impatient.inspect(CONTAINER_ID)
    await impatient.inspect(CONTAINER_ID)

    assert [one for one in daemon.requests if one == "GET /version"] == ["GET /version"]
    assert daemon.requests[-1].startswith("GET /v1.44/")


async def test_agrees_on_a_version_again_after_a_failure(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.knows(inspected())
    await impatient.inspect(CONTAINER_ID)
    daemon.answer(INSPECT, Reply(hangs=True), Reply(body=inspected()))
    with pytest.raises(EngineUnavailable):
        await impatient.inspect(CONTAINER_ID)
    daemon.api_version = "1.56"

    await impatient.inspect(CONTAINER_ID)

    assert daemon.requests[-1].startswith("GET /v1.56/")


async def test_an_engine_that_no_longer_speaks_our_version_is_asked_again(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    too_old = "client version 1.24 is too old. Minimum supported API version is 1.44"
    daemon.answer(INSPECT, Reply(status=400, body={"message": too_old}), Reply(body=inspected()))
    with pytest.raises(EngineUnavailable):
        await impatient.inspect(CONTAINER_ID)
    daemon.api_version = "1.44"

    await impatient.inspect(CONTAINER_ID)

    assert daemon.requests[-1].startswith("GET /v1.44/")


async def test_an_engine_too_sick_to_tell_its_version_is_no_containers_fault(
    impatient: DockerEngine, daemon: FakeDaemon
) -> None:
    daemon.answer("GET /version", Reply(status=503, body={"message": "starting"}))

    for call in CALLS:
        with pytest.raises(EngineUnavailable):
            await call(impatient)

    assert daemon.acts == []


async def test_opens_nothing_before_it_is_used_and_closes_twice(daemon: FakeDaemon) -> None:
    engine = DockerEngine(daemon.url)
    await engine.close()
    daemon.knows(inspected())
    await engine.inspect(CONTAINER_ID)

    await engine.close()
    await engine.close()
