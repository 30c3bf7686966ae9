"""``relevo status``, ``targets``, ``remediations``, ``show``, ``activities``: what is and was."""

from typing import Any

import click

from app.cli.asking import ask, output_option, show, table
from app.cli.follow import every_option, follow, watch
from app.domain.remediation import State
from app.policies.plain_words import untold

_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
#: Log lines of a case file that fit a screen; ``--output json`` has all of them.
_LOG_LINES = 15


@click.command()
@click.option("--watch", "watches", is_flag=True, help="Look again and again, until Ctrl-C.")
@every_option
@output_option
def status(watches: bool, every: float, output: str) -> None:
    """Show what Relevo is doing, and what keeps it from doing more."""
    if watches:
        watch(lambda client: client.overview(), output, _status, every=every)
        return
    answers = ask(lambda client: client.overview())
    show(answers, output, lambda: _status(answers))


@click.command()
@output_option
def targets(output: str) -> None:
    """List the containers that have opted in."""
    answer = ask(lambda client: client.targets())
    show(answer, output, lambda: _targets(answer["targets"], wide=True))


@click.command()
@click.option("--target", help="Only those of this target.")
@click.option("--state", type=click.Choice([one.value for one in State]), help="Only these.")
@_LIMIT
@output_option
def remediations(target: str | None, state: str | None, limit: int, output: str) -> None:
    """List remediations, newest first."""
    answer = ask(lambda client: client.remediations(target=target, state=state, limit=limit))
    show(answer, output, lambda: _remediations(answer["remediations"]))


@click.command("show")
@click.argument("remediation_id", metavar="ID")
@click.option("--follow", "follows", is_flag=True, help="Go on with what comes, to its end.")
@every_option
@output_option
def show_one(remediation_id: str, follows: bool, every: float, output: str) -> None:
    """Show one remediation: attempts, decisions, and the evidence from before each action."""
    if follows:
        follow(lambda client: client.remediation(remediation_id), output, _remediation, every=every)
        return
    answer = ask(lambda client: client.remediation(remediation_id))
    show(answer, output, lambda: _remediation(answer))


@click.command()
@click.option("--group", help="Only those of this group, as the list names it.")
@_LIMIT
@output_option
def activities(group: str | None, limit: int, output: str) -> None:
    """List scaling activities, newest first."""
    answer = ask(lambda client: client.activities(group=group, limit=limit))
    show(answer, output, lambda: _activities(answer["activities"]))


def in_the_way(status: dict[str, Any]) -> list[str]:
    """Say what keeps Relevo from acting anywhere."""
    lines = []
    pause, brake = status["pause"], status["brake"]
    if pause is not None:
        lines.append(f"paused by {halted(pause)} (relevo resume)")
    if brake["engaged_at"] is not None:
        lines.append(
            f"brake: automatic action is frozen since {brake['engaged_at']}, {brake['failing']} "
            "targets failed: look at the host (relevo resume releases it)"
        )
    if 0 in status["budget_left"].values():
        lines.append("the budget is spent: no action is begun until some time has passed")
    if status["mode"] == "observe":
        lines.append("observe mode: Relevo only says what it would do")
    return lines


def halted(halt: dict[str, Any]) -> str:
    """Say who holds or pauses, until when, and why."""
    until = f"until {halt['until']}" if halt["until"] else "until a person ends it"
    return f"{halt['author']} since {halt['since']}, {until}: {halt['reason']}"


def _status(answers: dict[str, Any]) -> list[str]:
    return [*_overview(answers["status"]), *_targets(answers["targets"])]


def _overview(status: dict[str, Any]) -> list[str]:
    lines = [
        f"Relevo {status['version']} on engine {status['engine'] or '(not seen yet)'}, "
        f"mode {status['mode']}"
    ]
    for part in ("store", "container_engine"):
        what = part.replace("_", " ")
        lines.extend(f"  {what}: {trouble}" for trouble in status[part]["trouble"])
    acting = status["acting"]
    how = "standing by" if acting["role"] == "following" else "not acting"
    lines.extend(f"  {how}: {trouble}" for trouble in acting["trouble"])
    lines.extend(f"  {line}" for line in in_the_way(status))
    lines.extend(f"  held: {name} by {halted(halt)}" for name, halt in status["holds"].items())
    lines.extend(f"  label: {typo}" for typo in status["label_typos"])
    messages = status["messages"]
    if messages is not None and messages["trouble"]:
        lines.append(f"  {untold(messages['pending'], messages['trouble'])}")
    if status["store"]["ok"]:
        left, failing = status["budget_left"], status["failing_targets"]
        lines.append(
            f"  budget left: {left['burst']} actions in a row, {left['hour']} within the hour; "
            f"{failing} failing within the hour"
        )
    precision = status["precision"]
    if precision["would_have_acted"]:
        lines.append(
            f"  observed: would have acted {precision['would_have_acted']} times; "
            f"{precision['passed_by_itself']} had passed by themselves, "
            f"{precision['still_needed']} had not"
        )
    return lines


