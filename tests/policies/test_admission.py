"""What the gate lets through, and what it keeps back: a row for each word, on both sides."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from app.domain.container import Container, Health, RunState
from app.domain.gate import Bar, Fence, Trace, Verb
from app.policies.admission import Ask, Scene, barred
from app.policies.protect import Ourselves
from app.policies.roster import Roster
from app.policies.spec import (
    Enable,
    Guards,
    Match,
    Mode,
    Policy,
    RestartRules,
    Rulebook,
    ScaleOutRules,
    Sharing,
    SourceAfterwards,
)
from tests.builders import container, hex_id, listed

NOW = 1000.0
IN = {"relevo.enable": "true"}
SHARES = ScaleOutRules(shared_volumes=Sharing.ALLOW)
NETWORKS = '{"front":{}}'


def ask(verb: Verb = Verb.RESTART, **more: Any) -> Ask:
    values: dict[str, Any] = {
        "verb": verb,
        "about": hex_id(1),
        "attempt_id": "a",
        "fence": Fence(epoch="e", number=5),
        "sent_at": NOW,
        "not_after": NOW + 10,
    }
    return Ask(**values | more)


def web(**more: Any) -> Container:
    return container("web", 1, **{"labels": IN} | more)


def scene(seen: Container | None = None, others: Iterable[Any] = (), **more: Any) -> Scene:
    """What the gate sees: one container that has opted in, and others."""
    seen = web() if seen is None else seen
    book = more.pop("rulebook", Rulebook())
    roster = Roster(
        "engine",
        (seen, *others),
        prefix="relevo",
        enable=book.enable,
        protected=book.guards.protected,
        ourselves=more.pop("ourselves", Ourselves()),
    )
    values: dict[str, Any] = {
        "now": NOW,
        "is_stopped": False,
        "mode": Mode.ENFORCE,
        "fence": Fence(epoch="e", number=5),
        "old_epochs": frozenset({"past"}),
        "highest": 9,
        "rulebook": book,
        "prefix": "relevo",
        "roster": roster,
        "seen": seen,
        "member": roster.members[0],
        "busy": frozenset(),
        "making": (),
        "traces": (),
        "is_made_by_us": False,
        "tokens": 1.0,
        "is_charged": False,
    }
    return Scene(**values | more)


def word(asked: Ask, seen: Scene) -> Bar | None:
    found = barred(asked, seen)
    return None if found is None else found.bar


def clone_of_web(number: int = 2, **labels: str) -> Any:
    marks = {"relevo.clone-of": "web", "relevo.attempt": "z"}
    return listed(f"web_new{number}", number, labels=IN | marks | labels)


def trace(verb: Verb, **more: Any) -> Trace:
    values: dict[str, Any] = {
        "verb": verb,
        "about": hex_id(1),
        "attempt_id": "z",
        "at": NOW,
        "boot": "b",
        "takes": timedelta(seconds=30),
        "before": "",
        "charged": True,
    }
    return Trace(**values | more)


# ---------------------------------------------------------------- who, when, whose


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(scene(), None, id="in-order"),
        pytest.param(scene(is_stopped=True), Bar.STOP, id="the-stop-file"),
        pytest.param(scene(mode=Mode.OBSERVE), Bar.OBSERVE, id="the-gate-observes"),
        pytest.param(scene(web(labels={})), Bar.NOT_OPTED_IN, id="no-label"),
        pytest.param(scene(web(labels={"relevo.enable": "no"})), Bar.NOT_OPTED_IN, id="opted-out"),
        pytest.param(scene(web(labels={"relevo.enable": "observe"})), Bar.OBSERVE, id="observed"),
        pytest.param(
            scene(web(labels={}), rulebook=Rulebook(enable=(Enable(name="web"),))),
            None,
            id="in-the-file",
        ),
        pytest.param(
            scene(web(labels={}), rulebook=Rulebook(enable=(Enable(name="we"),))),
            Bar.NOT_OPTED_IN,
            id="another-in-the-file",
        ),
        pytest.param(
            scene(web(labels=IN | {"relevo.protected": "true"})), Bar.PROTECTED, id="by-label"
        ),
        pytest.param(scene(web(image="x/relevo:1")), Bar.PROTECTED, id="by-image"),
        pytest.param(
            scene(ourselves=Ourselves(container_id=hex_id(1))), Bar.PROTECTED, id="the-gate-itself"
        ),
        pytest.param(
            scene(rulebook=Rulebook(guards=Guards(protected=("web",)))),
            Bar.PROTECTED,
            id="by-the-file",
        ),
        pytest.param(
            scene(web(labels=IN | {"com.docker.swarm.service.name": "s"})),
            Bar.NOT_OURS,
            id="a-task-of-swarm",
        ),
        pytest.param(
            scene(rulebook=Rulebook(defaults=Policy(mode=Mode.OBSERVE))),
            Bar.OBSERVE,
            id="every-policy-observes",
        ),
        pytest.param(scene(tokens=0.99), Bar.BUDGET, id="an-empty-bucket"),
        pytest.param(scene(tokens=0.0, is_charged=True), None, id="paid-already"),
    ],
)
def test_whom(seen: Scene, expected: Bar | None) -> None:
    assert word(ask(), seen) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(ask(not_after=NOW), None, id="at-the-last-moment"),
        pytest.param(ask(not_after=NOW - 0.001), Bar.LATE, id="a-moment-late"),
        pytest.param(ask(not_after=inf), None, id="no-end"),
        pytest.param(ask(sent_at=NOW - 10), None, id="ten-seconds-on-its-way"),
        pytest.param(ask(sent_at=NOW - 10.1), Bar.LATE, id="it-lay-around"),
        pytest.param(ask(sent_at=NOW + 1.1), Bar.LATE, id="by-another-clock"),
        pytest.param(ask(not_after=float("nan")), Bar.LATE, id="no-number"),
        pytest.param(ask(fence=Fence(epoch="e", number=5)), None, id="this-tenure"),
        pytest.param(ask(fence=Fence(epoch="e", number=6)), None, id="the-next"),
        pytest.param(ask(fence=Fence(epoch="e", number=4)), Bar.OLD_FENCE, id="the-one-before"),
        pytest.param(ask(fence=Fence(epoch="new", number=1)), None, id="a-new-history"),
        pytest.param(ask(fence=Fence()), Bar.OLD_FENCE, id="no-tenure-where-there-were-some"),
        pytest.param(ask(fence=Fence(epoch="past", number=9)), Bar.OLD_FENCE, id="an-old-one"),
        pytest.param(ask(fence=Fence(epoch="past", number=10)), None, id="put-back-and-gone-on"),
        pytest.param(ask(expected_started_at=web().started_at), None, id="as-expected"),
        pytest.param(
            ask(expected_started_at="2026-11-22T00:00:00Z"),
            Bar.RESTARTED_MEANWHILE,
            id="started-meanwhile",
        ),
    ],
)
def test_when(asked: Ask, expected: Bar | None) -> None:
    assert word(asked, scene()) == expected


# ---------------------------------------------------------------- by whose rules

WITH = Rulebook(
    policies=(
        (Match(labels={"a": "b"}), Policy(name="other", scale_out=SHARES)),
        (Match(), Policy(name="slow", restart=RestartRules(stop_grace=timedelta(minutes=2)))),
        (Match(), Policy(name="off", scale_out=ScaleOutRules(enabled=False))),
    )
)
AT_ONCE = Rulebook(defaults=Policy(restart=RestartRules(stop_grace=timedelta(0))))


@pytest.mark.parametrize(
    ("asked", "seen", "expected"),
    [
        pytest.param(ask(stop_grace=timedelta(seconds=10)), scene(), None, id="its-own-grace"),
        pytest.param(
            ask(stop_grace=timedelta(seconds=9)), scene(), Bar.OTHER_GRACE, id="a-shorter-one"
        ),
        pytest.param(
            ask(stop_grace=timedelta(seconds=11)), scene(), Bar.OTHER_GRACE, id="a-longer-one"
        ),
        pytest.param(
            ask(stop_grace=timedelta(minutes=2)), scene(rulebook=WITH), None, id="a-policy-s"
        ),
        pytest.param(
            ask(stop_grace=timedelta(0)),
            scene(rulebook=AT_ONCE),
            None,
            id="a-policy-that-kills-at-once",
        ),
        pytest.param(ask(Verb.CLONE, rules=ScaleOutRules()), scene(), None, id="the-defaults"),
        pytest.param(
            ask(Verb.CLONE, rules=ScaleOutRules(warm_up=timedelta(hours=1))),
            scene(),
            None,
            id="what-is-waited-for-is-not-ours",
        ),
        pytest.param(
            ask(Verb.CLONE, rules=SHARES),
            scene(rulebook=WITH),
            Bar.OTHER_RULES,
            id="a-policy-of-others",
        ),
        pytest.param(
            ask(Verb.CLONE, rules=SHARES),
            scene(web(labels=IN | {"a": "b"}), rulebook=WITH),
            None,
            id="a-policy-of-its-own",
        ),
        pytest.param(
            ask(Verb.CLONE, rules=ScaleOutRules()),
            scene(web(labels=IN | {"relevo.policy": "off"}), rulebook=WITH),
            Bar.OTHER_RULES,
            id="never-scaled-out",
        ),
        pytest.param(
            ask(Verb.CLONE, rules=ScaleOutRules(source=SourceAfterwards.STOP)),
            scene(),
            Bar.OTHER_RULES,
            id="the-source-stays",
        ),
        pytest.param(
            ask(Verb.BRING_BACK, networks=NETWORKS), scene(), Bar.OTHER_NETWORKS, id="made-up"
        ),
        pytest.param(ask(Verb.BRING_BACK, networks=""), scene(), None, id="none"),
        pytest.param(
            ask(Verb.BRING_BACK, networks=NETWORKS),
            scene(others=[clone_of_web(2, **{"relevo.source-networks": NETWORKS})]),
            None,
            id="its-clone-says-so",
        ),
        pytest.param(
            ask(Verb.BRING_BACK, networks=NETWORKS),
            scene(traces=(trace(Verb.SET_ASIDE, networks=NETWORKS),)),
            None,
            id="the-journal-says-so",
        ),
        pytest.param(ask(Verb.SCALE, step=1), scene(), None, id="one-more"),
        pytest.param(ask(Verb.SCALE, step=-1), scene(), None, id="one-less"),
        pytest.param(ask(Verb.SCALE, step=2), scene(), Bar.OTHER_STEP, id="two-more"),
        pytest.param(ask(Verb.SCALE, step=0), scene(), Bar.OTHER_STEP, id="none-more"),
    ],
)
def test_by_whose_rules(asked: Ask, seen: Scene, expected: Bar | None) -> None:
    assert word(asked, seen) == expected


# ---------------------------------------------------------------- how many

MAKES = ask(Verb.CLONE, rules=ScaleOutRules())
TWO = [clone_of_web(2), clone_of_web(3)]
ELSEWHERE = [
    listed(f"x{number}", number, labels={"relevo.clone-of": "y"}) for number in range(10, 19)
]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(scene(others=TWO[:1]), None, id="a-third-may-be"),
        pytest.param(scene(others=TWO), Bar.AT_MAX, id="a-fourth-may-not"),
        pytest.param(
            scene(others=TWO[:1], making=("engine:web",)), Bar.AT_MAX, id="one-is-being-made"
        ),
        pytest.param(
            scene(others=[TWO[0], clone_of_web(3, **{"relevo.attempt": "a"})]),
            None,
            id="its-own-half-made-one",
        ),
        pytest.param(
            scene(web(labels=IN | {"relevo.max-instances": "4"}), others=TWO), None, id="by-label"
        ),
        pytest.param(
            scene(
                others=[listed("x1", 10, labels={"relevo.clone-of": "y", "relevo.attempt": "a"})]
            ),
            Bar.DONE_ALREADY,
            id="it-has-made-one-of-another",
        ),
        pytest.param(scene(others=ELSEWHERE), None, id="the-tenth-clone"),
        pytest.param(
            scene(others=[*ELSEWHERE, clone_of_web()]), Bar.MAX_CLONES, id="not-the-eleventh"
        ),
        pytest.param(
            scene(others=ELSEWHERE, making=("engine:q",)), Bar.MAX_CLONES, id="one-is-being-made"
        ),
    ],
)
def test_how_many_clones(seen: Scene, expected: Bar | None) -> None:
    assert word(MAKES, seen) == expected


def other(**more: Any) -> Any:
    return replace(clone_of_web(), **more)


DOWN = RunState.EXITED


@pytest.mark.parametrize(
    ("verb", "seen", "expected"),
    [
        pytest.param(Verb.RESTART, scene(), None, id="alone"),
        pytest.param(Verb.SET_ASIDE, scene(), Bar.MIN_HEALTHY, id="alone-it-stays"),
        pytest.param(Verb.RESTART, scene(others=[other()]), None, id="another-serves"),
        pytest.param(Verb.SET_ASIDE, scene(others=[other()]), None, id="another-serves-instead"),
        pytest.param(
            Verb.RESTART, scene(others=[other(state=DOWN)]), Bar.MIN_HEALTHY, id="another-is-down"
        ),
        pytest.param(
            Verb.RESTART,
            scene(others=[other(health=Health.UNHEALTHY)]),
            Bar.MIN_HEALTHY,
            id="another-is-ill",
        ),
        pytest.param(
            Verb.RESTART,
            scene(others=[other(is_cut_off=True)]),
            Bar.MIN_HEALTHY,
            id="another-is-isolated",
        ),
        pytest.param(
            Verb.RESTART,
            scene(others=[other()], busy=frozenset({hex_id(2)})),
            Bar.MIN_HEALTHY,
            id="another-is-being-restarted",
        ),
        pytest.param(
            Verb.RESTART,
            scene(web(health=Health.UNHEALTHY), others=[other(state=DOWN)]),
            None,
            id="it-does-not-serve",
        ),
        pytest.param(Verb.START, scene(others=[other(state=DOWN)]), None, id="a-start"),
    ],
)
def test_somebody_serves(verb: Verb, seen: Scene, expected: Bar | None) -> None:
    assert word(ask(verb), seen) == expected


@pytest.mark.parametrize(
    ("ends", "seen", "expected"),
    [
        pytest.param(web().started_at, scene(), Bar.MIN_HEALTHY, id="nobody-else"),
        pytest.param(web().started_at, scene(others=[other()]), None, id="another-serves"),
        pytest.param(web().started_at, scene(web(is_cut_off=True)), None, id="off-its-networks"),
        pytest.param("2026-11-22T00:00:00Z", scene(), None, id="of-another-life"),
        pytest.param(None, scene(), None, id="it-goes-on"),
    ],
)
def test_what_is_brought_back_is_not_stopped_where_nobody_else_serves(
    ends: str | None, seen: Scene, expected: Bar | None
) -> None:
    """Whoever asks may end its life and not start it again."""
    assert word(ask(Verb.BRING_BACK, networks="", ends=ends), seen) == expected


# ---------------------------------------------------------------- what we may undo

CLONE = replace(web(), labels={"relevo.clone-of": "web", "relevo.attempt": "z"})
SOURCE = listed("web", 2, labels=IN)


@pytest.mark.parametrize(
    ("verb", "seen", "expected"),
    [
        pytest.param(Verb.REMOVE_CLONE, scene(others=[SOURCE]), Bar.NOT_OURS, id="no-clone"),
        pytest.param(
            Verb.REMOVE_CLONE,
            scene(replace(CLONE, labels={**CLONE.labels, **IN}), others=[SOURCE]),
            None,
            id="a-clone",
        ),
        pytest.param(
            Verb.REMOVE_CLONE,
            scene(CLONE, others=[SOURCE]),
            Bar.NOT_OPTED_IN,
            id="a-clone-that-nobody-knows",
        ),
        pytest.param(
            Verb.REMOVE_CLONE,
            scene(CLONE, others=[SOURCE], is_made_by_us=True),
            None,
            id="a-clone-that-was-made-here",
        ),
        pytest.param(
            Verb.REMOVE_CLONE,
            scene(CLONE, is_made_by_us=True),
            Bar.MIN_HEALTHY,
            id="never-the-last-one",
        ),
        pytest.param(
            Verb.BRING_BACK,
            scene(web(labels={}), traces=(trace(Verb.SET_ASIDE),)),
            None,
            id="set-aside-here",
        ),
        pytest.param(Verb.BRING_BACK, scene(web(labels={})), Bar.NOT_OPTED_IN, id="by-others"),
        pytest.param(
            Verb.RESTART,
            scene(CLONE, others=[SOURCE], is_made_by_us=True),
            Bar.NOT_OPTED_IN,
            id="made-here-is-no-leave-to-restart",
        ),
    ],
)
def test_what_was_done_here_may_be_undone(verb: Verb, seen: Scene, expected: Bar | None) -> None:
    assert word(ask(verb), seen) == expected
