"""One server process: started, waited for, started again when it ends, and ended with us."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

import structlog

from app.errors import BadConfiguration

log: Final = structlog.get_logger("relevo.store")

#: Until it answers, its data loaded: a second per some hundred megabytes.
_STARTS: Final = timedelta(seconds=60)
#: From SIGTERM to SIGKILL. Everything is on disk already.
_ENDS: Final = timedelta(seconds=10)
#: Between two looks whether it answers; a start takes 20 ms and more.
_LOOK_S: Final = 0.01
#: Between an end that nobody asked for and the next start: doubled up to the longest.
_AGAIN: Final = timedelta(milliseconds=100)
_AGAIN_LONGEST: Final = timedelta(seconds=30)
#: A log that is longer than this is begun anew at the next start.
_LOG_BYTES: Final = 1_000_000

#: prctl(2): the signal to get when the thread that started us ends.
_PR_SET_PDEATHSIG: Final = 1


class ServerProcess:
    """
    A server on a unix socket that keeps every write on disk.

    Open it with ``async with``.

    :param command: program, and what comes before the options
    :param lock: descriptor that the server inherits, and with it the lock on its files
    :raises BadConfiguration: it does not start; the message holds its last words
    """

    def __init__(self, command: Sequence[str], *, data_dir: Path, socket: Path, lock: int) -> None:
        self._command = (*command, *_options(data_dir, socket))
        self._log_file = data_dir / "redis.log"
        self._socket = socket
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            process = await self._start()
        except BaseException:
            await self._end()
            raise
        self._keeper = asyncio.create_task(self._keep(process), name="embedded server")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await self._end()

    async def _start(self) -> asyncio.subprocess.Process:
        fresh = not self._log_file.exists() or self._log_file.stat().st_size > _LOG_BYTES
        with self._log_file.open("wb" if fresh else "ab") as output:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._lock,),
                # Ctrl-C is for us: the server is needed until the last step has been noted.
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )
        try:
            async with asyncio.timeout(_STARTS.total_seconds()):
                while not await self._answers():
                    if process.returncode is not None:
                        raise BadConfiguration(
                            f"the embedded Redis ends at once (status {process.returncode}): "
                            f"{self._last_words()}"
                        )
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as exc:
            raise BadConfiguration(
                f"the embedded Redis does not answer: {self._last_words()}"
            ) from exc
        return process

    async def _answers(self) -> bool:
        """Whether it serves; one that is still loading its data does not."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                with closing(writer):
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        wait = _AGAIN
        while True:
            status = await process.wait()
            log.error("the embedded Redis has ended, starting it again", status=status)
            while True:
                await asyncio.sleep(wait.total_seconds())
                try:
                    process = await self._start()
                except (BadConfiguration, OSError) as exc:
                    wait = min(2 * wait, _AGAIN_LONGEST)
                    log.error("the embedded Redis does not start", error=str(exc))
                    await self._end()
                    continue
                wait = _AGAIN
                break

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_ENDS.total_seconds()):
                await process.wait()
        except TimeoutError:
            log.warning("the embedded Redis does not end, killing it")
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_words(self) -> str:
        try:
            lines = self._log_file.read_text(errors="replace").split("\n")
        except OSError as exc:
            return str(exc)
        words = [line for line in lines[-20:] if line.strip()]
        return f"{words[-1] if words else 'it said nothing'} (all of it in {self._log_file})"


def _options(data_dir: Path, socket: Path) -> tuple[str, ...]:
    return (
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(data_dir)),
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
        # Plain commands, which every later and earlier version reads: Redis 7 refuses the
        # binary form that Valkey 9 writes.
        *("--aof-use-rdb-preamble", "no"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
        *("--logfile", ""),
    )


def _end_with_parent() -> Callable[[], None] | None:
    """Return what the child calls before it becomes the server: SIGTERM when we are gone."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    # Looked up before the fork: the child of a process with threads must not load anything.
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # Gone already, between the fork and the line above.
            os._exit(1)

    return tie
