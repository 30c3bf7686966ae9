"""The checker at every write to the store: what is intended, noted, and taken on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.alert import Alert, AlertStatus
from app.domain.remediation import Attempt, Remediation
from app.errors import Permanent
from app.policies.spec import Rulebook
from app.ports import Store
from tests.builders import ENGINE
from tests.sim.alertmanager import Alertmanager
from tests.sim.daemon import Daemon
from tests.sim.ladder import Ladder
from tests.sim.loop import VirtualLoop
from tests.sim.process import Dead, Process
from tests.sim.prometheus import Prometheus
from tests.sim.times import LATE_S, Times
from tests.sim.told import Told
from tests.sim.trace import Trace

#: Containers that nobody may touch.
UNTOUCHABLE = ("bystander", "vault", "shadow")


def sync(coro: Any) -> Any:
    """Run what never waits."""
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the truth had to wait")


@dataclass(slots=True)
class Intent:
    """An attempt whose intent was written, or may have been."""

    attempt: Attempt
    record: Remediation
    by: str
    at: float
    #: It was sent to the daemon.
    sent: int = 0
    #: When it was written last: again, by whoever resumes it.
    last_at: float = 0.0
    #: When that was decided: what was told by then was known.
    read_at: float = 0.0


class Intents:
    """See the module."""

    def __init__(
        self,
        loop: VirtualLoop,
        trace: Trace,
        *,
        truth: Store,
        daemon: Daemon,
        prometheus: Prometheus,
        rulebook: Rulebook,
        slack: float,
        fail: Callable[[str, str], None],
        told: Told | None = None,
    ) -> None:
        self._loop = loop
        self._trace = trace
        self.truth = truth
        self._daemon = daemon
        self._prometheus = prometheus
        self._rulebook = rulebook
        #: Clocks run this much apart: 0 for the same.
        self._slack = slack
        self.fail = fail
        #: Where notices are all that the controllers have.
        self.told = told
        self.times = Times(lambda: loop.now)
        self.ladder = Ladder(truth, daemon, prometheus, rulebook, fail, told, self.times)
        self.intents: dict[str, Intent] = {}
        #: What was not written when its caller gave up, and may be yet: until when.
        self._doubtful: dict[str, tuple[Intent, float]] = {}
        #: Attempt -> starts of containers that it made.
        self.starts: dict[str, int] = {}
        #: When actions were sent first, by attempt.
        self.acted: dict[str, float] = {}
        self._restarted: dict[str, tuple[float, str]] = {}
        self.lost_at = -1e9
        self.accepted = 0
        #: From when to when nobody may act.
        self.held: list[tuple[float, float]] = []
        #: Target -> when its records were read last.
        self.read_at: dict[str, float] = {}
        self.members: list[Alertmanager] = []
        #: How many departures were charged later than a time, at most.
        self.departed: Callable[[datetime], int] = lambda since: 0

        #: Targets that nobody tries to help for a while.
        self.left_alone: Callable[[str], bool] = lambda target: False

    @property
    def now(self) -> float:
        """The true time."""
        return self._loop.now

    def records(self, process: Process, _raw: object, port: Any) -> Any:
        """Return the records of a process, watched."""
        return WatchedRecords(self, process, port)

    def _now(self) -> datetime:
        """The leader's time: what the records are written by."""
        told: datetime | None = sync(self.truth.leadership.look()).told_at
        return told if told is not None else self._daemon.moment()

    # ------------------------------------------------------------ what is written

    def intended(self, process: Process, record: Remediation) -> Callable[[], None]:
        """See an intent that is being written; answer what takes that back."""
        self._look_again()
        attempt = record.open_attempt
        assert attempt is not None
        known = self.intents.get(attempt.id)

        mine = self.intents[attempt.id] = Intent(
            attempt,
            record,
            process.label,
            known.at if known else self._loop.now,
            known.sent if known else 0,
            self._loop.now,
            self.read_at.get(record.target, self._loop.now),
        )

        def back() -> None:
            # Another may have written the same attempt meanwhile: that one stands.
            if self.intents.get(attempt.id) is not mine:
                return
            if known is None:
                del self.intents[attempt.id]
            else:
                self.intents[attempt.id] = known

        self._check_id(attempt, record)
        if known is not None and known.attempt.action is not attempt.action:
            self.fail("I2", f"{attempt.id} is another action than before")
        return back

    def doubted(self, record: Remediation) -> None:
        """Have an intent looked for again, whose writer gave up: it may arrive after that."""
        attempt = record.open_attempt
        assert attempt is not None
        self._doubtful[attempt.id] = (self.intents[attempt.id], self._loop.now + LATE_S)

    def _look_again(self) -> None:
        for key, (intent, until) in list(self._doubtful.items()):
            if self.is_written(intent.record):
                self.intents.setdefault(key, intent)
                del self._doubtful[key]
            elif self._loop.now > until:
                del self._doubtful[key]

    def attempts(self, since: datetime) -> int:
        """Count the attempts that were intended, or may have been, at that time or later."""
        self._look_again()
        return sum(one.attempt.intent_at >= since for one in self.intents.values())

    def _check_id(self, attempt: Attempt, record: Remediation) -> None:
        if self._loop.now - self.lost_at < 600:
            return
        kept = {one.id for one in record.attempts}
        for other in self.intents.values():
            if other.record.id == record.id and other.attempt.id not in kept:
                self.fail("I2", f"{other.attempt.id} goes on as {attempt.id}")

    def is_written(self, record: Remediation) -> bool:
        """Whether the store has the attempt that is open."""
        kept = sync(self.truth.history.remediation(record.id))
        attempt = record.open_attempt
        assert attempt is not None
        return kept is not None and attempt.id in {one.id for one in kept.attempts}

    def noted(self, process: Process, record: Remediation | None) -> None:
        """See what a step has left behind."""
        if record is not None:
            read_at = self.read_at.get(record.target, self._loop.now)
            self.ladder.noted(record, process.label, now=self._loop.now, read_at=read_at)

    # ------------------------------------------------------------ what is accepted

    def answered(self, alerts: Sequence[Alert], status: int, who: str) -> None:
        """Check that what was taken on is kept."""
        if status != 202:
            return
        for alert in alerts:
            name = alert.labels.get("name", "")
            one = self._daemon.named(name)
            if alert.status is not AlertStatus.FIRING or alert.labels["engine"] != ENGINE:
                continue
            if one is None:
                continue
            if name in UNTOUCHABLE[:2] or "relevo.clone-of" in one.labels or "_" in name:
                continue
            self.accepted += 1
            target = f"{ENGINE}:{name}"
            span = timedelta(hours=1)
            dossier = sync(
                self.truth.records.read(
                    target, group=target, now=self._now(), window=span, brake_window=span
                )
            )
            known = {k.alert.fingerprint for k in dossier.alerts}
            # An old notice of what fires anew is stale, and answered so.
            fires = self.ladder.fires(name, told=alert.starts_at)
            if alert.fingerprint not in known and fires:
                self.fail("I1", f"{who} has taken {alert.fingerprint} on and does not have it")


