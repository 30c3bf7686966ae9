"""The evidence from before an action: kept by attempt, and in nobody's way."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app.controller.casefile import Clerk
from app.controller.operate import Wish
from app.domain.casefile import CaseFile, HealthProbe
from app.domain.container import RunState
from app.domain.control import OrderKind
from app.domain.decision import Verdict
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    StoreUnavailable,
)
from app.policies.redaction import GONE
from tests.builders import START, TARGET, alert, at, hex_id
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryCaseFiles, MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(30)]

WEB = hex_id(1)


@dataclass
class TalkativeEngine(FakeEngine):
    """An engine with much to tell, or with trouble telling it."""

    says: tuple[str, ...] = ()
    health_log: tuple[HealthProbe, ...] = ()
    processes: tuple[tuple[str, ...], ...] = ()
    fails_with: Exception | None = None
    takes_to_tell: timedelta = timedelta(0)
    #: When evidence was asked for, and how many actions there had been by then.
    asked: list[tuple[datetime, int]] = field(default_factory=list)

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        self.asked.append((self.clock.now(), len(self.acts)))
        await asyncio.sleep(self.takes_to_tell.total_seconds())
        if self.fails_with is not None:
            raise self.fails_with
        file = await super().evidence(container_id, at=at)
        return replace(
            file,
            logs=self.says or file.logs,
            health_log=self.health_log,
            processes=self.processes,
        )


class BrokenFiles(MemoryCaseFiles):
    """Nothing can be kept."""

    async def keep(self, attempt_id: str, file: CaseFile) -> None:
        raise StoreUnavailable("OOM command not allowed")


@pytest.fixture
async def engine(clock: VirtualClock) -> TalkativeEngine:
    fake = TalkativeEngine(clock)
    fake.run(web())
    return fake


async def test_it_is_taken_before_the_action_and_kept_by_attempt(
    house: House, engine: TalkativeEngine
) -> None:
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=10)
        story = await house.story()
        files = await house.desk.case_files(story)

    first, second = story.attempts
    assert list(files) == [first.id, second.id]
    assert [count for _, count in engine.asked] == [0, 1]
    assert files[first.id].taken_at == at(60)
    assert files[first.id].started_at == web().started_at
    assert files[second.id].started_at == first.started_after
    assert files[first.id].logs == ("web says its last words",)


async def test_a_scale_out_and_an_order_have_theirs(house: House) -> None:
    async with working(house):
        placed = await house.operator.act(
            TARGET, OrderKind.SCALE_OUT, Wish(reason="load", author="anna")
        )
        await pass_time(seconds=5)

        assert placed.attempt is not None
        assert await house.store.casefiles.of(placed.attempt) is not None


async def test_what_is_not_done_has_none(house: House, engine: TalkativeEngine) -> None:
    async with working(house):
        await house.operator.pause(Wish(reason="x", author="anna"), lasts=None)
        await house.take(alert())
        await pass_time(hours=1)

    assert engine.asked == []


@pytest.mark.parametrize(
    "trouble",
    [
        ContainerGone("web"),
        EngineRefused(500, "driver failed"),
        EngineUnavailable("connection refused"),
        EngineSilent("no answer"),
        ValueError("a lone surrogate"),
        KeyError("State"),
        RecursionError("too deep"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_an_engine_that_cannot_tell_stands_in_nobodys_way(
    house: House, engine: TalkativeEngine, trouble: Exception
) -> None:
    engine.fails_with = trouble
    with capture_logs() as logs:
        async with working(house):
            await house.take(alert())
            await pass_time(seconds=61)
            story = await house.story()

    assert house.since_start("restart") == [60]
    assert await house.desk.case_files(story) == {}
    assert [line["attempt"] for line in logs if line["event"] == "no case file"] == [
        story.attempts[0].id
    ]


async def test_an_engine_that_hangs_holds_the_action_up_for_six_seconds(
    house: House, engine: TalkativeEngine
) -> None:
    engine.takes_to_tell = timedelta(hours=1)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=70)
        story = await house.story()

    assert house.since_start("restart") == [66]
    # Its place in the budget was taken before: nobody gathers evidence for what may not be done.
    assert story.attempts[0].intent_at == at(60)


async def test_a_store_that_keeps_no_files_stands_in_nobodys_way(
    clock: VirtualClock, engine: TalkativeEngine
) -> None:
    memory = MemoryStore()
    memory.casefiles = BrokenFiles()
    house = build(make_store(memory), clock, engine)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)

    assert house.since_start("restart") == [60]


async def test_it_is_kept_through_a_crash_in_the_middle_of_the_action(
    clock: VirtualClock, engine: TalkativeEngine
) -> None:
    engine.takes = timedelta(seconds=30)
    store = make_store()
    async with working(build(store, clock, engine)) as house:
        await house.take(alert())
        await pass_time(seconds=65)
    successor = build(store, clock, engine)
    async with working(successor):
        await pass_time(minutes=3)
        story = await successor.story()
        files = await successor.desk.case_files(story)

    assert len(engine.done("restart")) == 1
    assert list(files) == [story.attempts[0].id]


async def test_what_was_seen_before_the_first_try_is_not_lost_to_the_second(
    clock: VirtualClock, engine: TalkativeEngine
) -> None:
    """We died, and our own restart has left it stopped: that is no evidence of its illness."""
    engine.takes = timedelta(seconds=30)
    store = make_store()
    async with working(build(store, clock, engine)) as house:
        await house.take(alert())
        await pass_time(seconds=65)
    engine.takes = timedelta(0)
    engine.says = ("stopped",)
    successor = build(store, clock, engine)
    async with working(successor):
        await pass_time(minutes=3)
        story = await successor.story()
        files = await successor.desk.case_files(story)

    assert len(engine.done("restart")) == 1
    assert files[story.attempts[0].id].taken_at == at(60)
    assert files[story.attempts[0].id].logs == ("web says its last words",)


async def test_a_start_of_what_our_restart_left_stopped_takes_none(
    house: House, engine: TalkativeEngine
) -> None:
    engine.errors = [EngineSilent("no answer")]
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        engine.run(replace(web(), state=RunState.EXITED))
        await pass_time(minutes=1)
        story = await house.story()
        files = await house.desk.case_files(story)

    assert len(engine.done("start")) == 1
    assert len(engine.asked) == 1
    assert files[story.attempts[0].id].state == RunState.RUNNING


async def test_what_waits_for_the_budget_is_not_looked_at_again_and_again(
    clock: VirtualClock, engine: TalkativeEngine
) -> None:
    house = build(make_store(), clock, engine)
    for number in range(2, 12):
        engine.run(replace(web(), id=hex_id(number), name=f"c{number}"))
    async with working(house):
        for number in range(2, 12):
            labels = {"alertname": "X", "name": f"c{number}"}
            await house.take(alert(labels=labels, fingerprint=str(number)))
        await pass_time(minutes=6)

    assert len(engine.done("restart")) == 3
    assert len(engine.asked) <= 10


# ------------------------------------------------------------ redaction


async def test_secrets_are_gone_before_it_is_kept(house: House, engine: TalkativeEngine) -> None:
    engine.says = (
        "connecting to postgres://shop:hunter2@db:5432/shop",
        'DB_PASSWORD="hunter2"',
        "Authorization: Bearer hunter2hunter2",
        "all is well",
    )
    engine.processes = (("1", "web --api-key hunter2 --port 80"),)
    probe = HealthProbe(started_at="x", exit_code=1, output="token=hunter2 refused")
    engine.health_log = (probe,)
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        (file,) = (await house.desk.case_files(await house.story())).values()

    kept = repr(file)
    assert "hunter2" not in kept
    assert kept.count(GONE) == 5
    assert file.logs[-1] == "all is well"
    assert file.processes[0][1].endswith("--port 80")


async def test_what_is_missing_is_redacted_too(house: House, engine: TalkativeEngine) -> None:
    class Sparse(TalkativeEngine):
        async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
            file = await FakeEngine.evidence(self, container_id, at=at)
            return replace(file, missing=("The log: password=hunter2 is wrong.",))

    sparse = Sparse(engine.clock)
    sparse.run(web())
    files = MemoryCaseFiles()
    await Clerk(sparse, files, engine.clock).take(WEB, "a.1")
    file = await files.of("a.1")

    assert file is not None
    assert file.missing == (f"The log: password={GONE} is wrong.",)


async def test_it_is_small(house: House, engine: TalkativeEngine) -> None:
    engine.says = tuple(f"{number} " + "x. " * 600 for number in range(200))
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=61)
        (file,) = (await house.desk.case_files(await house.story())).values()

    assert sum(map(len, file.logs)) <= 128 * 1024
    assert file.is_cut
    assert file.logs[-1].startswith("199 ")
    assert file.taken_at > START


async def test_it_changes_no_verdict(house: House, engine: TalkativeEngine) -> None:
    engine.fails_with = EngineUnavailable("connection refused")
    async with working(house):
        await house.take(alert())
        await pass_time(minutes=5)
        story = await house.story()

    assert story.attempts[0].verdict is Verdict.SYMPTOM_PERSISTS
