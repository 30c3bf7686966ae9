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
from ruamel.yaml.comments import CommentedMap

from app.adapters.policy_faults import said, shown, shown_key
from app.adapters.policy_schema import FileIn, GuardsIn, RulesIn, Section
from app.adapters.policy_yaml import YamlPath, plain_values, position_of, read_tree
from app.errors import BadConfiguration
from app.policies import spec
from app.policies.reachability import Goal, Reachability, reachability

#: A policy file of a thousand policies has 200 kB.
_LARGEST: Final = 1024 * 1024
#: What is looked at, and told about, where a policy can never scale out: the first one written.
_SPANS: Final = (
    ("restart", "delays"),
    ("restart", "window"),
    ("restart", "max_failed"),
    ("restart", "jitter"),
    ("restart", "start_grace"),
    ("verify", "deadline"),
    ("verify", "settle"),
    ("verify", "poll"),
)


#: Faults that are told at once: nobody mends more before the next try.
_MOST_FAULTS = 50


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
    tree = read_tree(text, source)
    try:
        file = FileIn.model_validate(plain_values(tree, text, source))
    except PydanticError as exc:
        faults = [
            (error["loc"], said(error))
            for error in exc.errors(include_url=False, include_input=False)
        ]
        raise _wrong(source, tree, faults) from exc
    book = _rulebook(file)
    faults = [*_contradictions(file), *_unreachable(file, book)]
    if faults:
        raise _wrong(source, tree, faults)
    return book


def _contradictions(file: FileIn) -> Iterator[tuple[YamlPath, str]]:
    """Find what is well written and still makes no sense."""
    for index, entry in enumerate(file.enable):
        if not entry.values():
            yield ("enable", index), "name a project, a service or a name"
    taken = {spec.Policy().name}
    for index, policy in enumerate(file.policies):
        if policy.name in taken:
            told = f"the name {shown(policy.name)} is taken; names tell policies apart"
            yield ("policies", index, "name"), told
        taken.add(policy.name)


def _unreachable(file: FileIn, book: spec.Rulebook) -> Iterator[tuple[YamlPath, str]]:
    """Find policies whose scale-out never comes: failures are forgotten faster than they come."""
    inherited = reachability(book.defaults)
    written: list[tuple[YamlPath, RulesIn, Reachability | None]] = [
        (("defaults",), file.defaults, inherited)
    ]
    for index, (entry, (_, policy)) in enumerate(zip(file.policies, book.policies, strict=True)):
        found = reachability(policy)
        if found != inherited:  # or else it is the defaults that must change
            written.append((("policies", index), entry, found))
    for where, rules, found in written:
        if found is not None and found.goal is Goal.SCALE_OUT and not found.fits:
            yield (*where, *_first_of(rules)), found.sentence


def _first_of(rules: RulesIn) -> YamlPath:
    """Find the first key that decides about the span and was written; nothing for none."""
    for section, key in _SPANS:
        if getattr(rules.values().get(section), key, None) is not None:
            return section, key
    return ()


def _wrong(
    source: str, tree: CommentedMap, faults: Iterable[tuple[YamlPath, str]]
) -> BadConfiguration:
    """Name every fault, in the order of the file."""
    placed = sorted((position_of(tree, where), _where(where), told) for where, told in faults)
    lines = [f"{source}:{at[0]}:{at[1]}: {where}: {told}" for at, where, told in placed]
    # A union reports each of its branches: the same place once is enough.
    told = list(dict.fromkeys(lines))
    if len(told) > _MOST_FAULTS:
        told[_MOST_FAULTS:] = [f"{source}: and {len(told) - _MOST_FAULTS} faults more"]
    return BadConfiguration("\n".join(told))


def _where(where: YamlPath) -> str:
    # Branches of a union have names of their own in pydantic's path, which nobody wrote.
    written = [shown_key(p) for p in where if not (isinstance(p, str) and ("[" in p or "'" in p))]
    return ".".join(written) or "the file"


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
