"""Another policy file, in force from the next step on; or not, and why."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.controller.reload import Reloading
from app.controller.rules import Rules
from app.controller.telemetry import Telemetry
from app.errors import BadConfiguration
from app.policies.spec import (
    Enable,
    Guards,
    Match,
    Mode,
    Policy,
    RestartRules,
    Rulebook,
    ScaleOutRules,
)
from tests.builders import START, alert, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine
from tests.memory_store import make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

SUCCESSFUL = "relevo_config_last_reload_successful"
TIMESTAMP = "relevo_config_last_reload_success_timestamp_seconds"
SLOW = Rulebook(defaults=Policy(restart=RestartRules(delays=(timedelta(minutes=30),))))


@dataclass
class File:
    """A policy file that a person edits."""

    book: Rulebook | BadConfiguration
    reads: int = 0

    def read(self) -> Rulebook:
        self.reads += 1
        if isinstance(self.book, BadConfiguration):
            raise self.book
        return self.book


@dataclass
class Desk:
    """What reloading touches."""

    file: File
    rules: Rules
    telemetry: Telemetry = field(default_factory=Telemetry)
    asked: int = 0

    def ask(self) -> None:
        self.asked += 1

    def value(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name)


WRONG = BadConfiguration("policies.yaml:3:5: there is no such key")


@pytest.fixture
async def desk() -> Desk:
    return Desk(file=File(SLOW), rules=Rules(Rulebook()))


def reloading_of(desk: Desk, clock: VirtualClock) -> Reloading:
    """Made in the test itself: a fixture's time is not the test's."""
    return Reloading(desk.file.read, desk.rules, desk.telemetry, clock, ask=desk.ask)


async def test_a_start_is_a_successful_reload(desk: Desk, clock: VirtualClock) -> None:
    reloading_of(desk, clock)
    assert desk.file.reads == 0
    assert desk.value(SUCCESSFUL) == 1
    assert desk.value(TIMESTAMP) == START.timestamp()


async def test_a_new_file_is_in_force(desk: Desk, clock: VirtualClock) -> None:
    reloading = reloading_of(desk, clock)
    await pass_time(minutes=5)
    with capture_logs() as logs:
        reloading.reload()

    assert desk.rules.book is SLOW
    assert desk.value(SUCCESSFUL) == 1
    assert desk.value(TIMESTAMP) == START.timestamp() + 300
    assert desk.asked == 1
    assert [line["event"] for line in logs] == ["policy file taken"]


@pytest.mark.parametrize("is_quiet", [False, True])
async def test_a_wrong_file_changes_nothing(
    desk: Desk, clock: VirtualClock, *, is_quiet: bool
) -> None:
    reloading = reloading_of(desk, clock)
    before = desk.rules.book
    desk.file.book = WRONG
    await pass_time(minutes=5)
    with capture_logs() as logs:
        if is_quiet:
            reloading.quietly()
        else:
            with pytest.raises(BadConfiguration, match="3:5"):
                reloading.reload()

    assert desk.rules.book is before
    assert desk.value(SUCCESSFUL) == 0
    assert desk.value(TIMESTAMP) == START.timestamp()
    assert desk.asked == 0
    assert [(line["log_level"], line["error"]) for line in logs] == [("error", str(WRONG))]


async def test_a_file_that_is_right_again_is_taken(desk: Desk, clock: VirtualClock) -> None:
    reloading = reloading_of(desk, clock)
    desk.file.book = WRONG
    reloading.quietly()
    desk.file.book = SLOW
    reloading.quietly()

    assert desk.rules.book is SLOW
    assert desk.value(SUCCESSFUL) == 1


# ------------------------------------------------------------ in a running controller


def reloader(house: House) -> Callable[[Rulebook], None]:
    def put(book: Rulebook) -> None:
        Reloading(
            lambda: book, house.rules, house.telemetry, house.clock, ask=house.resync.ask
        ).reload()

    return put


async def test_a_delay_that_is_longer_now_is_waited_for(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        reloader(house)(SLOW)
        await pass_time(minutes=29)
        before = list(house.engine.acts)
        await pass_time(minutes=2)

    assert before == []
    assert house.since_start("restart") == [1800]


async def test_a_delay_that_is_shorter_now_is_in_force_from_the_next_step_on(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    house = build(make_store(), clock, engine, rulebook=SLOW)
    async with working(house, pulling=True):
        await house.take(alert())
        await pass_time(minutes=5)
        reloader(house)(Rulebook())
        await pass_time(minutes=26)

    assert len(house.since_start("restart")) == 1


async def test_scale_out_that_is_forbidden_now_is_not_done(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=24)
        reloader(house)(Rulebook(defaults=Policy(scale_out=ScaleOutRules(enabled=False))))
        await pass_time(minutes=5)

    assert house.engine.done("clone") == []


async def test_observe_mode_stops_the_next_action(house: House) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=30)
        reloader(house)(Rulebook(defaults=Policy(mode=Mode.OBSERVE)))
        await pass_time(minutes=5)

    assert house.engine.acts == []


async def test_a_policy_that_left_the_file_falls_to_the_defaults(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    own = replace(SLOW.defaults, name="own")
    house = build(make_store(), clock, engine, rulebook=Rulebook(policies=((Match(), own),)))
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        before = await house.story()
        reloader(house)(Rulebook())
        await house.take(alert(fingerprint="f2"))
        await pass_time(seconds=5)

    assert before.policy == "own"
    assert len(house.since_start("restart")) == 1


async def test_a_container_that_the_file_enables_now_is_treated(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager
) -> None:
    """Its alert was dropped before; the reload has it pulled for at once."""
    engine.inside.clear()
    engine.run(container("web", 1, labels={}))
    house = build(make_store(), clock, engine, alerts=alertmanager)
    async with working(house, pulling=True):
        await pass_time(seconds=35)
        before = await house.stories()
        reloader(house)(Rulebook(enable=(Enable(name="w*"),)))
        await pass_time(seconds=62)

    assert before == ()
    assert house.since_start("restart") == [95]


async def test_a_tighter_budget_counts_what_was_done_before(
    clock: VirtualClock, engine: FakeEngine
) -> None:
    engine.run(container("db", 2))
    house = build(make_store(), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        reloader(house)(Rulebook(guards=Guards(burst=1, per_hour=1)))
        await house.take(alert(labels={"alertname": "X", "name": "db"}, fingerprint="db"))
        await pass_time(minutes=50)
        before = len(engine.done("restart"))

    assert before == 1
