"""What every command that asks the API has in common: settings, errors, tables, JSON."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn

import click

from app.cli.client import ApiError, RelevoClient
from app.errors import BadConfiguration
from app.settings import Settings, load_settings

FINDINGS: Final = 1

Question = Callable[[RelevoClient], Coroutine[Any, Any, dict[str, Any]]]

#: What a person can do about an answer.
_HINTS: Final = {
    401: "set RELEVO_TOKEN or RELEVO_TOKEN_FILE",
    403: "use a token of RELEVO_TOKEN_OPERATE to change something, of RELEVO_TOKEN_READ to look",
}

output_option: Final = click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)


def settings_or_fail() -> Settings:
    """Read the settings; a wrong one is said in a line."""
    try:
        return load_settings()
    except BadConfiguration as exc:
        fail(str(exc))


def ask(question: Question, *, advise: Callable[[ApiError], str] | None = None) -> dict[str, Any]:
    """
    Ask the API, or say why there is no answer and end.

    :param advise: what a person can do about an error, where the command knows it
    """
    try:
        return asyncio.run(with_client(question))
    except ApiError as exc:
        _give_up(exc, advise)


def try_to_ask(question: Question, *, final: Sequence[int]) -> dict[str, Any]:
    """
    Ask once, where another try may help; else end as `ask` does.

    :param final: answers that no other try can change
    :raises ApiError: any other trouble
    """
    try:
        return asyncio.run(with_client(question))
    except ApiError as exc:
        if exc.status in final:
            _give_up(exc)
        raise


def _give_up(exc: ApiError, advise: Callable[[ApiError], str] | None = None) -> NoReturn:
    advice = advise(exc) if advise is not None else ""
    fail(f"{exc}\n{advice or hint_for(exc)}".rstrip())


async def with_client(question: Question) -> dict[str, Any]:
    """Ask the API within a loop of somebody else's. :raises ApiError:"""
    settings = settings_or_fail()
    token = settings.token.get_secret_value() if settings.token else None
    async with RelevoClient(settings.url, token=token) as client:
        return await question(client)


def hint_for(exc: ApiError) -> str:
    """Say what a person can do about an answer; empty where that is not known."""
    return _HINTS.get(exc.status or 0, "")


def show(answer: Any, output: str, lines: Callable[[], Sequence[str]]) -> None:
    """Print an answer as it is, or as lines for people."""
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    for line in lines():
        click.echo(clean(line))


def table(rows: Sequence[Sequence[str]], *, indent: str = "") -> list[str]:
    """Put rows in columns; the first is the heading."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cleaned) for column in range(len(rows[0]))]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cleaned
    ]


def clean(text: str) -> str:
    """Take out what a terminal would obey: other people's names and log lines are shown."""
    return "".join(char if char.isprintable() else "�" for char in text)


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end with the exit code for findings."""
    first, *rest = message.splitlines() or [""]
    click.echo(
        "\n".join([f"relevo: {clean(first)}", *(f"  {clean(line)}" for line in rest)]), err=True
    )
    sys.exit(FINDINGS)
