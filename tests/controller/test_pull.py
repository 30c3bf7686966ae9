"""The webhook is speed, the pull is truth: what each of them may begin, confirm and end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app.controller.operate import Wish
from app.domain.alert import AlertListing, AlertStatus, ListedState
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.remediation import Remediation, State
from app.errors import StoreUnavailable
from app.policies.spec import Rulebook
from app.ports import Aside, Notice, Taken
from tests.builders import START, TARGET, alert, at, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine, FakePrometheus
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(30)]

RESOLVED = alert(status=AlertStatus.RESOLVED)
#: What Prometheus says of the same alert: its rule's labels, no external ones.
SERIES = {"alertname": "ContainerHighCPU", "engine": "host1", "name": "web"}
WATCHDOG = {"alertname": "RelevoWatchdog"}
ANNA = Wish(reason="looking into it", author="anna")


@pytest.fixture
async def prometheus(clock: VirtualClock) -> FakePrometheus:
    return FakePrometheus(clock)


@pytest.fixture
async def both(
    clock: VirtualClock,
    engine: FakeEngine,
    alertmanager: FakeAlertmanager,
    prometheus: FakePrometheus,
) -> House:
    """A controller that pulls Alertmanager, and asks Prometheus where that is silent."""
    return build(make_store(), clock, engine, alerts=alertmanager, samples=prometheus)


def verdicts(story: Remediation) -> list[Verdict | None]:
    return [attempt.verdict for attempt in story.attempts]


# ------------------------------------------------------------ what a pull begins


async def test_an_alert_that_never_came_by_webhook_is_found_and_healed(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        await pass_time(minutes=6)
        story = await watched.story()

    assert watched.since_start("restart") == [60]
    assert story.outcome is Outcome.RECOVERED


async def test_an_alert_that_begins_between_two_pulls_is_found_by_the_next(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await pass_time(seconds=61)
        alertmanager.alerts.append(listed_alert())
        await pass_time(minutes=3)

    # At 90 s it is found; the delay counts from then.
    assert watched.since_start("restart") == [150]


async def test_a_truncated_notification_is_pulled_for_at_once(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await pass_time(seconds=5)
        alertmanager.alerts.append(listed_alert())
        await watched.intake.take([], truncated=7)
        await pass_time(seconds=1)
        (story,) = await watched.stories()

    assert story.opened_at == at(5)


async def test_a_notification_that_is_whole_is_not_pulled_for(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await pass_time(seconds=5)
        alertmanager.alerts.append(listed_alert())
        await watched.intake.take([])
        await pass_time(seconds=1)

        assert await watched.stories() == ()


async def test_what_is_silenced_opens_nothing(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts[:] = [listed_alert(ListedState.SUPPRESSED)]
    async with working(watched, pulling=True):
        await pass_time(hours=1)

        assert await watched.stories() == ()
    assert watched.engine.acts == []


async def test_what_is_no_longer_silenced_is_treated(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts[:] = [listed_alert(ListedState.SUPPRESSED)]
    async with working(watched, pulling=True):
        await pass_time(minutes=59, seconds=50)
        alertmanager.alerts[:] = [listed_alert()]
        await pass_time(minutes=2)

    # The next pull sees it, and its wait begins.
    assert watched.since_start("restart") == [3600 + 60]


async def test_our_own_alerts_never_open_anything(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    names = ("RelevoEscalated", "RelevoChronic", "RelevoBrake", "RelevoManyContainersFailing")
    labels = listed_alert().labels
    alertmanager.alerts[:] = [
        listed_alert(labels={**labels, "alertname": name}, fingerprint=name) for name in names
    ]
    async with working(watched, pulling=True):
        await pass_time(hours=1)
        stories = await watched.stories()

    assert stories == ()
    assert watched.engine.acts == []


async def test_our_own_alert_keeps_no_story_open(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    """What tells people of a quarantine must not be what keeps it."""
    labels = {**listed_alert().labels, "alertname": "RelevoEscalated"}
    alertmanager.alerts.append(listed_alert(labels=labels, fingerprint="own"))
    async with working(watched, pulling=True):
        await pass_time(seconds=70)
        del alertmanager.alerts[0]
        await pass_time(minutes=6)
        story = await watched.story()

    assert verdicts(story) == [Verdict.RECOVERED]
    assert story.is_closed


@pytest.mark.parametrize(
    "labels",
    [
        {"engine": "host2"},
        {"name": "nobody"},
        {"name": "we"},
        {"name": ""},
    ],
)
async def test_what_is_not_about_us_opens_nothing(
    watched: House, alertmanager: FakeAlertmanager, labels: dict[str, str]
) -> None:
    alertmanager.alerts[:] = [listed_alert(labels={**listed_alert().labels, **labels})]
    async with working(watched, pulling=True):
        await pass_time(minutes=10)

        assert await watched.stories() == ()


# ------------------------------------------------------------ routes with time intervals


async def test_where_alerts_may_be_muted_a_pull_opens_nothing(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.may_open = False
    async with working(watched, pulling=True):
        await pass_time(hours=1)

        assert await watched.stories() == ()
    assert watched.engine.acts == []


async def test_where_alerts_may_be_muted_a_pull_still_confirms_and_resolves(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.may_open = False
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(hours=9)  # confirmed: it does not expire
        still = await watched.story()
        alertmanager.alerts.clear()
        await pass_time(minutes=15)
        story = await watched.story()

    assert len(watched.since_start("restart")) == 4  # one of them under cover of a clone
    assert not still.is_closed
    assert story.is_closed


@pytest.mark.parametrize("what", ["reset", "hold", "resolved"])
async def test_where_alerts_may_be_muted_no_step_opens_anything_either(
    watched: House, alertmanager: FakeAlertmanager, what: str
) -> None:
    """A muted alert is listed as active, and somebody has the target looked at."""
    alertmanager.may_open = False
    async with working(watched, pulling=True):
        match what:
            case "reset":
                await watched.operator.reset(TARGET, ANNA)
            case "hold":
                await watched.operator.hold(TARGET, ANNA, lasts=timedelta(seconds=1))
            case _:
                await watched.take(replace(RESOLVED, fingerprint="another"))
        await pass_time(minutes=10)
        stories = await watched.stories()

    assert watched.engine.acts == []
    assert stories == ()


# ------------------------------------------------------------ what vanishes


async def test_an_alert_that_was_listed_vanishes_after_ninety_seconds(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=40)
        await watched.operator.hold(TARGET, ANNA, lasts=None)
        await pass_time(seconds=35)
        alertmanager.alerts.clear()
        await pass_time(seconds=80)
        still = await watched.story()
        await pass_time(seconds=30)
        story = await watched.story()

    assert not still.is_closed
    assert (story.outcome, story.reason) == (Outcome.VANISHED, Reason.RESOLVED)
    assert story.closed_at is not None
    assert at(75 + 90) <= story.closed_at <= at(75 + 90 + 30)


async def test_it_takes_three_looks_however_long_they_take(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    """One look that is followed by an hour of nothing is one look."""
    house = build(make_store(), clock, engine, alerts=alertmanager)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=35)
        alertmanager.alerts.clear()
        await pass_time(seconds=30)
    await pass_time(hours=1)
    alertmanager.alerts.append(listed_alert())
    async with working(build(house.store, clock, engine, alerts=alertmanager), pulling=True):
        await pass_time(seconds=40)
        story = await house.story()

    assert not story.is_closed
    assert len(engine.done("restart")) == 1


async def test_a_blink_is_no_end(watched: House, alertmanager: FakeAlertmanager) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=65)  # restarted, being verified
        await pass_time(minutes=4)  # failed, waiting for the second restart
        for _ in range(3):
            alertmanager.alerts.clear()
            await pass_time(seconds=35)
            alertmanager.alerts.append(listed_alert())
            await pass_time(seconds=35)
        await pass_time(minutes=4)

    assert len(await watched.stories()) == 1
    assert len(watched.since_start("restart")) == 2


@pytest.mark.parametrize("dead", ["watchdog", "samples", "restarted"])
async def test_nothing_vanishes_while_the_pipeline_is_dead(
    both: House,
    alertmanager: FakeAlertmanager,
    prometheus: FakePrometheus,
    clock: VirtualClock,
    dead: str,
) -> None:
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.alerts.clear()
        for _ in range(10):
            match dead:
                case "watchdog":
                    alertmanager.watchdog = False
                case "samples":
                    prometheus.age = timedelta(minutes=5)
                case _:
                    alertmanager.up_since = clock.now()
            await pass_time(minutes=1)
        story = await both.story()

    assert (story.state, story.reason) == (State.HELD, Reason.NO_FRESH_DATA)
    assert both.engine.acts == []


async def test_an_absence_that_a_dead_pipeline_interrupts_begins_anew(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=35)
        alertmanager.alerts.clear()
        await pass_time(seconds=70)
        alertmanager.watchdog = False
        await pass_time(seconds=20)
        alertmanager.watchdog = True
        await pass_time(seconds=80)
        story = await watched.story()

    assert not story.is_closed


async def test_a_resolved_notice_needs_no_three_looks(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=35)
        alertmanager.alerts.clear()
        await watched.take(RESOLVED)
        await pass_time(seconds=2)
        story = await watched.story()

    assert (story.outcome, story.reason) == (Outcome.CANCELLED, Reason.RESOLVED)


async def test_a_resolved_notice_of_what_is_still_listed_ends_nothing(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    """One of a pair has resolved it, another still lists it."""
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=35)
        await watched.take(RESOLVED)
        await pass_time(minutes=1)

    assert watched.since_start("restart") == [60]


# ------------------------------------------------------------ webhook only


async def test_what_no_pull_has_listed_does_not_vanish(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    """Grafana, or somebody's script: this Alertmanager has never heard of it."""
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=10)
        story = await watched.story()

    assert watched.since_start("restart") == [60, 540]
    assert verdicts(story)[0] is Verdict.SYMPTOM_PERSISTS


