"""Services of a swarm through the gate: driven by one, and only where they have opted in."""

from typing import Any

import pytest

from app.adapters.gate.client import GateServices
from app.adapters.gate.line import GateLine
from app.domain.gate import Bar
from app.domain.service import Service
from app.errors import EngineRefused, GateRefused, ServiceGone
from tests.adapters.engine.fake_daemon import FakeDaemon, Reply
from tests.adapters.engine.test_swarm_fake import ID, WRITE, described

TASK = {
    "ID": "t" * 25,
    "ServiceID": ID,
    "Slot": 1,
    "NodeID": "n" * 25,
    "CreatedAt": "2026-11-22T03:00:00Z",
    "Spec": {"ContainerSpec": {"Image": "shop:1"}, "ForceUpdate": 4},
    "Status": {"State": "running", "Timestamp": "2026-11-22T03:00:05Z"},
    "DesiredState": "running",
}


def there_is(daemon: FakeDaemon, *, tasks: int = 2, **labels: str) -> None:
    """Let the daemon manage one service."""
    daemon.answer(f"GET /services/{ID}", described(labels={"relevo.enable": "true"} | labels))
    found: list[dict[str, Any]] = [
        TASK | {"ID": f"{number:025d}", "Slot": number} for number in range(1, tasks + 1)
    ]
    daemon.answer("GET /tasks", Reply(body=found))
    daemon.answer("GET /containers/json", Reply(body=[]))
    daemon.answer(WRITE, Reply(body={"Warnings": None}))


@pytest.fixture
def services(line: GateLine) -> GateServices:
    """Services behind a gate."""
    return GateServices(line)


async def force(services: GateServices, attempt_id: str = "a.1") -> Service:
    seen = await services.service(ID)
    return await services.force_update(ID, attempt_id=attempt_id, expected_template=seen.template)


async def bar_of(services: GateServices, *, of: int, to: int) -> str:
    with pytest.raises(GateRefused) as caught:
        await services.scale(ID, attempt_id="a.1", expected_replicas=of, to=to)
    return caught.value.reason


async def test_a_service_is_updated_and_scaled_by_one(
    services: GateServices, daemon: FakeDaemon
) -> None:
    there_is(daemon)

    await force(services)
    await services.scale(ID, attempt_id="a.2", expected_replicas=2, to=3)

    assert daemon.acts == [f"{WRITE}?version=7"] * 2


async def test_what_is_done_already_is_answered_again(
    services: GateServices, daemon: FakeDaemon
) -> None:
    there_is(daemon)

    first = await force(services)
    assert await force(services) == first

    assert len(daemon.acts) == 1


@pytest.mark.parametrize(
    ("labels", "tasks", "of", "to", "bar"),
    [
        pytest.param({"relevo.enable": "no"}, 2, 2, 3, Bar.NOT_OPTED_IN, id="opted-out"),
        pytest.param({"relevo.protected": "true"}, 2, 2, 3, Bar.PROTECTED, id="protected"),
        pytest.param({}, 2, 2, 4, Bar.OTHER_STEP, id="by-two"),
        pytest.param({}, 2, 2, 0, Bar.OTHER_STEP, id="to-nothing"),
        pytest.param({}, 3, 2, 3, Bar.AT_MAX, id="three-are-there"),
        pytest.param({"relevo.max-instances": "2"}, 2, 2, 3, Bar.AT_MAX, id="two-may-be"),
    ],
)
async def test_what_is_kept_back(
    services: GateServices,
    daemon: FakeDaemon,
    labels: dict[str, str],
    tasks: int,
    of: int,
    to: int,
    bar: Bar,
) -> None:
    there_is(daemon, tasks=tasks, **labels)

    assert await bar_of(services, of=of, to=to) == bar

    assert daemon.acts == []


async def test_one_without_tasks_is_nobodys(services: GateServices, daemon: FakeDaemon) -> None:
    there_is(daemon, tasks=0)

    with pytest.raises(EngineRefused, match="has no task"):
        await force(services)

    assert daemon.acts == []


async def test_errors_keep_their_types(services: GateServices, daemon: FakeDaemon) -> None:
    with pytest.raises(ServiceGone):
        await services.service(ID)
    daemon.answer("GET /info", Reply(body={"Swarm": {"ControlAvailable": True}}))
    assert await services.manages()
