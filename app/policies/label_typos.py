"""Labels that are nearly ours: whoever wrote them believes that they have an effect."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from app.domain.container import Listed
from app.policies.membership import OptIn

_KNOWN: Final = (
    "enable",
    "policy",
    "protected",
    "max-instances",
    "workload",
    "stateless",
    "cpus",
    "clone-of",
    "attempt",
    "created-at",
)
#: What ``relevo.enable`` may be; the last two are a plain no.
_WORDS: Final = (OptIn.ENFORCE, OptIn.OBSERVE, "false", "no")
_SEPARATOR: Final = re.compile(r"[._/-]")
_FIX: Final = (
    ": labels are fixed when a container is created, so create it anew, or name it under `enable` "
    "in the policy file"
)
#: Told at once: nobody mends more before the next look.
_MOST: Final = 20


def label_typos(listing: Iterable[Listed], *, prefix: str) -> tuple[str, ...]:
    """Say which labels of containers do nothing, and what was probably meant: a sentence each."""
    found = [said for one in listing for said in _typos(one, prefix)]
    return tuple(sorted(found)[:_MOST])


def _typos(one: Listed, prefix: str) -> Iterable[str]:
    for label, value in one.labels.items():
        head, rest = label[: len(prefix)], label[len(prefix) :]
        if head.lower() != prefix.lower() or not _SEPARATOR.match(rest):
            continue
        if label == f"{prefix}.enable":
            if value.strip().lower() not in _WORDS:
                wrong = f"{value[:40]!r} is neither 'true' nor 'observe', so it has not opted in"
                yield f"{one.name}: {label}: {wrong}: create it anew with one of them"
            continue
        if head == prefix and rest[0] == "." and rest[1:] in _KNOWN:
            continue
        # People have labels of their own under our prefix as well: only what is near is a typo.
        near = get_close_matches(rest[1:].lower(), _KNOWN, n=1, cutoff=0.6)
        if near:
            meant = f"{prefix}.{near[0]} is meant"
            yield f"{one.name}: the label {label!r} has no effect, {meant}{_FIX}"
