"""When a clone leaves again: one at a time, newest first, never the last that serves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.container import Container, Health, Listed, RunState
from app.domain.decision import Reason
from app.domain.observation import EngineView, Observation, Symptom
from app.policies import guards
from app.policies.orphans import Orphaned
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneSeen:
    """A clone, and what is known of it."""

    listed: Listed
    #: When it came up, as far as is known.
    made_at: datetime
    #: We have written down that we made it; None: the record of its attempt is of another one.
    recorded: bool | None
    #: Since when we have found it so: of one that is not remembered.
    known_since: datetime
    #: Id of the attempt that made it, by its label.
    made_by: str = ""
    #: Why it was made, where that is known.
    made_for: Reason | None = None
    #: Name of the original that it was made from.
    clone_of: str = ""
    #: It has not served since then; None: it does.
    ill_since: datetime | None = None
    #: The attempt that made it has no verdict yet.
    is_on_trial: bool = False
    #: It is off its networks, all of them, as one is that was about to leave.
    is_cut_off: bool = False
    #: Why it is never acted on: a sentence.
    protected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One group with clones: all that a decision about them may use."""

    id: str
    #: Of each original, by name.
    originals: tuple[Observation, ...]
    clones: tuple[CloneSeen, ...]
    #: Whether it is a Swarm service.
    is_service: bool = False
    #: A story of the group is open.
    is_open: bool = False
    #: When its last story ended.
    closed_at: datetime | None = None
    #: When a scale-in of it ended last, successful or not.
    left_at: datetime | None = None
    #: That one failed.
    has_failed: bool = False
    orphaned: Orphaned | None = None

    @property
    def asked(self) -> tuple[Observation, ...]:
        """Whose alerts and guards count: of originals; where there are none, of the clones."""
        return self.orphaned.seen if self.orphaned is not None else self.originals


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Nobody leaves."""

    reason: Reason
    #: When to look again, where that can be told.
    until: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """This clone leaves."""

    clone: CloneSeen
    reason: Reason
    #: A sentence: what led to it.
    cause: str


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
        down = None if one.is_on_trial else _down(one, crowd, policy, now=now)
        if down is not None:
            return Leave(clone=one, reason=Reason.CLONE_DOWN, cause=down)
    free = [one for one in ours if not one.is_on_trial and one.listed.state not in _LEFT_ALONE]
    if not free:
        return _nobody(crowd, ours, now=now)
    for one in free:
        is_over = one.made_for is Reason.COVER and _is_over(one, crowd)
        if is_over and last_instance(one, crowd) is None:
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
    free = [one for one in ours if not one.is_on_trial and one.listed.state not in _LEFT_ALONE]
    if not free:
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


def is_needed(crowd: Crowd) -> bool:
    """Tell whether the group is in need: then nobody leaves who could help."""
    return crowd.is_open or any(
        seen.sickness.symptom in (Symptom.ACTIVE, Symptom.SUPPRESSED) for seen in crowd.asked
    )


def last_instance(clone: CloneSeen, crowd: Crowd) -> Stay | None:
    """Tell that nobody would serve without this one; one that does not serve takes nothing away."""
    if not clone.listed.is_serving or clone.is_cut_off:
        return None
    others = [seen.container for seen in crowd.originals if seen.container is not None]
    beside = [one.listed for one in crowd.clones if one is not clone and not one.is_cut_off]
    if any(one.is_serving for one in (*others, *beside)):
        return None
    return Stay(reason=Reason.LAST_INSTANCE, detail="nobody else of the group is healthy")


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
    return Stay(reason=Reason.NO_CLONE, detail="the group has no clone of ours")


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


def _down(clone: CloneSeen, crowd: Crowd, policy: Policy, *, now: datetime) -> str | None:
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


def _is_over(clone: CloneSeen, crowd: Crowd) -> bool:
    """Tell whether nobody needs a cover any more."""
    own = next((c for c in _containers(crowd) if c.name == clone.clone_of), None)
    return not is_needed(crowd) and own is not None and own.is_serving


def _containers(crowd: Crowd) -> list[Container]:
    return [seen.container for seen in crowd.originals if seen.container is not None]


def _calm(crowd: Crowd, clone: CloneSeen, policy: Policy, *, now: datetime) -> Leave | Stay:
    """Let the newest clone go where all has been well for long enough."""
    if is_needed(crowd):
        return Stay(reason=Reason.NEEDED)
    doubt = next((s for s in crowd.asked if s.sickness.symptom is not Symptom.ABSENT), None)
    if doubt is not None:
        return Stay(reason=Reason.NO_FRESH_DATA, detail=doubt.sickness.doubt)
    last = last_instance(clone, crowd)
    if last is not None:
        return last
    ill = next((one for one in _containers(crowd) if not one.is_serving), None)
    if ill is not None:
        return Stay(reason=Reason.MIN_HEALTHY, detail=f"{ill.name} is not healthy")
    rules = policy.scale_in
    quiet_since = max(clone.made_at, crowd.closed_at or clone.made_at)
    if not clone.recorded:
        quiet_since = max(quiet_since, clone.known_since)  # nobody remembers what was before
    quiet_since = max(quiet_since, crowd.orphaned.since if crowd.orphaned else quiet_since)
    if now < quiet_since + rules.after:
        return Stay(reason=Reason.NEEDED, until=quiet_since + rules.after)
    cooling = [seen.group.cooling_until for seen in crowd.asked]
    # One that would last for longer than a whole one was begun by a clock that was wrong.
    latest = now + policy.scale_out.cooldown
    rests = [until for until in cooling if until is not None and until <= latest]
    rests += [crowd.left_at + rules.every] if crowd.left_at is not None else []
    if rests and now < max(rests):
        return Stay(reason=Reason.COOLDOWN, until=max(rests))
    rest = "all originals are healthy" if crowd.orphaned is None else _NO_SOURCE
    cause = f"no alert since {quiet_since:%H:%M:%S} UTC, and {rest}"
    return Leave(clone=clone, reason=Reason.QUIET, cause=cause)
