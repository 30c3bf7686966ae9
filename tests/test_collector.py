"""The collector against the real engine: its values, its process, its settings."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.engine.stats import EngineReader
from app.adapters.engine.sweeper import Sweeper
from app.collector import collect
from app.errors import BadConfiguration
from app.settings import load_settings
from tests.adapters.far_side import answers, far_side, free_port, until
from tests.engine_lab import SOCKET, EngineLab, busybox_image, engine_lab, labels
from tests.parts import require
from tests.scrape import scrape

BURN = ("sh", "-c", "while :; do :; done")
LABELS = {
    "engine",
    "id",
    "name",
    "image",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
}


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
    # Never more than its limit allows; less where others take the machine's time.
    assert 0.02 < cores < 0.27
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
async def test_a_restart_and_new_limits_are_noticed_within_four_sweeps(
    lab: EngineLab, real: Sweeper
) -> None:
    burner = lab.run("--memory", "32m", command=BURN, name="again")
    name = lab.name("again")
    await real.sweep()
    first = scrape(real).value("container_start_time_seconds", name=name)

    lab.do("restart", "-t", "0", burner)
    # At once where its CPU counter has fallen; it may have burnt more than before by now.
    for _ in range(4):
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
def test_the_process_serves_and_ends_on_sigterm(lab: EngineLab, tmp_path: Path) -> None:
    lab.run(name="served")
    lab.run(*labels("relevo", enable="true"), name="labelled")
    policies = tmp_path / "policies.yml"
    policies.write_text("version: 1\n")
    port = free_port()
    code = (
        "import asyncio; from app.settings import load_settings; from app.collector import collect;"
        f"asyncio.run(collect(load_settings(collect_listen='127.0.0.1:{port}', time_factor=50)))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    env = {**os.environ, "RELEVO_POLICIES": str(policies)}
    with subprocess.Popen(command, env=env) as process:
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

            def cared(name: str) -> str | None:
                """Whether it says that Relevo looks after it, in the newest answer."""
                line = rf'^relevo_container_care{{.*name="{re.escape(lab.name(name))}"}} (\S+)$'
                found = re.search(line, page(), re.MULTILINE)
                return found[1] if found else None

            until(lambda: cared("labelled") == "1.0", what=page)
            assert cared("served") == "0.0"
            # As soon as the file names it, whoever asks Relevo to read it.
            policies.write_text(f"enable: [{{name: {lab.name('served')}}}]\n")
            until(lambda: cared("served") == "1.0", what=page)
            check = [require("promtool"), "check", "metrics"]
            checked = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def test_an_engine_address_that_cannot_be_is_a_bad_configuration() -> None:
    with pytest.raises(BadConfiguration, match=r"^DOCKER_HOST: "):
        await collect(load_settings(DOCKER_HOST="ssh://somewhere"))


async def test_a_port_that_is_taken_is_a_bad_configuration() -> None:
    async with far_side() as side:
        settings = load_settings(collect_listen=side.url.removeprefix("http://"))
        with pytest.raises(BadConfiguration, match=r"^RELEVO_COLLECT_LISTEN: cannot listen on 127"):
            await collect(settings)
