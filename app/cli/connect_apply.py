"""``relevo connect --apply``: adds what is missing to their files, and has both load it."""

import asyncio
import re
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx

from app.adapters.foreign_files import Folder
from app.adapters.foreign_paths import real
from app.adapters.join_files import RULE_FILE, Join, Joined, join_alertmanager, join_prometheus
from app.adapters.monitoring import AboutAlertmanager, AboutPrometheus
from app.adapters.processes import Neighbour
from app.cli.connect_edit import Edit, NotPutBack, carry_out, prepare
from app.cli.connect_env import is_everywhere
from app.cli.connect_files import Kit
from app.cli.connect_place import Companion
from app.cli.connect_survey import Survey
from app.errors import BadConfiguration, SourceUnavailable
from app.settings import Address

#: The first that know `authorization`, and Alertmanager's `matchers` as well.
_LEAST: Final = {"Prometheus": (2, 26), "Alertmanager": (0, 22)}


async def apply(
    kit: Kit,
    found: Survey,
    join: Join,
    *,
    prometheus: Path | None,
    alertmanager: Path | None,
    anyway: bool,
) -> list[str]:
    """
    Add, check, load; all of it, or both are put back as they were, whatever comes in between.

    :param prometheus: its configuration file, where it cannot be found out
    :param alertmanager: the same
    :param anyway: also where people are notified anew of what fires now
    :return: what was done, a sentence each
    :raises BadConfiguration: nothing was changed, or what was changed is as before
    :raises SourceUnavailable: as that
    """
    _reachable(found, join)
    _end_politely()
    said: list[str] = []
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        edits = await _edits(stack, client, kit, found, join, prometheus, alertmanager)
        _not_too_loud(edits[1].joined, anyway=anyway)
        try:
            async with AsyncExitStack() as undo:
                fresh = [prepare(edit, undo, said) for edit in edits]
                for edit, has_new_rules in zip(edits, fresh, strict=True):
                    said += await carry_out(edit, undo, has_new_rules=has_new_rules)
                undo.pop_all()
        except NotPutBack as exc:
            raise NotPutBack("\n".join(_all_said(exc))) from exc
        except (BadConfiguration, SourceUnavailable) as exc:
            files = " and ".join(str(edit.path) for edit in edits)
            raise type(exc)(f"{exc}\n{files} are as they were before") from exc
    return said


def _all_said(exc: BaseException | None) -> list[str]:
    """Tell what went wrong while something else did as well, the first of it first."""
    found: list[str] = []
    while exc is not None:
        if isinstance(exc, (BadConfiguration, SourceUnavailable)):
            found.insert(0, str(exc))
        exc = exc.__context__
    return found


def _end_politely() -> None:
    """A terminal that is closed, a polite kill: as with Ctrl-C, all is put back first."""
    task = asyncio.current_task()
    if task is not None:
        for one in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(one, task.cancel)


async def _edits(
    stack: AsyncExitStack,
    client: httpx.AsyncClient,
    kit: Kit,
    found: Survey,
    join: Join,
    prometheus: Path | None,
    alertmanager: Path | None,
) -> list[Edit]:
    """Work out both before either is touched."""

    def edit(
        about: AboutPrometheus | AboutAlertmanager,
        path: Path,
        joined: Callable[[str], Joined],
        neighbour: Neighbour | None,
        checker: tuple[str, ...],
        *companions: Companion,
    ) -> Edit:
        file = real(path)
        try:
            home = stack.enter_context(Folder(file.parent))
            beside = stack.enter_context(Folder(real(path.parent)))
            before = home.read(file.name)
            text = before.decode()
        except (OSError, UnicodeDecodeError) as exc:
            raise BadConfiguration(f"{path}: cannot be read: {exc}") from exc
        return Edit(
            about=about,
            path=path,
            beside=beside,
            home=home,
            name=file.name,
            before=before,
            joined=joined(text),
            neighbour=neighbour,
            checker=checker,
            companions=companions,
        )

    one, other = (
        AboutPrometheus(found.prometheus_url, client),
        AboutAlertmanager(found.alertmanager_url, client),
    )
    await _new_enough(one)
    await _new_enough(other)
    firing = await other.firing()
    first = _file(prometheus, found.prometheus, "Prometheus", "--prometheus-config")
    second = _file(alertmanager, found.alertmanager, "Alertmanager", "--alertmanager-config")
    known = not kit.is_new
    sends_to = None if found.sends_alerts else found.alertmanager_url
    return [
        edit(
            one,
            first,
            lambda text: join_prometheus(text, str(first), join, alertmanager=sends_to),
            found.prometheus,
            ("promtool", "check", "config"),
            Companion(RULE_FILE, _text(kit.rules), is_secret=False),
            Companion(
                join.read_token_file,
                f"{kit.secret('read').strip()}\n",
                is_secret=True,
                is_known=known,
            ),
        ),
        edit(
            other,
            second,
            lambda text: join_alertmanager(text, str(second), join, firing=firing),
            found.alertmanager,
            ("amtool", "check-config"),
            Companion(
                join.ingest_token_file,
                f"{kit.secret('ingest').strip()}\n",
                is_secret=True,
                is_known=known,
            ),
        ),
    ]


async def _new_enough(about: AboutPrometheus | AboutAlertmanager) -> None:
    version, least = await about.version(), _LEAST[about.who]
    if is_older(version, least):
        raise BadConfiguration(
            f"{about.who} is version {version}: it needs {'.'.join(map(str, least))} or later, "
            "and would not start with the additions"
        )


def is_older(version: str, least: tuple[int, int]) -> bool:
    """Compare a version with the least that will do; one that cannot be read is new enough."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < least


def _not_too_loud(joined: Joined, *, anyway: bool) -> None:
    if joined.anew and not anyway:
        alerts = "alert that fires" if joined.anew == 1 else "alerts that fire"
        raise BadConfiguration(
            f"{joined.anew} {alerts} now would be notified once more, since a route of yours moves "
            "(whoever opens an incident for each group of alerts opens another): do it when it is "
            "quiet, or add --yes"
        )


def _reachable(found: Survey, join: Join) -> None:
    """Refuse what cannot work: loopback, seen from a network of its own, is another place."""
    looks = (
        ("Prometheus", found.prometheus, join.relevo),
        ("Prometheus", found.prometheus, join.collector),
        ("Alertmanager", found.alertmanager, join.relevo),
    )
    for who, one, at in looks:
        if one is None or at is None or one.shares_network:
            continue
        if Address(at).is_loopback or is_everywhere(Address(at)):
            what = "Relevo" if at == join.relevo else "its collector"
            raise BadConfiguration(
                f"{who} runs in a network of its own, where {at} is not {what}: give "
                "--relevo HOST:PORT (and --collector) as it can reach them, such as the address "
                "of this host on Docker's bridge"
            )


def _file(given: Path | None, one: Neighbour | None, who: str, option: str) -> Path:
    if given is not None:
        return given.absolute()
    if one is not None and one.config_file is not None:
        return one.config_file.absolute()
    raise BadConfiguration(
        f"which file {who} reads cannot be found out from here (it runs elsewhere, or in a "
        f"container): name it with {option} FILE"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadConfiguration(f"{path}: cannot be read: {exc}") from exc
