"""Relevo's own metrics: counted as decisions are noted, read by ``/metrics``."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app import __version__
from app.controller.vitals import Vitals
from app.domain.decision import Action, Reason, Verdict
from app.domain.message import MessageKind

#: From a webhook's answer (milliseconds) to a slow store (seconds).
_ACCEPT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: From a moment to what ends a tenure.
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: From a restart (a second) to a ladder (an hour).
_VERDICT_BUCKETS = (1, 5, 15, 60, 180, 300, 600, 1800, 3600)


class Telemetry:
    """All series, in a registry of their own, so that two controllers in a test do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = Gauge(
            "relevo_build_info", "Version of this Relevo.", ["version"], registry=self.registry
        )
        build.labels(version=__version__).set(1)
        self.alerts = Counter(
            "relevo_alerts",
            "Alerts by what became of them; the reason for those that were not taken on.",
            ["result", "reason"],
            registry=self.registry,
        )
        self.accept_seconds = Histogram(
            "relevo_accept_seconds",
            "Time from a notification's arrival to its durable acceptance.",
            buckets=_ACCEPT_BUCKETS,
            registry=self.registry,
        )
        self.decisions = Counter(
            "relevo_decisions",
            "Decisions by kind and reason.",
            ["decision", "reason"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "relevo_attempts",
            "Attempts that have their verdict.",
            ["action", "verdict"],
            registry=self.registry,
        )
        self.verdict_seconds = Histogram(
            "relevo_verdict_seconds",
            "Time from an action to its verdict.",
            ["action"],
            buckets=_VERDICT_BUCKETS,
            registry=self.registry,
        )
        self.action_seconds = Histogram(
            "relevo_action_seconds",
            "Time from the first notice of an alert to the first action for it, its wait included.",
            buckets=_VERDICT_BUCKETS,
            registry=self.registry,
        )
        self.poisoned = Counter(
            "relevo_poisoned",
            "Steps that ended their worker twice and were taken out of the round.",
            registry=self.registry,
        )
        self.leading = Gauge(
            "relevo_leading",
            "1 where this controller is the one that acts.",
            ["engine"],
            registry=self.registry,
        )
        self.acting = Gauge(
            "relevo_acting",
            "1 where this controller leads and nothing keeps it from acting.",
            ["engine"],
            registry=self.registry,
        )
        self.loop_lag_seconds = Histogram(
            "relevo_event_loop_lag_seconds",
            "How much later than asked the event loop woke, twice a second.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self.own_alerts = Counter(
            "relevo_own_alerts",
            "Alerts of Relevo's own that it posted to Alertmanager.",
            ["result"],
            registry=self.registry,
        )
        self.outbox_pending = Gauge(
            "relevo_outbox_pending",
            "Messages that no tool has taken yet, as the leader counts them.",
            registry=self.registry,
        )
        self.outbox_delivered = Counter(
            "relevo_outbox_delivered",
            "Messages that a tool has taken.",
            ["kind"],
            registry=self.registry,
        )
        self.outbox_dropped = Counter(
            "relevo_outbox_dropped",
            "Messages that were given up: full, refused, stumbles, unreadable.",
            ["kind", "reason"],
            registry=self.registry,
        )
        self.refused_requests = Counter(
            "relevo_refused_requests",
            "Requests without a right to what they asked; `login`: a wrong token on the page; "
            "`name`: another page's, or by a name that is not Relevo's; 503, on the page 429: not "
            "looked at, as too many wrong tokens come from that address.",
            ["scope", "status"],
            registry=self.registry,
        )
        self.step_errors = Counter(
            "relevo_step_errors",
            "Steps that ended in an error and will be repeated.",
            ["error"],
            registry=self.registry,
        )
        self.targets = Gauge(
            "relevo_targets",
            "Opted-in targets by state.",
            ["engine", "state"],
            registry=self.registry,
        )
        self.failing_targets = Gauge(
            "relevo_failing_targets",
            "Distinct targets with a failed restart within the last hour.",
            ["engine"],
            registry=self.registry,
        )
        self.failures_in_window = Gauge(
            "relevo_failures_in_window",
            "Failed restarts of a target within the window of its policy.",
            ["engine", "name"],
            registry=self.registry,
        )
        self.target_state = Gauge(
            "relevo_target_state",
            "1: the state that a target is in, and what it is called.",
            ["engine", "name", "target", "group", "state"],
            registry=self.registry,
        )
        self.instances = Gauge(
            "relevo_instances",
            "Instances of a target's group: originals and clones, running or not.",
            ["engine", "name"],
            registry=self.registry,
        )
        self.next_action_timestamp = Gauge(
            "relevo_next_action_timestamp_seconds",
            "When the next action on a target is due, unix time; absent: none is planned.",
            ["engine", "name", "action"],
            registry=self.registry,
        )
        self.target_attempts = Counter(
            "relevo_target_attempts",
            "Attempts on a target that have their verdict; from its first attempt on.",
            ["engine", "name", "action", "verdict"],
            registry=self.registry,
        )
        #: As told last, by engine and name.
        self._vitals: dict[tuple[str, str], Vitals] = {}
        #: Whose attempts are counted: engine, name, action.
        self._attempted: set[tuple[str, str, str]] = set()
        self.overdue_seconds = Gauge(
            "relevo_overdue_seconds",
            "How long the longest due step has been waiting for somebody to run it.",
            ["engine"],
            registry=self.registry,
        )
        self.paused = self._by_engine("relevo_paused", "Whether a person has paused everything.")
        self.holds = self._by_engine("relevo_holds", "Targets that a person has put on hold.")
        self.brake_engaged = self._by_engine(
            "relevo_brake_engaged", "Whether so much fails at once that automatic action is frozen."
        )
        self.budget_left = Gauge(
            "relevo_budget_left",
            "Actions that may still be begun: in a row (burst), and within the hour.",
            ["engine", "span"],
            registry=self.registry,
        )
        self.pull_up = self._by_engine(
            "relevo_pull_up", "Whether Alertmanager answered the last pull; 1 where none is asked."
        )
        self.pull_age_seconds = self._by_engine(
            "relevo_pull_age_seconds", "Time since Alertmanager and the engine were last pulled."
        )
        self.old_clones = self._by_engine("relevo_old_clones", "Clones that are older than a day.")
        self.events_up = self._by_engine("relevo_events_up", "Whether the engine's events arrive.")
        self.reload_successful = Gauge(
            "relevo_config_last_reload_successful",
            "Whether the policy file was taken when it was last read.",
            registry=self.registry,
        )
        self.reload_timestamp = Gauge(
            "relevo_config_last_reload_success_timestamp_seconds",
            "When a policy file was last taken, unix time.",
            registry=self.registry,
        )
        self.store_up = Gauge(
            "relevo_store_up", "Whether the store answers.", ["engine"], registry=self.registry
        )
        self.engine_up = Gauge(
            "relevo_engine_up",
            "Whether the container engine answers.",
            ["engine"],
            registry=self.registry,
        )
        # Series exist from the first scrape on, so that rate() sees the first event.
        for action in (Action.RESTART, Action.SCALE_OUT):
            self.verdict_seconds.labels(action=action)
            for verdict in Verdict:
                self.attempts.labels(action=action, verdict=verdict)
        for result in ("accepted", "resolved", "stale", "set_aside"):
            self.alerts.labels(result=result, reason=Reason.STALE if result == "stale" else "")
        for kind in MessageKind:
            self.outbox_delivered.labels(kind=kind)
            for reason in ("full", "refused", "stumbles"):
                self.outbox_dropped.labels(kind=kind, reason=reason)
        for status in ("401", "403", "503"):
            self.refused_requests.labels(scope="ingest", status=status)
        for result in ("firing", "over", "failed"):
            self.own_alerts.labels(result=result)

    def _by_engine(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["engine"], registry=self.registry)

    def up(self, engine: str, *, store: bool, engine_up: bool) -> None:
        """Say whether the store and the engine answer; under the one name that we know now."""
        for gauge, answers in ((self.store_up, store), (self.engine_up, engine_up)):
            gauge.clear()
            gauge.labels(engine=engine).set(answers)

    def took_vitals(self, engine: str, vitals: Sequence[Vitals]) -> None:
        """Say how each target is, at once; forget those that are gone."""
        # Most are as they were: to make their series anew takes a tenth of a second for 500.
        before, now = self._vitals, {(engine, one.container): one for one in vitals}
        self._vitals = now
        for key, one in before.items():
            if now.get(key) != one:
                self._forget_vitals(key, one)
        for key, one in now.items():
            if before.get(key) != one:
                self._tell_vitals(key, one)
        here = {one.container for one in vitals}
        for gone in [one for one in self._attempted if one[0] != engine or one[1] not in here]:
            self._attempted.discard(gone)
            for verdict in Verdict:
                self.target_attempts.remove(*gone, verdict)

    def _tell_vitals(self, key: tuple[str, str], one: Vitals) -> None:
        self.failures_in_window.labels(*key).set(one.failures)
        self.instances.labels(*key).set(one.instances)
        self.target_state.labels(*key, one.target, one.group, one.state).set(1)
        if one.next_action is not None and one.next_at is not None:
            due = self.next_action_timestamp.labels(*key, one.next_action)
            due.set(one.next_at.timestamp())

    def _forget_vitals(self, key: tuple[str, str], one: Vitals) -> None:
        self.failures_in_window.remove(*key)
        self.instances.remove(*key)
        self.target_state.remove(*key, one.target, one.group, one.state)
        if one.next_action is not None and one.next_at is not None:
            self.next_action_timestamp.remove(*key, one.next_action)

    def attempting(self, engine: str, name: str, action: Action) -> None:
        """Begin the series of a target before its first verdict, so that rate() sees that."""
        self._attempted.add((engine, name, action))
        for verdict in Verdict:
            self.target_attempts.labels(engine=engine, name=name, action=action, verdict=verdict)

    def attempted(self, engine: str, name: str, action: Action, verdict: Verdict) -> None:
        """Count an attempt that has its verdict."""
        self.attempts.labels(action=action, verdict=verdict).inc()
        self.attempting(engine, name, action)
        one = self.target_attempts.labels(engine=engine, name=name, action=action, verdict=verdict)
        one.inc()

    def skipped(self, reason: Reason) -> None:
        """Count an alert that was not for us."""
        self.alerts.labels(result="skipped", reason=reason).inc()

    def cried(self, result: str, number: int) -> None:
        """Count alerts of our own that were posted."""
        self.own_alerts.labels(result=result).inc(number)

    def render(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self.registry)
