"""Killed at any point: nothing is done twice, and nothing is blocked for ever."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.adapters.gate import speech, words
from app.adapters.gate.client import GateEngine
from app.adapters.gate.journal import open_journal
from app.adapters.gate.line import GateLine
from app.domain.gate import Bar, Ending, Fence, Trace, Verb
from app.errors import (
    BadConfiguration,
    EngineSilent,
    EngineUnavailable,
    GateRefused,
    LeaseLost,
    StartedMeanwhile,
)
from tests.adapters.engine.fake_daemon import CONTAINER_ID, STARTED_AT, FakeDaemon, Reply, inspected
from tests.adapters.gate.scenes import GRACE, OPTED_IN, RESTART, ready, restart, there_are, web
from tests.adapters.gate.test_gate import acted
from tests.gate_lab import a_gate, a_line

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
SHIPPED = "version: 1\n"
AFTER = "2026-11-22T03:10:00.5Z"


@asynccontextmanager
async def a_process(
    daemon: FakeDaemon, folder: Path, *, before: str = ":"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A gate that is a process of its own, once it listens. :param before: run by its shell"""
    (folder / "policies.yml").write_text(SHIPPED)
    environment = {
        "PATH": os.environ["PATH"],
        "DOCKER_HOST": daemon.url,
        "RELEVO_DATA_DIR": str(folder / "data"),
        "RELEVO_POLICIES": str(folder / "policies.yml"),
        "RELEVO_GATE_SOCKET": str(folder / "gate.sock"),
    }
    gate = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"{before}; exec {sys.executable} -m app gate"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert gate.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"gate.started" not in (line := await gate.stderr.readline()):
                assert line, "the gate ended"
        yield gate
    finally:
        if gate.returncode is None:
            gate.kill()
        await gate.communicate()


async def test_killed_while_the_engine_is_at_it(daemon: FakeDaemon, folder: Path) -> None:
    """Until the engine must be through, nobody else begins; then what it did is seen."""
    ready(daemon)
    daemon.answer(RESTART, Reply(hangs=True))
    async with a_line(folder / "gate.sock") as line:
        engine = GateEngine(line)
        async with a_process(daemon, folder) as gate:
            first = asyncio.create_task(restart(engine))
            await acted(daemon)
            gate.send_signal(signal.SIGKILL)
            # It has heard of it: unknown, not failed.
            with pytest.raises(EngineSilent):
                await first
        async with a_process(daemon, folder) as gate:
            with pytest.raises(EngineSilent, match="nobody saw it end"):
                await restart(engine)
            with pytest.raises(GateRefused, match="may still be under way") as caught:
                await restart(engine, "b.1")
            assert caught.value.reason == Bar.BUSY

            there_are(daemon, inspected(Config={"Labels": OPTED_IN}, State={"StartedAt": AFTER}))
            with pytest.raises(StartedMeanwhile):
                await restart(engine)
            daemon.answer(RESTART, Reply(status=204))
            await restart(engine, "b.1", expected_started_at=AFTER)

            gate.send_signal(signal.SIGTERM)
            assert await gate.wait() == 0
            assert not (folder / "gate.sock").exists()

    assert len(daemon.acts) == 2


async def written(folder: Path, *, age_s: float) -> None:
    """Leave a journal in which a restart was begun so long ago, and did not end."""
    trace = Trace(
        verb=Verb.RESTART,
        about=CONTAINER_ID,
        attempt_id="a.1",
        at=asyncio.get_running_loop().time() - age_s,
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        takes=GRACE + timedelta(seconds=30),
        before=STARTED_AT,
        charged=True,
    )
    with open_journal(folder / "data", now=NOW) as journal:
        await journal.begin(trace, Fence(), written_at=NOW)


async def test_killed_before_the_engine_was_told(daemon: FakeDaemon, folder: Path) -> None:
    """The journal has it, the engine never heard of it: in the end it is done, once."""
    ready(daemon)
    await written(folder, age_s=39)
    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        with pytest.raises(EngineSilent, match=r"known in [01] s"):
            await restart(GateEngine(line))
    assert daemon.acts == []
    (folder / "data" / "gate.journal").unlink()
    await written(folder, age_s=41)

    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        await restart(GateEngine(line))
        with pytest.raises(GateRefused, match="has done that"):
            await restart(GateEngine(line))

    assert len(daemon.acts) == 1


async def test_a_torn_line_was_not_begun(daemon: FakeDaemon, folder: Path) -> None:
    ready(daemon)
    await written(folder, age_s=0)
    file = folder / "data" / "gate.journal"
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with open_journal(folder / "data", now=NOW) as journal:
            assert journal.of(CONTAINER_ID) == ()
        assert file.read_bytes() == b""
    file.write_bytes(whole + whole[:20])
    with open_journal(folder / "data", now=NOW) as journal:
        assert len(journal.of(CONTAINER_ID)) == 1
    assert file.read_bytes() == whole


