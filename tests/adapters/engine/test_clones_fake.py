"""Every place where the making of a clone can be interrupted, at a fake engine."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.engine.docker import DockerEngine
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    LeaseLost,
)
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, Deadline
from tests.adapters.engine.fake_daemon import (
    CLONE_ID,
    CONTAINER_ID,
    IMAGE_ID,
    FakeDaemon,
    Reply,
    inspected,
    line,
)

LIST = "GET /containers/json"
CREATE = "POST /containers/create"
START = f"POST /containers/{CLONE_ID}/start"
STOP = f"POST /containers/{CLONE_ID}/stop"
DISCONNECTS = ("POST /networks/back/disconnect", "POST /networks/front/disconnect")
DELETE = f"DELETE /containers/{CLONE_ID}"
BACK_ID, FRONT_ID = "1" * 64, "2" * 64
CONNECT = f"POST /networks/{FRONT_ID}/connect"
REMOVED = f"{DELETE}?force=1&v=1"
AT = datetime(2026, 11, 22, tzinfo=UTC)
OURS = {"relevo.clone-of": "web", "relevo.attempt": "01J"}

CREATED = Reply(status=201, body={"Id": CLONE_ID, "Warnings": []})
DONE = Reply(status=204)
BROKEN = Reply(status=500, body={"message": "driver failed"})


def clone_of_web(*, status: str = "created", networks: tuple[str, ...] = ("back",)) -> Any:
    return inspected(
        Id=CLONE_ID,
        Name="/web_new",
        State={"Status": status},
        Config={"Labels": OURS, "StopTimeout": 3},
        NetworkSettings={"Networks": {name: {} for name in networks}},
    )


@pytest.fixture
def willing(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon with a container on two networks, which would let itself be cloned."""
    daemon.knows(
        inspected(
            HostConfig={"NetworkMode": "back"},
            NetworkSettings={
                "Networks": {
                    "back": {"NetworkID": BACK_ID, "Aliases": ["api"]},
                    "front": {"NetworkID": FRONT_ID, "Aliases": ["web"]},
                }
            },
        )
    )
    daemon.knows(clone_of_web(status="running", networks=("back", "front")))
    daemon.answer(f"GET /images/{IMAGE_ID}/json", Reply(body={"Config": {}}))
    daemon.answer(f"GET /containers/{CONTAINER_ID}/changes", Reply(body=None))
    daemon.answer(LIST, Reply(body=[line()]))
    daemon.answer(CREATE, CREATED)
    daemon.answer(CONNECT, DONE)
    daemon.answer(START, DONE)
    daemon.answer(DELETE, DONE)
    return daemon


async def clone(
    engine: DockerEngine, *, dry_run: bool = False, not_after: Deadline = NO_END
) -> CloneResult:
    return await engine.clone(
        CONTAINER_ID,
        attempt_id="01J",
        rules=ScaleOutRules(),
        at=AT,
        dry_run=dry_run,
        not_after=not_after,
    )


def untouched(daemon: FakeDaemon) -> bool:
    """Whether no request could have changed the source."""
    return not any(CONTAINER_ID in act for act in daemon.acts)


# ---------------------------------------------------------------- the straight way


async def test_creates_connects_starts(impatient: DockerEngine, willing: FakeDaemon) -> None:
    result = await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new", CONNECT, START]
    assert willing.bodies["/containers/create"]["Image"] == IMAGE_ID
    assert willing.bodies[f"/networks/{FRONT_ID}/connect"] == {
        "Container": CLONE_ID,
        "EndpointConfig": {"Aliases": ["web"]},
    }
    assert result.clone is not None
    assert result.clone.id == CLONE_ID
    assert result.report.traffic == "alias"


