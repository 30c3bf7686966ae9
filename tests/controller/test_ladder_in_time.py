"""The whole loop in virtual time: hours of waiting, to the second."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.controller.intake import Unreadable
from app.domain.activity import ActivityStatus
from app.domain.alert import AlertStatus, ListedState
from app.domain.container import Health, RunState
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.remediation import Action, State, Trigger
from app.errors import EngineRefused, EngineSilent, EngineUnavailable
from app.policies.spec import Guards, Mode, Rulebook
from tests.builders import START, TARGET, alert, container, listed_alert
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import REFUSED, FakeAlertmanager, FakeEngine, FakePrometheus, web
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime


RESOLVED = alert(status=AlertStatus.RESOLVED)


def verdicts(story: object) -> list[Verdict | None]:
    return [attempt.verdict for attempt in story.attempts]  # type: ignore[attr-defined]


async def test_the_briefs_timeline(house: House) -> None:
    """Restarts at 1, 1+3+5 and 1+3+5+3+10 minutes, the clone right after the third verdict."""
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=26, seconds=1)
        story = await house.story()

    assert house.since_start("restart") == [60, 60 + 180 + 300, 540 + 180 + 600]
    assert house.since_start("clone") == [1320 + 180]
    assert verdicts(story)[:3] == [Verdict.SYMPTOM_PERSISTS] * 3
    assert story.state is State.COOLDOWN


async def test_relief_closes_the_story_and_consumes_the_failures(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=27)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert (story.state, story.outcome) == (State.CLOSED, Outcome.RELIEVED)
    assert story.attempts[-1].verdict is Verdict.RELIEVED
    assert activity.status is ActivityStatus.SUCCESSFUL
    assert activity.container == story.attempts[-1].clone
    count = await house.store.failures.count(
        TARGET, now=house.clock.now(), window=timedelta(hours=1)
    )
    assert count == 0


async def test_no_second_clone_inside_the_cooldown(house: House) -> None:
    """Another failure in the hour after a scale-out makes no second clone at once."""
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=25, seconds=30)
        await pass_time(minutes=10)
        assert len(house.since_start("clone")) == 1
        await pass_time(minutes=5)

    first, second = house.since_start("clone")
    assert second - first >= 600


async def test_at_the_maximum_a_person_is_asked(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(hours=3)
        story = await house.story()

    assert len(house.engine.inside) == 3
    assert (story.state, story.reason) == (State.QUARANTINED, Reason.QUARANTINE)
    assert Reason.AT_MAX in [entry.reason for entry in story.log]


async def test_cured_by_the_first_restart(watched: House, alertmanager: FakeAlertmanager) -> None:
    async with working(watched):
        await watched.take(alert())
        await pass_time(seconds=75)
        alertmanager.alerts.clear()
        await pass_time(minutes=6)
        story = await watched.story()

    assert watched.since_start("restart") == [60]
    assert verdicts(story) == [Verdict.RECOVERED]
    assert story.outcome is Outcome.RECOVERED


async def test_resolved_in_the_wait_means_no_restart(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=59)
        await house.take(RESOLVED)
        await pass_time(minutes=30)
        story = await house.story()

    assert house.engine.acts == []
    assert (story.outcome, story.reason) == (Outcome.CANCELLED, Reason.RESOLVED)


async def test_killed_in_the_wait_it_fires_once_at_its_time(
    house: House, clock: VirtualClock, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
    successor = build(house.store, clock, engine)
    async with working(successor):
        await pass_time(minutes=2)

    assert house.since_start("restart") == [60]


async def test_killed_in_the_wait_and_back_too_late_it_fires_once(
    house: House, clock: VirtualClock, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
    await pass_time(minutes=20)
    async with working(build(house.store, clock, engine)):
        await pass_time(minutes=2)

    assert house.since_start("restart") == [30 + 1200]


async def test_a_duplicate_notice_moves_nothing(house: House) -> None:
    async with working(house):
        for _ in range(4):
            await house.take(alert())
            await pass_time(seconds=15)
        await pass_time(minutes=2)

    assert house.since_start("restart") == [60]
    assert len(await house.stories()) == 1


async def test_a_wait_of_one_target_delays_no_other(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    plenty = Guards(concurrent=100, burst=100, per_hour=100)
    house = build(make_store(), clock, engine, rulebook=Rulebook(guards=plenty))
    for number in range(2, 30):
        engine.run(container(f"c{number}", number))
    async with working(house):
        for number in range(2, 30):
            labels = {"alertname": "X", "engine": "host1", "name": f"c{number}"}
            await house.take(alert(labels=labels, fingerprint=str(number)))
        await pass_time(seconds=60 + 28)

    assert len(house.since_start("restart")) == 28
    # At once, one after the other: a second apart.
    assert house.since_start("restart") == [60 + place for place in range(28)]


async def test_three_containers_in_one_notification_are_three_remediations(
    house: House, engine: FakeEngine
) -> None:
    engine.run(container("b", 2))
    engine.run(container("c", 3))
    async with working(house):
        counts = await house.take(
            *(
                alert(labels={"alertname": "X", "name": name}, fingerprint=name)
                for name in ("web", "b", "c")
            )
        )
        await pass_time(seconds=1)

    assert counts.accepted == 3
    assert {story.container for story in await house.stories()} == {"web", "b", "c"}


async def test_an_alert_of_another_engine_is_never_acted_on(house: House) -> None:
    foreign = alert(labels={"alertname": "X", "engine": "host2", "name": "web"})
    async with working(house):
        counts = await house.take(foreign)
        await pass_time(hours=1)

    assert (counts.skipped, counts.accepted) == (1, 0)
    assert house.engine.acts == []


async def test_one_bad_alert_never_loses_its_neighbours(house: House) -> None:
    counts = await house.take(Unreadable(detail="labels: none", excerpt="{}"), alert())

    assert (counts.set_aside, counts.accepted) == (1, 1)
    assert [aside.reason for aside in await house.store.history.asides()] == ["set_aside"]


async def test_our_own_outcome_is_no_symptom(house: House) -> None:
    counts = await house.take(alert("RelevoEscalated"))

    assert (counts.skipped, counts.accepted) == (1, 0)


@pytest.mark.parametrize("blind", ["prometheus", "samples", "watchdog", "restarted", "down"])
async def test_nobody_recovers_while_nobody_can_tell(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager, blind: str
) -> None:
    """Prometheus stopped, collector killed, link cut, Alertmanager restarted or down."""
    prometheus = FakePrometheus(clock)
    house = build(make_store(), clock, engine, alerts=alertmanager, samples=prometheus)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=70)
        alertmanager.alerts.clear()
        match blind:
            case "prometheus":
                prometheus.down = True
            case "samples":
                prometheus.age = timedelta(minutes=2)
            case "watchdog":
                alertmanager.watchdog = False
            case "down":
                alertmanager.down = True
        for _ in range(10):
            # One that restarts again and again is never up for two minutes.
            if blind == "restarted":
                alertmanager.up_since = clock.now()
            await pass_time(minutes=1)
        story = await house.story()

    assert verdicts(story) == [None]
    assert story.unknown_since is not None


async def test_what_nobody_can_tell_for_fifteen_minutes_is_escalated(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched):
        await watched.take(alert())
        await pass_time(seconds=70)
        alertmanager.down = True
        await pass_time(minutes=20)
        story = await watched.story()

    assert verdicts(story) == [Verdict.UNKNOWN]
    assert story.state is State.QUARANTINED
    assert watched.since_start("restart") == [60]


async def test_silenced_during_the_wait_means_no_restart(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched):
        await watched.take(alert())
        await pass_time(seconds=30)
        alertmanager.alerts[:] = [listed_alert(ListedState.SUPPRESSED)]
        await pass_time(minutes=10)
        held = await watched.story()
        alertmanager.alerts[:] = [listed_alert()]
        await pass_time(minutes=1)

    assert (held.state, held.reason) == (State.HELD, Reason.SILENCED)
    assert len(watched.since_start("restart")) == 1


async def test_one_quiet_moment_then_ill_again_is_a_failed_restart(
    watched: House, alertmanager: FakeAlertmanager
) -> None:
    async with working(watched):
        await watched.take(alert())
        await pass_time(seconds=80)
        alertmanager.alerts.clear()
        await pass_time(seconds=60)
        alertmanager.alerts.append(listed_alert())
        await pass_time(seconds=20)
        story = await watched.story()

    assert verdicts(story) == [Verdict.SYMPTOM_PERSISTS]


async def test_a_timeout_is_unknown_until_the_container_is_looked_at(
    house: House, engine: FakeEngine
) -> None:
    """Docker goes on although the client left: adopted, never a second restart."""
    engine.errors, engine.acts_anyway = [EngineSilent("no answer in 40 s")], True
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=4)
        story = await house.story()

    assert house.since_start("restart") == [60]
    assert story.attempts[0].acted_at is not None


async def test_no_answer_and_no_start_is_timed_out(house: House, engine: FakeEngine) -> None:
    engine.errors = [EngineSilent("no answer in 40 s")]
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=3)
        story = await house.story()

    assert verdicts(story) == [Verdict.TIMED_OUT]
    assert engine.acts == []


async def test_found_stopped_after_our_own_restart_it_is_started_once(
    house: House, engine: FakeEngine
) -> None:
    engine.errors = [EngineSilent("no answer")]
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        engine.run(replace(web(), state=RunState.EXITED))
        await pass_time(minutes=1)

    assert len(engine.done("start")) == 1
    assert engine.named("web").is_running


async def test_a_refusal_of_the_engine_counts(house: House, engine: FakeEngine) -> None:
    engine.errors = [EngineRefused(500, "driver failed")]
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=2)
        story = await house.story()

    assert verdicts(story) == [Verdict.ENGINE_ERROR]
    assert "driver failed" in (story.attempts[0].evidence or "")


async def test_an_engine_that_is_down_is_waited_for(house: House, engine: FakeEngine) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.down = True
        await pass_time(minutes=10)
        held = await house.story()
        engine.down = False
        await pass_time(seconds=20)
        story = await house.story()

    assert (held.state, held.reason) == (State.HELD, Reason.ENGINE_DOWN)
    assert len(house.since_start("restart")) == 1
    assert verdicts(story) == [None]


async def test_without_any_listing_nothing_is_called_unknown(
    house: House, engine: FakeEngine
) -> None:
    engine.down = True

    with pytest.raises(EngineUnavailable):
        await house.take(alert())


async def test_a_clone_that_dies_is_removed_and_the_source_untouched(
    house: House, engine: FakeEngine
) -> None:
    engine.on_clone = lambda clone: replace(clone, state=RunState.EXITED, exit_code=3)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=25, seconds=10)
        before = engine.named("web")
        await pass_time(minutes=2)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert engine.names() == {"web"}
    assert engine.named("web") == before
    assert activity.status is ActivityStatus.FAILED
    assert "exit code 3" in activity.cause
    assert story.state is State.QUARANTINED
    assert Reason.SCALE_OUT_FAILED in [entry.reason for entry in story.log]


async def test_what_cannot_be_cloned_is_escalated_with_the_reason(
    house: House, engine: FakeEngine
) -> None:
    engine.report = REFUSED
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=26)
        story = await house.story()

    assert engine.done("clone") == []
    assert (story.log[-2].reason, story.log[-2].detail) == (
        Reason.SHARED_VOLUME,
        "writes to volume data",
    )


@pytest.mark.parametrize(
    ("now_is", "reason"),
    [
        ({"state": RunState.PAUSED}, Reason.PAUSED_CONTAINER),
        ({"state": RunState.EXITED}, Reason.NOT_RUNNING),
    ],
)
async def test_what_a_person_stopped_stays_stopped(
    house: House, engine: FakeEngine, now_is: dict[str, RunState], reason: Reason
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        engine.run(replace(web(), **now_is))  # type: ignore[arg-type]
        await pass_time(minutes=10)
        story = await house.story()

    assert engine.acts == []
    assert (story.state, story.reason) == (State.HELD, reason)


async def test_a_restart_by_somebody_else_is_verified_uncounted_and_planned_from(
    house: House, engine: FakeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=50)
        engine.started(web().id)
        await pass_time(minutes=7)
        story = await house.story()
        failures = (await house.desk.targets())[0].failures

    # noticed when the step was due at 60 s, judged after 3 min, then the first delay once more
    assert house.since_start("restart") == [60 + 180 + 60]
    assert [a.trigger for a in story.attempts] == [Trigger.FOREIGN, Trigger.AUTOMATIC]
    assert [a.verdict for a in story.attempts] == [Verdict.SYMPTOM_PERSISTS, None]
    assert failures == 0


async def test_a_new_image_is_a_new_story(house: House, engine: FakeEngine) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=4, seconds=30)
        engine.inside.clear()
        engine.run(container("web", 2, image_id="sha256:" + "b" * 64))
        await pass_time(minutes=5)
        await house.take(alert())
        await pass_time(minutes=2)
        newest, oldest = await house.stories()

    assert oldest.outcome is Outcome.SUPERSEDED
    # Its alert still fires: the new one is treated, and given its first minute.
    assert [a.reason for a in newest.attempts] == [Reason.FIRST_NEED]


async def test_observe_mode_does_everything_but_the_action(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    house = build(make_store(), clock, engine, mode=Mode.OBSERVE, rulebook=Rulebook())
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=40)
        story = await house.story()
        precision = (await house.overview.status()).precision

    assert engine.acts == []
    # The ladder as it would be, and its end: nothing more is to be rehearsed.
    assert [(a.action, a.trigger, a.verdict) for a in story.attempts] == [
        *[(Action.RESTART, Trigger.REHEARSAL, Verdict.WOULD_HAVE)] * 3,
        (Action.SCALE_OUT, Trigger.REHEARSAL, Verdict.WOULD_HAVE),
    ]
    assert [(a.intent_at - START).total_seconds() for a in story.attempts] == [60, 540, 1320, 1500]
    assert (story.state, story.reason) == (State.HELD, Reason.OBSERVE)
    assert (precision.would_have_acted, precision.passed_by_itself) == (4, 0)
    assert precision.still_needed == 4


async def test_an_alert_on_a_clone_is_a_need_of_its_source(
    house: House, engine: FakeEngine
) -> None:
    engine.run(container("web_new", 7, labels={"relevo.clone-of": "web"}))
    async with working(house):
        counts = await house.take(alert(labels={"alertname": "X", "name": "web_new"}))
        await pass_time(seconds=5)
        story = await house.story()

    assert counts.accepted == 1
    assert story.target == TARGET
    assert engine.done("restart") == []
    assert len(engine.done("clone")) == 1


async def test_an_unhealthy_container_is_a_failed_restart(house: House, engine: FakeEngine) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        engine.run(replace(engine.named("web"), health=Health.UNHEALTHY))
        await pass_time(seconds=20)
        story = await house.story()

    assert verdicts(story) == [Verdict.UNHEALTHY]
