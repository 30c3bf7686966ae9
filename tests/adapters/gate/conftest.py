"""A gate over a fake daemon that records every request."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.adapters.gate.client import GateEngine
from app.adapters.gate.line import GateLine
from tests.adapters.engine.fake_daemon import FakeDaemon, fake_daemon
from tests.gate_lab import a_gate, a_line, gate_folder


@pytest.fixture
async def daemon() -> AsyncIterator[FakeDaemon]:
    """A fake engine over a real socket."""
    async with fake_daemon() as far_side:
        yield far_side


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a gate has its socket and its data."""
    with gate_folder() as found:
        yield found


@pytest.fixture
async def line(daemon: FakeDaemon, folder: Path) -> AsyncIterator[GateLine]:
    """A line to a gate with the shipped policies."""
    policies = "version: 1\n"
    async with a_gate(daemon.url, folder, policies=policies) as path, a_line(path) as opened:
        yield opened


@pytest.fixture
async def engine(line: GateLine) -> GateEngine:
    """An engine behind it."""
    return GateEngine(line)
