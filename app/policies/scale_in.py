"""When a clone leaves again: one at a time, newest first, never the last that serves."""

from datetime import datetime, timedelta
from typing import Final

from app.domain.activity import ActivityKind
from app.domain.container import Container, Health, RunState
from app.domain.decision import Reason
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Action
from app.policies import guards
from app.policies.crowd import CloneSeen as CloneSeen  # what is decided about, and what comes of it
from app.policies.crowd import Crowd as Crowd
from app.policies.crowd import Leave as Leave
from app.policies.crowd import ReplacedSeen
from app.policies.crowd import Stay as Stay
from app.policies.spec import BrakeRules, Policy

#: After a total loss of the store our label on a clone is all there is: nothing leaves at once.
GRACE: Final = timedelta(minutes=10)

#: The engine has ended it, and does not start it again.
_ENDED: Final = (RunState.EXITED, RunState.DEAD)
#: A person has paused it, or it is on its way out already: left as it is.
_LEFT_ALONE: Final = (RunState.PAUSED, RunState.REMOVING)
#: Of the health check's probes, beyond its start period (as for a verdict).
_PROBES: Final = 3
_NO_SOURCE: Final = "what its clones were made from is gone"


def next_departure(
    crowd: Crowd, policy: Policy, brake: BrakeRules, *, now: datetime
) -> Leave | Stay:
    """Decide whether a clone of a group leaves; a person's order does not ask: `ordered`."""
    forbidden = forbids(crowd, brake, now=now)
    if forbidden is not None:
        return forbidden
    if crowd.has_failed and crowd.left_at and now < crowd.left_at + policy.scale_in.every:
        again_at = crowd.left_at + policy.scale_in.every
        return Stay(reason=Reason.COOLDOWN, until=again_at, detail="the last one could not leave")
    ours = [one for one in _newest_first(crowd) if _is_ours(one, now=now)]
    for one in ours:
        cause = None if one.is_on_trial else down(one, crowd, policy, now=now)
        if cause is not None:
            return Leave(clone=one, reason=Reason.CLONE_DOWN, cause=cause)
    free = [one for one in ours if not one.is_on_trial and one.listed.state not in _LEFT_ALONE]
    if not free:
        return _nobody(crowd, ours, now=now)
    for one in free:
        if one.made_for is Reason.COVER and keeps(one, crowd, Reason.COVER_OVER) is None:
            cause = f"it was a cover for a restart of {one.clone_of}, which serves again"
            return Leave(clone=one, reason=Reason.COVER_OVER, cause=cause)
    return _calm(crowd, free[0], policy, now=now)


def ordered(crowd: Crowd, *, now: datetime) -> Leave | Stay:
    """Answer a person who wants an instance to leave: whose guards hold, quiet or not."""
    if crowd.is_service:
        return Stay(reason=Reason.SWARM_TASK, detail="Swarm makes and ends its own tasks")
    if not crowd.originals:
        return Stay(reason=Reason.NO_SUCH_TARGET, detail=_NO_SOURCE)
    for seen in crowd.originals:
        if not seen.opted_in:
            return Stay(reason=Reason.NOT_OPTED_IN, detail="the container has not opted in")
        if seen.observe_only:
            said = "observe mode: Relevo does nothing to containers"
            return Stay(reason=Reason.OBSERVE, detail=said)
    ours = [one for one in _newest_first(crowd) if _is_ours(one, now=now)]
    free = [one for one in ours if one.listed.state not in _LEFT_ALONE]
    if not free or any(one.is_on_trial for one in ours):
        return _nobody(crowd, ours, now=now)
    clone = free[0]
    leave = Leave(clone=clone, reason=Reason.MANUAL, cause="a person has ordered it")
    return last_instance(clone, crowd) or leave


def forbids(crowd: Crowd, brake: BrakeRules, *, now: datetime) -> Stay | None:
    """Tell what forbids that anybody leaves of our own accord; None: nothing."""
    if crowd.is_service:
        return Stay(reason=Reason.SWARM_TASK, detail="Swarm makes and ends its own tasks")
    if not crowd.asked:
        return Stay(reason=Reason.NO_SUCH_TARGET, detail=_NO_SOURCE)
    if crowd.orphaned is not None and now < crowd.orphaned.since + GRACE:
        until = crowd.orphaned.since + GRACE  # it may be made anew at this moment
        return Stay(reason=Reason.COOLDOWN, until=until, detail=_NO_SOURCE)
    stays = (_unseen(seen) or _guarded(seen, brake, now=now) for seen in crowd.asked)
    return next(filter(None, stays), None)


