"""The wiring place of the controller: opens, wires, runs, and closes in mirror order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import httpx
import structlog
import uvicorn
from pydantic import SecretStr

from app import __version__, garbage
from app.adapters.alertmanager import Alertmanagers
from app.adapters.clock import LoopClock
from app.adapters.engine.swarm_engine import open_engine
from app.adapters.grafana import GrafanaAnnotations
from app.adapters.memento import open_keepsake
from app.adapters.ourselves import ourselves
from app.adapters.policy_file import load_rulebook, parse_rulebook
from app.adapters.prometheus import PrometheusSamples
from app.adapters.prometheus_usage import PrometheusUsage
from app.adapters.stop_file import stoppable
from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from app.adapters.trust import trusted
from app.api.app import create_app
from app.api.deps import Parts, Scope
from app.api.rotation import RotatingTokens
from app.connections import most_connections
from app.controller.tenure import Tenure
from app.domain.gate import Fence
from app.errors import BadConfiguration
from app.policies.spec import Patience, Rulebook
from app.ports import ContainerEngine
from app.settings import Settings, with_tokens_of_files
from app.web import docs
from app.web.links import Links
from app.web.patience import PatientHttp
from app.web.site import site
from app.wiring import Controller, Habits, Outside, wire

log: Final = structlog.get_logger("relevo")

#: How long running steps may go on after SIGTERM; what is cut off is settled by recovery.
_GRACE: Final = timedelta(seconds=20)


#: How long Alertmanager believes an alert of ours that is not posted again.
_BELIEVED: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A controller over real parts, and what its API is handed."""

    controller: Controller
    parts: Parts


@asynccontextmanager
async def open_controller(settings: Settings, rulebook: Rulebook) -> AsyncIterator[Opened]:
    """
    Open everything and wire it.

    Neither the store nor the engine needs to answer yet: what is down is waited for.
    """
    async with AsyncExitStack() as stack:
        redis_url = _revealed(settings.redis_url)
        own_server = redis_url is None
        keepsake = await stack.enter_async_context(open_keepsake(settings.data_dir))
        if redis_url is None:
            redis_url = await stack.enter_async_context(embedded_server(settings.data_dir))
        store = await stack.enter_async_context(open_store(redis_url))
        tenures: list[Tenure] = []
        engine = await stack.enter_async_context(_engine(settings, tenures))
        http = await stack.enter_async_context(httpx.AsyncClient(verify=trusted(settings.urls)))
        alerts = (
            Alertmanagers(settings.alertmanager_url, settings.alertmanager_receiver, http)
            if settings.alertmanager_url
            else None
        )
        samples = (
            PrometheusSamples(settings.prometheus_url, http) if settings.prometheus_url else None
        )
        outside = Outside(
            store=store,
            engine=engine,
            clock=LoopClock(),
            keepsake=keepsake,
            alerts=alerts,
            sink=alerts,
            samples=samples,
            usage=(
                PrometheusUsage(settings.prometheus_url, http) if settings.prometheus_url else None
            ),
            messages=grafana_of(settings, http),
        )
        habits = Habits(
            engine_name=settings.engine_name,
            prefix=settings.label_prefix,
            mode=settings.mode,
            patience=Patience().divided_by(settings.time_factor),
            ourselves=ourselves(settings.urls),
            external_url=settings.external_url,
            believed=_BELIEVED / settings.time_factor,
            own_server=own_server,
        )
        tokens = RotatingTokens(_tokens(settings))

        def load() -> Rulebook:
            """Read the files that may change at work; where one is wrong, none is taken."""
            book, fresh = load_rulebook(settings.policies), with_tokens_of_files(settings)
            tokens.take(_tokens(fresh))
            return book

        controller = wire(outside, habits, rulebook, load=load)
        tenures.append(controller.tenure)
        parts = Parts(
            intake=controller.intake,
            desk=controller.desk,
            overview=controller.overview,
            operator=controller.operator,
            auditor=controller.auditor,
            gauges=controller.gauges,
            reloading=controller.reloading,
            parse=parse_rulebook,
            telemetry=controller.telemetry,
            board=controller.board,
            feed=controller.feed,
            samples=controller.samples,
            clock=outside.clock,
            tokens=tokens,
            external_url=settings.external_url,
        )
        yield Opened(controller=controller, parts=parts)


