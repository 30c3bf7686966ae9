"""What Relevo tells people of its own accord: when, since when, and in which words."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.control import Brake, Halt
from app.domain.decision import Action, Reason, Verdict
from app.domain.fidelity import RefusalReason
from app.domain.remediation import Attempt, LogEntry, Remediation, State, Trigger
from app.policies import announce_chronic as chronic
from app.policies import announce_words as words
from app.policies.announce import announcements
from app.policies.announce_facts import (
    Announcement,
    NewsView,
    Subject,
    group_label,
    group_label_of,
    left_clones,
)
from app.policies.spec import BrakeRules, ChronicRules, Policy
from tests.builders import START, TARGET, at, attempt, compose, remediation

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deploy/prometheus/alert_rules.yml").read_text(encoding="utf-8")
POLICIES = "".join(path.read_text("utf-8") for path in (ROOT / "app/policies").glob("*.py"))
WEB = Subject(container="web", group="web", policy=Policy())


def failed(verdict: Verdict = Verdict.SYMPTOM_PERSISTS, **more: Any) -> Attempt:
    return attempt(verdict=verdict, finished_at=at(180), **more)


def clone(**more: Any) -> Attempt:
    values = {"action": Action.SCALE_OUT, "reason": Reason.WINDOW_FULL, "clone": "web_new"}
    return attempt(**(values | more))


def escalated(reason: Reason = Reason.AT_MAX, detail: str | None = None) -> LogEntry:
    return LogEntry(at=at(100), decision="escalate", reason=reason, detail=detail)


def quarantined(reason: Reason = Reason.AT_MAX, **more: Any) -> Remediation:
    values = {"state": State.QUARANTINED, "log": (escalated(reason),)}
    return remediation(**(values | more))


def view(*records: Remediation, **more: Any) -> NewsView:
    subjects = {record.target: WEB for record in records} | {TARGET: WEB}
    values: dict[str, Any] = {"engine": "host1", "remediations": records, "subjects": subjects}
    return NewsView(**(values | more))


def told(of: NewsView, *, now: datetime = START) -> dict[str, Announcement]:
    """What is announced, by name."""
    return {one.labels["alertname"]: one for one in announcements(of, now=now)}


def the_one(of: NewsView, *, now: datetime = START) -> Announcement:
    (one,) = announcements(of, now=now)
    return one


def test_a_quiet_house_says_nothing() -> None:
    assert announcements(view(), now=START) == ()


def test_a_ladder_that_has_not_ended_asks_nobody() -> None:
    assert set(told(view(remediation(attempts=(failed(),))))) == {"RelevoAtWork"}


# ---------------------------------------------------------------- escalated


def test_an_escalation_says_who_and_why_and_what_was_tried_and_what_a_person_can_do() -> None:
    record = quarantined(
        attempts=(failed(), failed(), failed(), clone()),
        log=(escalated(Reason.AT_MAX, "3 of 3 instances exist already"),),
    )

    one = the_one(view(record, external_url="http://relevo:5000/"))

    assert one.labels == {
        "alertname": "RelevoEscalated",
        "engine": "host1",
        "group": "web",
        "name": "web",
        "target": TARGET,
        "severity": "warning",
    }
    said = one.annotations
    assert said["summary"].startswith("web needs a person: it still needs help, and its group has")
    assert "Why it stopped: 3 of 3 instances exist already." in said["description"]
    assert "since 10:00 UTC (ContainerHighCPU)" in said["description"]
    assert said["relevo_did"] == (
        "3 restarts at 10:00, 10:00 and 10:00 UTC, each failed: the alert went on; "
        "1 clone at 10:00 UTC"
    )
    assert "until its alerts are gone and settled, or a person releases it" in said["relevo_next"]
    assert "relevo.max-instances" in said["relevo_decide"]
    assert f"relevo release {TARGET}" in said["relevo_decide"]
    assert said["relevo_url"] == "http://relevo:5000/remediations/web-1"


def test_an_escalation_begins_when_the_ladder_ended_last() -> None:
    log = (
        replace(escalated(), at=at(50)),
        replace(escalated(), at=at(100)),
        LogEntry(at=at(500), decision="watch", reason=Reason.QUARANTINE),
    )
    record = quarantined(reason=Reason.AT_MAX, log=log)

    for seconds in (100, 600, 86_400):
        assert the_one(view(record), now=at(seconds)).starts_at == at(100)


@pytest.mark.parametrize(
    ("attempts", "since"),
    [
        pytest.param((failed(),), at(180), id="the-last-attempt"),
        pytest.param((), START, id="its-opening"),
    ],
)
def test_an_escalation_that_its_log_has_forgotten_keeps_one_beginning(
    attempts: tuple[Attempt, ...], since: datetime
) -> None:
    record = quarantined(log=(), attempts=attempts)

    assert the_one(view(record), now=at(9999)).starts_at == since


def may_end_a_ladder() -> list[str]:
    """Reasons of the ladder's own code, and all that the fidelity report may refuse for."""
    named = re.findall(r"Escalate\(\s*Reason\.([A-Z_]+)", POLICIES)
    return sorted({Reason[name].value for name in named} | {word.value for word in RefusalReason})


