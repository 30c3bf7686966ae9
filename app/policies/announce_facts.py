"""What announcements are made of, and what they are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from app.domain.control import Brake, Halt
from app.domain.remediation import Remediation
from app.policies.membership import COMPOSE
from app.policies.spec import BrakeRules, Policy

#: The shipped rule relevo:container_info has the same expression.
_CLONE_NAME: Final = re.compile(r"(.+?)(?:_new[0-9]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A target as people and the shipped rules know it."""

    #: The container's name, as the engine gives it.
    container: str
    #: The rules' label ``group``: what `group_label` says.
    group: str
    policy: Policy
    #: Its mode is observe: nothing is done to it.
    observed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsView:
    """All facts that announcements are made of, gathered before."""

    engine: str
    #: Open ones, of this engine.
    remediations: tuple[Remediation, ...] = ()
    #: Those that have closed lately, of this engine; what is older than `over_for` is not told.
    closed: tuple[Remediation, ...] = ()
    #: How long the end of a story is told.
    over_for: timedelta = timedelta(minutes=10)
    #: When restarts helped, by target; oldest first.
    recoveries: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    #: Of every target with an open remediation; of others, where it is known.
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    brake: Brake = field(default_factory=Brake)
    brake_rules: BrakeRules = field(default_factory=BrakeRules)
    #: Targets with a failed restart in the brake's window, and after a person resumed.
    failing: int = 0
    #: The same, whether or not a person resumed.
    failing_targets: int = 0
    #: Opted-in targets of the engine.
    targets: int = 0
    #: A Prometheus with the shipped rules tells of many failing containers.
    has_prometheus: bool = False
    external_url: str | None = None
    pause: Halt | None = None
    #: Ids of attempts whose clone has left again.
    left: frozenset[str] = frozenset()
    #: Of our container labels.
    prefix: str = "relevo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An alert of ours that holds now."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    #: The same as long as it lasts; None: whoever posts it has to remember when it began.
    starts_at: datetime | None

    @property
    def key(self) -> str:
        """Its identity, which is Alertmanager's as well: all of its labels."""
        return " ".join(f"{name}={value}" for name, value in sorted(self.labels.items()))


def about(
    view: NewsView,
    alertname: str,
    target: str,
    subject: Subject,
    *,
    page: str,
    starts_at: datetime,
    severity: str = "warning",
    **annotations: str | None,
) -> Announcement:
    """Announce something about one target."""
    labels = {"group": subject.group, "name": subject.container, "target": target}
    return _announcement(
        view, alertname, {**labels, "severity": severity}, page, starts_at, annotations
    )


def of_engine(
    view: NewsView, alertname: str, *, starts_at: datetime | None, **annotations: str | None
) -> Announcement:
    """Announce something about the engine as a whole."""
    return _announcement(view, alertname, {"severity": "warning"}, "", starts_at, annotations)


def _announcement(
    view: NewsView,
    alertname: str,
    labels: Mapping[str, str],
    page: str,
    starts_at: datetime | None,
    annotations: Mapping[str, str | None],
) -> Announcement:
    url = f"{view.external_url.rstrip('/')}/{page}" if view.external_url else None
    return Announcement(
        labels=_told({"alertname": alertname, "engine": view.engine, **labels}),
        annotations=_told({**annotations, "relevo_url": url}),
        starts_at=starts_at,
    )


def _told(pairs: Mapping[str, str | None]) -> dict[str, str]:
    """Leave out what is empty: to Alertmanager that is the same as absent."""
    return {name: value for name, value in pairs.items() if value}


def left_clones(remediations: Iterable[Remediation], present: Iterable[str]) -> frozenset[str]:
    """
    Tell which attempts' clones have left again; one that is not warm yet may only be on its way.

    :param present: ids of all containers
    """
    here = frozenset(present)
    return frozenset(
        attempt.id
        for record in remediations
        for attempt in record.attempts
        if attempt.clone_id is not None and attempt.clone_id not in here
        if attempt.acted_at is not None
        if record.scaled_out_at is not None and attempt.acted_at <= record.scaled_out_at
    )


def group_label(container: str, labels: Mapping[str, str]) -> str:
    """Name the group of a container as the shipped rules do, from what the engine says."""
    service = labels.get(f"{COMPOSE}service", "")
    if service:
        return f"{labels.get(f'{COMPOSE}project', '')}-{service}"
    return _without_suffix(container)


def group_label_of(remediation: Remediation) -> str:
    """Name the group of a container that the engine no longer lists."""
    _, _, group = remediation.group.partition(":")
    project, slash, service = group.partition("/")
    # Any other group may be named by a label of ours, which the rules know nothing of.
    return f"{project}-{service}" if slash else _without_suffix(remediation.container)


def _without_suffix(container: str) -> str:
    found = _CLONE_NAME.fullmatch(container)
    return found[1] if found is not None else container
