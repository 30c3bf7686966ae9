"""The file of the gate's journal: its lines, as they are written, read, and left out when old."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from app.domain.gate import Ending, Fence, Trace, Verb

#: Nobody repeats an attempt of a week ago; what we made, or set aside, is told apart for longer.
_KEPT: Final = timedelta(days=7)
_KEPT_LONG: Final = timedelta(days=60)
_LONG: Final = frozenset({Verb.CLONE, Verb.SET_ASIDE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An action that begins."""

    number: int
    #: By the wall clock: for people, and to be forgotten some day.
    written_at: datetime
    fence: Fence
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An action that has ended, by its number."""

    ends: int
    ending: Ending
    made: str = ""
    said: tuple[str, ...] = ()


LINE: Final[TypeAdapter[Begun | Ended]] = TypeAdapter(Begun | Ended)


def appendable(path: Path) -> int:
    """Open the file to be appended to; it is made where there is none."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def is_kept(one: Begun, now: datetime) -> bool:
    """Tell whether somebody may ask for it yet."""
    return now - one.written_at <= (_KEPT_LONG if one.trace.verb in _LONG else _KEPT)


def read(raw: bytes) -> tuple[list[Begun], int, str]:
    """
    Read a file.

    :return: what was begun; number of the first line that cannot be read, 0: none; why nobody may
        go by what was read
    """
    begun: dict[int, Begun] = {}
    unread, trouble = 0, ""
    # What has no end of line was being written when somebody cut the power: it was not begun.
    *lines, _ = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            one = LINE.validate_json(line)
        except ValidationError:
            unread = unread or number
            continue
        if isinstance(one, Begun):
            if unread and not trouble:
                # On its way to the disk this one took all before it along: no cut power did that.
                trouble = f"line {unread} cannot be read: who knows what was done; move it away"
            begun[one.number] = one
        elif one.ends in begun:
            was = begun[one.ends]
            known = replace(was.trace, ending=one.ending, made=one.made, said=one.said)
            begun[one.ends] = replace(was, trace=known)
    return list(begun.values()), unread, trouble


def _lines(kept: Iterable[Begun]) -> Iterator[bytes]:
    # The trace tells its end itself.
    yield from (LINE.dump_json(one) + b"\n" for one in kept)


def rewrite(path: Path, kept: Iterable[Begun]) -> None:
    """Exchange the file for one without what is old, whole or not at all."""
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.writelines(_lines(kept))
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
