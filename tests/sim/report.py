"""What runs came to, in a table."""

import sys
from collections import Counter
from collections.abc import Sequence

from tests.sim.plan import Result


def say(text: str) -> None:
    """Tell whoever started the command."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(results: Sequence[Result]) -> str:
    """One line for each profile, and the sum."""
    profiles = sorted({one.profile for one in results})
    rows = [("profile", "runs", "hours", "kills", "accepted", "starts", "h/CPU-min", "broken")]
    for profile in (*profiles, "all") if len(profiles) > 1 else profiles:
        some = [one for one in results if profile in ("all", one.profile)]
        hours = sum(one.hours for one in some)
        cpu = sum(one.cpu_s for one in some)
        rows.append(
            (
                profile,
                str(len(some)),
                f"{hours:.0f}",
                str(sum(one.kills for one in some)),
                str(sum(one.accepted for one in some)),
                str(sum(one.starts for one in some)),
                f"{hours / cpu * 60:.0f}" if cpu else "-",
                str(sum(one.violation is not None for one in some)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    broken = Counter(one.violation[0] for one in results if one.violation is not None)
    if broken:
        lines.append(", ".join(f"{name}: {count}" for name, count in sorted(broken.items())))
    return "\n".join(lines)