class WatchedRecords:
    """`Records` of one process, watched."""

    def __init__(self, watch: Intents, process: Process, port: Any) -> None:
        self._watch = watch
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        setattr(self, name, found)  # calls, which are always the same
        return found

    async def read(self, target: str, **more: Any) -> Any:
        """Note when that was: what is told later need not be known."""
        at = self._watch.now
        dossier = await self._port.read(target, **more)
        self._watch.read_at[target] = at
        return dossier

    async def intend(self, claim: Any, remediation: Remediation, **more: Any) -> None:
        """Watch an intent."""
        if not self._process.alive:
            raise Dead
        before = self._watch.intended(self._process, remediation)
        try:
            await self._port.intend(claim, remediation, **more)
        except BaseException as exc:
            # Refused, or it died before it heard of that: nothing was written.
            if isinstance(exc, Permanent):
                before()
            elif not self._watch.is_written(remediation):
                self._watch.doubted(remediation)
                before()
            raise

    async def note(self, claim: Any, entry: Any, **more: Any) -> None:
        """Watch a note."""
        is_reset = entry.answered_order is not None and claim.target in entry.consumed
        sent, answered = self._watch.now, False
        self._watch.times.said(self._process.now())
        if is_reset:
            # Before it is written: its answer may be lost, and then all before it is in doubt.
            resets = self._watch.ladder.resets.setdefault(claim.target, [])
            resets.append((self._process.now(), (0.0, sent + LATE_S)))
        try:
            await self._port.note(claim, entry, **more)
            answered = True
        finally:
            if is_reset and answered:
                resets[-1] = (resets[-1][0], (sent, self._watch.now))
            for record in (entry.remediation, *entry.amended):
                if record is not None:
                    self._watch.times.noted(record, sent=sent, answered=answered)
        self._watch.noted(self._process, entry.remediation)
