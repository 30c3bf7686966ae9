"""The shipped dashboards as tests see them: their queries, and Grafana's variables filled in."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
from promql_parser import Expr, VectorSelector

from tests.deploy.places import DEPLOY

Json = dict[str, Any]

DASHBOARDS = DEPLOY / "grafana" / "dashboards"
NAMES = ("fleet", "container", "relevo")
#: What Grafana puts in for its own variables, with a scrape each 15 s and a range of an hour.
BUILT_IN = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s"}
#: `$name`, `${name}` and `${name:format}`.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a dashboard, as it is written there."""

    board: str
    #: Title of its panel, or name of its variable or annotation.
    where: str
    expr: str
    #: Of a variable: the label whose values it lists.
    label: str | None = None

    def filled(self, values: Mapping[str, str]) -> str:
        """Put values in for its variables. :raises KeyError: one is not known"""
        return _VARIABLE.sub(lambda found: values[found[1] or found[2]], self.expr)


def load(name: str, folder: Path = DASHBOARDS) -> Json:
    """Read one dashboard."""
    found: Json = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def data_panels(board: Json) -> list[Json]:
    """List the panels that ask Prometheus."""
    return [panel for panel in board["panels"] if panel["type"] != "annolist"]


def queries(name: str, board: Json) -> Iterator[Query]:
    """All that a dashboard asks of Prometheus: panels, annotations, variables."""
    for panel in data_panels(board):
        for target in panel["targets"]:
            yield Query(board=name, where=panel["title"], expr=target["expr"])
    for annotation in board["annotations"]["list"]:
        if "expr" in annotation:
            yield Query(board=name, where=annotation["name"], expr=annotation["expr"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert found is not None, variable
            yield Query(
                board=name, where=variable["name"], expr=found["selector"], label=found["label"]
            )


def selectors(expr: str) -> list[VectorSelector]:
    """Parse PromQL; list everything that it selects. :raises ValueError: it does not parse"""
    found: list[VectorSelector] = []
    _collect(promql_parser.parse(expr), found)
    return found


def _collect(node: Expr, found: list[VectorSelector]) -> None:
    if isinstance(node, VectorSelector):
        found.append(node)
    for name in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        inner = getattr(node, name, None)
        for one in inner if isinstance(inner, list) else [inner]:
            if one is not None:
                _collect(one, found)
