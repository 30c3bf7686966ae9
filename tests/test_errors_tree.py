"""The tree of our exceptions: drawn as it is, and every leaf says whether to try again."""

import inspect
import re

import pytest

from app import errors
from app.errors import Permanent, RelevoError, Transient

OURS: list[type[RelevoError]] = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, RelevoError) and one not in (RelevoError, Transient, Permanent)
]


@pytest.mark.parametrize("error", OURS)
def test_an_error_is_transient_or_permanent(error: type[RelevoError]) -> None:
    assert issubclass(error, Transient) is not issubclass(error, Permanent)


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: dict[int, str] = {}
    for indent, name in re.findall(r"^( *)[*+.-] (\w+)", errors.__doc__ or "", re.MULTILINE):
        above[len(indent)] = name
        if len(indent):
            drawn[name] = above[len(indent) - 2]

    branches: list[type[RelevoError]] = [Transient, Permanent, *OURS]
    assert drawn == {one.__name__: one.__bases__[0].__name__ for one in branches}
