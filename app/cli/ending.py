"""How a command ends that found something wrong."""

import sys
from typing import Final, NoReturn

import click

FINDINGS: Final = 1


def end(message: str) -> NoReturn:
    """Say what is wrong, and end with the exit code for findings."""
    click.echo(f"relevo: {message}", err=True)
    sys.exit(FINDINGS)
