"""What becomes of a person's wish that an instance leaves: begun at once, or why not."""

import json
from datetime import datetime
from typing import Final

from app.controller.departure import Departure
from app.controller.lookout import Lookout
from app.controller.wish import Placed, Wish, answered_again, digest_of, told_of
from app.domain.activity import Activity
from app.domain.control import OrderKind
from app.domain.reason import Reason
from app.domain.target import GroupId, TargetId
from app.errors import EngineUnavailable, OrderConflict, OrderRefused, OutOfBudget
from app.policies import departures, replacing, scale_in
from app.policies.crowd import CloneSeen, Leave, Stay
from app.ports import Reply, Scaling

#: What keeps a clone here, and no source from coming back.
_NOT_IN_THE_WAY: Final = (Reason.LAST_INSTANCE, Reason.NO_CLONE)


class Dismissal:
    """Begins departures that people order; the loop of whoever leads carries them out."""

    def __init__(self, lookout: Lookout, departure: Departure, scaling: Scaling) -> None:
        self._lookout = lookout
        self._departure = departure
        self._scaling = scaling

    async def order(self, target: str, wish: Wish, *, now: datetime) -> Placed:
        """
        Let the newest clone of a target's group leave, quiet or not.

        Where an original is off duty it comes back first: the clone leaves as any other then.

        :raises OrderConflict: one is leaving already, or is not known to help yet
        :raises OrderRefused: there is none, it is the last that serves, or the budget is spent
        :raises EngineUnavailable: the group cannot be looked at
        :raises StoreUnavailable:
        """
        group = await self._group_of(target)
        for other in await self._scaling.under_way():
            if other.group == str(group):
                raise _conflict(other)
        sight = await self._lookout.look(group, now=now)
        if departures.is_untold(sight.crowd):
            raise EngineUnavailable("it does not tell about the group")
        decision = scale_in.ordered(sight.crowd, now=now)
        said_by = f"{wish.author}: {wish.reason}"
        back = replacing.ordered(sight.crowd)
        if isinstance(decision, Stay) and (back is None or decision.reason not in _NOT_IN_THE_WAY):
            said = decision.detail or str(decision.reason)
            if decision.reason is Reason.BUSY:
                raise OrderConflict(f"{target}: {said}")
            raise OrderRefused(decision.reason, said)
        if back is not None:
            activity = replacing.begun(sight.crowd, back, now=now, ordered=said_by)
            story_id = activity.id
        else:
            assert isinstance(decision, Leave)
            activity = departures.begun(sight.crowd, decision, now=now, ordered=said_by)
            story_id = _story_of(decision.clone, activity)
        placed = Placed(
            remediation=story_id,
            attempt=activity.id,
            dry_run=wish.dry_run,
            container=activity.container if wish.dry_run else None,
        )
        if wish.dry_run:
            return placed
        digest = digest_of(wish, target, OrderKind.SCALE_IN)
        reply = None
        if wish.key is not None:
            answer = json.dumps({"remediation": placed.remediation, "attempt": placed.attempt})
            reply = Reply(key=wish.key, digest=digest, answer=answer)
        try:
            found = await self._departure.begin(
                activity,
                sight,
                now=now,
                reply=reply,
                told=told_of(OrderKind.SCALE_IN, wish, now, target),
            )
        except OutOfBudget as exc:
            raise OrderRefused(Reason.BUDGET, str(exc)) from exc
        if isinstance(found, Reply):
            return answered_again(found, digest)
        if found.id != activity.id:
            raise _conflict(found)
        return placed

    async def _group_of(self, target: str) -> GroupId:
        members = (await self._lookout.roster()).at(TargetId.parse(target))
        if not members:
            raise OrderRefused(Reason.NO_SUCH_TARGET, "the container is gone")
        return members[0].group


def _conflict(other: Activity) -> OrderConflict:
    return OrderConflict(f"{other.container} of {other.group} is leaving already: {other.id}")


def _story_of(clone: CloneSeen, activity: Activity) -> str:
    """Name the story that made the clone; where nobody knows it, the departure itself."""
    return clone.made_by.rpartition(".")[0] or activity.id