async def test_from_api_1_44_on_one_request_connects_all(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.api_version = "1.44"

    await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new", START]


async def test_a_dry_run_only_reports(impatient: DockerEngine, willing: FakeDaemon) -> None:
    willing.answer(LIST, Reply(body=[line(), line(Id=CLONE_ID, Names=["/x"], Labels=OURS)]))

    result = await clone(impatient, dry_run=True)

    assert willing.acts == []
    assert result.clone is None
    assert not result.report.is_refused


async def test_a_refusal_is_raised_with_its_reasons_and_only_reported_by_a_dry_run(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.knows(inspected(HostConfig={"NetworkMode": "host", "AutoRemove": True}))

    result = await clone(impatient, dry_run=True)
    with pytest.raises(CloneRefused, match=r"auto_remove: .*host_network: "):
        await clone(impatient)

    assert {item.reason for item in result.report.refusals} == {"auto_remove", "host_network"}
    assert willing.acts == []


async def test_a_source_that_is_gone_is_gone(impatient: DockerEngine, willing: FakeDaemon) -> None:
    willing.answer(
        f"GET /containers/{CONTAINER_ID}/json",
        Reply(status=404, body={"message": "No such container"}),
    )

    with pytest.raises(ContainerGone):
        await clone(impatient)


async def test_an_image_that_is_gone_is_not_the_container(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    gone = Reply(status=404, body={"message": "No such image"})
    willing.answer(f"GET /images/{IMAGE_ID}/json", gone)

    with pytest.raises(EngineRefused, match="image") as caught:
        await clone(impatient)

    assert caught.value.status == 404


@pytest.mark.parametrize("image_id", ["../x", "web:1", IMAGE_ID + "?", ""])
async def test_an_image_id_of_another_form_is_not_asked_for(
    impatient: DockerEngine, willing: FakeDaemon, image_id: str
) -> None:
    willing.knows(inspected(Image=image_id))

    with pytest.raises(EngineUnavailable):
        await clone(impatient)

    assert not any("/images/" in one for one in willing.requests)


# ---------------------------------------------------------------- names


async def test_a_name_taken_meanwhile_is_followed_by_the_next(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    taken = Reply(status=409, body={"message": 'The container name "/web_new" is in use'})
    willing.answer(CREATE, taken, taken, CREATED)

    await clone(impatient)

    assert willing.acts[:3] == [
        f"{CREATE}?name=web_new",
        f"{CREATE}?name=web_new2",
        f"{CREATE}?name=web_new3",
    ]
    assert untouched(willing)


async def test_gives_up_when_every_name_is_taken(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(CREATE, Reply(status=409, body={"message": "in use"}))

    with pytest.raises(EngineRefused) as caught:
        await clone(impatient)

    assert caught.value.status == 409
    assert len(willing.acts) == 5


# ---------------------------------------------------------------- interrupted


@pytest.mark.parametrize(
    ("request_", "reply", "error"),
    [
        pytest.param(CONNECT, BROKEN, EngineRefused, id="connect-fails"),
        pytest.param(
            CONNECT,
            Reply(status=404, body={"message": "network front not found"}),
            EngineRefused,
            id="network-is-gone",
        ),
        pytest.param(CONNECT, Reply(hangs=True), EngineSilent, id="connect-hangs"),
        pytest.param(START, BROKEN, EngineRefused, id="start-fails"),
        pytest.param(START, Reply(hangs=True), EngineSilent, id="start-hangs"),
        pytest.param(START, Reply(breaks=True), EngineSilent, id="hung-up"),
        pytest.param(
            START,
            Reply(status=404, body={"message": "No such container: c"}),
            EngineRefused,
            id="somebody-removed-it",
        ),
        pytest.param(
            f"GET /containers/{CLONE_ID}/json", Reply(hangs=True), EngineUnavailable, id="no-look"
        ),
    ],
)
async def test_on_any_error_what_was_made_is_removed_by_its_id(
    impatient: DockerEngine,
    willing: FakeDaemon,
    request_: str,
    reply: Reply,
    error: type[Exception],
) -> None:
    willing.answer(request_, reply)

    with pytest.raises(error) as caught:
        await clone(impatient)

    assert type(caught.value) is error
    assert willing.acts[-1] == REMOVED
    assert untouched(willing)


async def test_a_conflict_that_is_not_about_the_name_is_no_reason_for_another(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    why = "cannot join IPC of a non running container"
    willing.answer(START, Reply(status=409, body={"message": why}))

    with pytest.raises(EngineRefused, match=why):
        await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new", CONNECT, START, REMOVED]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(Reply(status=404, body={"message": "No such container"}), id="removed"),
        pytest.param(Reply(body=inspected(Name="/5d41402abc4b_web")), id="renamed-by-compose"),
    ],
)
async def test_of_a_source_that_is_replaced_meanwhile_no_clone_is_started(
    impatient: DockerEngine, willing: FakeDaemon, later: Reply
) -> None:
    look = f"GET /containers/{CONTAINER_ID}/json"
    source = inspected(
        HostConfig={"NetworkMode": "back"},
        NetworkSettings={"Networks": {"back": {"NetworkID": BACK_ID, "Aliases": ["api"]}}},
    )
    willing.answer(look, Reply(body=source), later)

    with pytest.raises(ContainerGone):
        await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new", REMOVED]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=404, body={"message": "No such image"}), id="image"),
        pytest.param(Reply(status=404, body={"message": "No such container: db"}), id="lender"),
        pytest.param(Reply(status=500, body={"message": "no space left"}), id="disk"),
    ],
)
async def test_where_nothing_was_made_nothing_is_removed(
    impatient: DockerEngine, willing: FakeDaemon, reply: Reply
) -> None:
    willing.answer(CREATE, reply)

    with pytest.raises(EngineRefused):
        await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new"]


async def test_a_clone_whose_id_got_lost_is_found_by_its_attempt(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    made = line(Id=CLONE_ID, Names=["/web_new"], Labels=OURS, State="created")
    willing.answer(CREATE, Reply(hangs=True))
    willing.answer(LIST, Reply(body=[line()]), Reply(body=[line(), made]))

    with pytest.raises(EngineSilent):
        await clone(impatient)

    assert willing.acts == [f"{CREATE}?name=web_new", REMOVED]


async def test_an_engine_that_died_while_creating_stays_the_reason(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(CREATE, Reply(hangs=True))
    willing.answer(LIST, Reply(body=[line()]), Reply(hangs=True))

    with pytest.raises(EngineSilent):
        await clone(impatient)


async def test_a_removal_that_fails_does_not_hide_the_reason(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(START, BROKEN)
    willing.answer(DELETE, Reply(status=500, body={"message": "busy"}))

    with pytest.raises(EngineRefused, match="driver failed"):
        await clone(impatient)


async def until_asked(daemon: FakeDaemon, request: str) -> None:
    """Wait until the daemon has been asked for something."""
    while not any(one.startswith(request) for one in daemon.acts):
        daemon.asked.clear()
        await daemon.asked.wait()


async def test_cancelled_while_creating_it_waits_for_the_id_and_removes(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(CREATE, Reply(hangs=True, status=201, body={"Id": CLONE_ID}))
    making = asyncio.create_task(clone(impatient))
    await until_asked(willing, CREATE)

    making.cancel()
    asyncio.get_running_loop().call_later(0.05, willing.release)
    with pytest.raises(asyncio.CancelledError):
        await making

    assert willing.acts == [f"{CREATE}?name=web_new", REMOVED]


@pytest.mark.parametrize("request_", [CONNECT, START])
async def test_cancelled_later_it_removes(
    impatient: DockerEngine, willing: FakeDaemon, request_: str
) -> None:
    willing.answer(request_, Reply(hangs=True))
    making = asyncio.create_task(clone(impatient))
    await until_asked(willing, request_)

    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making

    assert willing.acts[-1] == REMOVED
    assert untouched(willing)


async def test_cancelled_twice_it_still_removes(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(START, Reply(hangs=True))
    willing.answer(DELETE, Reply(hangs=True, status=204))
    making = asyncio.create_task(clone(impatient))
    await until_asked(willing, START)
    making.cancel()
    await until_asked(willing, "DELETE")

    making.cancel()
    _, waiting = await asyncio.wait({making}, timeout=0.05)
    assert waiting
    willing.release()
    with pytest.raises(asyncio.CancelledError):
        await making

    assert willing.acts[-1] == REMOVED


# ---------------------------------------------------------------- adoption


def half_made(*, state: str, **overrides: Any) -> Any:
    return line(Id=CLONE_ID, Names=["/web_new"], Labels=OURS, State=state, **overrides)


@pytest.mark.parametrize("state", ["running", "restarting", "paused"])
async def test_a_clone_of_this_attempt_that_runs_is_the_clone(
    impatient: DockerEngine, willing: FakeDaemon, state: str
) -> None:
    willing.answer(LIST, Reply(body=[line(), half_made(state=state)]))
    willing.knows(clone_of_web(status=state))

    result = await clone(impatient)

    assert result.clone is not None
    assert result.clone.id == CLONE_ID
    assert willing.acts == []


@pytest.mark.parametrize("state", ["created", "exited"])
async def test_a_half_made_clone_of_this_attempt_is_finished(
    impatient: DockerEngine, willing: FakeDaemon, state: str
) -> None:
    willing.answer(LIST, Reply(body=[line(), half_made(state=state)]))
    willing.knows(clone_of_web(status=state))

    await clone(impatient)

    assert willing.acts == [CONNECT, START]


async def test_of_a_half_made_clone_only_what_is_missing_is_connected(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(LIST, Reply(body=[line(), half_made(state="created")]))
    willing.knows(clone_of_web(networks=("back", "front")))

    await clone(impatient)

    assert willing.acts == [START]


async def test_a_half_made_clone_that_cannot_be_finished_is_removed(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.answer(LIST, Reply(body=[line(), half_made(state="created")]))
    willing.knows(clone_of_web())
    willing.answer(START, BROKEN)

    with pytest.raises(EngineRefused):
        await clone(impatient)

    assert willing.acts == [CONNECT, START, REMOVED]


@pytest.mark.parametrize(
    ("steps", "said", "done"),
    [(1, "not on all of its networks", []), (2, "not started", [CONNECT])],
)
async def test_a_clone_that_became_anothers_to_finish_is_neither_started_nor_removed(
    impatient: DockerEngine, willing: FakeDaemon, steps: int, said: str, done: list[str]
) -> None:
    willing.answer(LIST, Reply(body=[line(), half_made(state="created")]))
    willing.knows(clone_of_web())
    ends = iter([1e12] * steps)  # it leads when it begins, and no longer when it goes on

    with pytest.raises(LeaseLost, match=said):
        await clone(impatient, not_after=lambda: next(ends, 0.0))

    assert willing.acts == done


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(half_made(state="removing"), id="on-its-way-out"),
        pytest.param(
            half_made(state="created") | {"Labels": OURS | {"relevo.attempt": "01K"}},
            id="of-another-attempt",
        ),
        pytest.param(
            half_made(state="created") | {"Labels": {"relevo.attempt": "01J"}}, id="no-clone"
        ),
    ],
)
async def test_what_is_not_ours_is_not_adopted(
    impatient: DockerEngine, willing: FakeDaemon, other: Any
) -> None:
    willing.answer(LIST, Reply(body=[line(), other]))

    await clone(impatient)

    assert willing.acts[0] == f"{CREATE}?name=web_new2"


async def test_of_two_half_made_clones_the_one_that_runs_is_taken(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    created = half_made(state="created") | {"Id": "d" * 64, "Names": ["/web_new2"]}
    willing.answer(LIST, Reply(body=[line(), created, half_made(state="running")]))

    result = await clone(impatient)

    assert result.clone is not None
    assert result.clone.id == CLONE_ID


# ---------------------------------------------------------------- what it may ask for


async def test_uses_these_requests_and_no_others(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    """The list that a gate or a socket proxy has to let through."""
    willing.answer(STOP, DONE)
    for disconnect in DISCONNECTS:
        willing.answer(disconnect, DONE)
    willing.answer(f"POST /containers/{CLONE_ID}/restart", DONE)
    willing.answer("GET /info", Reply(body={"MemTotal": 1 << 30, "NCPU": 2}))
    willing.answer(f"GET /containers/{CONTAINER_ID}/stats", Reply(body={}))
    await impatient.identity()
    await impatient.containers()
    result = await clone(impatient)
    assert result.clone is not None
    await impatient.restart(
        CLONE_ID,
        attempt_id="01J",
        expected_started_at=result.clone.started_at,
        stop_grace=timedelta(0),
    )
    await impatient.start(CLONE_ID, attempt_id="01J")
    await impatient.used(CONTAINER_ID, at=AT)
    await impatient.room(CONTAINER_ID)
    await impatient.remove_clone(CLONE_ID, attempt_id="01J")

    assert {
        re.sub(r"/v1\.41|\?.*|(?<=/)(sha256:)?[0-9a-f]{64}|(?<=networks/)(back|front)", "", one)
        for one in willing.requests
    } == {
        "GET /version",
        "GET /info",
        "GET /containers/json",
        "GET /containers//json",
        "GET /containers//changes",
        "GET /containers//stats",
        "GET /images//json",
        "POST /containers/create",
        "POST /networks//connect",
        "POST /networks//disconnect",
        "POST /containers//start",
        "POST /containers//stop",
        "POST /containers//restart",
        "DELETE /containers/",
    }


# ---------------------------------------------------------------- files of Compose


async def test_looks_at_the_mode_of_files_that_compose_may_have_copied(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    willing.knows(inspected(Config={"Labels": {"com.docker.compose.project": "shop"}}))
    willing.answer(
        f"GET /containers/{CONTAINER_ID}/changes",
        Reply(body=[{"Path": "/etc", "Kind": 0}, {"Path": "/etc/app.conf", "Kind": 0}]),
    )

    result = await clone(impatient, dry_run=True)

    looked_at = [one for one in willing.requests if one.startswith("HEAD")]
    assert looked_at == [f"HEAD /v1.41/containers/{CONTAINER_ID}/archive?path=/etc/app.conf"]
    # The daemon answered 404: gone since it was listed, and so no reason to refuse.
    assert not result.report.is_refused
