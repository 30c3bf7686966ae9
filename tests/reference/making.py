"""The texts of all documents that are made from the code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from app.api.app import create_app
from app.api.document import document_of
from tests.reference.collected import collected
from tests.reference.metrics import metrics_page
from tests.reference.pages import api_page
from tests.reference.recording import record
from tests.reference.scene import parts

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = "app/api/examples.json"


def made() -> Mapping[str, str]:
    """Make all documents: path from the root, text."""
    bare = create_app(parts())
    examples = record(document_of(bare, {}))
    document = document_of(bare, examples)
    return {
        EXAMPLES: _json(examples),
        "docs/openapi.json": _json(document),
        "docs/api.md": api_page(document),
        "docs/metrics.md": metrics_page(collected()),
    }


def _json(told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
