"""The ``relevo`` command: exit codes 0 ok, 1 findings, 2 usage."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx

from app import __version__
from app.cli.audit import audit
from app.cli.completion import completion
from app.cli.connect import connect
from app.cli.doctor import doctor
from app.cli.env_file import read_env_file
from app.cli.operate import (
    cancel,
    hold,
    pause,
    release,
    reset,
    restart,
    resume,
    scale_in,
    scale_out,
)
from app.cli.policy import check, simulate_policies
from app.cli.show import activities, remediations, show_one, status, targets
from app.cli.why import why
from app.errors import BadConfiguration
from app.log import configure_logging
from app.settings import Settings, load_settings

FINDINGS = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relevo")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="Settings, NAME=VALUE a line; those of the environment win.",
)
def cli(env_file: Path | None) -> None:
    """Heal containers on Docker hosts, check that it helped, scale out when it did not."""
    if env_file is not None:
        try:
            read_env_file(env_file)
        except BadConfiguration as exc:
            _fail(str(exc))


for _command in (
    *(check, simulate_policies, connect, doctor, completion),
    *(status, targets, remediations, show_one, activities, why, audit),
    *(restart, scale_out, scale_in, hold, release, reset, cancel, pause, resume),
):
    cli.add_command(_command)


@cli.command()
def serve() -> None:
    """Run the controller."""
    from app.main import serve as run

    _run_process(run)


@cli.command()
def collect() -> None:
    """Run the container collector: container metrics for Prometheus."""
    from app.collector import collect as run

    _run_process(run)


@cli.command()
def gate() -> None:
    """Run the gate: it alone has the engine's socket, and judges what is asked of it."""
    from app.gate import keep as run

    _run_process(run)


@cli.command()
@click.option("--url", help="What to ask; by default /-/healthy of RELEVO_URL.")
@click.option("--gate", is_flag=True, help="Ask the gate, at RELEVO_GATE_SOCKET.")
def healthcheck(url: str | None, gate: bool) -> None:
    """Exit 0 if Relevo answers: for a container's health check."""
    try:
        if gate:
            answer = _gate_answers(load_settings())
        else:
            answer = httpx.get(url or f"{load_settings().url}/-/healthy", timeout=5)
    except (httpx.HTTPError, BadConfiguration) as exc:
        _fail(f"no answer: {exc}")
    if answer.status_code != httpx.codes.OK:
        _fail(f"answered {answer.status_code}")


def _gate_answers(settings: Settings) -> httpx.Response:
    """Ask the gate for nothing, which it answers whether its engine does or not."""
    transport = httpx.HTTPTransport(uds=str(settings.gate_socket))
    with httpx.Client(transport=transport, timeout=5) as client:
        return client.post(
            "http://gate/intentions/extend", json={"ticket": "nobody", "not_after": 0}
        )


def main() -> None:
    """Run the command line."""
    cli(prog_name="relevo")


def _run_process(run: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run one of the long-lived processes; a wrong setting is said in a line, not a trace."""
    try:
        settings = load_settings()
        configure_logging(settings.log_format)
        _with_uvloop(run(settings))
    except BadConfiguration as exc:
        _fail(str(exc))
    except OSError as exc:
        _fail(f"cannot start: {exc}")


def _with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _fail(message: str) -> NoReturn:
    """Say what is wrong, and end with the exit code for findings."""
    click.echo(f"relevo: {message}", err=True)
    sys.exit(FINDINGS)
