"""
The gate's journal: what it did to containers, on disk before the engine is told.

A line for each action that begins, which the disk has before we go on, and one for its end, which
it need not have: an action whose end is not known is settled by looking at the container.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from app.domain.gate import Ending, Fence, Trace, Verb
from app.errors import BadConfiguration

#: Nobody repeats an attempt of a week ago; what we made, or set aside, is told apart for longer.
_KEPT: Final = timedelta(days=7)
_KEPT_LONG: Final = timedelta(days=60)
_LONG: Final = frozenset({Verb.CLONE, Verb.SET_ASIDE})
#: Lines after which what is old is left out: a week at most, as often as one may act.
_TIDIED_EVERY: Final = 4096

log: Final = structlog.get_logger("relevo.gate.journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    number: int
    #: By the wall clock: for people, and to be forgotten some day.
    written_at: datetime
    fence: Fence
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    ends: int
    ending: Ending
    made: str = ""
    said: tuple[str, ...] = ()


_LINE: Final[TypeAdapter[_Begun | _Ended]] = TypeAdapter(_Begun | _Ended)


class Journal:
    """
    See the module. `open_journal` makes one.

    :param descriptor: of the file, to be appended to, ours alone
    :param tidied_every: after so many lines, what is old is left out
    """

    def __init__(
        self, path: Path, descriptor: int, begun: Iterable[_Begun], *, tidied_every: int
    ) -> None:
        self._path, self._descriptor, self._tidied_every = path, descriptor, tidied_every
        self._begun: dict[int, _Begun] = {}
        self._by_id: dict[str, list[int]] = {}
        #: Ids of clones.
        self._made: set[str] = set()
        self._writing = asyncio.Lock()
        self._is_broken = False
        self._fence = Fence()
        self._old_epochs: frozenset[str] = frozenset()
        #: The highest number of a fence, of whichever history.
        self.highest = 0
        for one in begun:
            self._know(one)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @property
    def fence(self) -> Fence:
        """The newest one that has acted."""
        return self._fence

    @property
    def old_epochs(self) -> frozenset[str]:
        """Histories of stores that are over."""
        return self._old_epochs

    def of(self, about: str) -> tuple[Trace, ...]:
        """List what was done to a container or service, in order."""
        return tuple(self._begun[number].trace for number in self._by_id.get(about, ()))

    def has_made(self, container_id: str) -> bool:
        """Tell whether a container is a clone that was made here."""
        return container_id in self._made

    def charges(self, boot: str, *, since: float) -> list[float]:
        """List when actions were paid for, in this life of the host, in order."""
        found = []
        for one in reversed(self._begun.values()):
            if one.trace.boot != boot or one.trace.at < since:
                break
            if one.trace.charged:
                found.append(one.trace.at)
        return found[::-1]

    async def begin(self, trace: Trace, fence: Fence, *, written_at: datetime) -> int:
        """
        Write down that an action begins; the disk has it when this returns.

        :return: its number, for `end`
        :raises OSError: it is not written, and nothing may be done
        """
        async with self._writing:
            number = next(reversed(self._begun), 0) + 1
            if number % self._tidied_every == 0:
                await asyncio.to_thread(self._tidy, written_at)
            one = _Begun(number=number, written_at=written_at, fence=fence, trace=trace)
            await asyncio.to_thread(self._append, _LINE.dump_json(one), sync=True)
            self._know(one)
            return number

    async def end(
        self, number: int, ending: Ending | None, *, made: str = "", said: tuple[str, ...] = ()
    ) -> None:
        """Write down how it ended; None: nobody knows. Never raises for the disk."""
        if ending is None:
            return
        line = _LINE.dump_json(_Ended(ends=number, ending=ending, made=made, said=said))
        async with self._writing:
            one = self._begun[number]
            known = replace(one.trace, ending=ending, made=made, said=said)
            self._begun[number] = replace(one, trace=known)
            self._made |= {made} - {""}
            try:
                self._append(line, sync=False)
            except OSError as exc:
                log.error("an end is not in the journal", error=str(exc), attempt=known.attempt_id)

    def _know(self, one: _Begun) -> None:
        self._begun[one.number] = one
        self._by_id.setdefault(one.trace.about, []).append(one.number)
        self._made |= {one.trace.made} - {""}
        self.highest = max(self.highest, one.fence.number)
        if one.fence.epoch != self._fence.epoch:
            if self._fence.epoch:
                self._old_epochs |= {self._fence.epoch}
            self._fence = one.fence
        elif one.fence.number > self._fence.number:
            self._fence = one.fence

    def _tidy(self, now: datetime) -> None:
        """Leave out what is old, in the file and here; what is under way is not old."""
        kept = {number: one for number, one in self._begun.items() if _is_kept(one, now)}
        _rewrite(self._path, kept.values())
        before, self._descriptor = self._descriptor, _appendable(self._path)
        os.close(before)
        by_id: dict[str, list[int]] = {}
        for number, one in kept.items():
            by_id.setdefault(one.trace.about, []).append(number)
        # Whoever reads meanwhile has the old ones or the new ones.
        self._made = {one.trace.made for one in kept.values()} - {""}
        self._begun, self._by_id = kept, by_id

    def _append(self, line: bytes, *, sync: bool) -> None:
        """Write a line, or nothing of it."""
        if self._is_broken:
            raise OSError("the journal has a torn line that could not be taken back")
        before = os.fstat(self._descriptor).st_size
        try:
            whole = line + b"\n"
            if os.write(self._descriptor, whole) != len(whole):
                raise OSError(f"{self._path}: no space left")
            if sync:
                os.fdatasync(self._descriptor)
        except OSError:
            try:
                os.ftruncate(self._descriptor, before)
            except OSError:
                self._is_broken = True
            raise


@contextmanager
def open_journal(
    directory: Path, *, now: datetime, tidied_every: int = _TIDIED_EVERY
) -> Iterator[Journal]:
    """
    Open the journal of a data directory, which is nobody else's meanwhile.

    :raises BadConfiguration: another gate uses it, or it cannot be read or written
    """
    path = directory / "gate.journal"
    with ExitStack() as stack:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(directory / "gate.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal = _opened(path, now, tidied_every)
        except BlockingIOError as exc:
            raise BadConfiguration(
                f"another gate is using {directory}: stop it, or set RELEVO_DATA_DIR to another "
                "directory"
            ) from exc
        except OSError as exc:
            raise BadConfiguration(
                f"RELEVO_DATA_DIR: the gate's journal {path} cannot be used ({exc}), and without "
                "it nothing may be done: set it to a directory that lasts"
            ) from exc
        stack.callback(journal.close)
        yield journal


def _opened(path: Path, now: datetime, tidied_every: int) -> Journal:
    raw = path.read_bytes() if path.exists() else b""
    begun = _read(raw, path)
    kept = [one for one in begun if _is_kept(one, now)]
    if len(kept) < len(begun) or not raw.endswith(b"\n"):
        _rewrite(path, kept)
    return Journal(path, _appendable(path), kept, tidied_every=tidied_every)


def _appendable(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_kept(one: _Begun, now: datetime) -> bool:
    return now - one.written_at <= (_KEPT_LONG if one.trace.verb in _LONG else _KEPT)


def _read(raw: bytes, path: Path) -> list[_Begun]:
    begun: dict[int, _Begun] = {}
    # What has no end of line was being written when somebody cut the power: it was not begun.
    *lines, _ = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            one = _LINE.validate_json(line)
        except ValidationError:
            log.error("line of the journal not read", file=str(path), line=number)
            continue
        if isinstance(one, _Begun):
            begun[one.number] = one
        elif one.ends in begun:
            was = begun[one.ends]
            known = replace(was.trace, ending=one.ending, made=one.made, said=one.said)
            begun[one.ends] = replace(was, trace=known)
    return list(begun.values())


def _lines(kept: Iterable[_Begun]) -> Iterator[bytes]:
    # The trace tells its end itself.
    yield from (_LINE.dump_json(one) + b"\n" for one in kept)


def _rewrite(path: Path, kept: Iterable[_Begun]) -> None:
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
