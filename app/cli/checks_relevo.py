"""Relevo itself, by what its API says: reachable, acting, its store, its engine, its targets."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from app.adapters.policy_file import load_rulebook
from app.cli.asking import hint_for
from app.cli.client import ApiError, RelevoClient
from app.cli.finding import Check, finding, ok, warning
from app.cli.show import halted
from app.cli.words import fix as fix_of
from app.cli.words import words
from app.domain.decision import Reason
from app.errors import BadConfiguration
from app.policies.reachability import SHIPPED_SETTLE, doubts

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
_SOCKET: Final = (
    "let the user that Relevo runs as use the socket: usermod -aG docker USER; in a container: "
    "--group-add with the group of the socket (stat -c %g /var/run/docker.sock)"
)
_ENGINE: Final = "start Docker, or set DOCKER_HOST to where it is"
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
    checks += _targets(known) + _not_taken(status)
    return checks, known


def policies(path: Path | None, *, time_factor: float) -> list[Check]:
    """Look at the policy file that the settings name: those of this command."""
    try:
        book = load_rulebook(path)
    except BadConfiguration as exc:
        edit = "change the place that it names; relevo check says when each policy scales out"
        return [finding("policies", line, edit) for line in str(exc).splitlines()]
    doubted = list(doubts(book, settle=SHIPPED_SETTLE / time_factor))
    edit = "change that policy; relevo simulate shows what it would do"
    checks = [warning("policies", f"{name}: {doubt}", edit) for name, doubt in doubted]
    return checks or [ok("policies", f"{path or 'those that are shipped'}: can be reached")]


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
    return [
        finding("engine", one, _SOCKET if "ermission denied" in one else _ENGINE) for one in trouble
    ] or [ok("engine", f"{status['engine']} answers")]


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


def _targets(known: dict[str, Any]) -> list[Check]:
    typos = [finding("labels", *_halves(typo)) for typo in known["status"]["label_typos"]]
    targets = known["targets"]
    if not targets:
        label = (
            "label one relevo.enable=true, or opt it in as it runs: `enable` in the policy file "
            "(relevo connect --enable NAME)"
        )
        return [*typos, finding("targets", "no container has opted in", label)]
    checks = [ok("targets", f"{len(targets)} opted in")]
    for target in targets[:_MOST]:
        ready = target["readiness"]
        if ready is not None and not ready["can_scale_out"]:
            said = f"{target['target']} cannot be scaled out: {ready['reasons'][0]}"
            checks.append(warning("readiness", said, ready["details"][0]))
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
