"""What announcements say: plain words for somebody who was asleep a minute ago."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.domain.control import Halt
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Attempt, Trigger

#: A message is read on a phone; evidence may quote an engine's whole answer.
_LONGEST: Final = 300
_MOST_TIMES: Final = 5


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a ladder ended, and what would change it."""

    #: Goes on "web needs a person: ".
    why: str
    #: Goes on "You can: "; ``{prefix}`` is that of our container labels.
    fix: str


def _no_clone(why: str, fix: str) -> Ended:
    return Ended(f"no faithful clone of it can be made: {why}", fix)


#: Every reason that a ladder can end with. The words, not the enum: a refusal of the fidelity
#: report and a verdict of a scale-out are told in the same way.
ENDINGS: Final[Mapping[str, Ended]] = {
    Reason.NOT_RUNNING: Ended(
        "it has stopped since our restart, and stays down",
        "read its logs and exit code, then start it",
    ),
    Reason.UNKNOWN_TOO_LONG: Ended(
        "nobody can tell whether it is still ill",
        "repair the monitoring (relevo why names what is missing), and look at the container",
    ),
    Reason.POISON: Ended(
        "its step ended Relevo itself, or was never noted, twice in a row",
        "read Relevo's log at that time, report what is there, and look after the container",
    ),
    Reason.SCALE_OUT_DISABLED: Ended(
        "it needs another instance, and its policy allows none",
        "cure it by hand, or enable scale_out in its policy",
    ),
    Reason.SCALE_OUT_FAILED: Ended(
        "the clone that should take over did not come up",
        "give it what it lacked",
    ),
    Reason.AT_MAX: Ended(
        "it still needs help, and its group has as many instances as it may",
        "look at the load; raise max_instances or the label {prefix}.max-instances",
    ),
    Reason.MAX_CLONES: Ended(
        "it still needs help, and the engine has as many clones as it may",
        "let clones go that are not needed (relevo scale-in), or raise guards.max_clones",
    ),
    Reason.ALREADY_SCALED: Ended(
        "it still needs help after a scale-out",
        "look at the load, and at what it waits for",
    ),
    Reason.STILL_NEEDED: Ended(
        "it still needs help although a clone runs",
        "look at the load, and at what it waits for",
    ),
    Reason.CLONE_SICK: Ended(
        "its clones are ill, it is not",
        "look at the clones' logs; one that stays down leaves by itself, for any other: "
        "relevo scale-in",
    ),
    Reason.WINDOW_FULL: Ended(
        "no restart has helped",
        "read its logs; cure it by hand",
    ),
    Reason.RELAPSED: Ended(
        "it recovers, and falls ill again",
        "look for what fills up or slows down over time",
    ),
    Reason.PROTECTED: Ended(
        "it is protected, Relevo does not touch it",
        "cure it by hand",
    ),
    "no_effect": Ended(
        "a clone ran, and it did not help",
        "look for what both instances wait for: a database, a disk, a lock",
    ),
    "no_traffic": Ended(
        "a clone ran, and no traffic reached it",
        "see how clients or the balancer find it",
    ),
    "no_memory_headroom": _no_clone(
        "the host has not enough free memory", "free memory on the host, or lower its limit"
    ),
    "no_cpu_headroom": _no_clone(
        "the host has not enough free CPU", "free CPU on the host, or lower its limit"
    ),
    Reason.FIXED_HOST_PORT: _no_clone(
        "its host port can be bound only once",
        "give it a network alias or balancer labels, or set host_ports in its policy",
    ),
    Reason.NETWORK_MODE: _no_clone(
        "it lives in another container's network", "scale that container"
    ),
    Reason.HOST_NETWORK: _no_clone(
        "it uses the host's network", "set host_network: allow where two can run side by side"
    ),
    Reason.SHARED_VOLUME: _no_clone(
        "both would write to the same volume or folder",
        "mount it read-only, or set shared_volumes: allow",
    ),
    Reason.DATA_IN_ANONYMOUS_VOLUME: _no_clone(
        "its anonymous volume holds data that the clone would lack",
        "where that is right, label it {prefix}.stateless=true",
    ),
    Reason.DATA_IN_LAYER: _no_clone(
        "it keeps files in the container itself",
        "use a volume or tmpfs; where a clone may start without them, "
        "label it {prefix}.stateless=true",
    ),
    Reason.COMPOSE_CONFIGS: _no_clone(
        "Compose copied configs or secrets into it", "give them as files"
    ),
    Reason.SHARED_DEVICE: _no_clone(
        "both would use the same device", "set shared_devices: allow where they can share it"
    ),
    Reason.SWARM_TASK: _no_clone(
        "it is a task of a Swarm service",
        "scale the service; on a manager of the swarm Relevo drives it",
    ),
    Reason.IMPLICIT_ROUTER: _no_clone(
        "Traefik would see one router with two services", "name the router's service in a label"
    ),
    Reason.AUTO_REMOVE: _no_clone("it was started with --rm", "start it without --rm"),
    Reason.IS_CLONE: _no_clone("it is a clone itself", "scale its source"),
}

#: For a reason that nobody has found words for yet: its detail has to do.
_OTHERWISE: Final = Ended("Relevo does not know what else to do", "read its logs; cure it by hand")

#: Why there was a scale-out, after "web on host1: ".
_SCALED: Final[Mapping[str, str]] = {
    Reason.FIRST_NEED: "its policy says to scale out first",
    Reason.CLONE_SICK: "its clones needed help",
    Reason.STILL_NEEDED: "it still needed help after the scale-out before",
    Reason.ALREADY_SCALED: "it still needed help after the scale-out before",
    Reason.SCALED_IN_LATELY: "it needed help soon after an instance had left",
    Reason.COVER: "its policy has another instance serve while it is restarted",
}

