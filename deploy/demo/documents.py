"""Parsed YAML files: read, walk, write."""

from collections.abc import Callable, MutableMapping, MutableSequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

#: Labels identify; a matcher or a template is text.
_NOT_SETTINGS = {"labels", "external_labels", "matchers", "match", "match_re", "equal"}


def _yaml() -> YAML:
    yaml = YAML()  # round trip: comments and folding stay, people will look at it
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    return yaml


def load(path: Path) -> Any:
    """Read a file; comments and the way things are written are kept."""
    return _yaml().load(path.read_text(encoding="utf-8"))


def write(document: Any, path: Path, *, head: str) -> None:
    """Write a file, with a comment above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"# {line}\n" for line in head.splitlines())
        _yaml().dump(document, out)


def walk(node: Any, change: Callable[[str, str], str]) -> None:
    """Offer each text value with its key to `change`, in place; a list's items have its key."""

    def visit(key: str, value: Any) -> Any:
        if isinstance(value, str):
            changed = change(key, value)
            # Keep the way it was written: folded, literal, quoted.
            return value if changed == value else type(value)(changed)
        descend(value, key)
        return value

    def descend(value: Any, key: str) -> None:
        if isinstance(value, MutableMapping):
            for name in value:
                if name not in _NOT_SETTINGS:
                    value[name] = visit(str(name), value[name])
        elif isinstance(value, MutableSequence):
            for index, item in enumerate(value):
                value[index] = visit(key, item)

    descend(node, "")
