"""The controllers: started, killed, started anew; and the way in for notifications."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from app.domain.alert import Alert
from app.errors import (
    EngineUnavailable,
    NotAccepting,
    OrderConflict,
    OrderRefused,
    StoreUnavailable,
)
from app.policies.spec import Rulebook
from app.ports import Memento, Store
from app.wiring import Controller, Habits, Outside, wire
from tests.sim.backend import Backend
from tests.sim.daemon import Daemon
from tests.sim.engine_view import EngineView
from tests.sim.listing import Alertmanagers
from tests.sim.loop import VirtualLoop
from tests.sim.process import Dead, Port, Process, SimClock
from tests.sim.prometheus import Prometheus
from tests.sim.trace import Trace

#: How long Alertmanager waits for an answer to a notification.
_ANSWERS_S = 10.0


class DataDir:
    """The data directory of one controller: its memento, which survives its processes."""

    def __init__(self) -> None:
        self.memento: Memento | None = None
        self.trouble: str | None = None

    async def load(self) -> Memento | None:
        """See `app.ports.Keepsake`."""
        return self.memento

    async def save(self, memento: Memento) -> None:
        """See `app.ports.Keepsake`."""
        self.memento = memento


@dataclass(slots=True)
class Node:
    """One place where a controller runs."""

    name: str
    data: DataDir
    lives: int = 0
    process: Process | None = None
    controller: Controller | None = None
    clock: SimClock | None = None
    view: EngineView | None = None
    #: By how much its host's clock is off, and how fast it is.
    off: float = 0.0
    rate: float = 1.0
    loops: "tuple[asyncio.Task[Any], ...]" = ()

    @property
    def is_up(self) -> bool:
        """Its process lives."""
        return self.process is not None and self.process.alive


class Fleet:
    """See the module."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        trace: Trace,
        *,
        backend: Backend,
        daemon: Daemon,
        prometheus: Prometheus | None,
        alertmanagers: Alertmanagers | None,
        rulebook: Rulebook,
        size: int,
    ) -> None:
        self._loop = loop
        self._random = random
        self._trace = trace
        self._backend = backend
        self._daemon = daemon
        self._prometheus = prometheus
        self._alertmanagers = alertmanagers
        self._rulebook = rulebook
        self.nodes = [Node(f"c{number}", DataDir()) for number in range(1, size + 1)]
        #: Called with every life that begins, before it runs.
        self.on_boot: Callable[[Node], None] = lambda node: None
        self.on_answer: Callable[[Sequence[Alert], int, str], None] = lambda alerts, code, why: None
        self.on_fault: Callable[[str, BaseException], None] = lambda what, exc: None
        self.watch: Any = None
        self.restart_after: Callable[[], float] = lambda: self._random.uniform(1.0, 45.0)
        #: Processes are started again after they died.
        self.revives = True

    # ------------------------------------------------------------ lives

    async def boot(self, node: Node) -> None:
        """Start a controller, as app/main.py does."""
        node.lives += 1
        process = Process(node.name, node.lives, self._loop, self._trace)
        process.rate = node.rate
        process.skew = 100.0 * node.lives - self._loop.now * (node.rate - 1.0)
        process.on_death = lambda _process, _why: self._died(node)
        off = node.off - process.skew - self._loop.now * (node.rate - 1.0)
        clock = SimClock(process, off=off)
        store = await self._backend.view()
        ported = {
            one.name: Port(process, getattr(store, one.name), one.name) for one in fields(store)
        }
        if self.watch is not None:
            ported["records"] = self.watch.records(process, store.records, ported["records"])
            ported["schedule"] = self.watch.schedule(ported["schedule"])
            ported["scaling"] = self.watch.scaling(process, ported["scaling"])
        view = EngineView(self._daemon, process)
        view.watch = self.watch
        node.process, node.clock, node.view = process, clock, view
        alerts: Any = None
        if self._alertmanagers is not None:
            alerts = Port(process, self._alertmanagers, "alertmanager")
        samples: Any = None
        if self._prometheus is not None:
            samples = Port(process, self._prometheus, "prometheus")
        outside = Outside(
            store=Store(**ported),
            engine=view,
            clock=clock,
            keepsake=Port(process, node.data, "memento"),
            alerts=alerts,
            sink=alerts,
            samples=samples,
        )
        self._trace.add(process.label, "boot")

        async def start() -> None:
            controller = wire(
                outside,
                Habits(life=f"{process.label}-life"),
                self._rulebook,
                load=lambda: self._rulebook,
            )
            node.controller = controller
            self.on_boot(node)
            loops: list[Any] = [controller.worker.run, controller.tenure.run]
            loops += [controller.resync.run, controller.witness.run, controller.departures.run]
            if controller.crier is not None:
                loops.append(controller.crier.run)
            node.loops = tuple(process.spawn(run(), f"{process.label} {run}") for run in loops)
            for task in node.loops:
                task.add_done_callback(lambda done: self._loop_ended(process, done))
            process.listening = True

        await process.spawn(start(), "start")

    def _loop_ended(self, process: Process, task: "asyncio.Task[Any]") -> None:
        if not process.alive or task.cancelled():
            return
        exc = task.exception()
        if exc is not None and not isinstance(exc, Dead):
            self.on_fault(f"a loop of {process.label} has ended: {task.get_name()}", exc)

    def _died(self, node: Node) -> None:
        if self.revives:
            self._loop.later(self.restart_after(), self.revive, node)

    def revive(self, node: Node) -> None:
        """Start it again, if it is down."""
        if not node.is_up:
            self._loop.create_task(self.boot(node))

    async def stop(self, node: Node) -> None:
        """Stop it politely (SIGTERM), as app/main.py does."""
        process, controller = node.process, node.controller
        if process is None or controller is None or not process.alive:
            return
        self._trace.add(process.label, "stopping")
        process.listening = False

        async def end() -> None:
            controller.intake.close()
            controller.worker.stop()
            worker, tenure, *others = node.loops
            for task in others:
                task.cancel()
            _, late = await asyncio.wait({worker}, timeout=20)
            for task in late:
                task.cancel()
            await asyncio.wait({worker}, timeout=5)
            tenure.cancel()
            await asyncio.wait({tenure}, timeout=5)
            await controller.tenure.resign()

        task = process.spawn(end(), "stop")
        await asyncio.wait({task})
        process.kill("stopped")

    # ------------------------------------------------------------ notifications

    async def post(self, alerts: list[Alert], truncated: int) -> int:
        """Hand a notification to one of the controllers; the HTTP status, 0 for no answer."""
        node = self._random.choice(self.nodes)
        process, controller = node.process, node.controller
        if process is None or controller is None or not process.listening:
            return 0

        async def take() -> int:
            await process.at("webhook<")
            try:
                await controller.intake.take(alerts, truncated=truncated)
            except (StoreUnavailable, EngineUnavailable, NotAccepting):
                return 503
            await process.at("webhook>")
            return 202

        task = process.spawn(take(), "webhook")
        done, _ = await asyncio.wait({task}, timeout=_ANSWERS_S)
        if not done or task.cancelled() or not process.alive:
            return 0
        exc = task.exception()
        if isinstance(exc, Dead):
            return 0
        if exc is not None:
            self.on_fault("a notification was answered 500", exc)
            return 500
        status: int = task.result()
        self.on_answer(alerts, status, process.label)
        return status

    async def order(self, ask: Callable[[Controller], Any]) -> str:
        """Have a person ask something of one of the controllers; how it was answered."""
        node = self._random.choice(self.nodes)
        process, controller = node.process, node.controller
        if process is None or controller is None or not process.listening:
            return "nobody"

        async def run() -> str:
            try:
                await ask(controller)
            except (StoreUnavailable, EngineUnavailable, NotAccepting):
                return "503"
            except (OrderConflict, OrderRefused) as exc:
                return type(exc).__name__
            return "ok"

        task = process.spawn(run(), "order")
        done, _ = await asyncio.wait({task}, timeout=30)
        if not done or task.cancelled() or isinstance(task.exception(), Dead):
            return "no answer"
        exc = task.exception()
        if exc is not None:
            self.on_fault("an order was answered 500", exc)
            return "500"
        return str(task.result())
