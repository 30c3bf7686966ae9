"""
Frozen records that are made and copied faster while a simulation runs: there are millions of them.

What `dataclasses` writes sets each field by way of ``object.__setattr__``, which looks for the
setter of its slot first; here that setter is called. Arguments, defaults, frozenness and
``__post_init__`` stay, and what is not of that plain kind is left as it is.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MemberDescriptorType, ModuleType
from typing import Any

_PACKAGES = ("app.", "tests.sim.", "tests.memory_")


@dataclass(slots=True)
class _Ways:
    """How the records of a class are made, and copied."""

    before: Callable[..., None]
    quick: Callable[..., None]
    #: None: something is looked at whenever one is made, by ``__post_init__``.
    copy: Callable[[Any, Any], None] | None
    setters: dict[str, Callable[[Any, Any], None]]


#: Written once for each class.
_WAYS: dict[type, _Ways] = {}


@contextmanager
def quickened() -> Iterator[frozenset[type]]:
    """Have frozen records made and copied faster for a while; answers whose."""
    modules = [module for name, module in sorted(sys.modules.items()) if _is_ours(name)]
    for module in modules:
        for found in list(vars(module).values()):
            if isinstance(found, type) and found not in _WAYS and _is_plain(found):
                _WAYS[found] = _written(found)
    copying = [one for one in modules if vars(one).get("replace") is dataclasses.replace]
    try:
        _swap(copying, is_quick=True)
        yield frozenset(_WAYS)
    finally:
        _swap(copying, is_quick=False)


def _swap(copying: list[ModuleType], *, is_quick: bool) -> None:
    for cls, ways in _WAYS.items():
        cls.__init__ = ways.quick if is_quick else ways.before  # type: ignore[misc]
    for module in copying:
        module.replace = quick_replace if is_quick else dataclasses.replace  # type: ignore[attr-defined]


def quick_replace(record: Any, /, **changes: Any) -> Any:
    """As `dataclasses.replace`."""
    cls = record.__class__
    ways = _WAYS.get(cls)
    if ways is None or ways.copy is None:
        return dataclasses.replace(record, **changes)
    setters, new = ways.setters, object.__new__(cls)
    ways.copy(new, record)
    for name, value in changes.items():
        if name not in setters:
            return dataclasses.replace(record, **changes)  # which says what is wrong
        setters[name](new, value)
    return new


def _is_ours(name: str) -> bool:
    return name.startswith(_PACKAGES)


def _is_plain(cls: Any) -> bool:
    """Tell whether it is frozen, and its slots are all there is to making one."""
    made = cls.__dict__.get("__dataclass_params__")
    if made is None or not made.frozen or not _is_ours(cls.__module__):
        return False
    code = getattr(cls.__dict__.get("__init__"), "__code__", None)
    if code is None or code.co_filename != "<string>":
        return False  # written by hand
    fields = dataclasses.fields(cls)
    has_slots = all(
        isinstance(getattr(cls, one.name, None), MemberDescriptorType) for one in fields
    )
    has_more = len(cls.__dataclass_fields__) > len(fields) or any(not one.init for one in fields)
    return bool(fields) and has_slots and not has_more


def _written(cls: Any) -> _Ways:
    space: dict[str, Any] = {"_ANEW": object()}
    positional: list[str] = []
    named: list[str] = []
    making, copying = [], []
    for one in dataclasses.fields(cls):
        name = given = value = one.name
        space[f"_set_{name}"] = getattr(cls, name).__set__
        if one.default_factory is not dataclasses.MISSING:
            space[f"_factory_{name}"] = one.default_factory
            given, value = f"{name}=_ANEW", f"_factory_{name}() if {name} is _ANEW else {name}"
        elif one.default is not dataclasses.MISSING:
            space[f"_default_{name}"] = one.default
            given = f"{name}=_default_{name}"
        (named if one.kw_only else positional).append(given)
        making.append(f"    _set_{name}(self, {value})")
        copying.append(f"    _set_{name}(self, of.{name})")
    has_more = hasattr(cls, "__post_init__")
    if has_more:
        making.append("    self.__post_init__()")
    arguments = ", ".join(["self", *positional, *(["*", *named] if named else [])])
    lines = [f"def __init__({arguments}):", *making, "def copy(self, of):", *copying]
    exec("\n".join(lines), space)
    before, quick = cls.__dict__["__init__"], space["__init__"]
    quick.__qualname__, quick.__module__ = before.__qualname__, before.__module__
    setters = {one.name: space[f"_set_{one.name}"] for one in dataclasses.fields(cls)}
    return _Ways(before, quick, None if has_more else space["copy"], setters)
