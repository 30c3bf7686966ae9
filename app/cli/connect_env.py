"""``relevo.env``: the settings that ``relevo connect`` writes once; then they are a person's."""

import os
import re
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from app.adapters.join_files import Join
from app.adapters.yaml_insert import load
from app.cli.env_file import read_env_file
from app.errors import BadConfiguration
from app.settings import Address

_HEAD: Final = "# Written by relevo connect. RELEVO_MODE=enforce: from then on Relevo acts.\n"
#: Listened on, it is all addresses; asked for, none that another could reach.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def recall(directory: Path) -> Mapping[str, str]:
    """
    Put what an earlier ``connect`` wrote into the environment, as ``--env-file`` does.

    :return: the environment as it was before
    :raises BadConfiguration: that file cannot be read
    """
    before = dict(os.environ)
    file = directory / "relevo.env"
    if file.exists():
        read_env_file(file)
        for name, value in os.environ.items() - before.items():
            # A token that was removed is made anew.
            is_token = name.startswith("RELEVO_TOKEN_") or name == "RELEVO_TOKEN_FILE"
            if is_token and name.endswith("_FILE") and not Path(value).exists():
                del os.environ[name]
    return before


def seen_by_others(directory: Path) -> Mapping[str, str]:
    """Tell the ``host:port`` of each job that an earlier ``connect`` has written."""
    try:
        text = (directory / "prometheus.snippet.yml").read_text(encoding="utf-8")
        found = load(text, "the snippet").get("scrape_configs") or ()
        return {one["job_name"]: one["static_configs"][0]["targets"][0] for one in found}
    except (OSError, UnicodeDecodeError, BadConfiguration, KeyError, IndexError, TypeError):
        return {}


def matchers_of(directory: Path) -> tuple[str, ...]:
    """Tell which alerts an earlier ``connect`` was asked to send; empty: none was."""
    try:
        text = (directory / "alertmanager.snippet.yml").read_text(encoding="utf-8")
        route = load(text, "the snippet")["route"]["routes"][1]
        # The last two are ours: no alert about Relevo, and a container's name.
        return tuple(str(one) for one in route["matchers"][:-2])
    except (OSError, UnicodeDecodeError, BadConfiguration, KeyError, IndexError, TypeError):
        return ()


def reached_at(listens: Address, before: str | None) -> str:
    """
    Tell where others reach what listens there.

    :param before: what they were told by an earlier ``connect``; its host, where all are listened
        on
    """
    if not is_everywhere(listens):
        return str(listens)
    told = None if before is None or is_everywhere(Address(before)) else before.rpartition(":")[0]
    return f"{told or _EVERYWHERE[listens.host]}:{listens.port}"


def is_everywhere(address: Address) -> bool:
    """Tell whether it is all addresses of a host: to listen on, not to be reached at."""
    return address.host in _EVERYWHERE


def addresses(join: Join, wide: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """
    Listen where the others look, and nowhere else where that can be helped.

    :param wide: settings that a person wants to be all addresses
    """
    found = dict(wide or {})
    relevo = Address(found.setdefault("RELEVO_LISTEN", str(_listens(join.relevo))))
    here = _EVERYWHERE.get(relevo.host, relevo.rpartition(":")[0])
    found["RELEVO_URL"] = f"http://{here}:{relevo.port}"
    if join.collector is not None:
        found.setdefault("RELEVO_COLLECT_LISTEN", str(_listens(join.collector)))
    return found


def _listens(given: str) -> Address:
    address = Address(given)
    if address.is_loopback or is_of_this_host(address.host):
        return address
    # A name, or an address that leads here by way of another host.
    return Address(f"0.0.0.0:{address.port}")


def is_of_this_host(host: str) -> bool:
    """Tell whether an address (not a name) is one of this host: whether it can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
        with socket.socket(family) as one:
            one.bind((host, 0))
    except OSError:
        return False
    return True


def settle(
    there: str | None,
    ours: Mapping[str, str],
    *,
    environment: Mapping[str, str],
    given: Collection[str],
) -> tuple[str, str]:
    """
    Write the settings, or what of them is new.

    What a person has set, changed or taken out stays so; a name that is not there has its default,
    and putting ``RELEVO_MODE=observe`` back would end all healing without a word.

    :param there: the file as it is
    :param ours: what a first one holds
    :param environment: of this command: what was set for it holds for those that are started with
        the file as well
    :param given: names of `ours` that were asked for now, by an option
    :return: the file as it is to be, and what to say about it
    """
    theirs = {
        name: value
        for name, value in environment.items()
        if (name.startswith("RELEVO_") or name == "DOCKER_HOST")
        and not {name, name.removesuffix("_FILE"), f"{name}_FILE"} & ours.keys()
        and not name.startswith("RELEVO_ENV")
    }
    held = _held(there or "")
    if not held:
        return _HEAD + _lines({**ours, **theirs}), ""
    changed = {name: ours[name] for name in given if held.get(name, ours[name]) != ours[name]}
    added = {
        name: value
        for name, value in ({name: ours[name] for name in given} | theirs).items()
        if not {name, name.removesuffix("_FILE"), f"{name}_FILE"} & held.keys()
    }
    lines = []
    for line in (there or "").splitlines(keepends=True):
        name = line.partition("=")[0].strip()
        lines.append(f"{name}={changed[name]}\n" if name in changed else line)
    text = "".join(lines)
    text += "\n" if added and not text.endswith("\n") else ""
    return text + _lines(added), _told(held, changed, added, environment)


def _told(
    held: Mapping[str, str],
    changed: Mapping[str, str],
    added: Mapping[str, str],
    environment: Mapping[str, str],
) -> str:
    kept = held.keys() - changed.keys()
    mode = held.get("RELEVO_MODE", "not set, which is enforce")
    said = f"relevo.env: {len(kept)} settings kept as they are (RELEVO_MODE: {mode})"
    if changed:
        said += f"; changed: {', '.join(f'{n}={shown(v)}' for n, v in sorted(changed.items()))}"
    if added:
        said += f"; added: {', '.join(sorted(added))}"
    differ = sorted(n for n in kept & environment.keys() if environment[n] != held[n])
    if differ:
        said += f"; not taken over from the environment: {', '.join(differ)}"
    return said


def shown(url: str) -> str:
    """Show a URL, or several, without users and passwords."""
    return re.sub(r"//[^/\s,]*@", "//", url)


def _held(text: str) -> dict[str, str]:
    """Read it as `read_env_file` does; that has refused what is no ``NAME=VALUE``."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name and not name.startswith("#"):
            found[name] = value.strip().strip("'\"")
    return found


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))
