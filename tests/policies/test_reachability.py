"""Can a policy ever scale out: the arithmetic, on both sides of its boundary."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.duration import parse_duration
from app.policies.reachability import (
    SHIPPED_SETTLE,
    Goal,
    Reachability,
    doubts,
    in_minutes,
    reachability,
    reachable_with,
    shadowed,
)
from app.policies.spec import (
    Match,
    Policy,
    RestartRules,
    Rulebook,
    ScaleOutRules,
    Strategy,
    VerifyRules,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alert_rules.yml"


def policy(delays: str = "1m 5m 10m", name: str = "default", **restart: object) -> Policy:
    """A policy with these waits before its restarts."""
    waits = tuple(parse_duration(one) for one in delays.split())
    return Policy(name=name, restart=RestartRules(delays=waits, **restart))  # type: ignore[arg-type]


def summed(policy: Policy) -> Reachability:
    found = reachability(policy)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("delays", "max_failed", "arithmetic"),
    [
        pytest.param("1m 5m 10m", 3, "15m + 14m = 29m", id="as-shipped"),
        pytest.param("0s 1m 5m 10m", 3, "6m + 14m = 20m", id="the-other-reading-of-the-brief"),
        pytest.param("1m", 3, "2m + 14m = 16m", id="the-last-repeats"),
        pytest.param("1m 5m 10m", 5, "35m + 28m = 63m", id="it-repeats-often"),
        pytest.param("5h 1m 1m", 3, "2m + 14m = 16m", id="the-first-wait-comes-before-a-failure"),
        pytest.param("1m 30s", 2, "30s + 7m = 7m30s", id="below-a-minute"),
        pytest.param("1h", 1, "0s", id="one-failure-is-enough"),
        pytest.param("0s", 2, "7m", id="no-wait-at-all"),
    ],
)
def test_adds_up_waits_and_verifications(delays: str, max_failed: int, arithmetic: str) -> None:
    assert summed(policy(delays, max_failed=max_failed)).arithmetic == arithmetic


@pytest.mark.parametrize(
    ("window", "fits"),
    [
        pytest.param(29 * MINUTE + timedelta(microseconds=1), True, id="longer"),
        pytest.param(29 * MINUTE, False, id="a-failure-exactly-one-window-old-no-longer-counts"),
        pytest.param(28 * MINUTE, False, id="shorter"),
    ],
)
def test_the_span_must_be_shorter_than_the_window(window: timedelta, fits: bool) -> None:
    assert summed(policy(window=window)).fits is fits


def test_jitter_lengthens_the_waits() -> None:
    found = summed(policy(jitter=0.2))

    assert (found.jitter, found.span) == (3 * MINUTE, 32 * MINUTE)
    assert found.arithmetic == "15m + 3m + 14m = 32m"


def test_verify_rules_count() -> None:
    verify = VerifyRules(deadline=MINUTE, settle=90 * SECOND)

    assert summed(Policy(verify=verify)).arithmetic == "15m + 5m = 20m"


def test_a_poll_that_is_longer_than_the_deadline_takes_its_place() -> None:
    verify = VerifyRules(poll=5 * MINUTE)

    assert summed(Policy(verify=verify)).arithmetic == "15m + 18m = 33m"


def test_a_start_grace_takes_the_place_of_shorter_waits() -> None:
    assert summed(policy(start_grace=7 * MINUTE)).arithmetic == "17m + 14m = 31m"


def test_the_longest_settle_of_the_alerts_counts_where_it_is_longer() -> None:
    found = reachability(Policy(), settles=[6 * MINUTE, MINUTE])
    shorter = reachability(Policy(), settles=[MINUTE])

    assert found is not None
    assert found.arithmetic == "15m + 18m = 33m"
    assert shorter == reachability(Policy())


def test_the_shipped_settle_is_the_longest_of_the_shipped_rules() -> None:
    written = re.findall(r"^\s+relevo_settle: (\S+)$", RULES.read_text(encoding="utf-8"), re.M)

    assert max(map(parse_duration, written)) == SHIPPED_SETTLE


@pytest.mark.parametrize("strategy", list(Strategy))
def test_only_scale_first_needs_no_failed_restart(strategy: Strategy) -> None:
    none = reachability(Policy(strategy=strategy)) is None

    assert none is (strategy is Strategy.SCALE_FIRST)


def test_where_scale_out_is_off_it_is_the_escalation_that_must_be_reached() -> None:
    found = summed(Policy(scale_out=ScaleOutRules(enabled=False)))

    assert found.goal is Goal.ESCALATION
    assert found.sentence.startswith("escalation after three failed restarts, which span at most")


@pytest.mark.parametrize(
    ("grace", "settle", "arithmetic"),
    [
        pytest.param(None, None, "15m + 14m + 2m20s = 31m20s", id="the-containers-own-grace"),
        pytest.param(40 * SECOND, None, "15m + 14m + 3m20s = 32m20s", id="the-policys-wins"),
        pytest.param(None, 6 * MINUTE, "15m + 18m + 2m20s = 35m20s", id="its-alerts-settle"),
        pytest.param(None, MINUTE, "15m + 8m + 2m20s = 25m20s", id="a-shorter-settle"),
    ],
)
def test_a_container_adds_its_own_times(
    grace: timedelta | None, settle: timedelta | None, arithmetic: str
) -> None:
    found = reachable_with(
        policy(stop_grace=grace), stop_grace=10 * SECOND, start_period=MINUTE, settle=settle
    )

    assert found is not None
    assert found.arithmetic == arithmetic


# ---------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("unfit", "said"),
    [
        pytest.param(
            policy("1m 20m 40m"),
            "its scale-out can never fire: three failed restarts span up to 60m + 14m = 74m, and "
            "the window is 60m: lengthen window to more than 74m, or shorten delays",
            id="never",
        ),
        pytest.param(
            policy("1m 15m 40m"),
            "its scale-out may never fire: three failed restarts span up to 55m + 14m = 69m, and "
            "the window is 60m: lengthen window to more than 69m, or shorten delays",
            id="only-where-restarts-fail-quickly",
        ),
        pytest.param(
            policy("1m 50m 1m", max_failed=12, window=HOUR),
            "its scale-out may never fire: 12 failed restarts span up to 60m + 77m = 137m, and "
            "the window is 60m: lengthen window to more than 137m, or shorten delays",
            id="shrinking-waits-may-still-bring-them-together",
        ),
        pytest.param(
            policy("0s", max_failed=2, window=5 * MINUTE),
            "its scale-out may never fire: two failed restarts span up to 7m, and the window is "
            "5m: lengthen window to more than 7m, or shorten deadline or settle",
            id="no-waits-to-shorten",
        ),
        pytest.param(
            policy(),
            "scale-out after three failed restarts, which span at most 15m + 14m = 29m of the "
            "window of 60m",
            id="fits",
        ),
        pytest.param(
            policy(max_failed=1),
            "scale-out after one failed restart, which spans at most 0s of the window of 60m",
            id="one-is-enough",
        ),
    ],
)
def test_says_it_with_the_numbers(unfit: Policy, said: str) -> None:
    assert summed(unfit).sentence == said


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (74 * MINUTE, "74m"),
        (0 * MINUTE, "0s"),
        (59 * SECOND, "59s"),
        (90 * SECOND, "1m30s"),
        (25 * HOUR, "1500m"),
        (MINUTE + timedelta(milliseconds=5), "1m5ms"),
    ],
)
def test_sums_are_written_in_minutes(duration: timedelta, written: str) -> None:
    assert in_minutes(duration) == written
    assert parse_duration(written) == duration


# ---------------------------------------------------------------- doubts

ANY = Match()
WEB = Match(labels={"service": "web"})
WEB_CPU = Match(labels={"service": "web", "tier": "a"}, alerts=("Cpu",))
CPU = Match(alerts=("Cpu",))
BOTH = Match(alerts=("Cpu", "Memory"))


@pytest.mark.parametrize(
    ("earlier", "later", "hidden"),
    [
        pytest.param(ANY, WEB, True, id="everything-first"),
        pytest.param(ANY, ANY, True, id="everything-twice"),
        pytest.param(WEB, ANY, False, id="everything-last"),
        pytest.param(WEB, WEB_CPU, True, id="wider-first"),
        pytest.param(WEB_CPU, WEB, False, id="narrower-first"),
        pytest.param(CPU, BOTH, False, id="fewer-alerts-first"),
        pytest.param(BOTH, CPU, True, id="more-alerts-first"),
        pytest.param(CPU, ANY, False, id="some-alerts-are-not-all"),
        pytest.param(CPU, WEB, False, id="different-things"),
        pytest.param(WEB, Match(labels={"service": "db"}), False, id="another-value"),
    ],
)
def test_finds_policies_that_never_match(earlier: Match, later: Match, hidden: bool) -> None:
    book = Rulebook(policies=((earlier, Policy(name="a")), (later, Policy(name="b"))))

    assert list(shadowed(book)) == ([("b", "a")] if hidden else [])


def test_nothing_is_doubtful_about_the_shipped_rules() -> None:
    assert list(doubts(Rulebook())) == []


def test_what_is_doubtful_is_said_by_policy() -> None:
    memory = policy("1m 20m 25m", name="memory")
    single = Policy(name="single", scale_out=ScaleOutRules(max_instances=1))
    silent = Policy(
        name="silent",
        restart=policy("1m 1h").restart,
        scale_out=ScaleOutRules(enabled=False),
    )
    book = Rulebook(policies=((ANY, memory), (CPU, single), (WEB, silent)))

    assert [(name, said.partition(":")[0]) for name, said in doubts(book)] == [
        ("memory", "with an alert's relevo_settle of 6m, its scale-out may never fire"),
        ("single", "it escalates instead of scaling out"),
        ("silent", "its escalation can never fire"),
        (
            "single",
            "it never matches, since 'memory' before it covers all that it would; only a "
            "container's label can name it",
        ),
        (
            "silent",
            "it never matches, since 'memory' before it covers all that it would; only a "
            "container's label can name it",
        ),
    ]
    assert "45m + 18m = 63m" in next(said for name, said in doubts(book) if name == "memory")
