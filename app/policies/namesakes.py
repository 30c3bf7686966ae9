"""Whose alerts those of a target are: its own, its clones', or of containers that are gone."""

from collections.abc import Iterable

from app.domain.alert import KnownAlert
from app.domain.reason import Reason
from app.policies.roster import Found, Roster


def told_apart(
    known: Iterable[KnownAlert], roster: Roster, *, target_labels: tuple[str, ...]
) -> tuple[tuple[KnownAlert, ...], frozenset[str]]:
    """Leave out alerts of containers that are gone; name those that are about a clone."""
    kept, on_clones = [], set()
    for one in known:
        about = roster.resolve(one.alert.labels, target_labels=target_labels)
        if isinstance(about, Found):
            if _is_of_a_namesake(one, about):
                continue
            if not about.on_source:
                on_clones.add(one.alert.fingerprint)
        elif about.reason is Reason.NO_SUCH_TARGET:
            continue  # that of a clone that has left: its source is here
        kept.append(one)
    return tuple(kept), frozenset(on_clones)


def _is_of_a_namesake(known: KnownAlert, about: Found) -> bool:
    """
    Tell whether an alert is about a clone that has left, and another has its name by now.

    Its end is skipped while nobody has that name. What the API lists is the API's to tell.
    """
    created_at = about.member.listed.created_at
    if about.on_source or known.listed or created_at is None:
        return False
    return known.notified_at < created_at
