"""Has a simulation follow more rules; and in a rough profile, suffer more."""

import asyncio
from typing import Any

from tests.sim.crowd import Crowds
from tests.sim.daemon import Temper
from tests.sim.departing import Departing
from tests.sim.departing_audit import DepartingAudit
from tests.sim.fleet import Node
from tests.sim.meddling import Meddling
from tests.sim.poison import CountedSchedule, Poison, PoisonedRecords
from tests.sim.process import Process
from tests.sim.profiles_rough import PROFILES, Rough
from tests.sim.proxy import Proxy
from tests.sim.rules_more import MoreRules
from tests.sim.tides import Tides

__all__ = ["PROFILES", "roughen"]


class Watching:
    """The checker at every step, and the rules that came after it."""

    def __init__(self, watch: Any, rules: MoreRules, departing: Departing, poison: Poison) -> None:
        self._watch = watch
        self._rules = rules
        self._departing = departing
        self._poison = poison

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watch, name)

    def records(self, process: Process, raw: object, port: Any) -> Any:
        """Return the records of a process, watched."""
        watched = self._watch.records(process, raw, port)
        return PoisonedRecords(self._poison, process, watched, self._rules.noted)

    def schedule(self, port: Any) -> Any:
        """Return the schedule of a process, watched."""
        return CountedSchedule(self._poison, port)

    def scaling(self, process: Process, port: Any) -> Any:
        """Return the scale-ins of a process, watched."""
        return self._departing.scaling(process, port)

    def sent(self, process: Process, what: str, container_id: str, attempt_id: str) -> None:
        """Check a request that writes, as it leaves."""
        if attempt_id in self._departing.known:
            self._departing.sent(process, what, container_id, attempt_id)
            return
        self._watch.sent(process, what, container_id, attempt_id)
        self._rules.sent(what, container_id)


def roughen(sim: Any) -> DepartingAudit:
    """
    Join what was made and has not begun yet; answer who looks whether clones leave.

    :param sim: a `tests.sim.simulation.Simulation`
    """
    poison, rules = Poison(sim.loop, sim.fail), MoreRules(sim)
    sim.watch.left_alone = poison.is_left_alone
    crowds = Crowds(sim)
    departing = Departing(sim, crowds, rules.listed_since)
    sim.fleet.watch = Watching(sim.watch, rules, departing, poison)
    leaving = DepartingAudit(sim, crowds, departing)
    answered = sim.fleet.on_answer

    def on_answer(*told: Any) -> None:
        answered(*told)
        rules.answered(*told)

    sim.fleet.on_answer = on_answer
    profile = sim.profile
    if not isinstance(profile, Rough):
        return leaving
    random = sim._random("rough")
    meddling = Meddling(sim, profile, random, poison)
    tides = Tides(sim, profile, random) if profile.tides else None
    proxies = []
    if profile.loses or profile.repeats:
        for member in sim.chaos._members:
            member._post = Proxy(member._post, profile, sim.loop, random, sim.trace)
            proxies.append(member._post)
    if profile.stops_slowly:
        sim.daemon.temper = Temper(slow=1.0)
    if profile.lag:
        _have_looks_take_time(sim, profile.lag)
    end = sim.chaos.end

    def ended() -> None:
        end()
        meddling.end()
        if tides is not None:
            tides.end()
        for proxy in proxies:
            proxy.is_over = True

    sim.chaos.end = ended
    return leaving


def _have_looks_take_time(sim: Any, longest: float) -> None:
    """Have a look at one container take its time; without faults it takes none at all."""
    random, booted = sim._random("lag"), sim.fleet.on_boot

    def on_boot(node: Node) -> None:
        booted(node)
        view: Any = node.view
        read = view._read

        async def slowly(point: str, what: Any) -> Any:
            if point in ("inspect", "evidence") and not sim.chaos._is_over:
                await asyncio.sleep(random.uniform(0.0, longest))
            return await read(point, what)

        view._read = slowly

    sim.fleet.on_boot = on_boot
