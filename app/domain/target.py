"""Targets and groups: who is remediated, and what scales."""

import re
from dataclasses import dataclass
from typing import Self

#: Engine names and slots appear in URL paths, keys and metrics: this is all they may hold.
#: (Docker's own container names are a subset.)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


def is_safe_name(text: str) -> bool:
    """Whether a text may serve as an engine's name or a slot."""
    return _SAFE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class TargetId:
    """
    One container slot on one engine, never a container id.

    Written ``engine:slot``; that form is safe in a URL path.
    """

    engine: str
    slot: str

    def __post_init__(self) -> None:
        if not is_safe_name(self.engine) or not is_safe_name(self.slot):
            raise ValueError(
                "an engine's name and a slot hold letters, digits, '_', '.' and '-' only"
            )

    def __str__(self) -> str:
        return f"{self.engine}:{self.slot}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``engine:slot``; ValueError for anything else."""
        engine, colon, slot = text.partition(":")
        if not colon:
            raise ValueError("a target is written engine:slot")
        return cls(engine, slot)


@dataclass(frozen=True, slots=True, order=True)
class GroupId:
    """What scales: the instances of one workload on one engine. Written ``engine:name``."""

    engine: str
    name: str

    def __str__(self) -> str:
        return f"{self.engine}:{self.name}"
