"""The memento of the store: one small file in the data directory, written whole or not at all."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog
from pydantic import TypeAdapter, ValidationError

from app.errors import BadConfiguration
from app.ports import Memento

log: Final = structlog.get_logger("relevo.memento")

#: No store's history has this name.
_UNREADABLE: Final = "unreadable"
_MEMENTO: Final = TypeAdapter(Memento)


class FileKeepsake:
    """See `app.ports.Keepsake`; None for a directory keeps it in memory only."""

    def __init__(self, directory: Path | None, *, trouble: str | None = None) -> None:
        self._file = None if directory is None else directory / "memento.json"
        self._trouble = trouble
        self._in_memory: Memento | None = None

    @property
    def trouble(self) -> str | None:
        """See `app.ports.Keepsake`."""
        return self._trouble

    async def load(self) -> Memento | None:
        """See `app.ports.Keepsake`."""
        if self._file is None:
            return self._in_memory
        try:
            raw = await asyncio.to_thread(self._file.read_bytes)
            return _MEMENTO.validate_json(raw)
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as exc:
            log.error("memento not read, beginning a new one", file=str(self._file), error=str(exc))
            # It knew a store, and nobody knows which: any is another one than that.
            return Memento(instance=uuid4().hex[:12], epoch=_UNREADABLE)

    async def save(self, memento: Memento) -> None:
        """See `app.ports.Keepsake`."""
        self._in_memory = memento
        if self._file is None:
            return
        try:
            await asyncio.to_thread(_write, self._file, _MEMENTO.dump_json(memento))
        except OSError as exc:
            trouble = f"RELEVO_DATA_DIR: {self._file} cannot be written: {exc}"
            if self._trouble is None:
                log.error("memento not kept", error=trouble)
            self._trouble = trouble
        else:
            self._trouble = None


@asynccontextmanager
async def open_keepsake(data_dir: Path) -> AsyncIterator[FileKeepsake]:
    """
    Open the memento of this data directory, which is nobody else's meanwhile.

    :raises BadConfiguration: another Relevo is using it
    """
    try:
        lock = _opened(data_dir)
    except OSError as exc:
        trouble = (
            f"RELEVO_DATA_DIR: {data_dir} cannot be written ({exc}), so after a restart Relevo "
            "does not know an older Redis from the one it knew: set it to a directory that lasts"
        )
        log.warning("memento not kept", error=trouble)
        yield FileKeepsake(None, trouble=trouble)
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BadConfiguration(
                f"another Relevo is using {data_dir}: stop it, or set RELEVO_DATA_DIR to another "
                "directory"
            ) from exc
        yield FileKeepsake(data_dir)
    finally:
        os.close(lock)


def _opened(data_dir: Path) -> int:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(data_dir / "memento.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _write(file: Path, raw: bytes) -> None:
    """Exchange the file for a new one, and have the disk know before we go on."""
    beside = file.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as out:
            out.write(raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
