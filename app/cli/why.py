"""``relevo why TARGET``: the story in one screen, 80 columns by 40 lines."""

import textwrap
from datetime import datetime, timedelta
from typing import Any, Final

import click

from app.cli.asking import ask, output_option, show
from app.cli.show import halted, in_the_way
from app.cli.words import STATES, words
from app.domain.duration import format_duration

_WIDTH: Final = 80
_HEIGHT: Final = 40
_TITLE: Final = 11
#: So many of the newest attempts fit; decisions get what room is left, up to a number.
_ATTEMPTS: Final = 4
_DECISIONS: Final = 12
#: The newest; how many there are is said in any case.
_CLONES: Final = 2
_ACTIVITIES: Final = 2
#: Of a story, besides its attempts; one decision follows it at least.
_STORY_LINES: Final = 6


@click.command()
@click.argument("target")
@output_option
def why(target: str, output: str) -> None:
    """
    Tell why TARGET is as it is: the story in one screen.

    Its state and the reason, what comes next and when, what is in the way, which clones help it,
    what was tried and how that ended, and what a person can do. The name of a clone leads to the
    target that it belongs to.
    """
    answer = ask(lambda client: client.story(target))
    show(answer, output, lambda: tell(answer, asked=target))


def tell(answer: dict[str, Any], *, asked: str) -> list[str]:
    """Tell a story in lines."""
    status, target, story = answer["status"], answer["target"], answer["remediation"]
    now = datetime.fromisoformat(status["now"])
    lines = [f"{target['target']}: {target['state']}, at {now:%H:%M:%S} UTC"]
    if asked.rpartition(":")[2] not in (target["target"].partition(":")[2], target["container"]):
        lines[:0] = _cut(f"{asked} is a clone of this one:")
    lines.append("")
    lines += _said("now", _now(target))
    lines += _said("next", _next(target, story, now))
    lines += _said("failures", f"{target['failures_in_window']} failed restarts in the window")
    lines += _said("instances", _instances(target, now))
    lines += _clones(target, now)
    lines += _activities(answer["activities"], now)
    stops = in_the_way(status)
    if target["hold"] is not None:
        stops.insert(0, f"held by {halted(target['hold'])}")
    if target["mode"] == "observe" and status["mode"] != "observe":
        stops.append("observe mode: by its label or policy, Relevo only says what it would do")
    for number, stop in enumerate(stops[:3]):
        lines += _said("in the way" if number == 0 else "", stop)
    can = ["", *_can_do(target, story)]
    if story is not None:
        room = _HEIGHT - len(lines) - len(can) - _STORY_LINES - 2
        lines += ["", *_story(story, now, most=max(1, min(_ATTEMPTS, room // 2)))]
        lines += _decisions(story, now, room=_HEIGHT - len(lines) - len(can))
    return [*lines, *can]


def _now(target: dict[str, Any]) -> str:
    state, reason = target["state"], target["reason"]
    said = STATES.get(state, state)
    return f"{said} ({reason}: {words(reason)})" if reason is not None else said


def _next(target: dict[str, Any], story: dict[str, Any] | None, now: datetime) -> str:
    if target["next_action"] is not None:
        at = datetime.fromisoformat(target["next_action_at"])
        return f"{target['next_action']} {_when(at, now)}, if it is still needed then"
    if target["remediation"] is None:
        return "nothing, until an alert fires"
    last = story["decisions"][-1] if story is not None and story["decisions"] else None
    if last is not None and last["until"] is not None:
        at = datetime.fromisoformat(last["until"])
        if at > now:
            return f"looked at again by {_clock(at, now)} at the latest"
    if target["state"] == "quarantined":
        return "nothing, until its alerts are gone or a person releases it"
    return "looked at again in some seconds"


def _instances(target: dict[str, Any], now: datetime) -> str:
    said = f"{target['instances']} of at most {target['max_instances']}"
    if target["desired_instances"] != target["instances"]:
        said += f", soon {target['desired_instances']}"
    ready, cooling = target["readiness"], target["cooling_until"]
    if cooling is not None and datetime.fromisoformat(cooling) > now:
        said += f"; cooldown until {_clock(datetime.fromisoformat(cooling), now)}"
    if target["instances"] >= target["max_instances"]:
        return f"{said}; no other can be made: at_max"
    if ready is None:
        return f"{said}; whether another can be made, the engine cannot say now"
    if ready["can_scale_out"]:
        return f"{said}; another can be made, traffic reaches it by {ready['traffic']}"
    return f"{said}; no other can be made: {ready['reasons'][0]}, {ready['details'][0]}"


def _clones(target: dict[str, Any], now: datetime) -> list[str]:
    clones: list[dict[str, Any]] = target["clones"]
    lines: list[str] = []
    for clone in reversed(clones[-_CLONES:]):
        said = clone["container"]
        if clone["since"] is not None:
            said += f" since {_clock(datetime.fromisoformat(clone['since']), now)}"
        if clone["leaving"] is not None:
            said += ", is leaving"
        if clone["reason"] is not None:
            said += f" ({clone['reason']}: {words(clone['reason'])})"
        lines += _said("" if lines else "clones", said, most=1)
    if len(clones) > _CLONES:
        lines += _said("", f"… {len(clones) - _CLONES} older ones")
    stay = target["clones_stay"]
    if stay is not None:
        said = f"none leaves: {stay['reason']}, {stay['detail'] or words(stay['reason'])}"
        if stay["until"] is not None:
            said += f", until {_clock(datetime.fromisoformat(stay['until']), now)}"
        lines += _said("", said)
    return lines


def _activities(found: list[dict[str, Any]], now: datetime) -> list[str]:
    lines: list[str] = []
    for one in reversed(found[:_ACTIVITIES]):
        at = _clock(datetime.fromisoformat(one["started_at"]), now)
        said = f"{at} {one['kind']} {one['container'] or ''}: {one['status']}, {one['cause']}"
        lines += _said("" if lines else "scaling", said, most=1)
    return lines


def _story(story: dict[str, Any], now: datetime, *, most: int) -> list[str]:
    opened = _clock(datetime.fromisoformat(story["opened_at"]), now)
    ended = ""
    if story["closed_at"]:
        closed = _clock(datetime.fromisoformat(story["closed_at"]), now)
        ended = f", over at {closed}: {story['outcome']}"
    about = ", ".join(story["alerts"]) or "an order"
    lines = _said("story", f"{story['id']}, from {opened} for {about}{ended}")
    for word, said in (("called_off", "called off by"), ("relapse_of", "a relapse of")):
        if story[word]:
            lines += _said("", f"{said} {story[word]}", most=1)
    attempts = story["attempts"]
    if len(attempts) > most:
        lines += _said("", f"… {len(attempts) - most} earlier attempts")
    for attempt in attempts[-most:]:
        lines += _said("", _attempt(attempt, now))
    return lines


def _decisions(story: dict[str, Any], now: datetime, *, room: int) -> list[str]:
    lines: list[str] = []
    for number, entry in enumerate(story["decisions"][-max(1, min(room, _DECISIONS)) :]):
        title = "decisions" if number == 0 else ""
        at = _clock(datetime.fromisoformat(entry["at"]), now)
        detail = f" ({entry['detail']})" if entry["detail"] else ""
        lines += _said(title, f"{at} {entry['decision']} {entry['reason']}{detail}", most=1)
    return lines


def _attempt(attempt: dict[str, Any], now: datetime) -> str:
    at = _clock(datetime.fromisoformat(attempt["started_at"]), now)
    who = "" if attempt["trigger"] == "automatic" else f", {attempt['trigger']}"
    said = f"{at} {attempt['action']}{who}: {attempt['verdict'] or 'no verdict yet'}"
    more = attempt["error"] or attempt["evidence"] or attempt["ordered"]
    return f"{said}, {more}" if more else said


def _can_do(target: dict[str, Any], story: dict[str, Any] | None) -> list[str]:
    name, state = target["target"], target["state"]
    can = []
    called_off = story is not None and story["called_off"] and target["remediation"] is not None
    if target["hold"] is not None or state == "quarantined" or called_off:
        can.append(f"relevo release {name} --reason …")
    if state in ("ok", "waiting", "held", "quarantined") and target["hold"] is None:
        can.append(f"relevo restart {name} --reason …")
        ready = target["readiness"]
        has_room = target["instances"] < target["max_instances"]
        if ready is not None and ready["can_scale_out"] and has_room:
            can.append(f"relevo scale-out {name} --reason …")
    if target["clones"] and target["hold"] is None:
        can.append(f"relevo scale-in {name} --reason …")
    if target["hold"] is None:
        can.append(f"relevo hold {name} --reason … --for 2h")
    if story is not None and target["remediation"] is not None and not called_off:
        can.append(f"relevo cancel {story['id']} --reason …")
    if story is not None:
        can.append(f"relevo show {story['id']}")
    lines: list[str] = []
    for number, command in enumerate(can[:7]):
        lines += [f"{'you can' if number == 0 else '':{_TITLE}}{command}"]
    return lines


def _cut(text: str) -> list[str]:
    return [text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"]


def _said(title: str, text: str, *, most: int = 2) -> list[str]:
    """Write a paragraph beside its title."""
    return textwrap.wrap(
        " ".join(text.split()),
        width=_WIDTH,
        initial_indent=f"{title:{_TITLE}}",
        subsequent_indent=" " * _TITLE,
        max_lines=most,
        placeholder=" …",
        break_on_hyphens=False,
    )


def _when(at: datetime, now: datetime) -> str:
    left = timedelta(seconds=round((at - now).total_seconds()))
    if left <= timedelta(0):
        return "at any moment"
    return f"in {format_duration(left)} (at {_clock(at, now)})"


def _clock(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"
