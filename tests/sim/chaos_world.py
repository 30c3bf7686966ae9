"""What goes wrong outside of the controllers: the store, the engine, the chain of alerts."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from app.domain.container import RunState
from tests.sim.alertmanager import Alertmanager, Notifying
from tests.sim.backend import Backend
from tests.sim.daemon import Daemon, Temper
from tests.sim.fleet import Fleet
from tests.sim.listing import Alertmanagers
from tests.sim.loop import VirtualLoop
from tests.sim.people import People
from tests.sim.profiles import Profile
from tests.sim.prometheus import Prometheus
from tests.sim.trace import Trace
from tests.sim.ward import Ward
from tests.sim.weather import Weather

#: Snapshots to roll back to are this old at most: what `appendfsync everysec` may lose.
_LOST_S = 2.0


class WorldFaults:
    """See the module; when is for `tests.sim.chaos` to say."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        trace: Trace,
        profile: Profile,
        *,
        backend: Backend,
        daemon: Daemon,
        ward: Ward,
        prometheus: Prometheus,
        members: list[Alertmanager],
        listing: Alertmanagers,
        fleet: Fleet,
        people: People,
    ) -> None:
        self._loop = loop
        self._random = random
        self._trace = trace
        self._profile = profile
        self._backend = backend
        self._daemon = daemon
        self._ward = ward
        self._prometheus = prometheus
        self._members = members
        self._listing = listing
        self._fleet = fleet
        self._people = people
        self._is_over = False
        #: When something was wrong last; now, while it is.
        self.troubled_at = -1e9
        self._troubles = 0
        #: When the store lost something that it had confirmed.
        self.on_loss: Callable[[str], None] = lambda how: None
        #: The store's server is another process after so many seconds.
        self.on_restart: Callable[[float], None] = lambda lasts: None

    @property
    def calm_for(self) -> float:
        """For how long nothing has been wrong, in seconds."""
        return 0.0 if self._troubles else self._loop.now - self.troubled_at

    def trouble(self, lasts: float = 0.0, undo: Callable[[], None] | None = None) -> None:
        """Something is wrong, for a while."""
        self.troubled_at = self._loop.now
        if lasts <= 0.0:
            return
        self._troubles += 1

        def over() -> None:
            self._troubles -= 1
            self.troubled_at = self._loop.now
            if undo is not None and not self._is_over:
                undo()

        self._loop.later(lasts, over)

    def _say(self, what: str, detail: object = "") -> None:
        self._trace.add("chaos", what, detail)

    # ------------------------------------------------------------ the store

    def _spell(self) -> None:
        random, chance = self._random, self._random.choice((0.01, 0.05, 0.2))
        bad = Weather(
            lost_request=chance * random.random(),
            lost_reply=chance * random.random(),
            twice=chance * random.random(),
            late=chance * random.random(),
            error=chance * random.random() * 0.3,
        )
        self._weather(bad, random.uniform(30, 600))

    def _outage(self) -> None:
        self._weather(Weather(down=True), self._random.uniform(0.5, 240))

    def _weather(self, bad: Weather, lasts: float) -> None:
        self._say("weather", f"{bad} for {lasts:.0f}")
        self._backend.wire.weather = bad
        self.trouble(lasts, self._clear)

    def _clear(self) -> None:
        self._backend.wire.weather = replace(self._profile.background)

    def _rollback(self) -> None:
        snapshot = self._backend.snapshot()
        self.trouble(120.0)

        def back() -> None:
            if not self._is_over:
                self._say("rollback")
                self._backend.restore(snapshot)
                self._backend.restart()
                self.on_loss("rolled back")

        self._loop.later(self._random.uniform(0.01, _LOST_S), back)

    def _empty(self) -> None:
        self._say("emptied")
        self._backend.empty()
        self.on_loss("emptied")
        self.trouble(120.0)

    def _server_restart(self) -> None:
        self._say("server restart")
        lasts = self._random.uniform(0.3, 10)
        self._weather(Weather(down=True), lasts)
        self._backend.restart()
        self.on_restart(lasts)

    # ------------------------------------------------------------ the engine

    def _temper(self) -> None:
        random = self._random
        word = random.choice(("refuse", "half", "silent", "crash_after", "slow", "hangs"))
        temper = Temper()
        setattr(temper, word, True if word == "hangs" else random.choice((0.2, 0.6, 1.0)))
        self._daemon_is(temper, random.uniform(10, 90) if word == "hangs" else 600.0)

    def _daemon_down(self) -> None:
        self._daemon_is(Temper(down=True), self._random.uniform(2, 200))

    def _daemon_is(self, temper: Temper, lasts: float) -> None:
        self._say("daemon", f"{temper} for {lasts:.0f}")
        self._daemon.temper = temper
        self.trouble(lasts + 60.0)
        self._loop.later(lasts, self._daemon_is_well)

    def _daemon_is_well(self) -> None:
        if not self._is_over:
            self._daemon.temper = Temper()

    def _daemon_restart(self) -> None:
        self._say("daemon restart")
        self._daemon_is(Temper(down=True), self._random.uniform(2, 20))
        self._daemon.cut_streams()
        for one in list(self._daemon.inside.values()):
            if one.state is RunState.RUNNING and one.id not in self._daemon.under_way:
                self._daemon.end(one.id, signal=None, exit_code=143)
                self._daemon.begin(one.id, "daemon", ours=False)

    def _cut(self) -> None:
        self._say("streams cut")
        self._daemon.cut_streams()

    # ------------------------------------------------------------ the chain

    def _am_restart(self) -> None:
        self._random.choice(self._members).restart()
        self.trouble(240.0)

    def _am_outage(self) -> None:
        member = self._random.choice(self._members)
        lasts = self._random.uniform(10, 600)
        self._say("down", f"{member.label} {lasts:.0f}")
        member.down = True

        def undo() -> None:
            member.down = False

        self.trouble(lasts, undo)

    def _prometheus_fault(self) -> None:
        what = self._random.choice(("restart", "down", "collector", "cut"))
        lasts = self._random.uniform(30, 1500)
        self._say("prometheus", f"{what} {lasts:.0f}")
        prometheus = self._prometheus
        match what:
            case "restart":
                prometheus.restart()
                self.trouble(400.0)
                return
            case "down":
                prometheus.down = True
            case "collector":
                prometheus.collector_down = True
            case _:
                prometheus.cut.add(self._random.choice((0, 1)))

        def undo() -> None:
            prometheus.down = prometheus.collector_down = False
            prometheus.cut.clear()

        self.trouble(lasts, undo)
        self.trouble(lasts + 360.0)

    def _notifying(self) -> None:
        random = self._random
        manner = Notifying(
            lost=0.0 if self._profile.blind else random.choice((0.0, 0.3)),
            twice=random.choice((0.0, 0.5)),
            late=random.choice((0.0, 0.5)),
            truncated=random.choice((0.0, 0.5)),
            gossip_lost=random.choice((0.0, 1.0)),
        )
        member = random.choice(self._members)
        member.manner = manner

        def undo() -> None:
            member.manner = Notifying()

        self.trouble(900.0, undo)
