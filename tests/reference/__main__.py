"""
Make the documents that are made from the code: ``make docs``.

app/api/examples.json, docs/openapi.json, docs/api.md, docs/metrics.md.
"""

import structlog

from tests.reference.making import ROOT, made


def _drop(*_: object) -> str:
    raise structlog.DropEvent


if __name__ == "__main__":
    structlog.configure(processors=[_drop])  # the recorded Relevo has its own log
    for name, text in made().items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(name)  # noqa: T201 - it is a command
