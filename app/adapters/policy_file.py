"""
The policy file: YAML in, a Rulebook out, errors with file, line and column.

Unknown and duplicate keys are errors: a misspelt key that silently does nothing is found
out at night.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError as PydanticError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from app.adapters.policy_schema import FileIn, GuardsIn, RulesIn, Section
from app.errors import BadConfiguration
from app.policies import spec

#: A policy file of a thousand policies has 200 kB.
_LARGEST: Final = 1024 * 1024
#: What aliases may add to the values that are written out; ten lines of them can stand for
#: billions.
_ALIASED: Final = 10_000
#: pydantic's types of errors whose own messages speak of classes, not of the file.
_SAYINGS: Final = {
    "extra_forbidden": "there is no such key",
    "missing": "must be written",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "string_type": "must be text: write it in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be longer than 0s",  # only durations are bounded so
}

#: Keys and places in lists, from the top of the file.
_Path = tuple[int | str, ...]


def load_rulebook(path: Path | None) -> spec.Rulebook:
    """
    Read a policy file; without one, the shipped defaults.

    :raises BadConfiguration: one line per fault, each with file, line and column
    """
    if path is None:
        shipped = resources.files("app.policies").joinpath("default.yaml")
        return parse_rulebook(shipped.read_text(encoding="utf-8"), "the shipped policies")
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as exc:
        raise BadConfiguration(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    if len(raw) > _LARGEST:
        raise BadConfiguration(f"{path}: is larger than {_LARGEST} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise BadConfiguration(f"{path}:{line}:1: is not UTF-8 text") from exc
    return parse_rulebook(text, str(path))


def parse_rulebook(text: str, source: str) -> spec.Rulebook:
    """Read the text of a policy file. :raises BadConfiguration:"""
    tree = _parse(text, source)
    # Every value that is written takes a character at least.
    plain = _Plain(len(text) + _ALIASED)
    try:
        file = FileIn.model_validate(plain.of(tree))
    except PydanticError as exc:
        faults = [
            (error["loc"], _said(error))
            for error in exc.errors(include_url=False, include_input=False)
        ]
        raise _wrong(source, tree, faults) from exc
    except _TooManyValues as exc:
        raise BadConfiguration(f"{source}:1:1: its aliases stand for too many values") from exc
    faults = list(_contradictions(file))
    if faults:
        raise _wrong(source, tree, faults)
    return _rulebook(file)


def _contradictions(file: FileIn) -> Iterator[tuple[_Path, str]]:
    """Find what is well written and still makes no sense."""
    for index, entry in enumerate(file.enable):
        if not entry.values():
            yield ("enable", index), "name a project, a service or a name"
    taken = {spec.Policy().name}
    for index, policy in enumerate(file.policies):
        if policy.name in taken:
            said = f"the name {policy.name!r} is taken; names tell policies apart"
            yield ("policies", index, "name"), said
        taken.add(policy.name)


def _wrong(
    source: str, tree: CommentedMap, faults: Iterable[tuple[_Path, str]]
) -> BadConfiguration:
    """Name every fault, in the order of the file."""
    placed = sorted((_position(tree, where), _where(where), said) for where, said in faults)
    lines = [f"{source}:{at[0]}:{at[1]}: {where}: {said}" for at, where, said in placed]
    # A union reports each of its branches: the same place once is enough.
    return BadConfiguration("\n".join(dict.fromkeys(lines)))


def _parse(text: str, source: str) -> CommentedMap:
    yaml = YAML(typ="rt")
    try:
        tree = yaml.load(text)
    except DuplicateKeyError as exc:
        mark = exc.problem_mark
        key = (exc.problem or "").partition('"')[2].partition('"')[0]
        raise BadConfiguration(
            f"{source}:{mark.line + 1}:{mark.column + 1}: the key {key!r} is written twice"
        ) from exc
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise BadConfiguration(
            f"{source}:{line}:{column}: is not YAML: {exc.problem or exc.context}"
        ) from exc
    except ReaderError as exc:
        before = text[: exc.position]
        line, column = before.count("\n") + 1, exc.position - (before.rfind("\n") + 1) + 1
        raise BadConfiguration(
            f"{source}:{line}:{column}: is not YAML: holds a control character"
        ) from exc
    except RecursionError as exc:
        raise BadConfiguration(f"{source}:1:1: is not YAML: is nested too deeply") from exc
    except (YAMLError, ValueError) as exc:
        raise BadConfiguration(f"{source}:1:1: is not YAML: {exc}") from exc
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise BadConfiguration(f"{source}:1:1: must be a mapping that begins with 'version: 1'")
    return tree


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
        if isinstance(node, bool):
            return bool(node)
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return node


def _position(tree: CommentedMap, where: _Path) -> tuple[int, int]:
    """Find line and column (from 1) of the deepest part of a path that is in the file."""
    line, column = 1, 1
    node: object = tree
    for part in where:
        try:
            if isinstance(node, CommentedMap):
                # A key need not be text: true, null and 1 are keys, too.
                part = next(key for key in node if str(key) == str(part))
                position = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                position = node.lc.item(part)
            else:
                break
        except (KeyError, AttributeError, TypeError, StopIteration):
            break
        line, column = position[0] + 1, position[1] + 1
        node = node[part]
    return line, column


def _where(where: _Path) -> str:
    # Branches of a union have names of their own in pydantic's path, which nobody wrote.
    written = [str(p) for p in where if not (isinstance(p, str) and ("[" in p or "'" in p))]
    return ".".join(written) or "the file"


def _said(error: Any) -> str:
    return _SAYINGS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


def _rulebook(file: FileIn) -> spec.Rulebook:
    defaults = _policy(spec.Policy(), file.defaults)
    values = {
        name: value
        for name, value in file.values().items()
        if name in ("pull", "alert_expiry") and value is not None
    }
    for name in ("instances", "target_labels"):
        written = getattr(file, name)
        if written is not None:
            values[name] = tuple(written)
    return spec.Rulebook(
        defaults=defaults,
        policies=tuple(
            (
                spec.Match(labels=entry.match.labels, alerts=tuple(entry.match.alerts)),
                replace(_policy(defaults, entry), name=entry.name),
            )
            for entry in file.policies
        ),
        enable=tuple(
            spec.Enable(project=e.project, service=e.service, name=e.name) for e in file.enable
        ),
        guards=_guards(file.guards),
        **values,
    )


def _policy(base: spec.Policy, rules: RulesIn) -> spec.Policy:
    restart = _written(rules.restart)
    if "delays" in restart:
        restart["delays"] = tuple(restart["delays"])
    if "stop_grace" in (rules.restart.values() if rules.restart is not None else {}):
        # None is a value here: the container's own, whatever the defaults say.
        restart["stop_grace"] = rules.restart.stop_grace if rules.restart is not None else None
    return replace(
        base,
        mode=rules.mode or base.mode,
        strategy=rules.strategy or base.strategy,
        restart=replace(base.restart, **restart),
        verify=replace(base.verify, **_written(rules.verify)),
        chronic=replace(base.chronic, **_written(rules.chronic)),
        scale_out=replace(base.scale_out, **_written(rules.scale_out)),
        scale_in=replace(base.scale_in, **_written(rules.scale_in)),
    )


def _guards(guards: GuardsIn) -> spec.Guards:
    base = spec.Guards()
    values = _written(guards)
    if "protected" in values:
        values["protected"] = tuple(values["protected"])
    values["reserve"] = replace(base.reserve, **_written(guards.reserve))
    brake = _written(guards.brake)
    if "action" in brake:
        brake["freeze"] = brake.pop("action") == "freeze"
    values["brake"] = replace(base.brake, **brake)
    return replace(base, **values)


def _written(section: Section | None) -> dict[str, Any]:
    """The keys of a section that were written, and not as an empty value."""
    if section is None:
        return {}
    return {name: value for name, value in section.values().items() if value is not None}
