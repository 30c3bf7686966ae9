"""What goes wrong, and when: drawn from the seed, at the rates of a profile."""

from collections.abc import Callable
from dataclasses import replace

from tests.sim.alertmanager import Notifying
from tests.sim.chaos_world import WorldFaults
from tests.sim.daemon import Temper
from tests.sim.fleet import Node
from tests.sim.points import KILLS
from tests.sim.process import Ambush
from tests.sim.weather import Weather


class Chaos(WorldFaults):
    """See the module."""

    def begin(self) -> None:
        """Plan everything."""
        self._backend.wire.weather = replace(self._profile.background)
        p = self._profile
        plans: list[tuple[float, Callable[[], None]]] = [
            (p.illnesses, self._illness),
            (p.storms, self._storm),
            (p.kills, self._kill),
            (p.pauses, self._pause),
            (p.stops, self._stop),
            (p.spells, self._spell),
            (p.outages, self._outage),
            (p.rollbacks, self._rollback),
            (p.emptied, self._empty),
            (p.server_restarts, self._server_restart),
            (p.tempers, self._temper),
            (p.daemon_down, self._daemon_down),
            (p.daemon_restarts, self._daemon_restart),
            (p.stream_cuts, self._cut),
            (p.am_restarts, self._am_restart),
            (p.am_outages, self._am_outage),
            (p.prometheus_faults, self._prometheus_fault),
            (p.notifying, self._notifying),
            (p.people, self._people.act),
            (p.orders, self._people.order),
            (p.clock_steps, self._clock_step),
            (p.suspends, self._suspend),
        ]
        for rate, do in plans:
            if rate:
                self._plan(rate, do)

    def end(self) -> None:
        """Everything is well from now on."""
        self._is_over = True
        self._backend.wire.weather = Weather()
        self._daemon.temper = Temper()
        self._prometheus.down = self._prometheus.collector_down = False
        self._prometheus.cut.clear()
        self._listing.cut = False
        for member in self._members:
            member.down = False
            member.manner = Notifying()
        self._people.go_home()
        self._ward.close()

    def _plan(self, rate: float, do: Callable[[], None]) -> None:
        def now() -> None:
            if not self._is_over:
                do()
                self._plan(rate, do)

        self._loop.later(self._random.expovariate(rate / 3600), now)

    # ------------------------------------------------------------ illnesses

    def _illness(self) -> None:
        self._ward.fall_ill(self._random.choice(list(self._ward.patients)))

    def _storm(self) -> None:
        names = list(self._ward.patients)
        self._random.shuffle(names)
        for name in names[: self._random.randint(3, len(names))]:
            self._ward.fall_ill(name)

    # ------------------------------------------------------------ controllers

    def _victim(self) -> Node | None:
        up = [node for node in self._fleet.nodes if node.is_up]
        return self._random.choice(up) if up else None

    def _kill(self) -> None:
        node = self._victim()
        if node is None or node.process is None:
            return
        self.trouble(120.0)
        if self._random.random() < self._profile.loses_data:
            node.data.memento = None
            self._say("lost data", node.name)
        if self._random.random() < self._profile.at_await:
            fuse = self._random.randint(1, 400)
            node.process.light(fuse)
            self._say("fuse", f"{node.name} {fuse}")
            return
        point = self._random.choice(KILLS)
        spare = self._random.choice((0, 0, 0, 1, 2))
        self._say("ambush", f"{node.name} {point}")
        node.process.ambushes.append(Ambush(point, "kill", spare=spare))

    def _pause(self) -> None:
        node = self._victim()
        if node is None or node.process is None:
            return
        seconds = self._random.uniform(5.0, 70.0)
        self.trouble(seconds + 60.0)
        if self._random.random() < 0.3:
            node.process.freeze(seconds)
            return
        point = self._random.choice(KILLS)
        self._say("nap", f"{node.name} {point} {seconds:.1f}")
        node.process.ambushes.append(Ambush(point, "pause", seconds))

    def _stop(self) -> None:
        node = self._victim()
        if node is not None:
            self.trouble(90.0)
            self._loop.create_task(self._fleet.stop(node))

    def _clock_step(self) -> None:
        node = self._victim()
        if node is not None and node.clock is not None:
            seconds = self._random.choice((-7200.0, -60.0, 60.0, 3600.0, 7200.0))
            self._say("clock", f"{node.name} {seconds}")
            node.off += seconds
            self.trouble(300.0)
            node.clock.step(seconds)
            if node.process is not None and self._random.random() < 0.5:
                node.process.kill("its clock was set")

    def _suspend(self) -> None:
        node = self._victim()
        if node is None or node.process is None or node.clock is None:
            return
        seconds = self._random.uniform(20.0, 1800.0)
        if node.process.frozen:
            return  # it wakes before that time is over: its clocks would have run back
        self._say("suspended", f"{node.name} {seconds:.0f}")
        node.process.freeze(seconds)
        node.clock.suspended(seconds)
        self.trouble(seconds + 120.0)
