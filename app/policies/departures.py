"""How a clone leaves: begun, drained, ended; and what keeps it here after all."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import RunState
from app.domain.decision import Reason
from app.domain.observation import EngineView
from app.domain.usage import Used
from app.policies import scale_in, story
from app.policies.scale_in import CloneSeen, Crowd, Leave, Stay
from app.policies.spec import BrakeRules

#: Bytes in a second that nobody waits for an answer to: a keep-alive or an ARP has some 60, the
#: smallest request over a connection of its own, with its answer, more than this.
_QUIET_BYTES: Final = 400
#: What nobody can tell now, and will be told: no reason to call anything off.
_NOT_TOLD: Final = (EngineView.DOWN, EngineView.AMBIGUOUS)
#: Two containers claim a slot while somebody deploys; for longer it is no deploy.
_CLEARS_WITHIN: Final = timedelta(minutes=15)
_HALF_GONE: Final = (RunState.CREATED, RunState.EXITED, RunState.DEAD, RunState.REMOVING)


def begun(crowd: Crowd, leave: Leave, *, now: datetime, ordered: str | None = None) -> Activity:
    """
    Write down that a clone leaves.

    :param ordered: of a person's order: who, and why
    """
    target = relieved(crowd, leave.clone)
    return Activity(
        id=f"{story.new_id(target, now=now)}.in",
        group=crowd.id,
        kind=ActivityKind.SCALE_IN,
        cause=leave.cause,
        status=ActivityStatus.IN_PROGRESS,
        container=leave.clone.listed.name,
        started_at=now,
        container_id=leave.clone.listed.id,
        target=target,
        reason=leave.reason,
        ordered=ordered,
    )


def relieved(crowd: Crowd, clone: CloneSeen) -> str:
    """Name the target that a clone relieves."""
    for seen in crowd.originals:
        if seen.container is not None and seen.container.name == clone.clone_of:
            return seen.target
    return crowd.asked[0].target


def ended(activity: Activity, status: ActivityStatus, *, now: datetime, why: str = "") -> Activity:
    """Write down how it ended, and (where that is news) why."""
    cause = f"{activity.cause}; {why}" if why else activity.cause
    return replace(activity, status=status, cause=cause, finished_at=now)


def called_off(activity: Activity, stay: Stay, *, now: datetime) -> Activity:
    """Write down that the clone stays after all."""
    why = f"called off: {stay.detail or stay.reason}"
    return replace(ended(activity, ActivityStatus.CANCELLED, now=now, why=why), reason=stay.reason)


def leaving(crowd: Crowd, activity: Activity) -> CloneSeen | None:
    """Find the clone that leaves; None where it has left."""
    return next((c for c in crowd.clones if c.listed.id == activity.container_id), None)


def keeps(
    crowd: Crowd, clone: CloneSeen, activity: Activity, brake: BrakeRules, *, now: datetime
) -> Stay | None:
    """Tell what keeps a clone here that was about to leave; None: it goes on leaving."""
    state = clone.listed.state
    if clone.is_cut_off or state in _HALF_GONE:
        return None  # of no use to anybody
    last = scale_in.last_instance(clone, crowd)
    if last is not None:
        return last
    if activity.ordered is not None:
        return None
    forbidden = scale_in.forbids(crowd, brake, now=now)
    if forbidden is not None:
        return forbidden
    if state is RunState.PAUSED:
        return Stay(reason=Reason.PAUSED_CONTAINER, detail=f"{clone.listed.name} is paused")
    return scale_in.keeps(clone, crowd, activity.reason or Reason.QUIET)


def is_untold(crowd: Crowd) -> bool:
    """Tell whether the group cannot be looked at now: then nothing is done, nor called off."""
    return any(seen.view in _NOT_TOLD or seen.guards.is_blind for seen in crowd.asked)


def never_told(crowd: Crowd, activity: Activity, *, now: datetime) -> Stay | None:
    """Tell what keeps a group from being looked at that will not pass by itself."""
    claimed = next((s for s in crowd.asked if s.view is EngineView.AMBIGUOUS), None)
    if claimed is None or now - activity.started_at < _CLEARS_WITHIN:
        return None
    return Stay(reason=Reason.AMBIGUOUS_TARGET, detail=f"two containers claim {claimed.target}")


def is_drained(activity: Activity, drain: timedelta, *, now: datetime) -> bool:
    """Tell whether nobody waits any longer for a quiet moment."""
    return activity.reason is Reason.CLONE_DOWN or now - activity.started_at >= drain


def is_quiet(before: Used | None, after: Used | None) -> bool:
    """Tell whether nothing went over its networks between two measurements, as far as is known."""
    if before is None or after is None or before.started_at != after.started_at:
        return False
    if before.network_bytes is None or after.network_bytes is None:
        return False
    seconds = (after.at - before.at).total_seconds()
    return seconds > 0 and after.network_bytes - before.network_bytes <= _QUIET_BYTES * seconds
