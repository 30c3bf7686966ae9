"""``relevo connect``: joins an existing Prometheus and Alertmanager to Relevo, observing first."""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from app.adapters.alertmanager_routes import UnreadableRoutes, ways
from app.adapters.join_files import Join
from app.cli import connect_report as report
from app.cli.asking import (
    clean,
    fail,
    hint_for,
    output_option,
    settings_or_fail,
    show,
    with_client,
)
from app.cli.client import ApiError
from app.cli.connect_apply import apply
from app.cli.connect_env import is_everywhere, matchers_of, reached_at, recall, seen_by_others
from app.cli.connect_files import Wish, write_kit
from app.cli.connect_survey import OUR_JOB, Survey, survey
from app.cli.connect_trial import NotArrived, trial
from app.errors import BadConfiguration, SourceUnavailable
from app.settings import Address, Settings

T = TypeVar("T")

_PROMETHEUS: Final = "http://127.0.0.1:9090"
_ALERTMANAGER: Final = "http://127.0.0.1:9093"
_NO_NAME: Final = "letters, digits, '_', '.' and '-' only, a letter first"
_CRITICAL: Final = ('severity="critical"',)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def _address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _is_address(value):
        raise click.BadParameter(f"{value!r} must be host:port, such as 172.17.0.1:5000")
    return value


def _is_address(value: str) -> bool:
    return re.fullmatch(r"[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", value) is not None


def _name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _is_name(value):
        raise click.BadParameter(_NO_NAME)
    return value