@pytest.mark.parametrize("word", may_end_a_ladder())
def test_every_reason_that_a_ladder_ends_with_has_its_own_words(word: str) -> None:
    ended = words.ENDINGS[word]

    assert word not in ended.why
    assert "_" not in ended.why
    assert not ended.why.endswith(".")
    assert len(f"web needs a person: {ended.why}") < 120


def test_a_reason_without_words_is_told_by_its_detail() -> None:
    record = quarantined(log=(escalated(Reason.MANUAL, "something new"),))

    one = the_one(view(record))

    assert "something new" in one.annotations["description"]
    assert one.annotations["summary"] == (
        "web needs a person: Relevo does not know what else to do"
    )


def test_our_own_labels_are_named_with_their_prefix() -> None:
    one = the_one(view(quarantined(Reason.DATA_IN_LAYER), prefix="acme"))

    assert "acme.stateless=true" in one.annotations["relevo_decide"]


def test_an_engines_words_are_cut_to_one_line() -> None:
    record = quarantined(log=(escalated(Reason.SCALE_OUT_FAILED, "no\n\nspace " + "x" * 5000),))

    text = the_one(view(record)).annotations["description"]

    assert "Why it stopped: no space xxx" in text
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        pytest.param((), "nothing yet", id="nothing"),
        pytest.param((failed(Verdict.EXITED),), "1 restart, failed: it exited", id="one"),
        pytest.param(
            (failed(), failed(), failed(Verdict.EXITED)),
            "3 restarts, each failed: 2 × the alert went on, 1 × it exited",
            id="different-failures",
        ),
        pytest.param(
            (failed(Verdict.CANCELLED), failed()),
            "2 restarts: 1 × called off, 1 × the alert went on",
            id="not-all-failed",
        ),
        pytest.param((attempt(),), "1 restart: in progress", id="not-over-yet"),
        pytest.param(
            (
                failed(),
                failed(Verdict.RECOVERED, trigger=Trigger.MANUAL),
                failed(Verdict.RECOVERED, trigger=Trigger.FOREIGN),
            ),
            "1 restart, failed: the alert went on; 1 restart ordered by a person: helped; "
            "1 restart by somebody else: helped",
            id="by-others",
        ),
        pytest.param(
            (clone(), clone(verdict=Verdict.SYMPTOM_PERSISTS)),
            "2 clones: 1 × in progress, 1 × the alert went on",
            id="clones",
        ),
        pytest.param(
            (clone(clone=None, verdict=Verdict.ENGINE_ERROR),),
            "1 scale-out without a clone, failed: the engine refused",
            id="no-clone-came-of-it",
        ),
        pytest.param(
            (
                failed(Verdict.WOULD_HAVE, trigger=Trigger.REHEARSAL),
                clone(clone=None, verdict=Verdict.WOULD_HAVE, trigger=Trigger.REHEARSAL),
            ),
            "2 actions only rehearsed (observe mode)",
            id="observe-mode",
        ),
    ],
)
def test_says_in_one_line_what_was_tried(attempts: tuple[Attempt, ...], said: str) -> None:
    assert words.did(attempts) == said