def _targets(targets: list[dict[str, Any]], *, wide: bool = False) -> list[str]:
    if not targets:
        return ["No container has opted in: give one the label relevo.enable=true."]
    rows = [["TARGET", "STATE", "REASON", "NEXT", "FAILURES", "INSTANCES"]]
    if wide:
        rows[0] += ["MODE", "SCALE-OUT"]
    for target in targets:
        following = "-"
        if target["next_action"]:
            following = f"{target['next_action']} at {target['next_action_at']}"
        row = [
            target["target"],
            target["state"] + (" (on hold)" if target["hold"] else ""),
            target["reason"] or "-",
            following,
            str(target["failures_in_window"]),
            f"{target['instances']} of {target['max_instances']}",
        ]
        rows.append([*row, target["mode"], _readiness(target["readiness"])] if wide else row)
    return table(rows)


def _readiness(readiness: dict[str, Any] | None) -> str:
    if readiness is None:
        return "?"
    return f"by {readiness['traffic']}" if readiness["can_scale_out"] else readiness["reasons"][0]


def _remediations(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["No remediation: nothing has been wrong, or not with these."]
    rows = [["ID", "TARGET", "STATE", "OUTCOME", "OPENED", "ATTEMPTS"]]
    for one in found:
        verdicts = ", ".join(a["verdict"] or "open" for a in one["attempts"])
        rows.append(
            [
                one["id"],
                one["target"],
                one["state"],
                one["outcome"] or "-",
                one["opened_at"],
                f"{len(one['attempts'])}: {verdicts}" if verdicts else "0",
            ]
        )
    return table(rows)


def _remediation(one: dict[str, Any]) -> list[str]:
    ended = f", closed {one['closed_at']}: {one['outcome']}" if one["closed_at"] else ""
    lines = [
        f"{one['id']}: {one['target']} is {one['state']} ({one['reason']})",
        f"  opened {one['opened_at']} for {', '.join(one['alerts']) or 'an order'}{ended}",
        f"  container {one['container']}, group {one['group']}, policy {one['policy']}",
    ]
    for word, said in (
        ("called_off", "called off by"),
        ("relapse_of", "relapse of"),
        ("relapsed_as", "went on as"),
    ):
        if one[word]:
            lines.append(f"  {said} {one[word]}")
    for attempt in one["attempts"]:
        lines += _attempt(attempt, one["case_files"].get(attempt["id"]))
    lines += ["", "decisions"]
    rows = [["AT", "DECISION", "REASON", "UNTIL", "DETAIL"]]
    rows += [
        [
            entry["at"],
            entry["decision"],
            entry["reason"],
            entry["until"] or "",
            entry["detail"] or "",
        ]
        for entry in one["decisions"]
    ]
    return lines + table(rows, indent="  ")


def _attempt(attempt: dict[str, Any], file: dict[str, Any] | None) -> list[str]:
    lines = [
        "",
        f"attempt {attempt['id']}: {attempt['action']}, {attempt['trigger']} ({attempt['reason']})",
        f"  {attempt['started_at']} to {attempt['finished_at'] or 'now'}: "
        f"{attempt['verdict'] or 'no verdict yet'}",
    ]
    for word, said in (
        ("ordered", "ordered by"),
        ("evidence", "evidence:"),
        ("error", "error:"),
        ("clone", "clone"),
    ):
        if attempt[word]:
            lines.append(f"  {said} {attempt[word]}")
    if file is None:
        return lines
    lines.append(
        f"  before it: {file['container']} {file['state']} since {file['started_at']}, exit code "
        f"{file['exit_code']}{', killed for memory' if file['oom_killed'] else ''}, "
        f"{len(file['processes'])} processes"
    )
    lines += [f"    not had: {missing}" for missing in file["missing"]]
    lines += [f"    | {line}" for line in file["logs"][-_LOG_LINES:]]
    return lines


def _activities(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["No scaling activity yet."]
    rows = [["STARTED", "KIND", "STATUS", "GROUP", "CONTAINER", "REASON", "CAUSE"]]
    rows += [
        [
            one["started_at"],
            one["kind"],
            one["status"],
            one["group"],
            one["container"] or "-",
            one["reason"] or "-",
            one["cause"] + (f" ({one['ordered']})" if one["ordered"] else ""),
        ]
        for one in found
    ]
    return table(rows)