async def test_a_line_that_the_power_was_cut_in_is_left_out(folder: Path) -> None:
    """An end is not forced to the disk: behind the last beginning there may be anything."""
    await written(folder, age_s=0)
    file = folder / "data" / "gate.journal"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0" * 100 + b"\n")

    with open_journal(folder / "data", now=NOW) as journal:
        (only,) = journal.of(CONTAINER_ID)
        await journal.begin(replace(only, attempt_id="a.2"), Fence(), written_at=NOW)

    with open_journal(folder / "data", now=NOW) as journal:
        assert len(journal.of(CONTAINER_ID)) == 2


async def test_by_a_journal_that_somebody_has_spoilt_nothing_is_done(
    daemon: FakeDaemon, folder: Path
) -> None:
    """What the line was about may be what is asked for: who cannot tell does nothing."""
    ready(daemon)
    await written(folder, age_s=100)
    file = folder / "data" / "gate.journal"
    file.write_bytes(spoilt := b"\xff{]\n" + file.read_bytes())

    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        engine = GateEngine(line)
        with pytest.raises(EngineUnavailable, match="line 1 cannot be read"):
            await restart(engine, "b.1")
        assert (await engine.inspect(CONTAINER_ID)).is_running

    assert daemon.acts == []
    assert file.read_bytes() == spoilt


async def test_whoever_leaves_while_it_is_written_leaves_no_gap(folder: Path) -> None:
    """The thread that writes goes on: nobody else writes beside it, or takes its number."""
    await written(folder, age_s=0)
    with open_journal(folder / "data", now=NOW, tidied_every=2) as journal:
        (one,) = journal.of(CONTAINER_ID)
        for number in range(20):
            about = replace(one, about=f"{number:064x}")
            left = asyncio.create_task(journal.begin(about, Fence(), written_at=NOW))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            left.cancel()
            after = replace(one, about=f"{100 + number:064x}")
            kept = asyncio.create_task(journal.begin(after, Fence(), written_at=NOW))
            with pytest.raises(asyncio.CancelledError):
                await left
            await journal.end(await kept, Ending.DONE)
        known = {f"{n:064x}": journal.of(f"{n:064x}") for n in (*range(20), *range(100, 120))}

    with open_journal(folder / "data", now=NOW) as journal:
        assert {about: journal.of(about) for about in known} == known
    ends = [[trace.ending for trace in known[f"{100 + n:064x}"]] for n in range(20)]
    assert ends == [[Ending.DONE]] * 20
    assert {trace.ending for n in range(20) for trace in known[f"{n:064x}"]} <= {Ending.UNDONE}


async def test_what_is_old_is_forgotten(folder: Path) -> None:
    await written(folder, age_s=0)

    with open_journal(folder / "data", now=NOW + timedelta(days=8)) as journal:
        assert journal.of(CONTAINER_ID) == ()
    assert (folder / "data" / "gate.journal").read_bytes() == b""


async def test_a_gate_that_runs_for_long_forgets_as_well(folder: Path) -> None:
    await written(folder, age_s=0)
    with open_journal(folder / "data", now=NOW, tidied_every=16) as journal:
        (old,) = journal.of(CONTAINER_ID)
        later = NOW + timedelta(days=8)
        for number in range(20):
            about = f"{number:064x}"
            kept = await journal.begin(replace(old, about=about), Fence(), written_at=later)
        await journal.end(kept, Ending.DONE)
        assert journal.of(CONTAINER_ID) == ()
        assert len(journal.charges(old.boot, since=0.0)) == 20

    with open_journal(folder / "data", now=later) as journal:
        assert journal.of(CONTAINER_ID) == ()
        (last,) = journal.of(f"{19:064x}")
        assert last.ending is Ending.DONE
        assert len(journal.charges(old.boot, since=0.0)) == 20


async def test_two_gates_have_no_journal_in_common(folder: Path) -> None:
    with (
        open_journal(folder, now=NOW),
        pytest.raises(BadConfiguration, match="another gate is using"),
        open_journal(folder, now=NOW),
    ):
        pass


async def test_what_cannot_be_written_down_is_not_done(daemon: FakeDaemon, folder: Path) -> None:
    """A disk that is full, or as good as: no file may grow."""
    ready(daemon)
    async with (
        a_process(daemon, folder, before="ulimit -f 0"),
        a_line(folder / "gate.sock") as line,
    ):
        with pytest.raises(EngineUnavailable, match="journal cannot be written") as caught:
            await restart(GateEngine(line))

    assert not isinstance(caught.value, EngineSilent)
    assert daemon.acts == []


