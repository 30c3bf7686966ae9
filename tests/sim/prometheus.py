"""Prometheus: evaluates the rules, sends what fires to every Alertmanager, and knows how old
the samples are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.errors import SourceUnavailable
from tests.builders import START
from tests.sim.loop import VirtualLoop
from tests.sim.trace import Trace
from tests.sim.ward import Ward, labels_of

EVALUATES = 15.0
_FOR = 30.0
_RESENDS = 60.0
#: An alert that is not sent again ends by itself after this.
_VALID = 4 * _RESENDS
ALERT = "ContainerHighCPU"
WATCHDOG = "RelevoWatchdog"


@dataclass(slots=True)
class Sent:
    """One alert as it is sent to an Alertmanager."""

    fingerprint: str
    labels: Mapping[str, str]
    #: Seconds since the start.
    starts_at: float
    ends_at: float
    firing: bool


@dataclass(slots=True)
class _Series:
    pending_since: float | None = None
    firing_since: float | None = None
    sent_at: float = -1e9


class Prometheus:
    """See the module."""

    def __init__(self, loop: VirtualLoop, ward: Ward, trace: Trace) -> None:
        self._loop = loop
        self._ward = ward
        self._trace = trace
        self._series: dict[str, _Series] = {}
        self.down = False
        self.collector_down = False
        self._newest: dict[str, float] = {}
        #: Where to send to; each may be cut off.
        self.links: list[Callable[[list[Sent]], None]] = []
        self.cut: set[int] = set()
        #: Container -> when its alert fired last.
        self.fired_at: dict[str, float] = {}
        self._watchdog_at = -1e9
        loop.later(7.0, self._tick)

    def firing_since(self, name: str) -> float | None:
        """Since when the alert of a container fires; None: it does not."""
        series = self._series.get(name)
        return None if series is None else series.firing_since

    def restart(self) -> None:
        """Forget everything."""
        self._trace.add("prometheus", "restarted")
        self._series.clear()
        self._watchdog_at = -1e9

    def _tick(self) -> None:
        self._loop.later(EVALUATES, self._tick)
        if not self.collector_down:
            running, now = self._ward.all_running(), self._loop.now
            for name in self._ward.patients:
                if name in running:
                    self._newest[name] = now
        if not self.down:
            self._evaluate()

    def _evaluate(self) -> None:
        now, out = self._loop.now, []
        for name in self._ward.patients:
            series = self._series.get(name)
            if series is None:
                series = self._series[name] = _Series()
            fresh = now - self._newest.get(name, -1e9) < 60
            if fresh and self._ward.symptom(name):
                if series.pending_since is None:
                    series.pending_since = now
                if series.firing_since is None and now - series.pending_since >= _FOR:
                    series.firing_since = now
                    series.sent_at = -1e9
                    self._trace.add("prometheus", "firing", name)
                if series.firing_since is not None:
                    self.fired_at[name] = now
                    if now - series.sent_at >= _RESENDS:
                        series.sent_at = now
                        out.append(self._alert(name, series.firing_since, firing=True))
            else:
                series.pending_since = None
                if series.firing_since is not None:
                    self._trace.add("prometheus", "resolved", name)
                    out.append(self._alert(name, series.firing_since, firing=False))
                    series.firing_since = None
        self._another_engine(out)
        if now - self._watchdog_at >= _RESENDS:
            self._watchdog_at = now
            out.append(Sent("watchdog", {"alertname": WATCHDOG}, 0.0, now + _VALID, True))
        if out:
            for number, link in enumerate(self.links):
                if number not in self.cut:
                    link(out)

    def _another_engine(self, out: list[Sent]) -> None:
        """A host with a container of the same name, which is ill half of the time."""
        now = self._loop.now
        since = now // 7200 * 7200
        if now - since < 3600 and now % _RESENDS < EVALUATES:
            labels = {**labels_of("web", ALERT), "engine": "host2"}
            out.append(Sent("cpu-web-host2", labels, since, now + _VALID, True))

    def _alert(self, name: str, since: float, *, firing: bool) -> Sent:
        now = self._loop.now
        return Sent(
            fingerprint=f"cpu-{name}",
            labels=labels_of(name, ALERT),
            starts_at=since,
            ends_at=now + _VALID if firing else now,
            firing=firing,
        )

    # ------------------------------------------------------------ asked by Relevo

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        """See `app.ports.SampleSource`."""
        if self.down:
            raise SourceUnavailable("Prometheus: cannot connect")
        newest = self._newest.get(container)
        # Relevo's clock may be off: what it is told is by its own time, as a query's `time` is.
        return None if newest is None else now - timedelta(seconds=self._loop.now - newest)

    async def firing(self) -> tuple[Mapping[str, str], ...]:
        """See `app.ports.SampleSource`."""
        if self.down:
            raise SourceUnavailable("Prometheus: cannot connect")
        found: list[Mapping[str, str]] = [
            labels_of(name, ALERT)
            for name, series in self._series.items()
            if series.firing_since is not None
        ]
        return (*found, {"alertname": WATCHDOG})


def moment(seconds: float) -> datetime:
    """The true time."""
    return START + timedelta(seconds=seconds)
