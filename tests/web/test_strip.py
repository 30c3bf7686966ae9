"""The strip of the last hour, as the stories have it."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decision import Reason, Verdict
from app.domain.remediation import LogEntry, Remediation, State
from app.web.strip import Mark, Segment, strip
from tests.builders import START, at, attempt, remediation

#: The strip's right end; its left end is `START`.
NOW = at(3600)


def entry(seconds: float, decision: str, reason: Reason = Reason.FIRST_NEED) -> LogEntry:
    return LogEntry(at=at(seconds), decision=decision, reason=reason)


def story(opened: float, *log: LogEntry, closed: float | None = None, **more: Any) -> Remediation:
    values: dict[str, Any] = {"opened_at": at(opened), "log": log}
    if closed is not None:
        values |= {"closed_at": at(closed), "state": State.CLOSED}
    return remediation(**(values | more))


def drawn(
    *stories: Remediation, born: datetime | None = None, since: datetime = START
) -> list[tuple[int, int, str]]:
    made = strip(stories, now=NOW, born=born, since=since)
    return [(one.start, one.length, one.state) for one in made.segments]


def test_without_a_story_all_was_well() -> None:
    assert drawn() == [(0, 3600, "ok")]


def test_before_it_was_created_nothing_is_known() -> None:
    assert drawn(born=at(600)) == [(0, 600, "unknown"), (600, 3000, "ok")]


def test_where_stories_were_not_read_nothing_is_known() -> None:
    assert drawn(since=at(1200)) == [(0, 1200, "unknown"), (1200, 2400, "ok")]
    assert drawn(since=NOW) == [(0, 3600, "unknown")]


def test_a_ladder_is_told_step_by_step() -> None:
    made = drawn(
        story(
            600,
            entry(600, "wait"),
            entry(660, "restart"),
            entry(662, "watch", Reason.DEADLINE),
            entry(700, "watch", Reason.SETTLING),
            entry(940, "close", Reason.SETTLED),
            closed=940,
        )
    )

    assert made == [
        (0, 600, "ok"),
        (600, 60, "waiting"),
        (660, 2, "acting"),
        (662, 38, "verifying"),
        (700, 240, "settling"),
        (940, 2660, "ok"),
    ]


@pytest.mark.parametrize(
    ("decision", "reason", "state"),
    [
        ("wait", Reason.BACKOFF, "waiting"),
        ("hold", Reason.HOLD, "held"),
        ("hold", Reason.COOLDOWN, "cooldown"),
        ("scale_out", Reason.WINDOW_FULL, "acting"),
        ("confirm", Reason.WARM_UP, "cooldown"),
        ("watch", Reason.RELIEF, "cooldown"),
        ("watch", Reason.INTERRUPTED, "acting"),
        ("escalate", Reason.AT_MAX, "quarantined"),
        ("call_off", Reason.OPERATOR, "held"),
    ],
)
def test_each_decision_has_its_state(decision: str, reason: Reason, state: str) -> None:
    made = drawn(story(100, entry(100, decision, reason), state=State(state)))

    assert made[-1] == (100, 3500, state)


def test_a_hold_does_not_end_a_quarantine() -> None:
    made = drawn(
        story(
            100,
            entry(100, "escalate", Reason.AT_MAX),
            entry(200, "hold", Reason.PAUSE),
            state=State.QUARANTINED,
        )
    )

    assert made == [(0, 100, "ok"), (100, 3500, "quarantined")]


def test_what_is_decided_besides_changes_nothing() -> None:
    made = drawn(
        story(0, entry(0, "wait"), entry(50, "refuse"), entry(60, "forget"), entry(70, "conclude"))
    )

    assert made == [(0, 3600, "waiting")]


def test_of_an_old_story_the_last_hour_is_told() -> None:
    quarantined = story(-7200, entry(-3600, "escalate"), state=State.QUARANTINED)

    assert drawn(quarantined) == [(0, 3600, "quarantined")]


def test_a_story_that_ended_before_the_hour_leaves_no_trace() -> None:
    assert drawn(story(-900, entry(-900, "wait"), closed=-60)) == [(0, 3600, "ok")]


def test_the_record_knows_better_than_a_log_that_was_cut() -> None:
    made = drawn(story(60, entry(60, "wait"), state=State.HELD))

    assert made[-1][2] == "held"


def test_actions_are_marked() -> None:
    failed = attempt(acted_at=at(60), verdict=Verdict.SYMPTOM_PERSISTS)
    running = attempt(id="web-1.2", acted_at=None, intent_at=at(1800))
    long_ago = attempt(id="web-1.0", acted_at=at(-1))

    made = strip([story(0, attempts=(long_ago, failed, running))], now=NOW, born=None, since=at(0))

    assert made.marks == (Mark(60, "restart", True), Mark(1800, "restart", False))


def test_it_is_told_in_words() -> None:
    made = strip([story(3000, entry(3000, "wait"))], now=NOW, born=None, since=at(0))

    assert made.said == "Last hour: ok 50 minutes, waiting 10 minutes"
    assert made.segments[1] == Segment(3000, 600, "waiting")


@given(
    st.lists(
        st.tuples(
            st.integers(-9000, 4000),
            st.sampled_from(["wait", "restart", "watch", "hold", "close", "escalate", "odd"]),
        ),
        max_size=12,
    ),
    st.integers(-9000, 4000),
    st.none() | st.integers(-9000, 4000),
    st.integers(-9000, 4000),
)
def test_whatever_happened_the_hour_is_full_and_in_order(
    said: list[tuple[int, str]], opened: int, closed: int | None, born: int
) -> None:
    one = story(opened, *(entry(seconds, decision) for seconds, decision in said), closed=closed)

    made = strip([one], now=NOW, born=at(born), since=at(0)).segments

    assert made[0].start == 0
    assert sum(part.length for part in made) == 3600
    for left, right in pairwise(made):
        assert left.start + left.length == right.start
        assert left.state != right.state
