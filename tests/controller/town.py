"""Several controllers of one engine at one store, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from app.adapters.memento import FileKeepsake
from app.domain.alert import Alert, OwnAlert
from app.domain.container import Container
from app.errors import StoreUnavailable
from app.policies.spec import Rulebook
from app.ports import AlertSource
from tests.builders import ENGINE, START, alert
from tests.controller.house import House, VirtualClock, build, pass_time
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryStore, make_view


class HostClock(VirtualClock):
    """The clock of a host that may be wrong, and may be suspended."""

    def __init__(self, *, ahead: timedelta) -> None:
        super().__init__()
        #: By how much its own time is wrong.
        self._wrong = ahead
        self._slept = timedelta(0)
        self.set_to(self.now() + ahead)

    def ahead(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        return self._wrong - self._ahead

    def slept(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        slept, self._slept = self._slept, timedelta(0)
        return slept

    def suspend(self, span: timedelta) -> None:
        """Have slept for so long: only the host's own clock knows."""
        self._slept += span
        self._wrong += span


def known(memory: MemoryStore) -> MemoryStore:
    """Begin its history: it is not the first time that somebody sees it."""
    memory.seat.epoch = "h0"
    return memory


class WeakStore(MemoryStore):
    """One that says why it cannot keep its word."""

    weak: tuple[str, ...] = ()

    async def check(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        return self.weak


@dataclass
class FakeSink:
    """An Alertmanager that keeps what it is sent."""

    posts: list[OwnAlert] = field(default_factory=list)

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        """See `app.ports.AlertSink`."""
        self.posts += alerts


@dataclass
class FrozenEngine(FakeEngine):
    """An engine whose client may be stopped in the middle, right before it asks for something."""

    #: Set: it runs.
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def inspect(self, container_id: str) -> Container:
        """See `app.ports.ContainerEngine`."""
        found = await super().inspect(container_id)
        await self.goes_on.wait()
        return found


class Town:
    """One store that may be exchanged for another, and one engine."""

    def __init__(self) -> None:
        self.memory: MemoryStore = known(MemoryStore())
        #: The time that is right.
        self.clock = VirtualClock()
        self.inside: dict[str, Container] = {}
        self.neighbours: list[Neighbour] = []
        self.run(web())

    def run(self, one: Container) -> None:
        """Have a container on the engine."""
        self.inside[one.id] = one

    def neighbour(
        self,
        name: str,
        *,
        ahead: timedelta = timedelta(0),
        engine: str = ENGINE,
        alerts: AlertSource | None = None,
        own_server: bool = False,
        rulebook: Rulebook | None = None,
    ) -> "Neighbour":
        """Build a controller that does not run yet."""
        one = Neighbour(
            self,
            name,
            ahead=ahead,
            engine=engine,
            alerts=alerts,
            own_server=own_server,
            rulebook=rulebook,
        )
        self.neighbours.append(one)
        return one

    async def close(self) -> None:
        """End what still runs; a loop that has ended by itself fails the test."""
        for one in self.neighbours:
            one.check()
        for one in self.neighbours:
            await one.crash()

    def done(self, what: str = "restart") -> list[tuple[str, float]]:
        """Who did something, and when, in seconds since the start."""
        return sorted(
            (
                (one.name, (moment - START).total_seconds())
                for one in self.neighbours
                for moment in one.engine.done(what)
            ),
            key=lambda act: act[1],
        )

    def acting(self) -> list[str]:
        """Name those who may act at this moment."""
        return [one.name for one in self.neighbours if one.runs and one.house.tenure.may_claim]

    async def until(self, acting: Sequence[str], *, within: float) -> float:
        """Wait until just these may act; answer how long that took."""
        begun = asyncio.get_running_loop().time()
        while self.acting() != list(acting):
            waited = asyncio.get_running_loop().time() - begun
            assert waited <= within, f"after {waited} s: {self.acting()}"
            await pass_time(milliseconds=100)
        return asyncio.get_running_loop().time() - begun

    async def watch(self, *, seconds: float) -> None:
        """Let time pass; at no moment may two act."""
        for _ in range(round(seconds * 10)):
            assert len(self.acting()) <= 1
            await pass_time(milliseconds=100)


class Neighbour:
    """One controller: its data directory, and the lives that it has had."""

    def __init__(
        self,
        town: Town,
        name: str,
        *,
        ahead: timedelta,
        engine: str,
        alerts: AlertSource | None,
        own_server: bool,
        rulebook: Rulebook | None,
    ) -> None:
        self.name = name
        self.town = town
        #: It cannot reach the store.
        self.is_cut = False
        self.keepsake = FileKeepsake(None)
        self.clock = HostClock(ahead=ahead)
        self.engine = FrozenEngine(town.clock, inside=town.inside, hostname=engine)
        self.engine.goes_on.set()
        self.sink = FakeSink()
        self._alerts = alerts
        self._own_server = own_server
        self._rulebook = rulebook
        self._lives = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.house = self._built()

    def _built(self) -> House:
        self._lives += 1
        return build(
            make_view(self._memory),
            self.clock,
            self.engine,
            alerts=self._alerts,
            keepsake=self.keepsake,
            sink=self.sink,
            own_server=self._own_server,
            rulebook=self._rulebook,
            life=f"{self.name}-{self._lives}",
        )

    def _memory(self) -> MemoryStore:
        if self.is_cut:
            raise StoreUnavailable("cut off")
        return self.town.memory

    @property
    def runs(self) -> bool:
        """Whether it is there at all."""
        return bool(self._tasks)

    async def start(self, *, pulling: bool = True) -> None:
        """Begin its next life."""
        controller = self.house.controller
        assert controller.crier is not None
        loops: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            "tenure": controller.lead,
            "worker": controller.worker.run,
            "witness": controller.witness.run,
            "crier": controller.crier.run,
            "departures": controller.departures.run,
        }
        if pulling:
            loops["resync"] = controller.resync.run
        self._tasks = {name: asyncio.create_task(loop()) for name, loop in loops.items()}
        await pass_time(milliseconds=1)

    async def stop(self, *names: str) -> None:
        """End some of its loops."""
        ended = [self._tasks.pop(name) for name in names]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    def go_on(self) -> None:
        """Have it keep its seat again."""
        self._tasks["tenure"] = asyncio.create_task(self.house.controller.lead())

    async def crash(self) -> None:
        """Die: nothing is tidied up."""
        tasks, self._tasks = tuple(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restart(self) -> None:
        """Die, and come back with the same data directory."""
        await self.crash()
        self.house = self._built()
        await self.start()

    async def leave(self) -> None:
        """Shut down in order, as ``app/main.py`` does."""
        controller = self.house.controller
        controller.intake.close()
        controller.worker.stop()
        await self._tasks["worker"]
        await self.stop("tenure", "worker")
        await controller.tenure.resign()
        await self.crash()

    def check(self) -> None:
        """Fail where one of its loops has ended by itself."""
        for task in self._tasks.values():
            if task.done():
                task.result()

    async def take(self, *alerts: Alert) -> int:
        """Hand in a notification; answer how many alerts were taken on."""
        counts = await self.house.intake.take(alerts or [alert()])
        return counts.accepted

    async def trouble(self) -> str:
        """Say why nothing is done, as its status does."""
        return "; ".join((await self.house.overview.status()).tenure.trouble)
