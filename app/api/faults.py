"""What is wrong with what was sent: the field, what is wrong with it, and what to do about it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

#: By kind of fault, of those without figures.
_SAID: Final[Mapping[str, str]] = {
    "missing": "is missing: send it",
    "extra_forbidden": "is no key that is known here: /docs lists those that are",
    "string_type": "is no text: put it in quotation marks",
    "string_unicode": "is no valid UTF-8: send text",
    "string_pattern_mismatch": "holds a character that is not allowed: use visible ASCII only, "
    "without spaces",
    "bool_type": "is neither true nor false: send one of them, without quotation marks",
    "bool_parsing": "is neither true nor false: send one of them",
    "int_type": "is no whole number: send one, without quotation marks",
    "int_parsing": "is no whole number: send one such as 100",
    "int_from_float": "is no whole number: send one such as 100",
    "int_parsing_size": "is too large a number: send a smaller one",
    "float_type": "is no number: send one, without quotation marks",
    "float_parsing": "is no number: send one such as 1.5",
    "finite_number": "is no finite number: send one that is",
    "list_type": "is no list: send one, such as []",
    "dict_type": "is no object: send names with values, such as {}",
    "model_type": "is no object: send names with values, such as {}",
    "model_attributes_type": "is no object: send names with values, such as {}",
    "invalid_key": "has a name that is no text: put it in quotation marks",
    "timezone_aware": "has no time zone: write it like 2026-11-22T10:00:00Z",
}
#: Moments have a dozen kinds of faults, and one cure.
_NO_MOMENT: Final = "is no moment: write it like 2026-11-22T10:00:00Z"
_WITH_FIGURES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "enum": lambda told: f"is no word that is known here: send {told['expected']}",
    "literal_error": lambda told: f"is no word that is known here: send {told['expected']}",
    "string_too_short": lambda told: _too_short(told["min_length"]),
    "string_too_long": lambda told: (
        f"is too long: send {_count(told['max_length'], 'character')} at most"
    ),
    "too_short": lambda told: (
        f"holds too little: send {_count(told['min_length'], 'item')} or more"
    ),
    "too_long": lambda told: f"holds too much: send {_count(told['max_length'], 'item')} at most",
    "greater_than_equal": lambda told: f"is too small: send {told['ge']} or more",
    "greater_than": lambda told: f"is too small: send more than {told['gt']}",
    "less_than_equal": lambda told: f"is too large: send {told['le']} at most",
    "less_than": lambda told: f"is too large: send less than {told['lt']}",
}
#: Where something was, as people call it; a body's fields need no such word.
_PLACES: Final[Mapping[object, str]] = {
    "query": " in the query",
    "header": " among the headers",
    "path": " in the path",
}


def first_fault(errors: Sequence[Any]) -> str:
    """
    Name the first field that is wrong, say why, and what to do; never what was sent.

    :param errors: as pydantic lists them; not empty
    """
    first = errors[0]
    where = [str(part) for part in first["loc"] if part != "body" and part not in _PLACES]
    place = _PLACES.get(first["loc"][0], "") if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        # Its name is input: whoever sent it knows it, and it may be anything.
        where[-1:] = ["a key"]
    name = ".".join(where)
    return f"{name or 'the body'}{place}: {said(first)}"


def said(error: Mapping[str, Any]) -> str:
    """Say what is wrong and what to do, of one fault as pydantic tells it; without the field."""
    kind, told = error["type"], error.get("ctx", {})
    if kind in _SAID:
        return _SAID[kind]
    if kind in _WITH_FIGURES:
        return _WITH_FIGURES[kind](told)
    if kind.startswith(("datetime", "date_")):
        return _NO_MOMENT
    # A check of our own says it in our words.
    return str(error["msg"]).removeprefix("Value error, ")


def _too_short(least: int) -> str:
    return "is empty: send some text" if least == 1 else f"is too short: send {least} characters"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"
