"""``relevo serve``, ``collect`` and ``gate``: the processes that run for weeks."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from app.adapters.trust import no_certificates
from app.cli.ending import end
from app.errors import BadConfiguration
from app.garbage import none_is_looked_for
from app.log import configure_logging
from app.settings import Settings, load_settings

_FIRST: Final = "pydantic.v1"


@click.command()
def serve() -> None:
    """Run the controller."""
    with _starting():
        from app.main import serve as run  # each process loads its own things, and no other's

        _run_process(run)


@click.command()
def collect() -> None:
    """Run the container collector: container metrics for Prometheus."""
    with _starting():
        from app.collector import collect as run

        _run_process(run)


@click.command()
def gate() -> None:
    """Run the gate: it alone has the engine's socket, and judges what is asked of it."""
    with _starting():
        from app.gate import keep as run

        _run_process(run)


@contextmanager
def _starting() -> Iterator[None]:
    """Do without what takes long, and is for nothing, while a process loads its things and runs."""
    with none_is_looked_for(), _no_first_pydantic():
        with no_certificates():
            import aiohttp  # noqa: F401 - what the block is about
        yield


@contextmanager
def _no_first_pydantic() -> Iterator[None]:
    """
    Have nobody find pydantic's first version within the block.

    FastAPI loads all of it (20 ms, 1.5 MB) to ask of a type whether it is one of that version's,
    and takes it for none where there is no such version. None of ours is.
    """
    modules: dict[str, Any] = sys.modules
    was_there = _FIRST in modules
    modules.setdefault(_FIRST, None)
    try:
        yield
    finally:
        if not was_there:
            modules.pop(_FIRST, None)


def _run_process(run: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run one of the long-lived processes; a wrong setting is said in a line, not a trace."""
    try:
        settings = load_settings()
        configure_logging(settings.log_format)
        _with_uvloop(run(settings))
    except BadConfiguration as exc:
        end(str(exc))
    except OSError as exc:
        end(f"cannot start: {exc}")


def _with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
