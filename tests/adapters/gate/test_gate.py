"""The gate over its socket: what it lets through, what it keeps back, and in which words."""

import asyncio
import json
import os
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from app.adapters.gate.client import GateEngine
from app.adapters.gate.line import GateLine
from app.domain.gate import Bar, Fence
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    GateRefused,
    StartedMeanwhile,
    TooLate,
)
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    event,
    inspected,
)
from tests.adapters.gate.scenes import GRACE, OPTED_IN, RESTART, ready, restart, there_are
from tests.gate_lab import a_gate, a_line

LATER = "2026-11-22T04:00:00Z"


async def bar_of(engine: GateEngine, attempt_id: str = "a.1") -> str:
    """Ask for a restart that is refused; answer the word."""
    with pytest.raises(GateRefused) as caught:
        await restart(engine, attempt_id)
    return caught.value.reason


async def test_lets_through_what_is_in_order(engine: GateEngine, daemon: FakeDaemon) -> None:
    ready(daemon)

    await restart(engine)

    assert daemon.acts == [f"{RESTART}?t=10"]


async def test_what_has_not_opted_in_is_left_alone(engine: GateEngine, daemon: FakeDaemon) -> None:
    there_are(daemon, inspected())

    assert await bar_of(engine) == Bar.NOT_OPTED_IN
    assert daemon.acts == []


async def test_reads_the_policy_file_itself_and_anew(
    engine: GateEngine, daemon: FakeDaemon, folder: Path
) -> None:
    ready(daemon)
    there_are(daemon, inspected())
    file = folder / "policies.yml"

    file.write_text("version: 1\nenable: [{name: web}]\n")
    await restart(engine)
    file.write_text("version: 1\nenable: [{name: web}]\nguards: {protected: [web]}\n")
    assert await bar_of(engine, "a.2") == Bar.PROTECTED
    # One that is wrong changes nothing.
    file.write_text("version: 1\nenable: [{nam: web}]\n")
    assert await bar_of(engine, "a.3") == Bar.PROTECTED

    assert daemon.acts == [f"{RESTART}?t=10"]


async def test_while_the_stop_file_is_there_nothing_is_changed(
    engine: GateEngine, daemon: FakeDaemon, folder: Path
) -> None:
    ready(daemon)
    stop = folder / "data" / "STOP"

    stop.touch()
    assert await bar_of(engine) == Bar.STOP
    assert (await engine.inspect(CONTAINER_ID)).is_running
    stop.unlink()
    await restart(engine)

    assert daemon.acts == [f"{RESTART}?t=10"]


async def test_what_was_started_meanwhile_is_left_alone(
    engine: GateEngine, daemon: FakeDaemon
) -> None:
    ready(daemon)

    with pytest.raises(StartedMeanwhile, match=STARTED_AT):
        await restart(engine, expected_started_at=LATER)

    assert daemon.acts == []


async def test_an_attempt_is_done_once(engine: GateEngine, daemon: FakeDaemon) -> None:
    ready(daemon)
    await restart(engine)

    # The engine says that it was not started since: whatever that means, not twice.
    assert await bar_of(engine) == Bar.DONE_ALREADY

    assert len(daemon.acts) == 1


async def test_the_bucket_is_its_own(engine: GateEngine, daemon: FakeDaemon) -> None:
    ready(daemon)
    for number in range(4):
        await restart(engine, f"a.{number}")

    assert await bar_of(engine, "a.5") == Bar.BUDGET

    assert len(daemon.acts) == 4


async def test_the_bucket_is_one_for_all_that_ask_at_once(
    engine: GateEngine, daemon: FakeDaemon
) -> None:
    """Each is judged before the disk has the lines of the others."""
    ids = [f"{number:x}" * 64 for number in range(1, 9)]
    there_are(
        daemon,
        *(
            inspected(Id=one, Name=f"/web{one[0]}", Config={"Labels": OPTED_IN, "Hostname": "h"})
            for one in ids
        ),
    )
    for one in ids:
        daemon.answer(f"POST /containers/{one}/restart", Reply(status=204))

    asked = (
        engine.restart(one, attempt_id=one[:2], expected_started_at=STARTED_AT, stop_grace=GRACE)
        for one in ids
    )
    found = await asyncio.gather(*asked, return_exceptions=True)

    refused = [one.reason for one in found if isinstance(one, GateRefused)]
    assert refused == [Bar.BUDGET] * 4
    assert len(daemon.acts) == 4


async def test_one_action_at_a_time_on_a_container(engine: GateEngine, daemon: FakeDaemon) -> None:
    ready(daemon)
    daemon.answer(RESTART, Reply(status=204, hangs=True))
    first = asyncio.create_task(restart(engine))
    await acted(daemon)

    assert await bar_of(engine, "b.1") == Bar.BUSY

    daemon.release()
    await first
    assert len(daemon.acts) == 1


async def acted(daemon: FakeDaemon) -> None:
    """Wait until the daemon has been told something."""
    async with asyncio.timeout(10):
        while not daemon.acts:
            daemon.asked.clear()
            await daemon.asked.wait()


async def test_too_late_is_too_late(engine: GateEngine, daemon: FakeDaemon) -> None:
    ready(daemon)
    now = asyncio.get_running_loop().time()

    with pytest.raises(TooLate, match="too late to begin"):
        await restart(engine, not_after=lambda: now - 1)

    assert daemon.acts == []


