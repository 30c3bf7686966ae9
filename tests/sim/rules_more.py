"""Rules about what was promised, at the moment that it is said: kept, recovered, waited for."""

from collections.abc import Sequence
from typing import Any

from app.domain.alert import Alert, AlertStatus
from app.domain.decision import Reason, Verdict
from app.domain.remediation import Remediation
from app.policies.spec import Strategy
from tests.builders import ENGINE
from tests.sim.intents import UNTOUCHABLE, sync
from tests.sim.process import Process
from tests.sim.prometheus import moment

_LOOKS_EVERY_S = 5.0
#: An alert was listed by then: everybody who asks has seen it.
_SEEN_S = 60.0
#: A pull is as old as this, and a step may sleep between its look and its note.
_SLACK_S = 75.0
#: A watchdog that is sent no more is listed for another four minutes; then nobody can tell.
_DEAD_S = 400.0
_LOST_S = 60.0
_COUNTS_S = 4000.0
#: A container goes out while another of its group is: looked at when the engine is at both.
_AT_BOTH_S = 0.5
#: Why there is no relief although the ladder has come to its end.
_NO_RELIEF = (
    Reason.COOLDOWN,
    Reason.AT_MAX,
    Reason.MAX_CLONES,
    Reason.SCALE_OUT_DISABLED,
    Reason.WINDOW_FULL,
)


class MoreRules:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._loop = sim.loop
        self._policy = sim.watch._rulebook.defaults
        #: Names of containers: since when, and when last, their alert was listed as active.
        self._since: dict[str, float] = {}
        self._listed: dict[str, float] = {}
        #: Since when no rules are evaluated.
        self._dead_since: float | None = None
        self._recovered: set[str] = set()
        self._loop.later(_LOOKS_EVERY_S, self._look)

    # ------------------------------------------------------------ what can be known

    def _look(self) -> None:
        self._loop.later(_LOOKS_EVERY_S, self._look)
        now = self._loop.now
        listed = set()
        for member in [] if self._sim.listing.cut else self._sim.watch.members:
            if member.down:
                continue
            for entry in member.active():
                labels = entry.sent.labels
                if labels.get("engine") == ENGINE and not member.is_silenced(entry):
                    listed.add(labels["name"])
        self._since = {name: self._since.get(name, now) for name in sorted(listed)}
        for name, since in self._since.items():
            if now - since >= _SEEN_S:
                self._listed[name] = now
        if not self._sim.prometheus.down:
            self._dead_since = None
        elif self._dead_since is None:
            self._dead_since = now

    def listed_since(self, name: str) -> float | None:
        """Tell since when the alert of a container is listed as active; None: it is not."""
        return self._since.get(name)

    # ------------------------------------------------------------ what is noted

    def noted(self, process: Process, record: Remediation | None) -> None:
        """See what a step has left behind."""
        if record is None:
            return
        self._check_reason(process, record)
        last = record.last_attempt
        if last is None or last.verdict is not Verdict.RECOVERED or last.id in self._recovered:
            return
        self._recovered.add(last.id)
        if self._sim.profile.blind:
            return  # it asks nobody
        now, name = self._loop.now, record.container
        settle = self._policy.verify.settle.total_seconds() * (1 - self._sim.profile.drift)
        quiet = now - self._listed.get(name, -1e9)
        if quiet < settle - _SLACK_S:
            self._sim.fail("V2", f"{name} has recovered {quiet:.0f} s after it was listed")
        if self._dead_since is not None and now - self._dead_since > _DEAD_S:
            dead = now - self._dead_since
            self._sim.fail("V2", f"{name} has recovered, with no rule evaluated for {dead:.0f} s")

    def _check_reason(self, process: Process, record: Remediation) -> None:
        """Who waits for relief, or is handed to a person for want of it, has failed before."""
        ladder = self._sim.watch.ladder
        if record.reason not in _NO_RELIEF or record.scaled_out_at is not None:
            return
        if self._policy.strategy is not Strategy.RESTART_FIRST:
            return  # another order of steps
        if self._loop.now - ladder.lost_at < _COUNTS_S or record.relapse_of is not None:
            return
        if record.container in UNTOUCHABLE:
            return  # one that is only observed counts what it would have done
        if any(self._loop.now - at < 600 for n, at in self._fired() if "_new" in n):
            return  # a clone that is ill is relieved at once
        if ladder.scaled_in_lately(record, process.now()):
            return  # what has left is needed again
        failures = ladder.failures(record.target, record.group, process.now())
        if failures.most < self._policy.restart.max_failed:
            self._sim.fail("L5", f"{record.id}: {failures.most} failures, and {record.reason}")

    def _fired(self) -> list[tuple[str, float]]:
        return list(self._sim.prometheus.fired_at.items())

    # ------------------------------------------------------------ what is accepted

    def answered(self, alerts: Sequence[Alert], status: int, who: str) -> None:
        """Check that the alert is kept as it is now, and not as it was hours ago."""
        if status != 202 or self._loop.now - self._sim.watch.lost_at < _LOST_S:
            return
        for alert in alerts:
            name = alert.labels.get("name", "")
            one = self._sim.daemon.named(name)
            since = self._sim.prometheus.firing_since(name)
            if alert.labels["engine"] != ENGINE or alert.status is not AlertStatus.FIRING:
                continue
            if one is None or since is None or alert.starts_at < moment(since):
                continue  # gone, or of an earlier time
            if name in UNTOUCHABLE[:2] or "relevo.clone-of" in one.labels or "_" in name:
                continue
            if not self._keeps(f"{ENGINE}:{name}", alert):
                self._sim.fail("I1", f"{who} has taken {name} on as of now and does not have it")

    def _keeps(self, target: str, alert: Alert) -> bool:
        truth, span = self._sim.watch.truth, self._policy.restart.window
        dossier = sync(
            truth.records.read(
                target, group=target, now=self._sim.watch._now(), window=span, brake_window=span
            )
        )
        kept = [one.alert for one in dossier.alerts if one.alert.fingerprint == alert.fingerprint]
        return any(one.starts_at >= alert.starts_at for one in kept)

    # ------------------------------------------------------------ what is sent

    def sent(self, what: str, container_id: str) -> None:
        """Look at the group when the engine is at it: two may be sent in the same moment."""
        if what == "restart":
            self._loop.later(_AT_BOTH_S, self._check_group, container_id)

    def _check_group(self, container_id: str) -> None:
        daemon = self._sim.daemon
        one = daemon.inside.get(container_id)
        service = one.labels.get("com.docker.compose.service") if one is not None else None
        if service is None:
            return
        group = [
            other.id
            for other in daemon.inside.values()
            if other.labels.get("com.docker.compose.service") == service
        ]
        out = [other for other in group if other in daemon.under_way]
        # Counted here: by its own number a guard that was planted away is always right.
        if len(out) > max(1, len(group) // 3):
            self._sim.fail("I6", f"{len(out)} of {len(group)} of {service} are out at once")
