"""The evidence from the real engine."""

import time
from datetime import UTC, datetime

import pytest

from app.domain.casefile import CaseFile
from app.errors import ContainerGone
from app.ports import ContainerEngine
from tests.engine_lab import EngineLab, until

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


async def gather(engine: ContainerEngine, container_id: str) -> CaseFile:
    return await engine.evidence(container_id, at=AT)


async def said(engine: ContainerEngine, container_id: str, line: str) -> CaseFile:
    """Gather once a line is in the log."""

    async def it_has() -> bool:
        return line in (await gather(engine, container_id)).logs

    await until(it_has)
    return await gather(engine, container_id)


async def test_gathers_what_a_running_container_is(engine: ContainerEngine, lab: EngineLab) -> None:
    script = "echo to stdout; echo to stderr >&2; echo done; sleep 600 & sleep 601; true"
    container_id = lab.run("--memory", "64m", command=("sh", "-c", script), name="web")

    found = await said(engine, container_id, "done")

    seen = lab.inspect(container_id)["State"]
    assert (found.container_id, found.container, found.taken_at) == (
        container_id,
        lab.name("web"),
        AT,
    )
    assert (found.state, found.started_at) == ("running", seen["StartedAt"])
    assert sorted(found.logs) == ["done", "to stderr", "to stdout"]
    assert {"PID", "CMD"} <= set(found.process_titles)
    commands = [row[found.process_titles.index("CMD")] for row in found.processes]
    assert {"sleep 600", "sleep 601"} < set(commands)
    assert found.stats["pids"] == 3
    assert 0 < found.stats["memory_bytes"] < found.stats["memory_limit_bytes"] == 64 * 2**20
    assert found.stats["cpu_seconds"] > 0
    assert {"network_received_bytes", "memory_working_set_bytes"} <= found.stats.keys()
    assert (found.missing, found.is_cut, found.health_log) == ((), False, ())


async def test_is_quick(engine: ContainerEngine, lab: EngineLab) -> None:
    """20.10 with one-shot stats; the action waits for it."""
    container_id = lab.run(command=("sh", "-c", "while :; do echo x; done"))
    await gather(engine, container_id)
    began = time.monotonic()

    found = await gather(engine, container_id)

    assert time.monotonic() - began < 3
    assert len(found.logs) == 200
    assert found.missing == ()


@pytest.mark.parametrize("tty", [(), ("-t",)], ids=["framed", "tty"])
async def test_reads_any_log(engine: ContainerEngine, lab: EngineLab, tty: tuple[str, ...]) -> None:
    script = (
        "i=0; while [ $i -lt 250 ]; do echo line $i; i=$((i+1)); done;"
        r"printf 'bad \377\376 bytes\n'; printf 'grüße\n';"
        # 40 000 characters, which the engine keeps in three pieces.
        "i=0; while [ $i -lt 400 ]; do printf '%0100d' 7; i=$((i+1)); done; echo;"
        "echo done; printf 'not ended'; sleep 600"
    )
    container_id = lab.run(*tty, command=("sh", "-c", script))

    found = await said(engine, container_id, "done")

    texts = [line for line in found.logs if line != "not ended"]
    assert len(found.logs) <= 200
    assert texts[-4:-2] == ["bad \ufffd\ufffd bytes", "grüße"]
    assert len(texts[-2]) == 2000
    assert set(texts[-2]) == {"0", "7"}
    assert texts[-1] == "done"
    assert found.is_cut
    assert texts[0].startswith("line ")
    numbers = [int(line.split()[1]) for line in texts if line.startswith("line ")]
    assert numbers == list(range(numbers[0], 250))


async def test_a_log_driver_without_reading_is_named(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    container_id = lab.run("--log-driver", "none")

    found = await gather(engine, container_id)

    (sentence,) = found.missing
    assert sentence.startswith("The log could not be read: ")
    assert "does not support reading" in sentence


async def test_keeps_the_last_probes(engine: ContainerEngine, lab: EngineLab) -> None:
    check = ("--health-cmd", "echo nobody home; exit 3", "--health-interval", "100ms")
    container_id = lab.run(*check)

    async def five() -> bool:
        return len((await gather(engine, container_id)).health_log) == 5

    await until(five)
    probes = (await gather(engine, container_id)).health_log

    assert [(one.exit_code, one.output) for one in probes] == [(3, "nobody home\n")] * 5
    assert [one.started_at for one in probes] == sorted(one.started_at for one in probes)


async def test_of_a_stopped_container_the_log_and_the_end_remain(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    container_id = lab.run(command=("sh", "-c", "echo last words; exit 3"))
    lab.do("wait", container_id)

    found = await gather(engine, container_id)

    assert (found.state, found.exit_code, found.logs) == ("exited", 3, ("last words",))
    assert (found.processes, found.stats) == ((), {})
    assert [sentence.split(" could")[0] for sentence in found.missing] == [
        "The processes",
        "The stats",
    ]
    assert all("not run" in sentence for sentence in found.missing)


async def test_of_a_paused_container_nothing_is_missing(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    container_id = lab.run()
    lab.do("pause", container_id)

    found = await gather(engine, container_id)

    assert (found.state, found.missing) == ("paused", ())
    assert found.processes


async def test_of_a_container_never_started_little_is_there(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    found = await gather(engine, lab.create())

    assert (found.state, found.logs) == ("created", ())


async def test_a_container_that_is_gone_is_gone(engine: ContainerEngine, lab: EngineLab) -> None:
    container_id = lab.run()
    lab.do("rm", "-f", container_id)

    with pytest.raises(ContainerGone):
        await gather(engine, container_id)
