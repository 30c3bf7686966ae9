"""When a source leaves its place to its clone, and when it comes back (semantics, 7 and 8)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.activity import Activity, ActivityKind, ActivityStatus, Replacement
from app.domain.container import Container, RunState
from app.domain.decision import Reason, Verdict
from app.domain.observation import Observation, Symptom
from app.domain.remediation import Action, Attempt, Trigger
from app.policies import clone_replaces, scale_in, story
from app.policies.aftermath import died_by_itself
from app.policies.crowd import CloneSeen, Crowd, ReplacedSeen, Stay
from app.policies.spec import BrakeRules, Policy, SourceAfterwards

#: An engine that does not take it back is not asked for ever.
GIVES_UP: Final = timedelta(minutes=15)
#: What a clone made for these is for is not to replace anybody.
_BESIDE: Final = (Reason.COVER, Reason.CLONE_SICK)
_KINDS: Final = {
    SourceAfterwards.ISOLATE: ActivityKind.ISOLATE,
    SourceAfterwards.STOP: ActivityKind.STOP,
}
_ALIVE: Final = (RunState.RUNNING, RunState.RESTARTING)
_ENDED: Final = (RunState.EXITED, RunState.DEAD, RunState.REMOVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """A clone takes its source's place."""

    clone: CloneSeen
    source: Container
    target: str
    kind: ActivityKind
    #: A sentence: what led to it.
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BringBack:
    """A source comes back."""

    source: ReplacedSeen
    reason: Reason
    #: A sentence: what led to it.
    cause: str


def next_duty(
    crowd: Crowd, policy: Policy, brake: BrakeRules, *, now: datetime
) -> Replace | BringBack | Stay | None:
    """Decide whether a source comes back, or goes; None: neither, and nothing waits for that."""
    for one in crowd.replaced:
        back = _back(one, crowd, policy, now=now)
        if back is not None:
            return _allowed(crowd, brake, now=now) or back
    if crowd.is_service:
        return None
    for clone in crowd.clones:
        taken = _takes_over(clone, crowd, policy)
        if taken is not None:
            return scale_in.forbids(crowd, brake, now=now) or taken
    return None


def ordered(crowd: Crowd) -> BringBack | None:
    """Answer a person who wants an instance to leave where an original is off duty."""
    if not crowd.replaced:
        return None
    said = "a person has ordered it: it has to serve before its clone leaves"
    return BringBack(source=crowd.replaced[0], reason=Reason.MANUAL, cause=said)


def begun(
    crowd: Crowd, step: Replace | BringBack, *, now: datetime, ordered: str | None = None
) -> Activity:
    """
    Write down that a source goes, or comes back.

    :param ordered: of a person's order: who, and why
    """
    if isinstance(step, Replace):
        networks = step.clone.networks if step.kind is ActivityKind.ISOLATE else ""
        # One for each clone: its repetition finds what came of it.
        name, container, target = of_clone(step.clone.made_by), step.source, step.target
        replacement = Replacement(
            clone_id=step.clone.listed.id, started_at=container.started_at, networks=networks
        )
        kind, reason = step.kind, Reason.REPLACED
    else:
        one = step.source
        container, target = one.container, one.target
        name = f"{story.new_id(target, now=now)}.back"
        kind, reason, replacement = ActivityKind.BRING_BACK, step.reason, _way_back(one)
    return Activity(
        id=name,
        group=crowd.id,
        kind=kind,
        cause=step.cause,
        status=ActivityStatus.IN_PROGRESS,
        container=container.name,
        started_at=now,
        container_id=container.id,
        target=target,
        reason=reason,
        ordered=ordered,
        replacement=replacement,
    )


def of_clone(attempt_id: str) -> str:
    """Name the activity by which the source of the clone of an attempt goes."""
    return f"{attempt_id}.off"


def keeps(crowd: Crowd, activity: Activity, brake: BrakeRules, *, now: datetime) -> Stay | None:
    """Tell what keeps a source in its place that was about to go; None: it goes."""
    assert activity.replacement is not None
    clone = next((c for c in crowd.clones if c.listed.id == activity.replacement.clone_id), None)
    if clone is None or clone.is_cut_off or not clone.listed.is_serving:
        return Stay(reason=Reason.LAST_INSTANCE, detail="its clone does not serve any more")
    forbidden = scale_in.forbids(crowd, brake, now=now)
    if forbidden is not None:
        return forbidden
    source = next((s for s in crowd.originals if s.target == activity.target), None)
    if source is not None and _is_being_restarted(source):
        return Stay(reason=Reason.BUSY, detail=f"{activity.container} is being restarted")
    return None


def is_off(networks: str, container: Container) -> bool:
    """Tell whether a container lacks a network that it is to be on."""
    try:
        return any(name not in container.networks for name in clone_replaces.read(networks))
    except ValueError:
        return False  # not ours to tell


def _allowed(crowd: Crowd, brake: BrakeRules, *, now: datetime) -> Stay | None:
    forbidden = scale_in.forbids(crowd, brake, now=now)
    if forbidden is not None:
        return forbidden
    stuck_at = crowd.stuck_at
    if stuck_at is not None and now < stuck_at + GIVES_UP:
        detail = "it could not be brought back"
        return Stay(reason=Reason.COOLDOWN, until=stuck_at + GIVES_UP, detail=detail)
    return None