_GOING: Final = "in progress"
#: Verdicts, for whoever does not know the words.
_VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.RECOVERED: "helped",
    Verdict.RELIEVED: "helped",
    Verdict.RELAPSED: "it fell ill again",
    Verdict.NO_TRAFFIC: "got no traffic",
    Verdict.NO_EFFECT: "did not help",
    Verdict.SYMPTOM_PERSISTS: "the alert went on",
    Verdict.UNHEALTHY: "its health check failed",
    Verdict.EXITED: "it exited",
    Verdict.CRASH_LOOP: "it crashed again and again",
    Verdict.ENGINE_ERROR: "the engine refused",
    Verdict.TIMED_OUT: "the engine did not get it done",
    Verdict.INFRASTRUCTURE: "the host's fault",
    Verdict.VANISHED: "container gone",
    Verdict.UNKNOWN: "nobody can tell",
    Verdict.CANCELLED: "called off",
    Verdict.HELD: "held",
    Verdict.WOULD_HAVE: "rehearsed",
}

_BY: Final[Mapping[Trigger, str]] = {
    Trigger.AUTOMATIC: "",
    Trigger.MANUAL: " ordered by a person",
    Trigger.FOREIGN: " by somebody else",
    Trigger.REHEARSAL: " only rehearsed (observe mode)",
}


def ending(reason: str | None) -> Ended:
    """Find the words for why a ladder ended."""
    return ENDINGS.get(reason or "", _OTHERWISE)


def why_scaled(attempt: Attempt, *, max_failed: int, window: str) -> str:
    """Say why there was a scale-out."""
    if attempt.reason is Reason.WINDOW_FULL:
        return f"{many(max_failed, 'restart')} within {window} did not help"
    if attempt.ordered:
        return f"ordered by {cut(attempt.ordered)}"
    return _SCALED.get(attempt.reason, "it needed help")


def did(attempts: Iterable[Attempt], *, now: datetime | None = None) -> str:
    """
    Say in one line what was tried: ``1 restart at 10:01 UTC, failed: the alert went on; 1 clone``.

    :param now: to say at what times as well
    """
    restarts: dict[Trigger, list[Attempt]] = {trigger: [] for trigger in Trigger}
    clones: list[Attempt] = []
    without: list[Attempt] = []
    for attempt in attempts:
        if attempt.action in (Action.RESTART, Action.START) or attempt.trigger is Trigger.REHEARSAL:
            restarts[attempt.trigger].append(attempt)
        elif attempt.action is Action.SCALE_OUT:
            (clones if attempt.clone is not None else without).append(attempt)
    said = [
        _tried(some, ("action" if by is Trigger.REHEARSAL else "restart"), _BY[by], now)
        for by, some in restarts.items()
    ]
    said += [
        _tried(clones, "clone", "", now),
        _tried(without, "scale-out", " without a clone", now),
    ]
    return "; ".join(part for part in said if part) or "nothing yet"


def paused(pause: Halt | None, *, now: datetime) -> str | None:
    """Say that Relevo is paused; None where it is not."""
    if pause is None or pause.is_over(now):
        return None
    until = f", until {moment(pause.until, now=now)}" if pause.until is not None else ""
    return f"nothing: Relevo is paused by {cut(pause.author)}{until} ({cut(pause.reason)})"


def many(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(duration: timedelta) -> str:
    """Write a duration in words, in the largest unit that leaves no rest: ``90 seconds``."""
    seconds = round(duration.total_seconds())
    for noun, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            return many(seconds // size, noun)
    return many(seconds, "second")


def about(duration: timedelta) -> str:
    """Write a duration in words, as roughly as people remember it: ``37 minutes``."""
    seconds = round(duration.total_seconds())
    for size in (86_400, 3_600, 60):
        if seconds >= 2 * size:
            return span(timedelta(seconds=round(seconds / size) * size))
    return many(seconds, "second")


def alerts(names: tuple[str, ...]) -> str:
    """Write the names of alerts in brackets, after what they are about; nothing of none."""
    return f" ({cut(', '.join(names))})" if names else ""


def called_off(by: str | None) -> str | None:
    """Say that a person has called a story off; None where nobody has."""
    return None if by is None else f"nothing: it was called off by a person ({cut(by)})"


def moment(at: datetime, *, now: datetime) -> str:
    """Write a moment; with its date where that is not today's."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def cut(text: str) -> str:
    """Write somebody else's text on one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _tried(attempts: list[Attempt], noun: str, by: str, now: datetime | None) -> str:
    if not attempts:
        return ""
    verdicts = Counter(
        _GOING if one.verdict is None else _VERDICTS[one.verdict] for one in attempts
    )
    said = f"{many(len(attempts), noun)}{by}{'' if now is None else _times(attempts, now=now)}"
    if noun != "restart" and set(verdicts) <= {_GOING, _VERDICTS[Verdict.WOULD_HAVE]}:
        return said
    if all(one.verdict is not None and one.verdict.counts for one in attempts):
        said += ", failed" if len(attempts) == 1 else ", each failed"
    if len(verdicts) == 1:
        return f"{said}: {next(iter(verdicts))}"
    counted = (f"{number} × {verdict}" for verdict, number in verdicts.most_common())
    return f"{said}: {', '.join(counted)}"


def _times(attempts: list[Attempt], *, now: datetime) -> str:
    """Say when: `` at 10:01 UTC, 10:12 UTC``; of many the last ones."""
    times = [moment(one.acted_at or one.intent_at, now=now) for one in attempts]
    if len(times) > _MOST_TIMES:
        return f", the last at {times[-1]}"
    *others, last = (time.removesuffix(" UTC") for time in times)
    return f" at {', '.join(others)}{' and ' if others else ''}{last} UTC"
