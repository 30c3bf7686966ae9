"""``relevo connect``: joins an existing Prometheus and Alertmanager to Relevo, observing first."""

import asyncio
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from app.adapters.alertmanager_routes import UnreadableRoutes, ways
from app.adapters.join_files import Join
from app.cli.asking import (
    clean,
    fail,
    hint_for,
    output_option,
    settings_or_fail,
    show,
    table,
    with_client,
)
from app.cli.client import ApiError
from app.cli.connect_apply import apply
from app.cli.connect_files import Kit, command_line, write_kit
from app.cli.connect_survey import RuleSeen, Survey, reaches, survey
from app.cli.connect_trial import NotArrived, trial
from app.errors import BadConfiguration, SourceUnavailable
from app.settings import Settings

T = TypeVar("T")

_PROMETHEUS: Final = "http://127.0.0.1:9090"
_ALERTMANAGER: Final = "http://127.0.0.1:9093"
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def _address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if (
        value is not None
        and re.fullmatch(r"[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", value) is None
    ):
        raise click.BadParameter(f"{value!r} must be host:port, such as 172.17.0.1:5000")
    return value


def _name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and re.fullmatch(r"[A-Za-z][\w.-]*", value) is None:
        raise click.BadParameter("letters, digits, '_', '.' and '-' only, a letter first")
    return value


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
    default=('severity="critical"',),
    show_default=True,
    callback=_matchers,
    help="Which alerts Relevo is told of, as Alertmanager's matchers. Repeatable.",
)
@click.option("--receiver", callback=_name, help="RELEVO_ALERTMANAGER_RECEIVER, or relevo.")
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
    settings = settings_or_fail()
    alertmanager_url = alertmanager_url or next(iter(settings.alertmanager_url), _ALERTMANAGER)
    if target is not None:
        _test(alertmanager_url, target, in_earnest, output)
        return
    prometheus_url = prometheus_url or settings.prometheus_url or _PROMETHEUS
    receiver = receiver or settings.alertmanager_receiver
    found = _or_fail(survey(prometheus_url, alertmanager_url, receiver))
    join = _join(settings, found, relevo, collector, match, receiver)
    done: list[str] = []
    try:
        kit = write_kit(into, found, join, enable=enable)
        if applies:
            done = _or_fail(
                apply(
                    kit,
                    found,
                    join,
                    prometheus=prometheus_config,
                    alertmanager=alertmanager_config,
                )
            )
    except BadConfiguration as exc:
        fail(str(exc))
    first = enable[0].rpartition("/")[2] if enable else "TARGET"
    following = _following(kit, first, applied=applies)
    answer = {**found.as_json(), "directory": str(kit.directory), "done": done, "next": following}
    show(answer, output, lambda: [*_found(found, join), *_written(kit, done), *_next(following)])


def _join(
    settings: Settings,
    found: Survey,
    relevo: str | None,
    collector: str | None,
    match: tuple[str, ...],
    receiver: str,
) -> Join:
    return Join(
        relevo=relevo or str(settings.listen),
        collector=None if found.container_job else collector or str(settings.collect_listen),
        receiver=receiver,
        matchers=match,
        names=found.names,
    )


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


def _found(found: Survey, join: Join) -> list[str]:
    lines = [f"Prometheus    {found.prometheus_url}", f"Alertmanager  {found.alertmanager_url}"]
    if found.container_job is not None:
        lines.append(f"  series of containers: by job {found.container_job}, as they are")
    elif found.nameless:
        lines.append(
            "  series of containers: without names, so nobody can tell whose they are (cAdvisor "
            "cannot ask Docker): Relevo's collector brings its own"
        )
    else:
        lines.append("  series of containers: none; Relevo's collector brings them")
    if not found.rules:
        lines.append("  alert rules about containers: none; Relevo brings those for CPU and memory")
        return lines
    lines.append("  alert rules about containers:")
    rows = [["RULE", "SEVERITY", "NAMES IT BY", "TO RELEVO"]]
    rows += [
        [rule.name, rule.labels.get("severity", "-"), rule.names_by or "-", _verdict(rule, join)]
        for rule in found.rules
    ]
    return lines + table(rows, indent="    ")


def _verdict(rule: RuleSeen, join: Join) -> str:
    if rule.blind is not None:
        return f"no: it never fires, {rule.blind} finds no series"
    if rule.names_by is None:
        return "no: its alerts name no container; keep the label name (sum by (name) …)"
    return "yes" if reaches(rule, join) else f"no: it is not {' and '.join(join.matchers)}"


def _written(kit: Kit, done: list[str]) -> list[str]:
    lines = ["", f"Written to {kit.directory}: settings, tokens, policies, rules, snippets"]
    return [*lines, *done]


def _following(kit: Kit, target: str, *, applied: bool) -> list[str]:
    relevo = f"{command_line()} --env-file {kit.env}"
    if not applied:
        return [
            f"add {kit.directory}/*.snippet.yml to their files, or do all this again with --apply",
        ]
    return [f"sh {kit.directory}/run.sh", f"{relevo} connect --test {target}"]


def _next(following: list[str]) -> list[str]:
    return ["", *(f"{'next' if n == 0 else 'then':6}{line}" for n, line in enumerate(following))]
