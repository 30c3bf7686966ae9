"""Prometheus' text format, read as far as it is needed to ask one process for a figure."""

import re
from typing import Final

_SAMPLE: Final = re.compile(
    r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)", re.MULTILINE
)


def samples(text: str, name: str, label: str = "") -> list[float]:
    """
    List the values of a metric.

    :param label: only those with it, as it is written there: ``integration="webhook"``
    """
    return [
        float(one["value"])
        for one in _SAMPLE.finditer(text)
        if one["name"] == name and label in (one["labels"] or "")
    ]
