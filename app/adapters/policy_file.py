"""
The policy file: YAML in, a Rulebook out, errors with file, line and column.

Unknown and duplicate keys are errors: a misspelt key that silently does nothing is found
out at night.
"""

from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from app.domain.duration import parse_duration
from app.errors import BadConfiguration
from app.policies import spec

#: A policy file of a thousand policies has 200 kB.
_LARGEST: Final = 1024 * 1024


def _duration(value: object) -> object:
    # A bare 0 means the same everywhere; any other bare number hides its unit.
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a duration: write it like 90s, 5m or 1h30m")


def _share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a share: write it like 25%")


def _stop_grace(value: object) -> object:
    if value == "container":
        return None
    try:
        return _duration(value)
    except ValueError as exc:
        raise ValueError(f"{exc}; or write container, for the container's own") from exc


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Some = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
Jitter = Annotated[float, BeforeValidator(_share), Field(ge=0, le=0.25)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Section(BaseModel):
    """A part of the file: only known keys, every one of them optional."""

    model_config = ConfigDict(extra="forbid")

    def values(self) -> dict[str, Any]:
        """The keys that were written."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class _Restart(_Section):
    delays: Annotated[list[Duration], Field(min_length=1, max_length=20)] | None = None
    max_failed: Annotated[int, Field(ge=1, le=100)] | None = None
    window: Some | None = None
    jitter: Jitter | None = None
    stop_grace: Annotated[timedelta | None, BeforeValidator(_stop_grace)] = None
    start_grace: Duration | None = None


class _Verify(_Section):
    deadline: Some | None = None
    settle: Some | None = None
    poll: Some | None = None
    relapse_window: Duration | None = None


class _Chronic(_Section):
    restarts: Annotated[int, Field(ge=1)] | None = None
    window: Some | None = None


class _ScaleOut(_Section):
    enabled: bool | None = None
    max_instances: Annotated[int, Field(ge=1, le=1000)] | None = None
    cooldown: Duration | None = None
    warm_up: Duration | None = None
    host_ports: spec.HostPorts | None = None
    shared_volumes: spec.Sharing | None = None
    shared_devices: spec.Sharing | None = None
    host_network: spec.Sharing | None = None
    source: spec.SourceAfterwards | None = None
    isolate_for: Duration | None = None
    traffic_proof: Duration | None = None


class _ScaleIn(_Section):
    after: Duration | None = None
    every: Duration | None = None
    drain: Duration | None = None


class _Rules(_Section):
    mode: spec.Mode | None = None
    strategy: spec.Strategy | None = None
    restart: _Restart | None = None
    verify: _Verify | None = None
    chronic: _Chronic | None = None
    scale_out: _ScaleOut | None = None
    scale_in: _ScaleIn | None = None


class _Match(_Section):
    labels: dict[str, str] = {}
    alerts: list[Name] = []


class _Named(_Rules):
    name: Name
    match: _Match = _Match()


class _Enable(_Section):
    project: Name | None = None
    service: Name | None = None
    name: Name | None = None


class _Reserve(_Section):
    memory: Share | None = None
    cpus: Annotated[float, Field(ge=0)] | None = None


class _Brake(_Section):
    targets: Annotated[int, Field(ge=1)] | None = None
    share: Share | None = None
    window: Some | None = None
    thaw: Duration | None = None
    action: Literal["freeze", "alert"] | None = None


class _Guards(_Section):
    concurrent: Annotated[int, Field(ge=1)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    per_hour: Annotated[int, Field(ge=1)] | None = None
    max_clones: Annotated[int, Field(ge=0)] | None = None
    reserve: _Reserve | None = None
    deploy_hold: Duration | None = None
    protected: list[Name] | None = None
    brake: _Brake | None = None


class _File(_Section):
    version: Literal[1] = 1
    defaults: _Rules = _Rules()
    enable: list[_Enable] = []
    policies: list[_Named] = []
    pull: Some | None = None
    alert_expiry: Some | None = None
    instances: list[Name] | None = None
    target_labels: Annotated[list[Name], Field(min_length=1)] | None = None
    guards: _Guards = _Guards()


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
        file = _File.model_validate(_plain(tree))
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


def _rulebook(file: _File) -> spec.Rulebook:
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


def _policy(base: spec.Policy, rules: _Rules) -> spec.Policy:
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


def _guards(guards: _Guards) -> spec.Guards:
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


def _written(section: _Section | None) -> dict[str, Any]:
    """The keys of a section that were written, and not as an empty value."""
    if section is None:
        return {}
    return {name: value for name, value in section.values().items() if value is not None}
