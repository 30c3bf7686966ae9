"""``relevo connect --apply``: adds what is missing to their files, and has both load it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from app.adapters.join_files import RULE_FILE, Join, Joined, join_alertmanager, join_prometheus
from app.adapters.monitoring import AboutAlertmanager, AboutPrometheus
from app.adapters.processes import Neighbour
from app.cli.connect_files import Kit
from app.cli.connect_survey import Survey
from app.errors import BadConfiguration, SourceUnavailable

_OURS: Final = "relevo_token_"
#: A signal is answered by nothing: the new configuration is looked for.
_LOADED_WITHIN_S: Final = 15.0
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """One file of theirs that is to change."""

    about: AboutPrometheus | AboutAlertmanager
    path: Path
    before: str
    joined: Joined
    neighbour: Neighbour | None
    #: Checks a file: ``promtool check config``.
    checker: tuple[str, ...]
    #: What the loaded configuration holds when it is the new one.
    sign: str
    #: Beside it, by name.
    companions: dict[str, Path]


async def apply(
    kit: Kit, found: Survey, join: Join, *, prometheus: Path | None, alertmanager: Path | None
) -> list[str]:
    """
    Add, check, load; a file that cannot be loaded is put back as it was.

    :param prometheus: its configuration file, where it cannot be found out
    :param alertmanager: the same
    :return: what was done, a sentence each
    :raises BadConfiguration: nothing was changed, or what was changed is as before
    :raises SourceUnavailable: as that
    """
    _reachable(found, join)
    said = []
    async with httpx.AsyncClient() as client:
        edits = _edits(client, kit, found, join, prometheus, alertmanager)
        for edit in edits:
            await asyncio.to_thread(_check, edit)
        for edit in edits:
            said += await _carry_out(edit)
    return said


def _edits(
    client: httpx.AsyncClient,
    kit: Kit,
    found: Survey,
    join: Join,
    prometheus: Path | None,
    alertmanager: Path | None,
) -> list[_Edit]:
    """Work out both before either is touched."""
    path = _file(prometheus, found.prometheus, "Prometheus", "--prometheus-config")
    text = _read(path)
    sends_to = None if found.sends_alerts else urlsplit(found.alertmanager_url).netloc
    one = _Edit(
        about=AboutPrometheus(found.prometheus_url, client),
        path=path,
        before=text,
        joined=join_prometheus(text, str(path), join, alertmanager=sends_to),
        neighbour=found.prometheus,
        checker=("promtool", "check", "config"),
        sign="job_name: relevo\n",
        companions={RULE_FILE: kit.rules, join.read_token_file: kit.token("read")},
    )
    path = _file(alertmanager, found.alertmanager, "Alertmanager", "--alertmanager-config")
    text = _read(path)
    other = _Edit(
        about=AboutAlertmanager(found.alertmanager_url, client),
        path=path,
        before=text,
        joined=join_alertmanager(text, str(path), join),
        neighbour=found.alertmanager,
        checker=("amtool", "check-config"),
        sign=f"receiver: {join.receiver}\n",
        companions={join.ingest_token_file: kit.token("ingest")},
    )
    return [one, other]


def _reachable(found: Survey, join: Join) -> None:
    """Refuse what cannot work: loopback, seen from a network of its own, is another place."""
    host = join.relevo.rpartition(":")[0]
    for who, one in (("Prometheus", found.prometheus), ("Alertmanager", found.alertmanager)):
        if one is not None and not one.shares_network and host in ("127.0.0.1", "localhost"):
            raise BadConfiguration(
                f"{who} runs in a network of its own, where {join.relevo} is not Relevo: give "
                "--relevo HOST:PORT (and --collector) as it can reach them, such as the address "
                "of this host on Docker's bridge"
            )


def _file(given: Path | None, one: Neighbour | None, who: str, option: str) -> Path:
    if given is not None:
        return given.resolve()
    if one is not None and one.config_file is not None:
        return one.config_file.resolve()
    raise BadConfiguration(
        f"which file {who} reads cannot be found out from here (it runs elsewhere, or in a "
        f"container): name it with {option} FILE"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadConfiguration(f"{path}: cannot be read: {exc}") from exc


def _check(edit: _Edit) -> None:
    """Have their own program look at the new file, where it is here; theirs is untouched yet."""
    program = shutil.which(edit.checker[0])
    for name, source in edit.companions.items():
        _place(edit, name, _read(source))
    if program is None or not edit.joined.added:
        return
    trial = edit.path.with_name(f"{edit.path.name}.relevo-trial")
    try:
        _place(edit, trial.name, edit.joined.text)
        checked = subprocess.run(  # noqa: S603 - found on the PATH of whoever calls
            [program, *edit.checker[1:], str(trial)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        trial.unlink(missing_ok=True)
    if checked.returncode != 0:
        said = "\n".join((checked.stdout + checked.stderr).strip().splitlines()[-6:])
        raise BadConfiguration(
            f"{edit.path}: {edit.checker[0]} does not take it with the additions, so it was left "
            f"as it is:\n{said}"
        )


async def _carry_out(edit: _Edit) -> list[str]:
    who = edit.about.who
    if not edit.joined.added:
        # The rules beside it may be newer than those that are loaded.
        await _load(edit)
        return [f"{who}: {edit.path} has it all already"]
    backup = _backup(edit.path)
    try:
        shutil.copy2(edit.path, backup)
        # Into the same file: a container may have just this one mounted, and it keeps its owner.
        edit.path.write_text(edit.joined.text, encoding="utf-8")
    except OSError as exc:
        raise BadConfiguration(f"{edit.path}: cannot be written: {exc}") from exc
    said = [f"{who}: added to {edit.path}: {', '.join(edit.joined.added)} (before: {backup.name})"]
    try:
        how = await _load(edit)
    except SourceUnavailable as exc:
        edit.path.write_text(edit.before, encoding="utf-8")
        with suppress(SourceUnavailable):  # it goes on with what it had
            await _told_to_load(edit)
        raise SourceUnavailable(f"{exc}\n{edit.path} is as it was before") from exc
    return [*said, f"{who}: {how}"]


async def _load(edit: _Edit) -> str:
    who = edit.about.who
    how = await _told_to_load(edit)
    if how is None:
        return (
            f"must be told to load it: kill -HUP its process, systemctl reload "
            f"{who.lower()}, or docker kill -s HUP its container"
        )
    if edit.joined.added and not await _within(lambda: _is_loaded(edit)):
        raise SourceUnavailable(
            f"{who} at {edit.about.url} was told to load {edit.path} and has not: its log says "
            "why, or it reads another file"
        )
    return how


async def _told_to_load(edit: _Edit) -> str | None:
    """Tell it; None: nobody here can."""
    if await edit.about.reload():
        return "has loaded it"
    if edit.neighbour is not None and _signalled(edit.neighbour):
        return f"has loaded it (SIGHUP to process {edit.neighbour.pid})"
    return None


def _signalled(one: Neighbour) -> bool:
    try:
        one.reload()
    except OSError:
        return False
    return True


async def _is_loaded(edit: _Edit) -> bool:
    return edit.sign in await edit.about.configuration()


async def _within(look: Callable[[], Awaitable[bool]]) -> bool:
    for _ in range(round(_LOADED_WITHIN_S / _LOOK_S)):
        if await look():
            return True
        await asyncio.sleep(_LOOK_S)
    return False


def _place(edit: _Edit, name: str, text: str) -> None:
    """Put a file beside theirs, for them to read: a token for nobody else."""
    path, like = edit.path.with_name(name), edit.path.stat()
    is_secret = name.startswith(_OURS)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if os.geteuid() == 0:
            # Who they run as is known of processes on this machine; else, whom the file is for.
            owner = edit.neighbour or None
            os.chown(path, *((owner.uid, owner.gid) if owner else (like.st_uid, like.st_gid)))
            if is_secret and owner is not None:
                return
        path.chmod(like.st_mode & 0o666)
    except OSError as exc:
        raise BadConfiguration(f"{path}: cannot be written: {exc}") from exc


def _backup(path: Path) -> Path:
    """Find a name that is free: the first backup is the most precious one."""
    number = 1
    while True:
        name = f"{path.name}.before-relevo" + ("" if number == 1 else f".{number}")
        if not path.with_name(name).exists():
            return path.with_name(name)
        number += 1
