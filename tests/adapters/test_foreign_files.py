"""Files of other people, on real file systems: full ones, mounted ones, with links planted."""

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters.foreign_change import Change
from app.adapters.foreign_files import Folder
from app.adapters.foreign_paths import real
from app.errors import BadConfiguration
from tests.parts import missing

OLD = b"theirs: 1\r\n"
NEW = b"theirs: 1\r\nours: 2\r\n"
STRANGER = 12345


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        missing("root", "only root gives files away, and mounts")


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing("mount", done.stderr.strip())


@pytest.fixture
def small(tmp_path: Path, root: None) -> Iterator[Path]:
    """A file system of 16 kB."""
    place = tmp_path / "small"
    place.mkdir()
    _mount("-t", "tmpfs", "-o", "size=16k", "none", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave not a block."""
    with suppress(OSError), (place / "filler").open("wb", 0) as file:
        while True:
            file.write(b"x" * 4096)


def names(place: Path) -> set[str]:
    return {one.name for one in place.iterdir()}


def test_a_planted_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, root: None) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"root's")
    victim.chmod(0o600)
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").symlink_to(victim)

    with Folder(home) as folder:
        folder.put("token", b"secret", mode=0o600, uid=STRANGER, gid=STRANGER)

    kept = victim.stat()
    assert victim.read_bytes() == b"root's"
    assert (kept.st_uid, stat.S_IMODE(kept.st_mode)) == (0, 0o600)
    there = (home / "token").lstat()
    assert stat.S_ISREG(there.st_mode)
    assert (there.st_uid, stat.S_IMODE(there.st_mode)) == (STRANGER, 0o600)
    assert names(home) == {"token"}


def test_a_copy_goes_through_no_link_and_over_no_other_copy(tmp_path: Path) -> None:
    victim, home = tmp_path / "victim", tmp_path / "home"
    home.mkdir()
    (home / "a.yml").write_bytes(OLD)
    (home / "a.yml").chmod(0o640)
    (home / "a.yml.before-relevo").symlink_to(victim)
    (home / "a.yml.before-relevo.2").write_bytes(b"the first one")

    with Folder(home) as folder:
        copy = folder.copy("a.yml")

    assert copy == "a.yml.before-relevo.3"
    assert not victim.exists()
    assert (home / copy).read_bytes() == OLD
    assert stat.S_IMODE((home / copy).stat().st_mode) == 0o640
    assert (home / "a.yml.before-relevo.2").read_bytes() == b"the first one"


def test_owner_rights_and_attributes_stay(tmp_path: Path, root: None) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(OLD)
    file.chmod(0o640)
    os.chown(file, STRANGER, STRANGER + 1)
    try:
        os.setxattr(file, "user.why", b"theirs")
    except OSError:
        missing("xattr", "this file system has no attributes")

    with Folder(tmp_path) as folder:
        assert folder.exchange("a.yml", NEW) is False

    about = file.stat()
    assert file.read_bytes() == NEW
    assert (about.st_uid, about.st_gid) == (STRANGER, STRANGER + 1)
    assert stat.S_IMODE(about.st_mode) == 0o640
    assert os.getxattr(file, "user.why") == b"theirs"
    assert names(tmp_path) == {"a.yml"}


def test_on_a_full_disk_nothing_is_lost(small: Path) -> None:
    file = small / "a.yml"
    file.write_bytes(OLD)
    fill(small)

    with Folder(small) as folder:
        with pytest.raises(OSError, match="No space"):
            folder.exchange("a.yml", NEW * 400)
        with pytest.raises(OSError, match="No space"):
            folder.copy("a.yml")
        with pytest.raises(OSError, match="No space"):
            folder.put("other", NEW * 400, mode=0o600)

    assert file.read_bytes() == OLD
    assert names(small) == {"a.yml", "filler"}


def test_it_comes_back_on_a_disk_that_is_full_meanwhile(small: Path) -> None:
    file = small / "a.yml"
    file.write_bytes(OLD)
    with Folder(small) as folder:
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        fill(small)
        assert change.undo()

    assert file.read_bytes() == OLD
    assert names(small) == {"a.yml", "filler"}


@pytest.fixture
def mounted(small: Path, tmp_path: Path) -> Iterator[Path]:
    """A file that is mounted by itself, as into a container; its disk is the small one."""
    (small / "source").write_bytes(OLD)
    place = tmp_path / "mounted"
    place.mkdir()
    (place / "a.yml").touch()
    _mount("--bind", str(small / "source"), str(place / "a.yml"))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place / "a.yml")], check=True)


def test_a_file_that_is_a_mount_point_is_written_in_place(mounted: Path, small: Path) -> None:
    with Folder(mounted) as folder:
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        assert (small / "source").read_bytes() == NEW
        assert change.copy is not None
        assert (mounted / change.copy).read_bytes() == OLD
        assert change.undo()

    assert (small / "source").read_bytes() == OLD
    assert names(mounted) == {"a.yml"}


def test_in_place_it_is_whole_or_as_it_was_as_well(mounted: Path, small: Path) -> None:
    fill(small)
    with Folder(mounted) as folder, pytest.raises(OSError, match="No space"):
        folder.exchange("a.yml", NEW * 400)

    assert (small / "source").read_bytes() == OLD


def test_put_back_it_is_the_same_file_for_who_has_it_mounted_alone(
    tmp_path: Path, root: None
) -> None:
    """As Compose does it with `./a.yml:/etc/a.yml`: later edits are to reach the container."""
    home, inside = tmp_path / "home", tmp_path / "inside.yml"
    home.mkdir()
    inside.touch()
    (home / "a.yml").write_bytes(OLD)
    _mount("--bind", str(home / "a.yml"), str(inside))
    try:
        with Folder(home) as folder:
            change = Change(folder, "a.yml", OLD, NEW)
            change.make()
            assert (home / "a.yml").read_bytes() == NEW
            assert inside.read_bytes() == OLD  # it is cut off until it is started anew
            assert change.undo()

        assert names(home) == {"a.yml"}
        with (home / "a.yml").open("ab") as file:
            file.write(b"later: 3\n")
        assert inside.read_bytes() == OLD + b"later: 3\n"
    finally:
        subprocess.run(["umount", str(inside)], check=True)


def _sync_fails(monkeypatch: pytest.MonkeyPatch, why: int, *, of: int = stat.S_IFDIR) -> None:
    sync = os.fsync

    def fsync(file: int) -> None:
        if stat.S_IFMT(os.fstat(file).st_mode) == of:
            raise OSError(why, os.strerror(why))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("why", [errno.EINVAL, errno.EIO])
def test_a_directory_that_cannot_be_synced_makes_nothing_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    """What has its name has it: who is told that it has not, leaves a token behind."""
    (tmp_path / "a.yml").write_bytes(OLD)
    _sync_fails(monkeypatch, why)

    with Folder(tmp_path) as folder:
        folder.put("token", b"secret", mode=0o600)
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        assert (tmp_path / "a.yml").read_bytes() == NEW
        assert change.undo()

    assert (tmp_path / "a.yml").read_bytes() == OLD
    assert names(tmp_path) == {"a.yml", "token"}


def test_a_copy_is_made_where_directories_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_bytes(OLD)
    with Folder(tmp_path) as folder:
        with monkeypatch.context() as failing:
            _sync_fails(failing, errno.EIO)
            with pytest.raises(OSError, match="Input/output"):
                folder.copy("a.yml")
        assert names(tmp_path) == {"a.yml"}
        _sync_fails(monkeypatch, errno.EINVAL)
        assert folder.copy("a.yml") == "a.yml.before-relevo"


def test_half_written_in_place_on_a_failing_disk_the_copy_stays(
    mounted: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be neither written nor repaired: the only whole one is not taken away."""
    with Folder(mounted) as folder:
        change = Change(folder, "a.yml", OLD, NEW)
        write, written = os.pwrite, list[bytes]()

        def pwrite(file: int, data: bytes, at: int) -> int:
            if not os.path.samestat(os.fstat(file), (small / "source").stat()):
                return write(file, data, at)
            if written:
                raise OSError(errno.EIO, "Input/output error")
            written.append(data)
            return write(file, data[:15], at)

        with monkeypatch.context() as failing:
            failing.setattr(os, "pwrite", pwrite)
            with pytest.raises(OSError, match="Input/output"):
                change.make()
            with pytest.raises(OSError, match="Input/output"):
                change.undo()
        assert (small / "source").read_bytes() not in (OLD, NEW)
        assert change.copy is not None
        assert (mounted / change.copy).read_bytes() == OLD

        # The disk is well again: what is half-written is ours, and becomes what it was.
        assert change.undo()
    assert (small / "source").read_bytes() == OLD
    assert names(mounted) == {"a.yml"}


def test_what_could_not_be_made_leaves_no_copy(small: Path) -> None:
    (small / "a.yml").write_bytes(OLD)
    fill(small)
    with Folder(small) as folder:
        change = Change(folder, "a.yml", OLD, NEW * 400)
        with pytest.raises(OSError, match="No space"):
            change.make()
        assert not change.undo()

    assert names(small) == {"a.yml", "filler"}
    assert (small / "a.yml").read_bytes() == OLD


def test_where_files_have_one_name_only_there_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT, which says that it is not permitted."""
    (tmp_path / "a.yml").write_bytes(OLD)

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with Folder(tmp_path) as folder:
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        assert (tmp_path / "a.yml").read_bytes() == NEW
        assert names(tmp_path) == {"a.yml", "a.yml.before-relevo"}
        assert change.undo()

    assert (tmp_path / "a.yml").read_bytes() == OLD
    assert names(tmp_path) == {"a.yml"}


@pytest.mark.parametrize("how", ["in place", "as another file"])
def test_what_somebody_has_changed_since_is_not_written_over(tmp_path: Path, how: str) -> None:
    (tmp_path / "a.yml").write_bytes(OLD)
    with Folder(tmp_path) as folder:
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        if how == "as another file":
            (tmp_path / "a.yml").unlink()
        (tmp_path / "a.yml").write_bytes(b"a person's\n")
        with pytest.raises(OSError, match="somebody else has changed it"):
            change.undo()

        assert (tmp_path / "a.yml").read_bytes() == b"a person's\n"
        assert change.copy is not None
        assert (tmp_path / change.copy).read_bytes() == OLD

        late = Change(folder, "a.yml", OLD, NEW)
        with pytest.raises(OSError, match="somebody else has changed it"):
            late.make()
        assert not late.undo()
        assert (tmp_path / "a.yml").read_bytes() == b"a person's\n"


def test_a_name_that_a_killed_run_has_left_is_no_second_name(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(OLD)
    with Folder(tmp_path) as folder:
        assert folder.link("a.yml") == "a.yml.before-relevo"
        assert real(tmp_path / "a.yml") == tmp_path / "a.yml"
        change = Change(folder, "a.yml", OLD, NEW)
        change.make()
        assert change.copy == "a.yml.before-relevo.2"
    assert (tmp_path / "a.yml.before-relevo").read_bytes() == OLD
    os.link(tmp_path / "a.yml", tmp_path / "b")
    with pytest.raises(BadConfiguration, match="2 names"):
        real(tmp_path / "a.yml")


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_files_are_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "there").write_bytes(OLD)
    make = {
        "link": lambda path: path.symlink_to("there"),
        "pipe": os.mkfifo,
        "directory": Path.mkdir,
    }
    make[kind](tmp_path / "x")

    with Folder(tmp_path) as folder, pytest.raises(OSError, match=r"symbolic|no regular"):
        folder.read("x")


def test_a_path_that_has_become_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")

    with pytest.raises(OSError, match=r"directory|symbolic"):
        Folder(tmp_path / "link" / "b")


def test_links_of_root_and_of_the_owner_are_followed(tmp_path: Path, root: None) -> None:
    store, etc = tmp_path / "store", tmp_path / "etc"
    for one in (store, etc):
        one.mkdir()
    (store / "p.yml").write_bytes(OLD)
    (etc / "p.yml").symlink_to("../store/p.yml")
    assert real(etc / "p.yml") == store / "p.yml"

    os.chown(etc / "p.yml", STRANGER, -1, follow_symlinks=False)
    with pytest.raises(BadConfiguration, match="belongs to somebody who does not own"):
        real(etc / "p.yml")
    # The same, one link further.
    (etc / "q.yml").symlink_to(etc / "p.yml")
    with pytest.raises(BadConfiguration, match="belongs to somebody who does not own"):
        real(etc / "q.yml")

    os.chown(store / "p.yml", STRANGER, -1)
    assert real(etc / "q.yml") == store / "p.yml"


def test_a_file_of_two_names_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OLD)
    os.link(tmp_path / "a", tmp_path / "b")

    with pytest.raises(BadConfiguration, match="2 names"):
        real(tmp_path / "a")


def test_what_leads_nowhere_or_in_circles_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    for name in ("a", "c"):
        with pytest.raises(BadConfiguration, match="cannot be read"):
            real(tmp_path / name)
