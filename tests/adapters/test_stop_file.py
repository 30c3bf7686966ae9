"""The STOP file, where there is no gate: nothing is changed while it is there."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from app.adapters.stop_file import StoppableEngine, is_there
from app.domain.container import RunState
from app.domain.decision import Verdict
from app.errors import EngineSilent, EngineUnavailable, GateRefused, RelevoError, TooLate
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, Deadline
from tests.builders import START, alert
from tests.controller.house import VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine, LivelyEngine, web
from tests.memory_store import make_store

AT: Final = START
WEB: Final = web().id

Call = Callable[[StoppableEngine], Awaitable[object]]


class Recorder:
    """An engine that remembers what it was asked, and until when it may be begun."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.deadline: Deadline = NO_END

    def __getattr__(self, name: str) -> Any:
        async def asked(*_: object, not_after: Deadline = NO_END, **__: object) -> None:
            self.asked.append(name)
            self.deadline = not_after

        return asked


ACTS: Final[dict[str, Call]] = {
    "restart": lambda engine: engine.restart(
        WEB, attempt_id="a", expected_started_at="", stop_grace=timedelta(seconds=1)
    ),
    "start": lambda engine: engine.start(WEB, attempt_id="a"),
    "clone": lambda engine: engine.clone(WEB, attempt_id="a", rules=ScaleOutRules(), at=AT),
    "remove_clone": lambda engine: engine.remove_clone(WEB, attempt_id="a"),
    "set_aside": lambda engine: engine.set_aside(
        WEB, attempt_id="a", networks=None, expected_started_at=""
    ),
    "bring_back": lambda engine: engine.bring_back(
        WEB, attempt_id="a", networks="", ends=None, starts=True
    ),
}
LOOKS: Final[dict[str, Call]] = {
    "identity": lambda engine: engine.identity(),
    "containers": lambda engine: engine.containers(),
    "inspect": lambda engine: engine.inspect(WEB),
    "used": lambda engine: engine.used(WEB, at=AT),
    "room": lambda engine: engine.room(WEB),
    "evidence": lambda engine: engine.evidence(WEB, at=AT),
    "clone": lambda engine: engine.clone(
        WEB, attempt_id="a", rules=ScaleOutRules(), at=AT, dry_run=True
    ),
}


@pytest.fixture
def engine() -> Any:
    return Recorder()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "STOP"


def test_nothing_that_acts_was_forgotten() -> None:
    """Whatever a port is asked to do has a table row, or looks."""
    methods = {name for name in vars(StoppableEngine) if not name.startswith("_")}
    assert methods == {*ACTS, *LOOKS, "events"}


@pytest.mark.parametrize("name", ACTS)
async def test_nothing_is_begun(name: str, engine: Any, file: Path) -> None:
    stoppable = StoppableEngine(engine, file)
    await ACTS[name](stoppable)
    assert engine.asked == [name]

    file.touch()

    with pytest.raises(GateRefused) as refused:
        await ACTS[name](stoppable)
    assert refused.value.reason == "stop"
    assert str(file) in str(refused.value)
    assert engine.asked == [name]


@pytest.mark.parametrize("name", ACTS)
async def test_the_next_step_is_not_taken(name: str, engine: Any, file: Path) -> None:
    await ACTS[name](StoppableEngine(engine, file))
    assert engine.deadline() == NO_END()

    file.touch()

    with pytest.raises(TooLate):
        engine.deadline()


@pytest.mark.parametrize("name", LOOKS)
async def test_it_looks_all_the_same(name: str, engine: Any, file: Path) -> None:
    file.touch()

    await LOOKS[name](StoppableEngine(engine, file))

    assert engine.asked == [name]


def test_what_cannot_be_looked_for_is_there(tmp_path: Path) -> None:
    assert not is_there(tmp_path / "STOP")
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "file" / "STOP")
    (tmp_path / "link").symlink_to("nowhere")
    assert is_there(tmp_path / "link")


@pytest.mark.looptime
async def test_a_need_waits_for_its_end_and_is_not_counted(file: Path) -> None:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    house = build(make_store(), clock, StoppableEngine(engine, file))  # type: ignore[arg-type]
    file.touch()

    async with working(house):
        await house.take(alert())
        await pass_time(minutes=30)
        assert engine.acts == []
        tried = (await house.story()).attempts

        assert tried
        assert {one.verdict for one in tried} == {Verdict.CANCELLED}

        file.unlink()
        await pass_time(minutes=30)

    assert engine.done("restart")


async def left_stopped(engine: LivelyEngine) -> None:
    """Wait until a restart has stopped it, and was not heard of again."""
    for _ in range(900):
        if engine.named("web").state is not RunState.RUNNING:
            return
        await pass_time(milliseconds=100)
    raise AssertionError(engine.acts)


@pytest.mark.looptime
async def test_what_is_down_by_our_hand_is_started_once_it_is_gone(file: Path) -> None:
    clock = VirtualClock()
    engine = LivelyEngine(clock)
    engine.run(web())
    engine.errors = [EngineSilent("no answer in 40 s")]
    house = build(make_store(), clock, StoppableEngine(engine, file))  # type: ignore[arg-type]

    async with working(house, pulling=True):
        await house.take(alert())
        await left_stopped(engine)
        file.touch()
        await pass_time(minutes=10)
        assert engine.acts == []

        file.unlink()
        await pass_time(minutes=1)

    assert [what for what, _, _ in engine.acts] == ["start"]
    assert engine.named("web").state is RunState.RUNNING


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error", [GateRefused("busy", "another"), TooLate("a moment"), EngineUnavailable("refused")]
)
async def test_a_start_that_was_not_begun_is_still_owed(error: RelevoError) -> None:
    """Nobody else would: it is quiet because it is down."""
    clock = VirtualClock()
    engine = LivelyEngine(clock)
    engine.run(web())
    engine.errors = [EngineSilent("no answer in 40 s"), error]
    house = build(make_store(), clock, engine)

    async with working(house, pulling=True):
        await house.take(alert())
        await left_stopped(engine)
        await pass_time(minutes=2)

    assert [what for what, _, _ in engine.acts] == ["start"]
