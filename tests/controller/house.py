"""A whole controller over fakes, in virtual time: everything but HTTP, Redis and Docker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.adapters.memento import FileKeepsake
from app.controller.counts import Counts
from app.controller.desk import Desk
from app.controller.gauges import Gauges
from app.controller.intake import Intake, Unreadable
from app.controller.operate import Operator
from app.controller.overview import Overview
from app.controller.reload import Reloading
from app.controller.resync import Resync
from app.controller.rules import Rules
from app.controller.telemetry import Telemetry
from app.controller.tenure import Tenure
from app.controller.witness import Witness
from app.controller.worker import Worker
from app.domain.alert import Alert
from app.domain.remediation import Remediation
from app.policies.protect import Ourselves
from app.policies.spec import Mode, Rulebook
from app.ports import (
    AlertSink,
    AlertSource,
    Claim,
    Keepsake,
    MessageSink,
    RemediationFilter,
    SampleSource,
    SettableClock,
    Store,
)
from app.wiring import Controller, Habits, Outside, wire
from tests.builders import START
from tests.fakes import FakeEngine


class VirtualClock:
    """A test's time: `START` is when its loop's virtual time is zero, fixtures come before."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The virtual moment."""
        return START + self._ahead + timedelta(seconds=asyncio.get_running_loop().time())

    def set_to(self, at: datetime) -> None:
        """See `app.ports.SettableClock`."""
        self._ahead += at - self.now()

    def ahead(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        return -self._ahead

    def slept(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        return timedelta(0)


@dataclass
class House:
    """A controller, and the outside that a test pokes at."""

    controller: Controller
    engine: FakeEngine
    store: Store
    clock: SettableClock

    @property
    def rules(self) -> Rules:
        return self.controller.rules

    @property
    def telemetry(self) -> Telemetry:
        return self.controller.telemetry

    @property
    def tenure(self) -> Tenure:
        return self.controller.tenure

    @property
    def intake(self) -> Intake:
        return self.controller.intake

    @property
    def desk(self) -> Desk:
        return self.controller.desk

    @property
    def overview(self) -> Overview:
        return self.controller.overview

    @property
    def operator(self) -> Operator:
        return self.controller.operator

    @property
    def gauges(self) -> Gauges:
        return self.controller.gauges

    @property
    def reloading(self) -> Reloading:
        return self.controller.reloading

    @property
    def resync(self) -> Resync:
        return self.controller.resync

    @property
    def witness(self) -> Witness:
        return self.controller.witness

    @property
    def worker(self) -> Worker:
        return self.controller.worker

    async def step(self, claim: Claim, now: datetime) -> None:
        """Run one step, whenever that is."""
        await self.tenure.beat()
        await self.controller.step(claim, now)

    async def take(self, *alerts: Alert | Unreadable) -> Counts:
        """Hand in a notification."""
        if not self.tenure.accepts:
            await self.tenure.beat()
        return await self.controller.intake.take(alerts)

    async def stories(self) -> Sequence[Remediation]:
        """All remediations, newest first."""
        return await self.store.history.remediations(RemediationFilter())

    async def story(self) -> Remediation:
        """The newest remediation."""
        return (await self.stories())[0]

    def since_start(self, what: str) -> list[float]:
        """When something was done to a container, in seconds since the start."""
        return [(at - START).total_seconds() for at in self.engine.done(what)]


def build(
    store: Store,
    clock: SettableClock,
    engine: FakeEngine,
    *,
    alerts: AlertSource | None = None,
    samples: SampleSource | None = None,
    rulebook: Rulebook | None = None,
    mode: Mode = Mode.ENFORCE,
    ourselves: Ourselves | None = None,
    keepsake: Keepsake | None = None,
    messages: MessageSink | None = None,
    sink: AlertSink | None = None,
    own_server: bool = True,
    life: str = "one-life",
) -> House:
    """Wire a controller over fakes."""
    book = rulebook or Rulebook()
    controller = wire(
        Outside(
            store=store,
            engine=engine,
            clock=clock,
            keepsake=keepsake or FileKeepsake(None),
            alerts=alerts,
            samples=samples,
            messages=messages,
            sink=sink,
        ),
        Habits(mode=mode, ourselves=ourselves or Ourselves(), life=life, own_server=own_server),
        book,
        load=lambda: book,
    )
    return House(controller=controller, engine=engine, store=store, clock=clock)


@asynccontextmanager
async def working(
    house: House, *, pulling: bool = False, leaving: bool = False
) -> AsyncIterator[House]:
    """
    Have the worker run for a while; ending this is a crash, not a shutdown.

    :param pulling: the pull loop and the follower of the engine's events run as well
    :param leaving: clones leave again
    """
    await house.controller.tenure.beat()
    loops = [house.controller.worker.run(), house.controller.tenure.run()]
    if pulling:
        loops += [house.controller.resync.run(), house.controller.witness.run()]
    if leaving:
        loops.append(house.controller.departures.run())
    if house.controller.courier is not None:
        loops.append(house.controller.courier.run())
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield house
        for task in tasks:
            if task.done():
                task.result()  # a worker that died fails the test
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def pass_time(**span: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(timedelta(**span).total_seconds())
