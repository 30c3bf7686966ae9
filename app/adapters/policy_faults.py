"""What is wrong with a policy file, in the words of whoever wrote it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

#: Longest piece of a file that is repeated in an error: enough to find it.
_SHOWN: Final = 40
_MAPPING: Final = "must be a mapping of keys to values"
_TEXT: Final = "must be text: write it in quotes"
#: By pydantic's type of error; its own words speak of classes and of input.
_SAYINGS: Final[Mapping[str, str]] = {
    "extra_forbidden": "there is no such key",
    "missing": "must be written",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "list_type": "must be a list",
    "string_type": _TEXT,
    "string_unicode": "holds characters that are none: write it anew",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be longer than 0s",  # only durations are bounded so
    "invalid_key": "has a name that is no text: write it in quotes",
    "recursion_loop": "stands for what it is part of",
}
_WITH_FIGURES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "enum": lambda told: f"must be {_words(told['expected'])}",
    "literal_error": lambda told: f"must be {_words(told['expected'])}",
    "greater_than_equal": lambda told: f"must be {_amount(told['ge'])} or more",
    "less_than_equal": lambda told: f"must be {_amount(told['le'])} at most",
    "string_too_long": lambda told: f"is too long: write {told['max_length']} characters at most",
    "too_long": lambda told: f"holds too much: write {told['max_length']} items at most",
}


def said(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one value, as pydantic found it."""
    kind, told = str(error["type"]), error.get("ctx", {})
    if kind in _SAYINGS:
        return _SAYINGS[kind]
    if kind in _WITH_FIGURES:
        return _WITH_FIGURES[kind](told)
    if kind == "value_error":
        # A check of our own says it in our words.
        return str(error["msg"]).removeprefix("Value error, ")
    return "is not what belongs here"


def shown(value: object) -> str:
    """Repeat a piece of the file, so that it is found: not all of it, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits
        return "that"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def shown_key(key: object) -> str:
    """Repeat a key: the beginning of one that nobody can have meant."""
    text = "".join(char if char.isprintable() else "�" for char in str(key))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _words(expected: object) -> str:
    """Write pydantic's ``'a', 'b' or 'c'`` as people write it in the file."""
    return str(expected).replace("'", "")


def _amount(bound: Any) -> str:
    # All fractions of the file are shares, written in per cent.
    return f"{bound:.0%}" if isinstance(bound, float) else f"{bound}"
