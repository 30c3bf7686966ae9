"""Paths of other people's files, links and all: which of them a root may follow."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.errors import BadConfiguration

#: What follows a file's name in that of its copy.
COPY: Final = ".before-relevo"
_MOST_LINKS: Final = 40


def real(path: Path) -> Path:
    """
    Follow a path of somebody else's to the file that it names.

    :raises BadConfiguration: a link in it is not to be trusted: its owner is neither root, nor we,
        nor the owner of what it leads to (as the kernel has it in directories like /tmp); or the
        file has several names, of which one only would change
    """
    try:
        found = path.resolve(strict=True)
        about = found.stat()
        for link in _links(path.absolute()):
            if link.lstat().st_uid not in (0, os.geteuid(), about.st_uid):
                raise BadConfiguration(
                    f"{path}: the link {link} belongs to somebody who does not own what it leads "
                    f"to: name the file itself ({found})"
                )
    except (OSError, RuntimeError) as exc:
        raise BadConfiguration(f"{path}: cannot be read: {exc}") from exc
    names = 1 if stat.S_ISDIR(about.st_mode) else about.st_nlink - _own_names(found, about)
    if names > 1:
        raise BadConfiguration(
            f"{path}: has {names} names (hard links), and would change under one of them "
            "only: add the snippet by hand, or make it a file of its own"
        )
    return found


def _own_names(file: Path, about: os.stat_result) -> int:
    """Count the names of a file that an earlier exchange, killed half-way, has left behind."""
    if about.st_nlink == 1:
        return 0
    with suppress(OSError), os.scandir(file.parent) as there:
        ours = [one for one in there if one.name.startswith(f"{file.name}{COPY}")]
        return sum(os.path.samestat(one.stat(follow_symlinks=False), about) for one in ours)
    return 0


def _links(path: Path) -> Iterator[Path]:
    """Tell every link on the way, those within links included."""
    here, rest, seen = Path(path.anchor), list(path.parts[1:]), 0
    while rest and seen < _MOST_LINKS:
        part = rest.pop(0)
        if part == "..":
            here = here.parent
        elif (here / part).is_symlink():
            seen += 1
            yield here / part
            to = (here / part).readlink()
            here = Path(to.anchor) if to.is_absolute() else here
            rest = [*(to.parts[1:] if to.is_absolute() else to.parts), *rest]
        else:
            here /= part
