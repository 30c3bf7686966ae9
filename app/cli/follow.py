"""Looking again and again: ``relevo status --watch``, ``relevo show ID --follow``."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import click

from app.cli.asking import Question, clean, hint_for, try_to_ask
from app.cli.client import ApiError
from app.cli.words import words

#: Answers of no use to wait for another one of: the token, the id.
_FINAL: Final = (401, 403, 404, 422)
every_option: Final = click.option(
    "--every",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)

Lines = Callable[[Any], Sequence[str]]


@contextmanager
def _until_enough() -> Iterator[None]:
    """Ctrl-C is how a person ends this, not a fault."""
    with suppress(KeyboardInterrupt):
        yield


@_until_enough()
def watch(question: Question, output: str, lines: Lines, *, every: float) -> None:
    """
    Show an answer again and again, until the person has seen enough (Ctrl-C).

    On a terminal the newest look takes the screen. Where Relevo does not answer that is shown, and
    looked at again: who watches a restart of it wants to see it come back.
    """
    for number, answer in enumerate(_answers(question, every)):
        said = _trouble(answer) if isinstance(answer, ApiError) else list(lines(answer))
        if output == "json":
            told = {"error": str(answer)} if isinstance(answer, ApiError) else answer
            click.echo(json.dumps(told))
        elif _is_screen():
            click.clear()
            click.echo("\n".join(map(clean, said)))
        else:
            click.echo("\n".join([*([""] if number else []), *map(clean, said)]))


@_until_enough()
def follow(question: Question, output: str, lines: Lines, *, every: float) -> None:
    """Show a story, then each thing that is added to it, until it is closed."""
    before: dict[str, Any] | None = None
    lost = ""
    for story in _answers(question, every):
        if isinstance(story, ApiError):
            said = "; ".join(_trouble(story))
            if said != lost and output != "json":
                click.echo(clean(said), err=True)
            lost = said
            continue
        lost = ""
        if output == "json":
            if story != before:
                click.echo(json.dumps(story))
        else:
            for line in lines(story) if before is None else _news(before, story):
                click.echo(clean(line))
        before = story
        if story["closed_at"] is not None:
            return


def _answers(question: Question, every: float) -> Iterator[dict[str, Any] | ApiError]:
    """Ask for ever; what another try cannot mend ends it as it ends any other command."""
    while True:
        try:
            yield try_to_ask(question, final=_FINAL)
        except ApiError as exc:
            yield exc
        time.sleep(every)


def _news(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    known = {attempt["id"]: attempt for attempt in before["attempts"]}
    for attempt in now["attempts"]:
        old = known.get(attempt["id"])
        if old is None:
            yield f"{attempt['started_at']} {attempt['action']} ({attempt['reason']})"
        if attempt["verdict"] is not None and (old is None or old["verdict"] is None):
            evidence = f", {attempt['evidence']}" if attempt["evidence"] else ""
            yield (f"{attempt['finished_at']} {attempt['action']}: {attempt['verdict']}{evidence}")
    for entry in _added(before["decisions"], now["decisions"]):
        detail = f" ({entry['detail']})" if entry["detail"] else ""
        until = f", until {entry['until']}" if entry["until"] else ""
        said = f"{entry['decision']} {entry['reason']}: {words(entry['reason'])}"
        yield f"{entry['at']} {said}{detail}{until}"
    if now["closed_at"] is not None:
        yield f"{now['closed_at']} closed: {now['outcome']}"


def _added(before: Sequence[Any], now: Sequence[Any]) -> Sequence[Any]:
    """Find what is new at the end; the oldest may have been dropped, the last one prolonged."""
    known = {_key(entry) for entry in before}
    return [entry for entry in now if _key(entry) not in known]


def _key(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["at"], entry["decision"], entry["reason"]


def _trouble(exc: ApiError) -> list[str]:
    return [f"relevo: {exc}", *([f"  {hint}"] if (hint := hint_for(exc)) else [])]


def _is_screen() -> bool:
    return sys.stdout.isatty()
