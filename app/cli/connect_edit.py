"""One file of theirs that is changed: checked, exchanged, loaded, and put back where that fails."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.adapters.foreign_change import Change
from app.adapters.foreign_files import Folder
from app.adapters.join_files import Joined
from app.adapters.monitoring import AboutAlertmanager, AboutPrometheus
from app.adapters.processes import Neighbour
from app.cli.connect_env import shown
from app.cli.connect_place import Companion, Undo, place
from app.errors import BadConfiguration, SourceUnavailable

#: A signal is answered by nothing: the new configuration is looked for.
_LOADED_WITHIN_S: Final = 15.0
_LOOK_S: Final = 0.2


class NotPutBack(BadConfiguration):
    """A file of theirs has changed, and stays so; the message says where the old one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One file of theirs that is to change."""

    about: AboutPrometheus | AboutAlertmanager
    #: As they were given it: what is named in it is looked for beside this path, links and all.
    path: Path
    #: Its directory, and that of the file itself.
    beside: Folder
    home: Folder
    name: str
    before: bytes
    joined: Joined
    neighbour: Neighbour | None
    #: Checks a file: ``promtool check config``.
    checker: tuple[str, ...]
    companions: tuple[Companion, ...]
    #: When it was told to load something, in this run (of the monotonic clock).
    orders: list[float] = field(default_factory=list)

    @property
    def after(self) -> bytes:
        """The file as it is to be."""
        return self.joined.text.encode()


def prepare(edit: Edit, undo: AsyncExitStack, said: list[str]) -> bool:
    """
    Put down what is named in their new file, and have their own program look at that.

    :return: whether rules are new
    """
    like, has_new_rules = edit.home.about(edit.name), False
    assert like is not None, "it was read a moment ago"  # noqa: S101 - an invariant
    with ExitStack() as placed:
        for one in edit.companions:
            told, is_new, back = place(edit.beside, one, reader=edit.neighbour, like=like)
            placed.callback(_removed, edit.beside.path / one.name, back)
            said += [told] if told else []
            has_new_rules = has_new_rules or (is_new and not one.is_secret)
        if has_new_rules:
            # Where it has loaded them by then; this comes after they are as they were.
            undo.push_async_callback(_told_to_load_again, edit)
        undo.callback(placed.pop_all().close)
    program = shutil.which(edit.checker[0])
    if program is not None and edit.joined.added:
        _checked(edit, program)
    return has_new_rules


def _removed(path: Path, back: Undo) -> None:
    try:
        back()
    except OSError as exc:
        raise NotPutBack(f"{path}: could not be taken away again: {exc}") from exc


def _checked(edit: Edit, program: str) -> None:
    trial = f"{edit.path.name}.relevo-trial"
    try:
        edit.beside.put(trial, edit.after, mode=0o600)
        checked = subprocess.run(  # noqa: S603 - found on the PATH of whoever calls
            [program, *edit.checker[1:], str(edit.path.with_name(trial))],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BadConfiguration(f"{edit.path}: cannot be checked: {exc}") from exc
    finally:
        with suppress(OSError):
            edit.beside.remove(trial)
    if checked.returncode != 0:
        lines = "\n".join((checked.stdout + checked.stderr).strip().splitlines()[-6:])
        raise BadConfiguration(
            f"{edit.path}: {edit.checker[0]} does not take it with the additions, so it was left "
            f"as it is:\n{lines}"
        )


async def carry_out(edit: Edit, undo: AsyncExitStack, *, has_new_rules: bool) -> list[str]:
    """
    Exchange the file, and have it loaded.

    :param undo: is told how to put it back, for whatever comes later as well
    :return: what was done, a sentence each
    :raises BadConfiguration: it cannot be written, and is as it was
    :raises SourceUnavailable: it is not loaded
    """
    who, added = edit.about.who, edit.joined.added
    was = await _state(edit)
    if not added:
        if has_new_rules:
            return [
                f"{who}: {edit.path} has it all already; its rules are new",
                f"{who}: {await _load(edit, was)}",
            ]
        await _load(edit, was)
        return [f"{who}: {edit.path} has it all already"]
    change = Change(edit.home, edit.name, edit.before, edit.after)
    undo.push_async_callback(_put_back, edit, change)
    try:
        change.make()
    except OSError as exc:
        raise BadConfiguration(f"{edit.home.path / edit.name}: cannot be written: {exc}") from exc
    assert change.copy is not None, "it was made"  # noqa: S101 - an invariant
    kept = edit.home.path / change.copy
    said = f"{who}: added to {edit.path}: {', '.join(added)} (before: {kept})"
    return [said, f"{who}: {await _load(edit, was)}"]


async def _put_back(edit: Edit, change: Change) -> None:
    try:
        was_changed = change.undo()
    except OSError as exc:
        kept = f": {edit.home.path / change.copy} is what it was" if change.copy else ""
        raise NotPutBack(
            f"{edit.home.path / edit.name}: could not be put back ({exc}){kept}"
        ) from exc
    if was_changed:
        await _told_to_load_if_it_answers(edit)


async def _told_to_load_again(edit: Edit) -> None:
    # Whoever was not told has nothing of ours; a person's edit may wait there to be loaded.
    if edit.orders:
        await _told_to_load_if_it_answers(edit)


async def _told_to_load_if_it_answers(edit: Edit) -> None:
    with suppress(SourceUnavailable):  # it goes on with what it had
        await _told_to_load(edit)


async def _state(edit: Edit) -> tuple[str, float | None]:
    """What it has loaded, and when."""
    return await edit.about.configuration(), await edit.about.loaded_at()


async def _load(edit: Edit, was: tuple[str, float | None]) -> str:
    who = edit.about.who
    pid = await _told_to_load(edit)
    if pid is None:
        unproven = shutil.which(edit.checker[0]) is None and edit.joined.added
        return (
            f"must be told to load it: kill -HUP its process, systemctl reload {who.lower()}, or "
            "docker kill -s HUP its container (docker restart, where it has this one file mounted: "
            f"it keeps the old one); then see that {shown(edit.about.url)} shows it as its "
            "configuration"
            + (f" ({edit.checker[0]} is not here, so nobody has checked it)" if unproven else "")
        )
    if not await _within(lambda: _is_loaded(edit, was, is_answered=pid == 0)):
        raise SourceUnavailable(
            f"{who} at {edit.about.url} was told to load {edit.path} and has not: its log says "
            "why, or it reads another file (a container that has this one file mounted keeps the "
            "old one: mount its directory)"
        )
    return "has loaded it" + (f" (SIGHUP to process {pid})" if pid else "")


async def _told_to_load(edit: Edit) -> int | None:
    """Tell it; None: nobody here can. 0: it has answered that it did; else whom was signalled."""
    edit.orders.append(time.monotonic())
    if await edit.about.reload():
        return 0
    one = edit.neighbour
    if one is not None and one.is_proven and _signalled(one):
        return one.pid
    return None


def _signalled(one: Neighbour) -> bool:
    try:
        one.reload()
    except OSError:
        return False
    return True


async def _is_loaded(edit: Edit, was: tuple[str, float | None], *, is_answered: bool) -> bool:
    """Tell whether it is the new one: it has what was added, and was loaded after we asked."""
    now, at = await _state(edit)
    if not all(sign in now for sign in edit.joined.signs):
        return False
    if is_answered or not edit.joined.added:
        return True
    before, before_at = was
    return at != before_at if None not in (at, before_at) else now != before


async def _within(look: Callable[[], Awaitable[bool]]) -> bool:
    for _ in range(round(_LOADED_WITHIN_S / _LOOK_S)):
        if await look():
            return True
        await asyncio.sleep(_LOOK_S)
    return False
