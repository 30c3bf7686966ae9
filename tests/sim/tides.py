"""Clones come and go: people order some, break some, and make some of their own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from app.controller.operate import Wish
from app.domain.container import Container, Health, RunState
from app.domain.control import OrderKind
from tests.builders import ENGINE
from tests.sim.crowd import is_clone
from tests.sim.profiles_rough import Rough

#: Who may have another instance; of the service's three there may be five.
_SCALED = ("web", "cache", "worker", "shop-api-1", "shop-api-2")
_SERVICE = "shop-api-"
_MOST_DECOYS = 2


class Tides:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(self, sim: Any, profile: Rough, random: Random) -> None:
        self._sim = sim
        self._loop = sim.loop
        self._daemon = sim.daemon
        self._people = sim.chaos._people
        self._random = random
        self._orders = 0
        self._decoys: list[str] = []
        for one in list(self._daemon.inside.values()):
            if one.name.startswith(_SERVICE):
                labels = {**one.labels, "relevo.max-instances": "5"}
                self._daemon.put(replace(one, labels=labels))
        for rate, do in (
            (profile.tides, self._come),
            (profile.tides / 2, self._go),
            (profile.clone_faults, self._strike),
            (profile.clone_faults / 3, self._take_the_source),
            (profile.decoys, self._copy),
            (profile.halts, self._halt),
        ):
            if rate:
                self._plan(rate, do)

    def _plan(self, rate: float, do: Callable[[], None]) -> None:
        def now() -> None:
            if not self._sim.chaos._is_over:
                do()
                self._plan(rate, do)

        self._loop.later(self._random.expovariate(rate / 3600), now)

    def _say(self, what: str, detail: object) -> None:
        self._sim.trace.add("tide", what, detail)

    def _clones(self) -> list[Container]:
        return [one for one in self._daemon.inside.values() if is_clone(one)]

    # ------------------------------------------------------------ orders

    def _order(self, what: str, target: str) -> None:
        self._orders += 1
        wish = Wish(reason="the tide", author="tom", key=f"tide-{self._orders}")
        span = timedelta(seconds=self._random.uniform(300, 2400))

        async def ask(controller: Any) -> None:
            operator = controller.operator
            match what:
                case "out":
                    await operator.act(target, OrderKind.SCALE_OUT, wish)
                case "in":
                    await operator.scale_in(target, wish)
                case "hold":
                    await operator.hold(target, wish, lasts=span)
                case _:
                    await operator.pause(wish, lasts=span)

        async def run() -> None:
            self._say(what, f"{target} {await self._sim.fleet.order(ask)}")
            if self._random.random() < 0.2:
                self._say(f"{what} again", f"{target} {await self._sim.fleet.order(ask)}")

        self._loop.create_task(run())

    def _come(self) -> None:
        self._order("out", f"{ENGINE}:{self._random.choice(_SCALED)}")

    def _go(self) -> None:
        clones = self._clones()
        if clones:
            source = self._random.choice(clones).labels["relevo.clone-of"]
            self._order("in", f"{ENGINE}:{source}")

    def _halt(self) -> None:
        clones = self._clones()
        if clones:
            source = self._random.choice(clones).labels["relevo.clone-of"]
            self._order(self._random.choice(("hold", "pause")), f"{ENGINE}:{source}")

    # ------------------------------------------------------------ what happens to containers

    def _strike(self) -> None:
        clones = [one for one in self._clones() if one.state is RunState.RUNNING]
        if not clones:
            return
        one, random = self._random.choice(clones), self._random
        what = random.choice(("exits", "exits", "stopped", "paused", "ill", "removed", "cut off"))
        self._say(what, one.name)
        match what:
            case "exits":
                self._daemon.end(one.id, signal=None, exit_code=3)
            case "stopped":
                self._people._stop(one)
            case "paused":
                self._daemon.put(replace(one, state=RunState.PAUSED))
                self._daemon.tell(one, "pause")
                self._loop.later(random.uniform(20, 900), self._people._unpause, one.id)
            case "ill":
                self._daemon.put(replace(one, health=Health.UNHEALTHY))
                self._loop.later(random.uniform(30, 900), self._is_well, one.id)
            case "removed":
                self._daemon.remove(one.id)
            case _:
                self._daemon.put(replace(one, networks=()))

    def _is_well(self, container_id: str) -> None:
        one = self._daemon.inside.get(container_id)
        if one is not None:
            self._daemon.put(replace(one, health=Health.NONE))

    def _take_the_source(self) -> None:
        """Have the one that a clone was made of go down, and maybe have the clone leave then."""
        clones = [one for one in self._clones() if one.state is RunState.RUNNING]
        if not clones:
            return
        name = self._random.choice(clones).labels["relevo.clone-of"]
        source = self._daemon.named(name)
        if source is None or source.state is not RunState.RUNNING:
            return
        self._say("takes the source", name)
        self._people._stop(source)
        self._loop.later(self._random.uniform(60, 900), self._people._start, source.id)
        if self._random.random() < 0.7:
            wait = self._random.uniform(5, 60)
            self._loop.later(wait, self._order, "in", f"{ENGINE}:{name}")

    def _copy(self) -> None:
        """Have somebody make a container of his own that says that it is a clone."""
        self._decoys = [one for one in self._decoys if one in self._daemon.inside]
        if len(self._decoys) >= _MOST_DECOYS:
            self._daemon.remove(self._decoys.pop(0))
            return
        random = self._random
        clones = [one for one in self._clones() if one.id not in self._decoys]
        one = random.choice(clones) if clones and random.random() < 0.5 else None
        if one is None:
            one = self._daemon.named(random.choice(_SCALED))
        if one is None or one.state is not RunState.RUNNING:
            return
        labels = {"relevo.clone-of": one.name, **one.labels, **self._daemon.next_number(one)}
        copy = replace(
            one,
            id=self._daemon.new_id(),
            name=f"{one.name}_newcopy{random.randrange(1000)}",
            labels=labels,
            state=RunState.CREATED,
            networks=("shop",),
            health=Health.NONE,
            created_at=self._daemon.moment(),
        )
        self._say("copies", copy.name)
        self._decoys.append(copy.id)
        self._daemon.put(copy)
        self._daemon.tell(copy, "create")
        self._daemon.begin(copy.id, "person", ours=False)

    def end(self) -> None:
        """Be well."""
        for one in self._clones():
            self._is_well(one.id)
