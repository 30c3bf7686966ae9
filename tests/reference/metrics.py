"""docs/metrics.md, from the registries themselves and the shipped rules."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from app.controller.telemetry import Telemetry

RULES: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "alert_rules.yml"
_HEAD: Final = """\
# Metrics and alerts

Made by `make docs` from what Relevo registers and from the shipped rules.

## Relevo's own

At `GET /metrics` of the controller, with a token that reads. A counter's series exist from the
first scrape on where its labels are known before; a histogram has `_bucket`, `_sum` and `_count`.

| Name | Type | Labels | Meaning |
| --- | --- | --- | --- |
"""
_COLLECTOR: Final = """\

## The collector's

At `GET /metrics/containers` of `relevo collect`: cAdvisor's names, with the time of each sample.

| Name | Type | Labels | Meaning |
| --- | --- | --- | --- |
"""
_ALERTS: Final = """\

## Alerts

Of [alert_rules.yml](../deploy/prometheus/alert_rules.yml). Alerts about containers go to Relevo,
those about Relevo to people.

| Alert | For | Severity | Summary |
| --- | --- | --- | --- |
"""
_RECORDED: Final = """\

## Recorded series

| Name |
| --- |
"""

Row = tuple[str, str, Iterable[str], str]


def metrics_page(collected: Iterable[Row]) -> str:
    """
    Write the page.

    :param collected: rows of the collector: name, type, labels, meaning
    """
    groups = YAML(typ="safe").load(RULES)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    own = sorted(_own(Telemetry()))
    return (
        _HEAD
        + "".join(map(_row, own))
        + _COLLECTOR
        + "".join(map(_row, sorted(collected)))
        + _ALERTS
        + "".join(_alert(rule) for rule in rules if "alert" in rule)
        + _RECORDED
        + "".join(f"| `{rule['record']}` |\n" for rule in rules if "record" in rule)
    )


def _own(telemetry: Telemetry) -> Iterator[Row]:
    for one in telemetry.registry._collector_to_names:
        if isinstance(one, MetricWrapperBase):
            (family, *_) = one.describe()
            # A counter's family has no ending, and its series have.
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, family.type, one._labelnames, family.documentation


def _row(row: Row) -> str:
    name, kind, labels, text = row
    shown = " ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {kind} | {shown} | {_cell(text)} |\n"


def _alert(rule: dict[str, Any]) -> str:
    severity, summary = rule["labels"]["severity"], rule["annotations"]["summary"]
    return f"| `{rule['alert']}` | {rule.get('for', '')} | {severity} | {_cell(summary)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
