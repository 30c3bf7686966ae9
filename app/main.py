"""The wiring place of the controller: opens, wires, runs, and closes in mirror order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import httpx
import structlog
import uvicorn
from pydantic import SecretStr

from app import __version__
from app.adapters.alertmanager import Alertmanagers
from app.adapters.clock import LoopClock
from app.adapters.engine.docker import DockerEngine
from app.adapters.policy_file import load_rulebook
from app.adapters.prometheus import PrometheusSamples
from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from app.api.app import create_app
from app.api.deps import Parts, Scope, Tokens
from app.controller.act import Actor
from app.controller.desk import Desk
from app.controller.intake import Intake
from app.controller.note import Notebook
from app.controller.observe import Observer
from app.controller.picture import Census, Pictures
from app.controller.readiness import Readiness
from app.controller.reconcile import Reconciler
from app.controller.telemetry import Telemetry
from app.controller.worker import Worker
from app.errors import BadConfiguration
from app.policies.spec import Patience, Rulebook
from app.settings import Settings
from app.web import docs

log: Final = structlog.get_logger("relevo")

#: How long running steps may go on after SIGTERM; what is cut off is settled by recovery.
_GRACE: Final = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A wired controller that is not running yet."""

    parts: Parts
    worker: Worker


@asynccontextmanager
async def open_controller(settings: Settings, rulebook: Rulebook) -> AsyncIterator[Controller]:
    """
    Open everything and wire it.

    Neither the store nor the engine needs to answer yet: what is down is waited for.
    """
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        telemetry = Telemetry()
        patience = Patience().divided_by(settings.time_factor)
        redis_url = _revealed(settings.redis_url)
        if redis_url is None:
            redis_url = await stack.enter_async_context(embedded_server(settings.data_dir))
        store = await stack.enter_async_context(open_store(redis_url))
        engine = await stack.enter_async_context(
            DockerEngine(settings.docker_host, label_prefix=settings.label_prefix)
        )
        http = await stack.enter_async_context(httpx.AsyncClient())
        alerts = (
            Alertmanagers(settings.alertmanager_url, settings.alertmanager_receiver, http)
            if settings.alertmanager_url
            else None
        )
        samples = (
            PrometheusSamples(settings.prometheus_url, http) if settings.prometheus_url else None
        )

        prefix, mode = settings.label_prefix, settings.mode
        census = Census(engine, clock, name=settings.engine_name, prefix=prefix, rulebook=rulebook)
        readiness = Readiness(engine)
        pictures = Pictures(
            census, alerts, store.facts, clock, rulebook=rulebook, patience=patience
        )
        observer = Observer(
            engine,
            pictures,
            readiness,
            samples,
            store,
            clock,
            rulebook=rulebook,
            patience=patience,
            prefix=prefix,
            mode=mode,
        )
        actor = Actor(engine, store.records, clock)
        notebook = Notebook(store.records, clock, telemetry)
        reconciler = Reconciler(observer, actor, notebook, clock, patience=patience)
        worker = Worker(store.schedule, clock, reconciler.step, telemetry)
        intake = Intake(store.inbox, census, clock, telemetry, rulebook=rulebook, wake=worker.wake)
        desk = Desk(
            store, census, readiness, clock, telemetry, rulebook=rulebook, prefix=prefix, mode=mode
        )
        parts = Parts(
            intake=intake, desk=desk, telemetry=telemetry, clock=clock, tokens=_tokens(settings)
        )
        yield Controller(parts=parts, worker=worker)


async def serve(settings: Settings) -> None:
    """
    Run the controller until SIGTERM or SIGINT.

    :raises BadConfiguration: the policy file is wrong, or the data directory is in use
    """
    rulebook = load_rulebook(settings.policies)
    async with open_controller(settings, rulebook) as controller:
        server = _Server(
            uvicorn.Config(
                create_app(controller.parts, docs.router),
                host=settings.listen.host,
                port=settings.listen.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        log.info("starting", version=__version__, listen=str(settings.listen))
        await _run(controller, server, stopping)
        log.info("stopped")


async def _run(controller: Controller, server: uvicorn.Server, stopping: asyncio.Event) -> None:
    """Run server and worker; when one of them ends, for whatever cause, both do."""
    serving = asyncio.create_task(server.serve(), name="http")
    working = asyncio.create_task(controller.worker.run(), name="worker")
    asked = asyncio.create_task(stopping.wait(), name="signal")
    await asyncio.wait({serving, working, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    # Stop claiming first: whoever takes over may begin while we still close connections.
    controller.parts.intake.close()
    controller.worker.stop()
    server.should_exit = True
    _, late = await asyncio.wait({serving, working}, timeout=_GRACE.total_seconds())
    for task in late:
        task.cancel()
    # An error of either is raised here: the process must not end 0 without an actor.
    for task in (working, serving):
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: the worker has to hear of them first."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. :raises BadConfiguration: where the address is in use, or not ours"""
        try:
            await super().startup(sockets)
        except SystemExit as exc:
            # uvicorn's word for an address that it cannot listen on; it has no exception for it.
            where = f"{self.config.host}:{self.config.port}"
            raise BadConfiguration(
                f"RELEVO_LISTEN: cannot listen on {where}: {exc.__context__}"
            ) from exc.__context__


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _tokens(settings: Settings) -> Tokens:
    by_scope = {
        Scope.INGEST: settings.token_ingest,
        Scope.READ: settings.token_read,
        Scope.OPERATE: settings.token_operate,
        Scope.ADMIN: settings.token_admin,
    }
    return Tokens(
        {scope: [token.get_secret_value() for token in held] for scope, held in by_scope.items()}
    )
