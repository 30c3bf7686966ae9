"""The directory that ``relevo connect`` writes: settings, tokens, policies, rules, snippets."""

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from app.adapters.join_files import NOBODY, RULE_FILE, Join, jobs, own_receivers, own_routes
from app.adapters.yaml_insert import add, load
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
ExecStart={relevo} --env-file {directory}/relevo.env {command}
Restart=always

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Kit:
    """The directory."""

    directory: Path

    @property
    def env(self) -> Path:
        """The settings."""
        return self.directory / "relevo.env"

    @property
    def rules(self) -> Path:
        """The rules for Prometheus."""
        return self.directory / RULE_FILE

    def token(self, scope: str) -> Path:
        """The token of a scope."""
        return self.directory / f"relevo_token_{scope}"


def write_kit(directory: Path, found: Survey, join: Join, *, enable: Sequence[str]) -> Kit:
    """
    Write it; tokens and policies that are there already stay as they are.

    :param enable: containers to opt in: ``NAME``, or ``PROJECT/SERVICE`` of Compose
    :raises BadConfiguration: it cannot be written
    """
    kit = Kit(directory.resolve())
    try:
        kit.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for scope in TOKENS:
            if not kit.token(scope).exists():
                _write(kit.token(scope), f"{secrets.token_hex(32)}\n", 0o600)
        policies = kit.directory / "policies.yml"
        there = policies.read_text(encoding="utf-8") if policies.exists() else _NO_POLICIES
        _write(policies, _policies(there, str(policies), enable))
        _write(kit.env, _env(kit, found, join), 0o600)
        _write(kit.rules, shipped_rules(found.container_job))
        _write(kit.directory / "prometheus.snippet.yml", _prometheus(join))
        _write(kit.directory / "alertmanager.snippet.yml", _alertmanager(join))
        _write(kit.directory / "run.sh", _run(kit, join), 0o755)
        for command, what in (("serve", "Relevo"), ("collect", "Relevo's container collector")):
            if command == "serve" or join.collector is not None:
                unit = kit.directory / f"relevo-{command}.service"
                _write(unit, _unit(kit, unit, command, what))
    except OSError as exc:
        raise BadConfiguration(f"--into: cannot write to {kit.directory}: {exc}") from exc
    return kit


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


def _env(kit: Kit, found: Survey, join: Join) -> str:
    ours = {
        "RELEVO_MODE": "observe",
        "RELEVO_DATA_DIR": str(kit.directory / "data"),
        "RELEVO_POLICIES": str(kit.directory / "policies.yml"),
        "RELEVO_PROMETHEUS_URL": found.prometheus_url,
        "RELEVO_ALERTMANAGER_URL": found.alertmanager_url,
        "RELEVO_ALERTMANAGER_RECEIVER": join.receiver,
        **{f"RELEVO_TOKEN_{scope.upper()}_FILE": str(kit.token(scope)) for scope in TOKENS},
        "RELEVO_TOKEN_FILE": str(kit.token("operate")),
        **_addresses(join),
    }
    # What was set for this command holds for those that are started with this file as well.
    theirs = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("RELEVO_") or name == "DOCKER_HOST")
        and name not in ours
        and name.removesuffix("_FILE") not in ours
        and f"{name}_FILE" not in ours
        and not name.startswith("RELEVO_ENV")
    }
    lines = ["# Written by relevo connect. RELEVO_MODE=enforce: from then on Relevo acts."]
    return "\n".join([*lines, *(f"{k}={v}" for k, v in sorted((ours | theirs).items()))]) + "\n"


def _addresses(join: Join) -> Mapping[str, str]:
    """Listen where the others look: on loopback where that is what they were told."""
    host, _, port = join.relevo.rpartition(":")
    is_here = host in ("127.0.0.1", "localhost")
    addresses = {
        "RELEVO_LISTEN": f"{'127.0.0.1' if is_here else '0.0.0.0'}:{port}",
        "RELEVO_URL": f"http://127.0.0.1:{port}",
    }
    if join.collector is not None:
        host, _, port = join.collector.rpartition(":")
        is_here = host in ("127.0.0.1", "localhost")
        addresses["RELEVO_COLLECT_LISTEN"] = f"{'127.0.0.1' if is_here else '0.0.0.0'}:{port}"
    return addresses


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
    relevo = command_line()
    collector = f"{relevo} --env-file relevo.env collect & collector=$!\n"
    return _RUN.format(
        directory=shlex.quote(str(kit.directory)),
        relevo=relevo,
        collector=collector if join.collector is not None else "",
        and_collector=" and its collector" if join.collector is not None else "",
        pid="$collector" if join.collector is not None else "",
    )


def _unit(kit: Kit, path: Path, command: str, description: str) -> str:
    return _UNIT.format(
        path=path,
        description=description,
        directory=kit.directory,
        relevo=command_line(),
        command=command,
    )


def command_line() -> str:
    """How this program is called, for a shell in another directory."""
    called = shutil.which(sys.argv[0]) if Path(sys.argv[0]).name == "relevo" else None
    if called is not None:
        return shlex.quote(str(Path(called).resolve()))
    root = Path(__file__).resolve().parents[2]
    return f"/usr/bin/env PYTHONPATH={shlex.quote(str(root))} {shlex.quote(sys.executable)} -m app"


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(mode)


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _indented(text: str, width: int = 2) -> str:
    return "".join(f"{' ' * width}{line}\n" for line in text.splitlines() if line)
