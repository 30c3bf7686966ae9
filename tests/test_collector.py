"""The collector against the real engine, and against engines that misbehave."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from app.adapters.engine.stats import (
    Allowance,
    EngineReader,
    Usage,
    allowance,
    declared_cpus,
    usage,
)
from app.adapters.engine.sweeper import Sweeper
from app.collector import Page, collect
from app.errors import BadConfiguration, EngineUnavailable
from app.settings import Settings, load_settings
from tests.adapters.far_side import Answer, FarSide, answers, eventually, far_side, free_port, until
from tests.engine_lab import SOCKET, EngineLab, busybox_image, engine_lab, labels
from tests.parts import require

BURN = ("sh", "-c", "while :; do :; done")
A, B = "a" * 64, "b" * 64
LABELS = {
    "engine",
    "id",
    "name",
    "image",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
}


class Scrape:
    """One answer of the collector, read by prometheus_client's own parser."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def labels(self, series: str, **matching: str) -> dict[str, str]:
        """Return the labels of the one series that matches."""
        (found,) = self._found(series, matching)
        return dict(found.labels)

    def value(self, series: str, **matching: str) -> float:
        """Return the value of the one series that matches."""
        (found,) = self._found(series, matching)
        return float(found.value)

    def has(self, series: str, **matching: str) -> bool:
        """Whether any series matches."""
        return bool(self._found(series, matching))

    def names(self) -> set[str]:
        """Return the names of the containers that were measured."""
        return {s.labels["name"] for s in self.samples if s.name == "container_last_seen"}

    def _found(self, series: str, matching: dict[str, str]) -> list[Any]:
        return [
            sample
            for sample in self.samples
            if sample.name == series and matching.items() <= sample.labels.items()
        ]


def scrape(sweeper: Sweeper, engine_name: str | None = None) -> Scrape:
    return Scrape(generate_latest(Page(sweeper, engine_name=engine_name)).decode())


# ------------------------------------------------------------------- the real engine


@pytest.fixture(scope="module")
def lab() -> Iterator[EngineLab]:
    with engine_lab(busybox_image(require("docker"))) as opened:
        yield opened


@pytest.fixture
async def real() -> AsyncIterator[Sweeper]:
    """A sweeper of the real engine; each test calls `sweep` itself."""
    reader = EngineReader(SOCKET)
    yield Sweeper(reader, every=timedelta(seconds=15))
    await reader.close()


@pytest.mark.docker
async def test_shows_what_a_container_uses_and_may_use(lab: EngineLab, real: Sweeper) -> None:
    compose = ("-l", "com.docker.compose.project=shop", "-l", "com.docker.compose.service=web")
    limits = ("--cpus", "0.2", "--memory", "64m", *labels("relevo", cpus="1.5"))
    burner = lab.run(*compose, *limits, command=BURN, name="burner")
    name = lab.name("burner")

    await real.sweep()
    first = second = scrape(real)

    def grown(series: str) -> float:
        return second.value(series, name=name) - first.value(series, name=name)

    # Long against the kernel's period of 100 ms, in which the quota is given out.
    while grown("container_last_seen") < 2:
        await real.sweep()
        second = scrape(real)

    engine = lab.do("info", "--format", "{{.Name}}")
    assert first.labels("container_last_seen", name=name) == {
        "engine": engine,
        "id": f"/docker/{burner}",
        "name": name,
        "image": lab.image,
        "container_label_com_docker_compose_project": "shop",
        "container_label_com_docker_compose_service": "web",
    }
    cpu = first.labels("container_cpu_usage_seconds_total", name=name)
    assert cpu.keys() == LABELS | {"cpu"}
    assert cpu["cpu"] == "total"
    cores = grown("container_cpu_usage_seconds_total") / grown("container_last_seen")
    assert 0.1 < cores < 0.27
    assert second.value("container_last_seen", name=name) == pytest.approx(time.time(), abs=5)  # noqa: TID251 -- to check the clock
    assert first.value("container_spec_cpu_quota", name=name) == 20_000
    assert first.value("container_spec_cpu_period", name=name) == 100_000
    assert first.value("container_spec_memory_limit_bytes", name=name) == 64 * 2**20
    working_set = first.value("container_memory_working_set_bytes", name=name)
    assert 0 < working_set <= first.value("container_memory_usage_bytes", name=name) < 64 * 2**20
    assert first.value("relevo_container_cpus", name=name) == 1.5
    assert first.labels("relevo_container_cpus", name=name) == {"engine": engine, "name": name}
    for direction in ("receive", "transmit"):
        series = f"container_network_{direction}_bytes_total"
        assert first.labels(series, name=name).keys() == LABELS | {"interface"}
        assert first.value(series, name=name, interface="eth0") >= 0
    started = first.value("container_start_time_seconds", name=name)
    assert 0 < first.value("container_last_seen", name=name) - started < 60


