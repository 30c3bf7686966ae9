"""Files of other people, on real file systems: full ones, mounted ones, with links planted."""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters.foreign_files import Folder, real
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
        copy = folder.copy("a.yml")
        in_place = folder.exchange("a.yml", NEW)
        fill(small)
        folder.bring_back("a.yml", copy, in_place=in_place)

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
        copy = folder.copy("a.yml")
        assert folder.exchange("a.yml", NEW) is True
        assert (small / "source").read_bytes() == NEW
        folder.bring_back("a.yml", copy, in_place=True)

    assert (small / "source").read_bytes() == OLD
    assert names(mounted) == {"a.yml"}


def test_in_place_it_is_whole_or_as_it_was_as_well(mounted: Path, small: Path) -> None:
    fill(small)
    with Folder(mounted) as folder, pytest.raises(OSError, match="No space"):
        folder.exchange("a.yml", NEW * 400)

    assert (small / "source").read_bytes() == OLD


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
