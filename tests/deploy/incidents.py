"""
Whole incidents, as Alertmanager is told of them: by the rules, and by a real controller.

The controller runs in virtual time; what it posts is written down with its moment, and can be
played to a real Alertmanager in as short a time as that bears.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.adapters.memento import FileKeepsake
from app.domain.alert import Alert, AlertStatus, OwnAlert
from app.domain.control import Brake
from app.policies.announce import announcements
from app.policies.announce_facts import NewsView, Subject
from app.policies.protect import Ourselves
from app.policies.spec import Policy, Rulebook, ScaleOutRules
from app.wiring import Habits, Outside, wire
from tests.builders import ENGINE, START, alert, at, container
from tests.controller.house import House, VirtualClock, pass_time, working
from tests.deploy.places import PROMETHEUS, load_yaml
from tests.fakes import FakeEngine
from tests.memory_store import make_store

PAGES = "https://relevo.example.org"


@dataclass(frozen=True)
class Posted:
    """An alert as it was posted; times are the virtual ones."""

    at: datetime
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Incident:
    """One container, and when its alert is there: pairs of seconds after `START`."""

    kind: str
    name: str
    ill: Sequence[tuple[float, float]]
    minutes: float
    scales_out: bool = True
    #: Relevo looks after it; else it is not opted in, and the rules say so.
    is_cared_for: bool = True
    #: When the rules begin to say that nobody does, seconds after `START`, while its alert fires.
    given_up_at: float | None = None


#: Each restart takes the load away for a moment, and with it the alert.
INCIDENTS = (
    Incident("recovered", "web", [(0, 90)], 20),
    Incident("by-itself", "api", [(0, 45)], 17),
    Incident("relieved", "shop", [(0, 100), (190, 590), (680, 1370), (1460, 1980)], 55),
    Incident(
        "escalated", "mail", [(0, 100), (190, 590), (680, 1370), (1460, 1980)], 55, scales_out=False
    ),
    # Relief that does not help, and then a person has to.
    Incident("both", "search", [(0, 100), (190, 590), (680, 1370), (1460, 3660)], 85),
    # Not opted in.
    Incident("unwatched", "cache", [(0, 600)], 20, is_cared_for=False),
    # Made anew without its label some minutes before: the rules say so later, and once.
    Incident("given-up", "queue", [(0, 600), (600, 1200)], 30, is_cared_for=False, given_up_at=600),
)


@dataclass
class Mailbox:
    """Writes down what a controller posts."""

    clock: VirtualClock
    posted: list[Posted] = field(default_factory=list)

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        self.posted += [
            Posted(
                self.clock.now(),
                dict(one.labels),
                dict(one.alert_annotations),
                one.starts_at,
                one.ends_at,
            )
            for one in alerts
        ]


def symptom(incident: Incident, begun: float, ended: float | None = None) -> Alert:
    """The shipped rule's alert, firing or over."""
    name = incident.name
    labels = {"alertname": "ContainerHighCPU", "engine": ENGINE, "name": name, "group": name}
    if not incident.is_cared_for and begun >= (incident.given_up_at or 0):
        labels["relevo_care"] = "none"
    return alert(
        fingerprint=f"{name} {labels.get('relevo_care')}",
        labels={**labels, "severity": "critical"},
        alert_annotations={
            "summary": f"{name} uses 97% of the CPU it may use",
            "description": (
                f"Container {name} on {ENGINE} has used more than 80% of its CPU for a minute, now "
                "97% of 0.50 cores (its limit; without one the label relevo.cpus, else one core)."
            ),
            "relevo_settle": "4m",
        },
        starts_at=at(begun),
        ends_at=None if ended is None else at(ended),
        status=AlertStatus.FIRING if ended is None else AlertStatus.RESOLVED,
    )


async def played(incident: Incident) -> list[Posted]:
    """
    Have a controller live through an incident, from `START`, the loop's zero, on.

    :returns: what Alertmanager is told by the rules and by the controller, in order
    """
    clock = VirtualClock()
    engine = FakeEngine(clock)
    opted = {"relevo.enable": "true"} if incident.is_cared_for else {}
    engine.run(container(incident.name, 1, labels=opted))
    mailbox = Mailbox(clock)
    policy = Policy(scale_out=ScaleOutRules(enabled=incident.scales_out, max_instances=2))
    book = Rulebook(defaults=policy)
    store = make_store()
    outside = Outside(
        store=store, engine=engine, clock=clock, keepsake=FileKeepsake(None), sink=mailbox
    )
    habits = Habits(ourselves=Ourselves(), life="one-life", own_server=True, external_url=PAGES)
    house = House(wire(outside, habits, book, load=lambda: book), engine, store, clock)
    crier = house.controller.crier
    assert crier is not None
    posted = mailbox.posted
    async with working(house):
        crying = asyncio.create_task(crier.run())
        for begun, ended in incident.ill:
            await _until(clock, begun)
            sick = symptom(incident, begun)
            await house.take(sick)
            posted.append(_posted(sick, clock.now(), ends_at=at(86_400)))
            await _until(clock, ended)
            well = symptom(incident, begun, ended)
            await house.take(well)
            posted.append(_posted(well, clock.now(), ends_at=at(ended)))
        await _until(clock, 60 * incident.minutes)
        crying.cancel()
    return posted


async def _until(clock: VirtualClock, seconds: float) -> None:
    await pass_time(seconds=(at(seconds) - clock.now()).total_seconds())


def _posted(one: Alert, now: datetime, *, ends_at: datetime) -> Posted:
    return Posted(now, dict(one.labels), dict(one.alert_annotations), one.starts_at, ends_at)


def engine_news() -> list[Posted]:
    """
    What is about no single container, one engine each, so that each is a message of its own.

    Relevo's words are its own; those of the rule are the shipped ones.
    """
    target = f"{ENGINE}:leaky"
    view = NewsView(
        engine=ENGINE,
        recoveries={target: tuple(at(-600 * n) for n in range(6))},
        subjects={target: Subject(container="leaky", group="leaky", policy=Policy())},
        brake=Brake(engaged_at=START, failing=5),
        targets=12,
        external_url=PAGES,
    )
    news = [
        Posted(
            START,
            dict(one.labels),
            dict(one.annotations),
            one.starts_at or START,
            at(1200),
        )
        for one in announcements(view, now=START)
    ]
    (rule,) = (
        rule
        for group in load_yaml(PROMETHEUS / "alert_rules.yml")["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "RelevoDown"
    )
    down = {"alertname": "RelevoDown", "job": "relevo", **rule["labels"]}
    return [*news, Posted(START, down, rule["annotations"], START, at(1200))]
