"""Relevo itself, by what its API says: reachable, acting, its store, its engine, its targets."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from app.adapters.exposition import samples
from app.adapters.policy_file import load_rulebook, parse_rulebook
from app.cli.asking import hint_for
from app.cli.client import ApiError, RelevoClient
from app.cli.finding import Check, finding, ok, warning
from app.cli.show import halted
from app.cli.words import fix as fix_of
from app.cli.words import words
from app.domain.decision import Reason
from app.errors import BadConfiguration
from app.policies.reachability import SHIPPED_SETTLE, doubts
from app.policies.spec import Rulebook

#: Alerts that were not taken on longer ago were somebody's who has mended it since.
_LATELY: Final = timedelta(hours=1)
_MOST: Final = 20
_STORE_FIXES: Final = (
    (
        "append-only",
        "redis-server --appendonly yes --appendfsync always (in redis.conf as well); on one that "
        "runs: redis-cli CONFIG SET appendonly yes",
    ),
    ("appendfsync", "redis-cli CONFIG SET appendfsync always, and the same in redis.conf"),
    ("maxmemory-policy", "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf"),
    ("is full", "give it more memory (maxmemory), or a server of its own"),
    ("too old", "install Redis 6.2 or later, or leave RELEVO_REDIS_URL out"),
    ("read-only replica", "lead RELEVO_REDIS_URL to the primary"),
)
#: A piece of what it says of the engine, and of the gate before it: the first that is there counts.
_ENGINE_FIXES: Final = (
    (
        "RELEVO_GATE_USERS",
        "give the gate RELEVO_GATE_USERS with the number of Relevo's user (id -u)",
    ),
    ("it may be of another version", "run gate, controller and collector of one version"),
    (
        "the gate does not answer",
        "start it (relevo gate; in the stack: deploy/compose.sh up -d gate). RELEVO_GATE_SOCKET is "
        "one path for gate, controller and collector, and its folder is open to their users",
    ),
    ("the gate", "look at its log: it was stopped, or the machine stands still"),
    (
        "ermission denied",
        "let the user that Relevo (where there is a gate: the gate) runs as use the socket: "
        "usermod -aG docker USER; in a container: --group-add with the group of the socket "
        "(stat -c %g /var/run/docker.sock)",
    ),
    ("", "start Docker, or set DOCKER_HOST (where there is a gate: the gate's) to where it is"),
)
_NO_NAME: Final = (
    "let its alerts carry the container's name as label `name` (sum by (name) …), or add the "
    "label that does to target_labels in the policy file"
)


async def look(client: RelevoClient) -> tuple[list[Check], dict[str, Any] | None]:
    """
    Look at all that Relevo knows.

    :return: what was found, and ``{"status", "targets"}``; None where it does not answer
    """
    try:
        known = await client.overview()
    except ApiError as exc:
        if exc.status in (401, 403):
            return [finding("token", str(exc), hint_for(exc))], None
        if exc.status is not None and exc.status >= 500:
            return [finding("relevo", str(exc), "mend what it says, and look again")], None
        start = "start it (relevo serve), or set RELEVO_URL to where it runs"
        return [finding("relevo", str(exc), start)], None
    status = known["status"]
    checks = [ok("relevo", f"answers, version {status['version']}, mode {status['mode']}")]
    checks += _store(status) + _engine(status) + _acting(status) + _halts(status)
    checks += targets(known) + _not_taken(status) + messages(status)
    checks += await pulls(client)
    return checks, known


async def policies(
    client: RelevoClient | None, path: Path | None, *, time_factor: float
) -> list[Check]:
    """
    Look at the policies in force, and at the file that the settings of this command name.

    :param client: of a Relevo that answers; None: only the file can be looked at
    """
    books: list[tuple[str, Rulebook]] = []
    try:
        if client is not None:
            told = await client.policies()
            for one in (told["defaults"], *told["policies"]):
                one.pop("reachability", None)
            books.append(("those in force", parse_rulebook(json.dumps(told), "in force")))
    except ApiError as exc:
        return [warning("policies", f"cannot be asked for: {exc}", hint_for(exc))]
    except BadConfiguration:
        pass  # of another version of Relevo, which has taken them
    try:
        if path is not None or not books:
            books.append((str(path or "those that are shipped"), load_rulebook(path)))
    except BadConfiguration as exc:
        edit = "change the place that it names; relevo check says when each policy scales out"
        return [finding("policies", line, edit) for line in str(exc).splitlines()]
    edit = "change that policy; relevo simulate shows what it would do"
    doubted = {
        f"{name}: {doubt}": None
        for _, book in books
        for name, doubt in doubts(book, settle=SHIPPED_SETTLE / time_factor)
    }
    if len(books) == 2 and books[0][1] != books[1][1]:
        return [
            *(warning("policies", said, edit) for said in doubted),
            warning(
                "policies", f"{path} is not what is in force", "have it read: kill -HUP Relevo"
            ),
        ]
    checks = [warning("policies", said, edit) for said in doubted]
    return checks or [ok("policies", f"{books[-1][0]}: can be reached")]


def messages(status: dict[str, Any]) -> list[Check]:
    """Tell whether Grafana takes what it is told."""
    told = status["messages"]
    if told is None:
        return []
    if told["trouble"] is not None:
        said = f"Grafana is not told, {told['pending']} wait: {told['trouble']}"
        fix = "RELEVO_GRAFANA_URL and RELEVO_GRAFANA_TOKEN (docs/grafana.md)"
        return [warning("messages", said, fix)]
    return [ok("messages", f"Grafana is told; {told['pending']} wait")]


async def pulls(client: RelevoClient) -> list[Check]:
    """Tell whether Relevo reaches Alertmanager: from where it runs, not from here."""
    try:
        text = await client.metrics()
    except ApiError as exc:
        return [warning("pulls", f"its metrics cannot be asked for: {exc}", hint_for(exc))]
    if 0 in samples(text, "relevo_pull_up"):
        return [
            finding(
                "pulls",
                "Relevo itself cannot ask Alertmanager, from where it runs: what a lost notice "
                "told stays unknown, and no quiet counts",
                "RELEVO_ALERTMANAGER_URL must lead there from Relevo's own network (in a "
                "container, 127.0.0.1 is the container); its log says what is in the way",
            )
        ]
    return [ok("pulls", "Relevo reaches what it asks for alerts")]


def _store(status: dict[str, Any]) -> list[Check]:
    checks = []
    for trouble in status["store"]["trouble"]:
        known = next((fix for word, fix in _STORE_FIXES if word in trouble), "")
        if status["store"]["ok"] and "appendfsync" in trouble and "append-only" not in trouble:
            checks.append(warning("store", trouble, _fsync()))
        else:
            gone = "start Redis, or set RELEVO_REDIS_URL to where it is"
            checks.append(finding("store", trouble, known or gone))
    return checks or [ok("store", "keeps what it is told")]


def _fsync() -> str:
    return next(fix for word, fix in _STORE_FIXES if word == "appendfsync")


def _engine(status: dict[str, Any]) -> list[Check]:
    trouble = status["container_engine"]["trouble"]
    return [finding("engine", one, engine_fix(one)) for one in trouble] or [
        ok("engine", f"{status['engine']} answers")
    ]


def engine_fix(said: str) -> str:
    """What mends what is said of the engine, or of the gate before it."""
    return next(fix for word, fix in _ENGINE_FIXES if word in said)


def _acting(status: dict[str, Any]) -> list[Check]:
    acting = status["acting"]
    if acting["ok"]:
        return [ok("acting", f"{acting['role']}")]
    hold = "docs/continuity.md says what ends it; relevo resume where a person has looked"
    return [finding("acting", one, hold) for one in acting["trouble"]]


def _halts(status: dict[str, Any]) -> list[Check]:
    checks = []
    if status["pause"] is not None:
        checks.append(warning("pause", f"paused by {halted(status['pause'])}", "relevo resume"))
    if status["brake"]["engaged_at"] is not None:
        since = f"all automatic action is frozen since {status['brake']['engaged_at']}"
        checks.append(warning("brake", since, "look at the host, then relevo resume"))
    for name, halt in status["holds"].items():
        checks.append(warning("hold", f"{name}: {halted(halt)}", f"relevo release {name}"))
    return checks


def targets(known: dict[str, Any]) -> list[Check]:
    """Tell what has opted in, and what of it cannot be scaled out."""
    typos = [finding("labels", *_halves(typo)) for typo in known["status"]["label_typos"]]
    listed = known["targets"]
    if not listed:
        label = (
            "label one relevo.enable=true, or opt it in as it runs: `enable` in the policy file "
            "(relevo connect --enable NAME)"
        )
        return [*typos, finding("targets", "no container has opted in", label)]
    checks = [ok("targets", f"{len(listed)} opted in")]
    for target in listed[:_MOST]:
        ready = target["readiness"]
        if ready is not None and not ready["can_scale_out"]:
            said = f"{target['target']} cannot be scaled out: {ready['reasons'][0]}"
            checks.append(warning("readiness", said, ready["details"][0]))
    if len(listed) > _MOST:
        more = f"and {len(listed) - _MOST} more, which were not looked at one by one"
        checks.append(ok("readiness", f"{more} (relevo why TARGET)"))
    return [*typos, *checks]


def _halves(typo: str) -> tuple[str, str]:
    said, _, fix = typo.rpartition(": ")
    return said, fix


def _not_taken(status: dict[str, Any]) -> list[Check]:
    """Tell of alerts that came to nothing lately, each kind once."""
    since = datetime.fromisoformat(status["now"]) - _LATELY
    kinds = {
        (one["reason"], one["detail"])
        for one in status["not_taken"]
        if datetime.fromisoformat(one["at"]) >= since
    }
    checks = []
    for reason, detail in sorted(kinds):
        said = f"an alert was not taken: {reason}, {detail}"
        if reason == Reason.NO_SUCH_TARGET and detail.startswith("none of the labels"):
            checks.append(finding("alerts", said, _NO_NAME))
        else:
            checks.append(warning("alerts", said, fix_of(reason, prefix="relevo") or words(reason)))
    return checks
