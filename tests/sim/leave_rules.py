"""Which clone may leave, and when: by what the store keeps and by the true world."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Container
from app.domain.remediation import Remediation
from app.policies.scale_in import GRACE
from app.ports import RemediationFilter
from tests.sim.crowd import Crowds, is_clone, target_of
from tests.sim.intents import sync
from tests.sim.process import Process

#: What somebody has said holds within this time.
_HEARD_S = 4.0
#: An alert was listed by then: everybody who asks has seen it.
_LISTED_S = 75.0
_MOST = 400
_MOMENT = timedelta(seconds=2)

#: Which rule is broken, and how.
Wrong = tuple[str, str]


class LeaveRules:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(
        self,
        sim: Any,
        crowds: Crowds,
        *,
        look_s: float,
        listed_since: Callable[[str], float | None],
    ) -> None:
        """
        Begin.

        :param look_s: how long after a look something is done that follows from it
        :param listed_since: since when the alert of a container is listed as active, by its name
        """
        self._sim = sim
        self._loop = sim.loop
        self._watch = sim.watch
        self._crowds = crowds
        self._look_s = look_s
        self._listed_since = listed_since
        self._policy = sim.watch._rulebook.defaults

    def not_ours(self, one: Container) -> Wrong | None:
        """Tell whether it is none that we have made, as far as that is known."""
        if not is_clone(one):
            return "D1", f"{one.name} leaves, which is no clone"
        made = self._crowds.made(one)
        if made is not None:
            if made.container_id in (None, one.id):
                return None
            return "D1", f"{one.name} leaves, which somebody has copied"
        if self._crowds.is_copy(one):
            return "D1", f"{one.name} leaves, which somebody else has made"
        since = self._crowds.forgotten.get(one.id, self._loop.now)
        least = GRACE.total_seconds() * (1 - self._sim.profile.drift) - 6
        # By a clock that is set anything may be long ago.
        if self._loop.now - since < least and not self._sim.profile.clock_steps:
            after = self._loop.now - since
            return "D1", f"{one.name} leaves, which nobody remembers, after {after:.0f} s"
        return None

    def stopped_by_somebody(self, process: Process, group: str, at: datetime) -> Wrong | None:
        """Tell what a person, or the brake, has said against it for a while."""
        truth = self._watch.truth
        holds = sync(truth.controls.holds())
        halts = [("paused", sync(truth.controls.pause()))]
        halts += [("on hold", holds.get(target_of(one))) for one in self._crowds.originals(group)]
        now = process.now()
        for word, halt in halts:
            if halt is None or halt.is_over(now) or halt.is_over(at):
                continue
            if (at - halt.since).total_seconds() > _HEARD_S:
                return "D7", f"one of {group} leaves while {word}"
        braked_at = sync(truth.controls.brake()).engaged_at
        if braked_at is not None and (at - braked_at).total_seconds() > _HEARD_S:
            return "D7", f"one of {group} leaves while the brake is on"
        return None

    def _stories(self, group: str) -> list[Remediation]:
        found = sync(self._watch.truth.history.remediations(RemediationFilter(limit=_MOST)))
        return [one for one in found if one.group == group]

    def needed(self, activity: Activity) -> Wrong | None:
        """Tell whether the group was in need, or had been, by what the store knew then."""
        group, at = activity.group, activity.started_at
        made = sync(self._watch.truth.history.activity(self._label(activity)))
        quiet = [] if made is None else [(_came(made), self._came_up(activity))]
        for story in self._stories(group):
            closed_at = story.closed_at
            if closed_at is None:
                if story.opened_at < at - _MOMENT:
                    return "D4", f"{activity.container} leaves while {story.id} is {story.state}"
            elif closed_at <= at and story.opened_at < at:
                quiet.append((closed_at, self._watch.times.closed(story.id)))
        for quiet_since, truly in quiet:
            if self._is_too_short(at - quiet_since, truly):
                return "D4", f"{activity.container} leaves after {at - quiet_since} of quiet"
        for one in self._crowds.group(group):
            since = self._listed_since(one.name)
            fires = self._watch.ladder.fires(one.name)
            if fires and since is not None and self._loop.now - since > _LISTED_S:
                return "D4", f"{activity.container} leaves while {one.name} is ill"
            if not is_clone(one) and not self._crowds.served_lately(one.id, self._look_s):
                return "D4", f"{activity.container} leaves while {one.name} does not serve"
        return None

    def _is_too_short(self, quiet: timedelta, since: float | None) -> bool:
        """Tell whether it was quiet for too short a time, by the records and by the true time."""
        after: timedelta = self._policy.scale_in.after
        if since is None:
            return quiet < after
        least = after.total_seconds() * (1 - self._sim.profile.drift) - self._look_s
        return quiet < after and bool(self._loop.now - since < least)

    def _came_up(self, activity: Activity) -> float | None:
        starts = self._sim.daemon.starts
        return next((one.at for one in starts if one.container_id == activity.container_id), None)

    def _label(self, activity: Activity) -> str:
        one = self._sim.daemon.inside.get(activity.container_id or "")
        return one.labels.get("relevo.attempt", "") if one is not None else ""

    def too_soon(self, activity: Activity) -> Wrong | None:
        """Tell whether another one has left, or has come, too lately."""
        group, at = activity.group, activity.started_at
        found = sync(self._watch.truth.history.activities(group=group, limit=_MOST))
        for other in found:
            if other.kind is not ActivityKind.SCALE_IN or other.finished_at is None:
                continue
            if other.status is ActivityStatus.CANCELLED or other.finished_at > at:
                continue
            if at - other.finished_at < self._policy.scale_in.every:
                after = at - other.finished_at
                return "D5", f"{activity.container} leaves {after} after {other.container}"
        return None

    def newer(self, one: Container, activity: Activity) -> Wrong | None:
        """Tell whether another clone of the group came later, and could leave as well."""
        mine = self._crowds.made(one)
        if mine is None:
            return None
        open_ones = {s.open_attempt.id for s in self._stories(activity.group) if s.open_attempt}
        for other in self._crowds.group(activity.group):
            if other.id == one.id or not self._crowds.serves(other.id):
                continue
            made = self._crowds.made(other) if is_clone(other) else None
            if made is None or made.container_id != other.id or made.id in open_ones:
                continue
            if _came(made) > _came(mine) + _MOMENT and _came(made) < activity.started_at - _MOMENT:
                return "D6", f"{one.name} leaves before {other.name}, which came later"
        return None


def _came(made: Activity) -> datetime:
    return made.finished_at or made.started_at
