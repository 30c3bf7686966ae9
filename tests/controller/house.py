"""A whole controller over fakes, in virtual time: everything but HTTP, Redis and Docker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.controller.act import Actor
from app.controller.desk import Desk
from app.controller.intake import Counts, Intake, Unreadable
from app.controller.note import Notebook
from app.controller.observe import Observer
from app.controller.picture import Census, Pictures
from app.controller.readiness import Readiness
from app.controller.reconcile import Reconciler
from app.controller.telemetry import Telemetry
from app.controller.worker import Worker
from app.domain.alert import Alert
from app.domain.remediation import Remediation
from app.policies.spec import Mode, Patience, Rulebook
from app.ports import AlertSource, Clock, RemediationFilter, SampleSource, Store
from tests.builders import START
from tests.fakes import FakeEngine


class VirtualClock:
    """A test's time: `START` is when its loop's virtual time is zero, fixtures come before."""

    def now(self) -> datetime:
        """The virtual moment."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class House:
    """The parts that a test pokes at."""

    engine: FakeEngine
    store: Store
    clock: Clock
    intake: Intake
    desk: Desk
    worker: Worker
    telemetry: Telemetry

    async def take(self, *alerts: Alert | Unreadable) -> Counts:
        """Hand in a notification."""
        return await self.intake.take(alerts)

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
    clock: Clock,
    engine: FakeEngine,
    *,
    alerts: AlertSource | None = None,
    samples: SampleSource | None = None,
    rulebook: Rulebook | None = None,
    mode: Mode = Mode.ENFORCE,
) -> House:
    """Wire a controller as app/main.py does."""
    rules = rulebook or Rulebook()
    patience, telemetry, prefix = Patience(), Telemetry(), "relevo"
    census = Census(engine, clock, name=None, prefix=prefix, rulebook=rules)
    readiness = Readiness(engine)
    pictures = Pictures(census, alerts, store.facts, clock, rulebook=rules, patience=patience)
    observer = Observer(
        engine,
        pictures,
        readiness,
        samples,
        store,
        clock,
        rulebook=rules,
        patience=patience,
        prefix=prefix,
        mode=mode,
    )
    reconciler = Reconciler(
        observer,
        Actor(engine, store.records, clock),
        Notebook(store.records, clock, telemetry),
        clock,
        patience=patience,
    )
    worker = Worker(store.schedule, clock, reconciler.step, telemetry)
    intake = Intake(store.inbox, census, clock, telemetry, rulebook=rules, wake=worker.wake)
    desk = Desk(
        store, census, readiness, clock, telemetry, rulebook=rules, prefix=prefix, mode=mode
    )
    return House(
        engine=engine,
        store=store,
        clock=clock,
        intake=intake,
        desk=desk,
        worker=worker,
        telemetry=telemetry,
    )


@asynccontextmanager
async def working(house: House) -> AsyncIterator[House]:
    """Have the worker run for a while; ending this is a crash, not a shutdown."""
    task = asyncio.create_task(house.worker.run())
    try:
        yield house
        if task.done():
            task.result()  # a worker that died fails the test
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pass_time(**span: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(timedelta(**span).total_seconds())
