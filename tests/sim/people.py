"""Other actors: people at the docker command line, at Relevo's, and deploys."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from app.controller.operate import Wish
from app.domain.container import Container, RunState
from app.domain.control import OrderKind
from tests.builders import ENGINE
from tests.sim.alertmanager import Alertmanager
from tests.sim.daemon import Daemon
from tests.sim.fleet import Fleet
from tests.sim.loop import VirtualLoop
from tests.sim.trace import Trace
from tests.sim.ward import Ward


class People:
    """See the module."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        trace: Trace,
        *,
        daemon: Daemon,
        ward: Ward,
        fleet: Fleet,
        members: list[Alertmanager],
    ) -> None:
        self._loop = loop
        self._random = random
        self._trace = trace
        self._daemon = daemon
        self._ward = ward
        self._fleet = fleet
        self._members = members
        self._orders = 0
        #: They have gone home.
        self.is_over = False

    def act(self) -> None:
        """Do something with docker."""
        names = [n for n in self._ward.patients if self._daemon.named(n) is not None]
        one = self._daemon.named(self._random.choice(names))
        if one is None or self.is_over:
            return
        what = self._random.choice(
            ("restart", "restart", "restart", "stop", "pause", "rename", "recreate", "deploy")
            + ("silence",) * 2
        )
        self._trace.add("person", what, one.name)
        match what:
            case "restart":
                self._stop(one)
                self._loop.later(self._random.uniform(0.3, 8.0), self._start, one.id)
            case "stop":
                self._stop(one)
                self._loop.later(self._random.uniform(30, 1500), self._start, one.id)
            case "pause" if one.state is RunState.RUNNING:
                self._daemon.put(replace(one, state=RunState.PAUSED))
                self._daemon.tell(one, "pause")
                self._loop.later(self._random.uniform(20, 900), self._unpause, one.id)
            case "rename":
                self._rename(one, f"{one.name}_old")
                self._loop.later(self._random.uniform(60, 900), self._rename_back, one.id, one.name)
            case "recreate":
                self._recreate(one, image=one.image_id)
            case "deploy":
                self._recreate(one, image="sha256:" + f"{self._random.getrandbits(64):064x}")
            case "silence":
                until = self._loop.now + self._random.uniform(300, 2400)
                for member in self._members:
                    member.silence(one.name, until)

    def go_home(self) -> None:
        """End everything that was begun, and do nothing more."""
        self.is_over = True
        for one in list(self._daemon.inside.values()):
            if one.state is RunState.PAUSED:
                self._unpause(one.id)
            elif one.state is RunState.EXITED:
                self._start(one.id)
        for member in self._members:
            member.silenced.clear()

    def _stop(self, one: Container) -> None:
        if one.state is RunState.RUNNING:
            self._daemon.end(one.id, signal="15", exit_code=0)
            self._daemon.stopped[one.id] = self._loop.now
            self._daemon.tell(one, "stop")

    def _start(self, container_id: str) -> None:
        one = self._daemon.inside.get(container_id)
        if one is not None and one.state is RunState.EXITED:
            self._daemon.begin(container_id, "person", ours=False)

    def _unpause(self, container_id: str) -> None:
        one = self._daemon.inside.get(container_id)
        if one is not None and one.state is RunState.PAUSED:
            one = self._daemon.put(replace(one, state=RunState.RUNNING))
            self._daemon.tell(one, "unpause")

    def _rename(self, one: Container, name: str) -> None:
        if self._daemon.named(name) is None and one.id in self._daemon.inside:
            one = self._daemon.put(replace(self._daemon.inside[one.id], name=name))
            self._daemon.tell(one, "rename")

    def _rename_back(self, container_id: str, name: str) -> None:
        one = self._daemon.inside.get(container_id)
        if one is not None:
            self._rename(one, name)

    def _recreate(self, one: Container, *, image: str) -> None:
        if "relevo.clone-of" in one.labels:
            return
        self._daemon.remove(one.id)
        created = replace(
            one,
            id=self._daemon.new_id(),
            image_id=image,
            state=RunState.CREATED,
            started_at="0001-01-01T00:00:00Z",
            created_at=self._daemon.moment(),
        )

        def create() -> None:
            if self._daemon.named(one.name) is None:
                self._daemon.put(created)
                self._daemon.tell(created, "create")
                self._daemon.begin(created.id, "deploy", ours=False)

        self._loop.later(self._random.uniform(0.5, 6.0), create)

    # ------------------------------------------------------------ orders to Relevo

    def order(self) -> None:
        """Ask something of Relevo."""
        if self.is_over:
            return
        self._orders += 1
        wish = Wish(reason="a person's", author="ann", key=f"key-{self._orders}")
        target = f"{ENGINE}:{self._random.choice(list(self._ward.patients))}"
        kind = self._random.choice(
            ("restart",) * 2
            + ("scale_out", "scale_in", "pause", "hold", "cancel", "release", "reset")
        )
        span = timedelta(seconds=self._random.uniform(60, 1500))

        async def ask(controller: Any) -> None:
            operator = controller.operator
            match kind:
                case "restart":
                    await operator.act(target, OrderKind.RESTART, wish)
                case "scale_out":
                    await operator.act(target, OrderKind.SCALE_OUT, wish)
                case "scale_in":
                    await operator.scale_in(target, wish)
                case "pause":
                    await operator.pause(wish, lasts=span)
                case "hold":
                    await operator.hold(target, wish, lasts=span)
                case "cancel":
                    record = await operator._store.records.remediation_of(target)
                    if record is not None:
                        await operator.cancel(record, wish)
                case "release":
                    await operator.release(target, wish)
                case _:
                    await operator.reset(target, wish)

        async def run() -> None:
            answer = await self._fleet.order(ask)
            self._trace.add("person", f"order {kind}", f"{target} {answer}")
            if self._random.random() < 0.3:  # impatient, or a script: once more
                answer = await self._fleet.order(ask)
                self._trace.add("person", f"order {kind} again", f"{target} {answer}")

        self._loop.create_task(run())
