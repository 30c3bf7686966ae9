"""Both far sides: a fake daemon over a real socket, and a corner of the real engine."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from app.adapters.engine.connection import Bounds
from app.adapters.engine.docker import DockerEngine
from app.ports import ContainerEngine
from tests.adapters.engine.fake_daemon import FakeDaemon, fake_daemon
from tests.engine_lab import SOCKET, EngineLab, busybox_image, engine_lab
from tests.gate_lab import behind_a_gate
from tests.parts import require

#: Long enough for a loaded machine, short enough to wait for.
IMPATIENT = Bounds(
    # Every call begins with one of these: it must not be late only because the machine is busy.
    read=timedelta(seconds=1),
    # Four of these at once, each on a connection of its own.
    evidence=timedelta(seconds=1),
    changes=timedelta(milliseconds=300),
    slack=timedelta(milliseconds=300),
    step=timedelta(milliseconds=300),
    silence=timedelta(milliseconds=300),
)


@pytest.fixture
async def daemon() -> AsyncIterator[FakeDaemon]:
    """A fake engine over a real socket."""
    async with fake_daemon() as far_side:
        yield far_side


@pytest.fixture
async def impatient(daemon: FakeDaemon) -> AsyncIterator[DockerEngine]:
    """Our side of the fake daemon, that waits a second at most where it would wait 10 to 60."""
    async with DockerEngine(daemon.url, bounds=IMPATIENT) as engine:
        yield engine


@pytest.fixture(scope="session")
def image() -> str:
    """The lab's image on the real engine."""
    return busybox_image(require("docker"))


@pytest.fixture
def lab(image: str) -> Iterator[EngineLab]:
    """A corner of the real engine."""
    with engine_lab(image) as corner:
        yield corner


@pytest.fixture(scope="session")
def networks(image: str) -> Iterator[tuple[str, str, str]]:
    """Three networks: front, back and aux. Making them takes longer than most tests."""
    with engine_lab(image) as corner:
        yield corner.network("front"), corner.network("back"), corner.network("aux")


@pytest.fixture(params=["direct", "gate"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[ContainerEngine]:
    """Our side of the real engine, over its socket and through the gate: one suite for both."""
    if request.param == "direct":
        async with DockerEngine(SOCKET) as opened:
            yield opened
        return
    async with behind_a_gate(SOCKET) as (behind, _):
        yield behind