def _engine(
    settings: Settings, tenures: Sequence[Tenure]
) -> AbstractAsyncContextManager[ContainerEngine]:
    """
    Open the engine: behind the gate where there is one.

    :param tenures: whose fence is shown to the gate; empty until it is wired, and nothing acts
    """
    prefix = settings.label_prefix
    if settings.gate_socket is None:
        direct = open_engine(settings.docker_host, label_prefix=prefix)
        return stoppable(direct, settings.data_dir / "STOP")

    def fence() -> Fence:
        return tenures[0].fence() if tenures else Fence()

    # Without a gate nothing of its speech is needed.
    from app.adapters.gate.client import open_engine_behind

    return open_engine_behind(settings.gate_socket, label_prefix=prefix, fence=fence)


async def serve(settings: Settings) -> None:
    """
    Run the controller until SIGTERM or SIGINT.

    :raises BadConfiguration: the policy file is wrong, or the data directory is in use
    """
    rulebook = load_rulebook(settings.policies)
    async with open_controller(settings, rulebook) as opened:
        server = _Server(
            uvicorn.Config(
                create_app(opened.parts, docs.router, site(_links(settings))),
                host=settings.listen.host,
                port=settings.listen.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                limit_concurrency=most_connections(),
                http=PatientHttp,
            )
        )
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, reload_told(opened.parts))
        log.info("starting", version=__version__, listen=str(settings.listen))
        await _run(opened.controller, server, stopping)
        log.info("stopped")


def reload_told(parts: Parts) -> Callable[[], None]:
    """Make what answers SIGHUP: the files are read again, and the audit tells it."""
    telling: set[asyncio.Task[None]] = set()  # the loop itself does not keep them

    def reload() -> None:
        refused = parts.reloading.quietly()
        told = parts.auditor.tell_of_reload(author=signal.SIGHUP.name, refused=refused)
        task = asyncio.create_task(told)
        telling.add(task)
        task.add_done_callback(telling.discard)

    return reload


async def _run(controller: Controller, server: uvicorn.Server, stopping: asyncio.Event) -> None:
    """Run server and loops; when one of them ends, for whatever cause, all do."""
    serving = asyncio.create_task(server.serve(), name="http")
    working = asyncio.create_task(controller.worker.run(), name="worker")
    leading = asyncio.create_task(controller.lead(), name="tenure")
    looping = {asyncio.create_task(loop(), name=loop.__qualname__) for loop in controller.loops}
    asked = asyncio.create_task(stopping.wait(), name="signal")
    everything = {serving, working, leading, *looping}
    await asyncio.wait({*everything, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    # Stop claiming first: whoever takes over may begin while we still close connections.
    controller.intake.close()
    controller.worker.stop()
    server.should_exit = True
    for task in looping:
        task.cancel()
    # The seat is kept while steps run: their actions are ours to end.
    _, late = await asyncio.wait({working}, timeout=_GRACE.total_seconds())
    for task in late:
        task.cancel()
    await asyncio.wait({working})
    leading.cancel()
    await asyncio.wait({leading, *looping})
    await controller.tenure.resign()
    await asyncio.wait({serving}, timeout=_GRACE.total_seconds())
    serving.cancel()
    # An error of any of them is raised here: the process must not end 0 without an actor.
    for task in everything:
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: the worker has to hear of them first."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. :raises BadConfiguration: where the address is in use, or not ours"""
        garbage.is_looked_for()
        try:
            await super().startup(sockets)
        except SystemExit as exc:
            # uvicorn's word for an address that it cannot listen on; it has no exception for it.
            where = f"{self.config.host}:{self.config.port}"
            raise BadConfiguration(
                f"RELEVO_LISTEN: cannot listen on {where}: {exc.__context__}; stop who does "
                "(ss -ltnp says who), or set it to another address, and tell Prometheus, "
                "Alertmanager and RELEVO_URL"
            ) from exc.__context__


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def grafana_of(settings: Settings, http: httpx.AsyncClient) -> GrafanaAnnotations | None:
    """Find who takes annotations; without a right to write them, nobody does."""
    url, token = settings.grafana_url, _revealed(settings.grafana_token)
    if url is None or (token is None and not httpx.URL(url).userinfo):
        return None
    return GrafanaAnnotations(url, token, http)


def _links(settings: Settings) -> Links:
    """Find where the pages may lead to."""
    return Links(
        prometheus=settings.prometheus_url,
        alertmanager=next(iter(settings.alertmanager_url), None),
        grafana=settings.grafana_url,
        label_prefix=settings.label_prefix,
    )


def _tokens(settings: Settings) -> Mapping[Scope, Iterable[str]]:
    by_scope = {
        Scope.INGEST: settings.token_ingest,
        Scope.READ: settings.token_read,
        Scope.OPERATE: settings.token_operate,
        Scope.ADMIN: settings.token_admin,
    }
    return {scope: [token.get_secret_value() for token in held] for scope, held in by_scope.items()}
