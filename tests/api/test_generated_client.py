"""A client that is generated from the committed document works, over a real socket."""

import asyncio
import importlib
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.api.conftest import application
from tests.api.test_reading import TOKENS
from tests.controller.house import House, working
from tests.reference.making import ROOT

PACKAGE = "generated_relevo_client"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package, generated without the network, imported."""
    folder = tmp_path_factory.mktemp("generated")
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        ROOT / "docs" / "openapi.json",
        "utf-8",
        overwrite=False,
        output_path=folder / PACKAGE,
    )
    complaints = [f"{one.level} {one.header} {one.detail}" for one in generate(config=config)]
    assert complaints == []
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


def part(path: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{path}")


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def served(house: House) -> AsyncIterator[str]:
    """The application on a free port of loopback."""
    config = uvicorn.Config(
        application(house, TOKENS), host="127.0.0.1", port=0, log_config=None, lifespan="off"
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            await server.listens.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def address(house: House) -> AsyncIterator[str]:
    async with working(house), served(house) as url:
        yield url


def test_every_operation_is_there(client: ModuleType) -> None:
    assert client.__file__ is not None
    found = {path.stem for path in Path(client.__file__).parent.glob("api/*/*.py")} - {"__init__"}

    assert len(found) == 25
    assert {"list_targets", "restart_target", "show_remediation", "follow_events"} <= found


async def test_it_reads_and_orders(client: ModuleType, address: str) -> None:
    models = part("models")
    async with client.AuthenticatedClient(base_url=address, token="operate") as caller:
        listed = await part("api.targets.list_targets").asyncio_detailed(client=caller)
        assert (listed.status_code, [one.target for one in listed.parsed.targets]) == (
            200,
            ["host1:web"],
        )
        assert listed.parsed.targets[0].state is models.TargetState.OK

        order = models.Order(reason="stuck since the import", author="ana")
        placed = await part("api.operating.restart_target").asyncio_detailed(
            "web", client=caller, body=order, idempotency_key="k-1"
        )
        assert (placed.status_code, type(placed.parsed).__name__) == (202, "Placed")
        again = await part("api.operating.restart_target").asyncio_detailed(
            "web", client=caller, body=order, idempotency_key="k-1"
        )
        assert again.parsed == placed.parsed

        async with asyncio.timeout(20):
            while True:
                story = await part("api.history.show_remediation").asyncio_detailed(
                    placed.parsed.remediation, client=caller
                )
                if story.status_code == 200 and story.parsed.attempts:
                    break
                await asyncio.sleep(0.05)
        (attempt,) = story.parsed.attempts
        assert (attempt.id, attempt.trigger) == (placed.parsed.attempt, models.Trigger.MANUAL)
        assert attempt.started_at.tzinfo is not None


async def test_a_dry_run_has_its_own_answer(client: ModuleType, address: str) -> None:
    async with client.AuthenticatedClient(base_url=address, token="operate") as caller:
        answer = await part("api.operating.scale_out_target").asyncio_detailed(
            "web", client=caller, dry_run=True, body=part("models").Order(reason="a look")
        )

    assert (answer.status_code, answer.parsed.dry_run) == (200, True)
    assert answer.parsed.report.refused is False


@pytest.mark.parametrize(
    ("token", "target", "reason", "status", "says"),
    [
        ("operate", "nobody", "stuck", 404, "GET /api/v1/targets"),
        ("operate", "web", "", 422, "reason: is empty"),
        ("nonsense", "web", "stuck", 401, "Authorization: Bearer"),
        ("read", "web", "stuck", 403, "operate"),
    ],
)
async def test_an_error_is_a_problem(
    client: ModuleType, address: str, token: str, target: str, reason: str, status: int, says: str
) -> None:
    async with client.AuthenticatedClient(base_url=address, token=token) as caller:
        answer = await part("api.operating.restart_target").asyncio_detailed(
            target, client=caller, body=part("models").Order(reason=reason)
        )

    assert answer.status_code == status
    assert type(answer.parsed).__name__ == "Problem"
    assert answer.parsed.status == status
    assert says in answer.parsed.detail
