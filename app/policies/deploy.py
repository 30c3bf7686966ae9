"""Is a deploy going on around a container: then Relevo stands back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from app.domain.container import Listed
from app.policies.membership import COMPOSE

_PROJECT = f"{COMPOSE}project"
_ONE_OFF = f"{COMPOSE}oneoff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A container of a compose project was removed or renamed."""

    project: str
    at: datetime


def project_of(labels: Mapping[str, str], *, prefix: str) -> str | None:
    """Name the compose project that a container is deployed with; None for clones and one-offs."""
    if labels.get(_ONE_OFF) == "True" or f"{prefix}.clone-of" in labels:
        return None
    return labels.get(_PROJECT) or None


def deploying_until(
    one: Listed,
    everybody: Iterable[Listed],
    changes: Iterable[Change],
    *,
    hold: timedelta,
    prefix: str,
    now: datetime,
) -> datetime | None:
    """
    Tell until when a container is left alone because its project, or service, is being deployed.

    A removal or a new name in the project always is a deploy. So is a new container, except
    while the project starts for the first time (its containers came one after the other, none
    much later than the one before): then only those that are new themselves are left alone.
    """
    if hold <= timedelta(0):
        return None
    if one.is_replacing:
        return now + hold
    project = project_of(one.labels, prefix=prefix)
    if project is None:
        return None
    ends = [c.at + hold for c in changes if c.project == project]
    births = sorted(
        other.created_at
        for other in everybody
        # By a clock that is wrong it may be from the future: that is no deploy for ever.
        if other.created_at is not None
        and other.created_at <= now + hold
        and project_of(other.labels, prefix=prefix) == project
    )
    if births and births[-1] > now - hold:
        first_start = all(b - a <= hold for a, b in pairwise(births))
        born = one.created_at if first_start else births[-1]
        if born is not None:
            ends.append(born + hold)
    last = max(ends, default=None)
    return last if last is not None and last > now else None
