"""Taking a clone away, interrupted at every place, at a fake engine."""

from collections.abc import Callable
from typing import Any

import pytest

from app.adapters.engine.docker import DockerEngine
from app.errors import EngineRefused, EngineSilent, LeaseLost, TooLate
from tests.adapters.engine.fake_daemon import CLONE_ID, FakeDaemon, Reply, inspected

BACK_ID, FRONT_ID = "1" * 64, "2" * 64
LOOK = f"GET /containers/{CLONE_ID}/json"
OFF_BACK = f"POST /networks/{BACK_ID}/disconnect"
OFF_FRONT = f"POST /networks/{FRONT_ID}/disconnect"
STOP = f"POST /containers/{CLONE_ID}/stop"
DELETE = f"DELETE /containers/{CLONE_ID}"
STEPS = [OFF_BACK, OFF_FRONT, f"{STOP}?t=3", f"{DELETE}?force=1&v=1"]

DONE = Reply(status=204)
BROKEN = Reply(status=500, body={"message": "driver failed"})
GONE = Reply(status=404, body={"message": f"No such container: {CLONE_ID}"})
BOTH = {"back": {"NetworkID": BACK_ID}, "front": {"NetworkID": FRONT_ID}}


def clone_of_web(
    *, networks: dict[str, Any] | None = None, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    return inspected(
        Id=CLONE_ID,
        Name="/web_new",
        Config={
            "Labels": {"relevo.clone-of": "web"} if labels is None else labels,
            "StopTimeout": 3,
        },
        NetworkSettings={"Networks": BOTH if networks is None else networks},
    )


@pytest.fixture
def willing(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon with a clone on two networks, which would let it go."""
    daemon.knows(clone_of_web())
    for request in (OFF_BACK, OFF_FRONT, STOP, DELETE):
        daemon.answer(request, DONE)
    return daemon


async def remove(engine: DockerEngine, not_after: Callable[[], float] = lambda: 1e12) -> None:
    await engine.remove_clone(CLONE_ID, attempt_id="01J", not_after=not_after)


async def test_disconnects_stops_with_its_own_grace_and_removes(
    impatient: DockerEngine, willing: FakeDaemon
) -> None:
    await remove(impatient)

    assert willing.acts == STEPS
    assert willing.bodies[f"/networks/{BACK_ID}/disconnect"] == {"Container": CLONE_ID}


@pytest.mark.parametrize(
    ("networks", "disconnected"),
    [
        pytest.param({"bridge": {"NetworkID": BACK_ID}}, [OFF_BACK], id="the-default-one"),
        pytest.param({"host": {"NetworkID": BACK_ID}}, [], id="the-hosts"),
        pytest.param({"none": {"NetworkID": BACK_ID}}, [], id="none"),
        pytest.param({}, [], id="disconnected-already"),
        pytest.param(
            {"back": None}, ["POST /networks/back/disconnect"], id="one-without-an-id-by-its-name"
        ),
    ],
)
async def test_goes_off_the_networks_of_its_own(
    impatient: DockerEngine,
    willing: FakeDaemon,
    networks: dict[str, Any],
    disconnected: list[str],
) -> None:
    willing.knows(clone_of_web(networks=networks))

    await remove(impatient)

    assert willing.acts == [*disconnected, *STEPS[2:]]


@pytest.mark.parametrize("labels", [{}, {"relevo.attempt": "01J"}, {"acme.clone-of": "web"}])
async def test_takes_nothing_away_that_is_not_ours(
    impatient: DockerEngine, willing: FakeDaemon, labels: dict[str, str]
) -> None:
    willing.knows(clone_of_web(labels=labels))

    with pytest.raises(EngineRefused, match="no clone of ours") as caught:
        await remove(impatient)

    assert caught.value.status == 403
    assert willing.acts == []


@pytest.mark.parametrize(
    ("request_", "reply", "steps"),
    [
        pytest.param(LOOK, GONE, 0, id="before-the-look"),
        pytest.param(OFF_FRONT, GONE, 2, id="before-it-was-disconnected"),
        pytest.param(STOP, GONE, 3, id="before-the-stop"),
        pytest.param(DELETE, GONE, 4, id="before-the-removal"),
        pytest.param(STOP, Reply(status=304), 4, id="stopped-already"),
        pytest.param(
            DELETE,
            Reply(status=409, body={"message": "removal of container c is already in progress"}),
            4,
            id="being-removed-by-somebody-else",
        ),
        pytest.param(
            OFF_BACK,
            Reply(status=404, body={"message": "network back not found"}),
            4,
            id="the-network-is-gone",
        ),
        pytest.param(
            OFF_BACK,
            Reply(status=500, body={"message": "container c is not connected to network back"}),
            4,
            id="disconnected-meanwhile",
        ),
        pytest.param(OFF_FRONT, BROKEN, 4, id="cannot-be-disconnected"),
    ],
)
async def test_what_is_done_already_is_fine(
    impatient: DockerEngine, willing: FakeDaemon, request_: str, reply: Reply, steps: int
) -> None:
    willing.answer(request_, reply)

    await remove(impatient)

    assert willing.acts == STEPS[:steps]


@pytest.mark.parametrize("request_", [STOP, DELETE])
async def test_what_the_engine_refuses_is_refused(
    impatient: DockerEngine, willing: FakeDaemon, request_: str
) -> None:
    willing.answer(request_, BROKEN)

    with pytest.raises(EngineRefused, match="driver failed"):
        await remove(impatient)


@pytest.mark.parametrize("request_", [OFF_BACK, OFF_FRONT, DELETE])
async def test_without_an_answer_nothing_more_is_begun(
    impatient: DockerEngine, willing: FakeDaemon, request_: str
) -> None:
    willing.answer(request_, Reply(breaks=True))

    with pytest.raises(EngineSilent):
        await remove(impatient)

    assert willing.acts[-1].startswith(request_)


@pytest.mark.parametrize("done", range(5))
async def test_is_begun_and_gone_on_with_only_in_time(
    impatient: DockerEngine, willing: FakeDaemon, done: int
) -> None:
    # Asked once before all, and again before each request that changes something.
    ends = iter([1e12] * done)

    with pytest.raises(LeaseLost) as caught:
        await remove(impatient, lambda: next(ends, 0.0))

    assert willing.acts == STEPS[: max(done - 1, 0)]
    # "Nothing was done" is said only where that is so.
    assert isinstance(caught.value, TooLate) is (done == 0)
