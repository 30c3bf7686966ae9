"""The wiring place of the controller: opens, wires, runs, and closes in mirror order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
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
from app.adapters.ourselves import ourselves
from app.adapters.policy_file import load_rulebook, parse_rulebook
from app.adapters.prometheus import PrometheusSamples
from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from app.api.app import create_app
from app.api.deps import Parts, Scope, Tokens
from app.controller.act import Actor
from app.controller.casefile import Clerk
from app.controller.crier import Crier
from app.controller.desk import Desk
from app.controller.freshness import Freshness
from app.controller.gauges import Gauges
from app.controller.intake import Intake
from app.controller.last_look import LastLook
from app.controller.note import Notebook
from app.controller.observe import Observer
from app.controller.operate import Operator
from app.controller.overview import Overview
from app.controller.picture import Census, Pictures
from app.controller.readiness import Readiness
from app.controller.reconcile import Reconciler
from app.controller.reload import Reloading
from app.controller.resync import Resync
from app.controller.rules import Rules
from app.controller.telemetry import Telemetry
from app.controller.witness import Witness
from app.controller.worker import Worker
from app.errors import BadConfiguration
from app.policies.spec import Patience, Rulebook
from app.settings import Settings
from app.web import docs

log: Final = structlog.get_logger("relevo")

#: How long running steps may go on after SIGTERM; what is cut off is settled by recovery.
_GRACE: Final = timedelta(seconds=20)


#: How long Alertmanager believes an alert of ours that is not posted again.
_BELIEVED: Final = timedelta(minutes=5)

Loop = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A wired controller that is not running yet."""

    parts: Parts
    worker: Worker
    #: What runs beside the server, the worker among them; each until it is cancelled.
    loops: tuple[Loop, ...]


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
        rules = Rules(rulebook)
        census = Census(
            engine,
            clock,
            name=settings.engine_name,
            prefix=prefix,
            rules=rules,
            ourselves=ourselves(_urls(settings)),
        )
        pictures = Pictures(
            census, alerts, samples, store.facts, clock, rules=rules, patience=patience
        )
        witness = Witness(
            engine,
            census,
            store.schedule,
            store.records,
            clock,
            rules=rules,
            prefix=prefix,
            wake=lambda: worker.wake(),  # made below, of what is made before
        )
        readiness = Readiness(engine)
        observer = Observer(
            engine,
            pictures,
            readiness,
            Freshness(samples, clock, patience=patience),
            store,
            witness,
            rules=rules,
            prefix=prefix,
            mode=mode,
        )
        crier = (
            Crier(
                store,
                alerts,
                census,
                clock,
                rules,
                external_url=settings.external_url,
                has_prometheus=samples is not None,
                hold_for=_BELIEVED / settings.time_factor,
                prefix=prefix,
                count=telemetry.cried,
            )
            if alerts is not None
            else None
        )
        clerk = Clerk(engine, store.casefiles, clock)
        actor = Actor(
            engine,
            store.records,
            LastLook(engine, census, store.controls, witness, clock),
            clerk,
            witness,
            clock,
        )
        notebook = Notebook(store.records, clock, telemetry, tell=crier.wake if crier else _nobody)
        reconciler = Reconciler(observer, actor, notebook, clock, patience=patience)
        worker = Worker(store.schedule, clock, reconciler.step, telemetry)
        resync = Resync(pictures, store, clock, rules=rules, wake=worker.wake)
        overview = Overview(store, census, clock, rules=rules, mode=mode)
        desk = Desk(store, census, readiness, clock, rules=rules, prefix=prefix, mode=mode)
        loops: list[Loop] = [worker.run, resync.run, witness.run]
        if crier is not None:
            loops.append(crier.run)
        reloading = Reloading(
            lambda: load_rulebook(settings.policies), rules, telemetry, clock, ask=resync.ask
        )
        parts = Parts(
            intake=Intake(
                store.inbox,
                store.records,
                census,
                clock,
                telemetry,
                rules=rules,
                wake=worker.wake,
                pull=resync.ask,
            ),
            desk=desk,
            overview=overview,
            operator=Operator(observer, store, clock, rules=rules, wake=worker.wake),
            gauges=Gauges(
                overview, desk, census, store.schedule, pictures, resync, witness, clock, telemetry
            ),
            reloading=reloading,
            parse=parse_rulebook,
            telemetry=telemetry,
            clock=clock,
            tokens=_tokens(settings),
        )
        yield Controller(parts=parts, worker=worker, loops=tuple(loops))


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
        loop.add_signal_handler(signal.SIGHUP, controller.parts.reloading.quietly)
        log.info("starting", version=__version__, listen=str(settings.listen))
        await _run(controller, server, stopping)
        log.info("stopped")


async def _run(controller: Controller, server: uvicorn.Server, stopping: asyncio.Event) -> None:
    """Run server and loops; when one of them ends, for whatever cause, all do."""
    serving = asyncio.create_task(server.serve(), name="http")
    looping = {asyncio.create_task(loop(), name=loop.__qualname__) for loop in controller.loops}
    asked = asyncio.create_task(stopping.wait(), name="signal")
    await asyncio.wait({serving, *looping, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    # Stop claiming first: whoever takes over may begin while we still close connections.
    controller.parts.intake.close()
    controller.worker.stop()
    server.should_exit = True
    worker = {task for task in looping if task.get_name() == controller.worker.run.__qualname__}
    for task in looping - worker:
        task.cancel()
    _, late = await asyncio.wait({serving, *looping}, timeout=_GRACE.total_seconds())
    for task in late:
        task.cancel()
    # An error of any of them is raised here: the process must not end 0 without an actor.
    for task in (*looping, serving):
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


def _nobody() -> None:
    """Tell nobody: there is no Alertmanager to post to."""


def _urls(settings: Settings) -> tuple[str, ...]:
    """List everything that the settings lead to."""
    single = (settings.prometheus_url, settings.grafana_url, _revealed(settings.redis_url))
    return (*settings.alertmanager_url, settings.docker_host, *(url for url in single if url))


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