# ---------------------------------------------------------------- whoever asked, is gone or late

STOP = f"POST /containers/{CONTAINER_ID}/stop"
DELETE = f"DELETE /containers/{CONTAINER_ID}"


def a_clone(daemon: FakeDaemon) -> None:
    """Let there be a clone of ours beside its source, whose stop takes until it is released."""
    marks = {"relevo.clone-of": "web", "relevo.attempt": "a.0"}
    clone = web(**marks)
    clone["Name"], clone["NetworkSettings"] = "/web_new", {"Networks": {}}
    source = web() | {"Id": "b" * 64}
    there_are(daemon, clone, source)
    daemon.answer(STOP, Reply(status=204, hangs=True))
    daemon.answer(DELETE, Reply(status=204))


@pytest.mark.parametrize(
    ("happens", "removed"),
    [(lambda _: None, True), (lambda stop: stop.touch(), False)],
    ids=["nothing", "the-stop-file"],
)
async def test_between_the_steps_of_an_action_it_is_asked_again(
    daemon: FakeDaemon, folder: Path, happens: Callable[[Path], Any], removed: bool
) -> None:
    a_clone(daemon)
    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        removing = asyncio.create_task(
            GateEngine(line).remove_clone(CONTAINER_ID, attempt_id="a.0")
        )
        await acted(daemon)
        happens(folder / "data" / "STOP")
        daemon.release()
        if removed:
            await removing
        else:
            with pytest.raises(LeaseLost, match="STOP file"):
                await removing

    assert any(one.startswith(DELETE) for one in daemon.acts) is removed


async def test_who_may_act_no_longer_is_heard_in_the_middle_of_an_action(
    daemon: FakeDaemon, folder: Path
) -> None:
    """The client says so every second; the engine needs longer for its stop."""
    a_clone(daemon)
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    until = loop.time() + 60

    def not_after() -> float:
        if until == 0.0:
            told.set()
            raise LeaseLost("another controller leads")
        return until

    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        removing = asyncio.create_task(
            GateEngine(line).remove_clone(CONTAINER_ID, attempt_id="a.0", not_after=not_after)
        )
        await acted(daemon)
        until = 0.0
        await asyncio.wait_for(told.wait(), 10)
        # (The word is on its way: the gate has it before the next question is answered.)
        await GateEngine(line).containers()
        daemon.release()
        with pytest.raises(LeaseLost):
            await removing

    assert not any(one.startswith(DELETE) for one in daemon.acts)


async def test_who_wants_it_no_more_has_it_ended(daemon: FakeDaemon, folder: Path) -> None:
    """Cancelled like a call to the engine itself; what is left is settled by looking."""
    ready(daemon)
    daemon.answer(RESTART, Reply(hangs=True))
    async with a_gate(daemon.url, folder, policies=SHIPPED) as path, a_line(path) as line:
        engine = GateEngine(line)
        restarting = asyncio.create_task(restart(engine))
        await acted(daemon)
        restarting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restarting

        with pytest.raises(EngineSilent, match="nobody saw it end"):
            await restart(engine)

    assert len(daemon.acts) == 1


async def test_what_lay_around_is_turned_away(daemon: FakeDaemon, folder: Path) -> None:
    """A controller that froze between its last look and its request sends it when it wakes."""
    ready(daemon)
    loop = asyncio.get_running_loop()
    sent = speech.Restart(
        id=CONTAINER_ID,
        attempt_id="a.1",
        sent_at=loop.time() - 11,
        not_after=None,
        ticket="t" * 20,
        expected_started_at=STARTED_AT,
        stop_grace=GRACE,
    )
    raw = words.WISHES["restart"][0].dump_json(sent)
    async with (
        a_gate(daemon.url, folder, policies=SHIPPED) as path,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.post(f"http://gate{speech.PATH}restart", data=raw) as answer,
    ):
        told = await answer.json()

    assert told["error"]["kind"] == "TooLate"
    assert daemon.acts == []


async def test_a_gate_that_freezes_is_given_up(daemon: FakeDaemon, folder: Path) -> None:
    """It says every two seconds that it lives; what it was asked is unknown then."""
    ready(daemon)
    async with a_process(daemon, folder) as gate:
        line = GateLine(folder / "gate.sock", patience=timedelta(seconds=1))
        engine = GateEngine(line)
        gate.send_signal(signal.SIGSTOP)
        with pytest.raises(EngineSilent, match="no answer from the gate"):
            await restart(engine)
        with pytest.raises(EngineUnavailable, match="no answer from the gate"):
            await engine.containers()
        gate.send_signal(signal.SIGCONT)
        await line.close()
