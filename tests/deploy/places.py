"""Where the shipped configuration is, and how the tests read it."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
ALERTMANAGER = DEPLOY / "alertmanager"

#: What both Prometheus and Alertmanager take for a duration, as one token.
DURATION = re.compile(r"(?<![\w.])(\d+)(ms|s|m|h|d)(?![\w])")


def load_yaml(path: Path) -> Any:
    """Read a YAML file, merge keys and all."""
    return YAML(typ="safe", pure=True).load(path)


def strings(value: object) -> list[str]:
    """All the texts in a tree, keys left out."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []
