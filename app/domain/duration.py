"""Durations as people write them in Prometheus and Docker files: ``90s``, ``1h30m``, ``500ms``."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")

#: Longer than any wait that makes sense here, short enough for every date arithmetic.
LONGEST = timedelta(days=366)
#: Characters of what is no duration that an error repeats.
_SHOWN = 40


def parse_duration(text: str) -> timedelta:
    """
    Read a duration such as ``90s``, ``1h30m`` or ``0s``.

    :raises ValueError: with a sentence for the person who wrote it
    """
    written = text.strip()
    if written == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(written):
        raise ValueError(f"{_shown(text)} is not a duration: write it like 90s, 5m or 1h30m")
    try:
        total = sum((float(n) * _UNITS[unit] for n, unit in _PART.findall(written)), timedelta(0))
    except OverflowError:
        total = LONGEST + timedelta(1)
    if total > LONGEST:
        raise ValueError(f"{_shown(text)} is longer than a year")
    return total


def _shown(text: str) -> str:
    """Repeat what was written, so that it is found: the beginning, where it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def format_duration(duration: timedelta) -> str:
    """Write a duration the way :func:`parse_duration` reads it; whole milliseconds."""
    left = round(duration / timedelta(milliseconds=1))
    if left == 0:
        return "0s"
    sign = "-" if left < 0 else ""
    left = abs(left)
    written = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            written.append(f"{count}{unit}")
    return sign + "".join(written)
