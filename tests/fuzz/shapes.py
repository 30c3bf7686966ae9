"""Whether a value is what its type says, all the way down: what comes from outside may not be."""

import dataclasses
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints


def wrong_within(value: object, kind: Any, where: str = "it") -> str | None:
    """Name the first part of a value that is not of its type; None where all are."""
    return next(_wrong(value, kind, where), None)


def _wrong(value: Any, kind: Any, where: str) -> Iterator[str]:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return
    if origin in (Union, UnionType):
        found = [wrong_within(value, one, where) for one in parts]
        if all(one is not None for one in found):
            yield f"{where} is {value!r:.60}"
    elif origin is not None and issubclass(origin, Mapping):
        yield from _wrong_items(value, parts, where)
    elif origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, list | tuple):
            yield f"{where} is no list"
            return
        kinds = parts if Ellipsis not in parts and origin is tuple else [parts[0]] * len(value)
        for number, (one, of) in enumerate(zip(value, kinds, strict=True)):
            yield from _wrong(one, of, f"{where}[{number}]")
    elif dataclasses.is_dataclass(kind):
        if not isinstance(value, kind):  # type: ignore[arg-type]
            yield f"{where} is no {kind}"
            return
        for name, of in _fields(cast("Hashable", kind)).items():
            yield from _wrong(getattr(value, name), of, f"{where}.{name}")
    else:
        yield from _wrong_plain(value, kind, where)


def _wrong_items(value: Any, parts: tuple[Any, ...], where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where} is no mapping"
        return
    for key, one in value.items():
        yield from _wrong(key, parts[0], f"a key of {where}")
        yield from _wrong(one, parts[1], f"{where}[{key!r:.20}]")


def _wrong_plain(value: Any, kind: Any, where: str) -> Iterator[str]:
    if kind is None or kind is NoneType:
        if value is not None:
            yield f"{where} is not None"
    elif kind is float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            yield f"{where} is {value!r:.60}"
    elif kind is int:
        # What is larger becomes no float, and fits no field of anybody's.
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 64:
            yield f"{where} is {value!r:.60}"
    elif not isinstance(value, kind):
        yield f"{where} is {value!r:.60} and no {kind.__name__}"
    elif isinstance(value, str) and not _is_unicode(value):
        yield f"{where} holds half of a surrogate"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _fields(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}
