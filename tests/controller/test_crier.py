"""What is posted to Alertmanager, and when: in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.controller.crier import MOST, Crier
from app.controller.picture import Census
from app.controller.rules import Rules
from app.domain.alert import OwnAlert
from app.domain.control import Brake, Halt
from app.domain.decision import Action, Outcome, Reason
from app.domain.remediation import LogEntry, Remediation, State
from app.errors import SourceUnavailable, StoreUnavailable, Unreadable
from app.policies.spec import BrakeRules, ChronicRules, Guards, Match, Mode, Policy, Rulebook
from app.ports import RemediationFilter, Store
from tests.builders import START, TARGET, at, attempt, compose, container, hex_id, remediation
from tests.controller.house import VirtualClock, pass_time
from tests.fakes import FakeEngine, web

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

HOLD = timedelta(minutes=5)
#: Seconds between two rounds.
ROUND = 75


@dataclass
class FakeFacts:
    """The ports of the store that a crier reads."""

    records: list[Remediation] = field(default_factory=list)
    helped: dict[str, tuple[datetime, ...]] = field(default_factory=dict)
    braked: Brake = Brake()  # noqa: RUF009 - frozen
    failed: list[datetime] = field(default_factory=list)
    down: str | None = None
    unreadable: set[str] = field(default_factory=set)
    asked: int = 0

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        self._answer()
        found = [
            one
            for one in self.records
            if which.target in (None, one.target) and not (which.open_only and one.is_closed)
            if which.since is None or one.opened_at >= which.since
        ]
        return tuple(sorted(found, key=lambda one: one.opened_at, reverse=True)[: which.limit])

    async def remediation(self, remediation_id: str) -> Remediation | None:
        self._answer()
        if remediation_id in self.unreadable:
            raise Unreadable(remediation_id)
        return next((one for one in self.records if one.id == remediation_id), None)

    async def recoveries(self, *, since: datetime) -> Mapping[str, tuple[datetime, ...]]:
        self._answer()
        return {t: tuple(a for a in times if a > since) for t, times in self.helped.items()}

    async def failing_targets(
        self, *, now: datetime, window: timedelta, after: datetime | None = None
    ) -> int:
        self._answer()
        edge = now - window if after is None else max(after, now - window)
        return sum(edge < moment <= now for moment in self.failed)

    async def brake(self) -> Brake:
        self.asked += 1
        self._answer()
        return self.braked

    async def pause(self) -> Halt | None:
        self._answer()
        return None

    def _answer(self) -> None:
        if self.down is not None:
            raise StoreUnavailable(self.down)


@dataclass
class FakeAlerts:
    """An Alertmanager that takes alerts, and ends what it does not hear of any more."""

    clock: VirtualClock
    down: str | None = None
    #: It takes what it is sent, and its answer is lost.
    mute: bool = False
    #: (seconds since the start, alerts) of each post.
    posts: list[tuple[float, list[OwnAlert]]] = field(default_factory=list)
    kept: dict[tuple[tuple[str, str], ...], OwnAlert] = field(default_factory=dict)

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        if self.down is not None:
            raise SourceUnavailable(self.down)
        for one in alerts:
            assert one.ends_at >= one.starts_at  # else refused
            self.kept[tuple(sorted(one.labels.items()))] = one
        since = round((self.clock.now() - START).total_seconds(), 3)
        self.posts.append((since, list(alerts)))
        if self.mute:
            raise SourceUnavailable("no answer")

    def active(self) -> set[str]:
        """What it shows: name of the alert and target."""
        now = self.clock.now()
        return {_name(one) for one in self.kept.values() if one.starts_at <= now < one.ends_at}

    def ends(self, name: str) -> datetime:
        return next(one.ends_at for one in self.kept.values() if _name(one) == name)


def _name(one: OwnAlert) -> str:
    return " ".join(
        part for part in (one.labels["alertname"], one.labels.get("target", "")) if part
    )


ESCALATED = f"RelevoEscalated {TARGET}"
SCALED = f"RelevoScaledOut {TARGET}"
AT_WORK = f"RelevoAtWork {TARGET}"
OVER = f"RelevoOver {TARGET}"


def quarantined(**more: Any) -> Remediation:
    log = (LogEntry(at=at(-60), decision="escalate", reason=Reason.AT_MAX),)
    return remediation(**({"state": State.QUARANTINED, "log": log} | more))


def scaled_out(**more: Any) -> Remediation:
    clone = attempt(action=Action.SCALE_OUT, clone="web_new")
    values = {"state": State.COOLDOWN, "attempts": (clone,), "scaled_out_at": START}
    return remediation(**(values | more))


def closed(record: Remediation) -> Remediation:
    return replace(record, state=State.CLOSED, closed_at=START)


class Square:
    """A crier, and who listens."""

    def __init__(self, *, has_prometheus: bool = True, book: Rulebook | None = None) -> None:
        self.clock = VirtualClock()
        self.engine = FakeEngine(self.clock)
        self.engine.run(web())
        self.facts = FakeFacts()
        self.alerts = FakeAlerts(self.clock)
        self.rules = Rules(book or Rulebook())
        self.counted: dict[str, int] = {}
        self.census = Census(self.engine, self.clock, name=None, prefix="relevo", rules=self.rules)
        self.crier = self.another(has_prometheus=has_prometheus)

    def another(self, *, has_prometheus: bool = True) -> Crier:
        """The same one after a crash."""
        unused: Any = None
        facts: Any = self.facts
        store = Store(
            inbox=unused,
            schedule=unused,
            records=unused,
            failures=facts,
            history=facts,
            controls=facts,
            orders=unused,
            casefiles=unused,
            facts=unused,
            health=unused,
            leadership=unused,
            outbox=unused,
            audit=unused,
            scaling=unused,
        )
        return Crier(
            store,
            self.alerts,
            self.census,
            self.clock,
            self.rules,
            external_url="http://relevo:5000",
            has_prometheus=has_prometheus,
            hold_for=HOLD,
            prefix="relevo",
            count=self.count,
        )

    def count(self, result: str, number: int) -> None:
        self.counted[result] = self.counted.get(result, 0) + number

    async def look(self) -> list[str]:
        """One round; what it posted, ``-`` before what is over."""
        before = len(self.alerts.posts)
        await self.census.roster()
        await self.crier.look()
        now = self.clock.now()
        return [
            f"-{_name(one)}" if one.ends_at <= now else _name(one)
            for _, alerts in self.alerts.posts[before:]
            for one in alerts
        ]

    @asynccontextmanager
    async def crying(self) -> AsyncIterator[None]:
        await self.census.roster()
        task = asyncio.create_task(self.crier.run())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def square() -> Square:
    return Square()


# ---------------------------------------------------------------- what holds


async def test_what_holds_is_posted_with_an_end_ahead(square: Square) -> None:
    square.facts.records = [quarantined()]

    assert await square.look() == [ESCALATED]

    (one,) = square.alerts.posts[0][1]
    assert one.starts_at == at(-60)
    assert one.ends_at == START + HOLD
    assert one.labels["group"] == "web"
    assert one.labels["engine"] == "host1"
    assert one.alert_annotations["relevo_url"] == "http://relevo:5000/remediations/web-1"


async def test_it_is_posted_again_every_quarter_with_the_same_beginning(square: Square) -> None:
    square.facts.records = [quarantined()]

    async with square.crying():
        await pass_time(minutes=20)

    moments = [since for since, _ in square.alerts.posts]
    assert moments == [pytest.approx(n * ROUND, abs=0.01) for n in range(len(moments))]
    assert len(moments) in (16, 17)  # the last one is at the very end
    assert {one.starts_at for _, alerts in square.alerts.posts for one in alerts} == {at(-60)}
    assert square.alerts.active() == {ESCALATED}


async def test_what_is_over_is_posted_once_with_its_end(square: Square) -> None:
    square.facts.records = [quarantined()]
    await square.look()
    await pass_time(seconds=100)
    square.facts.records = [closed(quarantined())]

    assert await square.look() == [f"-{ESCALATED}"]
    assert square.alerts.ends(ESCALATED) == at(100)
    assert square.alerts.active() == set()
    await pass_time(seconds=ROUND)
    assert await square.look() == []
    assert square.counted == {"firing": 1, "over": 1}


async def test_nothing_is_posted_where_nothing_holds(square: Square) -> None:
    async with square.crying():
        await pass_time(hours=1)

    assert square.alerts.posts == []


async def test_nothing_is_posted_before_the_engine_has_told_its_name(square: Square) -> None:
    square.facts.records = [quarantined()]

    await square.crier.look()

    assert square.alerts.posts == []
    assert square.facts.asked == 0


async def test_an_escalation_takes_the_place_of_the_scale_out(square: Square) -> None:
    square.facts.records = [scaled_out()]
    assert await square.look() == [SCALED]
    square.facts.records = [quarantined(scaled_out_at=START)]

    assert sorted(await square.look()) == [f"-{SCALED}", ESCALATED]


async def test_a_story_is_told_from_its_beginning_to_its_end(square: Square) -> None:
    square.facts.records = [remediation()]
    assert await square.look() == [AT_WORK]
    square.facts.records = [scaled_out()]
    assert sorted(await square.look()) == [f"-{AT_WORK}", SCALED]
    square.facts.records = [replace(closed(scaled_out()), outcome=Outcome.RELIEVED)]
    assert sorted(await square.look()) == [f"-{SCALED}", OVER]

    async with square.crying():
        await pass_time(minutes=9, seconds=50)
        assert square.alerts.active() == {OVER}
        await pass_time(minutes=2)
        assert square.alerts.active() == set()


def long_ago(record: Remediation) -> Remediation:
    return replace(record, opened_at=START - timedelta(days=20))


async def test_the_end_of_a_story_of_weeks_is_told_after_a_restart_too(square: Square) -> None:
    ended = replace(closed(long_ago(quarantined())), outcome=Outcome.ESCALATED)
    square.facts.records = [ended]

    assert await square.look() == [OVER]
    square.crier = square.another()
    assert await square.look() == [OVER]


async def test_the_end_of_a_story_is_told_however_many_have_begun_since(square: Square) -> None:
    old = long_ago(quarantined())
    newer = [
        closed(remediation(id=f"api-{number}", target="host1:api", container="api"))
        for number in range(150)
    ]
    newer = [replace(one, closed_at=at(-3600), outcome=Outcome.RECOVERED) for one in newer]
    square.facts.records = [old, *newer]
    assert await square.look() == [ESCALATED]
    square.facts.records = [replace(closed(old), outcome=Outcome.ESCALATED), *newer]

    assert sorted(await square.look()) == [f"-{ESCALATED}", OVER]
    await pass_time(minutes=9)
    assert await square.look() == [OVER]
    await pass_time(minutes=2)
    assert await square.look() == [f"-{OVER}"]


async def test_a_story_that_ends_unreadable_keeps_nobody_from_telling(square: Square) -> None:
    old, other = long_ago(quarantined()), quarantined(id="db-1", target="host1:db", container="db")
    square.facts.records = [old, other]
    await square.look()
    square.facts.records, square.facts.unreadable = [other], {old.id}

    assert await square.look() == [f"-{ESCALATED}"]
    await pass_time(minutes=2)
    assert await square.look() == ["RelevoEscalated host1:db"]


async def test_the_end_of_another_engines_story_is_not_ours_to_tell(square: Square) -> None:
    ended = replace(closed(remediation(target="host2:web")), outcome=Outcome.RECOVERED)
    square.facts.records = [ended]

    assert await square.look() == []


async def test_what_is_only_observed_is_not_promised() -> None:
    book = Rulebook(defaults=Policy(mode=Mode.OBSERVE))
    square = Square(book=book)
    square.facts.records = [remediation(next_at=at(60), next_action=Action.RESTART)]
    await square.look()

    (one,) = square.alerts.posts[0][1]
    assert one.alert_annotations["relevo_next"].startswith("nothing, it only observes")


async def test_what_comes_back_is_told_again(square: Square) -> None:
    square.facts.records = [quarantined()]
    await square.look()
    square.facts.records = []
    await square.look()
    square.facts.records = [quarantined(id="web-2")]

    assert await square.look() == [ESCALATED]
    assert square.alerts.active() == {ESCALATED}


async def test_other_engines_stories_are_not_ours_to_tell(square: Square) -> None:
    square.facts.records = [quarantined(target="host2:web")]
    square.facts.helped = {"host2:web": tuple(at(-n) for n in range(6))}

    assert await square.look() == []


async def test_a_crash_changes_nothing_for_who_listens(square: Square) -> None:
    square.facts.records = [quarantined()]
    async with square.crying():
        await pass_time(minutes=1)
    (before,) = square.alerts.posts[0][1]
    await pass_time(minutes=2)
    square.crier = square.another()

    assert await square.look() == [ESCALATED]

    (after,) = square.alerts.posts[-1][1]
    assert after.labels == before.labels
    assert after.starts_at == before.starts_at


async def test_what_ended_while_nobody_was_here_expires(square: Square) -> None:
    square.facts.records = [quarantined()]
    async with square.crying():
        await pass_time(seconds=1)
    square.facts.records = []
    square.crier = square.another()
    async with square.crying():
        await pass_time(minutes=5)

    assert square.alerts.active() == set()


# ---------------------------------------------------------------- facts from elsewhere


async def test_the_group_is_the_rules_word_for_it() -> None:
    square = Square()
    labels = {**compose("shop", "web", 1), "relevo.workload": "front"}
    square.engine.run(container("shop-web-1", 2, labels=labels))
    record = quarantined(target="host1:shop-web-1", group="host1:front", container="shop-web-1")
    square.facts.records = [record]
    await square.look()
    assert square.alerts.posts[0][1][0].labels["group"] == "shop-web"


async def test_a_container_that_is_gone_keeps_the_name_of_its_record(square: Square) -> None:
    square.engine.inside.clear()
    square.facts.records = [quarantined(group="host1:shop/web", container="shop-web-1")]

    await square.look()

    labels = square.alerts.posts[0][1][0].labels
    assert (labels["group"], labels["name"]) == ("shop-web", "shop-web-1")


SIX = tuple(at(-600 * n) for n in range(6))


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="no-story-left"),
        pytest.param([closed(remediation())], id="story-closed"),
        pytest.param([remediation()], id="story-open"),
    ],
)
async def test_a_chronic_target_is_told_for_an_hour(records: list[Remediation]) -> None:
    square = Square()
    square.facts.records = records
    square.facts.helped = {TARGET: SIX}
    chronic = f"RelevoChronic {TARGET}"

    async with square.crying():
        await pass_time(minutes=59)
        assert square.alerts.active() - {AT_WORK} == {chronic}
        await pass_time(minutes=3)
        assert square.alerts.active() - {AT_WORK} == set()

    assert square.alerts.posts[0][1][0].starts_at == START


async def test_chronic_is_what_the_policy_of_its_story_says() -> None:
    patient = Policy(name="patient", chronic=ChronicRules(restarts=7))
    square = Square(book=Rulebook(policies=((Match(alerts=("Nothing",)), patient),)))
    square.facts.helped = {TARGET: SIX}
    square.facts.records = [closed(remediation(policy="patient"))]

    assert await square.look() == []


async def test_a_brake_is_told_while_it_is_engaged(square: Square) -> None:
    square.facts.braked = Brake(engaged_at=at(-5), failing=4)
    assert await square.look() == ["RelevoBrake"]
    assert square.alerts.posts[0][1][0].starts_at == at(-5)
    square.facts.braked = Brake(cleared_at=START)

    assert await square.look() == ["-RelevoBrake"]


async def test_many_failing_containers_keep_the_moment_they_were_first_seen() -> None:
    square = Square(has_prometheus=False)
    square.facts.failed = [at(-n) for n in range(4)]
    async with square.crying():
        await pass_time(minutes=10)
    starts = [one.starts_at for _, alerts in square.alerts.posts for one in alerts]

    assert len(starts) >= 8
    assert set(starts) == {START}
    assert square.alerts.active() == {"RelevoManyContainersFailing"}


async def test_failures_from_before_a_person_resumed_do_not_count_for_the_brake() -> None:
    book = Rulebook(guards=Guards(brake=BrakeRules(freeze=False)))
    square = Square(book=book)
    square.facts.failed = [at(-n) for n in range(1, 6)]
    assert await square.look() == ["RelevoBrake"]
    square.facts.braked = Brake(cleared_at=START)

    assert await square.look() == ["-RelevoBrake"]


# ---------------------------------------------------------------- waking


async def test_a_call_is_followed_soon(square: Square) -> None:
    async with square.crying():
        await pass_time(seconds=30)
        square.facts.records = [quarantined()]
        square.crier.wake()
        await pass_time(seconds=1)

    assert [since for since, _ in square.alerts.posts] == [30]


async def test_a_storm_of_calls_is_no_storm_of_posts(square: Square) -> None:
    square.facts.records = [quarantined()]
    async with square.crying():
        for _ in range(600):
            square.crier.wake()
            await pass_time(seconds=0.1)

    assert square.facts.asked <= 60 / 5 + 1
    assert [since for since, _ in square.alerts.posts] == [0, 60]


async def test_constant_calls_do_not_keep_it_from_posting_again(square: Square) -> None:
    square.facts.records = [quarantined()]
    async with square.crying():
        for _ in range(600):
            square.crier.wake()
            await pass_time(seconds=1)
            assert square.alerts.active() == {ESCALATED}

    assert 8 <= len(square.alerts.posts) <= 11


async def test_news_of_what_holds_is_posted_at_once(square: Square) -> None:
    square.facts.records = [scaled_out()]
    await square.look()
    await pass_time(seconds=5)
    square.facts.records = [scaled_out(called_off="alice: mine")]

    assert await square.look() == [SCALED]


# ---------------------------------------------------------------- failures


async def test_what_could_not_be_posted_is_posted_in_the_next_round(square: Square) -> None:
    square.facts.records = [quarantined()]
    square.alerts.down = "cannot connect"
    async with square.crying():
        await pass_time(seconds=ROUND + 1)
        square.alerts.down = None
        await pass_time(seconds=ROUND)

    assert [since for since, _ in square.alerts.posts] == [2 * ROUND]
    assert square.counted == {"failed": 2, "firing": 1}


async def test_an_end_that_could_not_be_posted_is_repeated(square: Square) -> None:
    square.facts.records = [quarantined()]
    await square.look()
    square.facts.records = []
    square.alerts.down = "cannot connect"
    await pass_time(seconds=10)
    assert await square.look() == []
    await pass_time(seconds=ROUND)
    square.alerts.down = None

    assert await square.look() == [f"-{ESCALATED}"]
    assert square.alerts.ends(ESCALATED) == at(10)
    assert await square.look() == []


async def test_an_end_is_not_repeated_once_alertmanager_has_found_it_by_itself(
    square: Square,
) -> None:
    square.facts.records = [quarantined()]
    await square.look()
    square.facts.records = []
    square.alerts.down = "cannot connect"
    await square.look()
    await pass_time(minutes=5)
    square.alerts.down = None

    assert await square.look() == []


async def test_what_may_have_been_heard_is_ended_too(square: Square) -> None:
    """The answer to the only post was lost."""
    square.facts.records = [quarantined()]
    square.alerts.mute = True
    await square.look()
    square.alerts.mute = False
    square.facts.records = []
    await pass_time(seconds=1)

    assert await square.look() == [f"-{ESCALATED}"]


async def test_a_store_that_does_not_answer_ends_nothing(square: Square) -> None:
    square.facts.records = [quarantined()]
    async with square.crying():
        await pass_time(seconds=1)
        square.facts.down = "gone"
        await pass_time(minutes=30)
        assert square.alerts.active() == {ESCALATED}
        square.facts.down = None
        square.facts.records = []
        await pass_time(seconds=ROUND)

    assert square.alerts.active() == set()


async def test_a_store_that_has_never_answered_is_told_nothing_of(square: Square) -> None:
    square.facts.down = "gone"

    assert await square.look() == []


async def test_only_a_changed_failure_is_news(square: Square) -> None:
    square.facts.records = [quarantined()]
    with capture_logs() as logs:
        async with square.crying():
            for error in ("one", "one", "two"):
                square.alerts.down = error
                await pass_time(seconds=ROUND)
            square.alerts.down = None
            await pass_time(seconds=ROUND)

    said = [(line["log_level"], line.get("error")) for line in logs]
    assert said == [
        ("warning", "SourceUnavailable: one"),
        ("warning", "SourceUnavailable: two"),
        ("info", None),
    ]


async def test_a_bug_ends_nothing_but_its_round(square: Square) -> None:
    square.facts.records = [quarantined(target="host1:?")]  # no target's name
    with capture_logs() as logs:
        async with square.crying():
            await pass_time(seconds=3 * ROUND)
            square.facts.records = [quarantined()]
            await pass_time(seconds=ROUND)

    assert [line["log_level"] for line in logs] == ["error", "info"]
    assert square.alerts.active() == {ESCALATED}


# ---------------------------------------------------------------- too many


def crowd(number: int) -> list[Remediation]:
    return [
        quarantined(id=f"c{n:03}-1", target=f"host1:c{n:03}", container=f"c{n:03}")
        for n in range(number)
    ]


async def test_too_many_are_cut_and_that_is_said_once(square: Square) -> None:
    square.facts.records = crowd(MOST + 50)
    with capture_logs() as logs:
        assert len(await square.look()) == MOST
        await pass_time(seconds=ROUND)
        assert len(await square.look()) == MOST

    assert [line["log_level"] for line in logs] == ["warning"]


async def test_what_still_holds_is_never_called_over_for_want_of_room(square: Square) -> None:
    square.facts.records = [scaled_out()]
    await square.look()
    square.facts.records += crowd(MOST)

    posted = await square.look()

    assert len(posted) == MOST
    assert not [name for name in posted if name.startswith("-")]


async def test_it_keeps_nothing_of_what_is_over(square: Square) -> None:
    for number in range(20):
        square.facts.records = [
            quarantined(target=f"host1:t{number}", container=f"t{number}", id=hex_id(number))
        ]
        await square.look()
    square.facts.records = []
    await square.look()

    assert square.counted == {"firing": 20, "over": 20}
    assert square.alerts.active() == set()
