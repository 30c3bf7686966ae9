"""
The policy file: YAML in, a Rulebook out, errors with file, line and column.

Unknown and duplicate keys are errors: a misspelt key that silently does nothing is found
out at night.
"""

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError as PydanticError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from app.adapters.policy_schema import FileIn, GuardsIn, RulesIn, Section
from app.errors import BadConfiguration
from app.policies import spec

#: A policy file of a thousand policies has 200 kB.
_LARGEST: Final = 1024 * 1024


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
    try:
        file = FileIn.model_validate(_plain(tree))
    except PydanticError as exc:
        lines = []
        for error in exc.errors(include_url=False, include_input=False):
            line, column = _position(tree, error["loc"])
            lines.append(f"{source}:{line}:{column}: {_where(error['loc'])}: {_said(error)}")
        # A union reports each of its branches: the same place once is enough.
        raise BadConfiguration("\n".join(dict.fromkeys(lines))) from exc
    for index, entry in enumerate(file.enable):
        if not entry.values():
            line, column = _position(tree, ("enable", index))
            raise BadConfiguration(
                f"{source}:{line}:{column}: enable.{index}: name a project, a service or a name"
            )
    seen: set[str] = set()
    for index, policy in enumerate(file.policies):
        if policy.name in seen or policy.name == "default":
            line, column = _position(tree, ("policies", index, "name"))
            raise BadConfiguration(
                f"{source}:{line}:{column}: policies.{index}.name: "
                f"the name {policy.name!r} is taken; names tell policies apart"
            )
        seen.add(policy.name)
    return _rulebook(file)


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
    except (YAMLError, ValueError, RecursionError) as exc:
        raise BadConfiguration(f"{source}:1:1: is not YAML: {exc}") from exc
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise BadConfiguration(f"{source}:1:1: must be a mapping that begins with 'version: 1'")
    return tree


def _plain(node: object) -> object:
    """Turn ruamel's round-trip values into plain ones, which pydantic knows."""
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    if isinstance(node, bool):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _position(tree: CommentedMap, where: tuple[int | str, ...]) -> tuple[int, int]:
    """Find line and column (from 1) of the deepest part of a path that is in the file."""
    line, column = 1, 1
    node: object = tree
    for part in where:
        try:
            if isinstance(node, CommentedMap) and part in node:
                position = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                position = node.lc.item(part)
            else:
                break
        except (KeyError, AttributeError, TypeError):
            break
        line, column = position[0] + 1, position[1] + 1
        node = node[part]
    return line, column


def _where(where: tuple[int | str, ...]) -> str:
    # Branches of a union have names of their own in pydantic's path, which nobody wrote.
    written = [str(p) for p in where if not (isinstance(p, str) and ("[" in p or "'" in p))]
    return ".".join(written) or "the file"


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such key"
    return str(error["msg"]).removeprefix("Value error, ")


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