# ---------------------------------------------------------------- scaled out


def scaled_out(**more: Any) -> Remediation:
    values = {
        "state": State.COOLDOWN,
        "attempts": (failed(), failed(), failed(), clone()),
        "scaled_out_at": at(240),
    }
    return remediation(**(values | more))


def test_a_scale_out_says_why_and_what_comes_next() -> None:
    one = the_one(view(scaled_out()), now=at(300))

    assert one.labels["alertname"] == "RelevoScaledOut"
    assert one.starts_at == at(240)
    said = one.annotations
    assert said["summary"] == "web was scaled out: web_new runs beside it"
    assert "3 restarts within 1h did not help (ContainerHighCPU)" in said["description"]
    assert "web_new has been up since 10:04 UTC" in said["description"]
    assert "watches until 10:14 UTC (10 minutes) whether" in said["relevo_next"]
    assert "then a person is asked. Once they have been gone for 30 minutes" in said["relevo_next"]
    assert "relevo_decide" not in said


def test_a_clone_that_has_left_runs_beside_nobody() -> None:
    one = the_one(view(scaled_out(), left=frozenset({clone().id})), now=at(300))

    said = one.annotations
    assert said["summary"] == "web was scaled out: web_new has left again"
    assert said["description"].endswith("web_new was up at 10:04 UTC, and is gone.")
    assert one.key == the_one(view(scaled_out()), now=at(300)).key


def test_a_cover_that_has_left_is_not_promised_to_leave() -> None:
    record = scaled_out(attempts=(clone(reason=Reason.COVER),))

    here = the_one(view(record)).annotations["relevo_next"]
    gone = the_one(view(record, left=frozenset({clone().id}))).annotations["relevo_next"]

    assert "web_new leaves when that has helped" in here
    assert "web_new" not in gone


@pytest.mark.parametrize(
    ("record", "present", "left"),
    [
        pytest.param(scaled_out(), (), (), id="whose-id-nobody-knows"),
        pytest.param(scaled_out(attempts=(clone(clone_id="c"),)), (), ("web-1.1",), id="gone"),
        pytest.param(scaled_out(attempts=(clone(clone_id="c"),)), ("c",), (), id="here"),
        pytest.param(
            scaled_out(attempts=(clone(clone_id="c"),), scaled_out_at=None),
            (),
            (),
            id="not-warm-yet",
        ),
        pytest.param(
            scaled_out(
                attempts=(
                    clone(clone_id="c"),
                    clone(id="web-1.2", clone_id="d", acted_at=at(241)),
                )
            ),
            ("c",),
            (),
            id="the-next-one-is-not-listed-yet",
        ),
        pytest.param(failed(), (), (), id="restarts-are-no-clones"),
    ],
)
def test_which_clones_have_left(
    record: Remediation | Attempt, present: tuple[str, ...], left: tuple[str, ...]
) -> None:
    if isinstance(record, Attempt):
        record = scaled_out(attempts=(record,))

    assert left_clones([record], present) == set(left)


@pytest.mark.parametrize("state", [s for s in State if s not in (State.OK, State.CLOSED)])
def test_a_scale_out_is_told_until_the_story_ends(state: State) -> None:
    record = scaled_out(state=state, log=(escalated(),))

    expected = "RelevoEscalated" if state is State.QUARANTINED else "RelevoScaledOut"
    assert set(told(view(record))) == {expected}


@pytest.mark.parametrize(
    ("attempt_", "why"),
    [
        pytest.param(clone(reason=Reason.FIRST_NEED), "says to scale out first", id="policy"),
        pytest.param(clone(reason=Reason.CLONE_SICK), "its clones needed help", id="clones"),
        pytest.param(
            clone(reason=Reason.MANUAL, ordered="alice: sale at noon"),
            "ordered by alice: sale at noon",
            id="a-person",
        ),
        pytest.param(clone(reason=Reason.INTERRUPTED), "it needed help", id="anything-else"),
    ],
)
def test_a_scale_out_says_why(attempt_: Attempt, why: str) -> None:
    one = the_one(view(scaled_out(attempts=(attempt_,))))

    assert why in one.annotations["description"]