@pytest.mark.parametrize("again", [0, 4], ids=["one-notice", "a-second-after-four-hours"])
async def test_what_no_pull_has_listed_expires_eight_hours_after_its_last_notice(
    watched: House, alertmanager: FakeAlertmanager, again: int
) -> None:
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await watched.operator.hold(TARGET, ANNA, lasts=None)
        await watched.take(alert())
        await pass_time(hours=again)
        await watched.take(alert())
        await pass_time(hours=8, seconds=-30)
        still = await watched.story()
        await pass_time(minutes=3)
        story = await watched.story()

    assert not still.is_closed
    assert story.outcome is Outcome.VANISHED
    assert story.closed_at is not None
    assert story.closed_at >= at(again * 3600 + 8 * 3600 + 90)


async def test_the_expiry_is_a_setting(clock: VirtualClock, engine: FakeEngine) -> None:
    rules = Rulebook(alert_expiry=timedelta(seconds=30))
    house = build(make_store(), clock, engine, rulebook=rules)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        story = await house.story()

    assert engine.acts == []
    assert story.outcome is Outcome.VANISHED


async def test_a_resolved_notice_ends_what_came_by_webhook(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=50)
        await watched.take(RESOLVED)
        await pass_time(minutes=5)
        story = await watched.story()

    assert watched.engine.acts == []
    assert story.outcome is Outcome.CANCELLED


