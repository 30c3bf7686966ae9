"""What ``relevo connect --apply`` puts beside files of theirs: rules, and tokens for them alone."""

import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.adapters.foreign_files import Folder
from app.adapters.processes import Neighbour
from app.cli.connect_mark import is_unchanged
from app.errors import BadConfiguration

#: Undoes one thing.
Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that is to be beside one of theirs."""

    name: str
    text: str
    is_secret: bool
    #: Whether another text of that name is an older one of the same Relevo.
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a file: owner and group (-1: as they come), and its mode."""

    uid: int
    gid: int
    mode: int

    @property
    def is_public(self) -> bool:
        """Whether every user of the machine may."""
        return bool(self.mode & stat.S_IROTH)


_OURS: Final = Access(-1, -1, 0o600)


def access(
    reader: Neighbour | None, like: os.stat_result, *, euid: int, groups: Collection[int]
) -> Access:
    """
    Let the process that needs a token read it, and as few others as can be.

    :param reader: that process, where it is known; what is not proven to be it gets nothing
    :param like: of the configuration, which it can read, somehow
    :param euid: whom we are
    :param groups: our groups; a root may give a file to any
    """
    if reader is not None and not reader.is_proven:
        reader = None
    if reader is not None and reader.uid in (0, euid):
        return _OURS
    if reader is not None and euid == 0:
        return Access(reader.uid, reader.gid, 0o600)
    if reader is not None and reader.gid in groups:
        return Access(-1, reader.gid, 0o640)
    owner = like.st_uid if euid == 0 else -1
    group = like.st_gid if euid == 0 or like.st_gid in groups else -1
    if not like.st_mode & stat.S_IROTH and (group != -1 or not like.st_mode & stat.S_IRGRP):
        return Access(owner, group, 0o600 | like.st_mode & stat.S_IRGRP)
    return Access(owner, group, 0o644)


def place(
    folder: Folder, one: Companion, *, reader: Neighbour | None, like: os.stat_result
) -> tuple[str, bool, Undo]:
    """
    Put it there; rules that a person has changed stay as they are.

    :return: what to say of it (empty: nothing), whether its text is new, what undoes it
    :raises BadConfiguration: it cannot be written, and nothing has changed
    """
    path, data = folder.path / one.name, one.text.encode()
    try:
        about = folder.about(one.name)
        is_file = about is not None and stat.S_ISREG(about.st_mode)
        old = folder.read(one.name) if is_file else None
        if old is not None and not one.is_secret and (old == data or not _is_ours(old)):
            kept = f"{path}: you have changed it, so it stays; the newest is in the directory"
            return ("" if old == data else kept), False, lambda: None
        if one.is_secret and old not in (None, data) and not one.is_known:
            raise BadConfiguration(
                f"{path}: is a token that another run of relevo connect has put there, and another "
                "Relevo may be asking for it: name the directory of that run with --into, or "
                "remove this file"
            )
        if one.is_secret:
            may = access(reader, like, euid=os.geteuid(), groups={os.getegid(), *os.getgroups()})
        else:
            root = os.geteuid() == 0
            may = Access(like.st_uid if root else -1, like.st_gid if root else -1, 0o644)
        folder.put(one.name, data, mode=may.mode, uid=may.uid, gid=may.gid)
    except OSError as exc:
        raise BadConfiguration(f"{path}: cannot be written: {exc}") from exc
    undo = partial(folder.remove, one.name)
    if about is not None and old is not None:
        undo = partial(
            folder.put,
            one.name,
            old,
            mode=stat.S_IMODE(about.st_mode),
            uid=about.st_uid if os.geteuid() == 0 else -1,
            gid=about.st_gid if os.geteuid() == 0 else -1,
        )
    said = ""
    if one.is_secret and may.is_public:
        said = (
            f"{path}: every user of this host can read this token, since it is not known whom it "
            f"is for: chown it to the user that reads it, and chmod 600"
        )
    return said, old != data, undo


def _is_ours(data: bytes) -> bool:
    try:
        return is_unchanged(data.decode())
    except UnicodeDecodeError:
        return False
