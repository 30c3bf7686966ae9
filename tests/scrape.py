"""One answer of the collector, read by prometheus_client's own parser."""

from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.adapters.engine.sweeper import Sweeper
from app.collector import Page


class Scrape:
    """One answer of the collector, read by prometheus_client's own parser."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def labels(self, series: str, **matching: str) -> dict[str, str]:
        """Return the labels of the one series that matches."""
        (found,) = self._found(series, matching)
        return dict(found.labels)

    def value(self, series: str, **matching: str) -> float:
        """Return the value of the one series that matches."""
        (found,) = self._found(series, matching)
        return float(found.value)

    def has(self, series: str, **matching: str) -> bool:
        """Whether any series matches."""
        return bool(self._found(series, matching))

    def names(self) -> set[str]:
        """Return the names of the containers that were measured."""
        return {s.labels["name"] for s in self.samples if s.name == "container_last_seen"}

    def _found(self, series: str, matching: dict[str, str]) -> list[Any]:
        return [
            sample
            for sample in self.samples
            if sample.name == series and matching.items() <= sample.labels.items()
        ]


def scrape(sweeper: Sweeper, engine_name: str | None = None) -> Scrape:
    return Scrape(generate_latest(Page(sweeper, engine_name=engine_name)).decode())
