"""`Sweeper` against engines that misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.adapters.engine.stats import EngineReader
from app.adapters.engine.sweeper import Sweeper
from app.errors import EngineUnavailable
from tests.adapters.engine.test_stats import inspected, stats
from tests.adapters.far_side import Answer, FarSide, eventually, far_side
from tests.scrape import scrape

A, B = "a" * 64, "b" * 64


@dataclass
class FakeEngine:
    """The far side of a unix socket: an engine with two containers, or what is left of it."""

    side: FarSide
    api: str = "1.41"

    def __post_init__(self) -> None:
        self.put("/version", {"ApiVersion": self.api, "Version": "20.10.24"})
        self.get_well()
        for id in (A, B):
            self.put(f"/containers/{id}/stats", stats())
            self.put(f"/containers/{id}/json", inspected())

    def get_well(self) -> None:
        self.put("/info", {"Name": "my host!", "NCPU": 4, "MemTotal": 2**30})
        self.put("/containers/json", [listed(A, "a"), listed(B, "b")])

    def put(self, path: str, body: object, **more: Any) -> None:
        json_type = ("Content-Type: application/json",)
        said = Answer(body=json.dumps(body), headers=json_type, **more)
        self.side.answers[f"/v{self.api}{path}"] = said
        if path == "/version":  # asked for before a version is agreed on, and after
            self.side.answers[path] = said


def listed(id: str, name: str, **labels: str) -> dict[str, Any]:
    return {"Id": id, "Names": [f"/{name}"], "Image": "web:1", "ImageID": "sha256:1",
            "Labels": labels, "State": "running"}  # fmt: skip


@asynccontextmanager
async def fake_engine(folder: Path, *, api: str = "1.41") -> AsyncIterator[FakeEngine]:
    async with far_side(folder / "docker.sock") as side:
        yield FakeEngine(side, api)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    async with fake_engine(tmp_path) as fake:
        yield fake


@pytest.fixture
async def sweeper(tmp_path: Path) -> AsyncIterator[Sweeper]:
    """A sweeper of the fake engine, three sweeps of which last 150 ms."""
    reader = EngineReader(f"unix://{tmp_path}/docker.sock")
    yield Sweeper(reader, every=timedelta(milliseconds=50), patience=timedelta(milliseconds=500))
    await reader.close()


@asynccontextmanager
async def running(sweeper: Sweeper) -> AsyncIterator[None]:
    task = asyncio.create_task(sweeper.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _serves(sweeper: Sweeper, *names: str) -> None:
    async def it_does() -> bool:
        return scrape(sweeper).names() == set(names)

    await eventually(it_does, seconds=10)


async def test_names_the_engine_as_everybody_does(engine: FakeEngine, sweeper: Sweeper) -> None:
    await sweeper.sweep()

    seen = scrape(sweeper)
    assert seen.value("machine_cpu_cores", engine="my-host") == 4
    assert seen.value("container_memory_working_set_bytes", engine="my-host", name="a") == 700
    assert seen.value("relevo_collector_containers", engine="my-host") == 2
    assert seen.has("relevo_collector_build_info", engine="my-host")


@pytest.mark.parametrize(
    ("api", "query"), [("1.40", "stream=0"), ("1.41", "stream=0&one-shot=1"), ("1.56", "one-shot")]
)
async def test_asks_for_one_reading_where_the_engine_knows_how(
    tmp_path: Path, sweeper: Sweeper, api: str, query: str
) -> None:
    async with fake_engine(tmp_path, api=api) as fake:
        await sweeper.sweep()

    (asked,) = [path for path in fake.side.asked if path.startswith(f"/v{api}/containers/{A}/st")]
    assert query in asked
    assert ("one-shot" in asked) == (api != "1.40")


@pytest.mark.parametrize("path", ["/containers/json", "/info"])
async def test_an_engine_that_answers_errors_is_shown_as_gone_and_comes_back(
    engine: FakeEngine, sweeper: Sweeper, path: str
) -> None:
    async with running(sweeper):
        await _serves(sweeper, "a", "b")
        engine.put(path, {"message": "no"}, status=500)
        await _serves(sweeper)

        ill = scrape(sweeper)
        assert not ill.has("machine_cpu_cores")
        assert ill.value("relevo_collector_errors_total", engine="my-host", scope="engine") >= 1
        assert ill.value("relevo_collector_containers", engine="my-host") == 0
        assert ill.has("relevo_collector_last_sweep_timestamp_seconds")
        engine.get_well()
        await _serves(sweeper, "a", "b")


async def test_what_an_engine_said_before_it_fell_silent_is_served_for_three_sweeps_only(
    engine: FakeEngine, sweeper: Sweeper
) -> None:
    async with running(sweeper):
        await _serves(sweeper, "a", "b")
        engine.put("/containers/json", [], hangs=True)
        await _serves(sweeper)

        # Its error is far away: nobody has given up on the request yet.
        assert scrape(sweeper).value("relevo_collector_errors_total", scope="engine") == 0
        engine.get_well()
        await engine.side.hang_up()
        await _serves(sweeper, "a", "b")


async def test_an_engine_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, sweeper: Sweeper
) -> None:
    with pytest.raises(EngineUnavailable):
        await sweeper.sweep()
    with capture_logs() as logs:
        async with running(sweeper):
            await eventually(lambda: _errors(sweeper, at_least=3))
            assert scrape(sweeper).names() == set()
            async with fake_engine(tmp_path):
                await _serves(sweeper, "a", "b")
            await _serves(sweeper)

    levels = [log["log_level"] for log in logs]
    # Each trouble once, however often it was tried; hanging up may look different from being away.
    assert levels[:2] == ["warning", "info"]
    assert levels[2:] in (["warning"], ["warning", "warning"])


async def _errors(sweeper: Sweeper, *, at_least: int) -> bool:
    return sweeper.health.errors["engine"] >= at_least


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"body": [], "hangs": True}, id="hangs"),
        pytest.param({"body": {"message": "no"}, "status": 500}, id="500"),
        pytest.param({"body": [1, 2]}, id="not-an-object"),
        pytest.param({"body": {}, "breaks": True}, id="breaks-off"),
    ],
)
@pytest.mark.parametrize("what", ["stats", "json"])
async def test_one_container_that_cannot_be_measured_disturbs_nobody(
    engine: FakeEngine, sweeper: Sweeper, what: str, broken: dict[str, Any]
) -> None:
    engine.put(f"/containers/{B}/{what}", **broken)
    async with running(sweeper):
        await _serves(sweeper, "a")
        before = scrape(sweeper).value("container_last_seen", name="a")

        async def goes_on() -> bool:
            now = scrape(sweeper)
            return now.names() == {"a"} and now.value("container_last_seen", name="a") > before

        await eventually(goes_on)
        if not broken.get("hangs"):
            assert sweeper.health.errors["container"] > 0
        assert sweeper.health.errors["engine"] == 0

        engine.put(f"/containers/{B}/{what}", stats() if what == "stats" else inspected())
        await engine.side.hang_up()
        await _serves(sweeper, "a", "b")


async def test_a_sample_outlives_one_failure_of_its_container(
    engine: FakeEngine, sweeper: Sweeper
) -> None:
    """A container that burns its memory is slow to measure: just then it must not disappear."""
    await sweeper.sweep()
    engine.put(f"/containers/{B}/stats", {"message": "no"}, status=500)
    await sweeper.sweep()

    assert scrape(sweeper).names() == {"a", "b"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(status=404, body='{"message":"No such container"}'), id="404"),
        pytest.param(Answer(body=""), id="removed-while-it-was-measured"),
        pytest.param(Answer(body=json.dumps({"read": "0001-01-01T00:00:00Z"})), id="stopped"),
    ],
)
async def test_one_that_has_just_gone_is_no_error_and_forgotten_at_once(
    engine: FakeEngine, sweeper: Sweeper, answer: Answer
) -> None:
    await sweeper.sweep()
    path = f"/v1.41/containers/{B}/stats"
    headers = ("Content-Type: application/json",)
    engine.side.answers[path] = Answer(answer.body, status=answer.status, headers=headers)
    await sweeper.sweep()

    seen = scrape(sweeper)
    assert seen.names() == {"a"}
    assert seen.value("relevo_collector_errors_total", scope="container") == 0


async def test_an_answer_nobody_foresaw_does_not_end_the_sweeping(
    engine: FakeEngine, sweeper: Sweeper
) -> None:
    engine.put("/containers/json", {"not": "a list"})
    async with running(sweeper):
        await eventually(lambda: _errors(sweeper, at_least=2))
        engine.get_well()
        await _serves(sweeper, "a", "b")


async def test_a_label_that_is_no_number_is_said_once(engine: FakeEngine, sweeper: Sweeper) -> None:
    odd = {"relevo.cpus": "plenty"}
    engine.put("/containers/json", [listed(A, "a", **odd), listed(B, "b", **{"relevo.cpus": "2"})])

    with capture_logs() as logs:
        await sweeper.sweep()
        await sweeper.sweep()

    assert [log["container"] for log in logs] == ["a"]
    seen = scrape(sweeper)
    assert not seen.has("relevo_container_cpus", name="a")
    assert seen.value("relevo_container_cpus", name="b") == 2
    assert seen.has("container_last_seen", name="a")


async def test_what_did_not_change_is_not_looked_up_again(
    engine: FakeEngine, sweeper: Sweeper
) -> None:
    for _ in range(4):
        await sweeper.sweep()
    assert engine.side.asked.count(f"/v1.41/containers/{A}/json") == 1
    await sweeper.sweep()
    assert engine.side.asked.count(f"/v1.41/containers/{A}/json") == 2
