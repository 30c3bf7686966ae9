"""
YAML as people write it: a tree that knows lines and columns, its plain values, its faults.

ruamel's round-trip loader is the one that keeps the places.
"""

from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from app.adapters.policy_faults import shown
from app.errors import BadConfiguration

#: What aliases may add to the values that are written out; ten lines of them can stand for
#: billions.
_ALIASED: Final = 10_000
#: Values within values; a policy has seven.
_DEEPEST: Final = 50
#: Characters of what YAML itself has to say.
_SAID: Final = 100

#: Keys and places in lists, from the top of the file.
YamlPath = tuple[int | str, ...]


def read_tree(text: str, source: str) -> CommentedMap:
    """Read a document whose top is a mapping. :raises BadConfiguration: with the place"""
    try:
        knot = _alias_of_its_own(text)
        tree = _loader().load(text) if knot is None else None
    except _TooManyValues as exc:
        raise BadConfiguration(f"{source}:1:1: its aliases stand for too many values") from exc
    except DuplicateKeyError as exc:
        mark = exc.problem_mark
        key = (exc.problem or "").partition('"')[2].partition('"')[0]
        raise BadConfiguration(
            f"{source}:{mark.line + 1}:{mark.column + 1}: the key {shown(key)} is written twice"
        ) from exc
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise BadConfiguration(f"{source}:{line}:{column}: is not YAML: {_problem(exc)}") from exc
    except ReaderError as exc:
        before = text[: exc.position]
        line, column = before.count("\n") + 1, exc.position - (before.rfind("\n") + 1) + 1
        raise BadConfiguration(
            f"{source}:{line}:{column}: is not YAML: holds a control character"
        ) from exc
    except RecursionError as exc:
        raise BadConfiguration(f"{source}:1:1: is not YAML: is nested too deeply") from exc
    except (YAMLError, ValueError) as exc:
        raise BadConfiguration(
            f"{source}:1:1: is not YAML: holds a number or a date that is none"
        ) from exc
    except (AttributeError, IndexError, TypeError, KeyError) as exc:
        # ruamel trips over tags that do not fit their values, and over mappings as keys.
        raise BadConfiguration(
            f"{source}:1:1: is not YAML that makes sense here: it has a tag (!...) that does not "
            "fit its value, or a key that is no text"
        ) from exc
    if knot is not None:
        raise BadConfiguration(
            f"{source}:{knot.line + 1}:{knot.column + 1}: this alias stands for what it is part of"
        )
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise BadConfiguration(f"{source}:1:1: must be a mapping that begins with 'version: 1'")
    return tree


def plain_values(tree: CommentedMap, text: str, source: str) -> object:
    """Turn a tree into plain values, which pydantic knows. :raises BadConfiguration:"""
    # Every value that is written takes a character at least.
    plain = _Plain(len(text) + _ALIASED)
    try:
        return plain.of(tree)
    except _TooManyValues as exc:
        raise BadConfiguration(f"{source}:1:1: its aliases stand for too many values") from exc
    except RecursionError as exc:
        raise BadConfiguration(f"{source}:1:1: is nested too deeply") from exc


def position_of(tree: CommentedMap, where: YamlPath) -> tuple[int, int]:
    """Find line and column (from 1) of the deepest part of a path that is in the file."""
    line, column = 1, 1
    node: object = tree
    for part in where:
        try:
            if isinstance(node, CommentedMap):
                # A key need not be text: true, null and 1 are keys, too.
                if part not in node:
                    part = next(key for key in node if str(key) == str(part))
                position = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                position = node.lc.item(part)
            else:
                break
            line, column = position[0] + 1, position[1] + 1
            node = node[part]
        except (KeyError, AttributeError, TypeError, StopIteration):
            break  # what a merge has brought in has no place of its own
    return line, column


def _loader() -> YAML:
    loader = YAML(typ="rt")
    # A name may be given again: YAML says so, and nobody reads a warning of Python's.
    loader.composer.warn_double_anchors = False
    return loader


def _problem(exc: MarkedYAMLError) -> str:
    """Say it in YAML's own words, the first of them: they may go on with all of the file."""
    said = " ".join(str(exc.problem or exc.context or "it cannot be read").split())
    return said if len(said) <= _SAID else f"{said[:_SAID]}…"


class _Open:
    """A value that is being read: its number, its name, and how many values it stands for."""

    def __init__(self, number: int, anchor: str | None) -> None:
        self.number, self.anchor, self.values = number, anchor, 1


def _alias_of_its_own(text: str) -> StreamMark | None:
    """
    Find an alias within the very value that it names: its meaning has no end.

    Asked before anything is made of the text: ruamel writes out a whole value to say that its key
    is there twice.

    :raises RecursionError: values within values, beyond what any policy has: reading them takes
        the square of that in time
    :raises _TooManyValues: what its aliases stand for
    """
    opened = [_Open(-1, None)]
    named: dict[str, tuple[int, int]] = {}
    for number, event in enumerate(_loader().parse(text)):
        if isinstance(event, AliasEvent):
            value, stands_for = named.get(event.anchor, (-1, 1))
            if any(one.number == value for one in opened[1:]):
                mark: StreamMark = event.start_mark
                return mark
            opened[-1].values += stands_for
        elif isinstance(event, CollectionEndEvent):
            done = opened.pop()
            opened[-1].values += done.values
            if done.anchor is not None:
                named[done.anchor] = (done.number, done.values)
        elif isinstance(event, NodeEvent):
            if event.anchor is not None:
                named[event.anchor] = (number, 1)
            if isinstance(event, CollectionStartEvent):
                opened.append(_Open(number, event.anchor))
                if len(opened) > _DEEPEST + 1:
                    raise RecursionError
            else:
                opened[-1].values += 1
        if opened[-1].values > len(text) + _ALIASED:
            raise _TooManyValues
    return None


class _TooManyValues(Exception):
    """Aliases of aliases: more values than any file could hold."""


class _Plain:
    """Turns ruamel's round-trip values into plain ones, which pydantic knows."""

    def __init__(self, most: int) -> None:
        self._left = most

    def of(self, node: object) -> object:
        """Turn one value. :raises _TooManyValues:"""
        self._left -= 1
        if self._left < 0:
            raise _TooManyValues
        if isinstance(node, CommentedMap):
            return {str(key): self.of(value) for key, value in node.items()}
        if isinstance(node, CommentedSeq):
            return [self.of(value) for value in node]
        if isinstance(node, bool | ScalarBoolean):
            return bool(node)
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return node
