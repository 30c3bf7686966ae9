"""Reasons in plain words, for somebody who does not know them yet: terminal and pages say them."""

from collections.abc import Mapping
from typing import Final

from app.domain.decision import Reason
from app.domain.remediation import State
from app.policies.announce_words import ENDINGS, many

#: Each goes on "It is waiting (backoff): ".
REASONS: Final[Mapping[str, str]] = {word: ended.why for word, ended in ENDINGS.items()} | {
    Reason.FIRST_NEED: "this is the first action for this trouble",
    Reason.BACKOFF: "a restart has been tried; the next one waits longer",
    Reason.WINDOW_FULL: "enough restarts have failed; another instance is to help",
    Reason.STILL_NEEDED: "the trouble goes on after a scale-out",
    Reason.CLONE_SICK: "only its clones are ill",
    Reason.INTERRUPTED: "nobody saw the end of an attempt; its traces are looked for",
    Reason.FOUND_STOPPED: "our restart left it stopped; it is started once",
    Reason.RELAPSED: "it had recovered, and is ill again",
    Reason.MANUAL: "a person has ordered it",
    Reason.COVER: "an instance is to serve while it is restarted",
    Reason.UNDER_COVER: "it is restarted once while a clone serves",
    Reason.SCALED_IN_LATELY: "it needs help soon after an instance has left",
    Reason.QUIET: "no alert for long enough, and all originals are healthy",
    Reason.CLONE_DOWN: "the clone has stopped, or stays unhealthy",
    Reason.COVER_OVER: "it was a cover for a restart that has helped",
    Reason.ISOLATION_OVER: "it was isolated for long enough",
    Reason.REPLACED: "a clone serves in its place",
    Reason.NO_CLONE: "its group has no clone of ours",
    Reason.LAST_INSTANCE: "nobody else of its group is healthy",
    Reason.NEEDED: "its group has an alert, or had one lately",
    Reason.DEADLINE: "an action was taken; at the deadline its alert must be gone",
    Reason.SETTLING: "its alert is gone and must stay away",
    Reason.SETTLED: "its alert stayed away long enough",
    Reason.RELIEF: "a clone is up; the alert of the group must end",
    Reason.WARM_UP: "a clone runs and is not counted yet",
    Reason.RESOLVED: "no alert is active any more",
    Reason.SILENCED: "its alert is silenced, inhibited or muted in Alertmanager",
    Reason.COOLDOWN: "its group was scaled out a moment ago",
    Reason.RESTARTED_MEANWHILE: "somebody else has started it; that is given a chance",
    Reason.NOT_RUNNING: "it does not run, and Relevo does not start what it has not stopped",
    Reason.PAUSED_CONTAINER: "it is paused (docker unpause)",
    Reason.OBSERVE: "Relevo only observes it",
    Reason.NO_FRESH_DATA: "nobody can tell whether it is ill: the monitoring has a gap",
    Reason.ENGINE_DOWN: "the container engine does not answer",
    Reason.STORE_DOWN: "the store does not answer",
    Reason.NEW_INCARNATION: "it has a new image or configuration: a new story",
    Reason.QUARANTINE: "the ladder has ended; a person is needed",
    Reason.HUMAN: "a person has stopped it",
    Reason.HOLD: "a person holds it",
    Reason.PAUSE: "Relevo is paused",
    Reason.BRAKE: "too many containers fail at once: it may be the host",
    Reason.BUDGET: "enough was done lately; it goes on by itself",
    Reason.MIN_HEALTHY: "no other instance of its group would serve meanwhile",
    Reason.DEPLOY: "a deploy seems to be going on",
    Reason.START_GRACE: "it has only just been started",
    Reason.PROTECTED: "it is protected, Relevo does not touch it",
    Reason.OPERATOR: "a person has decided so",
    Reason.BUSY: "something else is being done to it",
    Reason.GATE: "the gate did not let it through",
    Reason.NO_SUCH_TARGET: "the container is gone",
    Reason.AMBIGUOUS_TARGET: "two containers claim its name: a deploy, perhaps",
    Reason.NOT_OPTED_IN: "it has not opted in",
    Reason.SWARM_TASK: "it is a task of a Swarm service",
}

#: What to do about an order that was refused, where an ending has no words for it.
_FIXES: Final[Mapping[str, str]] = {
    Reason.BUDGET: "wait some minutes; relevo status shows what is left",
    Reason.MIN_HEALTHY: "wait until another instance of its group is healthy",
    Reason.NOT_OPTED_IN: "label the container {prefix}.enable=true, or add an enable entry",
    Reason.AMBIGUOUS_TARGET: "wait for the deploy to end, or remove one of the two",
    Reason.NO_SUCH_TARGET: "relevo targets lists those that are there",
    Reason.PAUSED_CONTAINER: "docker unpause it",
    Reason.NOT_RUNNING: "read its logs and exit code, then docker start it",
    Reason.HUMAN: "docker start it",
    Reason.NO_CLONE: "stop containers of your own by hand",
    Reason.LAST_INSTANCE: "heal another instance of its group first",
}

STATES: Final[Mapping[str, str]] = {
    State.OK: "nothing is wrong with it, as far as its alerts tell",
    State.WAITING: "an action is planned",
    State.ACTING: "an action is being carried out",
    State.VERIFYING: "an action was taken, and is being checked",
    State.SETTLING: "its alert is gone; it must stay away",
    State.COOLDOWN: "a scale-out was made, and is given time",
    State.HELD: "something is due, and something forbids it",
    State.QUARANTINED: "Relevo has done what it can; a person is needed",
    State.CLOSED: "the story is over",
}


def words(reason: str | None) -> str:
    """Say a reason in words; the word itself where there are none."""
    return REASONS.get(reason or "", reason or "")


def fix(reason: str | None, *, prefix: str) -> str:
    """Say what a person can do about a refusal; empty where nobody knows."""
    word = reason or ""
    known = _FIXES.get(word) or (ENDINGS[word].fix if word in ENDINGS else "")
    return known.replace("{prefix}", prefix)


def untold(pending: int, trouble: str) -> str:
    """Say that Grafana does not take what it is told: how much waits, and why."""
    behind = f" ({many(pending, 'annotation')} behind)" if pending else ""
    return f"Grafana is not told what is done{behind}: {trouble}"
