"""The controller starts before what it needs: it waits, says so, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness
from tests.stack.lab import Lab
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.redis, pytest.mark.timeout(150)]

ENGINE = Path("/var/run/docker.sock")


@asynccontextmanager
async def bridge(path: Path) -> AsyncIterator[None]:
    """Let the real engine be found at another path: an engine that comes when the test says so."""
    connections: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(ENGINE)
        both = {writer, far_writer}
        connections.update(both)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        connections.difference_update(both)

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def readiness(lab: Lab) -> tuple[int, Json]:
    """What /-/ready says."""
    answer = await lab.page(f"{lab.relevo_url}/-/ready")
    return answer.status_code, dict(answer.json())


async def is_waiting_for(lab: Lab, *parts: str) -> None:
    """Unready, alive, and saying what is missing and nothing else."""

    async def look() -> bool:
        status, said = await readiness(lab)
        missing = {part for part in ("store", "container_engine") if not said[part]["ok"]}
        return status == 503 and missing == set(parts) and all(said[p]["trouble"] for p in parts)

    await eventually(look, within=30, what=f"/-/ready is 503 for {parts}")
    assert (await lab.page(f"{lab.relevo_url}/-/healthy")).status_code == 200


async def test_waits_for_redis_and_docker_and_recovers_by_itself(start_lab: StartLab) -> None:
    async with AsyncExitStack() as stack:
        # A path short enough for a unix socket, where none is yet.
        home = stack.enter_context(TemporaryDirectory(prefix="relevo-lab-socket-"))
        socket = Path(home) / "docker.sock"
        lab = await start_lab(
            own_redis=True,
            environment={"DOCKER_HOST": f"unix://{socket}"},
            late=("redis", "relevo-collect", "relevo-serve"),
        )
        assert lab.redis is not None
        await lab.controller.start()
        await is_waiting_for(lab, "store", "container_engine")
        # Nothing that cannot be kept is accepted; 503 makes Alertmanager try again.
        burner = await lab.ward.admit("burner", Illness(cpu=(2, 0)))
        answer = await lab.post_notice(burner, status="firing", starts_at=burner.created)
        assert answer.status_code == 503

        await lab.redis.start()
        await is_waiting_for(lab, "container_engine")

        await stack.enter_async_context(bridge(socket))
        await lab.collector.start()
        await lab.until_up()

        async def healed() -> bool:
            stories = await lab.remediations(burner)
            return bool(stories) and stories[-1]["outcome"] == "recovered"

        # And it works: the container that burnt all the while is healed through the whole chain.
        await eventually(healed, within=90, what="the container has recovered")
        assert len(await burner.restarts()) == 1
