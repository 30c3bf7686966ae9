"""A rulebook in the words and the form of the policy file."""

from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from app.domain.duration import format_duration
from app.policies.spec import Rulebook

#: Written as a share of something, ``25%``: the section's class, and the key.
_SHARES: Final = frozenset(
    {("RestartRules", "jitter"), ("Reserve", "memory"), ("BrakeRules", "share")}
)


def as_written(rules: object) -> dict[str, Any]:
    """Write a part of a rulebook as it would stand in the file, every key of it."""
    assert is_dataclass(rules) and not isinstance(rules, type)  # noqa: PT018, S101
    section = type(rules).__name__
    written: dict[str, Any] = {}
    for field in fields(rules):
        value = getattr(rules, field.name)
        if (section, field.name) == ("BrakeRules", "freeze"):
            written["action"] = "freeze" if value else "alert"
        elif (section, field.name) == ("RestartRules", "stop_grace") and value is None:
            written[field.name] = "container"
        elif (section, field.name) in _SHARES:
            written[field.name] = f"{value * 100:g}%"
        elif value is not None:
            written[field.name] = _plain(value)
    return written


def policies_as_written(book: Rulebook) -> dict[str, Any]:
    """Write a whole rulebook; each policy with its effective values."""
    defaults = as_written(book.defaults)
    del defaults["name"]
    return as_written(book) | {
        "version": 1,
        "defaults": defaults,
        "policies": [
            as_written(policy) | {"match": as_written(match)} for match, policy in book.policies
        ],
    }


def _plain(value: object) -> Any:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, StrEnum):
        return value.value
    if is_dataclass(value):
        return as_written(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if hasattr(value, "keys") else value  # type: ignore[call-overload]
