"""Is the target ill: active, suppressed, absent, or nobody can tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.domain.alert import Alert, AlertStatus, KnownAlert, ListedAlert, ListedState
from app.domain.duration import parse_duration
from app.domain.observation import Sickness, Symptom
from app.policies.spec import Patience

_SETTLE = "relevo_settle"
_FORGOTTEN = (
    "Alertmanager still lists the alert, but Prometheus sends it no more: has it restarted?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What Alertmanager's API says of one target."""

    #: Alerts about the target's own container.
    on_source: tuple[ListedAlert, ...] = ()
    #: Alerts about its clones.
    on_clones: tuple[ListedAlert, ...] = ()
    #: Alerts about either that whoever evaluates them sends no more, without a word of their end.
    forgotten: tuple[ListedAlert, ...] = ()
    #: Why the absence of an alert proves nothing; None while the pipeline is alive.
    dead: str | None = None

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of all alerts that are listed."""
        return frozenset(alert.fingerprint for alert in _all_listed(self))


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An API is configured, and does not answer."""

    why: str
    #: Labels of the alerts that Prometheus has firing; None where it cannot be asked either.
    firing: tuple[Mapping[str, str], ...] | None = None
    #: Why their absence proves nothing; None while the pipeline is alive.
    dead: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of the symptom of one target."""

    #: Alerts by their last notices.
    known: tuple[KnownAlert, ...]
    #: Fingerprints of known alerts that are about a clone.
    on_clones: frozenset[str] = frozenset()
    #: None: no API is configured.
    pulled: Pulled | Unreachable | None
    #: Why the target's samples are not fresh; None when they are or cannot be asked for.
    stale: str | None = None


def sickness(evidence: Evidence, *, now: datetime, expiry: timedelta) -> Sickness:
    """
    Judge the symptom (semantics, section 3).

    An alert that the API has listed once is the API's to tell; any other follows its own
    notices, and expires `expiry` after the last one.
    """
    noticed = any(known.alert.status is AlertStatus.FIRING for known in evidence.known)
    judged = _judge(evidence, now=now, expiry=expiry)
    return replace(judged, noticed=True) if noticed else judged


def elsewhere(evidence: Evidence, told: Sickness, *, now: datetime, expiry: timedelta) -> Sickness:
    """
    Judge the symptom of a target that is off duty: of those alone who serve in its place.

    :param told: what all of its alerts say; what its own say is no need, but noticed
    """
    pulled = evidence.pulled
    if isinstance(pulled, Pulled):
        pulled = replace(pulled, on_source=(), forgotten=())
    known = tuple(k for k in evidence.known if k.alert.fingerprint in evidence.on_clones)
    others = replace(evidence, known=known, pulled=pulled)
    sick = replace(_judge(others, now=now, expiry=expiry), on_source=False)
    return replace(sick, noticed=told.symptom is Symptom.ACTIVE)


def _judge(evidence: Evidence, *, now: datetime, expiry: timedelta) -> Sickness:
    pulled = evidence.pulled
    listed = pulled.fingerprints if isinstance(pulled, Pulled) else frozenset()
    by_notice = tuple(
        known
        for known in evidence.known
        if known.alert.fingerprint not in listed
        and (pulled is None or not known.listed)
        and known.alert.status is AlertStatus.FIRING
        and now < known.notified_at + expiry
    )
    settle = _settle(evidence, pulled)

    if isinstance(pulled, Unreachable):
        return _without_answer(evidence, pulled, settle)

    on_source: list[Alert | ListedAlert] = []
    on_clones: list[Alert | ListedAlert] = []
    for known in by_notice:
        on_clone = known.alert.fingerprint in evidence.on_clones
        (on_clones if on_clone else on_source).append(known.alert)
    silenced = False
    if pulled is not None:
        silenced = any(
            a.state is ListedState.SUPPRESSED for a in (*pulled.on_source, *pulled.on_clones)
        )
        on_source += [a for a in pulled.on_source if a.state is ListedState.ACTIVE]
        on_clones += [a for a in pulled.on_clones if a.state is ListedState.ACTIVE]

    active = (*on_source, *on_clones)
    told_by_api = bool(listed) or any(k.listed for k in evidence.known)
    # Old data prove nothing either way: neither that it is ill nor that it is well.
    if evidence.stale is not None and told_by_api and not by_notice:
        return Sickness(symptom=Symptom.UNKNOWN, settle=settle, doubt=evidence.stale)
    if active:
        return Sickness(
            symptom=Symptom.ACTIVE,
            alerts=_names(evidence.known, active),
            on_source=bool(on_source),
            since=_since(evidence.known, active),
            settle=settle,
        )
    if isinstance(pulled, Pulled) and pulled.forgotten:
        return Sickness(symptom=Symptom.UNKNOWN, settle=settle, doubt=_FORGOTTEN)
    if silenced:
        return Sickness(symptom=Symptom.SUPPRESSED, settle=settle)
    asks_api = told_by_api or not evidence.known
    if asks_api and isinstance(pulled, Pulled) and pulled.dead is not None:
        return Sickness(symptom=Symptom.UNKNOWN, settle=settle, doubt=pulled.dead)
    return Sickness(symptom=Symptom.ABSENT, resolved=_all_resolved(evidence.known), settle=settle)


def _without_answer(evidence: Evidence, pulled: Unreachable, settle: timedelta | None) -> Sickness:
    """
    Judge while a configured API is silent.

    An alert that was posted and resolved can be believed. Of one that Prometheus evaluates,
    Prometheus tells; whether it is silenced nobody does.
    """
    open_ones = [k for k in evidence.known if k.alert.status is AlertStatus.FIRING]
    listed = [k for k in evidence.known if k.listed]
    if not listed and _all_resolved(evidence.known):
        return Sickness(symptom=Symptom.ABSENT, resolved=True, settle=settle)
    unknown = Sickness(symptom=Symptom.UNKNOWN, settle=settle, doubt=pulled.why)
    if pulled.firing is None:
        return unknown
    if evidence.stale is not None:
        return replace(unknown, doubt=evidence.stale)
    active = [
        k.alert for k in evidence.known if any(_is_same(k.alert, one) for one in pulled.firing)
    ]
    if active:
        on_source = [a for a in active if a.fingerprint not in evidence.on_clones]
        return Sickness(
            symptom=Symptom.ACTIVE,
            alerts=_names(evidence.known, active),
            on_source=bool(on_source),
            since=_since(evidence.known, active),
            settle=settle,
        )
    if not all(k.listed for k in open_ones):
        return unknown  # one that was posted by somebody else than Prometheus
    if pulled.dead is not None:
        return replace(unknown, doubt=pulled.dead)
    return Sickness(symptom=Symptom.ABSENT, resolved=_all_resolved(evidence.known), settle=settle)


def _is_same(alert: Alert, series: Mapping[str, str]) -> bool:
    """Compare with a series of ``ALERTS``, which lacks Prometheus' external labels."""
    return alert.name == series.get("alertname") and all(
        alert.labels.get(name) == value for name, value in series.items()
    )