# ------------------------------------------------------------ tombstones


async def test_a_notice_that_was_late_does_not_bring_back_what_is_resolved(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=5)
        await house.take(RESOLVED)
        await pass_time(seconds=5)
        counts = await house.take(alert())
        await pass_time(minutes=5)

    assert counts.stale == 1
    assert house.engine.acts == []


async def test_what_a_pull_lists_outranks_a_tombstone(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    """After a restart of Alertmanager an alert returns with its old start."""
    kept = list(alertmanager.alerts)
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=5)
        alertmanager.alerts.clear()
        await watched.take(RESOLVED)
        await pass_time(seconds=40)
        assert (await watched.story()).is_closed
        alertmanager.alerts[:] = kept
        await pass_time(minutes=2)
        newest, _ = await watched.stories()

    assert newest.opened_at == at(60)
    assert len(watched.since_start("restart")) == 1


# ------------------------------------------------------------ Alertmanager is away


async def test_while_alertmanager_is_down_what_prometheus_has_firing_is_acted_on(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    prometheus.alerts[:] = [WATCHDOG, SERIES]
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.down = True
        await pass_time(minutes=10)
        story = await both.story()

    assert both.since_start("restart") == [60, 540]
    assert verdicts(story)[0] is Verdict.SYMPTOM_PERSISTS


async def test_while_alertmanager_is_down_what_prometheus_no_longer_fires_settles(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    prometheus.alerts[:] = [WATCHDOG, SERIES]
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.down = True
        await pass_time(seconds=40)
        prometheus.alerts[:] = [WATCHDOG]
        await pass_time(minutes=5)
        story = await both.story()

    assert both.since_start("restart") == [60]
    assert story.outcome is Outcome.RECOVERED


async def test_a_prometheus_that_evaluates_no_rules_proves_nothing(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    prometheus.alerts[:] = [WATCHDOG, SERIES]
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.down = True
        await pass_time(seconds=40)
        prometheus.alerts.clear()
        await pass_time(minutes=10)
        story = await both.story()

    assert verdicts(story) == [None]
    assert story.unknown_since is not None


async def test_with_both_away_a_wait_stays_one_and_is_escalated_after_fifteen_minutes(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.down = prometheus.down = True
        await pass_time(minutes=14)
        waiting = await both.story()
        await pass_time(minutes=3)
        story = await both.story()

    assert both.engine.acts == []
    assert (waiting.state, waiting.reason) == (State.HELD, Reason.NO_FRESH_DATA)
    assert story.state is State.QUARANTINED
    assert Reason.UNKNOWN_TOO_LONG in [entry.reason for entry in story.log]


async def test_with_both_away_for_a_while_nothing_is_lost(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=35)
        alertmanager.down = prometheus.down = True
        await pass_time(minutes=10)
        alertmanager.down = prometheus.down = False
        await pass_time(seconds=16)

    assert len(both.since_start("restart")) == 1


async def test_a_webhook_still_begins_a_story_while_alertmanagers_api_is_away(
    both: House, alertmanager: FakeAlertmanager, prometheus: FakePrometheus
) -> None:
    alertmanager.down = True
    prometheus.alerts[:] = [WATCHDOG, SERIES]
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=65)

    assert both.since_start("restart") == [60]


async def test_a_restarted_alertmanager_that_has_forgotten_its_alerts_cures_nobody(
    both: House, alertmanager: FakeAlertmanager, clock: VirtualClock
) -> None:
    kept = list(alertmanager.alerts)
    async with working(both, pulling=True):
        await both.take(alert())
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        alertmanager.up_since = clock.now()
        await pass_time(seconds=70)
        alertmanager.alerts[:] = kept  # Prometheus sends it again
        await pass_time(minutes=2)
        story = await both.story()

    # Still active at the deadline: it was never seen to be away.
    assert verdicts(story) == [Verdict.SYMPTOM_PERSISTS]
    assert story.attempts[0].verdict_reason is Reason.DEADLINE


async def test_without_any_api_the_notices_are_believed(house: House) -> None:
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=70)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        story = await house.story()

    assert story.outcome is Outcome.RECOVERED
    assert house.resync.done_at is not None


async def test_without_prometheus_alertmanager_alone_decides(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    house = build(make_store(), clock, engine, alerts=alertmanager)
    async with working(house, pulling=True):
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        await pass_time(minutes=6)
        story = await house.story()

    assert story.outcome is Outcome.RECOVERED


# ------------------------------------------------------------ two Alertmanagers


async def test_two_alertmanagers_deliver_apart_with_the_store_away_in_between(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    """The first is told 503 and sends again; the second comes in the meantime."""
    memory = Leaky()
    house = build(make_store(memory), clock, engine)
    async with working(house):
        memory.is_away = True
        with pytest.raises(StoreUnavailable):
            await house.take(alert())
        await pass_time(seconds=15)
        memory.is_away = False
        await house.take(alert())
        await pass_time(seconds=15)
        await house.take(alert())
        await pass_time(minutes=2)

    assert house.since_start("restart") == [75]
    assert len(await house.stories()) == 1


async def test_one_of_a_pair_resolves_later_than_the_other(house: House) -> None:
    async with working(house):
        for one in (alert(), alert(), RESOLVED, RESOLVED, alert()):
            await house.take(one)
            await pass_time(seconds=5)
        await pass_time(minutes=5)

    assert house.engine.acts == []
    assert len(await house.stories()) == 1


@dataclass
class Pair:
    """Two Alertmanagers behind one port: listed by one is listed."""

    one: FakeAlertmanager
    other: FakeAlertmanager

    async def listing(self) -> AlertListing:
        first, second = await self.one.listing(), await self.other.listing()
        merged = {a.fingerprint: a for a in (*second.alerts, *first.alerts)}
        return replace(first, alerts=tuple(merged.values()))


async def test_an_alert_that_one_of_two_lists_is_active(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    """One was restarted and has forgotten it; both notify."""
    other = FakeAlertmanager(up_since=START)
    house = build(make_store(), clock, engine, alerts=Pair(alertmanager, other))
    async with working(house, pulling=True):
        await house.take(alert())
        await house.take(alert())
        await pass_time(minutes=4, seconds=10)
        story = await house.story()

    assert house.since_start("restart") == [60]
    assert verdicts(story) == [Verdict.SYMPTOM_PERSISTS]


# ------------------------------------------------------------ repairs and troubles


class Leaky(MemoryStore):
    """A store that can be away, and can lose its schedule."""

    is_away = False

    async def accept(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        if self.is_away:
            raise StoreUnavailable("connection refused")
        return await super().accept(notices, asides, now=now)

    def lose_schedule(self) -> None:
        self._due.clear()


async def test_a_place_in_the_schedule_that_was_lost_is_found_again(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    memory = Leaky()
    house = build(make_store(memory), clock, engine)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(seconds=40)
        memory.lose_schedule()
        await pass_time(minutes=3)

    (restarted_at,) = house.since_start("restart")
    assert 60 <= restarted_at <= 60 + 2 * 15 + 30


async def test_a_place_that_was_lost_is_found_by_the_next_notice_too(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    memory = Leaky()
    house = build(make_store(memory), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=40)
        memory.lose_schedule()
        await pass_time(seconds=40)
        await house.take(alert())
        await pass_time(seconds=1)

    assert house.since_start("restart") == [80]


async def test_a_successor_looks_at_everything_that_is_open(
    watched: House, clock: VirtualClock, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=5)
    alertmanager.alerts.clear()
    await pass_time(minutes=1)
    successor = build(watched.store, clock, watched.engine, alerts=alertmanager)
    async with working(successor, pulling=True):
        await pass_time(seconds=100)
        story = await successor.story()

    assert story.outcome is Outcome.VANISHED
    assert len(watched.since_start("restart")) == 1


async def test_a_container_that_goes_while_it_waits_is_noticed_by_the_pull(
    house: House, engine: FakeEngine
) -> None:
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=5)  # waits five minutes more
        engine.inside.clear()
        await pass_time(seconds=45)
        story = await house.story()

    assert story.outcome is Outcome.VANISHED


async def test_pull_errors_are_logged_once_and_repeated(watched: House, engine: FakeEngine) -> None:
    engine.down = True
    with capture_logs() as logs:
        async with working(watched, pulling=True):
            await pass_time(minutes=10)
            done = watched.resync.done_at
            engine.down = False
            await pass_time(minutes=1)

    said = [line["event"] for line in logs if "pull" in line["event"]]
    assert said == ["pull failed, will be repeated", "pulling again"]
    assert done is None
    assert len(await watched.stories()) == 1


@dataclass
class Odd(FakeAlertmanager):
    """An Alertmanager whose answer nobody has foreseen."""

    asked: int = 0

    async def listing(self) -> AlertListing:
        self.asked += 1
        if self.asked < 5:
            raise KeyError("labels")
        return await super().listing()


async def test_an_error_that_nobody_foresaw_ends_no_pulling(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    odd = Odd(up_since=alertmanager.up_since, alerts=alertmanager.alerts)
    house = build(make_store(), clock, engine, alerts=odd)
    with capture_logs() as logs:
        async with working(house, pulling=True):
            await pass_time(minutes=5)

    said = [line["event"] for line in logs if "pull" in line["event"]]
    assert said == ["pull failed unexpectedly, will be repeated", "pulling again"]
    assert house.since_start("restart") != []


async def test_a_long_label_is_not_taken_on(watched: House, alertmanager: FakeAlertmanager) -> None:
    alertmanager.alerts[:] = [listed_alert(labels={**listed_alert().labels, "x": "y" * 5000})]
    async with working(watched, pulling=True):
        await pass_time(minutes=5)

        assert await watched.stories() == ()


async def test_the_pull_is_as_often_as_the_policy_file_says(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts.clear()
    house = build(
        make_store(),
        clock,
        engine,
        alerts=alertmanager,
        rulebook=Rulebook(pull=timedelta(minutes=5)),
    )
    async with working(house, pulling=True):
        await pass_time(seconds=1)
        alertmanager.alerts.append(listed_alert())
        await pass_time(minutes=4)
        early = await house.stories()
        await pass_time(minutes=2)

    assert early == ()
    assert len(await house.stories()) == 1


async def test_what_was_measured_before_the_engine_was_known_does_not_stand_for_ever(
    watched: House, engine: FakeEngine
) -> None:
    """``relevo_pull_up 0`` without a label would page somebody until the next restart."""
    engine.down = True
    async with working(watched, pulling=True):
        await watched.gauges.measure()
        early = watched.telemetry.render().decode()
        engine.down = False
        await pass_time(minutes=1)
        await watched.gauges.measure()

    assert 'relevo_pull_up{engine=""} 0.0' in early
    rendered = watched.telemetry.render().decode()
    assert 'engine=""' not in rendered
    assert 'relevo_pull_up{engine="host1"} 1.0' in rendered
    assert 'relevo_events_up{engine="host1"} 1.0' in rendered


async def test_a_prometheus_that_restarted_makes_no_failed_restart(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    """
    Cured by the restart, and Prometheus restarts meanwhile.

    It has forgotten that the alert fired, so it never says that it ended: Alertmanager lists it
    until its end of four minutes. That is no symptom that persists.
    """
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(seconds=90)
        alertmanager.alerts = [listed_alert(behind=timedelta(seconds=91))]
        await pass_time(minutes=4)
        alertmanager.alerts = []
        await pass_time(minutes=6)
        story = await watched.story()

    assert [one.verdict for one in story.attempts] == [Verdict.RECOVERED]


async def test_an_alert_that_is_sent_a_little_later_than_the_watchdog_is_active(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    alertmanager.alerts = [listed_alert(behind=timedelta(seconds=90))]
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=5)
        story = await watched.story()

    assert [one.verdict for one in story.attempts] == [Verdict.SYMPTOM_PERSISTS]
