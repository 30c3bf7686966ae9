"""
The container collector, a process of its own: ``relevo collect``.

It asks the engine on its own schedule and serves the newest answers under cAdvisor's names, so a
restart of the controller leaves no gap in them (a gap would end the very alert that is treated).

What it never does is serve old numbers as if they were new: each comes with the time at which it
was taken (``container_last_seen``), is forgotten after three sweeps, and at once when its container
is gone. Nothing is served of an engine that does not answer, but the collector's own health.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import structlog
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__, garbage
from app.adapters.engine.series import container_series, machine_series
from app.adapters.engine.stats import ContainerReader, EngineReader
from app.adapters.engine.sweeper import Sweeper
from app.adapters.opt_ins import OptIns
from app.domain.container import Listed
from app.errors import BadConfiguration
from app.policies.membership import is_looked_after
from app.settings import Address, Settings

#: As often as Prometheus scrapes (``scrape_interval`` of the shipped configuration).
SWEEP = timedelta(seconds=15)
# Not the version=1.0.0 of prometheus_client: these names need nothing beyond 0.0.4, which every
# Prometheus knows.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
# A scrape takes milliseconds; who is still reading after that is cut off.
_LAST_ANSWERS_S = 2.0

_log = structlog.get_logger(__name__)


async def collect(settings: Settings) -> None:
    """
    Run the collector until SIGTERM or SIGINT.

    :raises BadConfiguration: the address to listen on, or the engine's, cannot be used
    """
    engine = _reader(settings)
    every, prefix = SWEEP / settings.time_factor, settings.label_prefix
    sweeper = Sweeper(engine, every=every, label_prefix=prefix)
    opt_ins = OptIns(settings.policies)
    page = Page(
        sweeper,
        engine_name=settings.engine_name,
        looks_after=lambda one: is_looked_after(one, prefix=prefix, enable=opt_ins.enable),
    )
    async with AsyncExitStack() as stack:
        stopped = stack.enter_context(_stop_signal())
        stack.push_async_callback(engine.close)
        # Before anybody asks: what is said first of a container had better be true.
        await opt_ins.look()
        await stack.enter_async_context(serving(settings.collect_listen, page))
        # A sweeper that dies takes the process with it: better restarted than answering for ever
        # without measuring anything.
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = (
            group.create_task(sweeper.run(), name="sweeper"),
            group.create_task(opt_ins.run(every=every), name="opt-ins"),
        )
        garbage.is_looked_for()
        _log.info("collector.started", listen=settings.collect_listen)
        await stopped.wait()
        for task in tasks:
            task.cancel()
    _log.info("collector.stopped")


def _reader(settings: Settings) -> ContainerReader:
    """Find who reads the engine: behind the gate where there is one."""
    if settings.gate_socket is not None:
        # Without a gate nothing of its speech is needed.
        from app.adapters.gate.line import GateLine
        from app.adapters.gate.reader import GateReader

        return GateReader(GateLine(settings.gate_socket))
    try:
        return EngineReader(settings.docker_host)
    except ValueError as exc:
        raise BadConfiguration(f"DOCKER_HOST: {exc}") from exc


class Page(Collector):
    """
    Everything that is served now, for prometheus_client to write down.

    :param engine_name: label `engine` of every series; None: what the engine calls its host
    :param looks_after: whether Relevo may come to act on a container; None: that cannot be told
    """

    def __init__(
        self,
        sweeper: Sweeper,
        *,
        engine_name: str | None = None,
        looks_after: Callable[[Listed], bool | None] = lambda _: None,
    ) -> None:
        self._sweeper = sweeper
        self._engine_name = engine_name
        self._looks_after = looks_after

    def collect(self) -> Iterator[Metric]:
        """Give the series of the containers, of their host, and our own."""
        # Remembered: our own series stay the same ones while the engine is away.
        engine = self._engine_name or self._sweeper.host_name
        host = self._sweeper.host
        samples = self._sweeper.samples()
        yield from container_series(samples, engine=engine, looks_after=self._looks_after)
        if host is not None:
            yield from machine_series(host, engine=engine)
        yield from self._own(engine, containers=len(samples))

    def _own(self, engine: str, *, containers: int) -> Iterator[Metric]:
        health = self._sweeper.health
        yield _gauge("containers", "Containers whose samples are served.", engine, containers)
        yield _gauge(
            "sweep_duration_seconds",
            "How long the last complete sweep took.",
            engine,
            health.duration_s,
        )
        if health.ended_at is not None:
            yield _gauge(
                "last_sweep_timestamp_seconds",
                "Unix time at which the last complete sweep ended.",
                engine,
                health.ended_at,
            )
        errors = CounterMetricFamily(
            "relevo_collector_errors",
            "What could not be asked: the engine (a whole sweep), or a container.",
            labels=("engine", "scope"),
        )
        for scope, count in health.errors.items():
            errors.add_metric((engine, scope), count)
        yield errors
        info = GaugeMetricFamily(
            "relevo_collector_build_info", "The collector's version.", labels=("engine", "version")
        )
        info.add_metric((engine, __version__), 1)
        yield info


def _gauge(name: str, help: str, engine: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"relevo_collector_{name}", help, labels=("engine",))
    family.add_metric((engine,), value)
    return family


@asynccontextmanager
async def serving(listen: Address, page: Collector) -> AsyncIterator[None]:
    """
    Serve ``GET /metrics/containers`` and ``GET|HEAD /-/healthy`` within the block.

    aiohttp.web, since aiohttp is in memory already for the engine's socket: 2.0 MB and 0.75 ms a
    request, where uvicorn took 2.5 MB and 0.80 ms (and signal handlers of its own).

    :raises BadConfiguration: the address cannot be listened on
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(page), headers={"Content-Type": _TEXT})

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="healthy\n")

    app = web.Application()
    app.router.add_get("/metrics/containers", metrics)
    app.router.add_get("/-/healthy", healthy)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS_S
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as exc:
            raise BadConfiguration(
                f"RELEVO_COLLECT_LISTEN: cannot listen on {listen}: {exc.strerror}; stop who "
                "does (ss -ltnp says who), or set it to another address, and tell Prometheus"
            ) from exc
        yield
    finally:
        await runner.cleanup()


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