def _takes_over(clone: CloneSeen, crowd: Crowd, policy: Policy) -> Replace | None:
    """Let a clone that has proved itself replace its source, once."""
    wish, attempt = policy.scale_out.source, clone.attempt
    if wish is SourceAfterwards.KEEP or clone.source is not wish or clone.had_its_turn:
        return None
    if not clone.recorded or clone.is_cut_off or not clone.listed.is_serving or attempt is None:
        return None
    if attempt.trigger is not Trigger.AUTOMATIC or attempt.reason in _BESIDE:
        return None
    for seen in crowd.originals:
        one = seen.container
        if one is None or one.id != attempt.container_id or one.name != clone.clone_of:
            continue
        # Started since: by whoever, and perhaps cured by that.
        if not one.is_running or one.started_at != attempt.started_before:
            return None
        if seen.guards.protected is not None or seen.is_replaced or _is_being_restarted(seen):
            return None
        proof = _proof(attempt, seen)
        if proof is None:
            return None
        cause = f"{clone.listed.name} serves in its place: {proof}"
        return Replace(clone=clone, source=one, target=seen.target, kind=_KINDS[wish], cause=cause)
    return None


def _proof(attempt: Attempt, seen: Observation) -> str | None:
    """Say what shows that the clone carries the load of its source; None: nothing yet."""
    symptom = seen.sickness.symptom
    if attempt.verdict is Verdict.RELIEVED and symptom is Symptom.ABSENT:
        return attempt.evidence or "it has relieved it"
    # Compared with its source, beside it: then it need not be waited for that to be well.
    is_ill = symptom is Symptom.ACTIVE and seen.sickness.on_source
    return attempt.evidence if attempt.is_open and is_ill else None


def _is_being_restarted(seen: Observation) -> bool:
    attempt = seen.remediation.open_attempt if seen.remediation is not None else None
    return attempt is not None and attempt.action is not Action.SCALE_OUT


def _back(one: ReplacedSeen, crowd: Crowd, policy: Policy, *, now: datetime) -> BringBack | None:
    """Tell why a source comes back now; None: it does not yet."""
    state = one.container.state
    if state in (RunState.PAUSED, RunState.REMOVING):
        return None
    if one.started_at is not None and _is_on_duty(one):
        said = "somebody else has brought it back, or started it"
        return BringBack(source=one, reason=Reason.RESTARTED_MEANWHILE, cause=said)
    is_found = one.started_at is None
    if is_found and now < one.known_since + scale_in.GRACE:
        return None
    down = _is_clone_down(one, crowd, policy, now=now)
    if down is not None:
        return BringBack(source=one, reason=Reason.CLONE_DOWN, cause=down)
    if one.kind is ActivityKind.ISOLATE:
        if is_found and one.container.networks:
            said = "it is on some of its networks only, and nobody remembers why"
            return BringBack(source=one, reason=Reason.INTERRUPTED, cause=said)
        if now >= one.since + policy.scale_out.isolate_for:
            said = f"it was isolated at {one.since:%H:%M:%S} UTC, for long enough"
            return BringBack(source=one, reason=Reason.ISOLATION_OVER, cause=said)
        return None
    quiet_since = max(one.since, crowd.closed_at or one.since)
    if is_found:
        quiet_since = max(quiet_since, one.known_since)
    if scale_in.disquiet(crowd) or scale_in.unrest(crowd, policy, since=quiet_since, now=now):
        return None
    said = f"no alert since {quiet_since:%H:%M:%S} UTC: it serves again before its clone leaves"
    return BringBack(source=one, reason=Reason.QUIET, cause=said)


def _is_on_duty(one: ReplacedSeen) -> bool:
    if one.kind is ActivityKind.STOP:
        return one.container.started_at != one.started_at
    return bool(one.container.networks) and one.container.state in _ALIVE


def _is_clone_down(one: ReplacedSeen, crowd: Crowd, policy: Policy, *, now: datetime) -> str | None:
    clone = next((c for c in crowd.clones if c.listed.id == one.clone_id), None)
    if clone is None or clone.listed.state in _ENDED:
        return "the clone that served in its place is gone"
    said = scale_in.down(clone, crowd, policy, now=now)
    return None if said is None else f"of {clone.listed.name} that served in its place: {said}"


def _way_back(one: ReplacedSeen) -> Replacement:
    """
    Tell how a source comes back: on its networks before it starts, so that no start lacks them.

    One that is isolated begins anew: it was ill. One that a person may have stopped stays down.
    """
    container = one.container
    if one.kind is ActivityKind.STOP:
        anew, starts = False, True
    elif container.state in _ALIVE:
        anew = starts = container.is_cut_off
    else:
        anew, starts = False, one.human is None and died_by_itself(container)
    return Replacement(
        clone_id=one.clone_id,
        started_at=container.started_at,
        networks=one.networks,
        starts_anew=anew,
        starts=starts,
    )
