"""What can be done from a page, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that can be done."""

    title: str
    #: What it does, and what it does not.
    explained: str
    lasts: bool = False


VERBS: Final[Mapping[str, Verb]] = {
    "restart": Verb(
        title="Restart now",
        explained="Its verdict is told like any other, and does not count as a failed restart. "
        "Pause, brake and the absence of an alert do not stop it; budget and protection do.",
    ),
    "scale-out": Verb(
        title="Scale out now",
        explained="Another instance of the same container comes up beside it and takes its share. "
        "The group's maximum, the budget and protection hold.",
    ),
    "scale-in": Verb(
        title="Scale in now",
        explained="The newest clone of its group leaves: drained, stopped with its own grace, "
        "removed. Originals never leave, nor does the last instance that serves.",
    ),
    "hold": Verb(
        title="Hold",
        explained="Relevo keeps away from it. Its alerts are still taken on and shown, and an "
        "attempt that has begun is finished.",
        lasts=True,
    ),
    "release": Verb(
        title="Release",
        explained="Ends the hold, and its quarantine. If it still needs help, a new story begins "
        "where its failures in the window have brought it.",
    ),
    "reset": Verb(
        title="Reset",
        explained="Its failed restarts are forgotten: the ladder starts from the first step.",
    ),
    "cancel": Verb(
        title="Cancel this remediation",
        explained="Nothing more is done until its alerts are gone. What has begun is not undone.",
    ),
    "pause": Verb(
        title="Pause Relevo",
        explained="Nothing is done of its own accord, to any container. Alerts are still taken on "
        "and shown, what has begun is finished, and people can still restart and scale.",
        lasts=True,
    ),
    "resume": Verb(
        title="Resume",
        explained="Ends the pause and releases the brake. What was pending is looked at again, and "
        "begins one at a time.",
    ),
}
#: Those that are done to one container.
OF_TARGETS: Final = ("restart", "scale-out", "scale-in", "hold", "release", "reset")
