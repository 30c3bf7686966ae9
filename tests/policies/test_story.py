"""How the record of a remediation goes on, decision by decision."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.control import Order, OrderKind
from app.domain.decision import (
    Adopt,
    CallOff,
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Follow,
    Forget,
    Hold,
    Idle,
    Outcome,
    Reason,
    Refuse,
    Rehearse,
    Relapse,
    Restart,
    Resume,
    ScaleOut,
    StartStopped,
    Verdict,
    Wait,
    Watch,
)
from app.domain.observation import EngineView, Sickness, Symptom
from app.domain.remediation import Action, Remediation, State, Trigger
from app.policies import attempts, story
from tests.builders import START, at, attempt, container, group, hex_id, remediation, seen

NOW = at(100)
OPEN = remediation(state=State.VERIFYING, attempts=(attempt(),))
INTENT = attempt(acted_at=None, started_after=None, intent_at=START)
ACTING = remediation(state=State.ACTING, attempts=(INTENT,))
FRESH = container("web_new", 9, started_at="clone-start", restart_count=2)


# ---------------------------------------------------------------- opening


def test_a_story_begins_with_what_was_seen() -> None:
    sick = Sickness(symptom=Symptom.ACTIVE, alerts=("A", "B"), since=at(-30))
    wait = Wait(at(60), Reason.FIRST_NEED, Action.RESTART)

    begun = story.opened(seen(sickness=sick, remediation=None), wait, policy="web", now=NOW)

    assert begun.id.startswith("web-")
    assert (begun.target, begun.container, begun.policy) == ("host1:web", "web", "web")
    assert (begun.state, begun.reason) == (State.WAITING, Reason.FIRST_NEED)
    assert begun.alerts == ("A", "B")
    assert (begun.opened_at, begun.needed_since) == (NOW, at(-30))
    assert begun.planned_started_at == container().started_at
    assert begun.attempts == ()


def test_without_a_first_notice_it_is_needed_from_now_on() -> None:
    wait = Wait(at(60), Reason.FIRST_NEED, Action.RESTART)
    sick = Sickness(symptom=Symptom.ACTIVE)

    assert story.opened(seen(sickness=sick), wait, policy="p", now=NOW).needed_since == NOW


#: Until 2059, when a millisecond takes a ninth digit.
MOMENTS = st.integers(min_value=0, max_value=30 * 365 * 86_400_000).map(
    lambda ms: START + timedelta(milliseconds=ms)
)


@given(first=MOMENTS, later=st.timedeltas(timedelta(milliseconds=1), timedelta(days=365)))
def test_ids_tell_stories_apart_and_sort_by_time(first: datetime, later: timedelta) -> None:
    wait = Wait(first, Reason.FIRST_NEED, Action.RESTART)

    ids = [
        story.opened(seen(), wait, policy="p", now=moment).id for moment in (first, first + later)
    ]

    # In 2059 an id grows by a digit. Half a millisecond may be rounded away.
    assert ids[0] <= ids[1]
    assert ids[0] != ids[1] or later < timedelta(milliseconds=2)


# ---------------------------------------------------------------- symptoms


@pytest.mark.parametrize(
    ("symptom", "absent_before", "unknown_before", "absent", "unknown"),
    [
        pytest.param(Symptom.ABSENT, None, None, NOW, None, id="absent-from-now-on"),
        pytest.param(Symptom.ABSENT, at(5), None, at(5), None, id="absent-still"),
        pytest.param(Symptom.ABSENT, None, at(5), NOW, None, id="known-again"),
        pytest.param(Symptom.UNKNOWN, None, None, None, NOW, id="unknown-from-now-on"),
        pytest.param(Symptom.UNKNOWN, None, at(5), None, at(5), id="unknown-still"),
        pytest.param(Symptom.UNKNOWN, at(5), None, None, NOW, id="silence-interrupts-absence"),
        pytest.param(Symptom.ACTIVE, at(5), None, None, None, id="active-again"),
        pytest.param(Symptom.ACTIVE, None, at(5), None, None, id="active-after-a-doubt"),
        pytest.param(Symptom.SUPPRESSED, at(5), at(5), None, None, id="silenced-is-neither"),
    ],
)
def test_remembers_since_when_without_interruption(
    symptom: Symptom,
    absent_before: datetime | None,
    unknown_before: datetime | None,
    absent: datetime | None,
    unknown: datetime | None,
) -> None:
    before = remediation(absent_since=absent_before, unknown_since=unknown_before)

    after = story.tracked(before, seen(symptom), now=NOW)

    assert (after.absent_since, after.unknown_since) == (absent, unknown)


@pytest.mark.parametrize("view", [EngineView.DOWN, EngineView.GONE, EngineView.AMBIGUOUS])
def test_what_was_not_looked_at_has_not_lasted(view: EngineView) -> None:
    before = remediation(absent_since=at(5), unknown_since=at(5))

    after = story.tracked(before, seen(Symptom.ABSENT, view=view), now=NOW)

    assert (after.absent_since, after.unknown_since) == (None, None)


def test_only_its_alerts_or_a_person_end_a_quarantine() -> None:
    before = remediation(state=State.QUARANTINED)

    after = story.advanced(before, seen(), Hold(at(115), Reason.ENGINE_DOWN), now=NOW)

    assert after.state is State.QUARANTINED


# ---------------------------------------------------------------- decisions


@pytest.mark.parametrize(
    ("decision", "state", "next_at", "next_action"),
    [
        pytest.param(
            Wait(at(300), Reason.BACKOFF, Action.RESTART),
            State.WAITING,
            at(300),
            Action.RESTART,
            id="wait-for-a-restart",
        ),
        pytest.param(
            Wait(at(300), Reason.WINDOW_FULL, Action.SCALE_OUT),
            State.WAITING,
            at(300),
            Action.SCALE_OUT,
            id="wait-for-a-scale-out",
        ),
        pytest.param(
            Hold(at(115), Reason.SILENCED), State.HELD, at(115), None, id="hold-for-a-silence"
        ),
        pytest.param(
            Hold(at(700), Reason.COOLDOWN), State.COOLDOWN, at(700), None, id="hold-for-a-cooldown"
        ),
        pytest.param(
            Watch(at(115), Reason.DEADLINE), State.VERIFYING, at(115), None, id="watch-a-restart"
        ),
        pytest.param(
            Watch(at(115), Reason.SETTLING), State.SETTLING, at(115), None, id="watch-it-settle"
        ),
        pytest.param(
            Watch(at(115), Reason.RELIEF), State.COOLDOWN, at(115), None, id="watch-a-relief"
        ),
        pytest.param(
            Watch(at(115), Reason.INTERRUPTED),
            State.ACTING,
            at(115),
            None,
            id="watch-what-was-interrupted",
        ),
        pytest.param(
            Watch(at(115), Reason.QUARANTINE),
            State.QUARANTINED,
            at(115),
            None,
            id="watch-a-quarantine",
        ),
        pytest.param(Confirm(Reason.WARM_UP), State.COOLDOWN, NOW, None, id="the-clone-is-up"),
        pytest.param(
            Conclude(Verdict.RECOVERED, Reason.SETTLED, "quiet"),
            State.WAITING,
            NOW,
            None,
            id="a-verdict",
        ),
        pytest.param(
            Close(Outcome.RECOVERED, Reason.SETTLED), State.CLOSED, None, None, id="the-end"
        ),
        pytest.param(
            Escalate(Reason.AT_MAX, "3 of 3"), State.QUARANTINED, NOW, None, id="an-escalation"
        ),
        pytest.param(Idle(Reason.RESOLVED), State.VERIFYING, None, None, id="idle-changes-nothing"),
    ],
)
def test_a_decision_has_its_state(
    decision: Decision, state: State, next_at: datetime | None, next_action: Action | None
) -> None:
    after = story.advanced(OPEN, seen(), decision, now=NOW)

    assert (after.state, after.reason) == (state, decision.reason)
    assert (after.next_at, after.next_action) == (next_at, next_action)
    assert after.log[-1].reason is decision.reason
    assert after.log[-1].at == NOW


@pytest.mark.parametrize(
    "decision",
    [
        Restart(Reason.BACKOFF),
        ScaleOut(Reason.WINDOW_FULL),
        Resume(Reason.INTERRUPTED),
        StartStopped(Reason.FOUND_STOPPED),
    ],
)
def test_an_action_is_not_written_down_as_if_it_were_none(decision: Decision) -> None:
    with pytest.raises(ValueError, match="is an action"):
        story.advanced(OPEN, seen(), decision, now=NOW)


def test_a_closed_story_says_how_and_when_it_ended() -> None:
    closed = story.advanced(
        OPEN, seen(), Close(Outcome.SUPERSEDED, Reason.NEW_INCARNATION), now=NOW
    )

    assert closed.is_closed
    assert (closed.outcome, closed.closed_at) == (Outcome.SUPERSEDED, NOW)


def test_somebody_elses_restart_is_followed_as_an_attempt_that_is_not_ours() -> None:
    other = container(started_at="later")

    after = story.advanced(
        remediation(), seen(container=other), Follow(Reason.RESTARTED_MEANWHILE), now=NOW
    )

    (one,) = after.attempts
    assert (one.trigger, one.acted_at, one.started_after) == (Trigger.FOREIGN, NOW, "later")
    assert one.started_before == container().started_at
    assert after.state is State.VERIFYING
    assert not replace(one, verdict=Verdict.SYMPTOM_PERSISTS).is_failed_restart


def test_after_somebody_elses_restart_in_a_verification_the_plan_still_is_the_old_one() -> None:
    verdict = Conclude(Verdict.CANCELLED, Reason.RESTARTED_MEANWHILE, "somebody else")

    after = story.advanced(OPEN, seen(container=container(started_at="later")), verdict, now=NOW)

    assert after.planned_started_at == OPEN.planned_started_at  # so that the next look follows it


def test_an_ordinary_wait_keeps_its_plan() -> None:
    wait = Wait(at(400), Reason.BACKOFF, Action.RESTART)

    after = story.advanced(
        remediation(), seen(container=container(started_at="later")), wait, now=NOW
    )

    assert (after.needed_since, after.planned_started_at) == (START, container().started_at)


def test_a_renamed_container_is_known_by_its_new_name() -> None:
    hold = Hold(at(115), Reason.SILENCED)

    assert (
        story.advanced(OPEN, seen(container=container("web2")), hold, now=NOW).container == "web2"
    )
    assert story.advanced(OPEN, seen(container=None), hold, now=NOW).container == "web"


def test_a_verdict_closes_the_attempt_and_begins_the_next_wait() -> None:
    verdict = Conclude(Verdict.SYMPTOM_PERSISTS, Reason.DEADLINE, "still firing")
    now_runs = container(started_at="after")

    after = story.advanced(OPEN, seen(container=now_runs), verdict, now=NOW)

    (done,) = after.attempts
    assert (done.verdict, done.verdict_reason) == (Verdict.SYMPTOM_PERSISTS, Reason.DEADLINE)
    assert (done.evidence, done.finished_at) == ("still firing", NOW)
    assert after.open_attempt is None
    assert (after.needed_since, after.planned_started_at) == (NOW, "after")
    assert after.log[-1].detail == "still firing"


def test_a_verdict_on_a_container_that_is_gone_keeps_the_old_plan() -> None:
    verdict = Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "gone")

    after = story.advanced(OPEN, seen(container=None), verdict, now=NOW)

    assert after.planned_started_at == OPEN.planned_started_at


def test_an_adopted_restart_is_verified_from_now_on() -> None:
    before = replace(ACTING, absent_since=at(1), attempts=(replace(INTENT, error="no answer"),))
    restarted = container(started_at="after", restart_count=1)

    after = story.advanced(before, seen(container=restarted), Adopt(Reason.INTERRUPTED), now=NOW)

    (one,) = after.attempts
    # It has crashed once since: our restart had set the count to zero.
    assert (one.acted_at, one.started_after, one.restarts_after) == (NOW, "after", 0)
    assert one.error is None
    assert (after.state, after.next_at, after.absent_since) == (State.VERIFYING, NOW, None)


def test_an_adopted_scale_out_is_about_the_clone() -> None:
    before = replace(ACTING, attempts=(replace(INTENT, action=Action.SCALE_OUT),))
    look = seen(group=group(fresh_clone=FRESH))

    after = story.advanced(before, look, Adopt(Reason.INTERRUPTED), now=NOW)

    (one,) = after.attempts
    assert (one.clone, one.clone_id, one.started_after) == ("web_new", hex_id(9), "clone-start")


# ---------------------------------------------------------------- actions


@pytest.mark.parametrize(
    ("decision", "action"),
    [
        pytest.param(Restart(Reason.BACKOFF), Action.RESTART, id="restart"),
        pytest.param(ScaleOut(Reason.WINDOW_FULL), Action.SCALE_OUT, id="scale-out"),
    ],
)
def test_an_intent_is_a_new_attempt(decision: Restart | ScaleOut, action: Action) -> None:
    before = remediation(attempts=(attempt(verdict=Verdict.SYMPTOM_PERSISTS),), absent_since=at(1))

    after = attempts.begun(before, seen(), decision, now=NOW)

    one = after.attempts[-1]
    assert one.id == "web-1.2"
    assert (one.action, one.reason, one.intent_at) == (action, decision.reason, NOW)
    assert (one.container_id, one.started_before) == (container().id, container().started_at)
    assert (one.acted_at, one.verdict) == (None, None)
    assert (after.state, after.next_action, after.next_at) == (State.ACTING, action, NOW)
    assert (after.absent_since, after.unknown_since) == (None, None)
    assert before.attempts == after.attempts[:-1]


def test_a_resumed_attempt_keeps_its_id_and_forgets_its_error() -> None:
    before = replace(ACTING, attempts=(replace(INTENT, error="no answer"),))

    after = attempts.begun(before, seen(), Resume(Reason.INTERRUPTED), now=NOW)

    (one,) = after.attempts
    assert (one.id, one.intent_at, one.error) == (INTENT.id, NOW, None)


def test_a_start_of_what_we_stopped_is_remembered() -> None:
    after = attempts.begun(ACTING, seen(), StartStopped(Reason.FOUND_STOPPED), now=NOW)

    (one,) = after.attempts
    assert one.started_again
    assert (one.id, one.intent_at) == (INTENT.id, INTENT.intent_at)


@pytest.mark.parametrize("status", [None, 409])
def test_what_the_engine_said_is_kept(status: int | None) -> None:
    after = attempts.acted(ACTING, now=NOW, error="no", error_status=status)

    (one,) = after.attempts
    assert (one.error, one.error_status, one.acted_at) == ("no", status, None)
    assert (after.state, after.next_action) == (State.ACTING, None)


def test_a_restart_that_was_answered_is_verified() -> None:
    after = attempts.acted(ACTING, now=NOW, container=container(started_at="after"))

    (one,) = after.attempts
    assert (one.acted_at, one.started_after, one.clone) == (NOW, "after", None)
    assert after.state is State.VERIFYING


def test_a_scale_out_that_was_answered_names_its_clone() -> None:
    before = replace(ACTING, attempts=(replace(INTENT, action=Action.SCALE_OUT),))

    (one,) = attempts.acted(before, now=NOW, container=FRESH).attempts

    assert (one.clone, one.clone_id, one.restarts_after) == ("web_new", hex_id(9), 0)


# ---------------------------------------------------------------- the log


def test_a_poll_that_changes_nothing_is_no_news() -> None:
    record = remediation()
    for second in range(0, 150, 15):
        record = story.logged(record, Watch(at(second + 15), Reason.DEADLINE), now=at(second))

    (entry,) = record.log
    assert (entry.at, entry.decision) == (START, "watch")


def test_another_reason_is_news() -> None:
    record = story.logged(remediation(), Watch(NOW, Reason.DEADLINE), now=NOW)
    record = story.logged(record, Watch(NOW, Reason.SETTLING), now=NOW)
    record = story.logged(record, Watch(NOW, Reason.DEADLINE), now=NOW)

    assert [e.reason for e in record.log] == [Reason.DEADLINE, Reason.SETTLING, Reason.DEADLINE]


def test_the_log_keeps_the_newest_two_hundred() -> None:
    record = remediation()
    for second in range(250):
        reason = Reason.SILENCED if second % 2 else Reason.NO_FRESH_DATA
        record = story.logged(record, Hold(NOW, reason), now=at(second))

    assert len(record.log) == 200
    assert (record.log[0].at, record.log[-1].at) == (at(50), at(249))


@pytest.mark.parametrize(
    ("decision", "name"),
    [
        (Restart(Reason.BACKOFF), "restart"),
        (ScaleOut(Reason.WINDOW_FULL), "scale_out"),
        (StartStopped(Reason.FOUND_STOPPED), "start_stopped"),
    ],
)
def test_decisions_have_names_of_one_case(decision: Decision, name: str) -> None:
    assert story.decision_name(decision) == name


@pytest.mark.parametrize(
    ("acted_at", "scaled_out_at", "expected"),
    [
        pytest.param(at(10), at(10), True, id="confirmed-in-the-same-moment"),
        pytest.param(at(10), at(70), True, id="confirmed-later"),
        pytest.param(at(10), at(9), False, id="an-earlier-clones-confirmation"),
        pytest.param(at(10), None, False, id="never-confirmed"),
        pytest.param(None, at(70), False, id="never-acted"),
    ],
)
def test_whether_the_clone_came_up(
    acted_at: datetime | None, scaled_out_at: datetime | None, expected: bool
) -> None:
    record = remediation(attempts=(attempt(acted_at=acted_at),), scaled_out_at=scaled_out_at)

    assert attempts.is_up(record) is expected


def test_without_an_attempt_no_clone_came_up() -> None:
    assert not attempts.is_up(remediation(scaled_out_at=NOW))


# ---------------------------------------------------------------- orders


def order(kind: OrderKind, **more: Any) -> Order:
    values: dict[str, Any] = {
        "id": f"web-1.{kind}.1",
        "kind": kind,
        "remediation": "web-1",
        "reason": "enough",
        "author": "jane",
        "at": NOW,
    }
    return Order(**(values | more))


def test_a_story_that_is_called_off_says_by_whom() -> None:
    look = seen(order=order(OrderKind.CANCEL))

    after = story.advanced(remediation(), look, CallOff(Reason.OPERATOR), now=NOW)

    assert (after.called_off, after.state) == ("jane: enough", State.HELD)
    assert (after.next_at, after.next_action) == (NOW, None)
    assert (after.log[-1].decision, after.log[-1].detail) == ("call_off", "jane: enough")
    assert not after.is_closed


@pytest.mark.parametrize("trigger", [Trigger.AUTOMATIC, Trigger.REHEARSAL, Trigger.FOREIGN])
def test_what_is_called_off_is_not_verified_any_further(trigger: Trigger) -> None:
    before = replace(OPEN, attempts=(attempt(trigger=trigger),))
    look = seen(order=order(OrderKind.CANCEL))

    after = story.advanced(before, look, CallOff(Reason.OPERATOR), now=NOW)

    (one,) = after.attempts
    assert (one.verdict, one.verdict_reason) == (Verdict.CANCELLED, Reason.OPERATOR)
    assert not one.is_failed_restart
    assert (after.called_off, after.state) == ("jane: enough", State.HELD)


def test_a_verdict_that_was_given_stands_when_its_story_is_called_off() -> None:
    failed = attempt(verdict=Verdict.SYMPTOM_PERSISTS, finished_at=START)

    after = story.advanced(
        remediation(attempts=(failed,)),
        seen(order=order(OrderKind.CANCEL)),
        CallOff(Reason.OPERATOR),
        now=NOW,
    )

    assert after.attempts == (failed,)


def test_a_reset_is_told_and_changes_nothing_else() -> None:
    before = remediation(next_at=at(300), next_action=Action.RESTART)

    after = story.advanced(
        before, seen(order=order(OrderKind.RESET)), Forget(Reason.OPERATOR), now=NOW
    )

    assert (after.state, after.next_at) == (State.WAITING, NOW)  # a full window may be empty now
    assert (after.log[-1].decision, after.log[-1].detail) == ("forget", "jane: enough")
    assert (after.attempts, after.needed_since) == (before.attempts, before.needed_since)


def test_a_reset_does_not_end_a_quarantine() -> None:
    before = remediation(state=State.QUARANTINED)

    after = story.advanced(
        before, seen(order=order(OrderKind.RESET)), Forget(Reason.OPERATOR), now=NOW
    )

    assert after.state is State.QUARANTINED


def test_a_release_says_by_whom() -> None:
    released = Close(Outcome.RELEASED, Reason.OPERATOR)

    after = story.advanced(
        remediation(state=State.QUARANTINED),
        seen(order=order(OrderKind.RELEASE)),
        released,
        now=NOW,
    )

    assert (after.outcome, after.closed_at) == (Outcome.RELEASED, NOW)
    assert after.log[-1].detail == "jane: enough"


REFUSED = Refuse(Reason.MIN_HEALTHY, "no other instance of its group serves")
RESTART = order(OrderKind.RESTART, id="web-9.1m", remediation="web-9")


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(remediation(), id="one-that-waits"),
        pytest.param(OPEN, id="one-that-verifies"),
        pytest.param(remediation(state=State.QUARANTINED), id="a-quarantine"),
    ],
)
def test_a_refused_order_leaves_a_story_as_it_was(before: Remediation) -> None:
    after = story.advanced(before, seen(order=RESTART), REFUSED, now=NOW)

    assert (after.state, after.attempts, after.outcome) == (before.state, before.attempts, None)
    assert after.next_at == NOW
    assert after.log[-1].detail == ("jane: enough; refused: no other instance of its group serves")


def test_a_refused_order_alone_is_a_whole_story() -> None:
    """What was refused must be found again; there is nothing to do after it."""
    look = seen(remediation=None, sickness=Sickness(symptom=Symptom.ABSENT), order=RESTART)

    opened = story.opened(look, REFUSED, policy="default", now=NOW)
    after = story.advanced(opened, look, REFUSED, now=NOW)

    assert story.opens(REFUSED, look)
    assert (after.id, after.outcome, after.reason) == (
        "web-9",
        Outcome.CANCELLED,
        Reason.MIN_HEALTHY,
    )
    assert after.is_closed


def test_a_refused_order_does_not_end_the_story_of_one_that_is_ill() -> None:
    look = seen(remediation=None, order=RESTART)

    opened = story.opened(look, REFUSED, policy="default", now=NOW)
    after = story.advanced(opened, look, REFUSED, now=NOW)

    assert (after.state, after.next_at) == (State.WAITING, NOW)


@pytest.mark.parametrize("kind", [kind for kind in OrderKind if kind is not OrderKind.RESET])
def test_no_order_is_written_over_the_story_that_it_was_meant_for(kind: OrderKind) -> None:
    """It was open when the order was placed, and has closed by the step that answers it."""
    closed = remediation(
        state=State.CLOSED, outcome=Outcome.RECOVERED, attempts=(attempt(),), closed_at=NOW
    )
    look = seen(remediation=None, previous=closed, order=order(kind, remediation=closed.id))

    assert story.opened(look, REFUSED, policy="default", now=NOW).id != closed.id


@pytest.mark.parametrize(
    ("decision", "opens"),
    [
        (Wait(NOW, Reason.FIRST_NEED, Action.RESTART), True),
        (Hold(NOW, Reason.SILENCED), True),
        (Relapse(Reason.RELAPSED), True),
        (Restart(Reason.MANUAL), True),
        (ScaleOut(Reason.MANUAL), True),
        (REFUSED, True),
        (Idle(Reason.RESOLVED), False),
        (Forget(Reason.OPERATOR), False),
        (Close(Outcome.RELEASED, Reason.OPERATOR), False),
        (CallOff(Reason.OPERATOR), False),
    ],
)
def test_what_begins_a_story(decision: Decision, opens: bool) -> None:
    assert story.opens(decision, seen(remediation=None, order=RESTART)) == opens


@pytest.mark.parametrize("kind", [OrderKind.CANCEL, OrderKind.RELEASE])
def test_what_would_only_end_a_story_begins_none(kind: OrderKind) -> None:
    assert not story.opens(REFUSED, seen(remediation=None, order=order(kind)))


# ---------------------------------------------------------------- relapses

RELAPSE = Relapse(Reason.RELAPSED)
BEFORE = remediation(
    id="web-0",
    state=State.CLOSED,
    outcome=Outcome.RECOVERED,
    closed_at=START,
    attempts=(attempt(id="web-0.1", verdict=Verdict.RECOVERED, finished_at=START),),
)


def successor(previous: Remediation | None = BEFORE) -> Remediation:
    look = seen(remediation=None, previous=previous)
    opened = story.opened(look, RELAPSE, policy="default", now=NOW)
    return story.advanced(opened, look, RELAPSE, now=NOW)


def test_a_relapse_links_both_ways() -> None:
    after = successor()
    before = story.flipped(BEFORE, after, now=NOW)

    assert (after.relapse_of, before.relapsed_as) == (BEFORE.id, after.id)
    assert (after.state, after.reason, after.next_at) == (State.WAITING, Reason.RELAPSED, NOW)
    assert after.attempts == ()
    assert before.log[-1].detail == f"see {after.id}"


def test_a_relapse_turns_the_verdict_and_nothing_else_of_a_closed_story() -> None:
    before = story.flipped(BEFORE, successor(), now=NOW)

    (one,) = before.attempts
    assert (one.verdict, one.finished_at) == (Verdict.RELAPSED, START)
    assert (before.state, before.outcome, before.closed_at) == (
        State.CLOSED,
        Outcome.RECOVERED,
        START,
    )


def test_a_relapse_is_harmless_when_repeated() -> None:
    after = successor()
    once = story.flipped(BEFORE, after, now=NOW)

    assert story.flipped(once, after, now=at(200)) == once


def test_only_the_last_verdict_turns() -> None:
    first = attempt(id="web-0.1", verdict=Verdict.SYMPTOM_PERSISTS, finished_at=at(-99))
    before = replace(BEFORE, attempts=(first, *BEFORE.attempts))

    turned = story.flipped(before, successor(before), now=NOW).attempts

    assert [one.verdict for one in turned] == [Verdict.SYMPTOM_PERSISTS, Verdict.RELAPSED]


def test_a_wait_is_no_relapse_whatever_was_before() -> None:
    wait = Wait(at(160), Reason.FIRST_NEED, Action.RESTART)

    opened = story.opened(seen(remediation=None, previous=BEFORE), wait, policy="default", now=NOW)

    assert opened.relapse_of is None


def test_a_relapse_before_its_story_has_closed_turns_its_own_verdict() -> None:
    recovered = attempt(verdict=Verdict.RECOVERED, finished_at=at(90))
    before = remediation(attempts=(recovered,), needed_since=at(90))

    after = story.advanced(before, seen(), RELAPSE, now=NOW)

    (one,) = after.attempts
    assert one.verdict is Verdict.RELAPSED
    assert one.is_failed_restart
    assert (after.state, after.needed_since, after.relapse_of) == (State.WAITING, NOW, None)


# ---------------------------------------------------------------- observe mode


@pytest.mark.parametrize("action", [Action.RESTART, Action.SCALE_OUT])
def test_what_is_rehearsed_is_an_attempt_that_nobody_made(action: Action) -> None:
    before = remediation(absent_since=at(1), unknown_since=at(1), next_action=action)

    after = story.advanced(before, seen(), Rehearse(action, Reason.FIRST_NEED), now=NOW)

    (one,) = after.attempts
    assert (one.trigger, one.action, one.reason) == (
        Trigger.REHEARSAL,
        action,
        Reason.FIRST_NEED,
    )
    assert (one.intent_at, one.acted_at) == (NOW, NOW)
    assert one.started_before == one.started_after == container().started_at
    assert (after.state, after.next_action) == (State.VERIFYING, None)
    assert (after.absent_since, after.unknown_since) == (None, None)
    assert (after.log[-1].decision, after.log[-1].detail) == ("rehearse", f"would {action} now")


@pytest.mark.parametrize("passed", [True, False, None])
def test_a_rehearsal_remembers_whether_it_passed_by_itself(passed: bool | None) -> None:
    before = replace(OPEN, attempts=(attempt(trigger=Trigger.REHEARSAL),))
    verdict = Conclude(Verdict.WOULD_HAVE, Reason.SETTLED, "observe mode: …", passed)

    (one,) = story.advanced(before, seen(), verdict, now=NOW).attempts

    assert (one.verdict, one.passed) == (Verdict.WOULD_HAVE, passed)
    assert not one.is_failed_restart
