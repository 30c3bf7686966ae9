"""
What an alert rule looks at, and which labels its alerts will have, read off its expression.

Not a parser of PromQL: what cannot be told by a glance is not told.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

_TEXT: Final = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`'
_SELECTOR: Final = re.compile(
    rf"(?<![\w:.])(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<braces>\{{(?:[^{{}}\"'`]|{_TEXT})*\}})?"
)
_STRINGS: Final = re.compile(_TEXT)
_COMMENT: Final = re.compile(r"#[^\n]*")
_BY: Final = re.compile(r"\bby\s*\(([^()]*)\)")
_WITHOUT: Final = re.compile(r"\bwithout\s*\(([^()]*)\)")
_AGGREGATION: Final = re.compile(r"\b(?:sum|avg|min|max|count|group|stddev|stdvar|quantile)\s*\(")
_CONTAINERS: Final = re.compile(r"(?<![\w:])(?:relevo:)?container_")


def is_about_containers(expression: str) -> bool:
    """Tell whether a rule reads series of containers."""
    return _CONTAINERS.search(_STRINGS.sub('""', expression)) is not None


def container_selectors(expression: str) -> tuple[str, ...]:
    """List the selectors of series of containers, as they are written, each once."""
    plain = (
        _COMMENT.sub("", expression)
        if "#" not in "".join(_STRINGS.findall(expression))
        else expression
    )
    found = [
        f"{one['name']}{one['braces'] or ''}"
        for one in _SELECTOR.finditer(plain)
        if _CONTAINERS.match(one["name"])
        # A label of that beginning, in a by clause, is no series.
        and not one["name"].startswith("container_label_")
    ]
    return tuple(dict.fromkeys(found))


def kept_labels(expression: str, series: Collection[str]) -> frozenset[str]:
    """
    Tell which labels of its series an expression keeps.

    Several ``by`` are taken for steps of one path, or for both sides of an operator: what all of
    them keep is kept.
    """
    plain = _STRINGS.sub('""', expression)
    kept = frozenset(series)
    clauses = _BY.findall(plain)
    for clause in clauses:
        kept &= _words(clause)
    for clause in _WITHOUT.findall(plain):
        kept -= _words(clause)
    if not clauses and _WITHOUT.search(plain) is None and _AGGREGATION.search(plain):
        return frozenset()
    return kept


def _words(clause: str) -> frozenset[str]:
    return frozenset(word.strip() for word in clause.split(",") if word.strip())


def names_a_container(
    expression: str, series: Collection[str], rule_labels: Mapping[str, str], names: tuple[str, ...]
) -> str | None:
    """
    Tell which label of its alerts will name a container; None: none does.

    :param series: label names of the series that it reads
    :param names: the labels that may, the first one decides
    """
    carried = set(rule_labels) | kept_labels(expression, series)
    return next((name for name in names if name in carried), None)
