"""The fidelity report in lines for people: what a clone would share with its source."""

import textwrap
from typing import Any, Final

from app.cli.asking import clean

_WIDTH: Final = 100
#: What matters most comes first.
_ORDER: Final = ("refused", "changed", "dropped", "same")
#: As the report says of a field that needs no words.
_PLAIN: Final = "unchanged"
#: Goes on "traffic reaches it by ".
_TRAFFIC: Final = {
    "alias": "alias: it has the same network names, for whoever looks them up anew",
    "labels": "labels: a balancer that reads them finds it by itself",
    "host_port": "host_port: a port of the host, which somebody has to be told of",
    "none": "none: only what it fetches itself, such as jobs from a queue, is shared",
}


def fidelity(target: str, answer: dict[str, Any]) -> list[str]:
    """Say what a clone of a target would be, or why there can be none."""
    report, in_the_way = answer["report"], answer["in_the_way"]
    stopped = [f"In the way now: {in_the_way}"] if in_the_way is not None else []
    if report is None:
        return [f"What a clone of {target} would be, the engine cannot say now.", *stopped]
    if report["refused"]:
        lines = [f"No faithful clone of {target} can be made:"]
    else:
        way = _TRAFFIC.get(report["traffic"], report["traffic"])
        lines = [f"A clone of {target} can be made; traffic reaches it by {way}."]
    return [*lines, *_items(report["items"]), *stopped]


def _items(items: list[dict[str, Any]]) -> list[str]:
    if not items:
        return []
    rows = [("FATE", "FIELD", "DETAIL")]
    rows += [
        (fate, clean(item["field"]), clean(item["detail"]))
        for fate in (*_ORDER, *sorted({item["fate"] for item in items} - set(_ORDER)))
        for item in items
        if item["fate"] == fate and not _is_plain(item)
    ]
    plain = [clean(item["field"]) for item in items if _is_plain(item)]
    fates = max(len(row[0]) for row in rows)
    fields = max(len(row[1]) for row in rows)
    lines = [line for row in rows for line in _row(row, fates, fields)]
    if plain:
        lines += _wrapped(f"{', '.join(plain)}: {_PLAIN}", f"  {'same':{fates}}  ")
    return lines


def _is_plain(item: dict[str, Any]) -> bool:
    return item["fate"] == "same" and item["detail"] in ("", _PLAIN)


def _row(row: tuple[str, str, str], fates: int, fields: int) -> list[str]:
    fate, field, detail = row
    return _wrapped(detail, f"  {fate:{fates}}  {field:{fields}}  ")


def _wrapped(text: str, first: str) -> list[str]:
    indent = " " * len(first)
    # A field with a long name leaves little beside it: its detail is then as wide as it needs.
    width = max(_WIDTH, len(first) + 40)
    return textwrap.wrap(
        text, width=width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    ) or [first.rstrip()]