def _is_name(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", value) is not None


def _matchers(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        ways({"routes": [{"matchers": list(value)}]}, {})
    except UnreadableRoutes as exc:
        raise click.BadParameter(str(exc)) from exc
    return value


@click.command()
@click.option("--prometheus-url", metavar="URL", help=f"RELEVO_PROMETHEUS_URL, or {_PROMETHEUS}.")
@click.option(
    "--alertmanager-url", metavar="URL", help=f"RELEVO_ALERTMANAGER_URL, or {_ALERTMANAGER}."
)
@click.option(
    "--enable",
    multiple=True,
    metavar="NAME",
    help="Opt in a container as it runs: its name (or web-*), or PROJECT/SERVICE. Repeatable.",
)
@click.option("--into", type=click.Path(path_type=Path), default="relevo", show_default=True)
@click.option("--apply", "applies", is_flag=True, help="Add it to their files, and have them load.")
@click.option("--prometheus-config", type=_FILE, help="Its file, where that cannot be found out.")
@click.option("--alertmanager-config", type=_FILE, help="Its file, likewise.")
@click.option(
    "--relevo",
    metavar="HOST:PORT",
    callback=_address,
    help="Where both reach Relevo; RELEVO_LISTEN.",
)
@click.option(
    "--collector",
    metavar="HOST:PORT",
    callback=_address,
    help="Where Prometheus reaches the collector; RELEVO_COLLECT_LISTEN.",
)
@click.option(
    "--match",
    multiple=True,
    show_default=_CRITICAL[0],
    callback=_matchers,
    help="Which alerts Relevo is told of, as Alertmanager's matchers. Repeatable.",
)
@click.option("--receiver", callback=_name, help="RELEVO_ALERTMANAGER_RECEIVER, or relevo.")
@click.option("--yes", "anyway", is_flag=True, help="Also where alerts are notified once more.")
@click.option("--test", "target", metavar="TARGET", help="Only send a test alert, and follow it.")
@click.option("--in-earnest", is_flag=True, help="With --test: also where it leads to a restart.")
@output_option
def connect(
    prometheus_url: str | None,
    alertmanager_url: str | None,
    enable: tuple[str, ...],
    into: Path,
    applies: bool,
    prometheus_config: Path | None,
    alertmanager_config: Path | None,
    relevo: str | None,
    collector: str | None,
    match: tuple[str, ...],
    receiver: str | None,
    anyway: bool,
    target: str | None,
    in_earnest: bool,
    output: str,
) -> None:
    """
    Join an existing Prometheus and Alertmanager to Relevo, in observe mode.

    Says what they have that Relevo can use, and writes into a directory what starts Relevo and
    what they lack: settings, tokens, policies, rules, jobs and routes. With --apply these are
    added to their files, of which a copy is kept beside each; their own lines stay as they are,
    and whoever is told of an alert today is told of it then. Then --test TARGET sends an alert
    the whole way, to Relevo's first decision.
    """
    if target is not None:
        url = alertmanager_url or next(iter(settings_or_fail().alertmanager_url), _ALERTMANAGER)
        _test(url, target, in_earnest, output)
        return
    try:
        environment = recall(into)
    except BadConfiguration as exc:
        fail(str(exc))
    settings = settings_or_fail()
    given = {
        "RELEVO_PROMETHEUS_URL": prometheus_url,
        # One of a pair that is named again is no other one.
        "RELEVO_ALERTMANAGER_URL": (alertmanager_url or "").rstrip("/")
        not in ("", *settings.alertmanager_url),
        "RELEVO_ALERTMANAGER_RECEIVER": receiver,
        "RELEVO_LISTEN": relevo,
        "RELEVO_URL": relevo,
        "RELEVO_COLLECT_LISTEN": collector,
    }
    is_other = given["RELEVO_ALERTMANAGER_URL"]
    alertmanagers = settings.alertmanager_url or (_ALERTMANAGER,)
    alertmanagers = (alertmanager_url,) if is_other and alertmanager_url else alertmanagers
    found = _or_fail(
        survey(
            prometheus_url or settings.prometheus_url or _PROMETHEUS,
            alertmanager_url or alertmanagers[0],
            receiver or settings.alertmanager_receiver,
        )
    )
    listens = {
        "RELEVO_LISTEN": Address(relevo or settings.listen),
        "RELEVO_COLLECT_LISTEN": Address(collector or settings.collect_listen),
    }
    join = _join(settings, found, into, listens, match, receiver)
    done: list[str] = []
    try:
        kit = write_kit(
            into,
            found,
            join,
            Wish(
                enable=enable,
                alertmanagers=alertmanagers,
                given=[
                    name
                    for name, value in given.items()
                    if value and (name != "RELEVO_COLLECT_LISTEN" or join.collector is not None)
                ],
                wide={name: one for name, one in listens.items() if _is_wide(one, name, join)},
                environment=environment,
                policies=settings.policies,
                tokens=_tokens(settings),
            ),
        )
        done += kit.said
        if applies:
            done += _or_fail(
                apply(
                    kit,
                    found,
                    join,
                    prometheus=prometheus_config,
                    alertmanager=alertmanager_config,
                    anyway=anyway,
                )
            )
            done += [] if found.is_joined else [report.pages()]
            done += report.others(alertmanagers, found.alertmanager_url, kit)
    except BadConfiguration as exc:
        fail(str(exc))
    first = enable[0].rpartition("/")[2] if enable else "TARGET"
    following = report.following(kit, "TARGET" if "*" in first else first, applied=applies)
    answer = {**found.as_json(), "directory": str(kit.directory), "done": done, "next": following}
    told = [
        *report.found(found, join),
        *report.written(kit, done),
        *report.what_next(following),
    ]
    show(answer, output, lambda: told)


def _join(
    settings: Settings,
    found: Survey,
    into: Path,
    listens: Mapping[str, Address],
    match: tuple[str, ...],
    receiver: str | None,
) -> Join:
    told = seen_by_others(into)
    for name, value in listens.items():
        if not _is_address(value):
            fail(f"{name}: {value!r} must be host:port, such as 127.0.0.1:5000")
    relevo = reached_at(listens["RELEVO_LISTEN"], told.get("relevo"))
    collector = reached_at(listens["RELEVO_COLLECT_LISTEN"], told.get(OUR_JOB))
    receiver = receiver or settings.alertmanager_receiver
    if not _is_name(receiver):
        fail(f"RELEVO_ALERTMANAGER_RECEIVER: {receiver!r}: {_NO_NAME}")
    return Join(
        relevo=relevo,
        collector=None if found.container_job else collector,
        receiver=receiver,
        matchers=match or matchers_of(into) or _CRITICAL,
        names=found.names,
    )


def _is_wide(listens: Address, name: str, join: Join) -> bool:
    is_used = name != "RELEVO_COLLECT_LISTEN" or join.collector is not None
    return is_used and is_everywhere(listens)


def _tokens(settings: Settings) -> dict[str, str]:
    held = {"read": settings.token_read, "ingest": settings.token_ingest}
    return {scope: tokens[0].get_secret_value() for scope, tokens in held.items() if tokens}


def _test(alertmanager_url: str, target: str, in_earnest: bool, output: str) -> None:
    def say(line: str) -> None:
        if output != "json":
            click.echo(clean(line))

    try:
        story = asyncio.run(
            with_client(
                lambda client: trial(
                    client, alertmanager_url, target, in_earnest=in_earnest, say=say
                )
            )
        )
    except (NotArrived, SourceUnavailable) as exc:
        fail(str(exc))
    except ApiError as exc:
        fail(f"{exc}\n{hint_for(exc)}".rstrip())
    if output == "json":
        show(story, output, list)


def _or_fail(doing: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(doing)
    except (SourceUnavailable, BadConfiguration) as exc:
        fail(str(exc))