@pytest.mark.docker
async def test_says_nothing_where_there_is_nothing_to_say(lab: EngineLab, real: Sweeper) -> None:
    lab.run("--network", "host", name="free")
    paused = lab.run(name="paused")
    lab.do("pause", paused)
    stopped = lab.run(name="stopped")
    lab.do("kill", stopped)
    lab.create(name="created")

    await real.sweep()
    seen = scrape(real, engine_name="called-so")

    free = lab.name("free")
    assert seen.value("container_spec_memory_limit_bytes", name=free) == 0
    assert not seen.has("container_spec_cpu_quota", name=free)
    assert seen.value("container_spec_cpu_period", name=free) == 100_000
    assert not seen.has("container_network_receive_bytes_total", name=free)
    assert not seen.has("relevo_container_cpus", name=free)
    project = "container_label_com_docker_compose_project"
    assert seen.labels("container_last_seen", name=free)[project] == ""
    assert seen.has("container_cpu_usage_seconds_total", name=lab.name("paused"))
    assert not seen.names() & {lab.name("stopped"), lab.name("created")}
    assert {sample.labels["engine"] for sample in seen.samples} == {"called-so"}
    assert seen.value("machine_cpu_cores", engine="called-so") == int(
        lab.do("info", "--format", "{{.NCPU}}")
    )
    assert seen.value("machine_memory_bytes") > 2**28


@pytest.mark.docker
async def test_a_restart_is_noticed_at_once_and_new_limits_within_four_sweeps(
    lab: EngineLab, real: Sweeper
) -> None:
    burner = lab.run("--memory", "32m", command=BURN, name="again")
    name = lab.name("again")
    await real.sweep()
    first = scrape(real).value("container_start_time_seconds", name=name)

    lab.do("restart", "-t", "0", burner)
    await real.sweep()
    second = scrape(real)

    assert second.value("container_start_time_seconds", name=name) > first
    lab.do("update", "--memory", "48m", "--memory-swap", "48m", burner)
    for _ in range(4):
        await real.sweep()
    assert scrape(real).value("container_spec_memory_limit_bytes", name=name) == 48 * 2**20


@pytest.mark.docker
async def test_a_container_that_vanishes_in_mid_sweep_disturbs_nobody(
    lab: EngineLab, real: Sweeper
) -> None:
    lab.run(name="stays")
    vanishing = [lab.run(name=f"vanishes{number}") for number in range(3)]
    await real.sweep()
    assert lab.name("vanishes0") in scrape(real).names()

    sweep = asyncio.create_task(real.sweep())
    for container in vanishing:
        await asyncio.to_thread(lab.do, "rm", "-f", container)
    await sweep
    assert lab.name("stays") in scrape(real).names()
    await real.sweep()

    seen = scrape(real)
    assert lab.name("stays") in seen.names()
    assert not any(name.startswith(lab.name("vanishes")) for name in seen.names())
    assert seen.value("relevo_collector_errors_total", scope="container") == 0


@pytest.mark.docker
def test_the_process_serves_and_ends_on_sigterm(lab: EngineLab) -> None:
    lab.run(name="served")
    port = free_port()
    code = (
        "import asyncio; from app.settings import load_settings; from app.collector import collect;"
        f"asyncio.run(collect(load_settings(collect_listen='127.0.0.1:{port}', time_factor=50)))"
    )
    with subprocess.Popen([sys.executable, "-W", "error", "-c", code]) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            until(lambda: answers(f"{base}/-/healthy"), what=lambda: "not up")
            head = urllib.request.Request(f"{base}/-/healthy", method="HEAD")
            with urllib.request.urlopen(head, timeout=5) as answer:
                assert (answer.status, answer.read()) == (200, b"")

            def page() -> str:
                with urllib.request.urlopen(f"{base}/metrics/containers", timeout=5) as answer:
                    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                    return str(answer.read().decode())

            until(lambda: lab.name("served") in page(), what=page)
            text = page()
            check = [require("promtool"), "check", "metrics"]
            checked = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


# ------------------------------------------------------------------- engines that misbehave


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
        self.side.answers[path if path == "/version" else f"/v{self.api}{path}"] = said


def listed(id: str, name: str, **labels: str) -> dict[str, Any]:
    return {"Id": id, "Names": [f"/{name}"], "Image": "web:1", "ImageID": "sha256:1",
            "Labels": labels, "State": "running"}  # fmt: skip


def stats(**changes: Any) -> dict[str, Any]:
    return {
        "read": "2026-11-22T15:50:28.033866999Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
        "memory_stats": {
            "usage": 1000,
            "stats": {"inactive_file": 1, "total_inactive_file": 300},
            "limit": 2**40,
        },
        "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1}},
    } | changes


