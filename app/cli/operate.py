"""What people have done: ``relevo restart``, ``scale-out``, ``hold``, ``pause``, …"""

import getpass
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from app.cli.asking import FINDINGS, ask, clean, output_option, settings_or_fail, show
from app.cli.client import ApiError, RelevoClient
from app.cli.report import fidelity
from app.cli.words import fix
from app.domain.duration import parse_duration

F = TypeVar("F", bound=Callable[..., None])

_TARGET: Final = click.argument("target")
_DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Only say what would come of it.")


def _me() -> str:
    """Name the person at the terminal, as well as the machine knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    return clean(f"{user}@{socket.gethostname()}")[:100]


def _span(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            parse_duration(value)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc
    return value


_FOR: Final = click.option(
    "--for", "lasts", callback=_span, metavar="TIME", help="End by itself after 30m, 2h, 1d, …"
)


def _why(command: F) -> F:
    """Add what every order is given."""
    command = output_option(command)
    command = click.option("--author", help="Who wants it; by default user@host.")(command)
    return click.option("--reason", required=True, help="Why: kept, and shown to everybody.")(
        command
    )


@click.command()
@_TARGET
@_why
@_DRY_RUN
def restart(target: str, reason: str, author: str | None, output: str, dry_run: bool) -> None:
    """Restart the container of TARGET now, and check that it helped."""
    body = _body(reason, author, dry_run=dry_run)
    answer = _order(lambda client: client.order_target(target, "restart", body))
    show(answer, output, lambda: _placed(f"A restart of {target} is ordered", target, answer))


@click.command("scale-out")
@_TARGET
@_why
@_DRY_RUN
def scale_out(target: str, reason: str, author: str | None, output: str, dry_run: bool) -> None:
    """
    Have another instance of TARGET take over a share of the load.

    With --dry-run: what the clone would share with its source, field by field; exits 1 where none
    can be made now.
    """
    body = _body(reason, author, dry_run=dry_run)
    answer = _order(lambda client: client.order_target(target, "scale-out", body))
    if not dry_run:
        show(
            answer,
            output,
            lambda: _placed(f"Another instance of {target} is ordered", target, answer),
        )
        return
    show(answer, output, lambda: fidelity(target, answer))
    report = answer["report"]
    if report is None or report["refused"] or answer["in_the_way"] is not None:
        sys.exit(FINDINGS)


@click.command("scale-in")
@_TARGET
@_why
@_DRY_RUN
def scale_in(target: str, reason: str, author: str | None, output: str, dry_run: bool) -> None:
    """Have the newest clone of TARGET's group leave, quiet or not; an original never does."""
    body = _body(reason, author, dry_run=dry_run)
    answer = _order(lambda client: client.order_target(target, "scale-in", body))
    show(answer, output, lambda: _leaving(target, answer))


@click.command()
@_TARGET
@_why
@_FOR
def hold(target: str, reason: str, author: str | None, output: str, lasts: str | None) -> None:
    """Keep Relevo away from TARGET, until released or for a time."""
    body = _body(reason, author, lasts=lasts)
    answer = _order(lambda client: client.order_target(target, "hold", body))
    show(answer, output, lambda: [f"{answer['target']} is held {_until(answer['hold'])}."])


@click.command()
@_TARGET
@_why
def release(target: str, reason: str, author: str | None, output: str) -> None:
    """End the hold on TARGET, and its quarantine."""
    body = _body(reason, author)
    answer = _order(lambda client: client.order_target(target, "release", body))
    ended = f"; remediation {answer['remediation']} ends" if answer["remediation"] else ""
    show(answer, output, lambda: [f"{answer['target']} is released{ended}."])


@click.command()
@_TARGET
@_why
def reset(target: str, reason: str, author: str | None, output: str) -> None:
    """Have the failed restarts of TARGET forgotten."""
    body = _body(reason, author)
    answer = _order(lambda client: client.order_target(target, "reset", body))
    show(answer, output, lambda: [f"The failed restarts of {target} will be forgotten."])


@click.command()
@click.argument("remediation_id", metavar="ID")
@_why
def cancel(remediation_id: str, reason: str, author: str | None, output: str) -> None:
    """Call remediation ID off: nothing more is done until its alerts are gone."""
    body = _body(reason, author)
    answer = _order(lambda client: client.cancel(remediation_id, body))
    show(answer, output, lambda: [f"Remediation {remediation_id} is called off."])


@click.command()
@_why
@_FOR
def pause(reason: str, author: str | None, output: str, lasts: str | None) -> None:
    """Let nothing be done of Relevo's own accord, until resumed or for a time."""
    body = _body(reason, author, lasts=lasts)
    answer = _order(lambda client: client.pause(body))
    show(answer, output, lambda: [f"Relevo is paused {_until(answer['pause'])}."])


@click.command()
@_why
def resume(reason: str, author: str | None, output: str) -> None:
    """End the pause, and release the brake."""
    body = _body(reason, author)
    answer = _order(lambda client: client.resume(body))
    show(answer, output, lambda: ["Relevo goes on."])


def _body(
    reason: str, author: str | None, *, dry_run: bool = False, lasts: str | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {"reason": reason, "author": author or _me()}
    if dry_run:
        body["dry_run"] = True
    if lasts is not None:
        body["for"] = lasts
    return body


def _order(order: Callable[[RelevoClient], Any]) -> dict[str, Any]:
    return ask(order, advise=_advise)


def _advise(exc: ApiError) -> str:
    match exc.status:
        case 404:
            return "relevo targets lists the targets, relevo remediations the stories"
        case 409:
            return "relevo why TARGET tells what is going on; try again when that is over"
        case 422 if exc.reason is not None:
            known = fix(exc.reason, prefix=settings_or_fail().label_prefix)
            return f"refused: {exc.reason}" + (f"; you can: {known}" if known else "")
        case _:
            return ""


def _placed(what: str, target: str, answer: dict[str, Any]) -> list[str]:
    if answer.get("dry_run"):
        return [f"Nothing is in the way: attempt {answer['attempt']} would be made."]
    return [
        f"{what}: attempt {answer['attempt']}.",
        f"relevo why {target} tells how it goes, relevo show {answer['remediation']} all of it.",
    ]


def _leaving(target: str, answer: dict[str, Any]) -> list[str]:
    if answer.get("dry_run"):
        who = answer.get("container") or "its newest clone"
        return [f"Nothing is in the way: {who} would leave."]
    return [
        f"A scale-in of {target} has begun: activity {answer['attempt']}.",
        "relevo activities tells how it goes.",
    ]


def _until(halt: dict[str, Any]) -> str:
    return f"until {halt['until']}" if halt["until"] else "until a person ends it"
