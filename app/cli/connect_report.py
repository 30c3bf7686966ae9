"""What ``relevo connect`` tells: what it has found, what it has done, what comes next."""

import shlex
from collections.abc import Sequence
from typing import Final

from app.adapters.join_files import NOBODY, RULE_FILE, Join
from app.cli.asking import table
from app.cli.connect_env import shown
from app.cli.connect_files import Kit, command_words
from app.cli.connect_survey import RuleSeen, Survey, reaches

#: Rules of ours that people are told of without having asked for it.
_LOUD: Final = ("ContainerHighCPU", "ContainerHighMemory")


def found(seen: Survey, join: Join) -> list[str]:
    """Tell what they have."""
    lines = [
        f"Prometheus    {shown(seen.prometheus_url)}",
        f"Alertmanager  {shown(seen.alertmanager_url)}",
    ]
    if seen.container_job is not None:
        lines.append(f"  series of containers: by job {seen.container_job}, as they are")
    elif seen.nameless:
        lines.append(
            "  series of containers: without names, so nobody can tell whose they are (cAdvisor "
            "cannot ask Docker): Relevo's collector brings its own"
        )
    else:
        lines.append("  series of containers: none; Relevo's collector brings them")
    if not seen.rules:
        lines.append("  alert rules about containers: none; Relevo brings those for CPU and memory")
        return lines
    lines.append("  alert rules about containers:")
    rows = [["RULE", "SEVERITY", "NAMES IT BY", "TO RELEVO"]]
    rows += [
        [rule.name, rule.labels.get("severity", "-"), rule.names_by or "-", _verdict(rule, join)]
        for rule in seen.rules
    ]
    return lines + table(rows, indent="    ")


def _verdict(rule: RuleSeen, join: Join) -> str:
    if rule.blind is not None:
        return f"no: it never fires, {rule.blind} finds no series"
    if rule.names_by is None:
        return "no: its alerts name no container; keep the label name (sum by (name) …)"
    return "yes" if reaches(rule, join) else f"no: it is not {' and '.join(join.matchers)}"


def written(kit: Kit, done: Sequence[str]) -> list[str]:
    """Tell what was done."""
    lines = ["", f"Written to {kit.directory}: settings, tokens, policies, rules, snippets"]
    return [*lines, *done]


def following(kit: Kit, target: str, *, applied: bool) -> list[str]:
    """Tell what a person types next."""
    relevo = shlex.join([*command_words(), "--env-file", str(kit.env)])
    if not applied:
        return [
            f"add {kit.directory}/*.snippet.yml to their files, or do all this again with --apply",
        ]
    run = shlex.quote(str(kit.directory / "run.sh"))
    return [f"sh {run}", f"{relevo} connect --test {target}"]


def what_next(lines: Sequence[str]) -> list[str]:
    """Write that for people."""
    return ["", *(f"{'next' if n == 0 else 'then':6}{line}" for n, line in enumerate(lines))]


def pages() -> str:
    """Say who hears of the new rules: Relevo observes, and its rules do not."""
    loud = "|".join(_LOUD)
    return (
        f"From now on your own receivers are told of {' and '.join(_LOUD)} (critical; of every "
        f"container, opted in or not), of RelevoDown while Relevo does not run, and of whatever "
        f"else {RULE_FILE} finds. To hear of containers from your own rules alone, put this after "
        f"Relevo's routes: {{matchers: ['alertname=~\"{loud}\"'], receiver: {NOBODY}}}"
    )


def others(alertmanagers: Sequence[str], joined: str, kit: Kit) -> list[str]:
    """Name those of a pair that were not joined."""
    left = [shown(url) for url in alertmanagers if url.rstrip("/") != joined]
    if not left:
        return []
    return [
        f"{' and '.join(left)} must get the same: {kit.directory}/alertmanager.snippet.yml, and "
        "relevo_token_ingest beside its file"
    ]
