"""When clones leave, and what keeps them: tables."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.activity import ActivityStatus
from app.domain.container import Health, HealthCheck, RunState
from app.domain.control import Brake, Halt
from app.domain.decision import Reason
from app.domain.observation import EngineView, GuardView, Observation, Sickness, Symptom
from app.domain.usage import Used
from app.policies import departures, scale_in
from app.policies.orphans import Orphaned
from app.policies.scale_in import CloneSeen, Crowd, Leave, Stay
from app.policies.spec import BrakeRules, Policy
from tests.builders import (
    ENGINE,
    START,
    TARGET,
    at,
    attempt,
    container,
    group,
    listed,
    remediation,
    seen,
)

POLICY = Policy()
BRAKE = BrakeRules()
#: All has been well for long enough: `START` is when the clones came up.
CALM = at(1800)
HALT = Halt(reason="no", author="anna", since=START)


def calm(name: str = "web", number: int = 1, **more: Any) -> Observation:
    """An original that is well."""
    values: dict[str, Any] = {
        "target": f"{ENGINE}:{name}",
        "container": container(name, number),
        "sickness": Sickness(symptom=Symptom.ABSENT),
        "remediation": None,
    }
    return seen(**(values | more))


def sick(symptom: Symptom) -> Observation:
    return calm(sickness=Sickness(symptom=symptom, doubt="Prometheus is down"))


def guarded(**guards: Any) -> Observation:
    return calm(guards=GuardView(**guards))


def clone(number: int = 1, *, state: RunState = RunState.RUNNING, **more: Any) -> CloneSeen:
    """A clone that serves, made at `START`."""
    health = more.pop("health", Health.NONE)
    values: dict[str, Any] = {
        "listed": listed(f"web_new{number}", 100 + number, state=state, health=health),
        "made_at": START,
        "recorded": True,
        "known_since": START,
        "clone_of": "web",
    }
    return CloneSeen(**(values | more))


def crowd(*clones: CloneSeen, originals: tuple[Observation, ...] = (), **more: Any) -> Crowd:
    """A group of one original that is well, and clones."""
    return Crowd(id=TARGET, originals=originals or (calm(),), clones=clones or (clone(),), **more)


def orphans(*clones: CloneSeen, found: float = 0, **observed: Any) -> Crowd:
    """A group whose originals are gone, found so at some second."""
    own = tuple(
        calm(one.listed.name, container=container(one.listed.name, 101 + index), **observed)
        for index, one in enumerate(clones)
    )
    orphaned = Orphaned(since=at(found), seen=own)
    return Crowd(id=TARGET, originals=(), clones=clones, orphaned=orphaned)


def decide(one: Crowd, seconds: float = 1800, policy: Policy = POLICY) -> Leave | Stay:
    return scale_in.next_departure(one, policy, BRAKE, now=at(seconds))


def told(decision: Leave | Stay) -> tuple[object, ...]:
    """What of a decision the tables name: who leaves and why, or why nobody and until when."""
    if isinstance(decision, Leave):
        return "leave", decision.clone.listed.name, decision.reason
    until = None if decision.until is None else (decision.until - START).total_seconds()
    return "stay", decision.reason, until


def leaves(name: str, reason: Reason) -> tuple[object, ...]:
    return "leave", name, reason


def stays(reason: Reason, until: float | None = None) -> tuple[object, ...]:
    return "stay", reason, until


ILL = calm(container=container(state=RunState.EXITED))
ILL_DB = calm("db", 2, container=container("db", 2, state=RunState.EXITED))
#: The engine lists it as running until it has stopped.
BEING_RESTARTED = calm(
    remediation=remediation(attempts=(attempt(acted_at=None, started_after=None),))
)
QUIET = leaves("web_new1", Reason.QUIET)


@pytest.mark.parametrize(
    ("one", "seconds", "expected"),
    [
        pytest.param(crowd(), 1799, stays(Reason.NEEDED, 1800), id="one-second-too-soon"),
        pytest.param(crowd(), 1800, QUIET, id="quiet-for-exactly-half-an-hour"),
        pytest.param(
            crowd(closed_at=at(100)), 1800, stays(Reason.NEEDED, 1900), id="since-the-last-story"
        ),
        pytest.param(crowd(closed_at=at(100)), 1900, QUIET, id="half-an-hour-after-its-end"),
        pytest.param(
            crowd(clone(1), clone(2, made_at=at(60))),
            1860,
            leaves("web_new2", Reason.QUIET),
            id="the-newest-first",
        ),
        pytest.param(
            crowd(clone(1), clone(2, made_at=at(60))),
            1800,
            stays(Reason.NEEDED, 1860),
            id="the-newest-has-not-been-there-for-long",
        ),
        pytest.param(
            crowd(left_at=at(1700)), 1999, stays(Reason.COOLDOWN, 2000), id="one-in-five-minutes"
        ),
        pytest.param(crowd(left_at=at(1700)), 2000, QUIET, id="five-minutes-later"),
        pytest.param(
            crowd(originals=(calm(group=group(cooling_until=at(1900))),)),
            1899,
            stays(Reason.COOLDOWN, 1900),
            id="its-cooldown-lasts",
        ),
        pytest.param(
            crowd(originals=(calm(group=group(cooling_until=at(1900))),)),
            1900,
            QUIET,
            id="its-cooldown-is-over",
        ),
        pytest.param(crowd(is_open=True), 1800, stays(Reason.NEEDED), id="a-story-is-open"),
        pytest.param(
            crowd(originals=(sick(Symptom.ACTIVE),)), 1800, stays(Reason.NEEDED), id="an-alert"
        ),
        pytest.param(
            crowd(originals=(sick(Symptom.SUPPRESSED),)),
            1800,
            stays(Reason.NEEDED),
            id="an-alert-that-is-silenced",
        ),
        pytest.param(
            crowd(originals=(sick(Symptom.UNKNOWN),)),
            1800,
            stays(Reason.NO_FRESH_DATA),
            id="nobody-can-tell",
        ),
        pytest.param(
            crowd(originals=(calm(), sick(Symptom.ACTIVE))),
            1800,
            stays(Reason.NEEDED),
            id="an-alert-of-another-original",
        ),
        pytest.param(crowd(originals=(ILL,)), 1800, stays(Reason.LAST_INSTANCE), id="the-last"),
        pytest.param(
            crowd(clone(1), clone(2), originals=(ILL,)),
            1800,
            stays(Reason.MIN_HEALTHY),
            id="not-while-an-original-is-down",
        ),
        pytest.param(
            crowd(originals=(calm(), ILL)),
            1800,
            stays(Reason.MIN_HEALTHY),
            id="not-while-one-of-two-originals-is-down",
        ),
        pytest.param(
            crowd(clone(is_on_trial=True)), 1800, stays(Reason.BUSY), id="its-attempt-is-open"
        ),
        pytest.param(
            crowd(clone(state=RunState.PAUSED)),
            1800,
            stays(Reason.PAUSED_CONTAINER),
            id="a-person-has-paused-it",
        ),
        pytest.param(
            crowd(clone(protected="Relevo's own")), 1800, stays(Reason.PROTECTED), id="protected"
        ),
        # ------------------------------------------------ our label, and our record
        pytest.param(
            crowd(clone(recorded=False, known_since=at(1300))),
            1800,
            stays(Reason.COOLDOWN, 1900),
            id="found-and-not-remembered",
        ),
        pytest.param(
            crowd(clone(recorded=False, known_since=at(1300))),
            1900,
            stays(Reason.NEEDED, 3100),
            id="ten-minutes-later-it-is-ours-but-what-was-before-is-not-known",
        ),
        pytest.param(
            crowd(clone(recorded=False, known_since=at(1300))), 3100, QUIET, id="and-leaves"
        ),
        pytest.param(
            crowd(clone(recorded=None)), 9999, stays(Reason.NO_CLONE), id="a-copy-of-our-label"
        ),
        # ------------------------------------------------ one that is down
        pytest.param(
            crowd(clone(state=RunState.EXITED), is_open=True),
            1,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="one-that-has-ended-leaves-at-once",
        ),
        pytest.param(
            crowd(clone(state=RunState.DEAD), left_at=START),
            1,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="nor-does-it-wait-for-its-turn",
        ),
        pytest.param(
            crowd(clone(state=RunState.EXITED, is_on_trial=True)),
            1,
            stays(Reason.BUSY),
            id="its-own-attempt-is-judged-first",
        ),
        pytest.param(
            crowd(clone(1, state=RunState.EXITED), clone(2, made_at=at(60))),
            1,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="the-one-that-is-down-and-not-the-newest",
        ),
        pytest.param(
            crowd(clone(health=Health.UNHEALTHY, ill_since=START), is_open=True),
            179,
            stays(Reason.NEEDED),
            id="unhealthy-for-less-than-the-deadline",
        ),
        pytest.param(
            crowd(clone(health=Health.UNHEALTHY, ill_since=START), is_open=True),
            180,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="unhealthy-for-the-deadline",
        ),
        pytest.param(
            crowd(clone(health=Health.STARTING, ill_since=START)),
            180,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="never-healthy",
        ),
        pytest.param(
            crowd(clone(state=RunState.RESTARTING, ill_since=START)),
            180,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="crashing-over-and-over",
        ),
        pytest.param(
            crowd(clone(state=RunState.PAUSED, ill_since=START)),
            999,
            stays(Reason.PAUSED_CONTAINER),
            id="paused-is-not-down",
        ),
        pytest.param(
            crowd(clone(is_cut_off=True), is_open=True),
            1,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="one-that-is-off-its-networks-helps-nobody",
        ),
        pytest.param(
            crowd(clone(state=RunState.EXITED), left_at=at(0), has_failed=True),
            299,
            stays(Reason.COOLDOWN, 300),
            id="one-that-could-not-leave-is-not-tried-over-and-over",
        ),
        pytest.param(
            crowd(clone(recorded=False, state=RunState.EXITED)),
            599,
            stays(Reason.COOLDOWN, 600),
            id="down-and-not-remembered",
        ),
        # ------------------------------------------------ one that was a cover
        pytest.param(
            crowd(clone(made_for=Reason.COVER)),
            1,
            leaves("web_new1", Reason.COVER_OVER),
            id="a-cover-leaves-with-its-story",
        ),
        pytest.param(
            crowd(clone(made_for=Reason.COVER), is_open=True),
            1,
            stays(Reason.NEEDED),
            id="a-cover-stays-while-its-story-is-open",
        ),
        pytest.param(
            crowd(clone(made_for=Reason.COVER), originals=(sick(Symptom.UNKNOWN),)),
            1,
            stays(Reason.NO_FRESH_DATA),
            id="a-cover-stays-while-nobody-can-tell",
        ),
        pytest.param(
            crowd(clone(made_for=Reason.COVER), originals=(ILL,)),
            1,
            stays(Reason.LAST_INSTANCE),
            id="a-cover-stays-while-its-original-is-down",
        ),
        pytest.param(
            crowd(clone(1, made_for=Reason.COVER), clone(2, made_at=at(60))),
            100,
            leaves("web_new1", Reason.COVER_OVER),
            id="a-cover-goes-before-a-newer-one-that-is-none",
        ),
        # ------------------------------------------------ what forbids it all
        pytest.param(
            crowd(originals=(calm(opted_in=False),)),
            1800,
            stays(Reason.NOT_OPTED_IN),
            id="opted-out",
        ),
        pytest.param(
            crowd(originals=(calm(observe_only=True),)), 1800, stays(Reason.OBSERVE), id="observe"
        ),
        pytest.param(
            crowd(originals=(guarded(pause=HALT),)), 1800, stays(Reason.PAUSE), id="pause"
        ),
        pytest.param(
            crowd(originals=(guarded(pause=replace(HALT, until=at(1800))),)),
            1799,
            stays(Reason.PAUSE, 1800),
            id="a-pause-that-ends",
        ),
        pytest.param(
            crowd(originals=(guarded(pause=replace(HALT, until=at(1800))),)),
            1800,
            QUIET,
            id="it-has-ended",
        ),
        pytest.param(crowd(originals=(guarded(hold=HALT),)), 1800, stays(Reason.HOLD), id="hold"),
        pytest.param(
            crowd(originals=(calm(), guarded(hold=HALT))),
            1800,
            stays(Reason.HOLD),
            id="a-hold-on-another",
        ),
        pytest.param(
            crowd(originals=(guarded(brake=Brake(engaged_at=START)),)),
            1800,
            stays(Reason.BRAKE),
            id="brake",
        ),
        pytest.param(
            crowd(originals=(guarded(deploy_until=at(1900)),)),
            1800,
            stays(Reason.DEPLOY, 1900),
            id="deploy",
        ),
        pytest.param(
            crowd(originals=(guarded(is_blind=True),)),
            1800,
            stays(Reason.NO_FRESH_DATA),
            id="blind",
        ),
        pytest.param(
            crowd(clone(state=RunState.EXITED), originals=(guarded(pause=HALT),)),
            1800,
            stays(Reason.PAUSE),
            id="also-for-one-that-is-down",
        ),
        pytest.param(
            crowd(originals=(calm(view=EngineView.DOWN, container=None),)),
            1800,
            stays(Reason.ENGINE_DOWN),
            id="engine-down",
        ),
        pytest.param(
            crowd(originals=(calm(view=EngineView.AMBIGUOUS, container=None),)),
            1800,
            stays(Reason.AMBIGUOUS_TARGET),
            id="ambiguous",
        ),
        pytest.param(
            crowd(originals=(calm(view=EngineView.GONE, container=None),)),
            1800,
            stays(Reason.NO_SUCH_TARGET),
            id="gone",
        ),
        pytest.param(
            Crowd(id=TARGET, originals=(), clones=(clone(),)),
            1800,
            stays(Reason.NO_SUCH_TARGET),
            id="no-original",
        ),
        # ------------------------------------------------ what it was made from is gone
        pytest.param(
            orphans(clone(1), clone(2, made_at=at(60)), found=100),
            1899,
            stays(Reason.NEEDED, 1900),
            id="orphans-too-have-to-be-quiet",
        ),
        pytest.param(
            orphans(clone(1), clone(2, made_at=at(60)), found=100),
            1900,
            leaves("web_new2", Reason.QUIET),
            id="orphans-leave-the-newest-first",
        ),
        pytest.param(
            orphans(clone()), 9999, stays(Reason.LAST_INSTANCE), id="the-last-orphan-stays"
        ),
        pytest.param(
            orphans(clone(1, state=RunState.EXITED)),
            599,
            stays(Reason.COOLDOWN, 600),
            id="it-may-be-made-anew-just-now",
        ),
        pytest.param(
            orphans(clone(1, state=RunState.EXITED)),
            600,
            leaves("web_new1", Reason.CLONE_DOWN),
            id="the-last-orphan-that-has-ended",
        ),
        pytest.param(
            orphans(clone(1), clone(2), sickness=Sickness(symptom=Symptom.ACTIVE)),
            9999,
            stays(Reason.NEEDED),
            id="orphans-that-are-ill-are-needed",
        ),
        pytest.param(
            orphans(clone(1), clone(2), sickness=Sickness(symptom=Symptom.UNKNOWN)),
            9999,
            stays(Reason.NO_FRESH_DATA),
            id="nobody-can-tell-of-orphans",
        ),
        pytest.param(
            orphans(clone(1), clone(2), opted_in=False),
            9999,
            stays(Reason.NOT_OPTED_IN),
            id="orphans-that-have-not-opted-in",
        ),
        pytest.param(
            orphans(clone(1), clone(2), observe_only=True),
            9999,
            stays(Reason.OBSERVE),
            id="orphans-in-observe-mode",
        ),
        pytest.param(
            orphans(clone(1), clone(2), guards=GuardView(pause=HALT)),
            9999,
            stays(Reason.PAUSE),
            id="a-pause-keeps-orphans",
        ),
        pytest.param(
            orphans(clone(1, recorded=False, known_since=START), clone(2, recorded=None)),
            1799,
            stays(Reason.NEEDED, 1800),
            id="orphans-that-are-not-remembered",
        ),
        pytest.param(crowd(is_service=True), 1800, stays(Reason.SWARM_TASK), id="a-swarm-service"),
        pytest.param(
            Crowd(id=TARGET, originals=(calm(),), clones=()),
            1800,
            stays(Reason.NO_CLONE),
            id="no-clone",
        ),
    ],
)
def test_who_leaves_and_when(one: Crowd, seconds: float, expected: tuple[object, ...]) -> None:
    assert told(decide(one, seconds)) == expected


def test_a_slow_health_check_is_waited_for() -> None:
    check = HealthCheck(
        interval=timedelta(seconds=60),
        timeout=timedelta(seconds=5),
        retries=3,
        start_period=timedelta(seconds=120),
    )
    slow = calm(container=container(health_check=check))
    one = crowd(clone(health=Health.STARTING, ill_since=START), originals=(slow,))

    assert isinstance(decide(one, 299), Stay)
    assert told(decide(one, 300)) == leaves("web_new1", Reason.CLONE_DOWN)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(crowd(), leaves("web_new1", Reason.MANUAL), id="without-waiting-for-quiet"),
        pytest.param(
            crowd(is_open=True, left_at=START, originals=(sick(Symptom.ACTIVE),)),
            leaves("web_new1", Reason.MANUAL),
            id="in-need-or-not",
        ),
        pytest.param(
            crowd(
                originals=(guarded(pause=HALT, brake=Brake(engaged_at=START), deploy_until=at(9)),)
            ),
            leaves("web_new1", Reason.MANUAL),
            id="pause-brake-and-deploy-stop-no-person",
        ),
        pytest.param(
            crowd(clone(1), clone(2, made_at=at(-5))),
            leaves("web_new1", Reason.MANUAL),
            id="the-newest",
        ),
        pytest.param(crowd(originals=(ILL,)), stays(Reason.LAST_INSTANCE), id="the-last-instance"),
        pytest.param(
            crowd(clone(1), clone(2), originals=(ILL,)),
            leaves("web_new2", Reason.MANUAL),
            id="another-clone-serves",
        ),
        pytest.param(
            crowd(clone(1), clone(2, is_cut_off=True, made_at=at(-5)), originals=(ILL,)),
            stays(Reason.LAST_INSTANCE),
            id="another-clone-that-nobody-reaches",
        ),
        pytest.param(
            crowd(clone(health=Health.UNHEALTHY), originals=(ILL,)),
            leaves("web_new1", Reason.MANUAL),
            id="who-does-not-serve-takes-nothing-away",
        ),
        pytest.param(
            Crowd(id=TARGET, originals=(calm(),), clones=()), stays(Reason.NO_CLONE), id="none"
        ),
        pytest.param(
            crowd(clone(recorded=False)), stays(Reason.COOLDOWN, 600), id="found-not-remembered"
        ),
        pytest.param(crowd(clone(is_on_trial=True)), stays(Reason.BUSY), id="on-trial"),
        pytest.param(
            crowd(clone(1), clone(2, made_at=at(60), is_on_trial=True)),
            stays(Reason.BUSY),
            id="not-another-while-the-newest-is-on-trial",
        ),
        pytest.param(
            crowd(originals=(BEING_RESTARTED,)),
            stays(Reason.LAST_INSTANCE),
            id="nobody-else-while-the-original-is-being-restarted",
        ),
        pytest.param(
            crowd(originals=(BEING_RESTARTED, calm("db", 2))),
            leaves("web_new1", Reason.MANUAL),
            id="another-original-serves",
        ),
        pytest.param(
            crowd(originals=(calm(observe_only=True),)), stays(Reason.OBSERVE), id="observe"
        ),
        pytest.param(
            crowd(originals=(calm(opted_in=False),)), stays(Reason.NOT_OPTED_IN), id="opted-out"
        ),
        pytest.param(crowd(is_service=True), stays(Reason.SWARM_TASK), id="service"),
        pytest.param(
            Crowd(id=TARGET, originals=(), clones=(clone(),)),
            stays(Reason.NO_SUCH_TARGET),
            id="no-original",
        ),
    ],
)
def test_what_a_person_may_order(one: Crowd, expected: tuple[object, ...]) -> None:
    assert told(scale_in.ordered(one, now=START)) == expected


# ---------------------------------------------------------------- on the way out


def test_a_departure_says_who_leaves_and_why() -> None:
    two = crowd(clone(clone_of="web2"), originals=(calm(), calm("web2", 2)))

    one = departures.begun(
        two, Leave(clone=two.clones[0], reason=Reason.QUIET, cause="quiet"), now=CALM
    )

    assert one.container == "web_new1"
    assert one.container_id == two.clones[0].listed.id
    assert one.target == f"{ENGINE}:web2"
    assert one.group == TARGET
    assert one.status is ActivityStatus.IN_PROGRESS
    assert one.id.startswith("web2-")


@pytest.mark.parametrize(
    ("one", "reason", "ordered", "expected"),
    [
        pytest.param(crowd(), Reason.QUIET, None, None, id="it-goes-on"),
        pytest.param(crowd(is_open=True), Reason.QUIET, None, Reason.NEEDED, id="a-new-need"),
        pytest.param(crowd(is_open=True), Reason.COVER_OVER, None, Reason.NEEDED, id="of-a-cover"),
        pytest.param(
            crowd(clone(health=Health.UNHEALTHY), is_open=True),
            Reason.CLONE_DOWN,
            None,
            None,
            id="it-helps-nobody",
        ),
        pytest.param(
            crowd(is_open=True), Reason.CLONE_DOWN, None, Reason.NEEDED, id="it-serves-again"
        ),
        pytest.param(
            crowd(originals=(calm(), ILL)), Reason.QUIET, None, Reason.MIN_HEALTHY, id="one-is-ill"
        ),
        pytest.param(
            crowd(clone(clone_of="web"), originals=(calm(), ILL_DB)),
            Reason.COVER_OVER,
            None,
            None,
            id="a-cover-has-covered-another",
        ),
        pytest.param(
            crowd(clone(clone_of="db"), originals=(calm(), ILL_DB)),
            Reason.COVER_OVER,
            None,
            Reason.MIN_HEALTHY,
            id="what-it-covered-is-ill",
        ),
        pytest.param(
            crowd(originals=(BEING_RESTARTED,)),
            Reason.MANUAL,
            "anna: go",
            Reason.LAST_INSTANCE,
            id="the-other-is-being-restarted",
        ),
        pytest.param(crowd(is_open=True), Reason.MANUAL, "anna: go", None, id="a-persons-word"),
        pytest.param(
            crowd(originals=(sick(Symptom.UNKNOWN),)),
            Reason.QUIET,
            None,
            Reason.NO_FRESH_DATA,
            id="nobody-can-tell-any-more",
        ),
        pytest.param(
            crowd(originals=(guarded(pause=HALT),)), Reason.QUIET, None, Reason.PAUSE, id="paused"
        ),
        pytest.param(
            crowd(originals=(guarded(pause=HALT),)), Reason.MANUAL, "anna: go", None, id="ordered"
        ),
        pytest.param(
            crowd(originals=(ILL,)), Reason.MANUAL, "anna: go", Reason.LAST_INSTANCE, id="the-last"
        ),
        pytest.param(
            crowd(clone(state=RunState.PAUSED)),
            Reason.QUIET,
            None,
            Reason.PAUSED_CONTAINER,
            id="somebody-looks-into-it",
        ),
        pytest.param(
            crowd(clone(is_cut_off=True), is_open=True), Reason.QUIET, None, None, id="half-gone"
        ),
        pytest.param(
            crowd(clone(state=RunState.EXITED), is_open=True),
            Reason.QUIET,
            None,
            None,
            id="stopped",
        ),
    ],
)
def test_what_calls_a_departure_off(
    one: Crowd, reason: Reason, ordered: str | None, expected: Reason | None
) -> None:
    who = one.clones[0]
    begun = departures.begun(
        one, Leave(clone=who, reason=reason, cause="x"), now=START, ordered=ordered
    )

    stay = departures.keeps(one, who, begun, BRAKE, now=CALM)

    assert (stay.reason if stay is not None else None) == expected


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        pytest.param(calm(), False, id="seen"),
        pytest.param(calm(view=EngineView.DOWN, container=None), True, id="down"),
        pytest.param(calm(view=EngineView.AMBIGUOUS, container=None), True, id="ambiguous"),
        pytest.param(calm(view=EngineView.GONE, container=None), False, id="gone"),
        pytest.param(guarded(is_blind=True), True, id="blind"),
    ],
)
def test_what_cannot_be_told_is_no_news(original: Observation, expected: bool) -> None:
    assert departures.is_untold(crowd(originals=(calm("db", 9), original))) is expected


@pytest.mark.parametrize(
    ("reason", "seconds", "expected"),
    [
        (Reason.QUIET, 29, False),
        (Reason.QUIET, 30, True),
        (Reason.CLONE_DOWN, 0, True),
    ],
)
def test_how_long_a_quiet_moment_is_waited_for(
    reason: Reason, seconds: float, expected: bool
) -> None:
    one = crowd()
    begun = departures.begun(one, Leave(clone=one.clones[0], reason=reason, cause="x"), now=START)

    assert departures.is_drained(begun, timedelta(seconds=30), now=at(seconds)) is expected


def used(seconds: float, network: int | None, *, started: str = "s") -> Used:
    return Used(at=at(seconds), started_at=started, cpu_seconds=0.0, network_bytes=network)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(used(0, 1000), used(1, 1000), True, id="nothing"),
        pytest.param(used(0, 1000), used(1, 1400), True, id="a-few-keep-alives"),
        pytest.param(used(0, 1000), used(1, 1401), False, id="a-request"),
        pytest.param(used(0, 1000), used(2, 1800), True, id="in-two-seconds"),
        pytest.param(used(0, 1000), used(1, 0, started="t"), False, id="started-anew"),
        pytest.param(None, used(1, 1000), False, id="only-once"),
        pytest.param(used(0, 1000), None, False, id="cannot-be-told"),
        pytest.param(used(0, None), used(1, None), False, id="in-the-hosts-network"),
        pytest.param(used(1, 1000), used(1, 1000), False, id="at-one-moment"),
    ],
)
def test_what_is_quiet(before: Used | None, after: Used | None, expected: bool) -> None:
    assert departures.is_quiet(before, after) is expected


def test_a_story_of_the_group_is_a_need() -> None:
    assert scale_in.is_needed(crowd(is_open=True, originals=(calm(remediation=remediation()),)))
