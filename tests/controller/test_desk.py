"""What people and tools are told, also while the store or the engine is down."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.domain.decision import Action, Verdict
from app.domain.remediation import Remediation, State
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies.spec import Match, Mode, Policy, RestartRules, Rulebook, ScaleOutRules
from app.ports import Entry, Glance, Notice
from tests.builders import alert, at, compose, container, remediation
from tests.controller.house import House, VirtualClock, build, pass_time
from tests.fakes import FAITHFUL, REFUSED, FakeEngine, web
from tests.memory_store import MemoryStore, make_store

pytestmark = pytest.mark.looptime

STRICT = Policy(
    name="strict",
    mode=Mode.OBSERVE,
    restart=RestartRules(window=timedelta(minutes=5)),
    scale_out=ScaleOutRules(max_instances=7),
)
#: Containers with the label tier=strict have a policy of their own.
BOOK = Rulebook(policies=((Match(labels={"tier": "strict"}), STRICT),))
STRICT_LABELS = {"relevo.enable": "true", "tier": "strict"}


class FrailStore(MemoryStore):
    """A store that does not answer some of its questions."""

    def __init__(self) -> None:
        super().__init__()
        self.mute: set[str] = set()

    def _ask(self, question: str) -> None:
        if question in self.mute:
            raise StoreUnavailable("cannot be reached")

    async def check(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        self._ask("check")
        return ("it is nearly full",)

    async def remarks(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        return ("it forgets",)

    async def glance(
        self, targets: Mapping[str, str], *, now: datetime, since: datetime
    ) -> Mapping[str, Glance]:
        """See `app.ports.History`."""
        self._ask("glance")
        return await super().glance(targets, now=now, since=since)

    async def overdue(self, *, now: datetime) -> timedelta:
        """See `app.ports.Schedule`."""
        self._ask("overdue")
        return await super().overdue(now=now)


@pytest.fixture
async def memory() -> FrailStore:
    return FrailStore()


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine(VirtualClock())


@pytest.fixture
async def house(engine: FakeEngine, memory: FrailStore) -> House:
    return build(make_store(memory), VirtualClock(), engine, rulebook=BOOK)


async def write(house: House, story: Remediation, second: float, *, failed: bool = False) -> None:
    """Have a story written down, so long after the start, with a failed restart or without."""
    now = at(second)
    news = alert(fingerprint=f"{story.target} {second}")
    await house.store.inbox.accept([Notice(target=story.target, alert=news)], [], now=now)
    claimed = await house.store.schedule.claim(now=now, lease=timedelta(seconds=1), limit=1)
    entry = Entry(
        remediation=story, due=None, failed_attempt=f"{story.id}.{second}" if failed else None
    )
    await house.store.records.note(claimed.claims[0], entry, now=now)


def story_of(name: str, **more: object) -> Remediation:
    target = f"host1:{name}"
    return remediation(id=f"{name}-1", target=target, group=target, container=name, **more)


def sample(house: House, series: str, **labels: str) -> float | None:
    return house.telemetry.registry.get_sample_value(series, {"engine": "host1", **labels})


def failures(house: House, name: str) -> float | None:
    return sample(house, "relevo_failures_in_window", name=name)


# ---------------------------------------------------------------- targets


async def test_a_target_without_a_story_is_ok(house: House, engine: FakeEngine) -> None:
    engine.run(web())

    (view,) = await house.desk.targets()

    assert (view.target, view.container, view.group) == ("host1:web", "web", "host1:web")
    assert (view.state, view.remediation, view.failures) == (State.OK, None, 0)
    assert (view.headcount.instances, view.max_instances, view.mode) == (1, 3, Mode.ENFORCE)
    assert view.readiness == FAITHFUL


async def test_a_target_tells_of_its_open_story(house: House, engine: FakeEngine) -> None:
    engine.run(web())
    await write(house, story_of("web", state=State.SETTLING), 0, failed=True)

    (view,) = await house.desk.targets()

    assert (view.state, view.failures) == (State.SETTLING, 1)
    assert view.remediation == story_of("web", state=State.SETTLING)


async def test_a_closed_story_is_no_state(house: House, engine: FakeEngine) -> None:
    engine.run(web())
    await write(house, story_of("web", state=State.CLOSED), 0)

    (view,) = await house.desk.targets()

    assert (view.state, view.remediation) == (State.OK, None)


async def test_targets_come_by_name_and_clones_count_as_instances(
    house: House, engine: FakeEngine
) -> None:
    engine.run(container("shop-web-1", 2, labels=compose("shop", "web", 1)))
    engine.run(container("api", 1))
    engine.run(container("quiet", 4, labels={}))
    clone = {**compose("shop", "web", 2), "relevo.clone-of": "shop-web-1"}
    engine.run(container("shop-web-2", 3, labels=clone))

    views = await house.desk.targets()

    assert [(v.container, v.group, v.headcount.instances) for v in views] == [
        ("api", "host1:api", 1),
        ("shop-web-1", "host1:shop/web", 2),
    ]


@pytest.mark.parametrize(
    ("labels", "policy", "mode", "most"),
    [
        pytest.param(STRICT_LABELS, None, Mode.OBSERVE, 7, id="the-policy-that-matches-it"),
        pytest.param(
            STRICT_LABELS, "default", Mode.ENFORCE, 3, id="the-one-that-its-open-story-began-with"
        ),
        pytest.param(
            {"relevo.enable": "observe"}, None, Mode.OBSERVE, 3, id="the-label-may-be-more-careful"
        ),
        pytest.param(
            {"relevo.enable": "true", "relevo.max-instances": "5"},
            None,
            Mode.ENFORCE,
            5,
            id="label",
        ),
    ],
)
async def test_a_target_has_the_rules_that_hold_for_it(
    house: House,
    engine: FakeEngine,
    labels: dict[str, str],
    policy: str | None,
    mode: Mode,
    most: int,
) -> None:
    engine.run(web(labels=labels))
    if policy is not None:
        await write(house, story_of("web", policy=policy), 0)

    (view,) = await house.desk.targets()

    assert (view.mode, view.max_instances) == (mode, most)


async def test_the_most_careful_mode_wins(engine: FakeEngine) -> None:
    house = build(make_store(), VirtualClock(), engine, mode=Mode.OBSERVE)
    engine.run(web())

    (view,) = await house.desk.targets()

    assert view.mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(299.9, 1, id="within-its-own-window"),
        pytest.param(300, 0, id="the-window-is-open-at-its-far-end"),
    ],
)
async def test_failures_count_in_the_window_of_its_policy(
    house: House, engine: FakeEngine, second: float, expected: int
) -> None:
    engine.run(web(labels=STRICT_LABELS))
    await write(house, story_of("web", policy="strict"), 0, failed=True)
    await pass_time(seconds=second)

    (view,) = await house.desk.targets()
    await house.gauges.measure()

    assert view.failures == expected
    assert failures(house, "web") == expected


async def test_why_it_cannot_be_scaled_out_is_known_before(
    house: House, engine: FakeEngine
) -> None:
    engine.run(web())
    engine.report = REFUSED

    (view,) = await house.desk.targets()

    assert view.readiness == REFUSED


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web", "host1:web"),
        ("host1:web", "host1:web"),
        ("host2:web", None),
        ("quiet", None),
        ("nobody", None),
        ("", None),
        ("we", None),
        ("web/../web", None),
    ],
)
async def test_a_target_is_found_by_its_whole_name(
    house: House, engine: FakeEngine, name: str, found: str | None
) -> None:
    engine.run(web())
    engine.run(container("quiet", 2, labels={}))

    view = await house.desk.target(name)

    assert (view.target if view is not None else None) == found


async def test_a_bare_slot_is_completed_once_the_engine_is_known(
    house: House, engine: FakeEngine
) -> None:
    assert house.desk.canonical("web") == "web"

    await house.desk.targets()

    assert house.desk.canonical("web") == "host1:web"
    assert house.desk.canonical("host2:web") == "host2:web"


# ---------------------------------------------------------------- what is down


async def test_while_the_engine_is_down_the_last_listing_is_told(
    house: House, engine: FakeEngine
) -> None:
    engine.run(web())
    await house.desk.targets()
    engine.down = True
    await pass_time(minutes=2)

    (view,) = await house.desk.targets()
    status = await house.overview.status()

    assert (view.target, view.readiness) == ("host1:web", None)
    assert (status.engine, status.engine_trouble) == ("host1", ("cannot connect",))
    assert status.states == {State.OK: 1}


async def test_an_engine_that_was_never_seen_has_no_targets_to_tell(
    house: House, engine: FakeEngine
) -> None:
    engine.down = True

    with pytest.raises(EngineUnavailable):
        await house.desk.targets()
    with pytest.raises(EngineUnavailable):
        await house.desk.target("web")
    status = await house.overview.status()
    assert (status.engine, status.states) == (None, {})
    assert status.engine_trouble == ("cannot connect",)


async def test_the_status_says_that_the_store_is_down(
    house: House, engine: FakeEngine, memory: FrailStore
) -> None:
    engine.run(web())
    memory.mute = {"check"}

    status = await house.overview.status()

    assert status.store_trouble == ("cannot be reached",)
    assert status.engine == "host1"
    memory.mute = {"glance"}
    with pytest.raises(StoreUnavailable):
        await house.desk.targets()


async def test_the_status_counts_states_and_repeats_the_stores_remarks(
    house: House, engine: FakeEngine
) -> None:
    for number, name in enumerate(("a", "b", "c"), start=1):
        engine.run(container(name, number))
    await write(house, story_of("a"), 0, failed=True)
    await write(house, story_of("b", state=State.QUARANTINED), 0)

    status = await house.overview.status()

    assert status.states == {State.WAITING: 1, State.QUARANTINED: 1, State.OK: 1}
    assert status.failing_targets == 1
    assert status.store_trouble == ()
    assert status.store_warnings == ("it is nearly full", "it forgets")


# ---------------------------------------------------------------- gauges


async def test_a_scrape_finds_the_gauges_as_things_are(house: House, engine: FakeEngine) -> None:
    engine.run(web())
    await write(house, story_of("web"), 0, failed=True)
    await house.store.inbox.accept([Notice(target="host1:web", alert=alert())], [], now=at(0))
    await pass_time(seconds=30)

    await house.gauges.measure()

    assert sample(house, "relevo_store_up") == 1
    assert sample(house, "relevo_engine_up") == 1
    assert sample(house, "relevo_failing_targets") == 1
    assert sample(house, "relevo_targets", state="waiting") == 1
    assert sample(house, "relevo_targets", state="ok") == 0
    assert sample(house, "relevo_targets", state="closed") is None
    assert sample(house, "relevo_overdue_seconds") == 30
    assert failures(house, "web") == 1


async def test_a_scrape_finds_each_target_and_what_is_next(
    house: House, engine: FakeEngine
) -> None:
    engine.run(web())
    engine.run(container("api", 2))
    due = replace(story_of("web"), next_action=Action.RESTART, next_at=at(60))
    await write(house, due, 0)

    await house.gauges.measure()

    who = {"name": "web", "target": "host1:web", "group": "host1:web"}
    assert sample(house, "relevo_target_state", **who, state="waiting") == 1
    assert sample(house, "relevo_instances", name="web") == 1
    planned = {"name": "web", "action": "restart"}
    when = sample(house, "relevo_next_action_timestamp_seconds", **planned)
    assert when == at(60).timestamp()
    api = {"name": "api", "target": "host1:api", "group": "host1:api"}
    assert sample(house, "relevo_target_state", **api, state="ok") == 1
    planned["name"] = "api"
    assert sample(house, "relevo_next_action_timestamp_seconds", **planned) is None


async def test_attempts_are_counted_by_target_until_that_is_gone(
    house: House, engine: FakeEngine
) -> None:
    telemetry, one = house.telemetry, engine.run(web())
    await house.gauges.measure()
    telemetry.attempting("host1", "web", Action.RESTART)
    exited = {"name": "web", "action": "restart", "verdict": "exited"}

    # There before the first verdict: a rate sees that one too.
    assert sample(house, "relevo_target_attempts_total", **exited) == 0
    telemetry.attempted("host1", "web", Action.RESTART, Verdict.EXITED)
    await house.gauges.measure()
    assert sample(house, "relevo_target_attempts_total", **exited) == 1

    del engine.inside[one.id]
    await pass_time(seconds=5)
    await house.gauges.measure()
    assert sample(house, "relevo_target_attempts_total", **exited) is None


async def test_a_container_that_is_gone_leaves_no_series_behind(
    house: House, engine: FakeEngine
) -> None:
    one = engine.run(web())
    engine.run(container("api", 2))
    await house.gauges.measure()
    del engine.inside[one.id]
    await pass_time(seconds=5)

    await house.gauges.measure()

    assert (failures(house, "web"), failures(house, "api")) == (None, 0)


@pytest.mark.parametrize("question", ["check", "overdue", "glance"])
async def test_what_cannot_be_read_keeps_its_last_value(
    house: House, engine: FakeEngine, memory: FrailStore, question: str
) -> None:
    engine.run(web())
    await write(house, story_of("web"), 0, failed=True)
    await house.gauges.measure()
    memory.mute = {question}
    await pass_time(hours=2)

    await house.gauges.measure()

    assert sample(house, "relevo_store_up") == 0
    assert sample(house, "relevo_targets", state="waiting") == 1
    assert failures(house, "web") == 1


async def test_two_scrapes_at_once_find_all_of_it(
    house: House, engine: FakeEngine, memory: FrailStore
) -> None:
    for number in range(1, 6):
        engine.run(container(f"c{number}", number))
    await house.gauges.measure()

    slow = replace_glance(memory)
    scrape = asyncio.create_task(house.gauges.measure())
    await pass_time(seconds=slow)

    assert all(failures(house, f"c{number}") == 0 for number in range(1, 6))
    await scrape


def replace_glance(memory: FrailStore) -> float:
    """Have each glance take a second; answer a moment in the middle of the second of two."""
    glance = memory.glance

    async def slow(
        targets: Mapping[str, str], *, now: datetime, since: datetime
    ) -> Mapping[str, Glance]:
        await pass_time(seconds=1)
        return await glance(targets, now=now, since=since)

    memory.glance = slow  # type: ignore[method-assign]
    return 1.5


async def test_an_engine_that_is_down_is_a_gauge(house: House, engine: FakeEngine) -> None:
    engine.run(replace(web(), labels={}))
    engine.down = True

    await house.gauges.measure()

    assert sample(house, "relevo_engine_up", engine="") == 0
    assert sample(house, "relevo_store_up", engine="") == 1