def keeps(clone: CloneSeen, crowd: Crowd, reason: Reason) -> Stay | None:
    """
    Tell what speaks against a departure; None: nothing but, for some, that it is too soon.

    Asked before it is begun and at every look until the clone is off its networks: what is begun
    and called off over and over would spend the budget of those who heal.
    """
    if reason is Reason.CLONE_DOWN:
        if clone.listed.is_serving and not clone.is_cut_off:
            return Stay(reason=Reason.NEEDED, detail=f"{clone.listed.name} serves again")
        return None
    stay = disquiet(crowd) or last_instance(clone, crowd)
    if stay is not None:
        return stay
    ill = _ill(crowd)
    if reason is Reason.COVER_OVER:  # it waits for nobody but the one that it covered
        healthy = {one.name for one in _containers(crowd)} - ill
        ill = {clone.clone_of} - healthy
    if ill:
        return Stay(reason=Reason.MIN_HEALTHY, detail=f"{min(ill)} is not healthy")
    return None


def disquiet(crowd: Crowd) -> Stay | None:
    """Tell that the group is in need, or that nobody can tell."""
    if is_needed(crowd):
        return Stay(reason=Reason.NEEDED, detail="the group is in need")
    doubt = next((s for s in crowd.asked if s.sickness.symptom is not Symptom.ABSENT), None)
    if doubt is None:
        return None
    said = doubt.sickness.doubt or "nobody can tell whether it is needed"
    return Stay(reason=Reason.NO_FRESH_DATA, detail=said)


def is_needed(crowd: Crowd) -> bool:
    """Tell whether the group is in need: then nobody leaves who could help."""
    return crowd.is_open or any(
        seen.sickness.symptom in (Symptom.ACTIVE, Symptom.SUPPRESSED) for seen in crowd.asked
    )


def last_instance(clone: CloneSeen, crowd: Crowd) -> Stay | None:
    """Tell that nobody would serve without this one; one that does not serve takes nothing away."""
    if not clone.listed.is_serving or clone.is_cut_off:
        return None
    others = [one.container for one in crowd.originals if one.container and not _is_out(one)]
    beside = [one.listed for one in crowd.clones if one is not clone and not one.is_cut_off]
    if any(one.is_serving for one in (*others, *beside)):
        return None
    return Stay(reason=Reason.LAST_INSTANCE, detail="nobody else of the group is healthy")


def _is_out(seen: Observation) -> bool:
    """Tell whether we are restarting it: the engine lists it as running until it has stopped."""
    attempt = seen.remediation.open_attempt if seen.remediation is not None else None
    return attempt is not None and attempt.action is Action.RESTART and attempt.acted_at is None


def _newest_first(crowd: Crowd) -> list[CloneSeen]:
    return sorted(crowd.clones, key=lambda one: (one.made_at, one.listed.name), reverse=True)


def _is_ours(clone: CloneSeen, *, now: datetime) -> bool:
    if clone.protected is not None or clone.recorded is None:
        return False
    return clone.recorded or now >= clone.known_since + GRACE


def _nobody(crowd: Crowd, ours: list[CloneSeen], *, now: datetime) -> Stay:
    """Say why none of the clones may leave."""
    if any(one.is_on_trial for one in ours):
        return Stay(reason=Reason.BUSY, detail="it is not known yet whether the clone helps")
    if ours:
        return Stay(reason=Reason.PAUSED_CONTAINER, detail=f"{ours[0].listed.name} is paused")
    found = [one for one in crowd.clones if one.recorded is False and one.protected is None]
    if found:
        known_at = max(one.known_since for one in found) + GRACE
        said = f"{found[0].listed.name} is found, not remembered"
        return Stay(reason=Reason.COOLDOWN, until=known_at, detail=said)
    protected = next((one.protected for one in crowd.clones if one.protected), None)
    if protected is not None:
        return Stay(reason=Reason.PROTECTED, detail=protected)
    copied = next((one.listed.name for one in crowd.clones if one.recorded is None), None)
    said = "the group has no clone of ours"
    if copied is not None:
        said = f"{copied} has our label, but we have not made it"
    return Stay(reason=Reason.NO_CLONE, detail=said)


def _unseen(seen: Observation) -> Stay | None:
    match seen.view:
        case EngineView.DOWN:
            return Stay(reason=Reason.ENGINE_DOWN)
        case EngineView.GONE:
            return Stay(reason=Reason.NO_SUCH_TARGET, detail=f"{seen.target} is gone")
        case EngineView.AMBIGUOUS:
            said = f"two containers claim {seen.target}"
            return Stay(reason=Reason.AMBIGUOUS_TARGET, detail=said)
        case EngineView.SEEN:
            return None


