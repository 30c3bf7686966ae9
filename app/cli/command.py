"""
The ``relevo`` command: exit codes 0 ok, 1 findings, 2 usage.

A command is loaded when it is called, or when all of them are told about: a process that runs for
weeks, and a health check every ten seconds, hold and read no line of the others.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from app import __version__
from app.cli.ending import end
from app.cli.env_file import read_env_file
from app.errors import BadConfiguration

#: Where each is: its module beside this one, and its name there.
_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "activities": ("show", "activities"),
    "audit": ("audit", "audit"),
    "cancel": ("operate", "cancel"),
    "check": ("policy", "check"),
    "collect": ("processes", "collect"),
    "completion": ("completion", "completion"),
    "connect": ("connect", "connect"),
    "doctor": ("doctor", "doctor"),
    "gate": ("processes", "gate"),
    "healthcheck": ("healthcheck", "healthcheck"),
    "hold": ("operate", "hold"),
    "pause": ("operate", "pause"),
    "release": ("operate", "release"),
    "remediations": ("show", "remediations"),
    "reset": ("operate", "reset"),
    "restart": ("operate", "restart"),
    "resume": ("operate", "resume"),
    "scale-in": ("operate", "scale_in"),
    "scale-out": ("operate", "scale_out"),
    "serve": ("processes", "serve"),
    "show": ("show", "show_one"),
    "simulate": ("policy", "simulate_policies"),
    "status": ("show", "status"),
    "targets": ("show", "targets"),
    "why": ("why", "why"),
}


class _Relevo(click.Group):
    """See the module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command = getattr(import_module(f"app.cli.{module}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - as the table says
        return command


@click.group(cls=_Relevo, context_settings={"help_option_names": ["-h", "--help"]})
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
            end(str(exc))


def main() -> None:
    """Run the command line."""
    cli(prog_name="relevo")
