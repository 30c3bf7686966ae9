"""
Additions to other people's YAML, as text: every line of theirs stays as it is, its end included.

Loading and dumping, even with ruamel's round trip, would indent and wrap lines anew, and nobody
could tell in a diff what was added.
"""

import copy
import re
import textwrap
from collections.abc import Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.errors import BadConfiguration

#: Some YAML or other reads something else than the text.
_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_BY_HAND: Final = "cannot be added to safely; add the snippet by hand"


def load(text: str, source: str) -> dict[str, Any]:
    """Read a document whose top is a mapping. :raises BadConfiguration:"""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as exc:
        first = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise BadConfiguration(f"{source}: is not YAML: {first}") from exc
    if not isinstance(document, dict):
        raise BadConfiguration(f"{source}: is no configuration: its top must be a mapping")
    return document


def add(
    text: str, source: str, path: Sequence[str], block: str, *, first: bool = False, note: str = ""
) -> str:
    """
    Add items to a list; the list is made where there is none.

    :param path: keys from the top of the file to the list
    :param block: the items, as lines of YAML that begin with ``- `` at the margin
    :param first: before the items that there are, instead of after them
    :param note: a comment that is put before them, without its sign
    :raises BadConfiguration: the file is written in a way in which this cannot be done surely;
        nothing but the new items would have changed in what it says
    """
    items = load(f"x:\n{block}", "the snippet")["x"]
    wanted = copy.deepcopy(load(text, source))
    place = wanted
    for key in path[:-1]:
        place = place[key]
    there = place.get(path[-1]) or []
    place[path[-1]] = [*items, *there] if first else [*there, *items]
    commented = (f"# {note}\n" if note else "") + block.rstrip("\n")
    try:
        made = _inserted(text, path, commented, items, first=first)
    except (AttributeError, KeyError, IndexError, TypeError, YAMLError) as exc:
        raise BadConfiguration(f"{source}: {'.'.join(path)} {_BY_HAND}") from exc
    if load(made, source) != wanted:
        raise BadConfiguration(f"{source}: {'.'.join(path)} {_BY_HAND}")
    return made


def wrap(text: str, source: str, path: Sequence[str], head: str) -> str:
    """
    Put a list one level deeper: it becomes the ``routes`` of the only item of a list in its place.

    :param path: keys from the top of the file to the list
    :param head: the first lines of that item, which begin with ``- `` at the margin
    :raises BadConfiguration: as for `add`
    """
    wanted = copy.deepcopy(load(text, source))
    place = wanted
    for key in path[:-1]:
        place = place[key]
    (item,) = load(f"x:\n{head}", "the snippet")["x"]
    place[path[-1]] = [{**item, path[-1]: place[path[-1]]}]
    key_node, node = _entry(_mapping(text, path[:-1]), path[-1]) or (None, None)
    if key_node is None or not isinstance(node, SequenceNode) or node.flow_style:
        raise BadConfiguration(f"{source}: {'.'.join(path)} {_BY_HAND}")
    lines = _lines(text)
    begin, end = key_node.end_mark.line + 1, _last_line(node, lines) + 1
    below = [f"    {line}" if line.strip() else line for line in lines[begin:end]]
    there = [*lines[:begin], *below, *lines[end:]]
    made = _with(there, begin, f"{head.rstrip()}\n  {path[-1]}:", node.start_mark.column)
    if load(made, source) != wanted:
        raise BadConfiguration(f"{source}: {'.'.join(path)} {_BY_HAND}")
    return made


def quoted(text: str) -> str:
    """Write a text so that YAML reads nothing but it."""
    return '"' + "".join(_char(one) for one in text) + '"'


def plain_or_quoted(text: str) -> str:
    """Write a name as people do, where YAML has no other reading for it."""
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text) is not None
    return text if is_plain and text.lower() not in _WORDS else quoted(text)


def _char(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else f"\\U{ord(one):08x}"


def _inserted(
    text: str, path: Sequence[str], block: str, items: Sequence[Any], *, first: bool
) -> str:
    lines = _lines(text)
    mapping = _mapping(text, path[:-1])
    entry = _entry(mapping, path[-1])
    if entry is None:
        column = mapping.start_mark.column
        new = f"{path[-1]}:\n{textwrap.indent(block, '  ')}"
        return _with(lines, _last_line(mapping, lines) + 1, new, column)
    key, value = entry
    if isinstance(value, ScalarNode) and value.value == "":
        return _with(lines, key.end_mark.line + 1, block, key.start_mark.column + 2)
    if not isinstance(value, SequenceNode):
        raise TypeError("no list")
    if value.flow_style:
        begin, end = value.start_mark.index, value.end_mark.index
        if not value.value:
            new = textwrap.indent(f"\n{block}", " " * (key.start_mark.column + 2))
            new = new.replace("\n", newline_of(text))
            return f"{text[:begin].rstrip(' ')}{new}{text[end:]}"
        if not all(isinstance(item, str) for item in items):
            raise TypeError("no list of texts")
        more = "".join(f", '{item}'" for item in items)
        inside = text[begin : end - 1].rstrip().rstrip(",")
        return f"{text[:begin]}{inside}{more}]{text[end:]}"
    at = key.end_mark.line + 1 if first else _last_line(value, lines) + 1
    return _with(lines, at, block, value.start_mark.column)


def _with(lines: Sequence[str], at: int, block: str, column: int) -> str:
    end = newline_of(lines[0] + "\n").removesuffix("\n") if lines else ""
    new = [f"{line}{end}" for line in textwrap.indent(block, " " * column).splitlines()]
    return "\n".join([*lines[:at], *new, *lines[at:]]) + "\n"


def newline_of(text: str) -> str:
    """Tell how the lines of a text end, by the first one."""
    return "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"


def _lines(text: str) -> list[str]:
    """Split it at its newlines; what stands before them, such as a CR, stays with the line."""
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + newline_of(text).removesuffix("\n")]


def _mapping(text: str, path: Sequence[str]) -> MappingNode:
    node = YAML(typ="safe", pure=True).compose(text)
    for key in path:
        entry = _entry(node, key)
        if entry is None:
            raise KeyError(key)
        node = entry[1]
    if not isinstance(node, MappingNode) or node.flow_style:
        raise TypeError("no mapping in lines")
    return node


def _entry(mapping: MappingNode, name: str) -> tuple[Node, Node] | None:
    for key, value in mapping.value:
        if key.value == name:
            return key, value
    return None


def _last_line(node: Node, lines: Sequence[str]) -> int:
    """Find the last line (from 0) that belongs to a value, comments after it left out."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        key, value = node.value[-1]
        # What an alias stands for was written before.
        return max(int(key.end_mark.line), _last_line(value, lines))
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return max(_last_line(item, lines) for item in node.value)
    line: int = node.end_mark.line
    if isinstance(node, ScalarNode) and node.style in ("|", ">") and node.end_mark.column == 0:
        line -= 1
    line = min(line, len(lines) - 1)
    while line > 0 and not lines[line].strip():
        line -= 1
    return line
