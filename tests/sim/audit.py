"""The checker every simulated minute, and at the end."""

from collections.abc import Callable
from datetime import timedelta

from app.domain.decision import Reason
from app.ports import RemediationFilter
from tests.builders import ENGINE
from tests.sim.chaos import Chaos
from tests.sim.daemon import Daemon
from tests.sim.fleet import Fleet
from tests.sim.intents import UNTOUCHABLE, sync
from tests.sim.loop import VirtualLoop
from tests.sim.prometheus import Prometheus
from tests.sim.ward import Ward
from tests.sim.watch import Watch

EVERY = 60.0
#: Nothing has been wrong for this long: what is due must be done.
_CALM_S = 300.0
#: No remediation is idle this long past its time.
_IDLE = timedelta(seconds=90)
_UNSEEN_S = 300.0
_HOUR = timedelta(hours=1)
_OPEN = RemediationFilter(open_only=True, limit=1000)


class Audit:
    """See the module."""

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        watch: Watch,
        chaos: Chaos,
        fleet: Fleet,
        daemon: Daemon,
        prometheus: Prometheus,
        fail: Callable[[str, str], None],
        liveness: bool,
    ) -> None:
        self._loop = loop
        self._watch = watch
        self._chaos = chaos
        self._fleet = fleet
        self._daemon = daemon
        self._prometheus = prometheus
        self._fail = fail
        self._liveness = liveness
        self._stuck: dict[str, float] = {}
        self._beat: tuple[int, int] | None = None
        loop.later(EVERY, self._minute)

    def _minute(self) -> None:
        self._loop.later(EVERY, self._minute)
        self._loop.create_task(self._look())

    async def _look(self) -> None:
        self._check_charges()
        if self._liveness and self._chaos.calm_for > _CALM_S:
            self._check_alive()
        else:
            self._beat = None  # after a loss the same numbers come again

    def _check_charges(self) -> None:
        now = self._watch._now()
        charged = sync(self._watch.truth.failures.charged(since=now - _HOUR))
        since = now - _HOUR - timedelta(minutes=2)
        intended = self._watch.attempts(since) + self._watch.departed(since)
        calm = self._loop.now - self._watch.lost_at > 4000
        if len(charged) > intended and calm:
            self._fail("I5", f"{len(charged)} charges for {intended} attempts")
        acted = sum(
            self._loop.now - at < 3500 and self._loop.now - self._watch.intents[key].at < 3500
            for key, at in self._watch.acted.items()
        )
        if acted > len(charged) and calm and not self._watch.ladder.slack:
            self._fail("I5", f"{acted} actions and {len(charged)} charges")

    def _check_alive(self) -> None:
        if not any(node.is_up for node in self._fleet.nodes):
            return
        standing = sync(self._watch.truth.leadership.look())
        beat, self._beat = self._beat, (standing.term, standing.beat)
        if beat == self._beat:
            self._fail("I9", "nobody leads, and nothing is wrong")
        now = self._watch._now()
        open_ones = sync(self._watch.truth.history.remediations(_OPEN))
        for one in open_ones:
            if one.next_at is not None and now - one.next_at > _IDLE:
                self._fail("I9", f"{one.id} is {one.state} and idle since {one.next_at}")
        self._check_budget_wait({one.target for one in open_ones if one.reason is Reason.BUDGET})
        targets = {one.target for one in open_ones}
        for name in [n for n in self._prometheus.fired_at if "_" not in n]:
            since = self._prometheus.firing_since(name)
            if name in UNTOUCHABLE[:2] or since is None or self._daemon.named(name) is None:
                continue
            if self._watch.left_alone(f"{ENGINE}:{name}"):
                continue  # it is taken for poison: one process after the other has died at it
            told = self._watch.told
            if told is not None and told.ill_since(name) is None:
                continue  # it was left out of a notification, and nobody can ask
            # While it had another name, or was being created anew, nobody could be at it.
            since = max(since, self._chaos.troubled_at, self._daemon.named_at[name])
            long = self._loop.now - since > _UNSEEN_S
            if long and f"{ENGINE}:{name}" not in targets and not self._silenced(name):
                self._fail("I9", f"{name} has been ill for long, and nobody is at it")

    def _silenced(self, name: str) -> bool:
        return any(
            member.silenced.get(name, -1.0) > self._loop.now - 300
            for member in self._chaos._members
        )

    def _check_budget_wait(self, waiting: set[str]) -> None:
        """Whoever waits for his turn gets it within the hour, and mostly at once."""
        now = self._loop.now
        lately = sum(now - at < 900 for at in self._watch.acted.values())
        self._stuck = {target: self._stuck.get(target, now) for target in waiting}
        for target, since in self._stuck.items():
            if now - since > 1200 and lately == 0:
                self._fail("I9", f"{target} waits for the budget and nothing is done")

    async def is_over(self, ward: Ward) -> bool:
        """Tell whether nobody is ill, nobody is said to be, and no story is open."""
        is_ill = any(ward.symptom(name) for name in ward.patients)
        is_said = any(self._prometheus.firing_since(name) for name in self._prometheus.fired_at)
        return (
            not is_ill and not is_said and not sync(self._watch.truth.history.remediations(_OPEN))
        )

    async def end(self) -> None:
        """Check that everything has come to its end, but for what is ill by all that was told."""
        open_ones = sync(self._watch.truth.history.remediations(_OPEN))
        told = self._watch.told
        for one in open_ones:
            if told is not None and told.over_since(one.target.rpartition(":")[2]) is None:
                continue
            self._fail("I9", f"{one.id} is still {one.state} ({one.reason}) at the end")
        if self._daemon.under_way:
            self._fail("I9", "the daemon is still at work at the end")