async def test_an_older_tenure_is_turned_away(daemon: FakeDaemon, folder: Path) -> None:
    ready(daemon)
    tenure = Fence(epoch="one", number=7)
    async with a_gate(daemon.url, folder, policies="version: 1\n") as path:
        line = GateLine(path, fence=lambda: tenure)
        engine = GateEngine(line)
        await restart(engine, "a.1")
        tenure = Fence(epoch="one", number=6)
        with pytest.raises(TooLate, match="tenure 6 is over"):
            await restart(engine, "a.2")
        tenure = Fence(epoch="two", number=1)
        await restart(engine, "a.3")
        tenure = Fence(epoch="one", number=7)
        with pytest.raises(TooLate, match="history of its store is over"):
            await restart(engine, "a.4")
        await line.close()

    assert len(daemon.acts) == 2


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(status=500, body={"message": "cannot start it"}), EngineRefused, "cannot start it"),
        (Reply(status=404, body={"message": "No such container: x"}), ContainerGone, "No such"),
        (Reply(breaks=True), EngineSilent, "."),
    ],
    ids=["refused", "gone", "hung-up"],
)
async def test_errors_keep_their_types_and_words(
    engine: GateEngine, daemon: FakeDaemon, reply: Reply, error: type[Exception], words: str
) -> None:
    ready(daemon)
    daemon.answer(RESTART, reply)

    with pytest.raises(error, match=words) as caught:
        await restart(engine)

    assert type(caught.value) is error
    if isinstance(caught.value, EngineRefused):
        assert caught.value.status == reply.status


async def test_a_gate_that_is_away_is_an_engine_that_is_away(folder: Path) -> None:
    async with a_line(folder / "gate.sock") as line:
        engine = GateEngine(line)
        with pytest.raises(EngineUnavailable, match="the gate does not answer") as caught:
            await restart(engine)
        # Nothing was heard, so nothing can have been done.
        assert not isinstance(caught.value, EngineSilent)


async def test_no_environment_comes_through(engine: GateEngine, daemon: FakeDaemon) -> None:
    there_are(daemon, inspected(Config={"Env": ["PASSWORD=swordfish"], "Labels": {}}))

    seen = await engine.inspect(CONTAINER_ID)

    assert "swordfish" not in repr(seen)


async def test_only_owner_and_group_reach_the_socket(daemon: FakeDaemon, folder: Path) -> None:
    async with a_gate(daemon.url, folder) as path:
        assert path.stat().st_mode & 0o777 == 0o660


#: Asks as somebody else does, and prints the status.
_AS_NOBODY = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
head = b"POST /intentions/containers HTTP/1.1\\r\\nHost: g\\r\\nContent-Length: 2\\r\\n\\r\\n"
one.sendall(head + b"{}")
print(one.recv(4096).split()[1].decode())
"""
NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("users", "status"), [((), "403"), ((NOBODY,), "200")])
async def test_the_kernel_says_who_asks(
    daemon: FakeDaemon, folder: Path, users: tuple[int, ...], status: str
) -> None:
    ready(daemon)
    folder.chmod(0o755)
    async with a_gate(daemon.url, folder, users=users) as path:
        # Even where somebody has opened the socket to everybody.
        path.chmod(0o666)
        asking = await asyncio.create_subprocess_exec(
            *("/usr/bin/env", "python3", "-c", _AS_NOBODY, str(path)),
            user=NOBODY,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asking.communicate()

    assert said.decode().strip() == status


async def test_a_gate_that_was_stopped_remembers(daemon: FakeDaemon, folder: Path) -> None:
    ready(daemon)
    async with a_gate(daemon.url, folder, policies="version: 1\n") as path, a_line(path) as line:
        await restart(GateEngine(line))
    async with a_gate(daemon.url, folder) as path, a_line(path) as line:
        assert await bar_of(GateEngine(line)) == Bar.DONE_ALREADY

    assert len(daemon.acts) == 1


# ---------------------------------------------------------------- events


def told(at_ns: int) -> bytes:
    return json.dumps(event("die", at_ns=at_ns)).encode() + b"\n"


async def test_events_come_through_one_by_one_and_go_on_where_they_were(
    daemon: FakeDaemon, folder: Path
) -> None:
    """Also from a gate that was started anew: asked from a little before, and none comes twice."""
    second = 10**9
    daemon.answer(
        "GET /events",
        Reply(pieces=(told(5 * second), told(6 * second)), stays=True),
        Reply(pieces=(told(6 * second - 1), told(6 * second), told(7 * second)), stays=True),
    )
    found: list[int] = []
    async with a_line(folder / "gate.sock") as line:
        engine = GateEngine(line)
        for count in (2, 4):
            async with a_gate(daemon.url, folder, policies="version: 1\n"):
                last = found[-1] if found else 4 * second
                async with aclosing(engine.events(since_ns=last)) as events:
                    async for one in events:
                        found.append(one.at_ns)
                        if len(found) == count:
                            break

    # (The second was published late: nobody has told it before.)
    assert found == [5 * second, 6 * second, 6 * second - 1, 7 * second]
    since = [one.partition("since=")[2][:11] for one in daemon.requests if "events" in one]
    assert since == ["4.000000001", "5.000000000"]


async def test_a_gate_that_ends_hangs_up_at_once(daemon: FakeDaemon, folder: Path) -> None:
    daemon.answer("GET /events", Reply(pieces=(told(10**9),), stays=True))
    async with a_line(folder / "gate.sock") as line, AsyncExitStack() as stack:
        await stack.enter_async_context(a_gate(daemon.url, folder, policies="version: 1\n"))
        events = GateEngine(line).events(since_ns=1)
        await anext(events)
        began = asyncio.get_running_loop().time()
        await stack.aclose()
        with pytest.raises(EngineUnavailable):
            await anext(events)

    assert asyncio.get_running_loop().time() - began < 10
