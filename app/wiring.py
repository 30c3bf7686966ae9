"""The controller, wired over whatever implements the ports: real parts in main, fakes in tests."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from app.controller.act import Actor
from app.controller.auditor import Auditor
from app.controller.board import Board
from app.controller.casefile import Clerk
from app.controller.courier import Courier
from app.controller.crier import Crier
from app.controller.departure import Departure
from app.controller.desk import Desk
from app.controller.dismiss import Dismissal
from app.controller.feed import Feed
from app.controller.first_look import lead
from app.controller.freshness import Freshness
from app.controller.gauges import Gauges
from app.controller.hand import Hand
from app.controller.headcount import Counting
from app.controller.intake import Intake
from app.controller.last_look import LastLook
from app.controller.lookout import Lookout
from app.controller.memory import Memory
from app.controller.note import Notebook
from app.controller.observe import Observer
from app.controller.operate import Operator
from app.controller.outside import Habits as Habits  # what whoever wires has to give
from app.controller.outside import Outside as Outside
from app.controller.overview import Overview
from app.controller.picture import Census, Pictures
from app.controller.poison import Gravedigger
from app.controller.pulse import Pulse
from app.controller.readiness import Readiness
from app.controller.reconcile import Reconciler
from app.controller.reload import Reloading
from app.controller.resync import Resync
from app.controller.rules import Rules
from app.controller.samples import Samples
from app.controller.scaling import Departures
from app.controller.telemetry import Telemetry
from app.controller.teller import Teller
from app.controller.tenure import Tenure
from app.controller.vitals import VitalSigns
from app.controller.witness import Witness
from app.controller.worker import Step, Worker
from app.policies.backoff import longest_wait
from app.policies.spec import Rulebook

Loop = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A wired controller that is not running yet."""

    rules: Rules
    telemetry: Telemetry
    tenure: Tenure
    intake: Intake
    desk: Desk
    overview: Overview
    operator: Operator
    auditor: Auditor
    gauges: Gauges
    reloading: Reloading
    resync: Resync
    witness: Witness
    worker: Worker
    departures: Departures
    #: Seeks the seat; `tenure` tells of it.
    lead: Loop
    step: Step
    pulse: Pulse
    board: Board
    feed: Feed
    samples: Samples
    crier: Crier | None
    courier: Courier | None

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What runs until it is cancelled, besides worker and tenure, which end in order."""
        some = (self.crier, self.courier)
        more = tuple(one.run for one in some if one is not None)
        shown = (self.feed.run, self.samples.run)
        own = (self.resync.run, self.witness.run, self.pulse.run, self.departures.run)
        return (*own, *shown, *more)


def wire(
    outside: Outside, habits: Habits, rulebook: Rulebook, *, load: Callable[[], Rulebook]
) -> Controller:
    """
    Wire a controller; nothing is asked of the outside yet.

    :param load: reads the policy file again
    """
    store, engine, clock, samples = outside.store, outside.engine, outside.clock, outside.samples
    prefix, mode, patience = habits.prefix, habits.mode, habits.patience
    telemetry, rules = Telemetry(), Rules(rulebook)
    census = Census(
        engine,
        clock,
        name=habits.engine_name,
        prefix=prefix,
        rules=rules,
        ourselves=habits.ourselves,
    )
    # What is made below, of what is made here, is called by name.
    tenure = Tenure(
        store,
        Memory(outside.keepsake),
        clock,
        life=habits.life,
        engine=census.engine_name,
        pulled_at=lambda: resync.done_at,
        pull=lambda: resync.ask(),
        wake=lambda: stir(),
        longest_wait=lambda: longest_wait(rules.book),
        is_busy=lambda: worker.is_busy or departures.is_busy,
        own_server=habits.own_server,
    )
    pictures = Pictures(
        census, outside.alerts, samples, store.facts, clock, rules=rules, patience=patience
    )
    witness = Witness(
        engine,
        census,
        store.schedule,
        store.records,
        clock,
        rules=rules,
        prefix=prefix,
        wake=lambda: worker.wake(),
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
    crier = None
    if outside.sink is not None:
        crier = Crier(
            store,
            outside.sink,
            census,
            clock,
            rules,
            external_url=habits.external_url,
            has_prometheus=samples is not None,
            hold_for=habits.believed,
            prefix=prefix,
            count=telemetry.cried,
            speaks=lambda: tenure.speaks,
            mode=mode,
        )
    tell = crier.wake if crier is not None else _nobody
    courier = None
    if outside.messages is not None:
        courier = Courier(
            store.outbox, outside.messages, telemetry, may_deliver=lambda: tenure.leads
        )
    teller = Teller(
        annotates=courier is not None,
        external_url=habits.external_url,
        wake=courier.wake if courier is not None else _nobody,
    )
    actor = Actor(
        Hand(engine, clock, not_after=tenure.not_after, doubt=tenure.hold),
        store.records,
        LastLook(engine, census, store.controls, store.scaling, witness, clock),
        Clerk(engine, store.casefiles, clock),
        witness,
        clock,
    )
    lookout = Lookout(engine, observer, census, store, rules=rules, prefix=prefix)
    departure = Departure(engine, store, lookout, witness, clock, not_after=tenure.not_after)
    departures = Departures(
        store.scaling,
        lookout,
        departure,
        clock,
        telemetry,
        rules=rules,
        may_act=lambda: tenure.may_claim,
        tell=tell,
    )

    def stir() -> None:
        """Wake all who wait for something to do."""
        worker.wake()
        departures.wake()

    def noted() -> None:
        """Let people be told, and clones leave: a story may have ended."""
        tell()
        departures.wake()

    notebook = Notebook(store.records, clock, telemetry, tell=noted, teller=teller)
    reconciler = Reconciler(observer, actor, notebook, clock, patience=patience)
    worker = Worker(
        store.schedule,
        clock,
        reconciler.step,
        telemetry,
        bury=Gravedigger(
            store.records,
            store.schedule,
            telemetry,
            engine,
            not_after=tenure.not_after,
            tell=tell,
            teller=teller,
        ).bury,
        may_claim=lambda: tenure.may_claim,
    )
    resync = Resync(pictures, store, clock, rules=rules, wake=worker.wake, tenure=tenure)
    overview = Overview(
        store,
        census,
        clock,
        rules=rules,
        mode=mode,
        tenure=tenure,
        deliveries=courier.view if courier is not None else _nobody,
    )
    counting = Counting(store.history, prefix=prefix, stays=lambda: departures.stays)
    desk = Desk(store, census, readiness, counting, clock, rules=rules, prefix=prefix, mode=mode)
    return Controller(
        rules=rules,
        telemetry=telemetry,
        tenure=tenure,
        intake=Intake(
            store.inbox,
            store.records,
            census,
            clock,
            telemetry,
            rules=rules,
            wake=worker.wake,
            tenure=tenure,
        ),
        desk=desk,
        overview=overview,
        operator=Operator(
            observer,
            store,
            clock,
            rules=rules,
            wake=stir,
            resume=tenure.resume,
            dismissal=Dismissal(lookout, departure, store.scaling),
        ),
        auditor=Auditor(store.audit, tenure.memory, clock),
        gauges=Gauges(
            overview,
            VitalSigns(store, census, clock, rules=rules, prefix=prefix),
            census,
            store.schedule,
            pictures,
            resync,
            witness,
            clock,
            telemetry,
        ),
        reloading=Reloading(load, rules, telemetry, clock, ask=resync.ask),
        resync=resync,
        witness=witness,
        worker=worker,
        departures=departures,
        lead=partial(lead, census, tenure),
        step=reconciler.step,
        pulse=Pulse(telemetry),
        board=Board(desk, overview, census, store.history, clock),
        feed=Feed(store, census, tenure, clock, life=habits.life),
        samples=Samples(engine, census, clock, outside.usage),
        crier=crier,
        courier=courier,
    )


def _nobody() -> None:
    """Tell nobody: there is nobody to tell."""