def inspected(**host_config: Any) -> dict[str, Any]:
    return {"HostConfig": host_config, "State": {"StartedAt": "2026-11-22T15:50:27.123456789Z"}}


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


# ------------------------------------------------------------------- the pure parts

V2_MEMORY = {
    "usage": 9_000_000,
    "stats": {"anon": 5_000_000, "file": 4_000_000, "inactive_file": 3_500_000, "slab": 400_000},
    "limit": 67_108_864,
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            stats(memory_stats=V2_MEMORY, networks={}),
            Usage(cpu_seconds=1.5, memory_bytes=9_000_000, working_set_bytes=5_500_000),
            id="cgroup-v2",
        ),
        pytest.param(
            stats(),
            Usage(
                cpu_seconds=1.5,
                memory_bytes=1000,
                working_set_bytes=700,
                received_bytes={"eth0": 5, "eth1": 1},
                sent_bytes={"eth0": 7},
            ),
            id="cgroup-v1-counts-its-children",
        ),
        pytest.param(
            stats(memory_stats={"usage": 10, "stats": {"total_inactive_file": 30}}, networks=None),
            Usage(cpu_seconds=1.5, memory_bytes=10, working_set_bytes=0),
            id="more-inactive-than-used",
        ),
        pytest.param(
            stats(memory_stats={"usage": 10}, networks=None, cpu_stats={}),
            Usage(memory_bytes=10, working_set_bytes=10),
            id="no-cpu-and-no-details",
        ),
        pytest.param(
            stats(cpu_stats={"cpu_usage": {"total_usage": "9"}}, memory_stats=[], networks={"": 1}),
            Usage(),
            id="nothing-that-is-a-number",
        ),
        pytest.param(stats(read="0001-01-01T00:00:00Z"), None, id="stopped"),
        pytest.param({}, None, id="empty"),
    ],
)  # fmt: skip
def test_reads_what_the_engine_says_of_usage(
    answer: dict[str, Any], expected: Usage | None
) -> None:
    assert usage(answer) == expected


@pytest.mark.parametrize(
    ("host_config", "memory", "quota", "period"),
    [
        pytest.param({}, 0, None, 100_000, id="unlimited"),
        pytest.param({"Memory": 7, "NanoCpus": 1_500_000_000}, 7, 150_000, 100_000, id="cpus"),
        pytest.param({"CpuQuota": 5000, "CpuPeriod": 10_000}, 0, 5000, 10_000, id="quota"),
        pytest.param({"CpuQuota": 50_000}, 0, 50_000, 100_000, id="quota-without-period"),
        pytest.param({"CpuQuota": -1, "Memory": -1}, 0, None, 100_000, id="minus-one"),
        pytest.param({"CpuQuota": 0, "NanoCpus": 0, "CpuPeriod": 0}, 0, None, 100_000, id="zeros"),
        pytest.param({"Memory": None, "NanoCpus": None}, 0, None, 100_000, id="nulls"),
    ],
)
def test_reads_what_a_container_may_use(
    host_config: dict[str, Any], memory: int, quota: float | None, period: int
) -> None:
    assert allowance(inspected(**host_config)) == Allowance(
        memory_bytes=memory,
        cpu_quota_us=quota,
        cpu_period_us=period,
        started_at=1795362627.123456,
    )


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00Z", "soon", None, 7])
def test_a_start_that_is_no_time_is_left_out(started: object) -> None:
    assert allowance({"State": {"StartedAt": started}}).started_at is None


@pytest.mark.parametrize(
    ("label", "cores"), [("2", 2.0), ("0.5", 0.5), (" 1 ", 1.0), ("64", 64.0), ("1e1", 10.0)]
)
def test_reads_the_cores_that_a_label_declares(label: str, cores: float) -> None:
    assert declared_cpus(label) == cores


@pytest.mark.parametrize("label", ["", "0", "-1", "nan", "inf", "-inf", "2 cores", "0x2", "1e999"])
def test_cores_are_a_positive_finite_number(label: str) -> None:
    with pytest.raises(ValueError, match=r"positive|could not convert"):
        declared_cpus(label)


# ------------------------------------------------------------------- wrong settings


async def test_an_engine_address_that_cannot_be_is_a_bad_configuration() -> None:
    with pytest.raises(BadConfiguration, match=r"^DOCKER_HOST: "):
        await collect(Settings(DOCKER_HOST="ssh://somewhere"))


async def test_a_port_that_is_taken_is_a_bad_configuration() -> None:
    async with far_side() as side:
        settings = load_settings(collect_listen=side.url.removeprefix("http://"))
        with pytest.raises(BadConfiguration, match=r"^RELEVO_COLLECT_LISTEN: cannot listen on 127"):
            await collect(settings)
