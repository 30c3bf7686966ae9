"""A file of theirs that ``relevo connect --apply`` has begun to change, on a disk that fails."""

import errno
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.adapters.foreign_files import Folder
from app.adapters.join_files import Joined
from app.adapters.processes import Neighbour
from app.cli.connect_apply import _all_said
from app.cli.connect_edit import Edit, NotPutBack, carry_out, prepare
from app.cli.connect_mark import marked
from app.cli.connect_place import Companion
from app.errors import SourceUnavailable

OLD, NEW = "theirs: 1\n", "theirs: 1\nours: 2\n"


class Silent:
    """A Prometheus that is told nothing by HTTP: these are about files, not about it."""

    who, url = "Prometheus", "http://me:secret@127.0.0.1:9090"

    async def configuration(self) -> str:
        return OLD

    async def loaded_at(self) -> float:
        return 0.0

    async def reload(self) -> bool:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "p.yml").write_text(OLD, encoding="utf-8")
    with Folder(tmp_path) as folder:
        yield folder


def edit(home: Folder, *companions: Companion, neighbour: Neighbour | None = None) -> Edit:
    silent: Any = Silent()
    return Edit(
        about=silent,
        path=home.path / "p.yml",
        beside=home,
        home=home,
        name="p.yml",
        before=OLD.encode(),
        joined=Joined(NEW, ("ours",)),
        neighbour=neighbour,
        checker=("no-such-program",),
        companions=companions,
    )


def there(home: Folder) -> dict[str, str]:
    return {one.name: one.read_text(encoding="utf-8") for one in home.path.iterdir()}


async def test_half_written_and_not_to_be_repaired_its_copy_is_kept_and_named(
    home: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")  # a mount point

    theirs, write, written = (home.path / "p.yml").stat(), os.pwrite, list[bytes]()

    def pwrite(file: int, data: bytes, at: int) -> int:
        if not os.path.samestat(os.fstat(file), theirs):
            return write(file, data, at)
        if written:
            raise OSError(errno.EIO, "Input/output error")
        written.append(data)
        return write(file, data[:15], at)

    monkeypatch.setattr(Folder, "replace", replace)
    monkeypatch.setattr(os, "pwrite", pwrite)

    with pytest.raises(NotPutBack) as said:
        async with AsyncExitStack() as undo:
            await carry_out(edit(home), undo, has_new_rules=False)

    copy = home.path / "p.yml.before-relevo"
    assert copy.read_text(encoding="utf-8") == OLD
    assert str(said.value).endswith(f"{copy} is what it was")
    assert "as it was before" not in str(said.value)
    # And why it was to be put back at all.
    cannot, could_not = _all_said(said.value)
    assert "p.yml: cannot be written" in cannot
    assert "could not be put back" in could_not


async def test_an_exchanged_file_whose_directory_is_not_synced_is_exchanged(
    home: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fsync(file: int) -> None:
        if os.path.samestat(os.fstat(file), home.path.stat()):
            raise OSError(errno.EIO, "Input/output error")
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    async with AsyncExitStack() as undo:
        said = await carry_out(edit(home), undo, has_new_rules=False)
        undo.pop_all()

    assert there(home) == {"p.yml": NEW, "p.yml.before-relevo": OLD}
    assert str(home.path / "p.yml.before-relevo") in said[0]
    # Whoever is told to load it learns how to see that it has, and no password.
    assert "docker restart, where it has this one file mounted" in said[1]
    assert "http://127.0.0.1:9090 shows it" in said[1]


async def test_what_fails_later_undoes_it_all(home: Folder) -> None:
    inode = (home.path / "p.yml").stat().st_ino
    rules = Companion("relevo_rules.yml", marked("groups: []\n"), is_secret=False)

    async with AsyncExitStack() as undo:
        one = edit(home, rules)
        fresh = prepare(one, undo, [])
        await carry_out(one, undo, has_new_rules=fresh)
        assert set(there(home)) == {"p.yml", "p.yml.before-relevo", "relevo_rules.yml"}

    assert there(home) == {"p.yml": OLD}
    assert (home.path / "p.yml").stat().st_ino == inode


@pytest.mark.parametrize("is_told", [True, False])
async def test_rules_that_it_may_have_loaded_are_loaded_again_once_they_are_back(
    home: Folder, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """With an added job as well as without; who was told nothing is not told at the end either."""
    older = marked("groups: []\n")
    (home.path / "relevo_rules.yml").write_text(older, encoding="utf-8")
    rules = Companion("relevo_rules.yml", marked("groups: [{name: new}]\n"), is_secret=False)
    loaded = []

    async def reload(_: Silent) -> bool:
        loaded.append(there(home))
        return True

    monkeypatch.setattr(Silent, "reload", reload)
    async with AsyncExitStack() as undo:
        one = edit(home, rules)
        fresh = prepare(one, undo, [])
        if is_told:
            await carry_out(one, undo, has_new_rules=fresh)

    assert there(home) == {"p.yml": OLD, "relevo_rules.yml": older}
    assert bool(loaded) is is_told
    if is_told:
        assert loaded[-1] == there(home)


def process(*, is_proven: bool) -> Neighbour:
    return Neighbour(
        pid=2**22 + 1, config_file=None, uid=1, gid=1, shares_network=False, is_proven=is_proven
    )


@pytest.mark.parametrize("is_proven", [True, False])
async def test_only_who_is_proven_is_signalled(
    home: Folder, monkeypatch: pytest.MonkeyPatch, is_proven: bool
) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(Neighbour, "reload", lambda one: signalled.append(one.pid))
    monkeypatch.setattr("app.cli.connect_edit._LOADED_WITHIN_S", 0.0)

    async with AsyncExitStack() as undo:
        one = edit(home, neighbour=process(is_proven=is_proven))
        if is_proven:
            with pytest.raises(SourceUnavailable, match="mount its directory"):
                await carry_out(one, undo, has_new_rules=False)
        else:
            said = await carry_out(one, undo, has_new_rules=False)
            assert "must be told to load it" in said[1]
        undo.pop_all()

    assert bool(signalled) is is_proven
