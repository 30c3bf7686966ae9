"""The ``relevo`` command: exit codes 0 ok, 1 findings, 2 usage."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx

from app import __version__
from app.adapters.policy_file import load_rulebook
from app.client import ApiError, RelevoClient
from app.errors import BadConfiguration
from app.log import configure_logging
from app.settings import Settings, load_settings

FINDINGS = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relevo")
def cli() -> None:
    """Heal containers on Docker hosts, check that it helped, scale out when it did not."""


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
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check the configuration, and a policy FILE (by default that of RELEVO_POLICIES)."""
    try:
        settings = load_settings()
        rulebook = load_rulebook(file or settings.policies)
    except BadConfiguration as exc:
        _fail(str(exc))
    source = file or settings.policies or "the shipped policies"
    count = len(rulebook.policies)
    click.echo(f"{source}: ok, defaults and {count} {'policy' if count == 1 else 'policies'}")


@cli.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(output: str) -> None:
    """Show what Relevo is doing."""
    settings = _settings()
    answers = _ask(settings, lambda client: client.overview())
    if output == "json":
        click.echo(json.dumps(answers, indent=2))
        return
    for line in _overview(answers["status"], answers["targets"]):
        click.echo(line)


@cli.command()
@click.option("--url", help="What to ask; by default /-/healthy of RELEVO_URL.")
def healthcheck(url: str | None) -> None:
    """Exit 0 if Relevo answers: for a container's health check."""
    try:
        answer = httpx.get(url or f"{load_settings().url}/-/healthy", timeout=5)
    except (httpx.HTTPError, BadConfiguration) as exc:
        _fail(f"no answer: {exc}")
    if answer.status_code != httpx.codes.OK:
        _fail(f"answered {answer.status_code}")


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


def _settings() -> Settings:
    try:
        return load_settings()
    except BadConfiguration as exc:
        _fail(str(exc))


def _ask(
    settings: Settings, question: Callable[[RelevoClient], Coroutine[Any, Any, dict[str, Any]]]
) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        token = settings.token.get_secret_value() if settings.token else None
        async with RelevoClient(settings.url, token=token) as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except ApiError as exc:
        _fail(str(exc))


def _overview(status: dict[str, Any], targets: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"Relevo {status['version']} on engine {status['engine'] or '(not seen yet)'}, "
        f"mode {status['mode']}"
    ]
    for part in ("store", "container_engine"):
        what = part.replace("_", " ")
        lines.extend(f"  {what}: {trouble}" for trouble in status[part]["trouble"])
    if not targets:
        return [*lines, "No container has opted in: give one the label relevo.enable=true."]
    rows = [("TARGET", "STATE", "REASON", "NEXT", "FAILURES", "INSTANCES")]
    for target in targets:
        following = "-"
        if target["next_action"]:
            following = f"{target['next_action']} at {target['next_action_at']}"
        rows.append(
            (
                target["target"],
                target["state"],
                target["reason"] or "-",
                following,
                str(target["failures_in_window"]),
                f"{target['instances']}/{target['max_instances']}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def _fail(message: str) -> NoReturn:
    """Say what is wrong, and end with the exit code for findings."""
    click.echo(f"relevo: {message}", err=True)
    sys.exit(FINDINGS)
