"""The rules of scale-in, as a departure is written down and as each request of it is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Container
from app.domain.decision import Reason
from app.errors import OutOfBudget
from app.ports import Reply
from tests.sim.crowd import Crowds
from tests.sim.intents import UNTOUCHABLE, sync
from tests.sim.leave_rules import LeaveRules, Wrong
from tests.sim.process import Dead, Process

#: Between a look at a group and what follows from it: a measurement, a sleep, requests.
_LOOK_S = 12.0
#: Who has the seat may have slept for so long before he goes on.
_SLEPT_S = 10.0
#: What was lost is noticed by the next renewal; nothing begins until the hold is over.
_NOTICED_S, _HELD_S = 6.0, 14.0
_LOST_S = 60.0


@dataclass(slots=True)
class Leaving:
    """A departure whose intent was written, or may have been."""

    activity: Activity
    #: When that was.
    at: float
    #: The store had it, at least once.
    is_written: bool = False
    #: It was taken off its networks, or stopped, or removed: the first request of it.
    sent_at: float | None = None
    ended: Activity | None = None
    ended_at: float = 0.0


class Departing:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(
        self, sim: Any, crowds: Crowds, listed_since: Callable[[str], float | None]
    ) -> None:
        """
        Begin.

        :param listed_since: since when the alert of a container is listed as active, by its name
        """
        self._sim = sim
        self._loop = sim.loop
        self._watch = sim.watch
        self._crowds = crowds
        self._policy = sim.watch._rulebook.defaults
        self.known: dict[str, Leaving] = {}
        profile = sim.profile
        slept = _SLEPT_S if profile.pauses or profile.suspends else 0.0
        #: What is decided by a look is done within this time.
        self._look_s = _LOOK_S + slept + 8 * getattr(profile, "lag", 0.0)
        self._may = LeaveRules(sim, crowds, look_s=self._look_s, listed_since=listed_since)
        sim.watch.departed = self._charged

    def _charged(self, since: datetime) -> int:
        return sum(one.activity.started_at > since for one in self.known.values())

    def _lost(self, within: float) -> bool:
        return bool(self._loop.now - self._watch.lost_at < within)

    # ------------------------------------------------------------ what is written down

    def scaling(self, process: Process, port: Any) -> "WatchedScaling":
        """Return the scale-ins of a process, watched."""
        return WatchedScaling(self, process, port)

    def begins(self, process: Process, activity: Activity) -> Wrong | None:
        """See a departure that is being written down; answer which rule that would break."""
        self.known.setdefault(activity.id, Leaving(activity, self._loop.now))
        one = self._sim.daemon.inside.get(activity.container_id or "")
        if one is None:
            return None  # it has left meanwhile
        wrong = self._may.not_ours(one)
        if wrong is not None or activity.ordered is not None:
            return wrong
        wrong = self._may.stopped_by_somebody(process, activity.group, activity.started_at)
        if wrong is None and activity.reason is Reason.QUIET:
            wrong = (
                self._may.needed(activity)
                or self._may.too_soon(activity)
                or self._may.newer(one, activity)
            )
        return wrong

    def begun(self, activity: Activity, wrong: Wrong | None) -> None:
        """See that it is written."""
        self.known[activity.id].is_written = True
        self._sim.trace.add("watch", "leaving", f"{activity.container} {activity.reason}")
        if wrong is not None:
            self._sim.fail(*wrong)
        found = sync(self._watch.truth.history.activities(group=activity.group))
        for other in found:
            is_under_way = other.status is ActivityStatus.IN_PROGRESS
            if other.kind is ActivityKind.SCALE_IN and is_under_way and other.id != activity.id:
                self._sim.fail("D3", f"{activity.id} is begun beside {other.id}")

    def not_begun(self, activity: Activity) -> None:
        """See that it was refused."""
        if not self.known[activity.id].is_written:
            del self.known[activity.id]

    def is_written(self, activity: Activity) -> bool:
        """Tell whether the store has it."""
        return sync(self._watch.truth.history.activity(activity.id)) is not None

    def ends(self, activity: Activity) -> None:
        """See how a departure ends, as that is written down."""
        leaving = self.known.get(activity.id)
        if leaving is None:
            return
        before = leaving.ended
        if before is not None and before.status is not activity.status and not self._lost(600):
            kept = sync(self._watch.truth.history.activity(activity.id))
            if kept is not None and kept.status is activity.status:
                self._sim.fail("D10", f"{activity.id} was {before.status} and is {activity.status}")
        is_here = activity.container_id in self._sim.daemon.inside
        if is_here and activity.status is ActivityStatus.SUCCESSFUL:
            self._sim.fail("D10", f"{activity.container} has left, says {activity.id}, and is here")
        if activity.status is ActivityStatus.CANCELLED and leaving.sent_at is not None and is_here:
            self._sim.fail("D10", f"{activity.id} is called off, and was begun")
        leaving.ended, leaving.ended_at = activity, self._loop.now

    # ------------------------------------------------------------ what is sent

    def sent(self, process: Process, what: str, container_id: str, activity_id: str) -> None:
        """Check a request of a departure as it leaves."""
        leaving, one = self.known[activity_id], self._sim.daemon.inside.get(container_id)
        self._watch.check_leader(process, what, leaving.activity.container)
        if one is None:
            return
        sim, now = self._sim, self._loop.now
        sim.trace.add("watch", what, f"{one.name} {activity_id}")
        if one.labels.get("relevo.clone-of", one.name) in UNTOUCHABLE:
            sim.fail("I8", f"{what} of {one.name}, which nobody may touch")
        if not process.alive:
            sim.fail("I7", f"{what} of {one.name} by a dead process")
        self._check_written(leaving, what, one)
        if leaving.activity.container_id != one.id:
            sim.fail("D1", f"{what} of {one.name} by the departure of another")
        wrong = self._may.not_ours(one)
        others = self._others_at_it(leaving)
        if self._crowds.serves(one.id):
            wrong = wrong or self._last_one(one, leaving) or self._not_drained(process, leaving)
            if leaving.activity.ordered is None:
                at = process.now() - timedelta(seconds=self._look_s)
                group = leaving.activity.group
                wrong = wrong or self._may.stopped_by_somebody(process, group, at)
        if wrong is None and others:
            wrong = "D3", f"{one.name} leaves beside {others[0]}"
        leaving.sent_at = leaving.sent_at if leaving.sent_at is not None else now
        if wrong is not None:
            sim.fail(*wrong)

    def _check_written(self, leaving: Leaving, what: str, one: Container) -> None:
        lost = self._loop.now - self._watch.lost_at
        if lost < _LOST_S:
            if _NOTICED_S < lost < _HELD_S and self._loop.now - leaving.at < lost:
                self._sim.fail("I10", f"{what} of {one.name}, {lost:.1f} s after a loss")
            return
        kept = sync(self._watch.truth.history.activity(leaving.activity.id))
        if kept is None and leaving.at > self._watch.lost_at:
            self._sim.fail("D0", f"{what} of {one.name} before it was written down")
        for begins, ends in self._watch.held:
            if begins < self._loop.now < ends:
                self._sim.fail("I10", f"{what} of {one.name} while everybody holds still")

    def _others_at_it(self, leaving: Leaving) -> list[str]:
        """List others of the group that have been sent away, and have not left yet."""
        return [
            other.activity.container or ""
            for other in self.known.values()
            if other.activity.group == leaving.activity.group
            and other.activity.container_id != leaving.activity.container_id
            and other.sent_at is not None
            and other.sent_at > self._watch.lost_at
            and other.ended is None
            and self._is_under_way(other)
        ]

    def _is_under_way(self, leaving: Leaving) -> bool:
        kept = sync(self._watch.truth.history.activity(leaving.activity.id))
        return kept is not None and kept.status is ActivityStatus.IN_PROGRESS

    def _last_one(self, one: Container, leaving: Leaving) -> Wrong | None:
        others = [o for o in self._crowds.group(leaving.activity.group) if o.id != one.id]
        if any(self._crowds.served_lately(other.id, self._look_s) for other in others):
            return None
        return "D2", f"{one.name} leaves, the last of {leaving.activity.group} that serves"

    def _not_drained(self, process: Process, leaving: Leaving) -> Wrong | None:
        activity, now = leaving.activity, self._loop.now
        waited = process.now() - activity.started_at
        if activity.reason is Reason.CLONE_DOWN or waited >= self._policy.scale_in.drain:
            return None
        container_id = activity.container_id or ""
        if self._sim.daemon.traffic.was_quiet(container_id, now - self._look_s, now):
            return None
        return "D8", f"{activity.container} leaves with requests under way, after {waited}"


class WatchedScaling:
    """`Scaling` of one process, watched."""

    def __init__(self, rules: Departing, process: Process, port: Any) -> None:
        self._rules = rules
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        setattr(self, name, found)  # calls, which are always the same
        return found

    async def begin(self, activity: Activity, *args: Any, **more: Any) -> Activity | Reply:
        """Watch an intent."""
        if not self._process.alive:
            raise Dead
        rules = self._rules
        wrong = rules.begins(self._process, activity)
        try:
            answer: Activity | Reply = await self._port.begin(activity, *args, **more)
        except OutOfBudget:
            rules.not_begun(activity)
            raise
        except BaseException:
            if rules.is_written(activity):
                rules.begun(activity, wrong)
            raise
        if isinstance(answer, Activity) and answer.id == activity.id:
            rules.begun(activity, wrong)
        else:
            rules.not_begun(activity)
        return answer

    async def end(self, activity: Activity, **more: Any) -> None:
        """Watch an end."""
        await self._port.end(activity, **more)
        self._rules.ends(activity)
