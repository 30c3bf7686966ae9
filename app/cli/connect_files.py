"""The directory that ``relevo connect`` writes: settings, tokens, policies, rules, snippets."""

import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from app.adapters.foreign_files import Folder
from app.adapters.foreign_paths import real
from app.adapters.join_files import NOBODY, RULE_FILE, Join, jobs, own_receivers, own_routes
from app.adapters.yaml_insert import add, load
from app.cli.connect_env import addresses, settle
from app.cli.connect_mark import is_unchanged, marked
from app.cli.connect_survey import Survey
from app.errors import BadConfiguration

TOKENS: Final = ("ingest", "read", "operate")
_NO_POLICIES: Final = """\
# Written by relevo connect; docs/configuration.md has all keys.
version: 1
"""
_RUN: Final = """\
#!/bin/sh
# Relevo{and_collector}, until it is stopped (Ctrl-C, or SIGTERM).
cd {directory} || exit 1
{collector}{relevo} --env-file relevo.env serve & controller=$!
trap 'kill $controller {pid} 2>/dev/null' INT TERM
wait $controller
status=$?
kill {pid} 2>/dev/null
wait
exit $status
"""
_UNIT: Final = """\
# systemctl enable --now {path}
[Unit]
Description={description}
After=docker.service

[Service]
WorkingDirectory={directory}
ExecStart={command}
Restart=always

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Kit:
    """The directory."""

    directory: Path
    #: What a person should know of it, a sentence each.
    said: tuple[str, ...] = ()
    #: It was written for the first time.
    is_new: bool = False
    #: Tokens that Relevo has instead of those in the directory, by scope.
    held: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> Path:
        """The settings."""
        return self.directory / "relevo.env"

    @property
    def rules(self) -> Path:
        """The rules for Prometheus."""
        return self.directory / RULE_FILE

    def token(self, scope: str) -> Path:
        """The file with the token of a scope."""
        return self.directory / f"relevo_token_{scope}"

    def secret(self, scope: str) -> str:
        """The token of a scope. :raises BadConfiguration: its file cannot be read"""
        try:
            return self.held.get(scope) or self.token(scope).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise BadConfiguration(f"{self.token(scope)}: cannot be read: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for, and what is there."""

    #: Containers to opt in: ``NAME``, or ``PROJECT/SERVICE`` of Compose.
    enable: Sequence[str] = ()
    #: All of a pair.
    alertmanagers: Sequence[str] = ()
    #: Settings that were asked for by an option.
    given: Collection[str] = ()
    #: Those by which Relevo listens on all addresses.
    wide: Mapping[str, str] = field(default_factory=dict)
    #: The environment of the command.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: The policy file that Relevo reads; None: the one in the directory.
    policies: Path | None = None
    #: Tokens that Relevo has, by scope.
    tokens: Mapping[str, str] = field(default_factory=dict)


def write_kit(directory: Path, found: Survey, join: Join, wish: Wish) -> Kit:
    """
    Write it. Settings, tokens and policies that are there are a person's: they are added to.

    :raises BadConfiguration: it cannot be written, and each file of it is whole
    """
    kit, said = Kit(directory.resolve()), []
    try:
        kit.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = _text(kit.env)
        first = there is None
        env, told = settle(
            there,
            _env(kit, found, join, wish),
            environment=wish.environment,
            given=wish.given,
        )
        said += [told] if told else []
        policies = (None if first else wish.policies) or kit.directory / "policies.yml"
        listed = _text(policies) or _NO_POLICIES
        with Folder(real(kit.directory)) as folder:
            for scope in TOKENS:
                if not kit.token(scope).exists():
                    _write(folder, kit.token(scope).name, f"{secrets.token_hex(32)}\n", 0o600)
            _keep(policies, _policies(listed, str(policies), wish.enable), 0o644)
            _keep(kit.env, env, 0o600)
            _write(folder, "prometheus.snippet.yml", _prometheus(join))
            _write(folder, "alertmanager.snippet.yml", _alertmanager(join))
            for name, text, mode in _generated(kit, found, join):
                old = _text(kit.directory / name)
                if old is None or is_unchanged(old):
                    _write(folder, name, marked(text), mode)
                elif old != marked(text):
                    said.append(f"{kit.directory / name}: you have changed it, so it stays")
    except OSError as exc:
        raise BadConfiguration(f"--into: cannot write to {kit.directory}: {exc}") from exc
    return Kit(kit.directory, tuple(said), first, {} if first else wish.tokens)


def _generated(kit: Kit, found: Survey, join: Join) -> Iterator[tuple[str, str, int]]:
    """Make what is written anew each time, until a person changes it: name, text, mode."""
    yield RULE_FILE, shipped_rules(found.container_job), 0o644
    yield "run.sh", _run(kit, join), 0o755
    for command, what in (("serve", "Relevo"), ("collect", "Relevo's container collector")):
        if command == "serve" or join.collector is not None:
            name = f"relevo-{command}.service"
            yield name, _unit(kit, kit.directory / name, command, what), 0o644


