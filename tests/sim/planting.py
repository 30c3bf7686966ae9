"""Plants bugs into the code that runs here, and takes them out again."""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.adapters.store import scripts
from tests.sim.bugs import Adapter, Lua, Py, Value
from tests.sim.mutations import MUTANTS

#: Texts of functions that were planted: two changes may be of one.
_TEXTS: dict[Any, str] = {}


@contextmanager
def planted(name: str | None) -> Iterator[frozenset[str]]:
    """Have a bug for a while; the checks that the engine's adapter leaves out."""
    undo: list[Callable[[], None]] = []
    flags: set[str] = set()
    try:
        for change in MUTANTS[name].changes if name is not None else ():
            match change:
                case Py():
                    undo.append(_plant(change))
                case Value():
                    undo.append(_set(change))
                case Lua():
                    undo.append(_rewrite(change))
                case Adapter():
                    flags.add(change.flag)
        yield frozenset(flags)
    finally:
        for back in reversed(undo):
            back()


def _plant(change: Py) -> Callable[[], None]:
    module_name, _, path = change.where.partition(":")
    module: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    owner: Any = getattr(module, outer[0]) if outer else module
    before = inspect.getattr_static(owner, name)
    function: Any = before.fget if isinstance(before, property) else before
    source = _TEXTS.get(function) or textwrap.dedent(inspect.getsource(function))
    indented = textwrap.dedent(change.old) if "\n" in change.old else change.old
    old, new = (change.old, change.new) if change.old in source else (indented, change.new)
    if outer and old not in source:
        # Methods lose four blanks of their margin here.
        old, new = (text.replace("\n    ", "\n").removeprefix("    ") for text in (old, new))
    if old not in source:
        raise LookupError(f"{change.where} has no {change.old!r}: the planted bug is out of date")
    space: dict[str, Any] = {}
    code = compile(source.replace(old, new), f"<planted in {change.where}>", "exec")
    exec(code, module.__dict__, space)
    after = space[name]
    _TEXTS[after.fget if isinstance(after, property) else after] = source.replace(old, new)
    setattr(owner, name, after)
    others = [] if outer else _borrowers(before, owner)
    for other, as_name in others:
        setattr(other, as_name, after)

    def back() -> None:
        setattr(owner, name, before)
        for other, as_name in others:
            setattr(other, as_name, before)

    return back


def _borrowers(value: Any, owner: Any) -> list[tuple[Any, str]]:
    """Modules that have imported it by name."""
    found = []
    for name, module in list(sys.modules.items()):
        if name.startswith("app.") and module is not owner:
            found += [(module, key) for key, held in vars(module).items() if held is value]
    return found


def _set(change: Value) -> Callable[[], None]:
    module_name, _, name = change.where.partition(":")
    module: Any = importlib.import_module(module_name)
    before = getattr(module, name)
    setattr(module, name, eval(change.value, module.__dict__))
    return lambda: setattr(module, name, before)


def _rewrite(change: Lua) -> Callable[[], None]:
    read = scripts._read
    if change.old not in read(change.script):
        raise LookupError(f"{change.script}.lua has no {change.old!r}: out of date")

    def rewritten(name: str) -> str:
        text = read(name)
        return text.replace(change.old, change.new) if name == change.script else text

    scripts._read = rewritten

    def back() -> None:
        scripts._read = read

    return back
