"""A whole controller over fakes, in virtual time: everything but HTTP, Redis and Docker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.controller.act import Actor
from app.controller.casefile import Clerk
from app.controller.desk import Desk
from app.controller.freshness import Freshness
from app.controller.gauges import Gauges
from app.controller.intake import Counts, Intake, Unreadable
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
from app.controller.worker import Step, Worker
from app.domain.alert import Alert
from app.domain.remediation import Remediation
from app.policies.protect import Ourselves
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
    rules: Rules
    intake: Intake
    desk: Desk
    overview: Overview
    operator: Operator
    gauges: Gauges
    reloading: Reloading
    resync: Resync
    witness: Witness
    worker: Worker
    step: Step
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
    ourselves: Ourselves | None = None,
) -> House:
    """Wire a controller as app/main.py does."""
    rules = Rules(rulebook or Rulebook())
    patience, telemetry, prefix = Patience(), Telemetry(), "relevo"
    census = Census(engine, clock, name=None, prefix=prefix, rules=rules, ourselves=ourselves)
    readiness = Readiness(engine)
    pictures = Pictures(census, alerts, samples, store.facts, clock, rules=rules, patience=patience)
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
    clerk = Clerk(engine, store.casefiles, clock)
    last_look = LastLook(engine, census, store.controls, witness, clock)
    reconciler = Reconciler(
        observer,
        Actor(engine, store.records, last_look, clerk, witness, clock),
        Notebook(store.records, clock, telemetry, tell=lambda: None),
        clock,
        patience=patience,
    )
    worker = Worker(store.schedule, clock, reconciler.step, telemetry)
    resync = Resync(pictures, store, clock, rules=rules, wake=worker.wake)
    overview = Overview(store, census, clock, rules=rules, mode=mode)
    desk = Desk(store, census, readiness, clock, rules=rules, prefix=prefix, mode=mode)
    return House(
        engine=engine,
        store=store,
        clock=clock,
        rules=rules,
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
        reloading=Reloading(lambda: rules.book, rules, telemetry, clock, ask=resync.ask),
        resync=resync,
        witness=witness,
        worker=worker,
        step=reconciler.step,
        telemetry=telemetry,
    )


@asynccontextmanager
async def working(house: House, *, pulling: bool = False) -> AsyncIterator[House]:
    """
    Have the worker run for a while; ending this is a crash, not a shutdown.

    :param pulling: the pull loop and the follower of the engine's events run as well
    """
    loops = [house.worker.run()]
    if pulling:
        loops += [house.resync.run(), house.witness.run()]
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