def shipped_rules(container_job: str | None) -> str:
    """
    Read the rules; each group at the pace that they are made for.

    :param container_job: who has the series of containers; None: Relevo's collector
    """
    text = resources.files("app.cli").joinpath("shipped/alert_rules.yml").read_text("utf-8")
    text = text.replace("\n    rules:\n", "\n    interval: 15s\n    rules:\n")
    if container_job is not None:
        text = text.replace('job="relevo-containers"', f'job="{container_job}"')
    return text


def _env(kit: Kit, found: Survey, join: Join, wish: Wish) -> dict[str, str]:
    alertmanagers = wish.alertmanagers or (found.alertmanager_url,)
    return {
        "RELEVO_MODE": "observe",
        "RELEVO_DATA_DIR": str(kit.directory / "data"),
        "RELEVO_POLICIES": str(kit.directory / "policies.yml"),
        "RELEVO_PROMETHEUS_URL": found.prometheus_url,
        "RELEVO_ALERTMANAGER_URL": ",".join(alertmanagers),
        "RELEVO_ALERTMANAGER_RECEIVER": join.receiver,
        **{f"RELEVO_TOKEN_{scope.upper()}_FILE": str(kit.token(scope)) for scope in TOKENS},
        "RELEVO_TOKEN_FILE": str(kit.token("operate")),
        **addresses(join, wish.wide),
    }


def _policies(text: str, source: str, enable: Sequence[str]) -> str:
    """Add containers to those that have opted in."""
    there = load(text, source).get("enable") or []
    for one in enable:
        project, slash, service = one.partition("/")
        wish = {"project": project, "service": service} if slash else {"name": one}
        if wish not in there:
            words = ", ".join(f"{key}: {_yaml(value)}" for key, value in wish.items())
            text = add(text, source, ["enable"], f"- {{{words}}}")
    return text


def _prometheus(join: Join) -> str:
    return (
        "# For prometheus.yml. Beside it: relevo_token_read and relevo_rules.yml.\n"
        f"rule_files:\n  - {RULE_FILE}\nscrape_configs:\n{_indented(''.join(jobs(join).values()))}"
    )


def _alertmanager(join: Join) -> str:
    return (
        "# For alertmanager.yml. Beside it: relevo_token_ingest. These routes come before yours,\n"
        "# and after yours one for whatever none of yours takes: with `continue` on the last\n"
        "# route, or on an only one, your own receiver would be told nothing.\n"
        f"#   - receiver: <the receiver of your top route>\n"
        f"route:\n  routes:\n{_indented(own_routes(join), 4)}"
        f"receivers:\n{_indented(own_receivers(join))}"
        f"# {NOBODY} takes RelevoWatchdog: it always fires, and proves that the chain works.\n"
    )


def _run(kit: Kit, join: Join) -> str:
    relevo = shlex.join(command_words())
    collector = f"{relevo} --env-file relevo.env collect & collector=$!\n"
    return _RUN.format(
        directory=shlex.quote(str(kit.directory)),
        relevo=relevo,
        collector=collector if join.collector is not None else "",
        and_collector=" and its collector" if join.collector is not None else "",
        pid="$collector" if join.collector is not None else "",
    )


def _unit(kit: Kit, path: Path, command: str, description: str) -> str:
    words = [*command_words(), "--env-file", str(kit.env), command]
    return _UNIT.format(
        path=shlex.quote(str(path)),
        description=description,
        directory=str(kit.directory).replace("%", "%%"),
        command=" ".join(_unit_word(one) for one in words),
    )


def _unit_word(word: str) -> str:
    """Write a word so that systemd takes it as it is."""
    if re.fullmatch(r"[\w./=:@+-]+", word):
        return word
    doubled = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{doubled}"'


def command_words() -> list[str]:
    """How this program is called from another directory."""
    called = shutil.which(sys.argv[0]) if Path(sys.argv[0]).name == "relevo" else None
    if called is not None:
        return [str(Path(called).resolve())]
    root = Path(__file__).resolve().parents[2]
    return ["/usr/bin/env", f"PYTHONPATH={root}", sys.executable, "-m", "app"]


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()  # the ends of lines stay
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as exc:
        raise BadConfiguration(f"{path}: cannot be read: {exc}") from exc


def _keep(path: Path, text: str, mode: int) -> None:
    """Give a file that may be a person's what it lacks: whole, or it stays as it is."""
    if not path.exists():
        with Folder(real(path.parent)) as folder:
            _write(folder, path.name, text, mode)
    elif path.read_bytes() != text.encode():
        found = real(path)
        with Folder(found.parent) as folder:
            folder.exchange(found.name, text.encode())


def _write(folder: Folder, name: str, text: str, mode: int = 0o644) -> None:
    folder.put(name, text.encode(), mode=mode)


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _indented(text: str, width: int = 2) -> str:
    return "".join(f"{' ' * width}{line}\n" for line in text.splitlines() if line)
