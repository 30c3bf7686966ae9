"""Two hosts that run the same project behind one Alertmanager: each treats its own."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import pytest

from app.controller.counts import Counts
from app.domain.alert import Alert, AlertStatus, ListedAlert
from app.domain.decision import Reason
from app.domain.target import TargetId
from app.policies.spec import BrakeRules, Guards, Policy, Rulebook, ScaleOutRules
from tests.builders import START, alert, compose, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(120)]

NAMES = tuple(f"shop-web-{number}" for number in range(1, 9))
HOSTS = ("host1", "host2")
#: Nothing but whose alert it is keeps anybody from acting.
ANYTHING_GOES = Guards(concurrent=1000, burst=10**6, per_hour=10**6, brake=BrakeRules(freeze=False))


def instance(host: str) -> str:
    return f"{host}:9273"


def house_of(host: str, clock: VirtualClock, alertmanager: FakeAlertmanager | None) -> House:
    engine = FakeEngine(clock, hostname=host)
    for number, name in enumerate(NAMES, start=1):
        labels = compose("shop", f"web{number}", 1)  # groups of one: nobody waits for another
        engine.run(container(name, number, labels=labels))
    rules = Rulebook(
        defaults=Policy(scale_out=ScaleOutRules(enabled=False)),
        guards=ANYTHING_GOES,
        instances=(instance(host),),
    )
    return build(make_store(), clock, engine, alerts=alertmanager, rulebook=rules)


def labels_of(name: str, engine: str | None, at_instance: str | None) -> dict[str, str]:
    labels = {"alertname": "ContainerHighCPU", "name": name}
    if engine is not None:
        labels["engine"] = engine
    if at_instance is not None:
        labels["instance"] = at_instance
    return labels


def owner(alert: Alert | ListedAlert) -> str | None:
    """Whose alert it is by the law: the label decides, else the instance, else nobody."""
    engine = alert.labels.get("engine", "")
    if engine:
        return engine if engine in HOSTS else None
    return next((h for h in HOSTS if alert.labels.get("instance") == instance(h)), None)


def storm(seed: int) -> Iterator[Alert]:
    """Alerts without end, with a label ``engine``, an ``instance``, both, none, wrong ones."""
    dice = random.Random(seed)  # the same storm every time
    engines = (*HOSTS, None, None, "", "host3", "HOST1", "host1 ", "host")
    instances = (*map(instance, HOSTS), None, "host1", "host3:9273", "")
    while True:
        labels = labels_of(dice.choice(NAMES), dice.choice(engines), dice.choice(instances))
        labels["severity"] = dice.choice(("critical", "warning"))
        yield alert(
            labels=labels,
            fingerprint=repr(sorted(labels.items())),
            status=AlertStatus.RESOLVED if dice.random() < 0.2 else AlertStatus.FIRING,
            starts_at=START + timedelta(seconds=dice.randrange(60)),
        )


async def known_on(house: House, name: str) -> set[str]:
    number = NAMES.index(name) + 1
    target = f"{house.engine.hostname}:shop-web{number}-1"
    now = house.clock.now()
    dossier = await house.store.records.read(
        target,
        group=target,
        now=now,
        window=timedelta(hours=1),
        brake_window=timedelta(hours=1),
    )
    return {known.alert.fingerprint for known in dossier.alerts}


async def test_a_hundred_thousand_alerts_reach_nobody_that_they_do_not_concern(
    clock: VirtualClock,
) -> None:
    """The first half of the containers is ill on the first host only, the other on the second."""
    houses = {host: house_of(host, clock, None) for host in HOSTS}
    ill = {"host1": NAMES[:4], "host2": NAMES[4:]}
    possible = (
        one
        for one in storm(seed=7)
        if owner(one) is None or one.labels["name"] in ill[str(owner(one))]
    )
    alerts = list(islice(possible, 100_000))
    totals = {host: Counts() for host in HOSTS}
    async with working(houses["host1"]), working(houses["host2"]):
        for begin in range(0, len(alerts), 500):
            for host, house in houses.items():
                counts = await house.take(*alerts[begin : begin + 500])
                totals[host] = _added(totals[host], counts)
        await pass_time(minutes=20)

    for host, house in houses.items():
        others = [name for name in NAMES if name not in ill[host]]
        assert {name for _, name, _ in house.engine.acts} <= set(ill[host])
        assert house.engine.acts != []
        for name in others:
            assert await known_on(house, name) == set()
        stories = await house.stories()
        assert {TargetId.parse(story.target).engine for story in stories} == {host}
        assert {story.container for story in stories} <= set(ill[host])
        mine = sum(owner(one) == host for one in alerts)
        assert totals[host].skipped == len(alerts) - mine
        asides = {aside.reason for aside in await house.store.history.asides()}
        assert asides == {Reason.OTHER_ENGINE, Reason.AMBIGUOUS_ENGINE}


def _added(one: Counts, other: Counts) -> Counts:
    return replace(
        one,
        accepted=one.accepted + other.accepted,
        resolved=one.resolved + other.resolved,
        stale=one.stale + other.stale,
        skipped=one.skipped + other.skipped,
        set_aside=one.set_aside + other.set_aside,
    )


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_listed_is_pulled_by_its_own_host_only(
    clock: VirtualClock, seed: int
) -> None:
    firing = [one for one in islice(storm(seed), 300) if one.status is AlertStatus.FIRING]
    listing = {
        one.fingerprint: listed_alert(labels=one.labels, fingerprint=one.fingerprint)
        for one in firing
    }
    alertmanager = FakeAlertmanager(
        up_since=START - timedelta(days=1), alerts=list(listing.values())
    )
    houses = {host: house_of(host, clock, alertmanager) for host in HOSTS}
    async with (
        working(houses["host1"], pulling=True),
        working(houses["host2"], pulling=True),
    ):
        await pass_time(minutes=2)

    for host, house in houses.items():
        mine = {one.fingerprint for one in listing.values() if owner(one) == host}
        known = [await known_on(house, name) for name in NAMES]
        assert set().union(*known) == mine
        restarted = {name for _, name, _ in house.engine.acts}
        assert restarted == {one.labels["name"] for one in listing.values() if owner(one) == host}


async def test_the_same_container_is_ill_on_one_host_only(clock: VirtualClock) -> None:
    alertmanager = FakeAlertmanager(
        up_since=START - timedelta(days=1),
        alerts=[listed_alert(labels=labels_of(NAMES[0], "host1", instance("host2")))],
    )
    houses = {host: house_of(host, clock, alertmanager) for host in HOSTS}
    async with (
        working(houses["host1"], pulling=True),
        working(houses["host2"], pulling=True),
    ):
        await pass_time(hours=1)

    assert len(houses["host1"].engine.done("restart")) == 3
    assert houses["host2"].engine.acts == []


async def test_an_alert_of_the_other_host_does_not_keep_ours_ill(clock: VirtualClock) -> None:
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1))
    theirs = listed_alert(labels=labels_of(NAMES[0], "host2", None), fingerprint="theirs")
    ours = listed_alert(labels=labels_of(NAMES[0], "host1", None), fingerprint="ours")
    alertmanager.alerts[:] = [theirs, ours]
    house = house_of("host1", clock, alertmanager)
    async with working(house, pulling=True):
        await pass_time(seconds=70)
        alertmanager.alerts.remove(ours)
        await pass_time(minutes=6)
        story = await house.story()

    assert story.is_closed
    assert len(house.engine.done("restart")) == 1


async def test_a_clone_on_the_other_host_is_none_of_ours(clock: VirtualClock) -> None:
    house = house_of("host1", clock, None)
    async with working(house):
        counts = await house.take(
            alert(labels=labels_of("shop-web-1_new", "host2", None)),
            alert(labels=labels_of("shop-web-1_new", "host1", None), fingerprint="f2"),
        )

    assert (counts.accepted, counts.skipped) == (0, 2)
    assert {aside.reason for aside in await house.store.history.asides()} == {
        Reason.OTHER_ENGINE,
        Reason.NO_SUCH_TARGET,
    }
