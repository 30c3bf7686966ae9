"""The memento on a real disk: whole or not at all, and nobody else's meanwhile."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.adapters.memento import FileKeepsake, open_keepsake
from app.errors import BadConfiguration
from app.ports import Memento
from tests.adapters.store.builders import START, WEB, at, halt

#: Takes the lock as another Relevo does, and keeps it until it is told to end.
_OTHER = """
import asyncio, sys
from pathlib import Path
from app.adapters.memento import open_keepsake

async def main():
    async with open_keepsake(Path(sys.argv[1])):
        print("open", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""


def memento(fence: int = 7) -> Memento:
    return Memento(
        instance="anna",
        epoch="h1-ü",
        fence=fence,
        charges={"r1:1": START, "r1:2": at(1.5)},
        pause=halt(since=-3),
        holds={WEB: halt(), "host:db": halt(until=600)},
    )


async def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    async with open_keepsake(tmp_path / "not" / "there" / "yet") as keepsake:
        assert await keepsake.load() is None
        await keepsake.save(memento())

    async with open_keepsake(tmp_path / "not" / "there" / "yet") as keepsake:
        assert await keepsake.load() == memento()
        assert keepsake.trouble is None


async def test_the_newest_is_read(tmp_path: Path) -> None:
    async with open_keepsake(tmp_path) as keepsake:
        for fence in (1, 3, 2):
            await keepsake.save(memento(fence))

    assert await FileKeepsake(tmp_path).load() == memento(2)


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """It names targets, and the words of whoever paused."""
    directory = tmp_path / "data"
    async with open_keepsake(directory) as keepsake:
        await keepsake.save(memento())

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "memento.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("written", [0, 1, 60, None])
async def test_a_crash_before_the_rename_leaves_the_one_before(
    tmp_path: Path, written: int | None
) -> None:
    """Whatever part of the new one was written by then."""
    keepsake = FileKeepsake(tmp_path)
    await keepsake.save(memento(8))
    newer = (tmp_path / "memento.json").read_bytes()
    await keepsake.save(memento(7))
    (tmp_path / "memento.new").write_bytes(newer[:written])

    async with open_keepsake(tmp_path) as keepsake:
        assert await keepsake.load() == memento(7)
        await keepsake.save(memento(9))
        assert await keepsake.load() == memento(9)


async def test_a_crash_in_the_first_write_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "memento.new").write_bytes(b'{"instance": "an')

    async with open_keepsake(tmp_path) as keepsake:
        assert await keepsake.load() is None


async def test_a_longer_one_before_leaves_no_rest(tmp_path: Path) -> None:
    keepsake = FileKeepsake(tmp_path)
    (tmp_path / "memento.new").write_bytes(b"x" * 100_000)

    await keepsake.save(memento())

    assert await keepsake.load() == memento()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b"[]", id="not-one"),
        pytest.param(b'{"instance": 7}', id="wrong-type"),
        pytest.param(b'{"instance": "a", "fence": "many"}', id="wrong-number"),
        pytest.param(b"\0" * 4096, id="zeros-of-a-power-cut"),
    ],
)
async def test_one_that_cannot_be_read_makes_us_know_no_store(tmp_path: Path, raw: bytes) -> None:
    """As none it would have us trust an older store, which it was there to tell from ours."""
    (tmp_path / "memento.json").write_bytes(raw)
    keepsake = FileKeepsake(tmp_path)

    with capture_logs() as logs:
        found = await keepsake.load()

    assert found is not None
    assert found.epoch
    assert found == Memento(instance=found.instance, epoch=found.epoch)
    assert [line["log_level"] for line in logs] == ["error"]
    await keepsake.save(memento())
    assert await keepsake.load() == memento()


async def test_an_older_one_without_later_fields_is_read(tmp_path: Path) -> None:
    (tmp_path / "memento.json").write_bytes(b'{"instance": "anna"}')

    assert await FileKeepsake(tmp_path).load() == Memento(instance="anna")


async def test_a_directory_in_its_place_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "memento.json").mkdir()
    keepsake = FileKeepsake(tmp_path)

    with capture_logs() as logs:
        await keepsake.load()
        await keepsake.save(memento())
        await keepsake.save(memento())

    assert keepsake.trouble is not None
    assert str(tmp_path / "memento.json") in keepsake.trouble
    # The first failure to write is news, the next one is not.
    assert [line["event"] for line in logs].count("memento not kept") == 1


async def test_one_that_can_be_written_again_says_so(tmp_path: Path) -> None:
    keepsake = FileKeepsake(tmp_path)
    (tmp_path / "memento.new").mkdir()
    with capture_logs():
        await keepsake.save(memento())
    assert keepsake.trouble is not None

    (tmp_path / "memento.new").rmdir()
    await keepsake.save(memento())

    assert keepsake.trouble is None
    assert await FileKeepsake(tmp_path).load() == memento()


async def test_without_a_place_to_write_it_is_kept_in_memory_and_said(tmp_path: Path) -> None:
    # A file where the directory would be: root, too, cannot write there.
    (tmp_path / "data").write_text("in the way")

    with capture_logs() as logs:
        async with open_keepsake(tmp_path / "data") as keepsake:
            await keepsake.save(memento())
            assert await keepsake.load() == memento()
            trouble = keepsake.trouble

    assert trouble is not None
    assert "RELEVO_DATA_DIR" in trouble
    assert [line["log_level"] for line in logs] == ["warning"]
    assert (tmp_path / "data").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_directory_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with capture_logs():
        async with open_keepsake(tmp_path) as keepsake:
            await keepsake.save(memento())
            assert keepsake.trouble is not None
    tmp_path.chmod(0o700)


async def test_two_of_one_process_cannot_share_a_directory(tmp_path: Path) -> None:
    async with open_keepsake(tmp_path):
        with pytest.raises(BadConfiguration, match="another Relevo"):
            async with open_keepsake(tmp_path):
                pass

    async with open_keepsake(tmp_path):
        pass


async def test_another_process_keeps_us_out_until_it_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == b"open\n"

        with pytest.raises(BadConfiguration, match="RELEVO_DATA_DIR"):
            async with open_keepsake(tmp_path):
                pass

        # Killed: nothing is tidied up, and the lock is free nevertheless.
        other.kill()
        await asyncio.to_thread(other.wait)
        async with open_keepsake(tmp_path) as keepsake:
            await keepsake.save(memento())


async def test_writing_does_not_stop_the_loop(tmp_path: Path) -> None:
    """A slow disk must not keep the leader from renewing."""
    keepsake = FileKeepsake(tmp_path)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await keepsake.save(memento())
    task.cancel()

    assert turns > 1
