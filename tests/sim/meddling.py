"""Faults at the worst moment: each looks at what the controllers are about to do."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from app.controller.operate import Wish
from app.domain.container import Container
from app.domain.remediation import Remediation, State
from app.ports import RemediationFilter
from tests.sim.intents import sync
from tests.sim.poison import Poison
from tests.sim.profiles_rough import Rough

_OPEN = RemediationFilter(open_only=True, limit=100)
_LOOKS_EVERY_S = 5.0
#: Stopped this long before its restart is due: its alert is still there, more often than not.
_BEFORE_S = (10.3, 12.0)
#: Ill of what only another instance relieves; more than two at once, and the brake engages.
_STUBBORN, _AT_ONCE = ("web", "cache", "worker"), 2

_CROWD = ("shop-api-1", "shop-api-2", "shop-api-3")


class Blindfold:
    """The ward as a Prometheus sees it that has lost its data."""

    def __init__(self, ward: Any, now: Callable[[], float]) -> None:
        self._ward = ward
        self._now = now
        self.until = -1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ward, name)

    def symptom(self, name: str) -> bool:
        """What a rule finds: nothing, where there are no samples to average yet."""
        return self._now() >= self.until and bool(self._ward.symptom(name))


class Meddling:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(self, sim: Any, profile: Rough, random: Random, poison: Poison) -> None:
        self._sim = sim
        self._loop = sim.loop
        self._random = random
        self._poison = poison
        self._orders = 0
        self._stopping: set[str] = set()
        self._blindfold = Blindfold(sim.ward, lambda: float(sim.loop.now))
        self._started = sim.daemon.on_started
        if profile.blanks:
            sim.prometheus._ward = self._blindfold
        if profile.stubborn:
            sim.daemon.on_started = self._a_clone_came
        if profile.stops_due:
            self._chance = profile.stops_due
            self._loop.later(_LOOKS_EVERY_S, self._every_look)
        for rate, do in (
            (profile.holds_ill, self._hold),
            (profile.stubborn, self._fall_ill),
            (profile.crowds, self._crowd),
            (profile.poisons, self._spell),
            (profile.blanks, self._blank),
        ):
            if rate:
                self._plan(rate, do)

    @property
    def is_over(self) -> bool:
        """Everything is well from now on."""
        return bool(self._sim.chaos._is_over)

    def _plan(self, rate: float, do: Callable[[], None]) -> None:
        def now() -> None:
            if not self.is_over:
                # As a task: a real store is asked by tasks alone.
                self._loop.create_task(_as_task(do))
                self._plan(rate, do)

        self._loop.later(self._random.expovariate(rate / 3600), now)

    def _say(self, what: str, detail: object) -> None:
        self._sim.trace.add("meddler", what, detail)

    def _waiting(self) -> list[Remediation]:
        records = sync(self._sim.watch.truth.history.remediations(_OPEN))
        return [one for one in records if one.state is State.WAITING and one.next_at is not None]

    # ------------------------------------------------------------ people

    def _hold(self) -> None:
        waiting = self._waiting()
        if not waiting:
            return
        self._orders += 1
        target = self._random.choice(waiting).target
        wish = Wish(reason="mine", author="ann", key=f"hold-{self._orders}")
        span = timedelta(seconds=self._random.uniform(300, 1500))
        self._say("hold", target)

        async def ask(controller: Any) -> None:
            await controller.operator.hold(target, wish, lasts=span)

        self._loop.create_task(self._sim.fleet.order(ask))

    def _every_look(self) -> None:
        if not self.is_over:
            self._loop.later(_LOOKS_EVERY_S, self._every_look)
            self._loop.create_task(_as_task(self._look))

    def _look(self) -> None:
        for record in self._waiting():
            assert record.next_at is not None
            left = (record.next_at - self._sim.daemon.moment()).total_seconds()
            one = self._sim.daemon.named(record.container)
            if one is None or one.id in self._stopping or not 15 < left <= 15 + _LOOKS_EVERY_S:
                continue
            if self._random.random() < self._chance:
                self._stopping.add(one.id)
                self._loop.later(left - self._random.uniform(*_BEFORE_S), self._stop, one)

    def _stop(self, one: Container) -> None:
        self._stopping.discard(one.id)
        inside = self._sim.daemon.inside.get(one.id)
        if inside is None or one.id in self._sim.daemon.under_way or self.is_over:
            return
        self._say("stop", one.name)
        people = self._sim.chaos._people
        people._stop(inside)
        self._loop.later(self._random.uniform(60, 600), people._start, one.id)

    # ------------------------------------------------------------ illnesses

    def _fall_ill(self, *names: str) -> None:
        ward = self._sim.ward
        ill = [one for one in ward.patients.values() if one.sick]
        well = [name for name in names or _STUBBORN if not ward.patients[name].sick]
        if not well or len(ill) >= _AT_ONCE or self.is_over:
            return
        name = self._random.choice(well)
        ward.fall_ill(name)
        patient = ward.patients[name]
        patient.restart_cures, patient.relief_cures, patient.relapses = 0.0, True, False

    def _crowd(self) -> None:
        for name in _CROWD:
            self._sim.ward.fall_ill(name)

    def _a_clone_came(self, one: Container, ours: bool) -> None:
        self._started(one, ours)
        source = one.labels.get("relevo.clone-of")
        if source is None:
            return
        # Soon after the story was closed, and within the cooldown: it has the same fault.
        if self._random.random() < 0.5:
            self._loop.later(self._random.uniform(200, 460), self._fall_ill, one.name)
        self._loop.later(self._random.uniform(700, 1500), self._fall_ill, source)
        self._loop.later(self._random.uniform(2400, 3600), self._clean_up, one.id)

    def _clean_up(self, container_id: str) -> None:
        if container_id not in self._sim.daemon.under_way:
            self._sim.daemon.remove(container_id)

    # ------------------------------------------------------------ parts

    def _spell(self) -> None:
        waiting = self._waiting()
        if waiting:
            target = self._random.choice(waiting).target
            self._say("poison", target)
            self._poison.until[target] = self._loop.now + self._random.uniform(300, 2400)

    def _blank(self) -> None:
        if self._loop.now < self._blindfold.until + 1200:
            return  # one that forgets again and again can be told by nobody
        lasts = self._random.uniform(300, 700)
        self._say("prometheus lost its data", f"{lasts:.0f}")
        self._blindfold.until = self._loop.now + lasts
        self._sim.prometheus.restart()
        self._sim.chaos.trouble(lasts + 360.0)

    def end(self) -> None:
        """Be well."""
        self._poison.until.clear()
        self._blindfold.until = -1.0


async def _as_task(do: Callable[[], None]) -> None:
    do()