def pipeline_doubt(
    *,
    up_since: datetime,
    watchdog: bool,
    watchdog_seen_before: bool,
    now: datetime,
    patience: Patience,
) -> str | None:
    """
    Tell why the absence of an alert would prove nothing; None while the pipeline is alive.

    A dead Prometheus, a cut link and a restarted Alertmanager (it forgets its alerts) all look
    like recovery otherwise. Where the watchdog was never seen, its rule is not installed.
    """
    if now - up_since < patience.alertmanager_up:
        return "Alertmanager has just started and may not have its alerts back yet"
    if not watchdog and watchdog_seen_before:
        return "RelevoWatchdog is not firing: Prometheus, or the link to Alertmanager, is down"
    return None


def sample_doubt(newest: datetime | None, *, now: datetime, patience: Patience) -> str | None:
    """Tell why the samples of a container prove nothing; None when fresh or not measured there."""
    if newest is None or abs(now - newest) <= patience.fresh_within:
        return None
    if newest > now:
        return "the newest sample of the container is from the future: two clocks disagree"
    age = round((now - newest).total_seconds())
    return f"the newest sample of the container is {age} s old: its collector is down"


def newly_listed(
    known: Iterable[KnownAlert], pulled: Pulled | Unreachable | None
) -> tuple[str, ...]:
    """List the known alerts that the API has listed for the first time."""
    if not isinstance(pulled, Pulled):
        return ()
    fingerprints = pulled.fingerprints
    return tuple(
        k.alert.fingerprint for k in known if not k.listed and k.alert.fingerprint in fingerprints
    )


def _all_listed(pulled: Pulled) -> tuple[ListedAlert, ...]:
    return (*pulled.on_source, *pulled.on_clones, *pulled.forgotten)


def _all_resolved(known: tuple[KnownAlert, ...]) -> bool:
    return bool(known) and all(k.alert.status is AlertStatus.RESOLVED for k in known)


def _names(known: tuple[KnownAlert, ...], active: Iterable[Alert | ListedAlert]) -> tuple[str, ...]:
    """Name the active alerts, the one that was received first in front: it chooses the policy."""
    received = {k.alert.fingerprint: k.received_at for k in known}
    latest = max(received.values(), default=datetime.max.replace(tzinfo=UTC))
    ordered = sorted(
        active,
        key=lambda a: (received.get(a.fingerprint, latest), a.labels.get("alertname", "")),
    )
    return tuple(dict.fromkeys(a.labels.get("alertname", "") for a in ordered))


def _since(known: tuple[KnownAlert, ...], active: Iterable[Alert | ListedAlert]) -> datetime | None:
    fingerprints = {alert.fingerprint for alert in active}
    return min((k.received_at for k in known if k.alert.fingerprint in fingerprints), default=None)


def _settle(evidence: Evidence, pulled: Pulled | Unreachable | None) -> timedelta | None:
    annotations: list[Mapping[str, str]] = [k.alert.alert_annotations for k in evidence.known]
    if isinstance(pulled, Pulled):
        annotations += [a.alert_annotations for a in _all_listed(pulled)]
    found = []
    for each in annotations:
        if _SETTLE not in each:
            continue
        try:
            found.append(parse_duration(each[_SETTLE]))
        except ValueError:
            continue  # a rule with something else in it: the policy's holds
    return max(found, default=None)
