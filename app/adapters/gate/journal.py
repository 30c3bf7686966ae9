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
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from app.adapters.gate.journal_file import (
    LINE,
    Begun,
    Ended,
    appendable,
    is_kept,
    read,
    rewrite,
)
from app.domain.gate import Ending, Fence, Trace
from app.errors import BadConfiguration

#: Lines after which what is old is left out: a week at most, as often as one may act.
_TIDIED_EVERY: Final = 4096

log: Final = structlog.get_logger("relevo.gate.journal")


class Journal:
    """
    See the module. `open_journal` makes one.

    :param descriptor: of the file, to be appended to, ours alone
    :param tidied_every: after so many lines, what is old is left out
    :param trouble: why nothing may be written to it; empty: it may
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        begun: Iterable[Begun],
        *,
        tidied_every: int,
        trouble: str = "",
    ) -> None:
        self._path, self._descriptor, self._tidied_every = path, descriptor, tidied_every
        self._begun: dict[int, Begun] = {}
        self._by_id: dict[str, list[int]] = {}
        #: Ids of clones.
        self._made: set[str] = set()
        self._writing = asyncio.Lock()
        self._trouble = trouble
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
        return [one.at for one in self.recent(boot, since=since) if one.charged]

    def recent(self, boot: str, *, since: float) -> list[Trace]:
        """List what was done in this life of the host from some moment on, in order."""
        found = []
        for one in reversed(self._begun.values()):
            if one.trace.boot != boot or one.trace.at < since:
                break
            found.append(one.trace)
        return found[::-1]

    async def begin(self, trace: Trace, fence: Fence, *, written_at: datetime) -> int:
        """
        Write down that an action begins; the disk has it when this returns.

        Cancelled, it is written to its end nevertheless, and that nothing was done: the thread
        that writes does not stop, and nobody else may write beside it.

        :return: its number, for `end`
        :raises OSError: it is not written, and nothing may be done
        """
        writing = asyncio.create_task(self._begin(trace, fence, written_at))
        cancelled: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is None:
            return writing.result()
        if writing.exception() is None:
            await self.end(writing.result(), Ending.UNDONE)
        raise cancelled

    async def _begin(self, trace: Trace, fence: Fence, written_at: datetime) -> int:
        async with self._writing:
            self._check()
            number = next(reversed(self._begun), 0) + 1
            if number % self._tidied_every == 0:
                await asyncio.to_thread(self._tidy, written_at)
            one = Begun(number=number, written_at=written_at, fence=fence, trace=trace)
            await asyncio.to_thread(self._append, LINE.dump_json(one), sync=True)
            self._know(one)
            return number

    async def end(
        self, number: int, ending: Ending | None, *, made: str = "", said: tuple[str, ...] = ()
    ) -> None:
        """Write down how it ended; None: nobody knows. Never raises for the disk."""
        if ending is None:
            return
        line = LINE.dump_json(Ended(ends=number, ending=ending, made=made, said=said))
        async with self._writing:
            one = self._begun[number]
            known = replace(one.trace, ending=ending, made=made, said=said)
            self._begun[number] = replace(one, trace=known)
            self._made |= {made} - {""}
            try:
                self._append(line, sync=False)
            except OSError as exc:
                log.error("an end is not in the journal", error=str(exc), attempt=known.attempt_id)

    def _know(self, one: Begun) -> None:
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
        kept = {number: one for number, one in self._begun.items() if is_kept(one, now)}
        rewrite(self._path, kept.values())
        before, self._descriptor = self._descriptor, appendable(self._path)
        os.close(before)
        by_id: dict[str, list[int]] = {}
        for number, one in kept.items():
            by_id.setdefault(one.trace.about, []).append(number)
        # Whoever reads meanwhile has the old ones or the new ones.
        self._made = {one.trace.made for one in kept.values()} - {""}
        self._begun, self._by_id = kept, by_id

    def _append(self, line: bytes, *, sync: bool) -> None:
        """Write a line, or nothing of it."""
        self._check()
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
                self._trouble = "it has a torn line that could not be taken back"
            raise

    def _check(self) -> None:
        if self._trouble:
            raise OSError(f"{self._path}: {self._trouble}")


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
    begun, unread, trouble = read(raw)
    kept = [one for one in begun if is_kept(one, now)]
    if trouble:
        log.error(
            "the journal cannot be trusted, nothing is let through", file=str(path), error=trouble
        )
    elif len(kept) < len(begun) or unread or not raw.endswith(b"\n"):
        rewrite(path, kept)
    return Journal(path, appendable(path), kept, tidied_every=tidied_every, trouble=trouble)
