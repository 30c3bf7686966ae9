"""The rules of scale-in every minute, and at the end: what is begun ends, and all have left."""

from collections import Counter
from datetime import timedelta
from typing import Any

from app.domain.activity import Activity, ActivityStatus
from app.domain.audit import AuditKind
from app.domain.container import Container
from app.domain.decision import Action, Reason
from app.policies.guards import budget_left
from app.ports import RemediationFilter
from tests.sim.crowd import Crowds, group_of, is_down, target_of
from tests.sim.departing import Departing
from tests.sim.intents import UNTOUCHABLE, sync

_EVERY_S = 60.0
#: Nothing has been wrong for this long: what is due must be done.
_CALM_S = 300.0
#: A departure waits for a quiet moment, stops with its grace, and is looked at every 15 s.
_LEAVES_S = 240.0
#: One that has ended is taken away: the budget may be spent, and the last one may have failed.
_DOWN_S = 900.0
#: Beside what is waited for: polls, drains, the budget.
_SLACK_S = 900.0
_ALL = 100_000
_HOUR = timedelta(hours=1)


class DepartingAudit:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(self, sim: Any, crowds: Crowds, departing: Departing) -> None:
        self._sim = sim
        self._loop = sim.loop
        self._crowds = crowds
        self._departing = departing
        self._rules = sim.watch._rulebook.defaults.scale_in
        #: Activities under way, and clones that are down: since when there was no excuse.
        self._since: dict[str, float] = {}
        self._loop.later(_EVERY_S, self._minute)

    def _minute(self) -> None:
        self._loop.later(_EVERY_S, self._minute)
        self._loop.create_task(self._look())

    async def _look(self) -> None:
        sim = self._sim
        is_up = any(node.is_up for node in sim.fleet.nodes)
        if not is_up or sim.chaos.calm_for < _CALM_S or sim.profile.drift >= 0.05:
            self._since.clear()
            return
        now = self._loop.now
        late = {one.id: (_LEAVES_S, "D9", _said(one)) for one in self._leaving()}
        for one in self._crowds.clones():
            if is_down(one) and self._is_to_leave(one) and not self._is_excused(one):
                late[one.id] = (_DOWN_S, "D11", f"{one.name} is {one.state}")
        self._since = {key: self._since.get(key, now) for key in late}
        for key, (bound, rule, said) in late.items():
            if now - self._since[key] > bound:
                sim.fail(rule, f"{said} for {now - self._since[key]:.0f} s")

    def _leaving(self) -> list[Activity]:
        found: list[Activity] = list(sync(self._sim.watch.truth.scaling.under_way()))
        return [one for one in found if len(self._seats(one.group)) > 0]

    def _seats(self, group: str) -> list[Container]:
        """List the originals of a group, if nobody claims the place of another."""
        originals = self._crowds.originals(group)
        targets = Counter(map(target_of, originals))
        return originals if all(count == 1 for count in targets.values()) else []

    def _is_to_leave(self, one: Container) -> bool:
        """Tell whether a clone is one that leaves, sooner or later."""
        originals = self._crowds.originals(group_of(one))
        known = all("relevo.enable" in o.labels and o.name not in UNTOUCHABLE for o in originals)
        return bool(originals) and known and not self._crowds.is_copy(one)

    def _is_excused(self, one: Container) -> bool:
        """Tell whether something forbids now that a clone leaves."""
        truth, now = self._sim.watch.truth, self._sim.watch._now()
        holds = sync(truth.controls.holds())
        halts = [sync(truth.controls.pause())]
        halts += [holds.get(target_of(o)) for o in self._crowds.originals(group_of(one))]
        if any(halt is not None and not halt.is_over(now) for halt in halts):
            return True
        if sync(truth.controls.brake()).engaged_at is not None or one.id in self._crowds.forgotten:
            return True
        guards = self._sim.watch._rulebook.guards
        charged = sync(truth.failures.charged(since=now - _HOUR))
        open_ones = sync(truth.history.remediations(RemediationFilter(open_only=True, limit=_ALL)))
        if 0 in budget_left(charged, guards, now=now) or any(
            story.reason is Reason.BUDGET for story in open_ones
        ):
            return True  # whoever heals somebody goes first
        # The next step of its story gives a verdict on it; that one has a rule of its own.
        attempt_id = one.labels.get("relevo.attempt", "")
        record = sync(truth.history.remediation(attempt_id.rpartition(".")[0]))
        attempt = record.open_attempt if record is not None else None
        return attempt is not None and attempt.id == attempt_id

    # ------------------------------------------------------------ the end

    def most_at_once(self) -> int:
        """Count the clones of the group that has most."""
        groups = Counter(group_of(one) for one in self._crowds.clones() if self._is_to_leave(one))
        return max(groups.values(), default=0)

    async def lasts(self) -> float:
        """Tell after how many seconds without any trouble nobody is left."""
        every = self._rules.every.total_seconds() + self._rules.drain.total_seconds()
        after = self._rules.after.total_seconds()
        return float(after + self.most_at_once() * every + _SLACK_S)

    async def end(self) -> None:
        """Check that nobody is left who is not needed, and that the books are right."""
        sim = self._sim
        for one in self._crowds.clones():
            if self._is_to_leave(one) and one.name not in UNTOUCHABLE:
                stays = {
                    node.name: str(node.controller.departures.stays.get(group_of(one)))
                    for node in sim.fleet.nodes
                    if node.is_up and node.controller is not None
                }
                sim.fail("D12", f"{one.name} is here at the end, {one.state}: {stays}")
        for activity in sync(sim.watch.truth.scaling.under_way()):
            sim.fail("D9", f"{_said(activity)} at the end")
        self._check_books()

    def _check_books(self) -> None:
        """Compare what was written down with what the engine has done."""
        sim, truth = self._sim, self._sim.watch.truth
        lines = [line.entry for line in sync(truth.audit.entries(limit=_ALL))]
        lines = [line for line in lines if line.action is Action.SCALE_IN]
        counts = Counter((line.attempt, line.kind is AuditKind.INTENT) for line in lines)
        removed = set(sim.daemon.removed.values())
        # What a store has forgotten it cannot tell of.
        since = sim.watch.lost_at
        for key, one in self._departing.known.items():
            if not one.is_written or one.at < since:
                continue
            kept = sync(truth.history.activity(key))
            status = kept.status if kept is not None else None
            told = counts[key, True], counts[key, False]
            if told != (1, 1):
                sim.fail("D10", f"{key} ({status}) has {told} lines in the audit")
            if (key in removed) and status is not ActivityStatus.SUCCESSFUL:
                sim.fail("D10", f"{one.activity.container} was removed, and {key} is {status}")
        for container_id, key in sim.daemon.removed.items():
            if key.endswith(".in") and key not in self._departing.known:
                sim.fail("D10", f"{container_id[:12]} was removed by {key}, which nobody began")


def _said(one: Activity) -> str:
    return f"{one.id} of {one.container} is {one.status}"
