"""
The gate, a process of its own: ``relevo gate``.

It alone has the engine's socket, and no network. Whoever owns the controller, which has the network
and not the socket, can ask it for the things on a short list, each of which it judges itself.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from os import geteuid
from pathlib import Path
from typing import Final

import structlog

from app import __version__, garbage
from app.adapters.clock import LoopClock
from app.adapters.engine.connection import EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.adapters.engine.stats import EngineReader
from app.adapters.engine.swarm import SwarmServices
from app.adapters.gate.book import Book
from app.adapters.gate.intentions import Intentions
from app.adapters.gate.journal import open_journal
from app.adapters.gate.listening import listening
from app.adapters.gate.server import Server
from app.adapters.gate.sight import Habits, Sight
from app.adapters.gate.warden import Warden
from app.adapters.ourselves import ourselves
from app.errors import BadConfiguration
from app.settings import Settings

#: As the controller leaves its own steps: what is cut off is settled by looking.
_GRACE: Final = timedelta(seconds=20)
#: Names this life of the host, to the kernel.
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

_log: Final = structlog.get_logger("relevo.gate")


async def keep(settings: Settings) -> None:
    """
    Run the gate until SIGTERM or SIGINT.

    :raises BadConfiguration: socket, journal or policy file cannot be used
    """
    with _stop_signal() as stopped:
        async with open_gate(settings):
            garbage.is_looked_for()
            _log.info("gate.started", version=__version__, socket=str(settings.gate_socket))
            await stopped.wait()
    _log.info("gate.stopped")


@asynccontextmanager
async def open_gate(settings: Settings) -> AsyncIterator[None]:
    """
    Listen within the block. The engine need not answer yet.

    :raises BadConfiguration:
    """
    if settings.gate_socket is None:
        raise BadConfiguration(
            "RELEVO_GATE_SOCKET: say where to listen, such as /run/relevo/gate.sock; controller "
            "and collector are given the same path"
        )
    prefix = settings.label_prefix
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        book = Book(settings.policies)
        journal = stack.enter_context(open_journal(settings.data_dir, now=clock.now()))
        engine = await stack.enter_async_context(
            DockerEngine(settings.docker_host, label_prefix=prefix)
        )
        connection = EngineConnection(settings.docker_host)
        stack.push_async_callback(connection.close)
        services = SwarmServices(connection, label_prefix=prefix)
        reader = EngineReader(settings.docker_host)
        stack.push_async_callback(reader.close)
        boot = _boot()
        habits = Habits(
            prefix=prefix,
            mode=settings.mode,
            ourselves=ourselves(settings.urls),
            stop_file=settings.data_dir / "STOP",
            boot=boot,
        )
        sight = Sight(engine, services, journal, book, habits)
        warden = Warden(sight, journal, clock, boot=boot)
        offered = Intentions(warden, engine, services, reader, clock)
        server = Server(offered, engine, users=frozenset({geteuid(), *settings.gate_users}))
        await stack.enter_async_context(
            listening(settings.gate_socket, server, grace_s=_GRACE.total_seconds())
        )
        yield


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        # Not to be told from another life: a clock that went back tells it all the same.
        return ""


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Turn SIGTERM and SIGINT into an event within the block."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
