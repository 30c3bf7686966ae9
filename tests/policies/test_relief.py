"""Around a scale-out: under cover, after a scale-in, and the strategies; row by row."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.container import Health, RunState
from app.domain.decision import (
    Action,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Follow,
    Hold,
    Reason,
    Rehearse,
    Restart,
    ScaleOut,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import GuardView, Observation, Refusal, Sickness, Symptom
from app.domain.remediation import Attempt, Remediation, Trigger
from app.domain.usage import SideBySide, Used
from app.policies import attempts, story
from app.policies.ladder import next_step
from app.policies.spec import Guards, Patience, Policy, RestartRules, ScaleOutRules, Strategy
from tests.builders import START, at, attempt, container, group, hex_id, listed, remediation, seen

POLICY = Policy()
SCALE_FIRST = Policy(strategy=Strategy.SCALE_FIRST)
RELIEVE_FIRST = Policy(strategy=Strategy.RELIEVE_FIRST)
CLONE = container("web_new", 9)
REFUSAL = Refusal(reason=Reason.SHARED_VOLUME, detail="writes to volume data")
CLONE_SICK = Sickness(symptom=Symptom.ACTIVE, on_source=False)


def decide(
    observation: Observation,
    waited: float,
    policy: Policy = POLICY,
    rules: Guards = Guards(),  # noqa: B008 - frozen
) -> Decision:
    return next_step(observation, policy, Patience(), now=at(waited), rules=rules)


def out(number: int = 1, **more: Any) -> Attempt:
    """A scale-out that was carried out at `START`, and was not enough."""
    values: dict[str, Any] = {
        "id": f"web-1.{number}",
        "action": Action.SCALE_OUT,
        "reason": Reason.WINDOW_FULL,
        "clone": "web_new",
        "clone_id": CLONE.id,
        "verdict": Verdict.SYMPTOM_PERSISTS,
        "finished_at": at(660),
    }
    return attempt(**(values | more))


def cover(number: int = 1, **more: Any) -> Attempt:
    values = {"reason": Reason.COVER, "verdict": Verdict.RELIEVED, "verdict_reason": Reason.COVER}
    return out(number, **(values | more))


def again(number: int, when: float, **more: Any) -> Attempt:
    """A restart of ours that did not help."""
    values: dict[str, Any] = {
        "id": f"web-1.{number}",
        "reason": Reason.BACKOFF,
        "intent_at": at(when),
        "acted_at": at(when),
        "verdict": Verdict.SYMPTOM_PERSISTS,
    }
    return attempt(**(values | more))


def scaled(*past: Attempt, up_at: float | None = 60, **more: Any) -> Observation:
    """A target that its clone, which runs, has not relieved."""
    record = remediation(attempts=past, scaled_out_at=None if up_at is None else at(up_at))
    values: dict[str, Any] = {
        "remediation": record,
        "group": group(instances=2, clones=(listed("web_new", 9),)),
        "guards": GuardView(others=1, serving_others=1, clones=1),
    }
    return seen(**(values | more))


# ---------------------------------------------------------------- under cover

FULL = group(instances=3, clones=(listed("web_new", 9), listed("web_new2", 10)))
UNDER = Reason.UNDER_COVER


@pytest.mark.parametrize(
    ("observation", "now", "policy", "expected"),
    [
        pytest.param(scaled(out()), 660, POLICY, Restart(UNDER), id="once"),
        pytest.param(
            scaled(out(verdict=Verdict.CANCELLED, verdict_reason=Reason.SILENCED)),
            659,
            POLICY,
            Hold(at(660), Reason.COOLDOWN),
            id="not-before-the-cooldown-is-over",
        ),
        pytest.param(
            scaled(out(), again(2, 660, reason=UNDER)),
            900,
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="and-only-once",
        ),
        pytest.param(
            scaled(out(), again(2, 660, reason=UNDER, acted_at=None, verdict=Verdict.CANCELLED)),
            900,
            POLICY,
            Restart(UNDER),
            id="one-that-was-called-off-in-the-last-moment-was-none",
        ),
        pytest.param(
            scaled(out(), again(2, 660, reason=UNDER), out(3, acted_at=at(700)), group=FULL),
            1400,
            POLICY,
            Escalate(Reason.AT_MAX, "3 of 3 instances exist already"),
            id="then-the-maximum-ends-it",
        ),
        pytest.param(
            scaled(again(1, -400, trigger=Trigger.AUTOMATIC), out(2)),
            660,
            POLICY,
            Restart(UNDER),
            id="those-before-the-clone-do-not-count-as-it",
        ),
        pytest.param(
            scaled(out(), again(2, 300, trigger=Trigger.FOREIGN)),
            660,
            POLICY,
            Restart(UNDER),
            id="nor-does-that-of-somebody-else",
        ),
        pytest.param(
            scaled(out(), sickness=CLONE_SICK),
            660,
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="not-for-its-clones-illness",
        ),
        pytest.param(
            scaled(out(), group=group(instances=1)),
            660,
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="not-without-a-clone",
        ),
        pytest.param(
            scaled(
                out(), group=group(instances=2, clones=(listed("n", 9, health=Health.UNHEALTHY),))
            ),
            660,
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="not-beside-a-clone-that-does-not-serve",
        ),
        pytest.param(
            scaled(out(), group=group(instances=2, clones=(listed("n", 10),))),
            660,
            POLICY,
            ScaleOut(Reason.ALREADY_SCALED),
            id="not-for-another-storys-clone",
        ),
        pytest.param(
            scaled(out()),
            660,
            SCALE_FIRST,
            ScaleOut(Reason.ALREADY_SCALED),
            id="never-for-load",
        ),
        pytest.param(
            scaled(out(), observe_only=True),
            660,
            POLICY,
            Rehearse(Action.RESTART, UNDER),
            id="observe-mode-rehearses-it",
        ),
    ],
)
def test_what_is_still_ill_gets_one_restart_under_cover(
    observation: Observation, now: float, policy: Policy, expected: Decision
) -> None:
    assert decide(observation, now, policy) == expected


def test_under_cover_the_guards_hold_as_ever() -> None:
    observation = scaled(out())
    deploying = replace(observation.guards, deploy_until=at(700))

    step = decide(replace(observation, guards=deploying), 660)

    assert step == Hold(at(675), Reason.DEPLOY)


@pytest.mark.parametrize("verdict", [one for one in Verdict if one.counts])
def test_a_restart_under_cover_never_counts(verdict: Verdict) -> None:
    assert attempt(verdict=verdict).is_failed_restart
    assert not attempt(verdict=verdict, reason=UNDER).is_failed_restart


# ---------------------------------------------------------------- after a scale-in

HOUR = POLICY.restart.window.total_seconds()
LATELY = Reason.SCALED_IN_LATELY


def lately(left_at: float = 0, **more: Any) -> Observation:
    return seen(group=group(left_at=at(left_at)), **more)


@pytest.mark.parametrize(
    ("observation", "now", "policy", "expected"),
    [
        pytest.param(lately(), 5, POLICY, ScaleOut(LATELY), id="at-once"),
        pytest.param(lately(), HOUR - 1, POLICY, ScaleOut(LATELY), id="within-the-window"),
        pytest.param(lately(), HOUR, POLICY, Restart(Reason.FIRST_NEED), id="the-window-is-over"),
        pytest.param(
            lately(failures=3), 5, POLICY, ScaleOut(Reason.WINDOW_FULL), id="a-full-window"
        ),
        pytest.param(
            lately(sickness=CLONE_SICK), 5, POLICY, ScaleOut(Reason.CLONE_SICK), id="a-sick-clone"
        ),
        pytest.param(
            lately(),
            5,
            Policy(scale_out=ScaleOutRules(enabled=False)),
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="where-its-policy-does-not-allow-it-the-ladder-as-usual",
        ),
        pytest.param(
            seen(group=group(left_at=START, refusal=REFUSAL)),
            5,
            POLICY,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="where-no-clone-can-be-made-the-ladder-as-usual",
        ),
        pytest.param(
            seen(group=group(left_at=START, instances=3)),
            5,
            POLICY,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="at-the-maximum-the-ladder-as-usual",
        ),
        pytest.param(
            lately(guards=GuardView(clones=10)),
            5,
            POLICY,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="where-the-engine-has-enough-clones-the-ladder-as-usual",
        ),
        pytest.param(
            seen(group=group(left_at=START, cooling_until=at(300))),
            5,
            POLICY,
            Hold(at(300), Reason.COOLDOWN),
            id="not-inside-a-cooldown",
        ),
        pytest.param(
            lately(remediation=remediation(attempts=(out(reason=LATELY, verdict=Verdict.EXITED),))),
            70,
            POLICY,
            Restart(Reason.BACKOFF),
            id="a-clone-that-did-not-come-up-leaves-the-ladder-as-usual",
        ),
        pytest.param(
            lately(observe_only=True), 5, POLICY, Rehearse(Action.SCALE_OUT, LATELY), id="observe"
        ),
        pytest.param(
            lately(remediation=None), 5, POLICY, Wait(at(5), LATELY, Action.SCALE_OUT), id="opening"
        ),
        pytest.param(
            seen(remediation=None, group=group(left_at=START, refusal=REFUSAL)),
            5,
            POLICY,
            Wait(at(60), Reason.FIRST_NEED, Action.RESTART),
            id="opening-where-no-clone-can-be-made",
        ),
    ],
)
def test_what_is_needed_again_is_had_again(
    observation: Observation, now: float, policy: Policy, expected: Decision
) -> None:
    assert decide(observation, now, policy) == expected


# ---------------------------------------------------------------- relieve first


@pytest.mark.parametrize(
    ("observation", "now", "expected"),
    [
        pytest.param(
            seen(), 59, Wait(at(60), Reason.FIRST_NEED, Action.RESTART), id="it-waits-as-any"
        ),
        pytest.param(seen(), 60, ScaleOut(Reason.COVER), id="then-its-cover-comes-first"),
        pytest.param(
            seen(failures=2), 599, Wait(at(600), Reason.BACKOFF, Action.RESTART), id="by-failures"
        ),
        pytest.param(scaled(cover()), 61, Restart(Reason.FIRST_NEED), id="then-the-restart"),
        pytest.param(
            scaled(
                cover(),
                group=group(instances=2, clones=(listed("web_new", 9),), cooling_until=at(660)),
            ),
            61,
            Restart(Reason.FIRST_NEED),
            id="which-the-cooldown-does-not-delay",
        ),
        pytest.param(
            scaled(cover(), again(2, 61), failures=1),
            400,
            Restart(Reason.BACKOFF),
            id="the-clone-stays-as-cover-for-the-next",
        ),
        pytest.param(
            scaled(cover(), again(2, 61), failures=1, group=group()),
            400,
            ScaleOut(Reason.COVER),
            id="gone-it-is-made-anew",
        ),
        pytest.param(
            scaled(cover(), again(2, 61), failures=3),
            800,
            ScaleOut(Reason.ALREADY_SCALED),
            id="with-a-full-window-it-is-scaled-out-already-and-had-its-restarts",
        ),
        pytest.param(
            scaled(cover(), again(2, 61), failures=3, group=FULL),
            800,
            Escalate(Reason.AT_MAX, "3 of 3 instances exist already"),
            id="and-ends-at-the-maximum",
        ),
        pytest.param(
            seen(group=group(cooling_until=at(300))),
            60,
            Hold(at(300), Reason.COOLDOWN),
            id="no-cover-inside-anothers-cooldown",
        ),
        pytest.param(
            seen(group=group(refusal=REFUSAL)),
            60,
            Restart(Reason.FIRST_NEED, "in place: writes to volume data"),
            id="in-place-where-no-clone-can-be-made",
        ),
        pytest.param(
            seen(group=group(instances=3)),
            60,
            Restart(Reason.FIRST_NEED, "in place: 3 of 3 instances exist already"),
            id="in-place-at-the-maximum",
        ),
        pytest.param(
            seen(guards=GuardView(clones=10)),
            60,
            Restart(Reason.FIRST_NEED, "in place: 10 of 10 clones of all groups exist already"),
            id="in-place-where-the-engine-has-enough-clones",
        ),
        pytest.param(
            seen(
                remediation=remediation(
                    attempts=(cover(verdict=Verdict.EXITED, evidence="it is exited"),)
                )
            ),
            60,
            Restart(Reason.FIRST_NEED, "in place: the clone did not come up: it is exited"),
            id="in-place-after-a-cover-that-did-not-come-up",
        ),
        pytest.param(
            seen(guards=GuardView(start_grace_until=at(90))),
            60,
            Hold(at(90), Reason.START_GRACE),
            id="what-forbids-the-restart-forbids-its-cover",
        ),
        pytest.param(
            seen(guards=GuardView(others=1, serving_others=0)),
            60,
            ScaleOut(Reason.COVER),
            id="a-cover-serves-where-nobody-else-does",
        ),
        pytest.param(
            seen(guards=GuardView(others=1, serving_others=0), group=group(refusal=REFUSAL)),
            60,
            Hold(at(75), Reason.MIN_HEALTHY, "no other instance of its group serves"),
            id="without-one-the-last-that-serves-is-not-restarted",
        ),
        pytest.param(
            scaled(cover(), container=container(started_at="later")),
            61,
            Follow(Reason.RESTARTED_MEANWHILE),
            id="somebody-restarted-it-while-its-cover-came-up",
        ),
        pytest.param(
            seen(observe_only=True),
            60,
            Rehearse(Action.RESTART, Reason.FIRST_NEED),
            id="observe-mode-rehearses-the-restart",
        ),
    ],
)
def test_a_clone_comes_before_the_restart(
    observation: Observation, now: float, expected: Decision
) -> None:
    assert decide(observation, now, RELIEVE_FIRST) == expected


def test_where_scale_out_is_off_it_is_restarted_in_place() -> None:
    policy = replace(RELIEVE_FIRST, scale_out=ScaleOutRules(enabled=False))

    step = decide(seen(), 60, policy)

    detail = "in place: its policy does not allow a scale-out"
    assert step == Restart(Reason.FIRST_NEED, detail)


def covering(symptom: Symptom, *, up_at: float | None = 60) -> Observation:
    """A cover that is being watched."""
    one = cover(verdict=None, verdict_reason=None, finished_at=None)
    observation = scaled(one, up_at=up_at)
    assert observation.remediation is not None
    absent = at(50) if symptom is Symptom.ABSENT else None
    return replace(
        observation,
        remediation=replace(observation.remediation, absent_since=absent),
        sickness=Sickness(symptom=symptom),
        group=replace(observation.group, fresh_clone=CLONE),
    )


def test_a_cover_that_is_up_concludes_at_once() -> None:
    assert decide(covering(Symptom.ACTIVE, up_at=None), 60, RELIEVE_FIRST) == Confirm(
        Reason.WARM_UP
    )

    step = decide(covering(Symptom.ACTIVE), 60, RELIEVE_FIRST)

    said = "web_new is up beside it: it is restarted now"
    assert step == Conclude(Verdict.RELIEVED, Reason.COVER, said)


@pytest.mark.parametrize(("now", "verdict"), [(289, None), (290, Verdict.RELIEVED)])
def test_a_cover_that_relieves_by_itself_has_to_settle(now: float, verdict: Verdict | None) -> None:
    step = decide(covering(Symptom.ABSENT), now, RELIEVE_FIRST)

    assert getattr(step, "verdict", None) is verdict
    assert step.reason is (Reason.SETTLED if verdict else Reason.RELIEF)


def test_a_cover_neither_begins_a_wait_anew_nor_hides_a_restart() -> None:
    observation = covering(Symptom.ACTIVE)
    record = observation.remediation
    assert record is not None
    observation = replace(observation, container=container(started_at="by somebody"))
    concluded = story.advanced(
        record, observation, Conclude(Verdict.RELIEVED, Reason.COVER, "up"), now=at(60)
    )

    assert concluded.needed_since == record.needed_since
    assert concluded.planned_started_at == record.planned_started_at
    assert attempts.only_covers(concluded.attempts[-1])


def test_what_is_well_again_before_its_restart_was_not_relieved_by_the_cover() -> None:
    record = remediation(attempts=(cover(),), scaled_out_at=at(60))
    well = Sickness(symptom=Symptom.ABSENT, resolved=True)

    step = decide(seen(remediation=record, sickness=well), 65, RELIEVE_FIRST)

    assert step.reason is Reason.RESOLVED


# ---------------------------------------------------------------- proof


def proving(
    symptom: Symptom, took: tuple[float, int] | None, *, absent_since: float = 0, **more: Any
) -> Observation:
    """A scale-out whose clone was warm a minute after it; (CPU seconds, bytes) of the clone."""
    base = Used(at=at(60), started_at="x", cpu_seconds=0, network_bytes=0)
    one = out(
        verdict=None,
        finished_at=None,
        **({"beside": SideBySide(source=base, clone=base)} | more),
    )
    used = None
    if took is not None:
        used = SideBySide(
            source=replace(base, at=at(240), cpu_seconds=90, network_bytes=10_000_000),
            clone=replace(base, at=at(240), cpu_seconds=took[0], network_bytes=took[1]),
        )
    record = replace(
        remediation(attempts=(one,), scaled_out_at=at(60)),
        absent_since=at(absent_since) if symptom is Symptom.ABSENT else None,
    )
    return seen(
        sickness=Sickness(symptom=symptom),
        remediation=record,
        group=group(instances=2, clones=(listed("web_new", 9),), fresh_clone=CLONE, used=used),
    )


USELESS, IDLE, WORKS = (0.0, 0), (0.0, 5_000_000), (60.0, 10_000_000)


@pytest.mark.parametrize(
    ("observation", "now", "expected"),
    [
        pytest.param(proving(Symptom.ACTIVE, USELESS), 240, Verdict.NO_TRAFFIC, id="no-traffic"),
        pytest.param(proving(Symptom.ACTIVE, IDLE), 240, Verdict.NO_EFFECT, id="no-effect"),
        pytest.param(proving(Symptom.ACTIVE, WORKS), 240, None, id="it-works"),
        pytest.param(proving(Symptom.ACTIVE, None), 240, None, id="nothing-was-measured"),
        pytest.param(
            proving(Symptom.ABSENT, USELESS), 240, Verdict.NO_TRAFFIC, id="well-without-its-help"
        ),
        pytest.param(proving(Symptom.ABSENT, IDLE), 240, Verdict.RELIEVED, id="well-again"),
        pytest.param(
            proving(Symptom.ABSENT, None, absent_since=-60),
            239,
            None,
            id="settled-and-not-proved-yet",
        ),
        pytest.param(
            proving(Symptom.ABSENT, None, beside=None, absent_since=-60),
            239,
            Verdict.RELIEVED,
            id="settled-and-nothing-to-prove",
        ),
        pytest.param(
            proving(Symptom.ABSENT, None), 240, Verdict.RELIEVED, id="settled-and-not-measured"
        ),
        pytest.param(
            proving(Symptom.SUPPRESSED, USELESS), 240, Verdict.CANCELLED, id="silenced-meanwhile"
        ),
        pytest.param(proving(Symptom.UNKNOWN, USELESS), 240, None, id="nobody-can-tell"),
        pytest.param(
            proving(Symptom.ACTIVE, USELESS, trigger=Trigger.MANUAL),
            240,
            None,
            id="what-a-person-ordered-stays",
        ),
    ],
)
def test_a_clone_has_to_prove_itself(
    observation: Observation, now: float, expected: Verdict | None
) -> None:
    step = decide(observation, now)

    assert getattr(step, "verdict", None) is expected
    if expected is None:
        assert isinstance(step, Watch)
        assert step.until <= at(now + 15)


def test_the_proof_is_looked_for_when_it_is_due() -> None:
    assert decide(proving(Symptom.ACTIVE, None), 230) == Watch(at(240), Reason.RELIEF)
    assert decide(proving(Symptom.ABSENT, None), 230) == Watch(at(240), Reason.RELIEF)


def test_relief_names_the_share() -> None:
    step = decide(proving(Symptom.ABSENT, WORKS), 240)

    assert isinstance(step, Conclude)
    assert step.evidence == "no alert of the group for 4m; the clone took 50 % of the traffic"


def test_relief_that_comes_later_names_the_share_as_well() -> None:
    step = decide(proving(Symptom.ABSENT, None, evidence="the clone took 40 %"), 240)

    assert isinstance(step, Conclude)
    assert step.evidence.endswith("; the clone took 40 %")


@pytest.mark.parametrize("verdict", [Verdict.NO_TRAFFIC, Verdict.NO_EFFECT])
def test_a_useless_clone_ends_the_ladder(verdict: Verdict) -> None:
    observation = scaled(out(verdict=verdict, evidence="0 B"), group=group())

    for policy in (POLICY, SCALE_FIRST, RELIEVE_FIRST):
        assert decide(observation, 300, policy) == Escalate(Reason(verdict), "0 B")


@pytest.mark.parametrize(
    ("up_at", "verdict", "leaves"),
    [
        pytest.param(None, Verdict.EXITED, True, id="never-up"),
        pytest.param(60, Verdict.NO_TRAFFIC, True, id="useless"),
        pytest.param(60, Verdict.NO_EFFECT, True, id="no-help"),
        pytest.param(60, Verdict.RELIEVED, False, id="a-relief"),
        pytest.param(60, Verdict.SYMPTOM_PERSISTS, False, id="not-enough"),
        pytest.param(60, None, False, id="being-watched"),
    ],
)
def test_what_did_not_help_leaves(
    up_at: float | None, verdict: Verdict | None, leaves: bool
) -> None:
    record: Remediation = remediation(
        attempts=(out(verdict=verdict),), scaled_out_at=None if up_at is None else at(up_at)
    )

    assert attempts.leaves(record) is leaves


def test_a_refusal_in_the_last_moment_ends_the_ladder_with_its_own_word() -> None:
    refused = out(
        verdict=Verdict.CANCELLED,
        verdict_reason=Reason.DATA_IN_LAYER,
        evidence="data_in_layer: /data/orders",
        acted_at=None,
        clone_id=None,
    )

    step = decide(scaled(refused, up_at=None, group=group(), failures=3), 300)

    said = "the clone did not come up: data_in_layer: /data/orders"
    assert step == Escalate(Reason.DATA_IN_LAYER, said)


def test_a_crashed_source_is_covered_too() -> None:
    """Down since our own restart: nobody serves, so a cover helps all the more."""
    policy = replace(RELIEVE_FIRST, restart=RestartRules(delays=(timedelta(0),)))
    crashed = again(1, 10, verdict=Verdict.EXITED, started_after="s2")
    record = remediation(attempts=(crashed,), planned_started_at="s2", needed_since=at(20))
    down = container(state=RunState.EXITED, exit_code=1, started_at="s2")

    step = decide(seen(remediation=record, container=down, failures=1), 20, policy)

    assert step == ScaleOut(Reason.COVER)
    assert hex_id(9) == CLONE.id
