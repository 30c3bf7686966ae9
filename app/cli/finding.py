"""What a look at one link of the chain has found."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from app.cli.asking import table


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, and not as well as it could; or a person has wanted it so.
    WARNING = "warning"
    FINDING = "finding"


@dataclass(frozen=True, slots=True)
class Check:
    """One link, and how it is."""

    #: Which link: ``relevo``, ``store``, ``rules``, …
    link: str
    level: Level
    said: str
    #: What a person can do; empty where nothing has to be done.
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """Write it for scripts."""
        return asdict(self)


def ok(link: str, said: str) -> Check:
    """Say that a link holds."""
    return Check(link, Level.OK, said)


def warning(link: str, said: str, fix: str = "") -> Check:
    """Say what could be better."""
    return Check(link, Level.WARNING, said, fix)


def finding(link: str, said: str, fix: str) -> Check:
    """Say what is wrong, and what mends it."""
    return Check(link, Level.FINDING, said, fix)


def lines(checks: Sequence[Check]) -> list[str]:
    """Write them for people."""
    told: list[str] = []
    rows = table([[one.level, one.link, one.said] for one in checks]) if checks else []
    for row, one in zip(rows, checks, strict=True):
        told.append(row)
        told += [f"         fix: {one.fix}"] if one.fix else []
    return told
