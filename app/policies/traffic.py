"""
Whether a clone takes its share: what it and its source have used since it was warm.

Each threshold is explained in docs/decisions/0027-a-clone-has-to-prove-itself.md.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.domain.container import Container
from app.domain.decision import Reason, Verdict
from app.domain.duration import format_duration
from app.domain.observation import Observation
from app.domain.remediation import Action, Attempt, Remediation, Trigger
from app.domain.usage import SideBySide, Used
from app.policies.attempts import is_up
from app.policies.spec import Policy

#: Of a fair share, which is half of what both have used: less than this is hardly any.
_HARDLY: Final = 0.05
#: Bytes a second of the source: below, there was nothing to share (ARP, a probe, a name lookup).
_IDLE_NETWORK: Final = 500.0
#: Cores of the source: below, there was no work to share.
_IDLE_CPU: Final = 0.05
#: Cores that a program may use for doing nothing: timers, a collector of garbage.
_BACKGROUND_CPU: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the comparison says."""

    #: NO_TRAFFIC or NO_EFFECT; None: nothing speaks against the clone.
    verdict: Verdict | None
    #: One sentence, with the numbers.
    said: str


def is_asked(
    remediation: Remediation | None, clone: Container | None, policy: Policy, *, now: datetime
) -> bool:
    """Tell whether this look has to measure: as the clone gets warm, and when proof is due."""
    attempt = remediation.open_attempt if remediation is not None else None
    if remediation is None or attempt is None or attempt.acted_at is None or clone is None:
        return False
    if attempt.action is not Action.SCALE_OUT or attempt.reason is Reason.COVER:
        return False  # a cover need not share anything
    if not policy.scale_out.traffic_proof or attempt.trigger is Trigger.REHEARSAL:
        return False
    if not is_up(remediation):
        return clone.is_serving and now >= attempt.acted_at + policy.scale_out.warm_up
    due = due_at(remediation, policy)
    return due is not None and now >= due


def due_at(remediation: Remediation, policy: Policy) -> datetime | None:
    """Tell when the open scale-out has to prove itself; None: it need not, or has done so."""
    attempt = remediation.open_attempt
    if attempt is None or attempt.beside is None or attempt.evidence is not None:
        return None
    if attempt.beside.source is None or attempt.beside.clone is None:
        return None
    if not policy.scale_out.traffic_proof or remediation.scaled_out_at is None:
        return None
    return remediation.scaled_out_at + policy.scale_out.traffic_proof


def prove(attempt: Attempt, after: SideBySide | None, *, is_active: bool) -> Proof | None:
    """
    Compare what clone and source have used since the clone was warm.

    :param is_active: the source's own alert is active: what the clone does has not helped it yet
    :return: None where nothing was measured, or not the same lives of both
    """
    before = attempt.beside
    if before is None or after is None:
        return None
    source, clone = _Growth.of(before.source, after.source), _Growth.of(before.clone, after.clone)
    if source is None or clone is None:
        return None
    span = format_duration(source.span)
    if source.network is None or clone.network is None:
        # In the host's network nobody can tell whose bytes they are: the work has to do.
        if source.cpu < _IDLE_CPU * source.seconds:
            return Proof(verdict=None, said=f"the source was idle for {span}: nothing to share")
        if is_active and _hardly(clone.cpu, source.cpu):
            return Proof(
                verdict=Verdict.NO_EFFECT,
                said=f"within {span} the clone did {_share(clone.cpu, source.cpu)} of the work",
            )
        return Proof(
            verdict=None, said=f"the clone did {_share(clone.cpu, source.cpu)} of the work"
        )

    if source.network < _IDLE_NETWORK * source.seconds:
        return Proof(verdict=None, said=f"the source had no traffic for {span}: nothing to share")
    took = _share(clone.network, source.network)
    rests = clone.cpu < _BACKGROUND_CPU * clone.seconds or _hardly(clone.cpu, source.cpu)
    if _hardly(clone.network, source.network):
        if rests:
            return Proof(
                verdict=Verdict.NO_TRAFFIC,
                said=(
                    f"within {span} {_bytes(clone.network)} went over the clone's networks, "
                    f"beside {_bytes(source.network)} over the source's"
                ),
            )
        did = _share(clone.cpu, source.cpu)
        return Proof(verdict=None, said=f"the clone took {took} of the traffic, {did} of the work")
    works = source.cpu >= _IDLE_CPU * source.seconds
    if is_active and works and _hardly(clone.cpu, source.cpu):
        did = _share(clone.cpu, source.cpu)
        return Proof(
            verdict=Verdict.NO_EFFECT,
            said=f"within {span} the clone took {took} of the traffic and did {did} of the work",
        )
    return Proof(verdict=None, said=f"the clone took {took} of the traffic")


def told(remediation: Remediation, seen: Observation, watched_for: Reason) -> Remediation:
    """
    Keep what a look has told of the open attempt's clone, so that it is asked for once.

    A look that could not tell the symptom has not judged it: it is asked again.
    """
    attempt = remediation.open_attempt
    if attempt is None or watched_for is not Reason.RELIEF:
        return remediation
    proof = prove(attempt, seen.group.used, is_active=False)
    if proof is None:
        return remediation
    attempt = replace(attempt, evidence=proof.said)
    return replace(remediation, attempts=(*remediation.attempts[:-1], attempt))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Growth:
    """What one container has used between two looks of the same life."""

    seconds: float
    cpu: float
    network: int | None
    span: timedelta

    @classmethod
    def of(cls, before: Used | None, after: Used | None) -> "_Growth | None":
        if before is None or after is None or before.started_at != after.started_at:
            return None
        span = after.at - before.at
        network = None
        if before.network_bytes is not None and after.network_bytes is not None:
            network = after.network_bytes - before.network_bytes
        cpu = after.cpu_seconds - before.cpu_seconds
        if span.total_seconds() <= 0 or cpu < 0 or (network is not None and network < 0):
            return None
        return cls(seconds=span.total_seconds(), cpu=cpu, network=network, span=span)


def _hardly(clone: float, source: float) -> bool:
    return clone < _HARDLY * (clone + source) / 2


def _share(clone: float, source: float) -> str:
    both = clone + source
    return f"{100 * clone / both if both else 0:.0f} %"


def _bytes(number: float) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} B"
