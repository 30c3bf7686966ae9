"""What docs/logs.md promises of a decision's line, and whether a line keeps it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "logs.md"
#: What the renderer adds to each line; the capture of tests calls the level by another name.
_BY_RENDERER = {"ts", "level"}


def promised() -> dict[str, list[str]]:
    """The keys of each list of the chapter, by the words that lead to it."""
    chapter = PAGE.read_text(encoding="utf-8").split("\n## A decision\n")[1].split("\n## ")[0]
    found: dict[str, list[str]] = {}
    for head, items in re.findall(r"\n([^\n-][^\n]*):\n\n((?:[- ] .*\n)+)", chapter):
        for names in re.findall(r"^- ((?:`\w+`(?:, )?)+):", items, re.MULTILINE):
            found.setdefault(head, []).extend(re.findall(r"`(\w+)`", names))
    return found


def keep_the_promise(lines: Iterable[Mapping[str, Any]]) -> None:
    """Fail where a decision's line lacks a key that is promised, or has one that is not."""
    always, container, group, sometimes = (set(keys) for keys in promised().values())
    for line in lines:
        if line["event"] != "decision":
            continue
        keys = set(line) - {"log_level"} | _BY_RENDERER
        needed = always | (group if "group" in line else container)
        assert needed <= keys, line
        assert keys <= needed | sometimes, line
        # Numbers stay numbers; all else is text, whichever format it is written in.
        assert {name for name in keys & set(line) if not isinstance(line[name], str)} <= {
            "failures"
        }, line
