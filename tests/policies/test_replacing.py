"""When a source leaves its place to its clone, and when it comes back: tables."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.activity import ActivityKind, ActivityStatus
from app.domain.container import Container, Health, RunState
from app.domain.control import Halt
from app.domain.decision import Action, Reason, Refuse, Verdict
from app.domain.observation import GuardView, Observation, Sickness, Symptom
from app.domain.remediation import Attempt, Trigger
from app.policies import clone_replaces, guards, opening, replacing, scale_in, symptom
from app.policies.crowd import CloneSeen, Crowd, ReplacedSeen, Stay
from app.policies.replacing import BringBack, Replace
from app.policies.spec import BrakeRules, Guards, Policy, ScaleOutRules, SourceAfterwards
from app.policies.swarm import fidelity
from app.policies.symptom import Evidence, Pulled
from tests.builders import (
    START,
    TARGET,
    at,
    attempt,
    container,
    hex_id,
    known,
    listed,
    listed_alert,
    remediation,
    seen,
)
from tests.fake_swarm import service
from tests.policies.clone_builders import endpoint, plan, source

BRAKE = BrakeRules()
ISOLATE, STOP = SourceAfterwards.ISOLATE, SourceAfterwards.STOP
SICK = Sickness(symptom=Symptom.ACTIVE, on_source=True)
WELL = Sickness(symptom=Symptom.ABSENT)
NETWORKS = '{"front":{"Aliases":["web"]}}'
CUT_OFF = container(networks=(), is_cut_off=True)
DOWN = container(state=RunState.EXITED, exit_code=143, networks=("front",))


def policy(source: SourceAfterwards = ISOLATE) -> Policy:
    return Policy(scale_out=ScaleOutRules(source=source))


def tried(**more: Any) -> Attempt:
    """A scale-out whose clone has proved itself, beside a source that is still ill."""
    values: dict[str, Any] = {
        "action": Action.SCALE_OUT,
        "reason": Reason.WINDOW_FULL,
        "evidence": "the clone took 50 % of the traffic",
        "container_id": hex_id(1),
        "started_before": container().started_at,
        "verdict": None,
    }
    return attempt(**(values | more))


def clone(**more: Any) -> CloneSeen:
    state = more.pop("state", RunState.RUNNING)
    health = more.pop("health", Health.NONE)
    values: dict[str, Any] = {
        "listed": listed("web_new", 100, state=state, health=health),
        "made_at": START,
        "recorded": True,
        "known_since": START,
        "made_by": "r1.1",
        "clone_of": "web",
        "source": ISOLATE,
        "networks": NETWORKS,
        "attempt": tried(),
    }
    return CloneSeen(**(values | more))


def original(sick: Sickness = SICK, one: Container | None = None, **more: Any) -> Observation:
    values: dict[str, Any] = {
        "target": TARGET,
        "container": one or container(),
        "sickness": sick,
        "remediation": None,
    }
    return seen(**(values | more))


def crowd(one: CloneSeen | None = None, of: Observation | None = None, **more: Any) -> Crowd:
    return Crowd(id=TARGET, originals=(of or original(),), clones=(one or clone(),), **more)


def decide(
    one: Crowd, rules: Policy | None = None, seconds: float = 300
) -> Replace | BringBack | Stay | None:
    return replacing.next_duty(one, rules or policy(), BRAKE, now=at(seconds))


RELIEVED = tried(verdict=Verdict.RELIEVED, evidence="no alert for 4m")
RESTARTING = remediation(attempts=(attempt(action=Action.RESTART),))


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(crowd(), id="proved-itself-beside-one-that-is-ill"),
        pytest.param(crowd(clone(attempt=RELIEVED), original(WELL)), id="has-relieved-it"),
    ],
)
def test_a_clone_takes_its_sources_place(one: Crowd) -> None:
    step = decide(one)

    assert isinstance(step, Replace)
    assert (step.source.id, step.kind) == (hex_id(1), ActivityKind.ISOLATE)
    activity = replacing.begun(one, step, now=at(300))
    assert (activity.id, activity.status) == ("r1.1.off", ActivityStatus.IN_PROGRESS)
    assert activity.container_id == hex_id(1)
    assert activity.replacement is not None
    assert activity.replacement.networks == NETWORKS
    assert activity.replacement.started_at == container().started_at


@pytest.mark.parametrize(
    ("one", "rules"),
    [
        pytest.param(crowd(), policy(SourceAfterwards.KEEP), id="kept"),
        pytest.param(crowd(), policy(STOP), id="the-policy-has-changed-since"),
        pytest.param(crowd(clone(source=None)), policy(), id="not-noted-on-the-clone"),
        pytest.param(crowd(clone(attempt=None)), policy(), id="its-story-is-not-at-hand"),
        pytest.param(crowd(clone(recorded=False)), policy(), id="not-remembered"),
        pytest.param(crowd(clone(recorded=None)), policy(), id="a-copy"),
        pytest.param(crowd(clone(had_its_turn=True)), policy(), id="not-twice"),
        pytest.param(crowd(clone(is_cut_off=True)), policy(), id="clone-cut-off"),
        pytest.param(crowd(clone(state=RunState.EXITED)), policy(), id="clone-down"),
        pytest.param(crowd(clone(health=Health.UNHEALTHY)), policy(), id="clone-ill"),
        pytest.param(crowd(clone(attempt=tried(evidence=None))), policy(), id="not-proved-yet"),
        pytest.param(crowd(clone(attempt=RELIEVED)), policy(), id="relieved-and-ill-again"),
        pytest.param(crowd(of=original(WELL)), policy(), id="proved-and-not-settled"),
        pytest.param(
            crowd(of=original(replace(SICK, on_source=False))), policy(), id="only-clones-are-ill"
        ),
        pytest.param(
            crowd(of=original(Sickness(symptom=Symptom.UNKNOWN))), policy(), id="nobody-can-tell"
        ),
        pytest.param(
            crowd(of=original(Sickness(symptom=Symptom.SUPPRESSED))), policy(), id="silenced"
        ),
        pytest.param(
            crowd(clone(attempt=tried(verdict=Verdict.NO_TRAFFIC))), policy(), id="useless"
        ),
        pytest.param(crowd(clone(attempt=tried(reason=Reason.COVER))), policy(), id="a-cover"),
        pytest.param(
            crowd(clone(attempt=tried(reason=Reason.CLONE_SICK))), policy(), id="for-a-clone"
        ),
        pytest.param(
            crowd(clone(attempt=tried(trigger=Trigger.MANUAL))), policy(), id="a-persons-order"
        ),
        pytest.param(
            crowd(clone(attempt=tried(started_before="earlier"))), policy(), id="started-since"
        ),
        pytest.param(
            crowd(clone(attempt=tried(container_id=hex_id(9)))), policy(), id="another-container"
        ),
        pytest.param(crowd(of=original(one=DOWN)), policy(), id="not-running"),
        pytest.param(crowd(of=original(is_replaced=True)), policy(), id="off-duty-already"),
        pytest.param(crowd(of=original(remediation=RESTARTING)), policy(), id="being-restarted"),
        pytest.param(
            crowd(of=original(guards=GuardView(protected="no"))), policy(), id="protected"
        ),
        pytest.param(crowd(is_service=True), policy(), id="a-service"),
    ],
)
def test_a_source_stays(one: Crowd, rules: Policy) -> None:
    assert decide(one, rules) is None


HALT = Halt(reason="no", author="anna", since=START)


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        pytest.param(original(observe_only=True), Reason.OBSERVE, id="observe"),
        pytest.param(original(opted_in=False), Reason.NOT_OPTED_IN, id="opted-out"),
        pytest.param(original(guards=GuardView(pause=HALT)), Reason.PAUSE, id="pause"),
        pytest.param(original(guards=GuardView(hold=HALT)), Reason.HOLD, id="hold"),
        pytest.param(original(guards=GuardView(deploy_until=at(400))), Reason.DEPLOY, id="deploy"),
        pytest.param(original(guards=GuardView(is_blind=True)), Reason.NO_FRESH_DATA, id="blind"),
    ],
)
def test_the_guards_hold(of: Observation, reason: Reason) -> None:
    step = decide(crowd(of=of))

    assert isinstance(step, Stay)
    assert step.reason is reason


# ---------------------------------------------------------------- back


def off(one: Container = CUT_OFF, kind: ActivityKind = ActivityKind.ISOLATE, **more: Any) -> Any:
    values: dict[str, Any] = {
        "container": one,
        "target": TARGET,
        "kind": kind,
        "since": START,
        "clone_id": hex_id(100),
        "networks": NETWORKS if kind is ActivityKind.ISOLATE else "",
        "started_at": one.started_at,
        "known_since": START,
    }
    return ReplacedSeen(**(values | more))


def resting(one: ReplacedSeen, by: CloneSeen | None = None, **more: Any) -> Crowd:
    of = more.pop("of", None) or original(WELL, one.container, is_replaced=True)
    clones = (clone(had_its_turn=True),) if by is None else (by,)
    return Crowd(id=TARGET, originals=(of,), clones=clones, replaced=(one,), **more)


STOPPED = off(DOWN, ActivityKind.STOP)
GONE = replace(resting(off()), clones=())
DAY = 86400


@pytest.mark.parametrize(
    ("one", "seconds", "expected"),
    [
        pytest.param(resting(off()), DAY - 1, None, id="a-second-too-soon"),
        pytest.param(resting(off()), DAY, Reason.ISOLATION_OVER, id="after-a-day"),
        pytest.param(
            resting(off(), of=original(SICK, CUT_OFF)), DAY, Reason.ISOLATION_OVER, id="needed"
        ),
        pytest.param(GONE, 10, Reason.CLONE_DOWN, id="its-clone-is-gone"),
        pytest.param(
            resting(off(), clone(state=RunState.EXITED)), 10, Reason.CLONE_DOWN, id="exited"
        ),
        pytest.param(
            resting(off(), clone(health=Health.UNHEALTHY, ill_since=START)),
            179,
            None,
            id="ill-not-for-long",
        ),
        pytest.param(
            resting(off(), clone(health=Health.UNHEALTHY, ill_since=START)),
            180,
            Reason.CLONE_DOWN,
            id="ill-for-long",
        ),
        pytest.param(
            resting(off(container(networks=("front",)))),
            10,
            Reason.RESTARTED_MEANWHILE,
            id="somebody-has-connected-it",
        ),
        pytest.param(
            resting(off(replace(DOWN, started_at="later"), ActivityKind.STOP, started_at="s")),
            10,
            Reason.RESTARTED_MEANWHILE,
            id="somebody-has-started-it",
        ),
        pytest.param(
            resting(off(container(state=RunState.PAUSED))), DAY, None, id="paused-by-somebody"
        ),
        pytest.param(resting(STOPPED), 1799, None, id="stopped-a-second-too-soon"),
        pytest.param(resting(STOPPED), 1800, Reason.QUIET, id="stopped-and-quiet"),
        pytest.param(
            resting(STOPPED, closed_at=at(100)), 1899, None, id="since-the-end-of-the-story"
        ),
        pytest.param(resting(STOPPED, is_open=True), 5000, None, id="stopped-and-needed"),
        pytest.param(
            resting(STOPPED, of=original(Sickness(symptom=Symptom.UNKNOWN), DOWN)),
            5000,
            None,
            id="stopped-and-nobody-can-tell",
        ),
        pytest.param(resting(off(started_at=None)), DAY, Reason.ISOLATION_OVER, id="found"),
        pytest.param(
            resting(off(started_at=None, known_since=at(DAY)), clone(state=RunState.EXITED)),
            DAY + 599,
            None,
            id="found-a-moment-ago",
        ),
        pytest.param(
            resting(off(container(networks=("back",)), started_at=None)),
            600,
            Reason.INTERRUPTED,
            id="found-half-isolated",
        ),
    ],
)
def test_when_a_source_comes_back(one: Crowd, seconds: float, expected: Reason | None) -> None:
    step = decide(one, seconds=seconds)

    assert step is None or isinstance(step, BringBack)
    assert (None if step is None else step.reason) is expected


def test_one_that_could_not_come_back_is_tried_again_later() -> None:
    one = resting(off(), stuck_at=at(DAY))

    assert isinstance(decide(one, seconds=DAY + 899), Stay)
    assert isinstance(decide(one, seconds=DAY + 900), BringBack)


@pytest.mark.parametrize(
    ("one", "anew", "starts"),
    [
        pytest.param(off(), True, True, id="isolated"),
        pytest.param(off(container(networks=("back",))), False, False, id="half-isolated"),
        pytest.param(off(replace(DOWN, exit_code=1)), False, True, id="crashed-while-isolated"),
        pytest.param(off(DOWN), False, False, id="perhaps-a-persons-stop"),
        pytest.param(off(replace(DOWN, exit_code=1), human="bob"), False, False, id="a-persons"),
        pytest.param(STOPPED, False, True, id="stopped-by-us"),
    ],
)
def test_how_a_source_comes_back(one: ReplacedSeen, anew: bool, starts: bool) -> None:
    step = BringBack(source=one, reason=Reason.MANUAL, cause="because")
    found = replacing.begun(resting(one), step, now=at(10)).replacement

    assert found is not None
    assert (found.starts_anew, found.starts) == (anew, starts)
    assert found.networks == one.networks


@pytest.mark.parametrize("one", [resting(off()), resting(STOPPED)], ids=["isolated", "stopped"])
def test_no_clone_leaves_before_its_source_is_back(one: Crowd) -> None:
    told = scale_in.next_departure(one, policy(), BRAKE, now=at(5 * DAY))

    assert isinstance(told, Stay)
    assert told.reason is Reason.REPLACED
    assert isinstance(scale_in.ordered(one, now=at(5 * DAY)), Stay)
    assert replacing.ordered(one) is not None


def test_what_came_back_has_to_show_that_it_is_well() -> None:
    one = crowd(of=original(WELL), returned_at=at(1000))

    early = scale_in.next_departure(one, policy(), BRAKE, now=at(2799))
    assert isinstance(early, Stay)
    assert early.until == at(2800)
    assert not isinstance(scale_in.next_departure(one, policy(), BRAKE, now=at(2800)), Stay)


# ---------------------------------------------------------------- what is around it


def test_its_own_alerts_are_no_need_and_are_noticed() -> None:
    evidence = Evidence(known=(known(),), pulled=Pulled(on_source=(listed_alert(),)))
    expiry = timedelta(hours=8)
    told = symptom.sickness(evidence, now=START, expiry=expiry)
    assert told.symptom is Symptom.ACTIVE

    found = symptom.elsewhere(evidence, told, now=START, expiry=expiry)

    assert (found.symptom, found.noticed) == (Symptom.ABSENT, True)
    held = opening.begin(original(found, CUT_OFF, is_replaced=True), policy(), Guards(), now=START)
    assert held.reason is Reason.REPLACED


def test_the_alerts_of_its_clones_are_a_need() -> None:
    pulled = Pulled(on_source=(listed_alert(),), on_clones=(listed_alert(fingerprint="c"),))
    evidence = Evidence(known=(), pulled=pulled)
    expiry = timedelta(hours=8)
    told = symptom.sickness(evidence, now=START, expiry=expiry)

    found = symptom.elsewhere(evidence, told, now=START, expiry=expiry)

    assert (found.symptom, found.on_source) == (Symptom.ACTIVE, False)


def test_it_may_be_cloned_though_it_is_down_and_is_not_restarted() -> None:
    one = original(WELL, DOWN, is_replaced=True)

    assert guards.hold(one, Action.SCALE_OUT, policy(), Guards(), now=START) is None
    assert guards.refusal(one, Action.SCALE_OUT, Guards(), now=START) is None
    refused = guards.refusal(one, Action.RESTART, Guards(), now=START)
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.REPLACED


def test_who_is_cut_off_does_not_serve() -> None:
    assert container().is_serving
    assert not CUT_OFF.is_serving


def test_a_service_says_that_it_does_not_apply() -> None:
    told = {item.field: item for item in fidelity(service(), STOP).items}

    assert "does not apply" in told["scale_out.source"].detail
    assert not fidelity(service(), STOP).is_refused
    assert "scale_out.source" not in {item.field for item in fidelity(service()).items}


@pytest.mark.parametrize("label", ["", "{}"])
def test_an_empty_label_is_no_network(label: str) -> None:
    assert clone_replaces.read(label) == {}


@pytest.mark.parametrize("label", ["[1]", '{"a":1}', "no"])
def test_what_is_no_label_of_ours_is_told(label: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        clone_replaces.read(label)
    assert not replacing.is_off(label, CUT_OFF)


# ---------------------------------------------------------------- noted on the clone

FRONT = {
    "front": {
        **endpoint(aliases=["web", "shop"]),
        "IPAMConfig": {"IPv4Address": "10.0.0.9"},
        "IPAddress": "10.0.0.9",
        "MacAddress": "02:42:0a:00:00:09",
    }
}


def noted(of: Any, wish: SourceAfterwards) -> tuple[dict[str, str], str | None]:
    """What the clone says of its source, and the line of the report."""
    made = plan(of, source=wish)
    labels = {k: v for k, v in made.body["Labels"].items() if k.startswith("relevo.source")}
    items = {item.field: item for item in made.report.items}
    line = items.get("scale_out.source")
    assert not made.report.is_refused
    return labels, None if line is None else line.detail


def test_the_clone_has_what_its_source_needs_to_come_back() -> None:
    labels, said = noted(source(networks=FRONT), ISOLATE)

    assert labels["relevo.source"] == "isolate"
    # The MAC address is made of the address: not said, it is right for that one only.
    assert clone_replaces.read(labels["relevo.source-networks"]) == {
        "front": {"Aliases": ["shop", "web"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}
    }
    assert said == "the source is isolated once the clone has proved itself"


def test_a_mac_address_that_somebody_chose_is_kept() -> None:
    chosen = {"front": {**FRONT["front"], "MacAddress": "02:00:00:00:00:01"}}
    labels, _ = noted(source(networks=chosen), ISOLATE)

    found = clone_replaces.read(labels["relevo.source-networks"])["front"]
    assert found["MacAddress"] == "02:00:00:00:00:01"
    assert clone_replaces.is_same(found, {**found, "MacAddress": "02:00:00:00:00:02"})
    assert not clone_replaces.is_same(found, {**found, "Aliases": ["else"]})
    assert not clone_replaces.is_same(None, found)


def test_one_that_is_stopped_keeps_its_networks() -> None:
    labels, said = noted(source(networks=FRONT), STOP)

    assert labels == {"relevo.source": "stop"}
    assert said == "the source is stopped once the clone has proved itself"


def test_without_the_wish_nothing_is_noted() -> None:
    assert noted(source(networks=FRONT), SourceAfterwards.KEEP) == ({}, None)


@pytest.mark.parametrize("wish", [ISOLATE, STOP])
def test_who_alone_can_have_a_port_of_the_host_stays(wish: SourceAfterwards) -> None:
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}
    labels, said = noted(source(networks=FRONT, host_config=ports), wish)

    assert labels == {}
    assert said == "the source is kept: only it can have port 8080 of the host"


@pytest.mark.parametrize("port", ["", "0", "8080-8090"])
def test_a_port_of_the_engines_choice_is_in_nobodys_way(port: str) -> None:
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": port}]}}

    assert noted(source(networks=FRONT, host_config=ports), STOP)[0] == {"relevo.source": "stop"}


def test_without_a_network_of_its_own_it_cannot_be_isolated() -> None:
    alone = source(networks={}, host_config={"NetworkMode": "none"})

    assert noted(alone, ISOLATE) == (
        {},
        "the source is kept: it has no network of its own (network mode none)",
    )
    assert noted(alone, STOP)[0] == {"relevo.source": "stop"}
