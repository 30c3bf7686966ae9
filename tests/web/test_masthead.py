"""The head of every page answers: is it about to touch something?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.controller.board import Fleet, Line, Past
from app.controller.courier import Deliveries
from app.controller.desk import TargetView
from app.controller.headcount import Headcount
from app.controller.overview import Precision, StatusView
from app.controller.tenure import TenureView
from app.domain.control import Brake, Halt
from app.domain.decision import Action, Reason
from app.domain.fidelity import Fate, FidelityItem, FidelityReport
from app.domain.remediation import Remediation, State
from app.policies.spec import Mode, Rulebook
from app.web.masthead import headline, masthead
from app.web.rows import Row, rows
from tests.builders import START, at, remediation

FAITHFUL = FidelityReport(items=(), traffic="alias")
PAUSE = Halt(reason="moving", author="ana", since=START)


def status(**more: Any) -> StatusView:
    values: dict[str, Any] = {
        "engine": "host1",
        "mode": Mode.ENFORCE,
        "store_trouble": (),
        "store_warnings": (),
        "engine_trouble": (),
        "tenure": TenureView(role="leading", trouble=(), is_ready=True, term=1),
        "states": {},
        "failing_targets": 0,
        "pause": None,
        "holds": {},
        "brake": Brake(),
        "budget_left": (3, 30),
        "precision": Precision(),
        "asides": (),
    }
    return StatusView(**(values | more))


def view(record: Remediation | None, name: str = "web", **more: Any) -> TargetView:
    values: dict[str, Any] = {
        "target": f"host1:{name}",
        "container": name,
        "group": f"host1:{name}",
        "mode": Mode.ENFORCE,
        "state": State.OK if record is None else record.state,
        "remediation": record,
        "policy": "default",
        "failures": 0,
        "hold": None,
        "headcount": Headcount(least=1, desired=1, instances=1, clones=(), stays=None),
        "max_instances": 3,
        "cooling_until": None,
        "readiness": FAITHFUL,
    }
    return TargetView(**(values | more))


def line(record: Remediation | None = None, name: str = "web", **more: Any) -> Line:
    shown = view(record, name, **more)
    return Line(target=shown.target, container=name, view=shown, remediation=record, born=at(-9000))


def waiting(name: str = "web", seconds: float = 60, **more: Any) -> Remediation:
    values: dict[str, Any] = {
        "target": f"host1:{name}",
        "next_action": Action.RESTART,
        "next_at": at(seconds),
    }
    return remediation(**(values | more))


def fleet(*lines: Line, around: StatusView | None = None, trouble: tuple[str, ...] = ()) -> Fleet:
    return Fleet(
        now=START,
        status=around or status(),
        lines=lines,
        past=Past(since=at(-3600)),
        trouble=trouble,
    )


def remembered(record: Remediation | None = None) -> Line:
    """A line as it is shown while store or engine is away."""
    return replace(line(record), view=None)


SOON = line(waiting())
STANDING_BY = ("another controller leads (a); this one stands by",)
FOLLOWING = TenureView(role="following", trouble=STANDING_BY, is_ready=True, term=1)
FOREIGN = TenureView(
    role="following", trouble=("this Redis belongs to the engine 'b'",), is_ready=False, term=1
)
STILL = TenureView(role="leading", trouble=("the store was emptied",), is_ready=False, term=1)


@pytest.mark.parametrize(
    ("shown", "tone", "said"),
    [
        pytest.param(fleet(line()), "calm", "Nothing is about to be touched", id="nothing"),
        pytest.param(fleet(), "calm", "Nothing is about to be touched", id="nobody"),
        pytest.param(fleet(SOON), "soon", "Next: restart of", id="next"),
        pytest.param(
            fleet(line(remediation(state=State.ACTING))), "now", "Acting now on", id="acting"
        ),
        pytest.param(
            fleet(SOON, line(remediation(state=State.ACTING), "a")),
            "now",
            "Acting now on",
            id="acting-before-next",
        ),
        pytest.param(
            fleet(SOON, around=status(pause=PAUSE)), "stopped", "Paused: nothing", id="paused"
        ),
        pytest.param(
            fleet(line(remediation(state=State.ACTING)), around=status(pause=PAUSE)),
            "now",
            "Acting now on",
            id="what-has-begun-is-finished",
        ),
        pytest.param(
            fleet(SOON, around=status(brake=Brake(engaged_at=START, failing=4))),
            "stopped",
            "Brake: too much",
            id="brake",
        ),
        pytest.param(
            fleet(SOON, around=status(mode=Mode.OBSERVE)), "calm", "Observing", id="observing"
        ),
        pytest.param(
            fleet(SOON, around=status(tenure=FOLLOWING)),
            "soon",
            "Next, by the other controller: restart of",
            id="following",
        ),
        pytest.param(
            fleet(line(), around=status(tenure=FOLLOWING)),
            "calm",
            "Nothing is about to be touched",
            id="following-nothing",
        ),
        pytest.param(
            fleet(line(remediation(state=State.ACTING)), around=status(tenure=FOLLOWING)),
            "now",
            "The other controller acts now on",
            id="following-acting",
        ),
        pytest.param(
            fleet(SOON, around=status(tenure=FOLLOWING, pause=PAUSE)),
            "stopped",
            "Paused: nothing",
            id="following-paused",
        ),
        pytest.param(
            fleet(SOON, around=status(tenure=FOLLOWING, mode=Mode.OBSERVE)),
            "soon",
            "Next, by the other controller: restart of",
            id="following-and-observing-itself",
        ),
        pytest.param(
            fleet(SOON, around=status(tenure=FOREIGN)),
            "stopped",
            "This controller does not act",
            id="somebody-else's-store",
        ),
        pytest.param(
            fleet(remembered(), trouble=("the store does not answer: gone",)),
            "trouble",
            "not known now",
            id="nobody-can-tell",
        ),
        pytest.param(
            fleet(remembered(waiting()), around=status(holds={"host1:web": PAUSE})),
            "calm",
            "Nothing is about",
            id="held-and-only-remembered",
        ),
        pytest.param(
            fleet(SOON, around=status(tenure=STILL)), "stopped", "holds still", id="in-doubt"
        ),
        pytest.param(
            fleet(SOON, around=status(store_trouble=("gone",))), "trouble", "its store", id="store"
        ),
        pytest.param(
            fleet(SOON, around=status(engine_trouble=("gone",))), "trouble", "engine", id="engine"
        ),
        pytest.param(
            fleet(line(waiting(), hold=PAUSE)), "calm", "Nothing is about", id="held-by-a-person"
        ),
        pytest.param(
            fleet(line(waiting(), mode=Mode.OBSERVE)), "calm", "Nothing is about", id="observed"
        ),
    ],
)
def test_the_headline(shown: Fleet, tone: str, said: str) -> None:
    made = headline(shown)

    assert made.tone == tone
    assert said in made.said


def test_the_soonest_is_told_with_its_time() -> None:
    later = line(waiting("a", 120), "a")
    sooner = line(waiting("b", 30), "b")

    made = headline(fleet(later, sooner))

    assert (made.target, made.at) == ("host1:b", at(30))
    assert made.more == "1 other planned after it"


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (status(store_trouble=("refused",)), "store: refused"),
        (status(store_warnings=("no fsync",)), "store: no fsync"),
        (status(engine_trouble=("silent",)), "container engine: silent"),
        (status(tenure=STILL), "holding still: the store was emptied"),
        (status(budget_left=(0, 12)), "the budget is spent"),
    ],
)
def test_trouble_is_told_at_a_glance(around: StatusView, said: str) -> None:
    assert any(said in one for one in masthead(fleet(around=around)).trouble)


def test_what_is_told_late_is_a_remark() -> None:
    late = Deliveries(pending=3, trouble="Grafana answered 401")
    (said,) = masthead(fleet(around=status(deliveries=late))).remarks

    assert said == "Grafana is not told what is done (3 annotations behind): Grafana answered 401"
    for well in (None, Deliveries(), Deliveries(pending=2)):
        assert masthead(fleet(around=status(deliveries=well))).remarks == ()


def test_nothing_is_stated_that_the_store_keeps_while_it_is_away() -> None:
    assert masthead(fleet()).is_known
    assert not masthead(fleet(around=status(store_trouble=("gone",)))).is_known


# --------------------------------------------------------------------- rows


def made(*lines: Line, around: StatusView | None = None) -> tuple[Row, ...]:
    return rows(fleet(*lines, around=around), Rulebook(), prefix="relevo")


def test_the_ill_come_first_and_of_these_what_is_due_soonest() -> None:
    states = [State.SETTLING, State.HELD, State.QUARANTINED, State.VERIFYING, State.COOLDOWN]
    lines = [
        line(None, "well"),
        *(line(remediation(target=f"host1:{s}", state=s), s.value) for s in states),
        line(waiting("late", 90), "late"),
        line(waiting("soon", 30), "soon"),
        line(None, "also-well"),
    ]

    assert [row.slot for row in made(*lines)] == [
        "quarantined",
        "soon",
        "late",
        "held",
        "verifying",
        "settling",
        "cooldown",
        "also-well",
        "well",
    ]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, ""),
        (waiting(), "restart"),
        (waiting(next_action=Action.SCALE_OUT), "scale out"),
        (remediation(state=State.VERIFYING, reason=Reason.DEADLINE), "its verdict"),
        (remediation(state=State.QUARANTINED), "nothing, until its alerts are gone"),
        (remediation(state=State.HELD, reason=Reason.HOLD), "nothing while it is held"),
        (remediation(state=State.HELD, reason=Reason.PAUSE), "nothing until Relevo is resumed"),
        (remediation(state=State.HELD, reason=Reason.OBSERVE), "nothing: it is only watched"),
        (remediation(state=State.HELD, reason=Reason.BUDGET), "looked at again"),
    ],
)
def test_what_comes_next(record: Remediation | None, said: str) -> None:
    (row,) = made(line(record))

    assert row.next_said.startswith(said)
    assert bool(row.next_said) == bool(said)


@pytest.mark.parametrize(
    ("one", "around", "blocked"),
    [
        (line(waiting()), None, None),
        (line(waiting(), hold=PAUSE), None, "held by ana"),
        (line(waiting()), status(pause=PAUSE), "Relevo is paused"),
        (line(waiting(), mode=Mode.OBSERVE), None, "only observed: nothing is done"),
    ],
)
def test_what_stands_in_the_way_of_what_is_planned(
    one: Line, around: StatusView | None, blocked: str | None
) -> None:
    (row,) = made(one, around=around)

    assert row.blocked == blocked


def refused(reason: str | None, detail: str = "because") -> FidelityReport:
    item = FidelityItem(field="Mounts", fate=Fate.REFUSED, detail=detail, reason=reason)
    return FidelityReport(items=(item,), traffic="alias")


FULL = Headcount(least=1, desired=3, instances=3, clones=(), stays=None)


@pytest.mark.parametrize(
    ("change", "can", "brief", "said", "fix"),
    [
        ({}, True, "by alias", "its network alias", ""),
        (
            {"readiness": FidelityReport(items=(), traffic="host_port")},
            True,
            "by host port",
            "a port of the host",
            "",
        ),
        ({"readiness": None}, None, "not known", "cannot say", ""),
        (
            {"readiness": refused("shared_volume")},
            False,
            "shared volume",
            "both would write",
            "read-only",
        ),
        (
            {"readiness": refused("data_in_layer")},
            False,
            "data in layer",
            "keeps files in the container itself",
            "relevo.stateless=true",
        ),
        ({"readiness": refused("something_new")}, False, "something new", "because", ""),
        ({"readiness": refused(None)}, False, "refused", "because", ""),
        ({"headcount": FULL}, False, "at its maximum", "3 instances of at most 3", "max-instances"),
        ({"cooling_until": at(90)}, True, "after its cooldown, 1m30s", "alias", ""),
        ({"cooling_until": at(-1)}, True, "by alias", "alias", ""),
    ],
)
def test_whether_relief_is_possible(
    change: dict[str, Any], can: bool | None, brief: str, said: str, fix: str
) -> None:
    (row,) = made(line(None, **change))

    assert row.relief.can is can
    assert row.relief.brief == brief
    assert said in row.relief.said
    assert fix in row.relief.fix
    assert bool(row.relief.fix) == bool(fix)


def test_what_is_not_known_is_not_made_up() -> None:
    known = line(waiting())
    (row,) = made(replace(known, view=None))
    (unknown,) = made(replace(line(), view=None))

    assert (row.state, row.failures, row.instances, row.relief.can) == ("waiting", None, None, None)
    assert (unknown.state, unknown.next_said) == ("unknown", "not known")


def test_a_hold_is_seen_where_a_line_is_only_remembered() -> None:
    (row,) = made(remembered(waiting()), around=status(holds={"host1:web": PAUSE}))

    assert (row.hold, row.blocked) == (PAUSE, "held by ana")


def test_every_state_has_words_and_a_place() -> None:
    check: Callable[[State], Row] = lambda state: made(line(remediation(state=state)))[0]  # noqa: E731

    for state in State:
        if state not in (State.OK, State.CLOSED):
            row = check(state)
            assert row.rank < 7
            assert row.state_said != state