@pytest.mark.parametrize(
    ("record", "pause", "said"),
    [
        pytest.param(
            scaled_out(),
            Halt(reason="sale", author="alice", since=START, until=at(3600)),
            "nothing: Relevo is paused by alice, until 11:00 UTC (sale)",
            id="paused",
        ),
        pytest.param(
            scaled_out(called_off="alice: mine"),
            None,
            "nothing: it was called off by a person (alice: mine)",
            id="called-off",
        ),
    ],
)
def test_what_will_not_be_done_is_not_promised(
    record: Remediation, pause: Halt | None, said: str
) -> None:
    assert the_one(view(record, pause=pause)).annotations["relevo_next"] == said


def test_a_pause_that_is_over_is_not_told() -> None:
    pause = Halt(reason="sale", author="alice", since=at(-60), until=START)

    one = the_one(view(scaled_out(), pause=pause))

    assert one.annotations["relevo_next"].startswith("watches")


# ---------------------------------------------------------------- chronic

HOUR = 3600


def recovered(*hours: float) -> tuple[datetime, ...]:
    return tuple(at(hour * HOUR) for hour in hours)


@pytest.mark.parametrize(
    ("hours", "now", "since"),
    [
        pytest.param((0, 1, 2, 3, 4), 5, None, id="five-are-not-enough"),
        pytest.param((0, 1, 2, 3, 4, 5), 5, 5, id="the-sixth-starts-it"),
        pytest.param((0, 1, 2, 3, 4, 5), 5.99, 5, id="it-holds-for-an-hour"),
        pytest.param((0, 1, 2, 3, 4, 5), 6, None, id="and-no-longer"),
        pytest.param((0, 1, 2, 3, 4, 23.99), 23.99, 23.99, id="just-within-the-window"),
        pytest.param((0, 1, 2, 3, 4, 24), 24, None, id="the-window-is-open-at-its-far-end"),
        pytest.param((0, 1, 2, 3, 4, 5, 5.5), 5.6, 5, id="a-seventh-moves-nothing"),
        pytest.param((0, 1, 2, 3, 4, 5, 6.5), 6.6, None, id="nor-does-it-start-another"),
        pytest.param(
            (*range(6), *range(24, 29)), 28.5, None, id="not-twice-within-a-day-of-a-start"
        ),
        pytest.param((*range(6), *range(24, 30)), 29, 29, id="exactly-a-day-later"),
        pytest.param((*range(6), 50, 51, 52), 52, None, id="a-quiet-day-begins-anew"),
        pytest.param((5, 4, 3, 2, 1, 0), 5, 5, id="in-whatever-order"),
        pytest.param((0, 1, 2, 3, 4, 5), 4.5, None, id="what-has-not-happened-does-not-count"),
    ],
)
def test_six_recoveries_in_a_day_are_chronic(
    hours: tuple[float, ...], now: float, since: float | None
) -> None:
    found = chronic.since(recovered(*hours), ChronicRules(), now=at(now * HOUR))

    assert found == (None if since is None else at(since * HOUR))


