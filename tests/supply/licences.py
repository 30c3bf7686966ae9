"""
``python -m tests.supply.licences``: whether all that the image holds may be given away with it.

A licence that is not in `ALLOWED` is a decision of people's, not of an upgrade's.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from tests.supply.parts import Part, locked

#: SPDX's words. Permissive, and MPL-2.0, whose files stay as they are.
ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
    }
)


def may(expression: str) -> bool:
    """Tell whether an SPDX expression comes out at allowed licences only, or at a choice of one."""
    choices = re.split(r"\s+OR\s+", expression.replace("(", " ").replace(")", " ").strip())
    return any(
        all(one.strip() in ALLOWED for one in re.split(r"\s+AND\s+", choice)) for choice in choices
    )


def findings(parts: Iterable[Part]) -> Iterator[str]:
    """Name what may not be in the image, or does not say whether it may."""
    for part in parts:
        if not part.is_used:
            continue
        if not part.licence:
            yield f"{part.name} {part.version}: does not say its licence"
        elif not may(part.licence):
            yield f"{part.name} {part.version}: {part.licence} is not in the list of licences"


def main() -> None:
    """The command."""
    parts = list(locked())
    found = list(findings(parts))
    used = sum(part.is_used for part in parts)
    sys.stdout.write("\n".join(found or [f"{used} packages, all under licences of the list"]))
    sys.stdout.write("\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
