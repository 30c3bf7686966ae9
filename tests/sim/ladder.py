"""The checker's own idea of the ladder and of verdicts, from the records and the true world."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.container import Container
from app.domain.decision import Reason, Verdict
from app.domain.remediation import Action, Attempt, Remediation
from app.policies.spec import Rulebook, Strategy
from app.ports import RemediationFilter, Store
from tests.sim.daemon import Daemon
from tests.sim.prometheus import Prometheus, moment
from tests.sim.times import Span, Times, is_after
from tests.sim.told import Told

#: Steps begin a little after the moment that they were decided for.
_ROUNDING = timedelta(seconds=5)
_HOUR = timedelta(hours=1)
_USELESS = (Verdict.NO_TRAFFIC, Verdict.NO_EFFECT)
#: An alert is quiet in Alertmanager up to an evaluation later than in Prometheus.
_SETTLE_SLACK_S = 45.0
#: A new alert is known to Relevo within this time.
_HEARD_WITHIN_S = 45.0


def _sync(coro: Any) -> Any:
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the truth had to wait")


@dataclass(frozen=True, slots=True)
class Failures:
    """How many failed restarts count: so many surely, and so many at most."""

    least: int
    most: int


class Ladder:
    """See the module."""

    def __init__(
        self,
        truth: Store,
        daemon: Daemon,
        prometheus: Prometheus,
        rulebook: Rulebook,
        fail: Callable[[str, str], None],
        told: Told | None,
        times: Times,
    ) -> None:
        self._truth = truth
        self._daemon = daemon
        self._prometheus = prometheus
        self._policy = rulebook.defaults
        self._fail = fail
        self._told = told
        #: Clocks run this much apart.
        self.slack = 0.0
        #: Attempts whose verdict was seen.
        self.verdicts: dict[str, Verdict] = {}
        self._scaled: dict[str, tuple[float, str]] = {}
        #: Targets -> when a person had their failures forgotten.
        self.resets: dict[str, list[tuple[datetime, Span | None]]] = {}
        self.times = times
        self.lost_at = -1e9

    def fires(self, name: str, *, told: datetime | None = None) -> bool:
        """Whether the alert of a container fires; as one that began then, and not since."""
        since = self._prometheus.firing_since(name)
        return since is not None and (told is None or told >= moment(since))

    def failures(self, target: str, group: str, now: datetime) -> Failures:
        """Count failed restarts from the records, by the leader's clock and by the true time."""
        records = _sync(self._truth.history.remediations(RemediationFilter(limit=400)))
        relapses = {r.relapse_of: r.opened_at for r in records if r.relapse_of is not None}
        incarnation = next((r.incarnation for r in records if r.target == target), None)
        consumed = [
            (r.scaled_out_at, self.times.scaled_out(r))
            for r in records
            if r.group == group and r.scaled_out_at is not None
        ]
        consumed += self.resets.get(target, ())
        surely, maybe = 0, 0
        for record in records:
            if record.target != target or record.incarnation != incarnation:
                continue
            for number, one in enumerate(record.attempts):
                if not one.is_failed_restart or one.finished_at is None:
                    continue
                later = record.attempts[number + 1 :]
                if record.scaled_out_at and any(a.action is Action.SCALE_OUT for a in later):
                    continue  # consumed, whatever a clock that was set back says of the order
                at = one.finished_at
                if one.verdict is Verdict.RELAPSED:
                    at = relapses.get(record.id, at)
                counts = self._counts(at, self.times.failed(one.id), now=now, consumed=consumed)
                if counts is None or (counts and one.verdict is Verdict.RELAPSED):
                    maybe += 1  # written with another note: its time is that one's
                elif counts:
                    surely += 1
        return Failures(surely, surely + maybe)

    def _counts(
        self,
        at: datetime,
        span: Span | None,
        *,
        now: datetime,
        consumed: list[tuple[datetime, Span | None]],
    ) -> bool | None:
        """Tell whether a failure counts; None: its time, or a clock, leaves that open."""
        window = self._policy.restart.window
        order = [is_after(at, span, when, other) for when, other in consumed]
        if False in order:
            return False
        ages = [now - at]
        if span is not None:
            ages += [timedelta(seconds=self.times.now - then) for then in span]
            furthest = self.times.furthest(span[0])
            ages += [furthest - at] if furthest is not None else []
        # A clock was set back: what is to come does not count yet.
        if min(ages) < -_ROUNDING or None in order:
            return None
        if max(ages) < window - _ROUNDING:
            return True
        return False if min(ages) > window + _ROUNDING else None

    def scaled_in_lately(self, record: Remediation, now: datetime) -> bool:
        """Tell whether an instance of the group left within the window, for it was not needed."""
        span = self._policy.restart.window
        dossier = _sync(
            self._truth.records.read(
                record.target, group=record.group, now=now, window=span, brake_window=span
            )
        )
        return dossier.left_at is not None and now - dossier.left_at < span + _ROUNDING

    def check(self, record: Remediation, attempt: Attempt, one: Container, *, now: float) -> None:
        """Check an action that is about to begin."""
        if now - self.lost_at < 4000:
            return  # what the store has forgotten it cannot count
        if self._policy.strategy is not Strategy.RESTART_FIRST:
            return  # another order of steps
        failures = self.failures(record.target, record.group, attempt.intent_at)
        if record.relapse_of is not None:
            return
        most = self._policy.restart.max_failed
        if attempt.action is Action.SCALE_OUT:
            self._check_scale_out(record, attempt, one, failures.most, now=now)
            return
        if attempt.reason is Reason.UNDER_COVER:
            self._check_cover(record, attempt, one)
            return
        if record.scaled_out_at is not None and not _came_to_nothing(record):
            self._fail("L1", f"{one.name} is restarted although it was scaled out")
        if failures.least >= most:
            self._fail("L1", f"{one.name} is restarted after {failures.least} failures")
        delays = self._policy.restart.delays
        due = record.needed_since + delays[min(failures.least, len(delays) - 1)]
        if attempt.intent_at < due - timedelta(seconds=1):
            self._fail("L2", f"{one.name} is restarted {due - attempt.intent_at} early")

    def _check_cover(self, record: Remediation, attempt: Attempt, one: Container) -> None:
        """Check the one restart under cover of a clone."""
        up_at = record.scaled_out_at
        cooldown = self._policy.scale_out.cooldown * (1 - self.slack) - _ROUNDING
        if up_at is None or attempt.intent_at - up_at < cooldown:
            self._fail("L1", f"{one.name} is restarted under cover before the cooldown is over")
        before = [
            other
            for other in record.attempts
            if other.reason is Reason.UNDER_COVER and other.acted_at and other.id != attempt.id
        ]
        if before:
            self._fail("L1", f"{one.name} is restarted under cover a second time")

    def _check_scale_out(
        self, record: Remediation, attempt: Attempt, one: Container, most: int, *, now: float
    ) -> None:
        by_clone = any(
            "relevo.clone-of" in other.labels and self.fires(other.name)
            for other in self._daemon.inside.values()
        )
        by_clone = by_clone or attempt.reason is Reason.CLONE_SICK
        if attempt.reason is Reason.SCALED_IN_LATELY:
            by_clone = by_clone or self.scaled_in_lately(record, attempt.intent_at)
        too_few = most < self._policy.restart.max_failed and record.scaled_out_at is None
        if too_few and not by_clone:
            self._fail("L3", f"{one.name} is scaled out after {most} failures")
        last = self._scaled.get(record.group)
        cooldown = self._policy.scale_out.cooldown.total_seconds() * (1 - self.slack) - 5
        # One that came to nothing has left again, and its cooldown with it.
        if last is not None and last[1] in self._daemon.removed.values():
            last = last if self.verdicts.get(last[1]) in _USELESS else None
        if last is not None and last[1] != attempt.id and now - last[0] < cooldown:
            self._fail("L4", f"{record.group} is scaled out {now - last[0]:.0f} s after the last")

    def created(self, group: str, attempt_id: str, now: float) -> None:
        """See a clone come up."""
        self._scaled[group] = (now, attempt_id)

    def noted(self, record: Remediation, who: str, *, now: float, read_at: float) -> None:
        """Check the verdict that a step has given, by what it has read."""
        attempt = record.last_attempt
        if attempt is None or attempt.verdict is None:
            return
        if self.verdicts.get(attempt.id) is attempt.verdict:
            return
        known, self.verdicts[attempt.id] = self.verdicts.get(attempt.id), attempt.verdict
        if known is not None and attempt.verdict is not Verdict.RELAPSED:
            self._fail("V0", f"{who} turns the verdict of {attempt.id} from {known}")
        if attempt.verdict is not Verdict.RECOVERED:
            return
        settle = self._policy.verify.settle.total_seconds() * (1 - self.slack)
        if self._told is not None:
            self._check_told(self._told, record.container, settle, read_at)
            return
        fired = self._prometheus.fired_at.get(record.container, -1e9)
        since = self._prometheus.firing_since(record.container)
        if since is not None and now - since < _HEARD_WITHIN_S:
            return  # ill again, and nobody could have heard of it yet
        if now - fired < settle - _SETTLE_SLACK_S:
            self._fail(
                "V1", f"{record.container} has recovered {now - fired:.0f} s after it was ill"
            )

    def _check_told(self, told: Told, name: str, settle: float, read_at: float) -> None:
        ill_since, over_since = told.ill_since(name), told.perhaps_over_since(name)
        if ill_since is not None and ill_since < read_at:
            self._fail("V1", f"{name} has recovered {read_at - ill_since:.0f} s after it fell ill")
        if over_since is not None and over_since <= read_at < over_since + settle - 1:
            after = read_at - over_since
            self._fail("V1", f"{name} has recovered {after:.0f} s after its end was told")


def _came_to_nothing(record: Remediation) -> bool:
    """Tell whether all clones were ahead of any restart, and somebody has taken them away."""
    made = [one for one in record.attempts if one.action is Action.SCALE_OUT and one.acted_at]
    return all(
        one.reason is Reason.SCALED_IN_LATELY and one.verdict is Verdict.VANISHED for one in made
    )
