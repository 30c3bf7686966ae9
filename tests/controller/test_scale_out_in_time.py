"""What the controller does around a scale-out, in virtual time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.controller.operate import Wish
from app.domain.activity import ActivityStatus
from app.domain.alert import AlertStatus
from app.domain.audit import AuditEntry, AuditKind
from app.domain.container import Container, RunState
from app.domain.control import OrderKind
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.remediation import Remediation, State
from app.domain.usage import Used
from app.errors import CloneRefused, ContainerGone, EngineRefused, OrderRefused
from app.policies.spec import Policy, Rulebook, ScaleOutRules, Strategy
from tests.builders import START, TARGET, alert, at, scaled_in
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import PLENTY, REFUSED, FakeEngine, web
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime

RESOLVED = alert(status=AlertStatus.RESOLVED)
SCALE_FIRST = Policy(strategy=Strategy.SCALE_FIRST)
RELIEVE_FIRST = Policy(strategy=Strategy.RELIEVE_FIRST)
ANNA = Wish(reason="more of it", author="anna")
CLONE = "web_new101"


@pytest.fixture
def living(clock: VirtualClock, engine: FakeEngine) -> Callable[[Policy], House]:
    """A controller with this policy."""

    def wired(policy: Policy) -> House:
        return build(make_store(), clock, engine, rulebook=Rulebook(defaults=policy))

    return wired


def told(story: Remediation) -> list[tuple[str, Reason, Verdict | None]]:
    return [(str(one.action), one.reason, one.verdict) for one in story.attempts]


def spends(
    clock: VirtualClock, *, cores: float, bytes_a_second: float
) -> Callable[[Container], Used]:
    """Use so much from the first moment on."""

    def measure(one: Container) -> Used:
        lived = (clock.now() - START).total_seconds()
        return Used(
            at=clock.now(),
            started_at=one.started_at,
            cpu_seconds=cores * lived,
            network_bytes=round(bytes_a_second * lived),
        )

    return measure


async def left(house: House) -> None:
    """Have it written down that an instance has just left, since it was not needed any more."""
    now = house.clock.now()
    told = AuditEntry(at=now, kind=AuditKind.OUTCOME, attempt="in1", action=Action.SCALE_IN)
    await house.store.scaling.end(scaled_in(now), now=now, told=told)


# ---------------------------------------------------------------- under cover


async def test_a_restart_under_cover_may_help_and_never_counts(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=36, seconds=5)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        story = await house.story()

    assert house.since_start("restart") == [60, 540, 1320, 2160]
    assert told(story)[-1] == ("restart", Reason.UNDER_COVER, Verdict.RECOVERED)
    assert story.outcome is Outcome.RECOVERED
    assert len(house.since_start("clone")) == 1


async def test_one_that_failed_under_cover_is_no_failed_restart(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=39, seconds=5)
        story = await house.story()
        failures = await house.store.failures.count(
            TARGET, now=house.clock.now(), window=timedelta(hours=1)
        )

    assert told(story)[4] == ("restart", Reason.UNDER_COVER, Verdict.SYMPTOM_PERSISTS)
    assert failures == 0
    assert house.since_start("clone") == [1500, 2340]


async def test_for_load_nothing_is_ever_restarted(living: Callable[[Policy], House]) -> None:
    house = living(SCALE_FIRST)
    async with working(house):
        await house.take(alert())
        await pass_time(hours=1)
        story = await house.story()

    assert house.since_start("restart") == []
    assert house.since_start("clone") == [0, 660]
    assert (story.state, story.log[-2].reason) == (State.QUARANTINED, Reason.AT_MAX)


# ---------------------------------------------------------------- relieve first


async def test_a_restart_without_downtime(living: Callable[[Policy], House]) -> None:
    house = living(RELIEVE_FIRST)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=2, seconds=5)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert [(what, name) for what, name, _ in house.engine.acts] == [
        ("clone", "web"),
        ("restart", "web"),
    ]
    assert house.since_start("clone") == [60]
    assert house.since_start("restart") == [120]
    assert told(story) == [
        ("scale_out", Reason.COVER, Verdict.RELIEVED),
        ("restart", Reason.FIRST_NEED, Verdict.RECOVERED),
    ]
    assert story.outcome is Outcome.RECOVERED
    clone = house.engine.named(CLONE)
    assert (activity.status, activity.reason) == (ActivityStatus.SUCCESSFUL, Reason.COVER)
    assert (activity.container, activity.container_id) == (clone.name, clone.id)
    assert (activity.target, activity.ordered) == (TARGET, None)


async def test_the_cover_stays_for_the_next_restarts(living: Callable[[Policy], House]) -> None:
    house = living(RELIEVE_FIRST)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=26, seconds=5)
        story = await house.story()

    # Wait, clone, restart; then as ever: the failures count, and the cover made none forgotten.
    assert house.since_start("restart") == [120, 120 + 480, 600 + 780]
    assert house.since_start("clone") == [60, 1380 + 180]
    assert told(story)[-1] == ("scale_out", Reason.ALREADY_SCALED, None)


async def test_a_cover_that_relieves_by_itself_is_no_cover_any_more(
    living: Callable[[Policy], House],
) -> None:
    """Else it would leave at once, and the load would be back."""
    house = living(RELIEVE_FIRST)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=65)
        await house.take(RESOLVED)
        await pass_time(minutes=6)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert house.since_start("restart") == []
    assert story.outcome is Outcome.RELIEVED
    assert (activity.status, activity.reason) == (ActivityStatus.SUCCESSFUL, Reason.RELIEF)


@pytest.mark.parametrize("why", ["refused", "refused at last", "full", "does not come up"])
async def test_without_a_cover_it_is_restarted_in_place(
    living: Callable[[Policy], House], why: str
) -> None:
    house = living(RELIEVE_FIRST)
    match why:
        case "refused":
            house.engine.report = REFUSED
        case "refused at last":
            house.engine.errors.append(CloneRefused("its layer has changed", REFUSED))
        case "full":
            house.engine.free = replace(PLENTY, free_memory=0)
        case _:
            house.engine.on_clone = lambda one: replace(one, state=RunState.EXITED, exit_code=1)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=12)
        story = await house.story()

    restarts = house.since_start("restart")
    assert len(restarts) == 2
    assert 60 <= restarts[0] <= 80
    assert len(house.since_start("clone")) <= 1
    assert set(house.engine.inside) == {web().id}
    details = [entry.detail or "" for entry in story.log if entry.decision == "restart"]
    assert details
    assert all(detail.startswith("in place: ") for detail in details)


# ---------------------------------------------------------------- after a scale-in


async def test_what_left_lately_is_had_again_at_once(house: House) -> None:
    await house.tenure.beat()
    await left(house)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=2)
        story = await house.story()

    assert house.since_start("clone") == [0]
    assert told(story) == [("scale_out", Reason.SCALED_IN_LATELY, None)]


async def test_what_left_long_ago_was_not_needed(house: House) -> None:
    await house.tenure.beat()
    await left(house)
    async with working(house):
        await pass_time(hours=1)
        await house.take(alert())
        await pass_time(minutes=2)

    assert house.since_start("clone") == []
    assert len(house.since_start("restart")) == 1


# ---------------------------------------------------------------- proof


@pytest.mark.parametrize(
    ("clones", "verdict"),
    [
        ({"cores": 0.0, "bytes_a_second": 0}, Verdict.NO_TRAFFIC),
        ({"cores": 0.0, "bytes_a_second": 40_000}, Verdict.NO_EFFECT),
    ],
)
async def test_a_clone_that_does_not_help_leaves(
    living: Callable[[Policy], House],
    clock: VirtualClock,
    clones: dict[str, float],
    verdict: Verdict,
) -> None:
    house = living(SCALE_FIRST)
    house.engine.uses["web"] = spends(clock, cores=1.0, bytes_a_second=50_000)
    house.engine.uses[CLONE] = spends(clock, **clones)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=4, seconds=5)
        story = await house.story()
        (activity,) = await house.store.history.activities()
        dossier = await house.store.records.read(
            TARGET,
            group=TARGET,
            now=clock.now(),
            window=timedelta(hours=1),
            brake_window=timedelta(hours=1),
        )
        await pass_time(hours=1)

    assert house.since_start("remove") == [60 + 180]
    assert told(story) == [("scale_out", Reason.FIRST_NEED, verdict)]
    assert [entry.reason for entry in story.log if entry.decision == "escalate"] == [verdict.value]
    assert activity.status is ActivityStatus.FAILED
    assert activity.finished_at == at(240)
    assert str(story.attempts[0].evidence) in activity.cause
    assert dossier.cooling_until == at(60 + 600)
    # No second useless clone.
    assert house.since_start("clone") == [0]


async def test_a_clone_that_shares_is_told_with_its_share(
    living: Callable[[Policy], House], clock: VirtualClock
) -> None:
    house = living(SCALE_FIRST)
    house.engine.uses["web"] = spends(clock, cores=1.0, bytes_a_second=50_000)
    house.engine.uses[CLONE] = spends(clock, cores=1.0, bytes_a_second=50_000)
    asked: list[float] = []
    used = house.engine.used

    async def counted(container_id: str, **more: object) -> Used | None:
        asked.append((clock.now() - START).total_seconds())
        return await used(container_id, **more)  # type: ignore[arg-type]

    house.engine.used = counted  # type: ignore[method-assign]
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        await house.take(RESOLVED)
        await pass_time(minutes=5)
        story = await house.story()

    assert story.outcome is Outcome.RELIEVED
    assert str(story.attempts[0].evidence).endswith("; the clone took 50 % of the traffic")
    # Of both, as the clone was warm, and when the proof was due.
    assert asked == [60, 60, 240, 240]


@pytest.mark.parametrize("error", [ContainerGone("web"), EngineRefused(500, "no stats")])
async def test_what_cannot_be_measured_concludes_nothing(
    living: Callable[[Policy], House], error: Exception
) -> None:
    house = living(SCALE_FIRST)

    async def fails(*_: object, **__: object) -> None:
        raise error

    house.engine.used = fails  # type: ignore[method-assign]
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=12)
        story = await house.story()

    assert told(story)[0] == ("scale_out", Reason.FIRST_NEED, Verdict.SYMPTOM_PERSISTS)


async def test_without_proof_nothing_is_measured(
    living: Callable[[Policy], House], clock: VirtualClock
) -> None:
    rules = ScaleOutRules(traffic_proof=timedelta(0))
    house = living(replace(SCALE_FIRST, scale_out=rules))
    house.engine.uses["web"] = spends(clock, cores=1.0, bytes_a_second=50_000)
    house.engine.uses[CLONE] = spends(clock, cores=0.0, bytes_a_second=0)
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=9)

    assert house.since_start("remove") == []


async def test_what_a_person_ordered_stays(house: House, clock: VirtualClock) -> None:
    house.engine.uses["web"] = spends(clock, cores=1.0, bytes_a_second=50_000)
    house.engine.uses[CLONE] = spends(clock, cores=0.0, bytes_a_second=0)
    async with working(house):
        await house.operator.act(TARGET, OrderKind.SCALE_OUT, ANNA)
        await pass_time(minutes=10)
        story = await house.story()
        (activity,) = await house.store.history.activities()

    assert house.since_start("remove") == []
    assert told(story) == [("scale_out", Reason.MANUAL, Verdict.RELIEVED)]
    assert "0 B went over the clone's networks" in str(story.attempts[0].evidence)
    assert (activity.reason, activity.ordered) == (Reason.MANUAL, "anna: more of it")


# ---------------------------------------------------------------- room on the host


@pytest.mark.parametrize(
    ("lacks", "reason", "detail"),
    [
        (
            {"free_memory": 900 << 20, "needs_memory": 256 << 20},
            Reason.NO_MEMORY_HEADROOM,
            "needs 256 MiB, 80 MiB are free beyond the reserve of 10 %",
        ),
        (
            {"free_cpus": 0.75, "needs_cpus": 1.0},
            Reason.NO_CPU_HEADROOM,
            "needs 1 cores, 0.5 are free beyond the reserve of 0.25",
        ),
    ],
)
async def test_a_full_host_gets_no_clone(
    living: Callable[[Policy], House], lacks: dict[str, float], reason: Reason, detail: str
) -> None:
    house = living(SCALE_FIRST)
    house.engine.free = replace(PLENTY, **lacks)  # type: ignore[arg-type]
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        story = await house.story()

    assert house.engine.acts == []
    assert story.attempts == ()
    (ended,) = [entry for entry in story.log if entry.decision == "escalate"]
    assert (ended.reason, ended.detail) == (reason, detail)
    assert await house.store.history.activities() == ()


async def test_a_full_host_refuses_an_order_and_says_so_in_the_dry_run(house: House) -> None:
    house.engine.free = replace(PLENTY, free_memory=0)
    await house.tenure.beat()

    report = await house.operator.fidelity(TARGET)
    with pytest.raises(OrderRefused, match="needs 64 MiB, 0 MiB are free") as refused:
        await house.operator.act(TARGET, OrderKind.SCALE_OUT, replace(ANNA, dry_run=True))

    assert refused.value.reason == Reason.NO_MEMORY_HEADROOM
    assert report is not None
    (item,) = report.refusals
    assert (item.field, item.reason) == ("HostConfig.Memory", Reason.NO_MEMORY_HEADROOM)


async def test_a_host_that_fills_up_after_an_order_refuses_it(house: House) -> None:
    async with working(house):
        await house.operator.act(TARGET, OrderKind.SCALE_OUT, ANNA)
        house.engine.free = replace(PLENTY, free_cpus=0)
        await pass_time(seconds=5)
        story = await house.story()

    assert house.engine.acts == []
    assert [entry.reason for entry in story.log] == [Reason.NO_CPU_HEADROOM]
    assert story.is_closed


async def test_an_engine_that_cannot_tell_its_room_gets_no_clone(
    living: Callable[[Policy], House],
) -> None:
    house = living(SCALE_FIRST)
    room = house.engine.room

    async def fails(container_id: str) -> None:
        raise EngineRefused(500, "no stats")

    house.engine.room = fails  # type: ignore[method-assign,assignment]
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=40)
        held = await house.story()
        house.engine.room = room  # type: ignore[method-assign]
        await pass_time(seconds=30)

    assert (held.state, held.reason) == (State.HELD, Reason.ENGINE_DOWN)
    assert len(house.since_start("clone")) == 1
