"""One run: a world, controllers, faults and the checker, from one seed."""

import asyncio
import gc
import os
import random as random_module
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from random import Random
from typing import Any

import structlog

from tests.sim.alertmanager import Alertmanager, Log
from tests.sim.audit import Audit
from tests.sim.backend import Backend, MemoryBackend
from tests.sim.backend_redis import RedisBackend, server
from tests.sim.chaos import Chaos
from tests.sim.daemon import Daemon
from tests.sim.ending import run_out
from tests.sim.fleet import Fleet, Node
from tests.sim.hearing import listen, where
from tests.sim.listing import Alertmanagers
from tests.sim.loop import PROCESS, Deadlock, VirtualLoop
from tests.sim.people import People
from tests.sim.plan import Plan, Result
from tests.sim.planting import planted
from tests.sim.process import Ambush, Dead
from tests.sim.profiles_rough import rulebook_of
from tests.sim.prometheus import Prometheus
from tests.sim.quick import quickened
from tests.sim.rough import PROFILES, roughen
from tests.sim.told import Told
from tests.sim.trace import Trace
from tests.sim.ward import Ward, population
from tests.sim.watch import Watch
from tests.sim.weather import Wire


class Simulation:
    """See the module."""

    def __init__(self, plan: Plan, *, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.profile = PROFILES[plan.profile]
        self.loop = loop = VirtualLoop()
        self.trace = Trace(loop, tell=tell)
        self.violation: tuple[str, str] | None = None
        self.violated_at = 0.0
        self.kills = 0
        self.passed: dict[str, int] = {}
        self._flags: frozenset[str] = frozenset()
        self._ambush: Ambush | None = None

    def _random(self, what: str) -> Random:
        return Random(f"{self.plan.seed}/{what}")

    def fail(self, invariant: str, what: str) -> None:
        """A rule is broken: keep the first, and end the run."""
        if self.violation is None:
            self.violation = (invariant, what)
            self.violated_at = self.loop.now
            self.trace.add("checker", invariant, what)
            self.loop.stop()

    def run(self) -> Result:
        """Simulate."""
        began = time.process_time()
        entropy = self._random("entropy")
        urandom, hidden = os.urandom, random_module._urandom  # type: ignore[attr-defined]
        os.urandom = random_module._urandom = entropy.randbytes  # type: ignore[attr-defined]
        collecting = gc.isenabled()
        gc.disable()
        listen(self._logged)
        try:
            with quickened(), planted(self.plan.mutant) as self._flags:
                Context().run(self._run)
        finally:
            os.urandom = urandom
            random_module._urandom = hidden  # type: ignore[attr-defined]
            structlog.reset_defaults()
            if collecting:
                gc.enable()
        return Result(
            seed=self.plan.seed,
            profile=self.plan.profile,
            backend=self.plan.backend,
            hours=self.loop.now / 3600,
            violation=self.violation,
            at=self.violated_at,
            digest=self.trace.digest,
            lines=self.trace.lines,
            steps=self.loop.steps,
            cpu_s=time.process_time() - began,
            starts=sum(one.ours for one in self.daemon.starts),
            accepted=self.watch.accepted,
            kills=self.kills,
            command=self.plan.command(),
            last=self.trace.last(50) if self.violation else [],
            passed=self.passed,
            cried=self.listing.cried,
        )

    def _backend(self) -> Backend:
        wire = Wire(self.loop, self._random("wire"))
        if self.plan.backend == "redis":
            return RedisBackend(wire, self.loop, server())
        return MemoryBackend(wire, self.loop)

    def _run(self) -> None:
        loop, trace = self.loop, self.trace
        asyncio.set_event_loop(loop)
        self.daemon = Daemon(loop, self._random("daemon"), trace)
        self.ward = Ward(loop, self.daemon, self._random("ward"), trace)
        for one in population():
            self.ward.admit(one)
        self.prometheus = Prometheus(loop, self.ward, trace)
        backend = self._backend()
        try:
            loop.run_until_complete(self._begin(backend))
            self.go(self.plan.hours * 3600)
            if self.violation is None:
                self.chaos.end()
                run_out(self)
        finally:
            self.fleet.revives = False
            for node in self.fleet.nodes:
                if node.process is not None:
                    self._count(node)
                    node.process.kill("the end")
            # What is left of the killed may begin something yet: that needs a loop that runs.
            loop.run_until_complete(_some_rounds())
            backend.close()
            self._look_at_unhandled()
            asyncio.set_event_loop(None)
            loop.close()

    def go(self, seconds: float) -> None:
        if self.violation is not None:
            return
        self.loop.later(seconds, self.loop.stop)
        try:
            self.loop.run_forever()
        except Deadlock:
            self.fail("S0", "nothing will ever happen again")

    async def _begin(self, backend: Backend) -> None:
        loop, profile, trace = self.loop, self.profile, self.trace
        rulebook = rulebook_of(profile)
        members: list[Alertmanager] = []
        self.listing = Alertmanagers(members)
        self.fleet = fleet = Fleet(
            loop,
            self._random("fleet"),
            trace,
            backend=backend,
            daemon=self.daemon,
            prometheus=None if profile.blind else self.prometheus,
            alertmanagers=None if profile.blind else self.listing,
            rulebook=rulebook,
            size=self._random("size").randint(*profile.controllers),
        )
        self.told = Told(loop, self.daemon, expiry_s=rulebook.alert_expiry.total_seconds())
        log, post = Log(), self.told.around(fleet.post)
        for number in (0, 1):
            member = Alertmanager(number, loop, self._random(f"am{number}"), trace, log, post)
            members.append(member)
            self.prometheus.links.append(member.take)
        self.watch = Watch(
            loop,
            trace,
            truth=await backend.truth(),
            daemon=self.daemon,
            prometheus=self.prometheus,
            rulebook=rulebook,
            slack=profile.drift,
            fail=self.fail,
            told=self.told if profile.blind else None,
        )
        self.watch.ladder.slack = profile.drift
        fleet.watch = self.watch
        fleet.on_boot = self._booted
        fleet.on_answer = self.watch.answered
        fleet.on_fault = lambda what, exc: self.fail("F0", f"{what}: {exc!r}")
        people = People(
            loop,
            self._random("people"),
            trace,
            daemon=self.daemon,
            ward=self.ward,
            fleet=fleet,
            members=members,
        )
        self.chaos = Chaos(
            loop,
            self._random("chaos"),
            trace,
            profile,
            backend=backend,
            daemon=self.daemon,
            ward=self.ward,
            prometheus=self.prometheus,
            members=members,
            listing=self.listing,
            fleet=fleet,
            people=people,
        )
        self.chaos.on_loss = self._lost
        self.chaos.on_restart = self._server_restarted
        self.watch.members = [] if profile.blind else members
        self.audit = Audit(
            loop,
            watch=self.watch,
            chaos=self.chaos,
            fleet=fleet,
            daemon=self.daemon,
            prometheus=self.prometheus,
            fail=self.fail,
            liveness=profile.drift < 0.05,
        )
        self.daemon.on_began = self._started
        self.leaving = roughen(self)
        drifts = self._random("drift")
        for node in fleet.nodes:
            node.rate = 1.0 + drifts.uniform(-profile.drift, profile.drift)
            node.off = drifts.uniform(-profile.offset, profile.offset)
            await fleet.boot(node)
        self.chaos.begin()

    def _booted(self, node: Node) -> None:
        process = node.process
        assert process is not None
        assert node.view is not None
        for flag in self._flags:
            setattr(node.view, flag, False)
        if self.plan.ambush is not None:
            # Of whoever comes by first: nobody can tell who will lead.
            if self._ambush is None or (self._ambush.is_over and node.lives % 2):
                self._ambush = replace(self.plan.ambush)
            process.ambushes.append(self._ambush)
        died = process.on_death

        def on_death(dying: Any, why: str) -> None:
            self._count(node)
            self.kills += 1
            self.chaos.trouble(60.0)
            died(dying, why)

        process.on_death = on_death

    def _count(self, node: Node) -> None:
        assert node.process is not None
        for point, number in node.process.passed.items():
            self.passed[point] = self.passed.get(point, 0) + number
        node.process.passed.clear()

    def _started(self, attempt_id: str, name: str, group: str) -> None:
        self.watch.started(attempt_id, name)
        if group:
            self.watch.ladder.created(group, attempt_id, self.loop.now)

    def _lost(self, _how: str) -> None:
        self.watch.lost_at = self.watch.ladder.lost_at = self.loop.now

    def _server_restarted(self, lasts: float) -> None:
        if not (self.profile.spells or self.profile.outages or self.profile.drift):
            self.watch.held.append((self.loop.now + lasts + 3.0, self.loop.now + lasts + 13.0))

    def _logged(self, event: str, fields: dict[str, Any]) -> None:
        host: Any = PROCESS.get()
        if host is None or not host.alive:
            return
        exc = fields.get("exc_info")
        if isinstance(exc, Exception):
            self.fail("F0", f"{event}: {exc!r} {where(exc)}")
        elif event.startswith("steps follow each other"):
            self.fail("F0", f"{event} {fields}")

    def _look_at_unhandled(self) -> None:
        for message, exc in self.loop.unhandled:
            if self.violation is None and exc is not None and not isinstance(exc, Dead):
                self.violation = ("F0", f"{message}: {exc!r} {where(exc)}")


def simulate(plan: Plan, *, tell: Callable[[str], None] | None = None) -> Result:
    """Run one simulation."""
    return Simulation(plan, tell=tell).run()


async def _some_rounds() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