def _guarded(seen: Observation, brake: BrakeRules, *, now: datetime) -> Stay | None:
    guard = seen.guards
    if not seen.opted_in:
        return Stay(reason=Reason.NOT_OPTED_IN, detail=f"{seen.target} has not opted in")
    if seen.observe_only:
        return Stay(reason=Reason.OBSERVE)
    for halt, reason in ((guard.hold, Reason.HOLD), (guard.pause, Reason.PAUSE)):
        if halt is not None and not halt.is_over(now):
            said = f"{halt.author}: {halt.reason}"
            return Stay(reason=reason, until=halt.until, detail=said)
    if brake.freeze and guards.is_braked(guard, brake):
        return Stay(reason=Reason.BRAKE)
    if guard.deploy_until is not None and now < guard.deploy_until:
        return Stay(reason=Reason.DEPLOY, until=guard.deploy_until)
    if guard.is_blind:
        return Stay(reason=Reason.NO_FRESH_DATA, detail="the engine's events are not heard yet")
    return None


def down(clone: CloneSeen, crowd: Crowd, policy: Policy, *, now: datetime) -> str | None:
    """Say how a clone is down, where it is for good."""
    listed = clone.listed
    if listed.state in _ENDED:
        return f"it is {listed.state}"
    if clone.is_cut_off:
        return "it is off all of its networks"
    if clone.ill_since is None or listed.state in _LEFT_ALONE:
        return None
    if now - clone.ill_since < _patience(crowd, policy):
        return None
    how = f"{Health.UNHEALTHY}" if listed.health is Health.UNHEALTHY else "not healthy"
    if not listed.is_running:
        how = str(listed.state)
    return f"it is {how} since {clone.ill_since:%H:%M:%S} UTC"


def _patience(crowd: Crowd, policy: Policy) -> timedelta:
    """Tell how long one may be ill: as long as after an action, and as its health check takes."""
    longest = policy.verify.deadline
    for seen in crowd.asked:
        check = seen.container.health_check if seen.container is not None else None
        if check is not None:
            longest = max(longest, check.start_period + _PROBES * check.interval)
    return longest


def _containers(crowd: Crowd) -> list[Container]:
    return [seen.container for seen in crowd.originals if seen.container is not None]


def _ill(crowd: Crowd) -> set[str]:
    """Name the originals on duty that do not serve."""
    off = {one.container.id for one in crowd.replaced}
    return {one.name for one in _containers(crowd) if not one.is_serving and one.id not in off}


def _calm(crowd: Crowd, clone: CloneSeen, policy: Policy, *, now: datetime) -> Leave | Stay:
    """Let the newest clone go where all has been well for long enough."""
    off = off_duty(crowd.replaced[0], policy) if crowd.replaced else None
    stay = disquiet(crowd) or off or keeps(clone, crowd, Reason.QUIET)
    if stay is not None:
        return stay
    # What came back has to show that it is well now.
    quiet_since = max(filter(None, (clone.made_at, crowd.closed_at, crowd.returned_at)))
    if not clone.recorded:
        quiet_since = max(quiet_since, clone.known_since)  # nobody remembers what was before
    if crowd.orphaned is not None:
        quiet_since = max(quiet_since, crowd.orphaned.since)
    stay = unrest(crowd, policy, since=quiet_since, now=now)
    if stay is not None:
        return stay
    rest = "all originals are healthy" if crowd.orphaned is None else _NO_SOURCE
    cause = f"no alert since {quiet_since:%H:%M:%S} UTC, and {rest}"
    return Leave(clone=clone, reason=Reason.QUIET, cause=cause)


def unrest(crowd: Crowd, policy: Policy, *, since: datetime, now: datetime) -> Stay | None:
    """Tell that not all on duty are well, or not for long enough yet."""
    ill = _ill(crowd)
    if ill:
        return Stay(reason=Reason.MIN_HEALTHY, detail=f"{min(ill)} is not healthy")
    rules = policy.scale_in
    if now < since + rules.after:
        return Stay(reason=Reason.NEEDED, until=since + rules.after)
    cooling = [seen.group.cooling_until for seen in crowd.asked]
    rests = [until for until in cooling if until is not None]
    rests += [crowd.left_at + rules.every] if crowd.left_at is not None else []
    return Stay(reason=Reason.COOLDOWN, until=max(rests)) if rests and now < max(rests) else None


def off_duty(one: ReplacedSeen, policy: Policy) -> Stay:
    """Say that an original has to come back before anybody leaves."""
    if one.kind is ActivityKind.ISOLATE:
        until = one.since + policy.scale_out.isolate_for
        detail = f"{one.container.name} is isolated, a clone serves in its place"
        return Stay(reason=Reason.REPLACED, until=until, detail=detail)
    return Stay(reason=Reason.REPLACED, detail=f"{one.container.name} is stopped")
