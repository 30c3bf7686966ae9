"""
Files in directories of other people, which a root may change: whole, or not at all.

Whoever may write into such a directory may plant links there, and exchange names at any moment. So
a directory is held open, no name in it is followed, and what is written gets a fresh name first.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.adapters.foreign_paths import COPY

_NOFOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_FRESH: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW
#: A mount point, no right to the directory or to its owner's name: not on a full disk.
_NOT_REPLACED: Final = (errno.EBUSY, errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOTSUP)
#: Nor by file systems that know no second name.
_NOT_LINKED: Final = (*_NOT_REPLACED, errno.EMLINK, errno.ENOSYS)
#: What some file systems of networks, and in user space, say of a directory that is to be synced.
_NOT_SYNCED: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
#: A configuration is some kB.
_MOST_BYTES: Final = 16_000_000


class Folder:
    """
    A directory, held open. Every method raises OSError; names are plain, without a slash.

    :param path: its real path, as `real` gives it
    :raises OSError: there is none, or a link has taken a place in the path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Component by component: a name that is exchanged for a link meanwhile is not followed.
        searching = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | _NOFOLLOW
        self._fd = os.open(path.anchor, searching)
        try:
            for number, part in enumerate(path.parts[1:], start=2):
                is_last = number == len(path.parts)
                flags = os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW if is_last else searching
                inner = os.open(part, flags, dir_fd=self._fd)
                os.close(self._fd)
                self._fd = inner
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def about(self, name: str) -> os.stat_result | None:
        """Tell of a name, and of a link itself; None: it is free."""
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Give what a file holds; a link, a pipe or a device is refused."""
        with self._reading(name) as file:
            return _content(file, name)

    def put(self, name: str, data: bytes, *, mode: int, uid: int = -1, gid: int = -1) -> None:
        """
        Put a file there; what has that name is replaced, and a link is not followed.

        :param uid: its owner; -1: we
        :param gid: its group; -1: as it comes
        """
        with self._fresh(name, data) as (file, beside):
            if (uid, gid) != (-1, -1):
                os.fchown(file, uid, gid)
            os.fchmod(file, mode)
            os.fsync(file)
            self.rename(beside, name)

    def link(self, name: str) -> str | None:
        """
        Give a file a second name that is free: it stays the same file, whatever gets the first.

        None: that cannot be done here.
        """
        with self._reading(name) as file:
            for copy in _copies(name):
                at = {"src_dir_fd": self._fd, "dst_dir_fd": self._fd}
                try:
                    os.link(name, copy, **at, follow_symlinks=False)
                except FileExistsError:
                    continue
                except OSError as exc:
                    if exc.errno in _NOT_LINKED:
                        return None
                    raise
                about = self.about(copy)
                if about is not None and os.path.samestat(about, os.fstat(file)):
                    return copy
                self.remove(copy)
                break
        raise OSError(errno.ESTALE, "is another file than a moment ago", name)

    def copy(self, name: str) -> str:
        """Copy a file with its owner and rights to a name that is free; give that name."""
        free = _copies(name)
        with self._reading(name) as source:
            data = _content(source, name)
            while True:
                copy = next(free)
                try:
                    file = os.open(copy, _FRESH, 0o600, dir_fd=self._fd)
                    break
                except FileExistsError:  # or a link that leads nowhere
                    continue
            try:
                _write(file, data)
                try:
                    _make_alike(source, file)
                except PermissionError:
                    # The owner's name cannot be given away: then it is nobody else's to read.
                    os.fchmod(file, stat.S_IMODE(os.fstat(source).st_mode) & 0o700)
                before = os.fstat(source)
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
                os.fsync(file)
                try:
                    os.fsync(self._fd)
                except OSError as exc:
                    if exc.errno not in _NOT_SYNCED:
                        raise
            except BaseException:
                with suppress(OSError):
                    os.unlink(copy, dir_fd=self._fd)
                raise
            finally:
                os.close(file)
        return copy

    def replace(self, name: str, data: bytes) -> None:
        """Put another file in its place, with its owner, rights and attributes."""
        with self._reading(name) as source, self._fresh(name, data) as (file, beside):
            _make_alike(source, file)
            os.fsync(file)
            self.rename(beside, name)

    def exchange(self, name: str, data: bytes) -> bool:
        """
        Give a file another content; owner, rights and attributes stay.

        :return: whether it was done in place, as for a file that is mounted by itself: it is then
            the same file, and else another one of that name
        """
        try:
            self.replace(name, data)
        except OSError as exc:
            if not is_irreplaceable(exc):
                raise
            self.write_over(name, data)
            return True
        return False

    def remove(self, name: str) -> None:
        """Remove a file, or a link, where there is one."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def rename(self, one: str, other: str) -> None:
        """Give a file another name, and let go of the file that has it. It needs no room."""
        os.replace(one, other, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        # It is done, whatever becomes of this: who took it for undone would leave it behind.
        with suppress(OSError):
            os.fsync(self._fd)

    @contextmanager
    def _reading(self, name: str) -> Iterator[int]:
        # A pipe without a writer would keep us for ever.
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=self._fd)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _fresh(self, name: str, data: bytes) -> Iterator[tuple[int, str]]:
        """Write a file that nobody else can read; it is gone again unless it was renamed."""
        beside = f".{name}.{secrets.token_hex(6)}"
        file = os.open(beside, _FRESH, 0o600, dir_fd=self._fd)
        try:
            _write(file, data)
            yield file, beside
        finally:
            os.close(file)
            with suppress(OSError):
                os.unlink(beside, dir_fd=self._fd)

    def write_over(self, name: str, data: bytes) -> None:
        """
        Write another content into the same file.

        Where that fails its old content is put back, if the disk lets us: on one that copies what
        is written, or is failing, it may be neither afterwards.
        """
        file = os.open(name, os.O_RDWR | os.O_NONBLOCK | _NOFOLLOW, dir_fd=self._fd)
        try:
            before = _content(file, name)
            try:
                # All the room that it needs, before the first byte of theirs is written over.
                os.posix_fallocate(file, 0, max(len(data), 1))
                _fill(file, data)
            except BaseException:
                _fill(file, before)
                raise
        finally:
            os.close(file)


def is_irreplaceable(exc: OSError) -> bool:
    """Tell whether another file cannot take the place of one, where writing into it may do."""
    return exc.errno in _NOT_REPLACED


def _copies(name: str) -> Iterator[str]:
    """Tell the names for copies. The first is the most precious one: none is written over."""
    return (f"{name}{COPY}{'' if n == 1 else f'.{n}'}" for n in count(1))


def _content(file: int, name: str) -> bytes:
    about = os.fstat(file)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", name)
    if about.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, "is too large for a configuration", name)
    data = b""
    while part := os.pread(file, 1 << 20, len(data)):
        data += part
    return data


def _write(file: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += os.pwrite(file, data[at:], at)


def _fill(file: int, data: bytes) -> None:
    _write(file, data)
    os.ftruncate(file, len(data))
    os.fsync(file)


def _make_alike(source: int, file: int) -> None:
    """Give a file the owner, the rights and the attributes (SELinux, say) of another."""
    like, own = os.fstat(source), os.fstat(file)
    if (like.st_uid, like.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(file, like.st_uid, like.st_gid)
    os.fchmod(file, stat.S_IMODE(like.st_mode))
    try:
        names = os.listxattr(source)
    except OSError:
        return  # there are none on this file system
    for name in names:
        value = os.getxattr(source, name)
        try:
            same = os.getxattr(file, name) == value
        except OSError:
            same = False
        if not same:
            os.setxattr(file, name, value)
