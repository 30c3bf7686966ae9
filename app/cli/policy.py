"""``relevo check`` and ``relevo simulate``: what a policy file says, told without a server."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from app.adapters.policy_file import load_rulebook
from app.cli.asking import clean, output_option
from app.domain.duration import format_duration
from app.errors import BadConfiguration
from app.policies.reachability import SHIPPED_SETTLE, doubts, reachability
from app.policies.simulate import Scenario, Step, simulate
from app.policies.spec import Policy, Rulebook
from app.settings import load_settings

FINDINGS: Final = 1

_HELPS: Final = {
    Scenario.PERSISTS: "nothing helps",
    Scenario.SECOND_RESTART: "the second restart helps",
    Scenario.FLAPS: "everything helps, and not for long",
    Scenario.LOAD: "no restart helps, another instance does",
}
_FILE: Final = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.command()
@_FILE
@output_option
def check(file: Path | None, output: str) -> None:
    """
    Check the configuration, and a policy FILE (by default that of RELEVO_POLICIES).

    Says for each policy when it scales out. Exits 1 for what is wrong; warnings leave it at 0.
    """
    try:
        settings = load_settings()
        rulebook = load_rulebook(file or settings.policies)
    except BadConfiguration as exc:
        _fail(str(exc))
    source = file or settings.policies or "the shipped policies"
    doubted = list(doubts(rulebook, settle=SHIPPED_SETTLE / settings.time_factor))
    if output == "json":
        told = [{"name": one.name, "scales_out": _reached(one)} for one in _policies(rulebook)]
        warned = [{"policy": name, "warning": doubt} for name, doubt in doubted]
        click.echo(
            json.dumps({"source": str(source), "policies": told, "warnings": warned}, indent=2)
        )
        return
    count = len(rulebook.policies)
    click.echo(f"{source}: ok, defaults and {count} {'policy' if count == 1 else 'policies'}")
    policies = _policies(rulebook)
    width = max(len(policy.name) for policy in policies)
    for policy in policies:
        click.echo(clean(f"  {policy.name.ljust(width)}  {_reached(policy)}"))
    for name, doubt in doubted:
        click.echo(clean(f"relevo: warning: {source}: {name}: {doubt}"), err=True)


@click.command("simulate")
@_FILE
@click.option("--policy", "name", help="Only the policy of this name.")
@click.option("--scenario", type=click.Choice([one.value for one in Scenario]), help="Only this.")
@output_option
def simulate_policies(
    file: Path | None, name: str | None, scenario: str | None, output: str
) -> None:
    """
    Print the timeline of the policies of FILE (by default those of RELEVO_POLICIES).

    What would be done about a container that falls ill, and when, counted from the first notice
    of its alert: where nothing helps (persists), where the second restart does (second_restart),
    where everything does but not for long (flaps), where only another instance does (load).
    Nothing is asked and nothing is touched.
    """
    try:
        rulebook = load_rulebook(file or load_settings().policies)
    except BadConfiguration as exc:
        _fail(str(exc))
    policies = _policies(rulebook)
    chosen = [policy for policy in policies if name in (None, policy.name)]
    if not chosen:
        known = ", ".join(policy.name for policy in policies)
        raise click.BadParameter(f"there is no {name!r}; there is {known}", param_hint="--policy")
    told = [
        (policy.name, one, simulate(policy, one, guards=rulebook.guards))
        for policy in chosen
        for one in Scenario
        if scenario in (None, one.value)
    ]
    if output == "json":
        click.echo(json.dumps({"simulations": [_as_json(*each) for each in told]}, indent=2))
        return
    blocks = [
        "\n".join([clean(f"{name}, {one}: {_HELPS[one]}"), *_table(steps)])
        for name, one, steps in told
    ]
    click.echo("\n\n".join(blocks))


def _policies(rulebook: Rulebook) -> tuple[Policy, ...]:
    return (rulebook.defaults, *(policy for _, policy in rulebook.policies))


def _reached(policy: Policy) -> str:
    """Say when a policy scales out, in a line."""
    found = reachability(policy)
    if found is not None:
        return found.sentence
    goal = "scale-out" if policy.scale_out.enabled else "escalation"
    return f"{goal} at the first need, without a restart"


def _table(steps: Sequence[Step]) -> list[str]:
    rows = [("AT", "WHAT", "REASON", "DETAIL")]
    rows += [(format_duration(step.at), step.what, step.reason, step.detail) for step in steps]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def _as_json(name: str, scenario: Scenario, steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "policy": name,
        "scenario": scenario,
        "steps": [
            {
                "at_seconds": step.at.total_seconds(),
                "what": step.what,
                "reason": step.reason,
                "detail": step.detail,
            }
            for step in steps
        ],
    }


def _fail(message: str) -> NoReturn:
    """Say what is wrong, and end with the exit code for findings."""
    click.echo(f"relevo: {message}", err=True)
    sys.exit(FINDINGS)