def test_a_leak_that_goes_on_for_weeks_is_told_once_a_day() -> None:
    """Every 25 minutes; START is a Sunday, and weeks turn on the way."""
    every = timedelta(minutes=25)
    times = tuple(START + n * every for n in range(30 * 24 * 60 // 25))
    kept, starts = timedelta(days=30), []
    now = START
    while now < START + timedelta(days=60):
        still = tuple(t for t in times if now - kept < t <= now)
        start = chronic.since(still, ChronicRules(), now=now)
        if start is not None and start not in starts:
            starts.append(start)
        now += timedelta(minutes=5)

    gaps = [later - earlier for earlier, later in pairwise(starts)]
    short = [gap for gap in gaps if gap < timedelta(days=1)]
    assert 28 <= len(starts) <= 33
    assert len(short) <= 4  # once as a week turns
    assert starts[0] == START + 5 * every


@given(st.lists(st.floats(0, 5 * 24), max_size=60), st.floats(0, 5 * 24))
def test_a_start_holds_for_its_hour_whatever_comes_after(hours: list[float], now: float) -> None:
    monday = START + timedelta(days=1, hours=-10)
    times = tuple(sorted(monday + timedelta(hours=h) for h in hours))
    moment = monday + timedelta(hours=now)
    start = chronic.since(times, ChronicRules(), now=moment)

    if start is not None:
        assert start in times
        for later in (timedelta(0), timedelta(minutes=59)):
            assert chronic.since(times, ChronicRules(), now=start + later) == start
        gone = chronic.since(times, ChronicRules(), now=start + chronic.HOLDS)
        assert gone is None


def test_a_chronic_target_is_told_with_its_page() -> None:
    of = view(recoveries={TARGET: recovered(*range(6))}, external_url="http://relevo:5000")

    one = told(of, now=at(5.5 * HOUR))["RelevoChronic"]

    assert one.starts_at == at(5 * HOUR)
    assert one.annotations["summary"] == "web needed 6 restarts in 24h, and each helped"
    assert one.annotations["relevo_url"] == f"http://relevo:5000/targets/{TARGET}"
    assert "the last at 15:00 UTC" in one.annotations["description"]


def test_what_chronic_means_is_its_policys_affair() -> None:
    policy = Policy(chronic=ChronicRules(restarts=2, window=timedelta(hours=2)))
    of = view(recoveries={TARGET: recovered(0, 1)}, subjects={TARGET: replace(WEB, policy=policy)})

    summary = told(of, now=at(HOUR))["RelevoChronic"].annotations["summary"]

    assert summary == "web needed 2 restarts in 2h, and each helped"


def test_recoveries_of_a_target_that_nobody_knows_are_not_told() -> None:
    of = view(recoveries={"host1:gone": recovered(*range(6))})

    assert told(of, now=at(5 * HOUR)) == {}


# ---------------------------------------------------------------- the engine as a whole


def test_an_engaged_brake_is_told() -> None:
    of = view(brake=Brake(engaged_at=at(60), failing=5), failing=2, targets=12)

    one = told(of, now=at(120))["RelevoBrake"]

    assert one.labels == {"alertname": "RelevoBrake", "engine": "host1", "severity": "warning"}
    assert one.starts_at == at(60)
    said = one.annotations
    assert said["summary"] == (
        "Relevo has stopped acting: 5 containers with failed restarts within 1h"
    )
    assert "5 of 12 containers on host1" in said["description"]
    assert said["relevo_did"] == "froze every automatic action at 10:01 UTC"
    assert "10 minutes have passed" in said["relevo_next"]
    assert "relevo resume" in said["relevo_decide"]


@pytest.mark.parametrize(
    ("failing", "targets", "freeze", "expected"),
    [
        pytest.param(3, 4, False, False, id="three-are-believable"),
        pytest.param(4, 4, False, True, id="four-are-not"),
        pytest.param(10, 40, False, False, id="a-quarter-is-believable"),
        pytest.param(11, 40, False, True, id="more-than-a-quarter-is-not"),
        pytest.param(11, 40, True, False, id="one-that-freezes-is-told-once-it-has"),
    ],
)
def test_a_brake_that_only_tells_tells(
    failing: int, targets: int, freeze: bool, expected: bool
) -> None:
    of = view(brake_rules=BrakeRules(freeze=freeze), failing=failing, targets=targets)

    found = told(of).get("RelevoBrake")

    assert (found is not None) == expected
    if found is not None:
        assert found.starts_at is None  # nothing has kept since when
        assert "nothing is frozen" in found.annotations["relevo_did"]


@pytest.mark.parametrize(
    ("failing", "has_prometheus", "expected"),
    [
        pytest.param(3, False, False, id="three-are-not-many"),
        pytest.param(4, False, True, id="four-are"),
        pytest.param(4, True, False, id="prometheus-tells-it"),
    ],
)
def test_many_failing_containers_are_told_once(
    failing: int, has_prometheus: bool, expected: bool
) -> None:
    of = view(failing_targets=failing, has_prometheus=has_prometheus)

    found = told(of)

    assert set(found) == ({"RelevoManyContainersFailing"} if expected else set())
    for one in found.values():
        assert one.labels == {
            "alertname": "RelevoManyContainersFailing",
            "engine": "host1",
            "severity": "warning",
        }


def test_the_shipped_rule_has_the_same_name_and_bound() -> None:
    rule = RULES[RULES.index("alert: RelevoManyContainersFailing") :]

    assert "max by (engine)" in rule[:200]
    assert "> 3" in rule[:200]


# ---------------------------------------------------------------- for all of them


def everything(**more: Any) -> NewsView:
    other = "host1:api"
    return view(
        scaled_out(),
        quarantined(id="api-1", target=other, container="api"),
        subjects={TARGET: WEB, other: Subject(container="api", group="api", policy=Policy())},
        recoveries={TARGET: recovered(*range(6)), other: recovered(*range(6))},
        brake=Brake(engaged_at=START, failing=5),
        failing_targets=5,
        targets=9,
        **more,
    )


def test_the_most_important_comes_first() -> None:
    names = [one.labels["alertname"] for one in announcements(everything(), now=at(5 * HOUR))]

    assert names == [
        "RelevoBrake",
        "RelevoManyContainersFailing",
        "RelevoEscalated",
        "RelevoChronic",
        "RelevoChronic",
        "RelevoScaledOut",
    ]


def test_each_has_an_identity_of_its_own() -> None:
    found = announcements(everything(), now=at(5 * HOUR))

    assert len({one.key for one in found}) == len(found)


def test_identity_and_beginning_do_not_move_with_time() -> None:
    def seen(seconds: float) -> list[tuple[str, datetime | None]]:
        return [(a.key, a.starts_at) for a in announcements(everything(), now=at(seconds))]

    assert seen(5 * HOUR) == seen(5.9 * HOUR)


@pytest.mark.parametrize("url", [None, ""])
def test_without_an_address_of_ours_there_is_no_link(url: str | None) -> None:
    for one in announcements(everything(external_url=url), now=at(5 * HOUR)):
        assert "relevo_url" not in one.annotations


def test_a_link_is_one_that_the_slack_message_takes() -> None:
    found = announcements(everything(external_url="https://relevo.example/"), now=at(5 * HOUR))

    for one in found:
        assert re.fullmatch(r'https?://[^|<>"\s]+', one.annotations["relevo_url"])


def test_says_all_that_the_slack_message_shows_and_nothing_empty() -> None:
    for one in announcements(everything(), now=at(5 * HOUR)):
        assert one.annotations["summary"]
        assert one.annotations["description"].endswith(".")
        assert all(one.annotations.values())
        assert all(one.labels.values())
        assert all("\n" not in text and "None" not in text for text in one.annotations.values())


@pytest.mark.parametrize(
    ("container", "labels", "group"),
    [
        pytest.param("shop-web-1", compose("shop", "web", 1), "shop-web", id="compose"),
        pytest.param(
            "shop-web-run-1",
            {**compose("shop", "web", 1), "com.docker.compose.oneoff": "True"},
            "shop-web",
            id="one-off",
        ),
        pytest.param(
            "shop-web-1",
            {**compose("shop", "web", 1), "relevo.workload": "front"},
            "shop-web",
            id="the-rules-know-no-workload",
        ),
        pytest.param("web", {}, "web", id="alone"),
        pytest.param("web_new", {}, "web", id="first-clone"),
        pytest.param("web_new12", {}, "web", id="twelfth-clone"),
        pytest.param("web_newer", {}, "web_newer", id="another-word"),
        pytest.param("_new", {}, "_new", id="never-empty"),
    ],
)
def test_a_group_is_called_what_the_rules_call_it(
    container: str, labels: dict[str, str], group: str
) -> None:
    assert group_label(container, labels) == group


def test_the_rules_expression_is_still_ours() -> None:
    assert '"group", "$1", "name", "(.+?)(?:_new[0-9]*)?"' in RULES


@pytest.mark.parametrize(
    ("group", "container", "label"),
    [
        ("host1:shop/web", "shop-web-1", "shop-web"),
        ("host1:web", "web", "web"),
        ("host1:front", "web_new2", "web"),
    ],
)
def test_a_group_is_told_from_the_record_alone(group: str, container: str, label: str) -> None:
    assert group_label_of(remediation(group=group, container=container)) == label
