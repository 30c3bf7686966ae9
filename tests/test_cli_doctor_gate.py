"""`relevo doctor` tells who is in the way when the engine cannot be asked: the gate, or itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from app.adapters.gate.line import GateLine
from app.cli.checks_relevo import engine_fix
from app.errors import EngineUnavailable
from tests.adapters.store.conftest import short_dir

__all__ = ["short_dir"]


async def trouble(path: Path) -> str:
    """What the gate's client says of it."""
    line = GateLine(path)
    try:
        with pytest.raises(EngineUnavailable) as caught:
            await line.ask("identity")
    finally:
        await line.close()
    return str(caught.value)


@asynccontextmanager
async def answering(path: Path, status: int) -> AsyncIterator[None]:
    """Something that listens there and answers so, whatever is asked."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_a_gate_that_is_away_is_to_be_started(tmp_path: Path) -> None:
    fix = engine_fix(await trouble(tmp_path / "gate.sock"))

    assert fix.startswith("start it (relevo gate;")
    assert "RELEVO_GATE_SOCKET" in fix


@pytest.mark.parametrize(("status", "word"), [(403, "RELEVO_GATE_USERS"), (404, "of one version")])
async def test_a_gate_that_turns_us_away(short_dir: Path, status: int, word: str) -> None:
    path = short_dir / f"{status}.sock"
    async with answering(path, status):
        assert word in engine_fix(await trouble(path))


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("the gate does not answer: [Permission denied]", "open to their users"),
        ("no answer from the gate: Server disconnected", "look at its log"),
        ("the stream from the gate broke off: x", "look at its log"),
        ("Cannot connect to Docker Engine: [Permission denied]", "usermod -aG docker USER"),
        ("Cannot connect to Docker Engine: [Connection refused]", "start Docker"),
    ],
)
def test_the_fix_is_that_of_who_is_in_the_way(said: str, word: str) -> None:
    assert word in engine_fix(said)
